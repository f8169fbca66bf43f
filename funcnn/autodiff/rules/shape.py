"""Primitives that move, copy, cut and join values: linear, so each states its transpose.

What was copied comes back as a sum (deck B, row 23: "copy adds"), what was cut as zeros around.
"""

import numpy as np
from jax import lax

from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import linear
from funcnn.autodiff.sharding import cotangent_sharding, of_axes, reshaped
from funcnn.autodiff.tangents import zero_cotangent


def _undo_broadcast(g, operand_aval, broadcast_dimensions):
    """Sums over the axes that were added and those that were stretched from length 1."""
    shape = operand_aval.shape
    own = [i for i, d in enumerate(broadcast_dimensions) if shape[i] == g.shape[d]]
    axes = [d for d in range(g.ndim) if d not in [broadcast_dimensions[i] for i in own]]
    sharding = of_axes(cotangent_sharding(operand_aval), own)
    return reshaped(lax.reduce_sum(g, axes, out_sharding=sharding) if axes else g, operand_aval)


linear(lax.broadcast_in_dim_p, "operand", operand=_undo_broadcast)


def _undo_reshape(g, operand_aval, dimensions):
    """`dimensions`: the order in which the operand's axes were read, where it is not their own."""
    if dimensions is None:
        return reshaped(g, operand_aval)
    in_that_order = lax.reshape(
        g,
        [operand_aval.shape[d] for d in dimensions],
        out_sharding=of_axes(cotangent_sharding(operand_aval), dimensions),
    )
    return lax.transpose(in_that_order, _inverse(dimensions))


linear(lax.reshape_p, "operand", operand=_undo_reshape)
linear(
    lax.squeeze_p,
    "operand",
    operand=lambda g, operand_aval: reshaped(g, operand_aval),
)


def _inverse(permutation):
    return sorted(range(len(permutation)), key=permutation.__getitem__)


linear(
    lax.transpose_p,
    "operand",
    operand=lambda g, permutation: lax.transpose(g, _inverse(permutation)),
)
linear(lax.rev_p, "operand", operand=lambda g, dimensions: lax.rev(g, dimensions))


def _zero(g):
    return np.zeros((), g.dtype)


def _undo_slice(g, operand_aval, start_indices, limit_indices, strides):
    """`g` back in its place, with zeros before, between and after."""
    strides = strides or (1,) * g.ndim
    padding = [
        # the last element taken stands at start + (length - 1) stride
        (start, size - (start + (n - 1) * stride + 1) if n else size - start, stride - 1)
        for size, n, start, stride in zip(
            operand_aval.shape, g.shape, start_indices, strides, strict=True
        )
    ]
    return lax.pad(g, _zero(g), padding)


linear(lax.slice_p, "operand", operand=_undo_slice)


def _undo_padding(g, padding_config):
    """Takes the operand's elements out from between the padding; negative padding had cut some."""
    low, high, inner = zip(*padding_config, strict=True)
    unpadded = lax.pad(g, _zero(g), [(-a, -b, 0) for a, b in zip(low, high, strict=True)])
    return lax.slice(unpadded, [0] * g.ndim, unpadded.shape, [i + 1 for i in inner])


def _sum_of_padding(g, padding_config):
    inside = _undo_padding(g, padding_config) if g.ndim else g
    every = tuple(range(g.ndim))
    return lax.sub(lax.reduce_sum(g, every), lax.reduce_sum(inside, every))


linear(
    lax.pad_p,
    "operand padding",
    operand=lambda g, padding_config: _undo_padding(g, padding_config) if g.ndim else g,
    padding=_sum_of_padding,
)


def _part(g, index, operands_aval, dimension):
    start = sum(aval.shape[dimension] for aval in operands_aval[:index])
    size = operands_aval[index].shape[dimension]
    return lax.slice_in_dim(g, start, start + size, axis=dimension)


linear(lax.concatenate_p, "*operands", operands=_part)


def _present(gs, out_avals):
    """The cotangents of all outputs: zeros for the absent ones."""
    return [zero_cotangent(aval) if g is None else g for g, aval in zip(gs, out_avals, strict=True)]


linear(
    primitive("split_p"),
    "operand",
    operand=lambda gs, out_avals, axis: lax.concatenate(_present(gs, out_avals), axis),
)

linear(
    primitive("stack_p"),
    "*operands",
    operands=lambda g, index, axis: lax.index_in_dim(g, index, axis, keepdims=False),
)
linear(
    primitive("unstack_p"),
    "operand",
    operand=lambda gs, out_avals, axis: lax.concatenate(
        [lax.expand_dims(g, (axis,)) for g in _present(gs, out_avals)], axis
    ),
)


def _undo_tile(g, operand_aval, reps):
    """Sums over the copies: each axis is taken apart into (copies, length)."""
    shape = operand_aval.shape
    apart = [n for pair in zip(reps, shape, strict=True) for n in pair]
    sharding = cotangent_sharding(operand_aval)
    if sharding is not None:
        spec = sharding.spec
        names = [name for each in spec.partitions for name in (None, each)]
        sharding = sharding.update(spec=spec.update(partitions=names))
    return lax.reduce_sum(lax.reshape(g, apart, out_sharding=sharding), range(0, len(apart), 2))


linear(primitive("tile_p"), "operand", operand=_undo_tile)

# what is chosen by a predicate
linear(
    lax.select_n_p,
    "which *cases",
    cases=lambda g, index, which, cases_aval: lax.select_n(
        which, *[g if i == index else lax.full_like(g, 0) for i in range(len(cases_aval))]
    ),
)
