"""Regression metrics: of predictions at once, or of sums that add up over batches."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


class RegressionSums(NamedTuple):
    """What the regression metrics are functions of; those of two batches add up, leaf by leaf.

    Attributes:
      examples: how many, float32, ().
      squared_error, absolute_error: sums over the examples, float32, of a target's shape.
      target, squared_target: sums of the targets less `center` and of their squares, the same.
    """

    examples: jax.Array
    squared_error: jax.Array
    absolute_error: jax.Array
    target: jax.Array
    squared_target: jax.Array


def regression_sums(
    predictions: ArrayLike, targets: ArrayLike, center: ArrayLike = 0.0
) -> RegressionSums:
    """The sums of a batch; over batches they are added leaf by leaf.

        total = jax.tree.map(jnp.add, total, regression_sums(model(params, x), y, center))

    Args:
      predictions: of a floating dtype, (n, ...).
      targets: of the same shape.
      center: a number near the targets' mean, the same for all batches: with it R² loses no digits
        where the targets are far from 0.

    Raises:
      TypeError: predictions of integers.
      ValueError: targets of another shape than predictions; scalars.

    >>> import jax.numpy as jnp
    >>> h, y = jnp.array([2.5, 0.0, 2.0, 8.0]), jnp.array([3.0, -0.5, 2.0, 7.0])
    >>> halves = regression_sums(h[:2], y[:2]), regression_sums(h[2:], y[2:])
    >>> r2_from_sums(jax.tree.map(jnp.add, *halves))
    Array(0.94860816, dtype=float32)
    """
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if not jnp.issubdtype(predictions.dtype, jnp.floating):
        raise TypeError(f"expected predictions of a floating dtype, got {predictions.dtype}")
    if predictions.ndim == 0 or targets.shape != predictions.shape:
        raise ValueError(
            "expected predictions and targets of the same shape (n, ...), got "
            f"{predictions.shape} and {targets.shape}"
        )
    wide = jnp.promote_types(predictions.dtype, jnp.float32)
    targets = targets.astype(wide)
    error = predictions.astype(wide) - targets
    centered = targets - jnp.asarray(center, wide)
    terms = error**2, jnp.abs(error), centered, centered**2
    examples = jnp.asarray(len(error), jnp.float32)
    return RegressionSums(examples, *(term.sum(axis=0).astype(jnp.float32) for term in terms))


def mean_squared_error(predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
    """The mean of (h − y)² over all examples and entries, a float32 scalar.

    Arguments and errors as in `regression_sums`; NaN for no examples. Equal to
    sklearn.metrics.mean_squared_error. Source: deck E, row 13.

    >>> import jax.numpy as jnp
    >>> mean_squared_error(jnp.array([1.0, 5.0]), jnp.array([3.0, 5.0]))
    Array(2., dtype=float32)
    """
    return mean_squared_error_from_sums(regression_sums(predictions, targets))


def mean_absolute_error(predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
    """The mean of |h − y| over all examples and entries, a float32 scalar.

    Arguments and errors as in `regression_sums`; NaN for no examples. Equal to
    sklearn.metrics.mean_absolute_error. Source: deck C, row 13.

    >>> import jax.numpy as jnp
    >>> mean_absolute_error(jnp.array([1.0, 5.0]), jnp.array([3.0, 5.0]))
    Array(1., dtype=float32)
    """
    return mean_absolute_error_from_sums(regression_sums(predictions, targets))


def r2(predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
    """R² = 1 − Σ (h − y)² / Σ (y − ȳ)², the share of the targets' variance that is explained.

    1 is perfect, 0 what the mean of the targets reaches, below 0 worse. Where all targets are equal
    it is 1 if the predictions are, too, and 0 otherwise. Of several outputs, (n, outputs): their
    mean. NaN for fewer than two examples.

    Arguments and errors as in `regression_sums`. Equal to sklearn.metrics.r2_score.

    >>> import jax.numpy as jnp
    >>> r2(jnp.array([2.5, 0.0, 2.0, 8.0]), jnp.array([3.0, -0.5, 2.0, 7.0]))
    Array(0.94860816, dtype=float32)
    """
    if jnp.size(targets) == 0 or jnp.ndim(targets) == 0:
        return r2_from_sums(regression_sums(predictions, targets))
    targets = jnp.asarray(targets).astype(jnp.result_type(targets, jnp.float32))
    first = targets[0]  # so that the mean of equal targets is exactly that
    center = first + jnp.mean(targets - first, axis=0)
    return r2_from_sums(regression_sums(predictions, targets, center))


def mean_squared_error_from_sums(sums: RegressionSums) -> jax.Array:
    """`mean_squared_error` of added `regression_sums`."""
    return jnp.mean(sums.squared_error / sums.examples)


def mean_absolute_error_from_sums(sums: RegressionSums) -> jax.Array:
    """`mean_absolute_error` of added `regression_sums`."""
    return jnp.mean(sums.absolute_error / sums.examples)


def r2_from_sums(sums: RegressionSums) -> jax.Array:
    """`r2` of added `regression_sums`."""
    variation = sums.squared_target - sums.target**2 / sums.examples
    varies = variation > jnp.finfo(jnp.float32).eps * sums.squared_target  # else it is rounding
    explained = 1 - sums.squared_error / jnp.where(varies, variation, 1)
    each = jnp.where(varies, explained, sums.squared_error == 0)
    return jnp.where(sums.examples < 2, jnp.nan, jnp.mean(each))
