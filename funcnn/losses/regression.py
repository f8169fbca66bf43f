"""Distances between predictions and targets that are numbers or vectors."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.losses.arguments import (
    absolute,
    at_least_float32,
    difference,
    expect_number,
    floating,
    same_shape,
)


def squared_error(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """Squared error (h − y)², element by element.

    Args:
      predictions: h, any shape.
      targets: y, of the same shape, or None for zeros.

    Returns:
      An array of the shape of `predictions`; its mean is the mean squared error.

    Raises:
      TypeError: predictions of integers.
      ValueError: targets of another shape than predictions.

    Equal to optax.squared_error. Source: decks B, D and E, row 13.

    >>> import jax.numpy as jnp
    >>> squared_error(jnp.array([1.0, 5.0]), jnp.array([3.0, 5.0]))
    Array([4., 0.], dtype=float32)
    """
    return jnp.square(difference(predictions, targets))


def l2_loss(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """Half the squared error ½(h − y)², element by element: its gradient is h − y.

    Arguments and errors as in `squared_error`.

    Equal to optax.l2_loss. Source: deck D, row 13.

    >>> import jax.numpy as jnp
    >>> l2_loss(jnp.array([1.0, 5.0]), jnp.array([3.0, 5.0]))
    Array([2., 0.], dtype=float32)
    """
    return 0.5 * squared_error(predictions, targets)


def absolute_error(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """Absolute error |h − y|, element by element; its gradient at h = y is 0.

    Arguments and errors as in `squared_error`. Source: deck C, row 13.

    >>> import jax.numpy as jnp
    >>> absolute_error(jnp.array([1.0, 5.0]), jnp.array([3.0, 5.0]))
    Array([2., 0.], dtype=float32)
    """
    return absolute(difference(predictions, targets))


def quadratic(predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Quadratic loss 1/(2n) Σ_i Σ_k (h_ik − y_ik)² of n examples: a scalar, not a value an example.

    Args:
      predictions: h, (n, ...): the first axis is the examples, n at least 1.
      targets: y, of the same shape.

    Returns:
      The loss, a scalar.

    Raises:
      TypeError: predictions of integers.
      ValueError: targets of another shape than predictions; no examples.

    Source: decks A and D, row 13.

    >>> import jax.numpy as jnp
    >>> quadratic(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[1.0, 0.0], [0.0, 4.0]]))
    Array(3.25, dtype=float32)
    """
    error = difference(predictions, targets)
    if error.ndim == 0 or error.shape[0] == 0:
        raise ValueError(f"expected predictions of n ≥ 1 examples, (n, ...), got {error.shape}")
    total = jnp.sum(jnp.square(at_least_float32(error)))
    return (total / (2 * error.shape[0])).astype(error.dtype)


def huber_loss(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, delta: float | jax.Array = 1.0
) -> jax.Array:
    """Huber loss: ½e² where |e| = |h − y| is at most δ, δ(|e| − ½δ) beyond. Element by element.

    An outlier's gradient is no larger than δ.

    Args:
      predictions, targets: as in `squared_error`.
      delta: δ > 0.

    Raises:
      As `squared_error`; ValueError for a delta that is not above 0.

    Equal to optax.huber_loss. Source: Huber, Robust Estimation of a Location Parameter, 1964.

    >>> import jax.numpy as jnp
    >>> huber_loss(jnp.array([0.5, 10.0]), jnp.array([0.0, 0.0]))
    Array([0.125, 9.5  ], dtype=float32)
    """
    expect_number("delta", delta, "above 0", lambda delta: delta > 0)
    error = difference(predictions, targets)
    clipped = jnp.clip(error, -delta, delta)
    return clipped * (error - 0.5 * clipped)


def log_cosh(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """log cosh(h − y), element by element: smooth, about ½e² near 0 and |e| − log 2 far from it.

    Arguments and errors as in `squared_error`. Finite for every finite error; the gradient is
    tanh(h − y).

    Equal to optax.log_cosh. Source: Chen et al., Log Hyperbolic Cosine Loss Improves Variational
    Auto-Encoder, 2019.

    >>> import jax.numpy as jnp
    >>> print(log_cosh(jnp.array([0.0, 100.0])).round(2))
    [ 0.   99.31]
    """
    error = difference(predictions, targets)
    return jnp.logaddexp(error, -error) - jnp.log(2.0).astype(error.dtype)


def cosine_similarity(
    predictions: ArrayLike, targets: ArrayLike, *, epsilon: ArrayLike = 0.0
) -> jax.Array:
    """Cosine a·b / (|a| |b|) of the angle between two vectors.

    Args:
      predictions: a, (..., n).
      targets: b, of the same shape.
      epsilon: what |a|² and |b|² are at least. With the default 0 a vector of zeros gives NaN, as
        in the formula; with a small number it gives 0 and a gradient of 0.

    Returns:
      Similarities in [−1, 1], (...).

    Raises:
      TypeError: predictions of integers.
      ValueError: targets of another shape; scalars.

    Equal to optax.cosine_similarity.

    >>> import jax.numpy as jnp
    >>> a, b = jnp.array([[3.0, 0.0], [1.0, 1.0]]), jnp.array([[2.0, 0.0], [-1.0, 1.0]])
    >>> print(cosine_similarity(a, b))
    [1. 0.]
    """
    predictions = floating("predictions", predictions)
    targets = same_shape("predictions", predictions, "targets", targets)
    if predictions.ndim == 0:
        raise ValueError("expected predictions that are vectors, (..., n), got a scalar")
    a, b = (_unit(at_least_float32(x), epsilon) for x in (predictions, targets))
    return jnp.sum(a * b, axis=-1).astype(jnp.result_type(predictions, targets))


def cosine_distance(
    predictions: ArrayLike, targets: ArrayLike, *, epsilon: ArrayLike = 0.0
) -> jax.Array:
    """1 − cosine_similarity: 0 for the same direction, 2 for the opposite.

    Arguments and errors as in `cosine_similarity`. Equal to optax.cosine_distance.

    >>> import jax.numpy as jnp
    >>> print(cosine_distance(jnp.array([1.0, 0.0]), jnp.array([-3.0, 0.0])))
    2.0
    """
    return 1 - cosine_similarity(predictions, targets, epsilon=epsilon)


def _unit(x: jax.Array, epsilon: ArrayLike) -> jax.Array:
    return x / jnp.sqrt(jnp.clip(jnp.sum(jnp.square(x), axis=-1, keepdims=True), epsilon))
