"""`fit` on a source of batches: the numbers of steps by hand; nothing lost when it goes wrong."""

import itertools
import re
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import data, losses, nn, optim, train
from funcnn.train.prefetch import prefetched

from .test_epoch import assert_same_bits


def fit(problem, source, **changes):
    arguments = {"epochs": 3, "progress": False} | changes
    state = arguments.pop("state", problem.state)
    return train.fit(problem.loss, problem.optimizer, state, source, **arguments)


def test_it_is_the_steps_one_after_another(problem):
    source = data.batches(problem.data, 8, seed=3)
    state, history = fit(problem, source, validation=data.batches(problem.data, 20, seed=None))
    step = jax.jit(train.make_step(problem.loss, problem.optimizer))
    by_hand, means = problem.state, []
    for epoch in (1, 2, 3):
        values = []
        for batch in source(epoch):
            by_hand, metrics = step(by_hand, batch)
            values += [float(metrics["loss"])] * len(batch[1])
        means.append(np.mean(values))
    # compiled with a guard around it the step may round otherwise
    for one, other in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(by_hand.params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(history["loss"], means, rtol=1e-5)
    assert history["step"].tolist() == [7, 14, 21]
    measured = train.make_eval(problem.loss, 50)(state.params, state.state, problem.data)
    assert history["validation_loss"][-1] == pytest.approx(float(measured["loss"]), rel=1e-5)


def test_the_state_given_stays_valid_and_runs_repeat_themselves(problem):
    source = data.batches(problem.data, 8)
    before = jax.tree.map(jnp.copy, problem.state)
    one, _ = fit(problem, source)
    assert_same_bits(before, problem.state)
    again, _ = fit(problem, source)
    assert_same_bits(one, again)


def test_memory_maps_give_what_arrays_give(problem, tmp_path):
    maps = []
    for name, array in zip("xy", problem.data, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
        maps.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    one, _ = fit(problem, data.batches(tuple(maps), 8))
    assert_same_bits(one, fit(problem, data.batches(problem.data, 8))[0])


def test_anything_that_can_be_iterated_is_a_source(problem):
    class Loader:  # as of grain or PyTorch: no sequence, iterated anew each epoch
        def __len__(self):
            return 6

        def __iter__(self):
            x, y = problem.data
            return ((x[i : i + 8], y[i : i + 8]) for i in range(0, 48, 8))

    one, history = fit(problem, Loader())
    assert history["step"].tolist() == [6, 12, 18]
    # without an end, in epochs of so many steps
    endless = itertools.cycle(Loader())
    assert_same_bits(one, fit(problem, endless, steps_per_epoch=6)[0])
    # an end elsewhere
    assert_same_bits(one, fit(problem, Loader(), steps_per_epoch=9, epochs=2)[0])


def test_arrays_of_other_libraries(problem):
    """What has `__array__`, as PyTorch's tensors do."""

    class Tensor:
        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.values, dtype)

    source = data.batches(problem.data, 8)
    foreign = lambda epoch: ([Tensor(x), Tensor(y)] for x, y in source(epoch))
    assert_same_bits(fit(problem, foreign)[0], fit(problem, source)[0])


def test_each_process_draws_its_own_part(problem):
    parts = [data.batches(problem.data[1], 5, seed=1, process=(i, 2))(4) for i in range(2)]
    drawn = np.concatenate([batch for part in parts for batch in part])
    np.testing.assert_array_equal(np.sort(drawn), np.sort(problem.data[1]))
    assert [len(part) for part in parts] == [5, 5]


def test_randomness_of_the_model_is_that_of_the_step(problem):
    """Dropout and running statistics go through a stream as through arrays on the device."""
    model = nn.serial(nn.dense(8), nn.batch_norm(), jax.nn.relu, nn.dropout(0.5), nn.dense(3))
    loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    start = train.init(jax.random.key(1), model, problem.optimizer, problem.data[0])
    whole = lambda epoch: [problem.data]
    streamed, _ = train.fit(loss, problem.optimizer, start, whole, epochs=4)
    step = jax.jit(train.make_step(loss, problem.optimizer))
    by_hand = start
    for _ in range(4):
        by_hand, _ = step(by_hand, problem.data)
    for one, other in zip(
        jax.tree.leaves(streamed.state), jax.tree.leaves(by_hand.state), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


# --- what goes wrong ------------------------------------------------------------------------------


def sixth_of_epoch_2_is(problem, change):
    """Batches of which the sixth of the second epoch is changed."""

    def source(epoch):
        for i, batch in enumerate(data.batches(problem.data, 8)(epoch), 1):
            yield change(batch) if (epoch, i) == (2, 6) else batch

    return source


def fail(batch):
    raise OSError("the disk is gone")


def with_nan(batch):
    x, y = batch
    x = x.copy()
    x[3, 1] = np.nan
    return x, y


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fail, "the data source raised OSError in epoch 2: the disk is gone"),
        (
            lambda batch: (batch[0][:, :3], batch[1]),
            "batch 6 of epoch 2: data[0] is float32[8, 3], and in the first batch it was "
            "float32[8, 4]",
        ),
        (
            lambda batch: (batch[0].astype(np.float16), batch[1]),
            "batch 6 of epoch 2: data[0] is float16[8, 4]",
        ),
        (lambda batch: (batch[0], batch[1][:5]), "data[0] has 8, data[1] has 5"),
        (lambda batch: batch[0], "batch 6 of epoch 2: expected PyTreeDef((*, *))"),
        (with_nan, "batch 6 of epoch 2: data[0][3, 1] is nan, and 1 of 32 values"),
    ],
)
def test_a_bad_batch_ends_training_with_the_last_good_state(problem, change, message):
    source = sixth_of_epoch_2_is(problem, change)
    with pytest.raises(train.TrainingFailed, match=re.escape(message)) as caught:
        fit(problem, source)
    assert caught.value.history["epoch"].tolist() == [1]
    assert int(caught.value.state.step) == 7 + 5
    twelve = lambda epoch: itertools.islice(
        data.batches(problem.data, 8)(epoch), 7 if epoch == 1 else 5
    )
    assert_same_bits(caught.value.state, fit(problem, twelve, epochs=2)[0])


def test_a_source_that_ends_early(problem):
    class Short:
        def __len__(self):
            return 9

        def __iter__(self):
            return iter(data.batches(problem.data, 8)(1))

    with pytest.raises(
        train.TrainingFailed, match="ended after 7 batches, and its length is 9"
    ) as caught:
        fit(problem, Short())
    assert int(caught.value.state.step) == 7
    once = iter(data.batches(problem.data, 8)(1))
    with pytest.raises(train.TrainingFailed, match="ended in epoch 2, 1 steps before steps_per_ep"):
        fit(problem, once, steps_per_epoch=4)
    once = iter(data.batches(problem.data, 8)(1))
    with pytest.raises(train.TrainingFailed, match="no batch came in epoch 2") as caught:
        fit(problem, once)
    assert caught.value.history["epoch"].tolist() == [1]


def test_a_step_that_turns_nan_is_found_and_the_state_before_it_returned(problem):
    """The batches are finite; what the loss makes of one of them is not."""

    def loss(params, state, batch, key):
        value, extra = problem.loss(params, state, batch, key)
        return value + jnp.sum(jnp.where(batch[0] > 1e36, jnp.nan, 0.0)), extra

    huge = sixth_of_epoch_2_is(problem, lambda batch: (np.full_like(batch[0], 1e37), batch[1]))
    with pytest.warns(train.NonFinite, match="the loss is nan in epoch 2, step 6") as caught:
        state, history = train.fit(loss, problem.optimizer, problem.state, huge, epochs=3)
    assert caught[0].message.step == 6
    assert history["epoch"].tolist() == [1]
    assert int(state.step) == 12
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_what_the_loss_cannot_take_is_found_in_the_first_batch(problem):
    x, y = problem.data
    with pytest.raises(ValueError, match=r"labels\[2\] is 7, expected 0..2") as caught:
        fit(problem, lambda epoch: [(x[:3], np.array([0, 1, 7], np.int32))])
    assert caught.value.__notes__ == ["while checking the argument 'data'"]
    with pytest.raises(ValueError, match=r"data\[0\]\[0, 0\] is nan"):
        fit(problem, lambda epoch: [(np.full_like(x, np.nan), y)])
    with pytest.raises(ValueError, match="leave out batch_size"):
        fit(problem, data.batches(problem.data, 8), batch_size=8)
    with pytest.raises(ValueError, match="steps_per_epoch is for a source"):
        fit(problem, problem.data, batch_size=8, steps_per_epoch=3)


@pytest.mark.parametrize("streamed", [True, False])
def test_memory_that_does_not_suffice(problem, streamed):
    """Terabytes, which no machine gives: the error says how many, and for which batch size."""

    def hungry(params, state, batch, key):
        value, extra = problem.loss(params, state, batch, key)
        row = jnp.arange(2.0**42, dtype=jnp.float32)
        return value + jnp.sort(batch[0][:, :1] * row, axis=1).sum(), extra

    source = data.batches(problem.data, 8) if streamed else problem.data
    size = {} if streamed else {"batch_size": 8}
    message = (
        r"out of memory with batch_size 8: a step takes 1\d\d,\d\d\d,\d\d\d,\d\d\d,\d\d\d bytes"
    )
    with pytest.raises(train.TrainingFailed, match=message) as caught:
        train.fit(hungry, problem.optimizer, problem.state, source, epochs=1, **size)
    assert_same_bits(caught.value.state, problem.state)


def test_a_validation_source_that_fails_names_itself(problem):
    source = data.batches(problem.data, 8)
    with pytest.raises(
        train.TrainingFailed, match="validation: no batch came in epoch 2"
    ) as caught:
        fit(problem, source, validation=iter(source(1)))
    assert int(caught.value.state.step) == 14


# --- the thread that draws ------------------------------------------------------------------------


def test_drawing_goes_on_while_the_batch_is_worked_on():
    """The third is drawn before the first is given back: without a clock, by events."""
    drawn = [threading.Event() for _ in range(3)]

    def source():
        for i, event in enumerate(drawn):
            event.set()
            yield i

    ahead = prefetched(source(), lambda i: i)
    assert next(ahead) == 0
    assert drawn[2].wait(10)
    assert list(ahead) == [1, 2]


def test_no_more_is_drawn_once_nobody_listens():
    count = itertools.count()
    ahead = prefetched(count, lambda i: i)
    assert next(ahead) == 0
    ahead.close()
    time.sleep(0.05)
    stopped = next(count)
    time.sleep(0.05)
    assert next(count) == stopped + 1
    assert stopped <= 4


def test_an_optimizer_with_keys_in_its_state(problem):
    optimizer = optax.chain(optax.add_noise(0.01, 0.55, jax.random.key(3)), optim.sgd(0.1))
    state = problem.state._replace(opt_state=optimizer.init(problem.state.params))
    trained, _ = train.fit(
        problem.loss, optimizer, state, data.batches(problem.data, 8), epochs=1, progress=False
    )
    assert int(trained.step) == 7
