"""The epoch is what it says: the step, over shuffled minibatches, in one program."""

import importlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import funcnn
from funcnn import optim, train
from funcnn.train.counting import count_examples
from funcnn.train.epoch import order
from funcnn.train.shuffle import permutation


def bits(tree):
    """Keys are compared by what they hold."""
    return [
        np.asarray(jax.random.key_data(leaf))
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else np.asarray(leaf)
        for leaf in jax.tree.leaves(tree)
    ]


def assert_same_bits(a, b):
    for one, other in zip(bits(a), bits(b), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("batch_size", [1, 7, 10, 32, 50])
def test_an_epoch_is_its_steps_one_by_one(problem, batch_size):
    """Against a Python loop over the same batches, remainder included."""
    step = train.make_step(problem.loss, problem.optimizer)
    batches, rest = order(problem.state, problem.data, batch_size)
    state, total, seen = problem.state, 0.0, 0
    for indices in [*batches, rest] if rest.size else [*batches]:
        batch = tuple(leaf[np.asarray(indices)] for leaf in problem.data)
        state, metrics = step(state, batch)
        total += float(metrics["loss"]) * len(indices)
        seen += len(indices)
    epoch = train.make_epoch(step, batch_size, donate=False)
    after, metrics = epoch(problem.state, problem.data)
    assert seen == 50
    assert int(after.step) == int(state.step) == -(-50 // batch_size)
    for one, other in zip(
        jax.tree.leaves(after.params), jax.tree.leaves(state.params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)
    assert float(metrics["loss"]) == pytest.approx(total / 50, rel=1e-5)


def test_every_example_comes_once_an_epoch_in_a_new_order(problem):
    def remember(state, batch):
        """A step that trains nothing and reports which examples it saw."""
        seen = state.params.at[state.step].set(batch)
        return state._replace(params=seen, step=state.step + 1), {"loss": jnp.float32(0)}

    epoch = train.make_epoch(remember, batch_size=5, donate=False)
    state = problem.state._replace(params=jnp.zeros((20, 5), jnp.int32))
    state, _ = epoch(state, jnp.arange(50))
    state, _ = epoch(state, jnp.arange(50))
    first, second = state.params[:10].ravel(), state.params[10:].ravel()
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert first.tolist() != second.tolist() != list(range(50))


def test_drop_remainder_leaves_out_other_examples_each_epoch(problem):
    step = train.make_step(problem.loss, problem.optimizer)
    epoch = train.make_epoch(step, 32, drop_remainder=True, donate=False)
    after, _ = epoch(problem.state, problem.data)
    assert int(after.step) == 1
    kept, _ = order(problem.state, problem.data, 32)
    kept_next, _ = order(after, problem.data, 32)
    assert set(kept.ravel().tolist()) != set(kept_next.ravel().tolist())


def test_an_epoch_is_one_program(problem):
    """One compilation for all epochs, and no Python in between."""
    traced = []

    def loss(params, state, batch, key):
        traced.append(1)
        return problem.loss(params, state, batch, key)

    step = train.make_step(loss, problem.optimizer)
    epoch = train.make_epoch(step, batch_size=10)
    state, data = problem.state, jax.tree.map(jnp.asarray, problem.data)
    state, _ = epoch(state, data)
    after_first = len(traced)
    for _ in range(3):
        state, _ = epoch(state, data)
    assert len(traced) == after_first
    assert epoch._cache_size() == 1
    assert int(state.step) == 20


def test_the_state_is_donated_unless_told_otherwise(problem):
    step = train.make_step(problem.loss, problem.optimizer)
    kept = jax.tree.map(jnp.copy, problem.state)
    train.make_epoch(step, 10, donate=False)(kept, problem.data)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(kept))
    train.make_epoch(step, 10)(kept, problem.data)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((kept.params, kept.opt_state)))


def test_same_seed_same_parameters_bit_for_bit(problem):
    def run(seed):
        state = train.init(jax.random.key(seed), problem.model, problem.optimizer, problem.data[0])
        epoch = train.make_epoch(train.make_step(problem.loss, problem.optimizer), 8)
        for _ in range(3):
            state, metrics = epoch(state, problem.data)
        return state, metrics

    assert_same_bits(run(3), run(3))
    one, other = jax.tree.leaves(run(3)[0].params)[0], jax.tree.leaves(run(4)[0].params)[0]
    assert not np.array_equal(one, other)


def test_the_gradient_transform_and_the_optimizer_can_be_jax_s_and_optax_s(problem):
    ours = train.make_step(problem.loss, optim.sgd(0.1), grad=funcnn.value_and_grad)
    theirs = train.make_step(problem.loss, optax.sgd(0.1), grad=jax.value_and_grad)
    start = problem.state._replace(opt_state=optim.sgd(0.1).init(problem.state.params))
    start_theirs = problem.state._replace(opt_state=optax.sgd(0.1).init(problem.state.params))
    after, metrics = ours(start, problem.data)
    after_theirs, metrics_theirs = theirs(start_theirs, problem.data)
    for one, other in zip(
        jax.tree.leaves(after.params), jax.tree.leaves(after_theirs.params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    assert float(metrics["loss"]) == pytest.approx(float(metrics_theirs["loss"]), rel=1e-6)


def test_a_step_gets_another_key_each_time_and_evaluation_none():
    keys = []

    def loss(params, state, batch, key):
        keys.append(key)
        return params * 0.0 if key is None else params * jax.random.uniform(key), (state, {})

    optimizer = optim.sgd(1.0)
    w = jnp.float32(0.0)
    state = train.TrainState(w, (), optimizer.init(w), jax.random.key(0), jnp.int32(0))
    step = train.make_step(loss, optimizer)
    once, _ = step(state, jnp.zeros(1))
    twice, _ = step(once, jnp.zeros(1))
    assert float(once.params) != 0
    assert float(twice.params - once.params) != float(once.params)
    train.make_eval(loss, 1)(w, (), jnp.zeros(1))
    assert keys[-1] is None


def test_the_models_state_is_carried(problem):
    def loss(params, count, batch, key):
        value, (_, metrics) = problem.loss(params, (), batch, key)
        return value, (count + len(batch[1]), metrics)

    step = train.make_step(loss, problem.optimizer)
    start = problem.state._replace(state=jnp.int32(0))
    after, _ = train.make_epoch(step, 8, donate=False)(start, problem.data)
    assert int(after.state) == 50


@pytest.mark.parametrize("batch_size", [1, 16, 50, 1000])
def test_evaluation_is_the_mean_over_all_examples(problem, batch_size):
    state = problem.state
    whole, (_, metrics) = problem.loss(state.params, state.state, problem.data, None)
    measured = train.make_eval(problem.loss, batch_size)(state.params, state.state, problem.data)
    assert float(measured["loss"]) == pytest.approx(float(whole), rel=1e-5)
    assert float(measured["accuracy"]) == pytest.approx(float(metrics["accuracy"]), rel=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_means_of_half_precision_losses_are_taken_in_float32(dtype):
    def loss(params, state, batch, key):
        return jnp.mean(batch, dtype=dtype), (state, {})

    data = jnp.full(20_001, 9, dtype)
    assert float(train.make_eval(loss, 2)((), (), data)["loss"]) == pytest.approx(9, rel=1e-3)


@pytest.mark.parametrize("where", ["here", "on the device", "weak"])
def test_the_first_epoch_of_fit_is_the_only_one_compiled(problem, where, caplog):
    fit_room = importlib.import_module("funcnn.train.resident")

    data, state = problem.data, problem.state
    if where == "on the device":
        data = jax.device_put(data, jax.devices()[0])
    if where == "weak":
        state = state._replace(step=jnp.asarray(0))
    fit_room._programs.cache_clear()
    with jax.log_compiles():
        train.fit(problem.loss, problem.optimizer, state, data, epochs=3, batch_size=8)
    assert len(re.findall(r"Compiling jit\(epoch\) ", caplog.text)) == 1, caplog.text


@pytest.mark.parametrize("n", [1, 2, 3, 50, 1000, 2**20 + 3])
def test_permutation_has_every_index_once(n):
    drawn = np.asarray(permutation(jax.random.key(n), n))
    assert drawn.dtype == np.int32
    np.testing.assert_array_equal(np.sort(drawn), np.arange(n))


def test_permutations_are_uniform():
    """All 120 orders of 5, 60,000 draws: chi-squared with 119 degrees of freedom, 8 sigma."""
    draws = jax.vmap(lambda key: permutation(key, 5))(jax.random.split(jax.random.key(0), 60_000))
    codes, counts = np.unique(np.asarray(draws) @ 5 ** np.arange(5), return_counts=True)
    assert len(codes) == 120
    chi_squared = np.sum((counts - 500) ** 2 / 500)
    assert abs(chi_squared - 119) < 8 * np.sqrt(2 * 119)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_is_an_error(problem, batch_size):
    step = train.make_step(problem.loss, problem.optimizer)
    with pytest.raises(ValueError, match=f"batch_size must be at least 1, got {batch_size}"):
        train.make_epoch(step, batch_size)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        train.make_eval(problem.loss, batch_size)


@pytest.mark.parametrize("batch_size", [2.0, True, "32", None])
def test_a_batch_size_that_is_no_int_is_an_error(problem, batch_size):
    step = train.make_step(problem.loss, problem.optimizer)
    with pytest.raises(TypeError, match="batch_size must be an int"):
        train.make_epoch(step, batch_size)


def test_a_batch_larger_than_the_data_is_an_error(problem):
    epoch = train.make_epoch(train.make_step(problem.loss, problem.optimizer), 51)
    with pytest.raises(ValueError, match=r"batch_size 51 is larger than the data \(50 examples\)"):
        epoch(problem.state, problem.data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((0, 4)), np.zeros(0, int)), "the data is empty"),
        ((np.zeros((3, 4)), np.zeros(2, int)), r"data\[0\] has 3, data\[1\] has 2"),
        ({"x": np.float32(1)}, r"data\['x'\] is a scalar"),
        ((), "has no arrays"),
    ],
)
def test_data_that_cannot_be_counted_is_an_error(data, message):
    with pytest.raises(ValueError, match=message):
        count_examples(data)


def test_a_metric_named_loss_is_an_error(problem):
    def loss(params, state, batch, key):
        return jnp.sum(params[0]["bias"]), (state, {"loss": jnp.float32(0)})

    with pytest.raises(ValueError, match='the metric "loss" is the loss itself'):
        train.make_step(loss, problem.optimizer)(problem.state, problem.data)
