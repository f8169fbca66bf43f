"""What passes between devices. The tests have eight (conftest.py); two are enough here."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from .case import Variant, case, complex_normal, normal

_PARTS, _WHOLE = P("i"), P()


def _on_two(body, out_specs=_PARTS, check_vma=False):
    mesh = jax.make_mesh((2,), ("i",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    return jax.shard_map(body, mesh=mesh, in_specs=_PARTS, out_specs=out_specs, check_vma=check_vma)


def _closed_over(x, y):
    """Two values come in by the function's closure, each device having all of them."""
    return _on_two(lambda part: part * x[:2] + jnp.sin(y[1:3] * part))(jnp.cos(x))


case(
    "psum",
    all=(_on_two(lambda x: lax.psum(jnp.sin(x), "i") * x), normal(4, 2)),
    whole=(_on_two(lambda x: lax.psum(x * x, "i"), _WHOLE), normal(4)),
    complex=(_on_two(lambda x: lax.psum(x, "i") * x), complex_normal(4)),
    empty=(_on_two(lambda x: lax.psum(x, "i") + x), normal(2, 0)),
)
case(
    "shard_map",
    parts=(_on_two(lambda x: jnp.sin(x) * x), normal(4, 2)),
    checked=(_on_two(lambda x: lax.psum(jnp.exp(x), "i"), _WHOLE, True), normal(4)),
    several=(_on_two(lambda x: (jnp.exp(x) * x, lax.psum(x, "i")), (_PARTS, _WHOLE)), normal(4)),
    closed_over=(_closed_over, *np.linspace(-1, 1, 8).reshape(2, 4)),
)
case(
    "all_gather_invariant",
    tiled=(
        _on_two(
            lambda x: lax.all_gather(jnp.sin(x), "i", tiled=True, to="invarying"), _WHOLE, True
        ),
        np.linspace(-1, 1, 4),
    ),
    stacked=(
        _on_two(lambda x: lax.all_gather(x * x, "i", axis=1, to="invarying"), P(), True),
        np.linspace(-1, 1, 4),
    ),
)
case(
    "ppermute",
    round=(_on_two(lambda x: lax.ppermute(jnp.sin(x), "i", [(0, 1), (1, 0)]) * x), normal(4)),
    one_way=(_on_two(lambda x: lax.ppermute(x, "i", [(0, 1)]) * x + x), normal(4)),
)
case(
    "all_to_all",
    tiled=(_on_two(lambda x: lax.all_to_all(jnp.sin(x), "i", 0, 1, tiled=True)), normal(4, 2)),
    same_axis=(_on_two(lambda x: lax.all_to_all(x * x, "i", 0, 0)), normal(4, 2)),
    # JAX's rule gives a cotangent of another shape
    to_first=Variant(
        _on_two(lambda x: lax.all_to_all(x, "i", 1, 0)), (normal(4, 2),), in_jax=False
    ),
    to_last=Variant(_on_two(lambda x: lax.all_to_all(x, "i", 0, 1)), (normal(4, 2),), in_jax=False),
)
case(
    "all_gather",
    tiled=(_on_two(lambda x: lax.all_gather(x, "i", tiled=True).sum() * x), normal(4, 2)),
    stacked=(_on_two(lambda x: jnp.sin(lax.all_gather(x, "i", axis=1))), normal(4, 2)),
)
case("axis_index", index=(_on_two(lambda x: jnp.sin(x) * lax.axis_index("i")), normal(4)))
