"""Classification metrics as functions of a confusion matrix, entry [i, j] for label i taken for j.

The metrics of the same names in `funcnn.metrics` are these, of the matrix of their predictions.
Each class is in turn the positive one: of TP true and FP false positives, FN and TN negatives,

    precision    TP / (TP + FP)        what share of those predicted to be of the class is
    recall       TP / (TP + FN)        what share of the class was found (also: sensitivity)
    specificity  TN / (TN + FP)        what share of the others was predicted to be another
    F-beta       (1 + β²) TP / ((1 + β²) TP + β² FN + FP)

All take these two options, which mean what they mean in scikit-learn:

    average        "binary": class 1 of two; "macro": the mean over classes; "weighted": weighted by
                   how many examples each class has; "micro": of TP, FP, FN and TN summed over the
                   classes; None: an array of one value a class
    zero_division  what a class gets where its denominator is 0: 0, 1, or NaN to leave it out of the
                   mean (NaN if no class is left)

The matrix has every class: one that never occurs counts in a "macro" mean, as in scikit-learn with
labels=range(classes). Results are float32.
"""

import jax
import jax.numpy as jnp

AVERAGES = ("binary", "macro", "micro", "weighted", None)


def accuracy(matrix: jax.Array) -> jax.Array:
    """The fraction of examples on the diagonal; NaN for no examples.

    >>> import jax.numpy as jnp
    >>> accuracy(jnp.array([[2, 1], [0, 1]]))
    Array(0.75, dtype=float32)
    """
    matrix = _square(matrix)
    return (jnp.trace(matrix) / matrix.sum()).astype(jnp.float32)


def error_rate(matrix: jax.Array) -> jax.Array:
    """1 − accuracy.

    >>> import jax.numpy as jnp
    >>> error_rate(jnp.array([[2, 1], [0, 1]]))
    Array(0.25, dtype=float32)
    """
    return 1 - accuracy(matrix)


def precision(
    matrix: jax.Array, *, average: str | None = "binary", zero_division: float = 0.0
) -> jax.Array:
    """TP / (TP + FP). Equal to sklearn.metrics.precision_score. Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> precision(jnp.array([[2, 1], [0, 1]]))
    Array(0.5, dtype=float32)
    """
    tp, fp, fn, _ = _counts(matrix, average)
    return _mean(tp, tp + fp, tp + fn, average, zero_division)


def recall(
    matrix: jax.Array, *, average: str | None = "binary", zero_division: float = 0.0
) -> jax.Array:
    """TP / (TP + FN). Equal to sklearn.metrics.recall_score. Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> recall(jnp.array([[2, 1], [0, 1]]), average=None)
    Array([0.6666667, 1.       ], dtype=float32)
    """
    tp, _, fn, _ = _counts(matrix, average)
    return _mean(tp, tp + fn, tp + fn, average, zero_division)


def specificity(
    matrix: jax.Array, *, average: str | None = "binary", zero_division: float = 0.0
) -> jax.Array:
    """TN / (TN + FP): of two classes, the recall of the other. Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> specificity(jnp.array([[3, 1], [0, 1]]))
    Array(0.75, dtype=float32)
    """
    tp, fp, fn, tn = _counts(matrix, average)
    return _mean(tn, tn + fp, tp + fn, average, zero_division)


def fbeta(
    matrix: jax.Array,
    beta: float,
    *,
    average: str | None = "binary",
    zero_division: float = 0.0,
) -> jax.Array:
    """(1 + β²) TP / ((1 + β²) TP + β² FN + FP): recall counts β times as much as precision.

    Equal to sklearn.metrics.fbeta_score. Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> fbeta(jnp.array([[2, 1], [0, 1]]), 2.0)
    Array(0.8333333, dtype=float32)
    """
    tp, fp, fn, _ = _counts(matrix, average)
    numerator = (1 + beta**2) * tp
    return _mean(numerator, numerator + beta**2 * fn + fp, tp + fn, average, zero_division)


def f1(
    matrix: jax.Array, *, average: str | None = "binary", zero_division: float = 0.0
) -> jax.Array:
    """F-beta at β = 1, the harmonic mean of precision and recall: 2 TP / (2 TP + FN + FP).

    Equal to sklearn.metrics.f1_score. Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> f1(jnp.array([[2, 1], [0, 1]]))
    Array(0.6666667, dtype=float32)
    """
    return fbeta(matrix, 1.0, average=average, zero_division=zero_division)


def _counts(matrix: jax.Array, average: str | None) -> tuple[jax.Array, ...]:
    """TP, FP, FN and TN of the classes that the average is over: (classes,), or (1,)."""
    matrix = _square(matrix)
    if average not in AVERAGES:
        raise ValueError(f"expected average to be one of {AVERAGES}, got {average!r}")
    if average == "binary" and len(matrix) != 2:
        raise ValueError(
            f"average='binary' is for 2 classes, got {len(matrix)}: choose 'macro', 'micro', "
            "'weighted' or None"
        )
    tp = jnp.diag(matrix)
    fp, fn = matrix.sum(0) - tp, matrix.sum(1) - tp
    counts = tp, fp, fn, matrix.sum() - tp - fp - fn
    if average == "binary":
        return tuple(count[1:] for count in counts)
    if average == "micro":
        return tuple(count.sum(keepdims=True, dtype=jnp.float32) for count in counts)
    return counts


def _mean(numerator, denominator, support, average, zero_division) -> jax.Array:
    """The ratio of each class, and their mean where one is asked for."""
    defined = denominator != 0
    ratio = jnp.where(defined, numerator / jnp.where(defined, denominator, 1), zero_division)
    ratio = ratio.astype(jnp.float32)
    if average is None:
        return ratio
    there = (~jnp.isnan(ratio)).astype(jnp.float32)
    weights = there * support if average == "weighted" else there
    weights = jnp.where(weights.sum() == 0, there, weights)  # as scikit-learn: the plain mean then
    return jnp.nansum(ratio * weights) / weights.sum()


def _square(matrix: jax.Array) -> jax.Array:
    matrix = jnp.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"expected a confusion matrix (classes, classes), got {matrix.shape}")
    return matrix
