"""Metrics, held against scikit-learn."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from funcnn import metrics


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 7, 50]), st.sampled_from([1, 2, 5]), st.integers(0, 2**31))
def test_accuracy_as_scikit_learn(n, classes, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (n, classes)).astype(np.float32)  # many ties
    labels = rng.integers(0, classes, n)
    expected = accuracy_score(labels, scores.argmax(-1))
    for ours in (metrics.accuracy(scores, labels), metrics.accuracy(scores.argmax(-1), labels)):
        assert ours.dtype == jnp.float32
        assert ours.shape == ()
        assert float(ours) == pytest.approx(expected, abs=1e-6)
    assert float(jax.jit(metrics.accuracy)(scores, labels)) == pytest.approx(expected, abs=1e-6)


def test_the_first_of_equal_scores_is_the_prediction():
    scores = jnp.array([[0.5, 0.5], [0.0, -0.0], [jnp.inf, jnp.inf]])
    assert metrics.accuracy(scores, jnp.array([0, 0, 0])) == 1
    assert metrics.accuracy(scores, jnp.array([1, 1, 1])) == 0


def test_a_nan_predicts_nothing():
    scores = jnp.array([[jnp.nan, 1.0], [jnp.nan, jnp.nan], [0.0, 1.0], [0.0, jnp.nan]])
    assert metrics.accuracy(scores, jnp.array([0, 0, 1, 1])) == 0.25


def test_a_label_that_is_no_class_is_never_correct():
    assert metrics.accuracy(jnp.ones((4, 2)), jnp.array([-1, 2, -2, 0])) == 0.25


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
def test_the_mean_is_float32_whatever_the_scores(dtype):
    with jax.enable_x64(True):
        scores = jnp.tile(jnp.array([[1, 0]], dtype), (3001, 1))
        accuracy = metrics.accuracy(scores, np.arange(3001) % 3)
    assert accuracy.dtype == jnp.float32
    assert float(accuracy) == pytest.approx(1001 / 3001, rel=1e-6)


def test_more_axes_are_more_examples():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(4, 5, 3)), rng.integers(0, 3, (4, 5))
    expected = accuracy_score(labels.ravel(), scores.reshape(20, 3).argmax(-1))
    assert float(metrics.accuracy(scores, labels)) == pytest.approx(expected)
    assert metrics.accuracy(jnp.array([0.0, 1.0]), 1) == 1


@pytest.mark.parametrize(
    ("predictions", "labels", "error", "message"),
    [
        (
            np.ones((4, 2)),
            np.ones(4),
            TypeError,
            "labels of an integer dtype (class numbers), got f",
        ),
        (np.ones((4, 2)), np.ones((4, 2)), TypeError, "labels.argmax(-1) for one-hot labels"),
        (np.ones((4, 2)), np.ones(4, bool), TypeError, "got bool of shape (4,)"),
        (np.ones(4, bool), np.ones(4, int), TypeError, "expected predictions of a floating dtype"),
        (np.ones((4, 2)), np.ones((4, 1), int), ValueError, "(4, 2), got labels (4, 1)"),
        (
            np.ones(4),
            np.ones(4, int),
            ValueError,
            "the scores (..., classes) = (4,), got labels (4,)",
        ),
        (np.ones((4, 2), int), np.ones(4, int), ValueError, "predictions (4, 2), got labels (4,)"),
        (
            np.ones((4, 0)),
            np.ones(4, int),
            ValueError,
            "expected scores (..., classes), got (4, 0)",
        ),
        (np.float32(1), np.int32(1), ValueError, "expected scores (..., classes), got ()"),
        (np.ones((0, 2)), np.ones(0, int), ValueError, "at least one example, got labels (0,)"),
    ],
)
def test_bad_input(predictions, labels, error, message):
    for run in (metrics.accuracy, jax.jit(metrics.accuracy)):
        with pytest.raises(error, match=re.escape(message)):
            run(predictions, labels)
