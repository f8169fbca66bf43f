"""Brightness and contrast."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.data.augmentation.arguments import as_images, by_example, limit
from funcnn.data.augmentation.composition import Augment


def adjusted(
    images: ArrayLike, brightness: ArrayLike = 0.0, contrast: ArrayLike = 1.0
) -> jax.Array:
    """(x − m) contrast + m + brightness, m the mean of the image in each channel.

    Args:
      images: x, (n, height, width, channels), of a floating dtype. They are not clipped.
      brightness: what is added, (n,) or a scalar.
      contrast: by what the differences from the mean are multiplied, (n,) or a scalar.

    Returns:
      Images of the same shape and dtype.
    """
    images = as_images("adjusted", images, inexact=True)
    n, wide = len(images), jnp.promote_types(images.dtype, jnp.float32)
    brightness = by_example(jnp.broadcast_to(jnp.asarray(brightness, wide), n))
    contrast = by_example(jnp.broadcast_to(jnp.asarray(contrast, wide), n))
    x = images.astype(wide)
    mean = x.mean((1, 2), keepdims=True)
    return ((x - mean) * contrast + mean + brightness).astype(images.dtype)


def random_brightness(most: float) -> Augment:
    """To each image a number is added, uniform in ± most."""
    most = limit("most", most)

    def change(key, images):
        images = as_images("random_brightness", images, inexact=True)
        draw = jax.random.uniform(key, (len(images),), minval=-most, maxval=most)
        return adjusted(images, brightness=draw)

    return change


def random_contrast(most: float) -> Augment:
    """The contrast of each image is multiplied by a number, uniform in 1 ± most."""
    most = limit("most", most, below=1)

    def change(key, images):
        images = as_images("random_contrast", images, inexact=True)
        draw = jax.random.uniform(key, (len(images),), minval=1 - most, maxval=1 + most)
        return adjusted(images, contrast=draw)

    return change
