"""Where the parts of an array are, as far as its type says so: on mesh axes that are explicit.

There every operation must be able to tell how its result is sharded. A cotangent is sharded as the
value it belongs to; what JAX's rules of propagation would make of it need not be that.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec


def cotangent_sharding(aval: Any, beside: Any = None) -> NamedSharding | None:
    """How cotangents of a value of this type are sharded. None: the type does not say.

    What was made before the mesh was set is whole on every device, if it is to stand `beside` a
    value that is sharded.
    """
    if aval.sharding.mesh.explicit_axes:
        return aval.to_ct_aval().sharding
    if beside is None or not (mesh := jax.typeof(beside).sharding.mesh).explicit_axes:
        return None
    return NamedSharding(mesh, PartitionSpec(*[None] * len(aval.shape)))


def of_axes(sharding: NamedSharding | None, axes: Sequence[int]) -> NamedSharding | None:
    """The sharding of an array that has only these of the axes, in this order."""
    if sharding is None:
        return None
    spec = sharding.spec
    return sharding.update(spec=spec.update(partitions=[spec.partitions[d] for d in axes]))


def reshaped(g: Any, aval: Any) -> Any:
    """`g` in the shape of a value, and sharded as cotangents of it are."""
    sharding = cotangent_sharding(aval)
    if g.shape == aval.shape and (sharding is None or sharding == jax.typeof(g).sharding):
        return g
    return lax.reshape(g, aval.shape, out_sharding=sharding)


def zeros_for(g: Any, aval: Any) -> Any:
    """Zeros to write the cotangent `g` into, for a value of this type."""
    return lax.full(aval.shape, 0, g.dtype, sharding=cotangent_sharding(aval, beside=g))
