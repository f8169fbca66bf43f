"""Reductions along axes."""

import functools

import numpy as np
from jax import lax

from funcnn.autodiff.compiling import compiled
from funcnn.autodiff.rules.table import Recorded, defvjp, linear, register
from funcnn.autodiff.sharding import cotangent_sharding


def _along(value, like, axes):
    """`value`, which has lost `axes`, spread along them again to the shape of `like`."""
    kept = [d for d in range(len(like.shape)) if d not in axes]
    return lax.broadcast_in_dim(value, like.shape, kept, out_sharding=cotangent_sharding(like))


linear(
    lax.reduce_sum_p,
    "operand",
    operand=lambda g, operand_aval, axes: _along(g, operand_aval, axes),
)


def _to_extreme(g, out, operand, operand_aval, axes):
    """Routes `g` to where the extreme value stands; where several do, each gets an equal share."""
    here = lax.eq(operand, _along(out, operand_aval, axes))
    count = lax.reduce_sum(lax.convert_element_type(here, g.dtype), axes)
    share = _along(lax.div(g, count), operand_aval, axes)
    # a product, not a selection: if all values are NaN none is found, and NaN is what comes back
    return lax.mul(lax.convert_element_type(here, g.dtype), share)


defvjp(lax.reduce_max_p, "operand", operand=_to_extreme)
defvjp(lax.reduce_min_p, "operand", operand=_to_extreme)


# A factor's cotangent is g times the product of the others. They are multiplied, not divided out of
# the whole: factors may be zero. So that this does not take a product for each factor, they are
# multiplied in groups, the groups' products in groups again, and `g` goes down the same tree.


def _groups(x, axis):
    """`axis` parted into (groups' members, groups), filled up with ones."""
    number = -(-x.shape[axis] // 8)  # of 8: what fits in one loop of a compiled program
    members = -(-x.shape[axis] // number)
    missing = [(0, 0, 0)] * x.ndim
    missing[axis] = (0, number * members - x.shape[axis], 0)
    if any(map(any, missing)):
        x = lax.pad(x, np.ones((), x.dtype), missing)
    return lax.reshape(x, (*x.shape[:axis], members, number, *x.shape[axis + 1 :]))


@functools.partial(compiled, static_argnames="axes")
def _product(x, axes):
    """The product over `axes`, and the factors on each level of the tree."""
    levels = []
    for axis in axes:
        while x.shape[axis] > 1:
            levels.append(x)
            x = lax.reduce_prod(_groups(x, axis), (axis,))
    return lax.squeeze(x, axes), levels


@functools.partial(compiled, static_argnames="axes")
def _to_factors(g, levels, axes):
    g = lax.expand_dims(g, axes)
    for x in reversed(levels):
        # it is the first axis of which more than one element is left that was multiplied
        axis = next(d for d in axes if x.shape[d] > 1)
        grouped = _groups(x, axis)
        factors = [lax.index_in_dim(grouped, i, axis, False) for i in range(grouped.shape[axis])]
        before = [g]  # g times the factors before this one
        for factor in factors[:-1]:
            before.append(lax.mul(before[-1], factor))
        gs, after = [before.pop()], factors.pop()
        while before:
            gs.append(lax.mul(before.pop(), after))
            after = lax.mul(factors.pop(), after)
        g = lax.slice_in_dim(lax.concatenate(gs[::-1], axis), 0, x.shape[axis], axis=axis)
    return g


def _reduce_prod(primitive, values, tracked, params):
    [operand], axes = values, tuple(params["axes"])
    if not operand.size:
        out = primitive.bind(operand, **params)
        return Recorded([out], tracked, None, lambda _, gs: [lax.full_like(operand, 0)])
    out, levels = _product(operand, axes)
    return Recorded([out], tracked, levels, lambda levels, gs: [_to_factors(gs[0], levels, axes)])


register(lax.reduce_prod_p, _reduce_prod)

linear(
    lax.cumsum_p,
    "operand",
    operand=lambda g, axis, reverse: lax.cumsum(g, axis=axis, reverse=not reverse),
)
