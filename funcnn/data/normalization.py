"""Inputs brought to mean 0 and standard deviation 1, by the statistics of the training set."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


class Normalization(NamedTuple):
    """A mean and a standard deviation, that inputs are normalized by: a pytree of two arrays.

    Attributes:
      mean, std: float32, of the shape of one example with 1 for the axes that were averaged over.
    """

    mean: np.ndarray
    std: np.ndarray

    def apply(self, x: ArrayLike) -> jax.Array:
        """(x − mean) / std, for examples (n, ...) or one of them, in the dtype of x."""
        x, mean, std, dtype = _wide(self, x)
        return ((x - mean) / std).astype(dtype)

    def undo(self, x: ArrayLike) -> jax.Array:
        """x · std + mean: what `apply` was given."""
        x, mean, std, dtype = _wide(self, x)
        return (x * std + mean).astype(dtype)


def normalization(x: Any, axis: int | Sequence[int] | None = None) -> Normalization:
    """The statistics of a training set, to normalize it, the validation and the test set by.

    Computed on the host, in float64.

    Args:
      x: the training inputs, (n, ...).
      axis: what is averaged over, axis 0 among it; None for all axes but the last: one mean a
        channel of images (n, height, width, channels), one a feature of (n, features).

    Returns:
      A `Normalization`. Where all values are the same (a pixel that is always black), std is 1.

    Raises:
      ValueError: no examples, a scalar, axes without axis 0.

    Example:

    >>> import numpy as np
    >>> from funcnn import data
    >>> x = np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0]], np.float32)
    >>> scale = data.normalization(x)
    >>> print(scale.apply(x))
    [[-1. -1.  0.]
     [ 1.  1.  0.]]
    >>> print(scale.undo(scale.apply(x)))
    [[ 1. 10.  5.]
     [ 3. 30.  5.]]
    """
    x = np.asarray(x)
    if not x.ndim or not x.size:
        raise ValueError(f"expected the inputs of at least one example, (n, ...), got {x.shape}")
    if axis is None:
        axes = tuple(range(max(x.ndim - 1, 1)))
    else:
        axes = tuple(a % x.ndim for a in np.atleast_1d(axis).tolist())
    if 0 not in axes:
        raise ValueError(f"expected axis 0, of the examples, among the axes, got {axis}")
    mean = x.mean(axes, dtype=np.float64, keepdims=True)
    std = x.std(axes, dtype=np.float64, keepdims=True)
    same = x.max(axes, keepdims=True) == x.min(axes, keepdims=True)  # std may be rounded to 1e-17
    std = np.where(same, 1.0, std)
    return Normalization(mean[0].astype(np.float32), std[0].astype(np.float32))


def _wide(by: Normalization, x: ArrayLike) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """All in float32 at least, and the dtype that the result is to have."""
    x = jnp.asarray(x)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else wide
    return x.astype(wide), jnp.asarray(by.mean, wide), jnp.asarray(by.std, wide), dtype
