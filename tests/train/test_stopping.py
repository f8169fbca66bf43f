"""When training ends, which epoch is returned, and what is written of it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import data, losses, nn, optim, train

from .test_epoch import assert_same_bits
from .test_fit import fit


@pytest.fixture
def overfitting(problem):
    """Validation labels that contradict what is learned: their loss falls, then rises."""
    x, y = problem.data
    return (x[:20], (y[:20] + (np.arange(20) < 7)) % 3)


def test_early_stopping_returns_the_best_epoch(problem, overfitting):
    best = train.lowest("validation_loss")
    stop = train.early_stopping(best, patience=3)
    state, history = fit(problem, epochs=100, validation=overfitting, stop=stop, keep=best)
    at = int(np.argmin(history["validation_loss"]))
    assert len(history["epoch"]) == at + 1 + 3 < 100
    assert int(state.step) == history["step"][at]
    assert_same_bits(state, fit(problem, epochs=at + 1)[0])
    measured = train.make_eval(problem.loss, 20)(state.params, state.state, overfitting)
    assert float(measured["loss"]) == pytest.approx(history["validation_loss"][at], rel=1e-6)


def test_without_keep_it_returns_the_last_epoch(problem, overfitting):
    stop = train.early_stopping(train.lowest("validation_loss"), patience=3)
    state, history = fit(problem, epochs=100, validation=overfitting, stop=stop)
    assert int(state.step) == history["step"][-1]


def test_a_target_ends_training(problem):
    stop = train.reached(train.highest("accuracy"), 0.9)
    _, history = fit(problem, epochs=100, stop=stop)
    assert (history["accuracy"] >= 0.9).tolist() == [False] * (len(history["epoch"]) - 1) + [True]


def test_several_and_any_function_of_the_history(problem):
    never = train.reached(train.lowest("loss"), -1.0)
    third = lambda history: "enough" if len(history["epoch"]) == 3 else None
    _, history = fit(problem, epochs=100, stop=[never, third])
    assert len(history["epoch"]) == 3


def test_why_it_ended_is_said_beside_the_bar(problem, capsys):
    fit(problem, epochs=100, stop=lambda history: "enough", progress=True)
    assert "enough: training ended after epoch 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "patience", "min_delta", "ends"),
    [
        ([3, 2, 1, 0], 1, 0.0, None),
        ([3, 3], 1, 0.0, 2),
        ([3, 2.95, 2.9, 2.85], 2, 0.1, 3),
        ([3, 2.95, 2.85, 2.84], 2, 0.1, None),
        ([np.nan, np.nan, 5], 3, 0.0, None),
        ([np.nan, np.nan, np.nan], 3, 0.0, 3),
        ([1, np.nan, 0.5, 2, 3], 2, 0.0, 5),
    ],
)
@pytest.mark.parametrize("measure", [train.lowest, train.highest])
def test_patience(values, patience, min_delta, ends, measure):
    stop = train.early_stopping(measure("m"), patience, min_delta)
    sign = 1 if measure is train.lowest else -1
    reasons = [stop({"m": sign * np.array(values[: i + 1])}) for i in range(len(values))]
    ended = [i + 1 for i, reason in enumerate(reasons) if reason]
    assert ended[:1] == ([] if ends is None else [ends])


def test_what_cannot_be_meant(problem):
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        train.early_stopping(train.lowest("loss"), 0)
    with pytest.raises(ValueError, match="min_delta must be at least 0, got nan"):
        train.early_stopping(train.lowest("loss"), 1, np.nan)
    stop = train.early_stopping(train.lowest("validation_loss"), 1)
    message = "the history has no column 'validation_loss': it has epoch, step, loss, accuracy"
    with pytest.raises(train.TrainingFailed, match=message) as caught:
        fit(problem, stop=stop)
    assert int(caught.value.state.step) == 7
    with pytest.raises(train.TrainingFailed, match="no column 'f1'"):
        fit(problem, keep=train.highest("f1"))


def test_an_error_of_a_function_given_loses_nothing(problem):
    def stop(history):
        if len(history["epoch"]) == 2:
            raise KeyError("mine")

    with pytest.raises(train.TrainingFailed, match="KeyError in epoch 3: 'mine'") as caught:
        fit(problem, stop=stop)
    assert isinstance(caught.value.__cause__, KeyError)
    assert_same_bits(caught.value.state, fit(problem, epochs=2)[0])
    assert caught.value.history["epoch"].tolist() == [1, 2]


def test_test_data_is_measured_once_with_what_is_returned(problem, overfitting):
    best = train.lowest("validation_loss")
    state, history = fit(problem, epochs=30, validation=overfitting, test=problem.data, keep=best)
    assert history["test_loss"].shape == history["test_accuracy"].shape == ()
    measured = train.make_eval(problem.loss, 50)(state.params, state.state, problem.data)
    assert float(history["test_loss"]) == pytest.approx(float(measured["loss"]), rel=1e-5)


def test_averaged_parameters_can_be_what_is_measured(problem):
    optimizer = optim.chain(problem.optimizer, optim.params_ema(0.9))
    state = problem.state._replace(opt_state=optimizer.init(problem.state.params))
    average = lambda state: state.opt_state[-1].average
    state, history = fit(
        problem,
        optimizer=optimizer,
        state=state,
        validation=problem.data,
        measured_params=average,
    )
    evaluate = train.make_eval(problem.loss, 50)
    averaged = float(evaluate(average(state), state.state, problem.data)["loss"])
    last = float(evaluate(state.params, state.state, problem.data)["loss"])
    assert history["validation_loss"][-1] == pytest.approx(averaged, rel=1e-5)
    assert abs(averaged - last) > 1e-3


# --- the history on the disk ----------------------------------------------------------------------


def test_the_log_is_the_history(problem, tmp_path):
    path = tmp_path / "runs" / "history.jsonl"
    _, history = fit(problem, validation=problem.data, test=problem.data, log=path)
    read = train.read_history(path)
    assert list(read) == list(history)
    for name in history:
        np.testing.assert_array_equal(read[name], history[name])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row.get("epoch") for row in rows] == [1, 2, 3, 4, None]


def test_a_line_that_was_cut_off_is_left_out(problem, tmp_path):
    path = tmp_path / "history.jsonl"
    fit(problem, log=path)
    whole = path.read_text()
    path.write_text(whole[:-10])
    assert train.read_history(path)["epoch"].tolist() == [1, 2, 3]
    path.write_text("not JSON\n" + whole)
    with pytest.raises(ValueError, match=r"history.jsonl, line 1: expected a JSON object"):
        train.read_history(path)


# --- gradients of a batch in parts ---------------------------------------------------------------


@pytest.mark.parametrize("grad", [funcnn.value_and_grad, jax.value_and_grad])
def test_a_batch_in_parts_trains_the_same(problem, grad):
    """The smaller last batch, of 2, is cut in 2, since 4 does not divide it."""
    state, history = fit(problem, batch_size=16, grad=grad)
    in_parts, by_parts = fit(problem, batch_size=16, grad=train.accumulated(grad, 4))
    for one, other in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(in_parts.params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(by_parts["loss"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(by_parts["accuracy"], history["accuracy"], rtol=1e-5)


def test_parts_take_less_memory(as_for_users):
    x, y = np.zeros((256, 64), np.float32), np.zeros((256, 1), np.float32)
    model, optimizer = nn.serial(nn.dense(512), jnp.tanh, nn.dense(1)), optim.sgd(0.1)
    loss = train.supervised(model, losses.squared_error)
    state = train.init(jax.random.key(0), model, optimizer, x)

    def temporary(grad):
        step = jax.jit(train.make_step(loss, optimizer, grad))
        compiled = step.lower(state, (x, y)).compile(as_for_users)
        return compiled.memory_analysis().temp_size_in_bytes

    whole = temporary(funcnn.value_and_grad)
    assert temporary(train.accumulated(funcnn.value_and_grad, 8)) < 0.6 * whole


def test_each_part_has_its_own_key_and_the_next_one_s_state():
    def loss(params, state, batch, key):
        return params * jax.random.uniform(key), (
            state + len(batch),
            {"n": jnp.float32(len(batch))},
        )

    grad = train.accumulated(funcnn.value_and_grad, 3)(loss, has_aux=True)
    (_, (state, metrics)), gradient = grad(1.0, 0, jnp.zeros(6), jax.random.key(5))
    expected = np.mean(
        [jax.random.uniform(jax.random.fold_in(jax.random.key(5), i)) for i in range(3)]
    )
    assert float(gradient) == pytest.approx(expected, rel=1e-6)
    assert (int(state), float(metrics["n"])) == (6, 2.0)


def test_streams_in_parts(problem):
    source = data.batches(problem.data, 16)
    run = lambda grad: train.fit(
        problem.loss, problem.optimizer, problem.state, source, epochs=2, grad=grad, progress=False
    )
    _, history = run(funcnn.value_and_grad)
    _, in_parts = run(train.accumulated(funcnn.value_and_grad, 2))
    np.testing.assert_allclose(in_parts["loss"], history["loss"], rtol=1e-5)
