"""Sorting: what came out at a place, goes back to where it came from.

The way back writes each cotangent once, to a place of its own: a write, where JAX adds to zeros.
"""

import jax
from jax import lax

from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import Recorded, defvjp, register
from funcnn.autodiff.sharding import cotangent_sharding, zeros_for


def _put_back(g, places, like, axis, mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS):
    """`g` at its `places` along `axis` of an array of the type `like`, zeros elsewhere."""
    others = tuple(d for d in range(g.ndim) if d != axis)
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(),
        inserted_window_dims=(axis,),
        scatter_dims_to_operand_dims=(axis,),
        operand_batching_dims=others,
        scatter_indices_batching_dims=others,
    )
    into = zeros_for(g, like)
    places = lax.expand_dims(places, (g.ndim,))
    return lax.scatter(into, places, g, numbers, unique_indices=True, mode=mode)


def _sort(primitive, values, tracked, params):
    axis = params["dimension"]
    like = jax.typeof(values[0])
    sharding = cotangent_sharding(like)
    places = lax.broadcasted_iota("int32", like.shape, axis, out_sharding=sharding)
    *outs, places = primitive.bind(*values, places, **params)

    def backward(places, gs):
        return [
            _put_back(g, places, like, axis) if is_tracked and g is not None else None
            for g, is_tracked in zip(gs, tracked, strict=True)
        ]

    return Recorded(outs, tracked, places, backward)


register(lax.sort_p, _sort)
defvjp(
    primitive("top_k_p"),
    "operand",
    operand=lambda gs, outs, operand_aval, axis: _put_back(gs[0], outs[1], operand_aval, axis),
)
defvjp(
    primitive("approx_top_k_p"),
    "operand",
    # where a device found fewer than it was asked for, the places beyond are out of bounds
    operand=lambda gs, outs, operand_aval, reduction_dimension: _put_back(
        gs[0],
        outs[1],
        operand_aval,
        reduction_dimension % len(operand_aval.shape),
        lax.GatherScatterMode.FILL_OR_DROP,
    ),
)
