"""A part of each image hidden."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.data.augmentation.arguments import as_images, pixels
from funcnn.data.augmentation.composition import Augment


def erased(images: ArrayLike, corners: ArrayLike, sizes: ArrayLike) -> jax.Array:
    """A rectangle of each image set to 0.

    Args:
      images: (n, height, width, channels), of any dtype.
      corners: row and column of each rectangle's first pixel, integers (n, 2), also negative ones.
      sizes: its height and width, integers (n, 2), or (2,) for all the same.

    Returns:
      Images of the same shape and dtype.
    """
    images = as_images("erased", images)
    hidden = rectangles(images.shape, corners, sizes)
    return jnp.where(hidden, jnp.zeros((), images.dtype), images)


def rectangles(shape: tuple[int, ...], corners: ArrayLike, sizes: ArrayLike) -> jax.Array:
    """Which pixels are in the rectangles: bools (n, height, width, 1)."""
    n, height, width, _ = shape
    first = jnp.asarray(corners)
    last = first + jnp.broadcast_to(jnp.asarray(sizes), (n, 2))

    def between(axis, length):
        i = jnp.arange(length)
        return (first[:, axis, None] <= i) & (i < last[:, axis, None])

    return (between(0, height)[:, :, None] & between(1, width)[:, None, :])[..., None]


def cutout(size: int) -> Augment:
    """A square of each image set to 0, about a pixel of it at random; over the edge it is cut off.

    Args:
      size: pixels along each side.

    Returns:
      ``(key, images) -> images``, of any dtype.

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout", 2017.

    >>> import jax, jax.numpy as jnp
    >>> left = cutout(2)(jax.random.key(0), jnp.ones((3, 4, 4, 1))).sum((1, 2, 3))
    >>> bool(((left == 12) | (left == 14) | (left == 15)).all())
    True
    """
    size = pixels("size", size)

    def cut(key, images):
        images = as_images("cutout", images)
        n, height, width, _ = images.shape
        middles = jax.random.randint(key, (n, 2), 0, jnp.array([height, width]))
        return erased(images, middles - size // 2, jnp.array([size, size]))

    return cut
