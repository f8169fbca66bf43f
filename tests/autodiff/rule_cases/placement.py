"""Primitives that say where, when or under which name a value stands."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from .case import case, complex_normal, normal

case(
    "copy",
    matrix=(lambda x: jnp.array(x, copy=True), normal(2, 3)),
    scalar=(lambda x: jnp.array(x, copy=True), normal()),
    empty=(lambda x: jnp.array(x, copy=True), normal(0, 2)),
    complex=(lambda x: jnp.array(x, copy=True), complex_normal(3)),
)
case(
    "name",
    matrix=(lambda x: checkpoint_name(x * x, "a") * x, normal(2, 3)),
    scalar=(lambda x: checkpoint_name(x, "a"), normal()),
    complex=(lambda x: checkpoint_name(x, "a") * x, complex_normal(3)),
    empty=(lambda x: checkpoint_name(x, "a"), normal(0, 2)),
)

_mesh = jax.make_mesh((1,), ("i",), (AxisType.Auto,), devices=jax.devices()[:1])
_everywhere = NamedSharding(_mesh, PartitionSpec())
_placed = lambda x: lax.with_sharding_constraint(x, _everywhere)
case(
    "sharding_constraint",
    matrix=(lambda x: _placed(x * x) * x, normal(2, 3)),
    scalar=(_placed, normal()),
    empty=(_placed, normal(0, 2)),
)
case(
    "device_put",
    matrix=(lambda x: jax.device_put(x * x, jax.devices()[0]) * x, normal(2, 3)),
    scalar=(jax.device_put, normal()),
    several=(lambda x, y: jax.device_put((x * y, y, 2)), normal(3), normal(3)),
    one_of_several=(lambda x, y: jax.device_put((x * y, y, 2))[1], normal(3), normal(3)),
    sharded=(lambda x: jax.device_put(x, _everywhere) * x, normal(3)),
    empty=(jax.device_put, normal(0, 2)),
    copied=(lambda x: jax.device_put(x, may_alias=False) * x, normal(3)),
)
case("stage", x=(lambda x: lax.stage(x) * x, np.linspace(-1, 1, 3)))
case(
    "optimization_barrier",
    one=(lambda x: lax.optimization_barrier(x * x) * x, normal(2, 3)),
    several=(
        lambda x, y, i: lax.optimization_barrier((x * y, i, y)),
        normal(3),
        normal(),
        np.int32(3),
    ),
    one_of_several=(lambda x, y: lax.optimization_barrier((x * y, y))[1], normal(3), normal()),
    # cotangents of the others are absent
    constant=(lambda x: lax.optimization_barrier((x, np.ones(3, x.dtype))), normal(3)),
    complex=(lax.optimization_barrier, complex_normal(3)),
    empty=(lax.optimization_barrier, normal(0, 2)),
)
if hasattr(lax, "dce_sink_p"):

    def _kept(x):
        lax.dce_sink_p.bind(x * x, prevent_mlir_dce=False)
        return x * x

    case("dce_sink", matrix=(_kept, np.linspace(-1, 1, 6).reshape(2, 3)))
