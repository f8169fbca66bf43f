"""Primitives that say where or how a value stands, which rule_cases cannot reach: by name only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.layout import Layout, with_layout_constraint
from jax.experimental.xla_metadata import set_xla_metadata
from jax.sharding import AxisType, PartitionSpec, reshard

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


@pytest.mark.parametrize("name", ["layout_constraint", "reshard"])
def test_cotangents_are_placed_too(name):
    with jax.set_mesh(MESH):
        eqns = jax.make_jaxpr(funcnn.grad(lambda x: jnp.sum(PLACED[name](x))))(X).eqns
    there = [eqn for eqn in eqns if str(eqn.primitive) == name]
    forward = 2 if name == "reshard" else 1
    assert len(there) == 2 * forward


def test_a_value_that_is_given_away():
    """JAX raises an error."""
    f = lambda x: jnp.sum(jax.device_put(x * x, donate=True))
    assert_agree(funcnn.grad(f)(X), 2 * X, 1e-6)
