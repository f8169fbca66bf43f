"""What the losses take: arrays of a floating dtype, of the same shape, computed with in float32."""

from collections.abc import Callable
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from funcnn.labels import is_concrete


def floating(name: str, x: ArrayLike) -> jax.Array:
    """`x` as an array; TypeError where its dtype is not floating."""
    array = jnp.asarray(x)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"expected {name} of a floating dtype, got {array.dtype} of shape {array.shape}"
        )
    return array


def expect_number(name: str, value: Any, expected: str, holds: Callable[[np.ndarray], Any]) -> None:
    """TypeError for what is no number; ValueError where it is concrete and `holds` does not."""
    if not isinstance(value, get_args(ArrayLike)):
        raise TypeError(f"expected a number {name}, got {value!r}")
    if is_concrete(value) and not np.all(holds(np.asarray(value))):
        raise ValueError(f"expected {name} {expected}, got {value}")


def at_least_float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def absolute(x: jax.Array) -> jax.Array:
    """|x|, with a gradient of 0 at 0, where that of `jnp.abs` is 1."""
    return x * jnp.sign(x)


def rows_of_classes(name: str, x: ArrayLike) -> jax.Array:
    """`x` as a floating array (..., classes) of at least one class."""
    array = floating(name, x)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"expected {name} of shape (..., classes), got {array.shape}")
    return array


def same_shape(name: str, x: jax.Array, other: str, y: ArrayLike, advice: str = "") -> jax.Array:
    """`y` as an array, not broadcast: (n, 1) against (n,) would make (n, n) of them."""
    array = jnp.asarray(y)
    if array.shape != x.shape:
        raise ValueError(
            f"expected {other} of the shape of {name}, {x.shape}, got {array.shape}{advice}"
        )
    return array


def difference(predictions: ArrayLike, targets: ArrayLike | None) -> jax.Array:
    """predictions − targets; targets None are zeros."""
    predictions = floating("predictions", predictions)
    if targets is None:
        return predictions
    return predictions - same_shape("predictions", predictions, "targets", targets)
