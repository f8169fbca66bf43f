"""The ROC curve and the area under it: exact from scores, binned from counts that add up."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from funcnn.labels import check_labels, expect_integers, is_concrete


def roc_curve(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """False and true positive rates of "positive from this score on", for every score as threshold.

    Args:
      scores: the higher, the likelier positive; of a floating dtype, (n,). NaN gives NaN.
      labels: 0 or 1 (False or True), (n,).
      weights: of each example, at least 0, (n,); bools are a mask. None counts each once.

    Returns:
      ``(fpr, tpr, thresholds)``, each float32 (thresholds: of the scores' dtype), (n + 1,), from
      (0, 0) at threshold inf to (1, 1) at the lowest score. Examples of the same score are one
      point of the curve: it stands there once for each of them, so that the shapes are static.
      Without positives or negatives, the rate that has nothing to count is NaN.

    Raises:
      TypeError: scores of integers; labels neither integers nor bools.
      ValueError: shapes that do not match; no examples; concrete labels other than 0 and 1 (where
        they are traced, all rates are NaN).

    Equal to sklearn.metrics.roc_curve with drop_intermediate=False, repeated points aside. Source:
    deck E, row 41.

    >>> import jax.numpy as jnp
    >>> fpr, tpr, thresholds = roc_curve(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> print(fpr, tpr, thresholds)
    [0.  0.  0.5 0.5 1. ] [0.  0.5 0.5 1.  1. ] [ inf 0.8  0.4  0.35 0.1 ]
    """
    counts, scores = _so_far(*_checked(scores, labels, weights))
    fpr, tpr = counts / counts[:, -1:]
    return fpr, tpr, jnp.append(jnp.full(1, jnp.inf, scores.dtype), scores)


def roc_auc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Area under the ROC curve: how often a positive scores above a negative, ties counted half.

    Args, errors: as in `roc_curve`. For several classes, each against the others:
    ``jax.vmap(roc_auc, in_axes=1)(scores, one_hot_labels)``.

    Returns:
      A float32 scalar in [0, 1]; NaN without positives or negatives, and for scores with a NaN.

    Equal to sklearn.metrics.roc_auc_score. Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> roc_auc(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    Array(0.75, dtype=float32)
    """
    return _area(_so_far(*_checked(scores, labels, weights))[0])


def score_histogram(
    scores: ArrayLike,
    labels: ArrayLike,
    num_bins: int = 200,
    weights: ArrayLike | None = None,
) -> jax.Array:
    """How many negatives and positives score in each of equal bins of [0, 1].

    Counts add up: the sum over batches gives the curve of a data set that is never held at once, by
    `roc_curve_from_histogram` and `roc_auc_from_histogram`. Scores in one bin count as equal: the
    area is off by at most half the fraction of pairs, of a negative and a positive, that fall in
    one bin, and exact where none of different scores do.

    Args:
      scores: probabilities; those outside [0, 1] count in the first or last bin, NaN in none.
      labels, weights: as in `roc_curve`.
      num_bins: how many, at least 1.

    Returns:
      (2, num_bins), negatives in row 0; int32 for weights None or bools, else float32.

    >>> import jax.numpy as jnp
    >>> score_histogram(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]), num_bins=4)
    Array([[1, 1, 0, 0],
           [0, 1, 0, 1]], dtype=int32)
    """
    if num_bins < 1:
        raise ValueError(f"expected num_bins of at least 1, got {num_bins}")
    scores, positive, weights = _checked(scores, labels, weights)
    bins = jnp.clip(jnp.floor(scores * num_bins), 0, num_bins - 1)
    bins = jnp.where(jnp.isnan(scores), num_bins, bins).astype(jnp.int32)
    counts = jnp.zeros((2, num_bins), weights.dtype)
    return counts.at[positive.astype(jnp.int32), bins].add(weights, mode="drop")


def roc_curve_from_histogram(histogram: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`roc_curve` of binned scores; the thresholds are the bins' lower edges.

    >>> import jax.numpy as jnp
    >>> histogram = score_histogram(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]), 4)
    >>> print(*roc_curve_from_histogram(histogram))
    [0.  0.  0.  0.5 1. ] [0.  0.5 0.5 1.  1. ] [ inf 0.75 0.5  0.25 0.  ]
    """
    counts = _from_the_top(histogram)
    fpr, tpr = counts / counts[:, -1:]
    bins = counts.shape[1] - 1
    edges = jnp.arange(bins - 1, -1, -1, dtype=jnp.float32) / bins
    return fpr, tpr, jnp.append(jnp.float32(jnp.inf), edges)


def roc_auc_from_histogram(histogram: jax.Array) -> jax.Array:
    """`roc_auc` of binned scores, where those in one bin count as equal.

    >>> import jax.numpy as jnp
    >>> histogram = score_histogram(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> roc_auc_from_histogram(histogram)
    Array(0.75, dtype=float32)
    """
    return _area(_from_the_top(histogram))


def _so_far(
    scores: jax.Array, positive: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Negatives and positives that score at least so much, (2, n + 1) from 0 on; sorted scores."""
    order = jnp.argsort(-scores)
    score, positive, weights = scores[order], positive[order], weights[order]
    ends = jnp.append(score[1:] != score[:-1], True)
    # each example stands at the last one of its score
    end = lax.cummin(jnp.where(ends, jnp.arange(len(score)), len(score)), reverse=True)
    counts = jnp.stack([jnp.where(positive, 0, weights), jnp.where(positive, weights, 0)])
    counts = _from_0(jnp.cumsum(counts, axis=1)[:, end])
    return jnp.where(jnp.isnan(scores).any(), jnp.nan, counts), score


def _from_the_top(histogram: jax.Array) -> jax.Array:
    """Negatives and positives in this bin and those above, (2, bins + 1), the highest bin first."""
    histogram = jnp.asarray(histogram)
    if histogram.ndim != 2 or histogram.shape[0] != 2:
        raise ValueError(f"expected a histogram (2, bins), got {histogram.shape}")
    return _from_0(jnp.cumsum(histogram[:, ::-1], axis=1))


def _from_0(counts: jax.Array) -> jax.Array:
    return jnp.pad(counts, ((0, 0), (1, 0))).astype(jnp.float32)


def _area(counts: jax.Array) -> jax.Array:
    """The area, divided by what there is of each last: its terms are whole numbers, or halves."""
    negatives, positives = counts
    return jnp.trapezoid(positives, negatives) / positives[-1] / negatives[-1]


def _checked(scores, labels, weights) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scores, which are positive, and weights, all (n,); scores NaN where a label is not 0 or 1."""
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        raise TypeError(f"expected scores of a floating dtype, got {scores.dtype}")
    if labels.dtype != bool:
        expect_integers(labels)
    if scores.ndim != 1 or labels.shape != scores.shape or scores.size == 0:
        raise ValueError(
            f"expected scores and labels of n ≥ 1 examples, both (n,), got {scores.shape} and "
            f"{labels.shape}"
        )
    if is_concrete(labels):
        check_labels(labels.astype(jnp.int32), 2)
    scores = jnp.where((labels == 0) | (labels == 1), scores, jnp.nan)
    weights = jnp.ones(scores.shape, jnp.int32) if weights is None else jnp.asarray(weights)
    if weights.shape != scores.shape:
        raise ValueError(f"expected weights of shape {scores.shape}, got {weights.shape}")
    counted = jnp.issubdtype(weights.dtype, jnp.integer) or weights.dtype == bool
    return scores, labels == 1, weights.astype(jnp.int32 if counted else jnp.float32)
