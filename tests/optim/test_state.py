"""The state: named fields, arrays only, and nothing about it changes but its values."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import optim

from .trees import every_kind, gradients_for


def halving(count):
    return 0.5**count  # weakly typed


OPTIMIZERS = {
    "sgd": optim.sgd(0.1),
    "schedule": optim.sgd(halving),
    "momentum": optim.sgd(0.1, 0.9),
    "Nesterov, schedule": optim.sgd(halving, 0.9, True),
    "adam": optim.adam(0.1),
    "adam, schedule": optim.adam(halving),
    "almost adam": optim.adam(0.1, bias_correction=False),
    "scale": optim.scale(-0.1),
    "chain": optim.chain(optim.scale(2.0), optim.adam(halving)),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


WITH_PARAMS = {
    "momentum, steps": optim.momentum(0.1, 0.9, "steps"),
    "momentum, increments": optim.momentum(halving, 0.9, "increments"),
    "Nesterov, shifted": optim.nesterov(halving),
    "adagrad": optim.adagrad(halving),
    "adagrad of deck B": optim.adagrad(0.1, 0.0, eps_in_sqrt=False),
    "rmsprop": optim.rmsprop(0.1),
    "rmsprop, everything": optim.rmsprop(
        halving, 0.9, 1e-6, 0.5, False, True, 0.5, True, bias_correction=True
    ),
    "adadelta": optim.adadelta(halving, weight_decay=0.1),
    "adamw": optim.adamw(halving, weight_decay=halving, mask="layer/kernel"),
    "adamw, no decay": optim.adamw(0.1, weight_decay=0.0),
    "nadam": optim.nadam(0.1),
    "amsgrad": optim.amsgrad(halving),
    "lion": optim.lion(0.1),
    "lamb": optim.lamb(0.1),
    "muon": optim.muon(halving, weight_decay=0.1),
    "schedule_free": optim.schedule_free(optim.adam(0.1, b1=0.0), halving),
    "lookahead": optim.lookahead(optim.sgd(halving, 0.9), 2, 0.5),
    "lookahead, reset": optim.lookahead(optim.adam(0.1), 2, 0.5, True),
    "multi_steps": optim.multi_steps(optim.adam(0.1), 2),
    "multi_steps, sum": optim.multi_steps(optim.sgd(0.1), lambda n: 2 + n % 2, False),
    "skip_not_finite": optim.skip_not_finite(optim.adam(0.1), 3),
    "ema": optim.ema(0.9),
    "params_ema": optim.chain(optim.sgd(0.1), optim.params_ema(0.9)),
    "weight decay": optim.add_decayed_weights(halving, "layer/*"),
    "clip_by_norm": optim.clip_by_norm(1.0),
    "clip_by_global_norm": optim.clip_by_global_norm(1.0),
    "masked": optim.masked(optim.adam(0.1), "pair/**"),
    "freeze": optim.freeze("pair/**"),
    "by_path": optim.by_path({"layer/*": optim.sgd(0.1, 0.9), "**": optim.lion(0.1)}),
    "around optax": optim.skip_not_finite(optim.lookahead(optax.adamw(halving), 2, 0.5), 1),
}


def avals(tree):
    """Structure, shapes, dtypes and weak types."""
    return jax.tree.map(jax.typeof, tree)


def train(optimizer, params, gradients):
    """Params and state after all the steps, under jit."""
    step = jax.jit(optimizer.update)
    state = optimizer.init(params)
    for i in range(5):
        updates, state = step(jax.tree.map(lambda g: g[i], gradients), state, params)  # noqa: B023
        params = optim.apply_updates(params, updates)
    return params, state


@every_optimizer
def test_state_is_arrays_and_stays_as_it_is(optimizer):
    params = every_kind()
    state = optimizer.init(params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(state))
    updates, after = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
    assert avals(after) == avals(state)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(after))
    assert avals(updates) == avals(params)
    assert avals(optim.apply_updates(params, updates)) == avals(params)


@pytest.mark.parametrize("name", WITH_PARAMS)
def test_scan_can_carry_it_and_jit_can_be_given_its_buffers(name):
    """Dtypes and weak types stay, no buffer is there twice, and the state can be saved."""
    optimizer, params = WITH_PARAMS[name], every_kind()
    state = optimizer.init(params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    if name != "around optax":
        assert not any(leaf.weak_type for leaf in jax.tree.leaves(state))

    def step(params, state):
        updates, state = optimizer.update(params, state, params)
        return updates, optim.apply_updates(params, updates), state

    traced = jax.make_jaxpr(step, return_shape=True)
    _, (updates, new_params, after) = traced(params, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
        assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type)
    for tree in (updates, new_params):
        assert jax.tree.structure(tree) == jax.tree.structure(params)
        for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(params), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)

    buffers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((params, state)) if x.size]
    assert len(set(buffers)) == len(buffers)

    stored = pickle.loads(pickle.dumps(jax.tree.map(np.asarray, state)))
    assert jax.tree.structure(stored) == jax.tree.structure(state)


@every_optimizer
def test_state_of_weakly_typed_params_stays_as_it_is(optimizer):
    params = {"array": jnp.asarray(1.0), "number": 1.0, "numpy": np.float32(1.0)}
    assert params["array"].weak_type
    state = optimizer.init(params)
    _, after = optimizer.update(params, state, params)
    assert avals(after) == avals(state)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(after))


@every_optimizer
def test_compiles_once(optimizer):
    traces = 0

    @jax.jit
    def step(params, state, gradients):
        nonlocal traces
        traces += 1
        updates, state = optimizer.update(gradients, state, params)
        return optim.apply_updates(params, updates), state

    params = every_kind()
    state = optimizer.init(params)
    for _ in range(5):
        params, state = step(params, state, params)
    assert traces == 1


@every_optimizer
def test_scan_carries_it(optimizer):
    params = every_kind()
    gradients = gradients_for(params, 5)

    def step(carry, gradients):
        params, state = carry
        updates, state = optimizer.update(gradients, state, params)
        return (optim.apply_updates(params, updates), state), None

    start = (params, optimizer.init(params))
    carried, _ = jax.lax.scan(step, start, gradients)
    assert avals(carried) == avals(start)
    looped = train(optimizer, params, gradients)
    for a, b in zip(jax.tree.leaves(carried), jax.tree.leaves(looped), strict=True):
        exact = np.complex128 if jnp.iscomplexobj(a) else np.float64
        tolerance = 2**-7 if a.dtype == jnp.bfloat16 else 1e-5
        np.testing.assert_allclose(
            np.asarray(a, exact), np.asarray(b, exact), rtol=tolerance, atol=1e-6
        )


@every_optimizer
def test_donation(optimizer):
    """Params and state can be donated: no buffer is in them twice, or belongs to someone else."""

    def step(params, state):
        updates, state = optimizer.update(params, state, params)
        return optim.apply_updates(params, updates), state

    step = jax.jit(step, donate_argnums=(0, 1))
    params = every_kind()
    state = optimizer.init(params)
    old = jax.tree.leaves((params, state))
    for _ in range(3):
        params, state = step(params, state)
    assert any(leaf.is_deleted() for leaf in old)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((params, state)))


def test_donation_leaves_the_schedules_array_alone():
    rate = jnp.float32(0.5)
    optimizer = optim.sgd(lambda count: rate)
    gradient = jnp.ones(2)

    def epoch(state):
        step = lambda state, _: (optimizer.update(gradient, state)[1], None)
        return jax.lax.scan(step, state, length=3)[0]

    epoch = jax.jit(epoch, donate_argnums=0)
    state = optimizer.init(gradient)
    for _ in range(2):
        before, state = state, epoch(state)
        assert before.learning_rate.is_deleted()
        _, state = optimizer.update(gradient, state)
    assert float(rate) == 0.5


@every_optimizer
def test_deterministic_bit_for_bit(optimizer):
    params = every_kind()
    gradients = gradients_for(params, 5)
    first, second = (train(optimizer, params, gradients) for _ in range(2))
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert a.tobytes() == b.tobytes()


@every_optimizer
def test_resumes_bit_for_bit_from_a_saved_state(optimizer):
    params = every_kind()
    gradients = gradients_for(params, 5)
    params, state = train(optimizer, params, gradients)
    stored = pickle.loads(pickle.dumps(jax.tree.map(np.asarray, (params, state))))

    def go_on(params, state):
        return jax.jit(optimizer.update)(jax.tree.map(jnp.ones_like, params), state, params)

    assert type(stored[1]) is type(state)
    for a, b in zip(
        jax.tree.leaves(go_on(params, state)), jax.tree.leaves(go_on(*stored)), strict=True
    ):
        assert a.tobytes() == b.tobytes()


def test_jaxpr_is_the_same_each_time():
    """Else the compilation cache would miss."""
    params = every_kind()
    optimizer = optim.adam(halving)
    first, second = (
        str(jax.make_jaxpr(optimizer.update)(params, optimizer.init(params))) for _ in range(2)
    )
    assert first == second


def test_fields():
    params = {"w": jnp.ones((2, 3)), "z": jnp.ones(2, jnp.complex64), "none": None}
    state = optim.sgd(0.1).init(params)
    assert (state.velocity, state.count) == (None, None)
    assert optim.sgd(0.1, 0.9).init(params).velocity["w"].shape == (2, 3)

    state = optim.adam(0.1, mu_dtype=jnp.bfloat16).init({"w": params["w"], "none": None})
    assert avals(state.mu) == {"w": jax.typeof(jnp.ones((2, 3), jnp.bfloat16)), "none": None}
    assert avals(state.nu) == {"w": jax.typeof(jnp.ones((2, 3))), "none": None}
    state = optim.adam(0.1).init(params)
    assert (state.mu["z"].dtype, state.nu["z"].dtype) == (jnp.complex64, jnp.float32)
    assert avals(state.count) == jax.typeof(jnp.int32(0))


def test_float64_is_kept():
    with jax.enable_x64(True):
        params = {"double": jnp.ones((2, 2)), "single": jnp.ones(2, jnp.float32)}
        optimizer = optim.adam(halving)
        state = optimizer.init(params)
        assert state.learning_rate.dtype == jnp.float64
        updates, after = optimizer.update(params, state, params)
        assert avals(after) == avals(state)
        assert avals(updates) == avals(params)
        for name, optimizer in WITH_PARAMS.items():
            if name in ("adamw", "weight decay", "masked", "freeze", "by_path", "around optax"):
                continue  # their paths are of other params
            state = optimizer.init(params)
            updates, after = jax.eval_shape(optimizer.update, params, state, params)
            dtypes = lambda tree: [x.dtype for x in jax.tree.leaves(tree)]
            assert dtypes(updates) == dtypes(params), name
            assert dtypes(after) == dtypes(state), name


@pytest.mark.parametrize("make", [optim.sgd, optim.adam])
def test_learning_rate_in_the_state(make):
    """The rate of the latest update; before the first, the rate that it will have."""
    for rate, expected in [(0.25, [0.25] * 4), (halving, [1.0, 1.0, 0.5, 0.25])]:
        optimizer = make(rate)
        state = optimizer.init(jnp.ones(2))
        seen = [float(state.learning_rate)]
        for _ in range(3):
            _, state = optimizer.update(jnp.ones(2), state)
            seen.append(float(state.learning_rate))
        assert seen == expected


def test_schedule_gets_the_count_before_the_update():
    optimizer = optim.sgd(lambda count: count)  # integers are rates as well
    state, updates = optimizer.init(jnp.ones(1)), []
    for _ in range(3):
        update, state = optimizer.update(jnp.ones(1), state)
        updates.append(float(update[0]))
    assert updates == [0.0, -1.0, -2.0]
    assert int(state.count) == 3


def test_count_stops_at_the_largest_integer():
    optimizer = optim.adam(0.5)
    largest = jnp.array(2**31 - 1, jnp.int32)
    state = optimizer.init(jnp.ones(1))._replace(count=largest - 1)
    for _ in range(2):
        updates, state = optimizer.update(jnp.ones(1), state)
        assert int(state.count) == 2**31 - 1
        assert np.all(np.isfinite(updates))
