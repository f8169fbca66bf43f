"""Windows that slide over spatial axes: their sizes, strides and padding, checked.

What convolution and pooling have in common. x is (..., *spatial, channels), and there is one number
an axis: a window's size, how far it moves, how much is padded before and after.
"""

import operator
from collections.abc import Sequence
from typing import Any

from jax import lax

from funcnn.nn.errors import describe

Padding = str | int | Sequence[int | tuple[int, int]]


def window_shape(what: str, size: Any) -> tuple[int, ...]:
    """The size of a window in each spatial axis; a number alone is the size in one such axis."""
    each = size if hasattr(size, "__len__") else (size,)
    if len(each) == 0:
        raise ValueError(f"{what} must have one number for each spatial axis, got {size!r}")
    return per_axis(what, each, len(each))


def expect_one_axis(what: str, size: Any, ndim: int) -> None:
    """ValueError where a size that is a number alone, for one spatial axis, meets images.

    With any number of batch axes, images would silently be taken for batches of their rows.
    """
    if not hasattr(size, "__len__") and ndim > 3:
        raise ValueError(
            f"{what} {size} is for one spatial axis, x of shape (n, length, channels), but x has "
            f"{ndim} axes: give one number for each spatial axis, ({size}, {size}) for images"
        )


def spatial_sizes(name: str, shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The sizes of the spatial axes of x, (..., *spatial, channels)."""
    if len(shape) <= rank:
        raise ValueError(
            f"{name}: expected x of shape (..., *spatial, channels) with {rank} spatial "
            f"{'axis' if rank == 1 else 'axes'}, got {shape}"
        )
    return shape[-rank - 1 : -1]


def per_axis(what: str, numbers: Any, rank: int) -> tuple[int, ...]:
    """A positive integer for each of `rank` spatial axes, from one for all or one for each.

    >>> per_axis("conv: strides", 2, rank=3), per_axis("conv: strides", [1, 2], rank=2)
    ((2, 2, 2), (1, 2))
    >>> per_axis("conv: strides", (1, 2), rank=1)
    Traceback (most recent call last):
    ValueError: conv: strides must be one number or 1 numbers, one for each spatial axis, got (1, 2)
    """
    each = (numbers,) * rank if not hasattr(numbers, "__len__") else tuple(numbers)
    if len(each) != rank:
        raise ValueError(
            f"{what} must be one number or {rank} numbers, one for each spatial axis, "
            f"got {numbers!r}"
        )
    try:
        each = tuple(map(operator.index, each))
    except TypeError:
        shown = numbers if isinstance(numbers, tuple | list | str) else describe(numbers)
        raise TypeError(f"{what} must be integers, got {shown}") from None
    if min(each) < 1:
        raise ValueError(f"{what} must be at least 1, got {numbers!r}")
    return each


def fitted_padding(
    name: str,
    padding: Padding,
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
) -> list[tuple[int, int]]:
    """How much is padded before and after each spatial axis; at least one window must fit.

    Args:
      name: the function that asks, for its errors.
      padding: "VALID" for none; "SAME" for as much as gives ceil(size / stride) windows; a number
        for every side; one number or one pair (before, after) an axis.
      sizes, window, strides: one number an axis.

    >>> fitted_padding("conv", "SAME", (28, 28), (3, 3), (2, 1))
    [(0, 1), (1, 1)]
    >>> fitted_padding("conv", "VALID", (2, 28), (3, 3), (1, 1))
    Traceback (most recent call last):
    ValueError: conv: the window (3, 3) is larger than x, (2, 28) in its spatial axes with ...
    """
    pairs = checked_padding(name, padding, len(window))
    if isinstance(pairs, str):
        pairs = lax.padtype_to_pads(sizes, window, strides, pairs)
    pairs = [(int(low), int(high)) for low, high in pairs]
    padded = [low + size + high for size, (low, high) in zip(sizes, pairs, strict=True)]
    if min(sizes) < 1 or any(p < w for p, w in zip(padded, window, strict=True)):
        raise ValueError(
            f"{name}: the window {tuple(window)} is larger than x, {tuple(sizes)} in its spatial "
            f"axes with padding {pairs}: use a smaller window or padding='SAME'"
        )
    return pairs


def checked_padding(name: str, padding: Any, rank: int) -> str | list[tuple[int, int]]:
    """ "SAME" or "VALID", or a pair (before, after) for each of `rank` spatial axes."""
    if isinstance(padding, str) and padding in ("SAME", "VALID"):
        return padding
    try:
        each = list(padding) if hasattr(padding, "__len__") else [padding] * rank
        pairs = [tuple(map(operator.index, p if hasattr(p, "__len__") else (p, p))) for p in each]
    except TypeError:
        pairs = []
    if [len(pair) for pair in pairs] != [2] * rank:
        raise ValueError(
            f"{name}: padding must be 'SAME', 'VALID', a number, or for each of {rank} spatial "
            f"axes a number or a pair (before, after), got {padding!r}"
        )
    return [(low, high) for low, high in pairs]
