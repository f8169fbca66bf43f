"""Images turned, sheared, resized, distorted: displacements that add up, and one interpolation.

What moves is written as displacements, in pixels: y[i, j] = x[(i, j) + displacement[i, j]]. They
add up, so that an image is interpolated once, however many there are.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy import ndimage
from jax.typing import ArrayLike

from funcnn.data.augmentation.arguments import as_images, limit
from funcnn.data.augmentation.composition import Augment

Displacements = Callable[[jax.Array, tuple[int, ...]], jax.Array]
"""``(key, shape) -> displacements``: for images of this shape, float32 (n, height, width, 2)."""


def warped(images: ArrayLike, displacements: ArrayLike) -> jax.Array:
    """y[i, j] = x[(i, j) + displacement[i, j]], interpolated between the four pixels around.

    Args:
      images: x, (n, height, width, channels), of a floating dtype; 0 outside.
      displacements: (n, height, width, 2), in pixels, down and to the right. Another height and
        width than those of the images are those of the result.

    Returns:
      y, of x's dtype; of its shape, but for height and width, which are the displacements'.

    Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks Applied
    to Visual Document Analysis", 2003.

    >>> import jax.numpy as jnp
    >>> image = jnp.array([[0.0, 2.0, 4.0]])[None, :, :, None]
    >>> half = jnp.array([0.0, 0.5])
    >>> warped(image, jnp.broadcast_to(half, (1, 1, 3, 2))).ravel()
    Array([1., 3., 2.], dtype=float32)
    """
    images = as_images("warped", images, inexact=True)
    displacements = jnp.asarray(displacements)
    if displacements.ndim != 4 or (len(displacements), displacements.shape[-1]) != (len(images), 2):
        raise ValueError(
            f"warped: expected displacements ({len(images)}, height, width, 2) for images of shape "
            f"{images.shape}, got {displacements.shape}"
        )
    places = jnp.moveaxis(_places(*displacements.shape[1:3]) + displacements, -1, 1)

    def channel(image, places):
        return ndimage.map_coordinates(image, list(places), order=1)

    every_channel = jax.vmap(channel, in_axes=(-1, None), out_axes=-1)
    return jax.vmap(every_channel)(images, places)


def random_warp(*displacements: Displacements) -> Augment:
    """Each image moved by the sum of random displacements, and interpolated once.

    Args:
      displacements: `affine(...)`, `elastic(...)`, or functions ``(key, shape) -> displacements``
        of your own.

    Returns:
      ``(key, images) -> images``, of a floating dtype.

    >>> import jax, jax.numpy as jnp
    >>> distort = random_warp(affine(degrees=10, shear=0.2), elastic(strength=1.0))
    >>> distort(jax.random.key(0), jnp.ones((2, 28, 28, 1))).shape
    (2, 28, 28, 1)
    """

    def warp(key, images):
        images = as_images("random_warp", images, inexact=True)
        keys = (jax.random.fold_in(key, i) for i in range(len(displacements)))
        moves = (move(key, images.shape) for move, key in zip(displacements, keys, strict=True))
        return warped(images, sum(moves, jnp.zeros((*images.shape[:3], 2))))

    return warp


def random_rotation(degrees: float) -> Augment:
    """Each image turned about its middle by up to ± `degrees`, all angles equally likely."""
    return random_warp(affine(degrees=degrees))


def affine(
    *, degrees: float = 0.0, scale: float = 0.0, shear: float = 0.0, shift: float = 0.0
) -> Displacements:
    """Each image turned, resized, slanted about its middle and shifted, at random.

    All are uniform in ± limit, independently.

    Args:
      degrees: by how much an image is turned at most.
      scale: resized by a factor of 1 ± scale at most, along each axis by itself.
      shear: columns pushed by ± shear of a row's distance from the middle at most.
      shift: pixels at most, along each axis.

    Returns:
      Displacements for `random_warp`.
    """
    degrees, scale = limit("degrees", degrees), limit("scale", scale, below=1)
    shear, shift = limit("shear", shear), limit("shift", shift)

    def displacements(key, shape):
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

    return displacements


def elastic(strength: float, smoothness: float = 4.0) -> Displacements:
    """A smooth random distortion of each image, as if the hand had trembled.

    A Gaussian random field: white noise, one vector a pixel, smoothed by a Gaussian.

    Args:
      strength: the standard deviation of a displacement, in pixels.
      smoothness: the standard deviation of the Gaussian, in pixels: neighbours within about this
        distance move together.

    Returns:
      Displacements for `random_warp`.

    Source: as `warped`.
    """
    strength, smoothness = limit("strength", strength), limit("smoothness", smoothness)
    if smoothness == 0:
        raise ValueError("expected smoothness above 0, got 0")

    def displacements(key, shape):
        n, height, width, _ = shape
        noise = jax.random.normal(key, (n, height, width, 2))
        down, across = _gaussian(height, smoothness), _gaussian(width, smoothness)
        return strength * jnp.einsum("ih,jw,nhwk->nijk", down, across, noise)

    return displacements


def random_resized_crop(
    size: tuple[int, int], area: tuple[float, float] = (0.08, 1.0), ratio: float = 4 / 3
) -> Augment:
    """A part of each image of random size, shape and place, resized.

    The part's share of the area is uniform, and so is the logarithm of its width over height. Where
    it would be taller or wider than the image, it is as tall or wide as the image.

    Args:
      size: height and width of the result.
      area: the least and the largest share of the image's area, in (0, 1].
      ratio: width over height is between 1 / ratio and ratio.

    Returns:
      ``(key, images) -> images`` of this size, interpolated between four pixels each.

    Source: Szegedy et al., "Going Deeper with Convolutions", 2015.
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"expected area as two shares in (0, 1], the less first, got {area}")
    if not ratio >= 1:
        raise ValueError(f"expected ratio of at least 1, got {ratio}")

    def crop(key, images):
        images = as_images("random_resized_crop", images, inexact=True)
        n, *full, _ = images.shape
        draw = jax.random.uniform(key, (4, n))
        side = jnp.sqrt(area[0] + (area[1] - area[0]) * draw[0])
        wider = jnp.exp((draw[1] - 0.5) * jnp.log(ratio))  # √(width / height)
        share = jnp.minimum(jnp.stack([side / wider, side * wider], -1), 1.0)
        part = share * jnp.array(full)
        corner = (jnp.array(full) - part) * draw[2:].T
        # pixels are squares: the middle of the first one is half a pixel from the edge
        step = (part / jnp.array(size))[:, None, None, :]
        places = _places(*size)
        from_there = corner[:, None, None, :] + step * (places + 0.5) - 0.5
        inside = jnp.clip(from_there, 0, jnp.array(full) - 1)
        return warped(images, inside - places)

    return crop


def _gaussian(size: int, deviation: float) -> jax.Array:
    """A matrix (size, size) that smooths, and leaves white noise with a variance of 1."""
    i = jnp.arange(size)
    kernel = jnp.exp(-0.5 * jnp.square((i[:, None] - i) / deviation))
    return kernel / jnp.linalg.norm(kernel, axis=1, keepdims=True)


def _places(height: int, width: int) -> jax.Array:
    """Row and column of each pixel, (height, width, 2)."""
    return jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), -1)
