"""What the augmentations take: images (n, height, width, channels), and limits that make sense."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def as_images(name: str, images: ArrayLike, inexact: bool = False) -> jax.Array:
    """`images` as an array (n, height, width, channels); of a floating dtype, if that is needed.

    Raises:
      ValueError: another rank. TypeError: integers where floats are needed.
    """
    array = jnp.asarray(images)
    if array.ndim != 4:
        raise ValueError(
            f"{name}: expected images (n, height, width, channels), got {array.shape}"
            f"{': add an axis of channels, images[..., None]' if array.ndim == 3 else ''}"
        )
    if inexact and not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{name}: expected images of a floating dtype, got {array.dtype}: "
            "images.astype('float32') / 255, for those in 0..255"
        )
    return array


def limit(name: str, value: Any, below: float = math.inf) -> float:
    """`value` as a float in [0, below); ValueError or TypeError names the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"expected a number {name}, got {value!r}")
    if not 0 <= value < below:
        raise ValueError(f"expected {name} in [0, {below:g}), got {value}")
    return float(value)


def pixels(name: str, value: Any, least: int = 0) -> int:
    """`value`, a whole number of pixels; ValueError or TypeError names the argument."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number of pixels {name}, got {value!r}")
    if value < least:
        raise ValueError(f"expected {name} of at least {least} pixels, got {value}")
    return value


def by_example(values: jax.Array) -> jax.Array:
    """(n,) to (n, 1, 1, 1), to be broadcast over images."""
    return values.reshape(-1, 1, 1, 1)
