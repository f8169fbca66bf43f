"""The programs of benchmarks/zoo, tiny: gradients and Hessian-vector products equal JAX's."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn

from .agreement import assert_agree

ZOO = Path(__file__).parents[2] / "benchmarks" / "zoo" / "__init__.py"


def load(path):
    """The package there, which is no part of funcnn, under its own name."""
    spec = importlib.util.spec_from_file_location(path.parent.name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


zoo = load(ZOO)


def first_and_second_order(m, loss, direction):
    """Value, gradient, and the Hessian times `direction`."""

    def along(params, *data):
        value, gradient = m.value_and_grad(loss)(params, *data)
        products = jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, direction)
        return jax.tree.reduce(jnp.add, products), (value, gradient)

    def run(params, *data):
        hessian_times, (value, gradient) = m.grad(along, has_aux=True)(params, *data)
        return value, gradient, hessian_times

    return run


# it is compiling that takes the time here, not computing
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
# without jit each operation is compiled alone: one convolutional and one attention network will do
JIT_ONLY = ("residual CNN", "transformer")


@pytest.mark.parametrize("name", zoo.ZOO)
def test_equals_jax(name):
    program = zoo.tiny(name)
    with jax.enable_x64(True):
        arguments = jax.tree.map(in_float64, program.arguments)
        direction = jax.tree.map(np.cos, arguments[0])
        theirs = first_and_second_order(jax, program.for_jax or program.loss, direction)
        ours = first_and_second_order(funcnn, program.loss, direction)

        @partial(jax.jit, compiler_options=QUICKLY)
        def both(*arguments):
            return ours(*arguments), theirs(*arguments)

        found, expected = both(*arguments)
        assert_agree(found, expected, 1e-10, "jit: ")
        if name not in JIT_ONLY:
            found = funcnn.value_and_grad(program.loss)(*arguments)
            assert_agree(found, expected[:2], 1e-10, "eager: ")
        leaves = jax.tree.leaves(expected)
        assert sum(map(np.any, leaves)) > len(leaves) / 2, "most gradients are zero"


@pytest.mark.parametrize(("name", "most"), [("LSTM", 0.6), ("GRU", 0.6), ("CNN", 0.6)])
def test_memory_that_the_gradient_takes(name, most, as_for_users):
    """Of a long loop, of max pooling: as XLA counts it, a part of what that of JAX takes."""
    program = zoo.full(name)
    ours, theirs = (
        jax.jit(m.value_and_grad(program.loss))
        .lower(*program.arguments)
        .compile(as_for_users)
        .memory_analysis()
        for m in (funcnn, jax)
    )
    assert 0 < ours.temp_size_in_bytes <= most * theirs.temp_size_in_bytes


def in_float64(x):
    return jnp.asarray(x, np.float64 if x.dtype == np.float32 else None)
