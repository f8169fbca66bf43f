"""From losses of examples to one number: masks and weights."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.losses.arguments import at_least_float32, floating


def mean(values: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Weighted mean Σ w ℓ / Σ w of losses: over what a mask keeps, or by the examples' weights.

    A weight of 0 (False) leaves a value out, also if it is NaN or infinite: it counts neither
    above nor below, and its gradient is 0. Where nothing is left, all weights being 0, the mean is
    0, with a gradient of 0: never 0/0.

    For `train.supervised`, which takes the mean of what a loss returns:

        def loss(outputs, y):
            labels, mask = y
            return losses.mean(softmax_cross_entropy_with_integer_labels(outputs, labels), mask)

    Weights of the classes are weights of the examples: `class_weights[labels]`.

    Args:
      values: losses, any shape.
      weights: at least 0, of the shape of `values` or of its first axes (then the same for all
        entries of an example), of any dtype; bools are a mask. None for the plain mean.

    Returns:
      A scalar.

    Raises:
      TypeError: values of integers.
      ValueError: weights of another shape than the first axes of values.

    >>> import jax.numpy as jnp
    >>> values = jnp.array([1.0, 3.0, jnp.nan])
    >>> mean(values, jnp.array([True, True, False]))
    Array(2., dtype=float32)
    >>> mean(values, jnp.array([3, 1, 0]))
    Array(1.5, dtype=float32)
    >>> mean(values, jnp.zeros(3))
    Array(0., dtype=float32)
    """
    values = floating("values", values)
    wide = at_least_float32(values)
    weights = jnp.ones(values.shape, wide.dtype) if weights is None else jnp.asarray(weights)
    if weights.shape != values.shape[: weights.ndim]:
        raise ValueError(
            f"expected weights of the shape of values, {values.shape}, or of its first axes, "
            f"got {weights.shape}"
        )
    weights = weights.astype(jnp.promote_types(weights.dtype, wide.dtype))
    weights = weights.reshape(*weights.shape, *(1,) * (values.ndim - weights.ndim))
    weights = jnp.broadcast_to(weights, values.shape)
    kept = weights != 0
    total = jnp.sum(weights)
    weighted = jnp.sum(jnp.where(kept, wide, 0) * weights)
    return (weighted / jnp.where(total == 0, 1, total)).astype(values.dtype)
