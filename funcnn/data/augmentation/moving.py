"""Pixels that only change their place: shifts, flips, crops. Any dtype, exact."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from funcnn.data.augmentation.arguments import as_images, by_example, limit, pixels
from funcnn.data.augmentation.composition import Augment


def shifted(images: ArrayLike, by: ArrayLike) -> jax.Array:
    """Each image moved by whole pixels, down and to the right; zeros come in.

    Args:
      images: (n, height, width, channels), of any dtype.
      by: integers (n, 2), or (2,) for all images the same.

    Returns:
      Images of the same shape and dtype, every pixel one of theirs.

    >>> import jax.numpy as jnp
    >>> image = jnp.array([[1, 2, 3], [4, 5, 6]])[None, :, :, None]
    >>> shifted(image, [1, -1])[0, :, :, 0]
    Array([[0, 0, 0],
           [2, 3, 0]], dtype=int32)
    """
    images = as_images("shifted", images)
    n, height, width, _ = images.shape
    by = jnp.asarray(by)
    if not jnp.issubdtype(by.dtype, jnp.integer) or by.shape not in ((2,), (n, 2)):
        raise ValueError(
            f"shifted: expected by as integers of shape ({n}, 2) or (2,), got {by.dtype} "
            f"{by.shape}; warped moves by fractions of a pixel"
        )
    size = jnp.array([height, width])
    by = jnp.broadcast_to(jnp.clip(by, -size, size), (n, 2))
    around = jnp.pad(images, ((0, 0), (height, height), (width, width), (0, 0)))
    return cropped(around, size - by, (height, width))


def random_shift(most: int) -> Augment:
    """Each image moved by −most..most whole pixels along each axis, all equally likely.

    >>> import jax, jax.numpy as jnp
    >>> left = random_shift(1)(jax.random.key(0), jnp.ones((3, 4, 4, 1))).sum((1, 2, 3))
    >>> bool(((left == 9) | (left == 12) | (left == 16)).all())
    True
    """
    most = pixels("most", most)

    def shift(key, images):
        images = as_images("random_shift", images)
        return shifted(images, jax.random.randint(key, (len(images), 2), -most, most + 1))

    return shift


def flipped(images: ArrayLike, which: ArrayLike, axis: int = 2) -> jax.Array:
    """Those images mirrored that `which` says.

    Args:
      images: (n, height, width, channels), of any dtype.
      which: bools, (n,), or () for all.
      axis: 2 to exchange left and right, 1 to exchange top and bottom.

    Returns:
      Images of the same shape and dtype.
    """
    images = as_images("flipped", images)
    if axis not in (1, 2):
        raise ValueError(f"flipped: expected axis 1 (vertical) or 2 (horizontal), got {axis}")
    which = by_example(jnp.broadcast_to(jnp.asarray(which, bool), len(images)))
    return jnp.where(which, jnp.flip(images, axis), images)


def random_flip(probability: float = 0.5, axis: int = 2) -> Augment:
    """Each image mirrored with this probability; see `flipped`."""
    probability = limit("probability", probability, below=1 + 1e-12)

    def flip(key, images):
        images = as_images("random_flip", images)
        return flipped(images, jax.random.bernoulli(key, probability, (len(images),)), axis)

    return flip


def cropped(images: ArrayLike, corners: ArrayLike, size: tuple[int, int]) -> jax.Array:
    """A part of each image, of a size that is the same for all.

    Args:
      images: (n, height, width, channels), of any dtype.
      corners: row and column of each part's first pixel, integers (n, 2). Those of which the part
        would reach over the image's edge are moved back.
      size: height and width of the part, at most those of the images.

    Returns:
      (n, *size, channels).
    """
    images = as_images("cropped", images)
    _, height, width, channels = images.shape
    if not (0 < size[0] <= height and 0 < size[1] <= width):
        raise ValueError(f"cropped: images of {height} by {width} have no part of {tuple(size)}")

    def crop(image, corner):
        return lax.dynamic_slice(image, (corner[0], corner[1], 0), (*size, channels))

    return jax.vmap(crop)(images, jnp.asarray(corners))


def random_crop(size: tuple[int, int], padding: int = 0) -> Augment:
    """A part of each image at a random place, after zeros were put around it; all equally likely.

    With the size of the images and padding 4, the augmentation of CIFAR-10 in He et al., "Deep
    Residual Learning for Image Recognition", 2016.

    Args:
      size: height and width of the part.
      padding: how many rows and columns of zeros on each side.

    Returns:
      ``(key, images) -> images`` of this size.

    >>> import jax, jax.numpy as jnp
    >>> random_crop((6, 6), padding=2)(jax.random.key(0), jnp.ones((3, 8, 8, 1))).shape
    (3, 6, 6, 1)
    """
    size = (pixels("height", size[0], least=1), pixels("width", size[1], least=1))
    padding = pixels("padding", padding)

    def crop(key, images):
        images = as_images("random_crop", images)
        images = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        n, height, width, _ = images.shape
        most = jnp.array([height - size[0], width - size[1]])
        corners = jax.random.randint(key, (n, 2), 0, jnp.maximum(most, 0) + 1)
        return cropped(images, corners, size)

    return crop
