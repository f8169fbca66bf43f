"""The ROC curve and its area, held against scikit-learn."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from funcnn import metrics

AREA = jax.jit(metrics.roc_auc)


@jax.jit
def all_three(scores, labels, weights):
    histogram = metrics.score_histogram(scores, labels, 1000, weights)
    return (
        metrics.roc_curve(scores, labels, weights),
        metrics.roc_auc(scores, labels, weights),
        metrics.roc_auc_from_histogram(histogram),
    )


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([2, 5, 60]),
    st.sampled_from([1, 3, 1000]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_as_scikit_learn(n, levels, weighted, seed):
    """With few levels there are many ties; with one, nothing but a tie."""
    rng = np.random.default_rng(seed)
    # in the middle of a bin each: at its edge rounding may put a score into the one below
    scores = (rng.integers(0, levels, n).astype(np.float32) + 0.5) / levels
    labels = np.append(rng.integers(0, 2, n - 2), [0, 1])
    weights = rng.integers(1, 4, n).astype(np.float32) if weighted else np.ones(n, np.float32)
    (fpr, tpr, thresholds), *areas = all_three(scores, labels, weights)
    theirs = sklearn.roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    # one point a threshold, inf included
    _, first = np.unique(-np.asarray(thresholds), return_index=True)
    for a, b in zip((fpr, tpr, thresholds), theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a)[first], b, atol=1e-6)
    area = sklearn.roc_auc_score(labels, scores, sample_weight=weights)
    np.testing.assert_allclose(areas, area, atol=1e-6)


def test_the_area_counts_ordered_pairs():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 50) / 5, rng.integers(0, 2, 50)
    positive, negative = scores[labels == 1][:, None], scores[labels == 0]
    expected = np.mean((positive > negative) + 0.5 * (positive == negative))
    assert float(AREA(scores, labels)) == pytest.approx(expected, abs=1e-6)
    assert float(AREA(-scores, labels)) == pytest.approx(1 - expected, abs=1e-6)
    assert float(AREA(scores, labels == 1)) == pytest.approx(expected, abs=1e-6)


def test_large_counts_keep_their_digits():
    """200,000 examples, whose pairs are more than 32 bits count."""
    n = 100_000
    scores = jnp.arange(2 * n, dtype=jnp.float32)
    labels = jnp.stack([jnp.arange(2 * n) >= n, jnp.arange(2 * n) % 2 == 1])
    areas = jax.jit(jax.vmap(metrics.roc_auc, (None, 0)))(scores, labels)
    np.testing.assert_allclose(areas, [1, 0.5], atol=1e-4)
    assert float(areas[0]) == pytest.approx(1, abs=1e-6)


def test_streamed_by_a_histogram():
    """The area of bins is off by at most half the pairs that share one."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (8, 50))
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)

    @jax.jit
    def total(scores, labels):
        def add(counts, batch):
            return counts + metrics.score_histogram(*batch, 20), None

        return jax.lax.scan(add, jnp.zeros((2, 20), int), (scores, labels))[0]

    counts = total(scores, labels)
    np.testing.assert_array_equal(
        counts, metrics.score_histogram(scores.ravel(), labels.ravel(), 20)
    )
    np.testing.assert_array_equal(
        counts[1], np.histogram(scores[labels == 1], bins=20, range=(0, 1))[0]
    )
    exact = sklearn.roc_auc_score(labels.ravel(), scores.ravel())
    negatives, positives = np.asarray(counts, float)
    bound = 0.5 * (negatives * positives).sum() / (negatives.sum() * positives.sum())
    assert abs(float(metrics.roc_auc_from_histogram(counts)) - exact) < bound < 0.06
    fpr, tpr, thresholds = metrics.roc_curve_from_histogram(counts)
    for i in (1, 7, 20):
        above = scores >= float(thresholds[i]) - 1e-6
        assert float(fpr[i]) == pytest.approx(above[labels == 0].mean(), abs=1e-6)
        assert float(tpr[i]) == pytest.approx(above[labels == 1].mean(), abs=1e-6)


def test_one_class_each_against_the_others():
    rng = np.random.default_rng(0)
    p, labels = rng.dirichlet(np.ones(3), 40), np.arange(40) % 3
    areas = jax.jit(jax.vmap(metrics.roc_auc, in_axes=1))(p, np.eye(3, dtype=int)[labels])
    theirs = sklearn.roc_auc_score(labels, p, multi_class="ovr", average=None)
    np.testing.assert_allclose(areas, theirs, atol=1e-6)


def test_nothing_to_count():
    assert np.isnan(AREA(jnp.ones(3), jnp.ones(3, int)))
    assert np.isnan(AREA(jnp.array([1.0, jnp.nan, 0.0]), jnp.array([0, 1, 1])))
    assert np.isnan(AREA(jnp.array([1.0, 2.0, 3.0]), jnp.array([0, 1, 2])))
    assert metrics.score_histogram(
        jnp.array([jnp.nan, 7.0, -1.0]), jnp.array([0, 1, 1]), 2
    ).tolist() == [
        [0, 0],
        [1, 1],
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones(3), np.array([0, 1, 2])), ValueError, "labels[2] is 2, expected 0..1 for 2"),
        ((np.ones(3), np.ones(3)), TypeError, "expected labels of an integer dtype"),
        ((np.ones(3, int), np.ones(3, int)), TypeError, "expected scores of a floating dtype"),
        ((np.ones((3, 2)), np.ones(3, int)), ValueError, "both (n,), got (3, 2) and (3,)"),
        ((np.ones(0), np.ones(0, int)), ValueError, "n ≥ 1 examples"),
        ((np.ones(2), np.ones(2, int), np.ones(3)), ValueError, "expected weights of shape (2,)"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        metrics.roc_auc(*arguments)


def test_bad_bins():
    with pytest.raises(ValueError, match="expected num_bins of at least 1, got 0"):
        metrics.score_histogram(jnp.ones(2), jnp.ones(2, int), 0)
    with pytest.raises(ValueError, match=r"expected a histogram \(2, bins\), got \(3,\)"):
        metrics.roc_auc_from_histogram(jnp.ones(3))
