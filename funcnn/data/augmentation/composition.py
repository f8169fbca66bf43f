"""One augmentation after the other."""

from collections.abc import Callable
from typing import Any

import jax

Augment = Callable[[jax.Array, Any], Any]
"""``augment(key, x) -> x``: x are images, or whatever the function is for."""


def augment(*functions: Augment) -> Augment:
    """One function after the other, each with a key of its own.

    Warps that follow one another are better made one, by `random_warp`: what is interpolated twice
    is blurred twice.

    Args:
      functions: ``(key, images) -> images``; none at all for the identity.

    Returns:
      ``(key, images) -> images``.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import data
    >>> distort = data.augment(data.random_flip(), data.random_shift(2), data.cutout(2))
    >>> distort(jax.random.key(0), jnp.ones((5, 8, 8, 1))).shape
    (5, 8, 8, 1)

    Source: decks A, B and E, row 18.
    """
    for function in functions:
        if not callable(function):
            raise TypeError(f"augment takes functions (key, images) -> images, got {function!r}")

    def chained(key, images):
        for i, function in enumerate(functions):
            images = function(jax.random.fold_in(key, i), images)
        return images

    return chained


def on_inputs(function: Augment) -> Augment:
    """A function of batches ``(x, y)`` that augments x: to stand beside `mixup` in `augment`.

    >>> from funcnn import data
    >>> distort = data.augment(data.on_inputs(data.random_shift(2)), data.mixup(0.2))
    """
    return lambda key, batch: (function(key, batch[0]), *batch[1:])
