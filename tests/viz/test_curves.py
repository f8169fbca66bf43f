"""The curves of training: what is drawn, and where it is marked."""

import numpy as np
import optax
import pytest

from funcnn import optim, train, viz
from funcnn.train.lr_find import judged

HISTORY = {
    "epoch": np.array([1, 2, 3, 4]),
    "step": np.array([10, 20, 30, 40]),
    "loss": np.array([4.0, 2.0, 1.0, 0.1]),
    "validation_loss": np.array([3.0, 1.5, 1.25, 2.0]),
    "test_loss": np.array(1.75),
    "accuracy": np.array([0.5, 0.6, 0.7, 0.8]),
    "validation_accuracy": np.array([0.5, np.nan, 0.75, 0.7]),
}


def lines(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_history_draws_training_validation_and_test():
    ax = viz.history(HISTORY)
    drawn = lines(ax)
    assert drawn["training (mean over the epoch)"] == [[1, 4], [2, 2], [3, 1], [4, 0.1]]
    assert drawn["validation (after the epoch)"] == [[1, 3], [2, 1.5], [3, 1.25], [4, 2]]
    assert drawn["test (after training)"] == [[4, 1.75]]
    assert [line.get_color() for line in ax.lines[:3]] == ["#0072B2", "#D55E00", "#009E73"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == list(drawn)[:3]


def test_history_is_logarithmic_where_it_spans_much():
    assert viz.history(HISTORY).get_yscale() == "log"
    assert viz.history(HISTORY, "accuracy").get_yscale() == "linear"
    assert viz.history({"loss": [100.0, 0.0]}).get_yscale() == "linear"


@pytest.mark.parametrize(
    ("name", "best", "marked"),
    [
        ("loss", "auto", "best: 1.25 (epoch 3)"),
        ("loss", "highest", "best: 3 (epoch 1)"),
        ("accuracy", "highest", "best: 0.75 (epoch 3)"),
        ("accuracy", "auto", None),
        ("loss", None, None),
    ],
)
def test_the_best_epoch_is_marked(name, best, marked):
    ax = viz.history(HISTORY, name, best=best)
    assert texts(ax) == ([] if marked is None else [marked])
    if marked:
        value, epoch = marked.removeprefix("best: ").removesuffix(")").split(" (epoch ")
        assert ax.texts[0].xy == (float(epoch), float(value))
        assert ax.lines[-1].get_xydata().tolist() == [[float(epoch), float(value)]]


def test_history_without_epochs_counts_from_1():
    ax = viz.history({"error": [3, 2]}, "error")
    assert lines(ax) == {"training (mean over the epoch)": [[1, 3], [2, 2]]}


@pytest.mark.parametrize(
    ("history", "options", "message"),
    [
        (HISTORY, {"name": "f1"}, "no 'f1': it has epoch, step, loss"),
        ({}, {}, "no 'loss': it has nothing"),
        ({"loss": []}, {}, r"expected loss with entries, got none"),
        (
            {"loss": [1.0, 2.0], "validation_loss": [1.0]},
            {},
            r"validation_loss of shape \(2,\), go",
        ),
        (HISTORY, {"best": True}, "expected best='auto', 'lowest', 'highest' or None, got True"),
    ],
)
def test_bad_history(history, options, message):
    with pytest.raises(ValueError, match=message):
        viz.history(history, **options)


def test_schedules_of_every_kind():
    named = {
        "funcnn": optim.cosine_decay_schedule(0.1, 4),
        "optax": optax.linear_schedule(0.1, 0.0, 4),
        "Python": lambda step: 0.1 if step < 2 else 0.01,
        "constant": lambda step: 0.5,
    }
    drawn = lines(viz.schedules(named, 5))
    assert list(drawn) == list(named)
    expected = {
        "funcnn": [0.05 * (1 + np.cos(np.pi * t / 4)) for t in range(5)],
        "optax": [0.1, 0.075, 0.05, 0.025, 0],
        "Python": [0.1, 0.1, 0.01, 0.01, 0.01],
        "constant": [0.5] * 5,
    }
    for name, rates in expected.items():
        np.testing.assert_allclose(drawn[name], np.stack([range(5), rates], 1), atol=1e-7)


@pytest.mark.parametrize(
    ("schedules", "steps", "error", "message"),
    [
        ({}, 5, ValueError, r"expected schedules as \{name: step -> rate\}"),
        ([0.1], 5, ValueError, r"expected schedules as \{name: step -> rate\}"),
        ({"a": 0.1}, 5, TypeError, "schedule 'a' to be a function of the step, got 0.1"),
        ({"a": lambda t: 0.1}, 0, ValueError, "steps of at least 1, got 0"),
        ({"a": lambda t: np.ones(2)}, 3, ValueError, r"rates of 'a' of shape \(3,\), got \(3, 2\)"),
    ],
)
def test_bad_schedules(schedules, steps, error, message):
    with pytest.raises(error, match=message):
        viz.schedules(schedules, steps)


def test_range_test_marks_the_suggestion_and_the_explosion():
    rates, losses = np.geomspace(1e-3, 10, 5), np.array([2.0, 1.5, 1.0, 8.0, np.inf])
    ax = viz.range_test(judged(rates, losses, 0.0))
    minibatch, smoothed, suggested = ax.lines
    np.testing.assert_array_equal(minibatch.get_ydata(), losses)
    np.testing.assert_array_equal(smoothed.get_ydata(), [2.0, 1.5, 1.0, 8.0, np.nan])
    np.testing.assert_allclose(suggested.get_xdata(), rates[2] / 10)
    assert texts(ax) == ["suggested: 0.01", "explodes"]
    np.testing.assert_allclose(ax.texts[1].xy[0], rates[3])
    assert ax.get_xscale() == "log"
    assert 0.5 < ax.get_ylim()[0] < 1 < 2 < ax.get_ylim()[1] < 3  # the explosion is cut off


def test_range_test_without_explosion_and_suggestion():
    rates = np.geomspace(0.01, 1, 3)
    assert texts(viz.range_test(judged(rates, np.array([3.0, 2.0, 1.0]), 0.0))) == [
        "suggested: 0.1"
    ]
    assert texts(viz.range_test(judged(rates, np.array([1.0, 2.0, 3.0]), 0.0))) == ["explodes"]


def test_bad_range_test():
    with pytest.raises(TypeError, match=r"expected the result of train.lr_find, got \{\} without"):
        viz.range_test({})
    with pytest.raises(ValueError, match="no loss of the range test is finite"):
        viz.range_test(train.RangeTest(np.ones(2), np.ones(2), np.full(2, np.nan), 0, np.nan))
