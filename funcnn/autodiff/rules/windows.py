"""Reductions over sliding windows: pooling.

A window in several axes is one axis after the other: the sum of sums, the largest of the largest.
So everything here is about one axis at a time: a `_Pass` over it takes `window` neighbours,
`dilation` apart, at every `stride`-th place. Which of them an extreme value is, is kept for each
output as a small integer, and `g` is handed back to that one. Ties go to the first element in the
order of the window, which is where JAX's select-and-scatter puts them.

JAX's rules walk through every window element by element (select-and-scatter; a windowed sum of
mostly zeros). Whole slices, compared or added, are what compilers make fast loops of. Measured in
CPU milliseconds, value and gradient, float32, JAX 0.10.2, here and in JAX:

=======================================  ====  ===
maximum, 2 x 2 apart, (128, 28, 28, 16)   1.3   20
maximum, 3 x 3 at every second place       7    66
maximum, 3 x 3 at every place              3    41
sum, 3 x 3 at every second place           4    15
sum, 3 x 3 at every place                  3     5
=======================================  ====  ===

What a sum over overlapping windows pays for it is memory, one array of the operand's size.
"""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np
from jax import lax

from funcnn.autodiff.compiling import compiled
from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import Recorded, linear, no_derivative, register
from funcnn.autodiff.sharding import cotangent_sharding


class _Pass(NamedTuple):
    """Windows along one axis."""

    axis: int
    window: int
    stride: int
    dilation: int

    def reach(self):
        return (self.window - 1) * self.dilation

    def count(self, size):
        """How many windows there are in `size` places."""
        return (size - self.reach() - 1) // self.stride + 1

    def taps(self, x):
        """For each element of a window, the slice of `x` that it is in all the windows."""
        last = (self.count(x.shape[self.axis]) - 1) * self.stride
        starts = range(0, self.reach() + 1, self.dilation)
        return [lax.slice_in_dim(x, i, i + last + 1, self.stride, self.axis) for i in starts]


class _Windows(NamedTuple):
    """Windows in all axes, one after the other, over an operand that is padded first."""

    passes: tuple[_Pass, ...]
    padding: tuple[tuple[int, int, int], ...]
    """before, after and between the elements"""

    def padded(self, x, filling):
        filling = np.asarray(filling, x.dtype)
        return lax.pad(x, filling, self.padding) if any(map(any, self.padding)) else x

    def unpadded(self, g):
        """What of `g` stands where the operand was, among the padding."""
        if any(low or high for low, high, _ in self.padding):
            g = lax.pad(
                g, np.zeros((), g.dtype), [(-low, -high, 0) for low, high, _ in self.padding]
            )
        steps = [between + 1 for _, _, between in self.padding]
        return lax.slice(g, [0] * g.ndim, g.shape, steps) if max(steps, default=1) > 1 else g

    def sizes(self, shape):
        """The length of each pass's axis before the pass, and the shape after all of them."""
        lengths = [
            max(n + (n - 1) * between, 0) + low + high
            for n, (low, high, between) in zip(shape, self.padding, strict=True)
        ]
        sizes = []
        for each in self.passes:
            sizes.append(lengths[each.axis])
            lengths[each.axis] = max(each.count(lengths[each.axis]), 0)
        return sizes, lengths

    def empty(self, shape):
        return 0 in (*shape, *self.sizes(shape)[1])


def _windows(
    window_dimensions,
    window_strides,
    padding,
    base_dilation=None,
    window_dilation=None,
    widest=None,
) -> _Windows:
    """Passes for lax's parameters, last axis first (so that ties go by rows).

    A window of more than `widest` taps is made of two narrower ones that overlap, which is as good
    for an extreme value: a wide window takes as many operations as its width has digits.
    """
    ones = (1,) * len(window_dimensions)
    base_dilation, window_dilation = base_dilation or ones, window_dilation or ones
    passes = []
    for axis in reversed(range(len(window_dimensions))):
        widths = [window_dimensions[axis]]
        while widths[-1] > (widest or math.inf):
            widths.append((widths[-1] + 1) // 2)
        narrow, *wider = widths[::-1]
        along = [(narrow, 1)]
        for narrow, wide in zip(widths[:0:-1], wider, strict=True):
            along.append((2, wide - narrow))
        for i, (taps, apart) in enumerate(along):
            stride = window_strides[axis] if i == len(along) - 1 else 1
            passes.append(_Pass(axis, taps, stride, apart * window_dilation[axis]))
    between = [(low, high, a - 1) for (low, high), a in zip(padding, base_dilation, strict=True)]
    moving = [p for p in passes if (p.window, p.stride) != (1, 1)]
    return _Windows(tuple(moving), tuple(between))


# More taps, or distances between blocks, than this are not written out one by one: the program
# would grow with the window.
_MANY = 8
_extreme_windows = functools.partial(_windows, widest=_MANY)

# One program when run eagerly, and the equations themselves when traced into a larger one.


@functools.partial(compiled, static_argnames=("windows", "largest"))
def _extremes(x, windows, largest):
    """The largest (smallest) values, and which tap each came from, pass for pass."""
    x = windows.padded(x, -np.inf if largest else np.inf)
    sources = []
    for each in windows.passes:
        x, *others = each.taps(x)
        source = lax.full_like(x, 0, np.int8)
        for i, tap in enumerate(others, 1):
            stands = lax.ge(x, tap) if largest else lax.le(x, tap)
            stands = lax.bitwise_or(stands, lax.ne(x, x))  # NaN, once found, is the value
            source = lax.select(stands, source, lax.full_like(source, i))
            x = lax.select(stands, x, tap)  # not lax.max, whose derivative shares at ties
        sources.append(source)
    return x, sources


@functools.partial(compiled, static_argnames="windows")
def _taken(x, sources, windows):
    """The elements of `x` from where `_extremes` found another array's."""
    x = windows.padded(x, 0)
    for each, source in zip(windows.passes, sources, strict=True):
        x, *others = each.taps(x)
        for i, tap in enumerate(others, 1):
            x = lax.select(lax.eq(source, lax.full_like(source, i)), tap, x)
    return x


@functools.partial(compiled, static_argnames=("windows", "shape"))
def _given_back(g, sources, windows, shape):
    """`g` back at the elements it came from, in an operand of this shape.

    Without sources (None for each pass) every tap gets it: the transpose of a sum.
    """
    back = zip(windows.passes, sources, windows.sizes(shape)[0], strict=True)
    for each, source, size in reversed(list(back)):
        g = _along(each, g, source, size)
    return windows.unpadded(g)


def _along(each, g, source, size):
    """`g` given back along one axis, which then has `size` places again.

    Think of the axis as blocks of `stride` places: tap i of output j is place (dilation i) % stride
    of block j + (dilation i) // stride. For each distance between blocks there is one array to add;
    where windows do not overlap there is only one.
    """
    axis, window, stride, dilation = each
    tap_at: dict[int, list] = {}
    for i in range(window):
        block, place = divmod(i * dilation, stride)
        tap_at.setdefault(block, [-1] * stride)[place] = i
    if source is None and len(tap_at) > _MANY:
        return _sum_of_windows(each, g, size)
    furthest = max(tap_at)
    shape = (*g.shape[: axis + 1], stride, *g.shape[axis + 1 :])
    others = [d for d in range(len(shape)) if d != axis + 1]
    spread = lax.broadcast_in_dim(g, shape, others)
    sharding = cotangent_sharding(jax.typeof(spread))
    parts = []
    for block, taps in tap_at.items():
        part = spread
        if source is not None or -1 in taps:
            if source is None:
                is_tap = np.array(taps) >= 0
                here = lax.broadcast_in_dim(is_tap, shape, (axis + 1,), out_sharding=sharding)
            else:
                tap = lax.broadcast_in_dim(np.array(taps, np.int8), shape, (axis + 1,))
                here = lax.eq(lax.broadcast_in_dim(source, shape, others), tap)
            part = lax.select(here, part, lax.full_like(part, 0))
        parts.append(_pad_axis(part, axis, block, furthest - block) if furthest else part)
    places = (g.shape[axis] + furthest) * stride
    blocks = functools.reduce(lax.add, parts)
    whole = lax.reshape(blocks, (*g.shape[:axis], places, *g.shape[axis + 1 :]))
    return whole if places == size else _pad_axis(whole, axis, 0, size - places)


def _pad_axis(x, axis, before, after, between=0):
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (before, after, between)
    return lax.pad(x, np.zeros((), x.dtype), config)


def _sum_of_windows(each, g, size):
    """What `_along` gives for a sum, by sliding the window over `g` with zeros between."""
    last = (g.shape[each.axis] - 1) * each.stride
    apart = _pad_axis(g, each.axis, each.reach(), size - last - 1, each.stride - 1)
    window, dilation = [1] * g.ndim, [1] * g.ndim
    window[each.axis], dilation[each.axis] = each.window, each.dilation
    return lax.reduce_window(
        apart, np.zeros((), g.dtype), lax.add, window, (1,) * g.ndim, "VALID", None, dilation
    )


def _undo_sum(
    g, operand_aval, window_dimensions, window_strides, padding, base_dilation, window_dilation
):
    windows = _windows(window_dimensions, window_strides, padding, base_dilation, window_dilation)
    if windows.empty(operand_aval.shape):
        return None
    return _given_back(g, [None] * len(windows.passes), windows, operand_aval.shape)


linear(lax.reduce_window_sum_p, "operand", operand=_undo_sum)


def _extreme(largest, primitive, values, tracked, params) -> Recorded:
    [operand] = values
    shape = jax.typeof(operand).shape
    windows = _extreme_windows(**params)
    if windows.empty(shape):
        return Recorded([primitive.bind(operand, **params)], [False], [], lambda saved, gs: [None])
    out, sources = _extremes(operand, windows, largest)
    backward = lambda saved, gs: [_given_back(gs[0], saved, windows, shape)]
    return Recorded([out], [True], sources, backward)


register(lax.reduce_window_max_p, functools.partial(_extreme, True))
register(lax.reduce_window_min_p, functools.partial(_extreme, False))


# What JAX makes of the derivatives of extreme values: `source` added to where the extreme values of
# `operand` stand, and `tangents` taken from there.
def _sources(operand, windows, select_prim):
    return _extremes(lax.stop_gradient(operand), windows, select_prim is lax.ge_p)[1]


def _take_where_added(g, operand, select_prim, window_dimensions, window_strides, padding):
    windows = _extreme_windows(window_dimensions, window_strides, padding)
    if windows.empty(operand.shape):
        return None
    return _taken(g, _sources(operand, windows, select_prim), windows)


linear(lax.select_and_scatter_add_p, "source operand", source=_take_where_added)


def _add_where_taken(
    g,
    operand,
    select_prim,
    window_dimensions,
    window_strides,
    padding,
    base_dilation,
    window_dilation,
):
    windows = _extreme_windows(
        window_dimensions, window_strides, padding, base_dilation, window_dilation
    )
    if windows.empty(operand.shape):
        return None
    return _given_back(g, _sources(operand, windows, select_prim), windows, operand.shape)


linear(primitive("select_and_gather_add_p"), "tangents operand", tangents=_add_where_taken)

no_derivative(
    "its computation may be any function of two values, and only in windows of sums and of largest "
    "and smallest values is it known where a gradient goes. Those are what lax.reduce_window makes "
    "of lax.add with the initial value 0, lax.max with -inf and lax.min with inf",
    lax.reduce_window_p,
    lax.select_and_scatter_p,
)
