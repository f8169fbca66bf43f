"""Running products, extreme values and logarithms of sums: what combines two values, along an axis.

The elements are taken four by four, x0 to x3. Up the tree, the pairs and each four are combined to
one value; of those the running values are found in the same way. Down the tree, `carry`, the
running value of the four before, makes the running values o0 to o2 (o3 is the four's own). The way
back goes through the same combinations: nothing is divided (a factor may be zero), and the work
grows with the number of elements. JAX combines the same pairs, which decides who gets how much at a
tie, but goes two by two, through arrays spread out with zeros.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnn.autodiff.compiling import compiled
from funcnn.autodiff.rules.table import Recorded, register
from funcnn.autodiff.sharding import cotangent_sharding

_UP = (("p", "x0", "x1"), ("q", "x2", "x3"), ("t", "p", "q"))
_DOWN = (("o0", "carry", "x0"), ("o1", "carry", "p"), ("o2", "o1", "x2"))


# How g goes back to two values, a and b, that made `out`.
def _to_factors(g, a, b, out):
    return lax.mul(g, b), lax.mul(g, a)


def _to_extreme(g, a, b, out):
    """To the one that `out` is; at a tie each gets half."""
    g = lax.select(lax.eq(a, b), lax.mul(g, np.asarray(0.5, g.dtype)), g)
    return tuple(lax.select(lax.eq(x, out), g, lax.full_like(g, 0)) for x in (a, b))


def _to_exponents(g, a, b, out):
    return tuple(lax.mul(g, lax.exp(lax.sub(_finite(x), _finite(out)))) for x in (a, b))


def _finite(x):
    """JAX takes infinity for 0 here: an infinite term of an infinite sum has the derivative 1."""
    return lax.select(lax.eq(x, np.asarray(np.inf, x.dtype)), lax.full_like(x, 0), x)


def _add_exponents(a, b):
    # kept from being computed again in each loop of the compiled program that reads it
    return lax.optimization_barrier(jnp.logaddexp(a, b))


_combinations = {
    lax.cumprod_p: (lax.mul, _to_factors),
    lax.cummax_p: (lax.max, _to_extreme),
    lax.cummin_p: (lax.min, _to_extreme),
    lax.cumlogsumexp_p: (_add_exponents, _to_exponents),
}


def _parted(names, x, axis):
    """All fours, and the up to three elements that are left at the end, each by names."""
    count = x.shape[axis] // 4
    at_end = zip(names, range(4 * count, x.shape[axis]), strict=False)
    left = {name: lax.slice_in_dim(x, i, i + 1, axis=axis) for name, i in at_end}
    if not count:
        return {}, left
    x = lax.slice_in_dim(x, 0, 4 * count, axis=axis)
    x = lax.reshape(x, (*x.shape[:axis], count, 4, *x.shape[axis + 1 :]))
    return {name: lax.index_in_dim(x, i, axis + 1, False) for i, name in enumerate(names)}, left


def _together(names, fours, left, axis):
    """Undoes `_parted`."""
    parts = [left[name] for name in names if name in left]
    if fours:
        x = jnp.stack([fours[name] for name in names], axis + 1)
        parts = [lax.reshape(x, (*x.shape[:axis], 4 * x.shape[axis], *x.shape[axis + 2 :])), *parts]
    return lax.concatenate(parts, axis)


def _carried(fours, left, axis):
    """What the running values o3 of the fours carry to the four after, and to what is left."""
    before, last = lax.split(fours["o3"], (fours["o3"].shape[axis] - 1, 1), axis)
    fours["carry"] = lax.concatenate([lax.slice_in_dim(fours["o3"], 0, 1, axis=axis), before], axis)
    like = jax.typeof(fours["o3"])
    places = lax.broadcasted_iota(np.int32, like.shape, axis, out_sharding=cotangent_sharding(like))
    fours["first"] = places == 0
    left["carry"] = last


def _forward(steps, combine, values):
    """Takes those of the steps whose values there are. Before the first, there is no carry."""
    for out, a, b in steps:
        if b in values:
            there = a in values
            values[out] = combine(values[a], values[b]) if there else values[b]
            if a == "carry" and "first" in values:
                values[out] = lax.select(values["first"], values[b], values[out])


def _backward(steps, pull, values, gs):
    """Takes the same steps backwards, and adds up the cotangents in `gs`."""
    for out, a, b in reversed(steps):
        if out in gs:
            g = gs.pop(out)
            to = (None, g)
            if a in values:
                to = pull(g, values[a], values[b], values[out])
            if a == "carry" and "first" in values:
                to = to[0], lax.select(values["first"], g, to[1])
            for name, more in zip((a, b), to, strict=True):
                if more is not None:
                    gs[name] = lax.add(gs[name], more) if name in gs else more


_X = ("x0", "x1", "x2", "x3")
_OUT = ("o0", "o1", "o2", "o3")


def _run(combine, x, axis):
    """The running values."""
    fours, left = _parted(_X, x, axis)
    if fours:
        _forward(_UP, combine, fours)
        fours["o3"] = _run(combine, fours["t"], axis)
        _carried(fours, left, axis)
        _forward(_DOWN, combine, fours)
    _forward(_UP[:1], combine, left)
    _forward(_DOWN, combine, left)
    return _together(_OUT, fours, left, axis)


def _run_back(combine, pull, g, x, out, axis):
    """The cotangent of `x`."""
    fours, left = (
        {**a, **b} for a, b in zip(_parted(_X, x, axis), _parted(_OUT, out, axis), strict=True)
    )
    to_fours, to_left = _parted(_OUT, g, axis)
    if fours:
        _carried(fours, left, axis)
        _forward(_UP, combine, fours)
    _forward(_UP[:1], combine, left)
    _backward(_DOWN, pull, left, to_left)
    _backward(_UP[:1], pull, left, to_left)
    if fours:
        _backward(_DOWN, pull, fours, to_fours)
        to_next = to_fours.pop("carry")
        to_last = to_left.pop("carry", None)
        if to_last is None:
            to_last = lax.full_like(lax.slice_in_dim(to_next, 0, 1, axis=axis), 0)
        to_next = lax.slice_in_dim(to_next, 1, to_next.shape[axis], axis=axis)
        to_running = lax.add(to_fours.pop("o3"), lax.concatenate([to_next, to_last], axis))
        to_fours["t"] = _run_back(combine, pull, to_running, fours["t"], fours["o3"], axis)
        _backward(_UP, pull, fours, to_fours)
    return _together(_X, to_fours, to_left, axis)


# Compiled where values are concrete, and part of the program where they are traced.
@functools.partial(compiled, static_argnums=(0, 2, 3))
def _values(primitive, x, axis, reverse):
    combine, _ = _combinations[primitive]
    x = lax.rev(x, (axis,)) if reverse else x
    out = _run(combine, x, axis)
    return lax.rev(out, (axis,)) if reverse else out


@functools.partial(compiled, static_argnums=(0, 3, 4))
def _cotangent(primitive, g, saved, axis, reverse):
    combine, pull = _combinations[primitive]
    g, x, out = (lax.rev(v, (axis,)) if reverse else v for v in (g, *saved))
    g = _run_back(combine, pull, g, x, out, axis)
    return lax.rev(g, (axis,)) if reverse else g


def _running(primitive, values, tracked, params):
    [x], axis, reverse = values, params["axis"], params["reverse"]
    if x.shape[axis] < 2:
        out = primitive.bind(x, **params)
        return Recorded([out], tracked, None, lambda _, gs: gs)
    out = _values(primitive, x, axis, reverse)

    def backward(saved, gs):
        return [_cotangent(primitive, gs[0], saved, axis, reverse)]

    return Recorded([out], tracked, (x, out), backward)


for _primitive in _combinations:
    register(_primitive, _running)
