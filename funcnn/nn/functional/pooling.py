"""Pooling: the largest or the mean value of windows, or of whole images."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from funcnn.nn.errors import expect_inexact
from funcnn.nn.functional.windows import (
    Padding,
    expect_one_axis,
    fitted_padding,
    per_axis,
    spatial_sizes,
    window_shape,
)


def max_pool(
    x: ArrayLike,
    window: int | Sequence[int],
    strides: int | Sequence[int],
    padding: Padding = "VALID",
) -> jax.Array:
    """y[i] = max_k x[stride · i + k − before], each channel by itself.

    Padding is never the largest value. Where several values are the largest, the gradient goes to
    the first of them.

    Args:
      x: (..., *spatial, channels), any number of leading axes, also none; a floating dtype.
      window: its size in each spatial axis; a number where there is one such axis.
      strides: how far the window moves, one number for all axes or one for each.
      padding: "VALID", "SAME", a number, or for each axis a number or a pair (before, after), each
        smaller than the window.

    Returns:
      y, (..., *spatial of the output, channels), of x's dtype.

    Raises:
      TypeError: x of integers.
      ValueError: a window larger than the padded x, or one that may see nothing but padding.

    Source: decks A and E, row 44. Equal to Flax's `max_pool`, where strides are 1 by default.

    >>> import jax.numpy as jnp
    >>> max_pool(jnp.arange(16.0).reshape(4, 4, 1), (2, 2), 2)[..., 0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    x = jnp.asarray(x)
    return _reduced(x, -np.inf, lax.max, *_checked("max_pool", x, window, strides, padding))


def avg_pool(
    x: ArrayLike,
    window: int | Sequence[int],
    strides: int | Sequence[int],
    padding: Padding = "VALID",
    *,
    count_include_pad: bool = True,
) -> jax.Array:
    """y[i] = mean_k x[stride · i + k − before], each channel by itself.

    Args:
      x, window, strides, padding: as for `max_pool`. bfloat16 and float16 are summed in float32.
      count_include_pad: whether the zeros of the padding count as values of a window. If not, it
        is the mean of the others.

    Returns:
      y, (..., *spatial of the output, channels), of x's dtype.

    Raises:
      As `max_pool`.

    Source: decks A and E, row 44. Equal to Flax's `avg_pool`, where strides are 1 by default.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1.0], [3.0], [5.0]])
    >>> avg_pool(x, 2, 2, "SAME").ravel()
    Array([2. , 2.5], dtype=float32)
    >>> avg_pool(x, 2, 2, "SAME", count_include_pad=False).ravel()
    Array([2., 5.], dtype=float32)
    """
    x = jnp.asarray(x)
    checked = shape, moves, pairs = _checked("avg_pool", x, window, strides, padding)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    sums = _reduced(wide, 0, lax.add, *checked)
    counts = np.asarray(math.prod(shape))
    if not count_include_pad:
        sizes, places = (spatial_sizes("avg_pool", a.shape, len(shape)) for a in (x, sums))
        along = map(_counts, sizes, places, shape, moves, pairs)
        counts = np.prod(np.meshgrid(*along, indexing="ij"), axis=0)[..., None]
    return (sums / counts.astype(sums.real.dtype)).astype(x.dtype)


def _checked(
    name: str, x: jax.Array, window: Any, strides: Any, padding: Padding
) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]:
    """Window, strides and padding, each for each spatial axis of x."""
    expect_inexact(name, x)
    expect_one_axis(f"{name}: window", window, x.ndim)
    window = window_shape(f"{name}: window", window)
    strides = per_axis(f"{name}: strides", strides, len(window))
    sizes = spatial_sizes(name, x.shape, len(window))
    pairs = fitted_padding(name, padding, sizes, window, strides)
    if any(not 0 <= p < w for pair, w in zip(pairs, window, strict=True) for p in pair):
        raise ValueError(
            f"{name}: padding {pairs} must be at least 0 and smaller than window {window}, so that "
            "each window has a value in it"
        )
    return window, strides, pairs


def _reduced(
    x: jax.Array,
    initial: float,
    reduce: Callable[..., Any],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    pairs: list[tuple[int, int]],
) -> jax.Array:
    batch = x.ndim - len(window) - 1
    return lax.reduce_window(
        x,
        np.asarray(initial, x.dtype),
        reduce,
        (1,) * batch + window + (1,),
        (1,) * batch + strides + (1,),
        [(0, 0)] * batch + pairs + [(0, 0)],
    )


def _counts(size: int, places: int, window: int, stride: int, pair: tuple[int, int]) -> np.ndarray:
    """How many values, padding left out, each window along one axis has."""
    first = np.arange(places) * stride - pair[0]
    return np.minimum(first + window, size) - np.maximum(first, 0)


def fractional_max_pool(
    x: ArrayLike, regions: Sequence[ArrayLike], *, overlapping: bool = False
) -> jax.Array:
    """The largest value of each of given regions, whose sizes differ: y[i] = max x[a_i : a_{i+1}].

    Args:
      x: (..., *spatial, channels), any number of leading axes, also none; a floating dtype.
      regions: for each spatial axis the borders a_0 = 0 < a_1 < ... < a_out = size, integers
        (out + 1,), as `fractional_regions` draws them. A region of several axes is the product of
        those along each. Where they are traced, under `jit`, they are not checked: the regions are
        then ⌈size / out⌉ wide at most.
      overlapping: whether a region has the first place of the next too.

    Returns:
      y, (..., *out, channels), of x's dtype.

    Raises:
      TypeError: x of integers.
      ValueError: x of too few axes; borders that do not rise from 0 to the axis's size.

    Source: Graham, "Fractional Max-Pooling", 2014; deck B, row 18.

    >>> import jax.numpy as jnp
    >>> x = jnp.arange(5.0)[:, None]
    >>> fractional_max_pool(x, [[0, 2, 3, 5]]).ravel()
    Array([1., 2., 4.], dtype=float32)
    >>> fractional_max_pool(x, [[0, 2, 3, 5]], overlapping=True).ravel()
    Array([2., 3., 4.], dtype=float32)
    """
    x = jnp.asarray(x)
    expect_inexact("fractional_max_pool", x)
    rank = len(regions)
    sizes = spatial_sizes("fractional_max_pool", x.shape, rank)
    for axis, borders, size in zip(range(-rank - 1, -1), regions, sizes, strict=True):
        widest = _widest(borders, size)
        first, end = jnp.asarray(borders)[:-1], jnp.asarray(borders)[1:]
        last = jnp.minimum(end, size - 1) if overlapping else end - 1
        # The last place again where a region is not the widest: that changes no maximum.
        places = jnp.minimum(first[:, None] + jnp.arange(widest + overlapping), last[:, None])
        x = jnp.take(x, places, axis=axis).max(axis)
    return x


def _widest(borders: ArrayLike, size: int) -> int:
    """The number of places in the widest region."""
    if isinstance(borders, jax.core.Tracer):
        return -(-size // (borders.shape[0] - 1))
    widths = np.diff(np.asarray(borders))
    ends = np.asarray(borders)[[0, -1]].tolist() if np.size(borders) > 1 else None
    if ends != [0, size] or widths.min() < 1:
        raise ValueError(
            f"fractional_max_pool: expected regions whose borders rise from 0 to {size}, the size "
            f"of the axis, got {np.asarray(borders).tolist()}"
        )
    return int(widths.max())


def fractional_regions(
    key: jax.Array, size: int, out: int, *, pseudorandom: bool = True
) -> jax.Array:
    """Random borders of `out` regions along an axis, each ⌊α⌋ or ⌈α⌉ wide, where α = size / out.

    Args:
      key: of the random numbers.
      size: of the axis.
      out: the number of regions, in 1..size.
      pseudorandom: the borders ⌈α (i + u)⌉ with one random u, less the first of them: the widths
        alternate regularly. If not, the widths are shuffled, which distorts images more.

    Returns:
      a_0 = 0 < a_1 < ... < a_out = size, integers (out + 1,).

    Raises:
      ValueError: out outside 1..size.

    Source: Graham, "Fractional Max-Pooling", 2014.

    >>> import jax
    >>> fractional_regions(jax.random.key(0), 6, 4).shape
    (5,)
    """
    if not 1 <= out <= size:
        raise ValueError(
            f"fractional_max_pool: expected between 1 and {size} regions along an axis of size "
            f"{size}, got {out}"
        )
    if pseudorandom:
        # α u counts by its fraction alone, and that in steps of 1 / out: whole numbers do
        offset = jax.random.randint(key, (), 1, out + 1)
        borders = -(-(size * jnp.arange(out + 1) + offset) // out)
        return borders - borders[0]
    wide = jnp.arange(out) < size % out
    widths = jax.random.permutation(key, size // out + wide.astype(int))
    return jnp.concatenate([jnp.zeros(1, widths.dtype), jnp.cumsum(widths)])


def global_avg_pool(x: ArrayLike) -> jax.Array:
    """The mean of each channel of each example: (n, *spatial, channels) to (n, channels).

    Sums bfloat16 and float16 in float32. A plain function, and so a layer: `nn.global_avg_pool`.

    Raises:
      TypeError: x of integers.
      ValueError: x without spatial axes, or with an empty one.

    Source: Lin, Chen and Yan, "Network in Network", 2014.

    >>> import jax.numpy as jnp
    >>> global_avg_pool(jnp.ones((64, 7, 7, 32))).shape
    (64, 32)
    """
    x = _expect_spatial("global_avg_pool", x)
    return x.mean(range(1, x.ndim - 1))


def global_max_pool(x: ArrayLike) -> jax.Array:
    """The largest value of each channel of each example: (n, *spatial, channels) to (n, channels).

    A plain function, and so a layer: `nn.global_max_pool`.

    Raises:
      TypeError: x of integers.
      ValueError: x without spatial axes, or with an empty one.

    >>> import jax.numpy as jnp
    >>> global_max_pool(jnp.ones((64, 7, 7, 32))).shape
    (64, 32)
    """
    x = _expect_spatial("global_max_pool", x)
    return x.max(range(1, x.ndim - 1))


def _expect_spatial(name: str, x: ArrayLike) -> jax.Array:
    x = jnp.asarray(x)
    expect_inexact(name, x)
    if x.ndim < 3 or 0 in x.shape[1:-1]:
        raise ValueError(
            f"{name}: expected x of shape (n, *spatial, channels) with at least one spatial axis "
            f"and none of them empty, got {x.shape}"
        )
    return x
