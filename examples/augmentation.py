"""Images as they might also have been drawn: shifted, turned, sheared, distorted at random.

Pure functions of a key and of images (n, height, width, channels), to be called within a compiled
step: each image is moved differently, and differently each time. What moves is written as
displacements, in pixels: y[i, j] = x[(i, j) + displacement[i, j]]. They add up, so that an image is
interpolated once, however many there are:

    turn, tremble = jax.random.split(key)
    moves = affine_displacements(turn, x.shape, degrees=10)
    moves += elastic_displacements(tremble, x.shape, strength=1.0)
    x = warped(x, moves)
"""

import jax
import jax.numpy as jnp
from jax.scipy import ndimage
from jax.typing import ArrayLike


def shifted(images: ArrayLike, by: ArrayLike) -> jax.Array:
    """Each image moved by whole pixels, down and to the right; zeros come in.

    Args:
      images: (n, height, width, channels).
      by: integers (n, 2), or (2,) for all images the same.

    Returns:
      Images of the same shape and dtype, every pixel one of theirs.

    >>> import jax.numpy as jnp
    >>> image = jnp.array([[1, 2, 3], [4, 5, 6]])[None, :, :, None]
    >>> shifted(image, [1, -1])[0, :, :, 0]
    Array([[0, 0, 0],
           [2, 3, 0]], dtype=int32)
    """
    images = jnp.asarray(images)
    n, height, width, _ = images.shape
    size = jnp.array([height, width])
    by = jnp.broadcast_to(jnp.clip(jnp.asarray(by), -size, size), (n, 2))

    def shift(image, by):
        around = jnp.pad(image, ((height, height), (width, width), (0, 0)))
        return jax.lax.dynamic_slice(around, (height - by[0], width - by[1], 0), image.shape)

    return jax.vmap(shift)(images, by)


def random_shift(key: jax.Array, images: ArrayLike, most: int) -> jax.Array:
    """Each image moved by −most..most whole pixels along each axis, all equally likely."""
    by = jax.random.randint(key, (jnp.shape(images)[0], 2), -most, most + 1)
    return shifted(images, by)


def warped(images: ArrayLike, displacements: ArrayLike) -> jax.Array:
    """y[i, j] = x[(i, j) + displacement[i, j]], interpolated between the four pixels around.

    Args:
      images: x, (n, height, width, channels), of a floating dtype; 0 outside.
      displacements: (n, height, width, 2), in pixels, down and to the right.

    Returns:
      y, of x's shape and dtype.

    Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks Applied
    to Visual Document Analysis", 2003.

    >>> import jax.numpy as jnp
    >>> image = jnp.array([[0.0, 2.0, 4.0]])[None, :, :, None]
    >>> half = jnp.array([0.0, 0.5])
    >>> warped(image, jnp.broadcast_to(half, (1, 1, 3, 2))).ravel()
    Array([1., 3., 2.], dtype=float32)
    """
    images = jnp.asarray(images)
    _, height, width, _ = images.shape
    places = jnp.moveaxis(_places(height, width) + displacements, -1, 1)

    def channel(image, places):
        return ndimage.map_coordinates(image, list(places), order=1)

    every_channel = jax.vmap(channel, in_axes=(-1, None), out_axes=-1)
    return jax.vmap(every_channel)(images, places)


def affine_displacements(
    key: jax.Array,
    shape: tuple[int, ...],
    *,
    degrees: float = 0.0,
    scale: float = 0.0,
    shear: float = 0.0,
    shift: float = 0.0,
) -> jax.Array:
    """Each image turned, resized, slanted about its middle and shifted, at random.

    All are uniform in ±limit, independently.

    Args:
      key: of the random numbers.
      shape: of the images, (n, height, width, channels).
      degrees: by how much an image is turned at most.
      scale: resized by a factor of 1 ± scale at most, along each axis by itself.
      shear: columns pushed by ± shear of a row's distance from the middle at most.
      shift: pixels at most, along each axis.

    Returns:
      Displacements for `warped`, (n, height, width, 2), float32.
    """
    n, height, width, _ = shape
    draw = jax.random.uniform(key, (6, n), minval=-1.0, maxval=1.0)
    angle = jnp.deg2rad(degrees) * draw[0]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turn = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    tall, wide, slant = 1 + scale * draw[1], 1 + scale * draw[2], shear * draw[3]
    stretch = jnp.stack([jnp.stack([tall, 0 * tall], -1), jnp.stack([slant, wide], -1)], -2)
    change = turn @ stretch - jnp.eye(2)
    from_middle = _places(height, width) - jnp.array([height - 1, width - 1]) / 2
    moved = jnp.einsum("nij,hwj->nhwi", change, from_middle)
    return moved + shift * draw[4:].T[:, None, None, :]


def elastic_displacements(
    key: jax.Array, shape: tuple[int, ...], strength: float, smoothness: float = 4.0
) -> jax.Array:
    """A smooth random distortion of each image, as if the hand had trembled.

    A Gaussian random field: white noise, one vector a pixel, smoothed by a Gaussian.

    Args:
      key: of the random numbers.
      shape: of the images, (n, height, width, channels).
      strength: the standard deviation of a displacement, in pixels.
      smoothness: the standard deviation of the Gaussian, in pixels: neighbours within about this
        distance move together.

    Returns:
      Displacements for `warped`, (n, height, width, 2), float32.

    Source: as `warped`.
    """
    n, height, width, _ = shape
    noise = jax.random.normal(key, (n, height, width, 2))
    down, across = _gaussian(height, smoothness), _gaussian(width, smoothness)
    return strength * jnp.einsum("ih,jw,nhwk->nijk", down, across, noise)


def _gaussian(size: int, deviation: float) -> jax.Array:
    """A matrix (size, size) that smooths, and leaves white noise with a variance of 1."""
    i = jnp.arange(size)
    kernel = jnp.exp(-0.5 * jnp.square((i[:, None] - i) / deviation))
    return kernel / jnp.linalg.norm(kernel, axis=1, keepdims=True)


def _places(height: int, width: int) -> jax.Array:
    """Row and column of each pixel, (height, width, 2)."""
    return jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), -1)
