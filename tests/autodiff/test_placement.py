"""Primitives that say where or how a value stands, which rule_cases cannot reach: by name only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jax.experimental.pallas import tpu as pallas_tpu
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.sharding import AxisType, NamedSharding, PartitionSpec, reshard

import funcnn

from .agreement import assert_agree

X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
MESH = jax.make_mesh((1,), ("i",), (AxisType.Explicit,), devices=jax.devices()[:1])


def to_host_and_back(x):
    """Eagerly only: what is computed under `jit` in host memory has to be there as a whole."""
    return (
        jax.device_put(
            jnp.sin(jax.device_put(x * x, jax.memory.Space.Host)), jax.memory.Space.Device
        )
        * x
    )


PLACED = {
    "layout_constraint": lambda x: with_layout_constraint(x * x, Layout((1, 0))) * x,
    "xla_metadata_value": lambda x: set_xla_metadata(x * x, kind="square") * x,
    "reshard": lambda x: reshard(x * x, PartitionSpec("i")) * reshard(x, PartitionSpec("i")),
    "device_put": to_host_and_back,
}


@pytest.mark.parametrize("name", PLACED)
def test_as_in_jax(name):
    f = lambda x: jnp.sum(PLACED[name](x) * jnp.arange(4.0).reshape(2, 2))
    twice = lambda grad: grad(lambda x: jnp.sum(grad(f)(x) * x))
    with jax.set_mesh(MESH):
        assert name in {str(eqn.primitive) for eqn in jax.make_jaxpr(f)(X).eqns}
        expected = jax.grad(f)(X)
        assert_agree(funcnn.grad(f)(X), expected, 1e-6)
        # JAX itself fails under jit where a cotangent has to leave the host's memory
        assert_agree(jax.jit(funcnn.grad(f))(X), expected, 1e-6)
        if name != "device_put":
            assert_agree(twice(funcnn.grad)(X), twice(jax.grad)(X), 1e-6)


def how_often(name, fun, *args):
    """How many equations of this primitive `fun` makes."""
    return [str(eqn.primitive) for eqn in jax.make_jaxpr(fun)(*args).eqns].count(name)


@pytest.mark.parametrize("name", ["layout_constraint", "reshard"])
def test_cotangents_are_placed_too(name):
    f = lambda x: jnp.sum(PLACED[name](x))
    with jax.set_mesh(MESH):
        assert how_often(name, funcnn.grad(f), X) == 2 * how_often(name, f, X) > 0


def test_cotangents_are_under_the_same_constraint():
    """Of a sharding and of a kind of memory. JAX 0.10 has no derivative of the second."""
    mesh = jax.make_mesh((2,), ("i",), (AxisType.Auto,), devices=jax.devices()[:2])
    sharded = lambda x: lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec("i")))
    in_memory = lambda x: pallas_tpu.with_memory_space_constraint(x, pallas_tpu.HBM)
    for name, f in (
        ("sharding_constraint", sharded),
        ("with_memory_space_constraint", in_memory),
    ):
        pulled = lambda x, g, f=f: funcnn.vjp(f, x)[1](g)
        assert how_often(name, pulled, X, X) == 2
        assert_agree(jax.jit(pulled)(X, 2 * X), (2 * X,), 0)


def test_a_value_that_is_tied_to_another():
    """JAX binds the primitive nowhere in public: another one of its name has its rule."""
    tie = Primitive("tie")
    tie.def_impl(lambda first, second: second)
    tie.def_abstract_eval(lambda first, second: second)
    ours = funcnn.vjp(lambda x, y: tie.bind(x, jnp.sin(y)), X, 2 * X)[1](X)
    assert_agree(ours, (0 * X, X * jnp.cos(2 * X)), 1e-6)


def test_a_value_that_is_given_away():
    """JAX raises an error."""
    f = lambda x: jnp.sum(jax.device_put(x * x, donate=True))
    assert_agree(funcnn.grad(f)(X), 2 * X, 1e-6)
