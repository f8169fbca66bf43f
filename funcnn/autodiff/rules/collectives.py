"""What passes between devices, or between the parts of a mapped axis with a name.

Each is linear: what was summed over devices comes back to all of them, what was given to all comes
back as a sum, what was passed on is passed back.
"""

import functools

import jax.numpy as jnp
from jax import lax

from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import linear, no_derivative, zero_derivative


def _undo_psum(g, operand_aval, axes, axis_index_groups):
    """An axis is a name, or the number of one of the array's own, which the sum has removed."""
    names = tuple(axis for axis in axes if not isinstance(axis, int))
    own = [axis for axis in axes if isinstance(axis, int)]
    if own:
        kept = [d for d in range(len(operand_aval.shape)) if d not in own]
        g = lax.broadcast_in_dim(g, operand_aval.shape, kept)
    return lax.psum(g, names, axis_index_groups=axis_index_groups) if names else g


linear(lax.psum_p, "operand", operand=_undo_psum)
# with types that say which values differ between devices, a sum is the same on all of them, and
# "pvary" is what makes a value that is the same one that may differ
linear("psum_invariant", "operand", operand=lambda g, axes: lax.pcast(g, axes, to="varying"))
linear("pvary", "operand", operand=lambda g, axes: lax.psum(g, axes))

linear(
    lax.ppermute_p,
    "operand",
    operand=lambda g, axis_name, perm: lax.ppermute(g, axis_name, [(b, a) for a, b in perm]),
)


def _undo_pbroadcast(g, axis_name, source):
    total = lax.psum(g, axis_name)
    return jnp.where(lax.axis_index(axis_name) == source, total, 0)


linear("pbroadcast", "operand", operand=_undo_pbroadcast)


def _turned_back(g, axis_name, split_axis, concat_axis, axis_index_groups):
    # what comes here has an axis of length 1 where one was added or taken away: always "tiled"
    return lax.all_to_all(
        g, axis_name, concat_axis, split_axis, axis_index_groups=axis_index_groups, tiled=True
    )


linear(lax.all_to_all_p, "operand", operand=_turned_back)
linear(
    lax.all_gather_p,
    "operand",
    operand=lambda g, axis_name, all_gather_dimension, axis_index_groups, tiled: lax.psum_scatter(
        g,
        axis_name,
        scatter_dimension=all_gather_dimension,
        axis_index_groups=axis_index_groups,
        tiled=tiled,
    ),
)
linear(
    "reduce_scatter",
    "operand",
    operand=lambda g, axis_name, scatter_dimension, axis_index_groups, tiled: lax.all_gather(
        g, axis_name, axis_index_groups=axis_index_groups, axis=scatter_dimension, tiled=tiled
    ),
)


def _own_part(g, axis_name, all_gather_dimension, axis_size, tiled):
    """What was gathered is the same on all devices: each takes its own part of the cotangent."""
    size = g.shape[all_gather_dimension] // axis_size
    start = lax.axis_index(axis_name) * size
    part = lax.dynamic_slice_in_dim(g, start, size, axis=all_gather_dimension)
    return part if tiled else lax.squeeze(part, [all_gather_dimension])


linear("all_gather_invariant", "operand", operand=_own_part)


# Rows of the operand are sent, and written over rows of `output`. What was sent comes back the way
# it went: what were the places to read are the places to write, and the other way round.
def _sent_back(g, operand_aval, starts, sizes, into, received, axis_name, axis_index_groups):
    swap = functools.partial(
        lax.all_to_all, axis_name=axis_name, split_axis=0, concat_axis=0, tiled=True
    )
    zeros = lax.full(operand_aval.shape, 0, g.dtype)
    return lax.ragged_all_to_all(
        *(g, zeros, swap(into), received, swap(starts), sizes),
        axis_name=axis_name,
        axis_index_groups=axis_index_groups,
    )


def _not_written_over(g, into, received, axis_name):
    starts = lax.all_to_all(into, axis_name, 0, 0, tiled=True)
    rows = lax.broadcasted_iota(starts.dtype, (g.shape[0], starts.shape[0]), 0)
    over = jnp.any((rows >= starts) & (rows < starts + received), axis=1)
    return jnp.where(over.reshape(-1, *[1] * (g.ndim - 1)), 0, g)


linear(
    lax.ragged_all_to_all_p,
    "operand output starts sizes into received",
    operand=_sent_back,
    output=_not_written_over,
)

no_derivative(
    "where the largest value stands is not passed between the devices; gather the values with "
    "jax.lax.all_gather and take their maximum",
    lax.pmax_p,
    lax.pmin_p,
)
zero_derivative(primitive("axis_index_p"))
