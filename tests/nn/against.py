"""Layers and their gradients by funcnn, against those of Flax and their gradients by JAX."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import funcnn

KEY = jax.random.key(0)

# most of the time of a test of small arrays is the compiler's
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def x_of(*shape, dtype=np.float32, seed=0):
    """Normal numbers, in NumPy: what a test expects of them is then computed without compiling."""
    return np.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


class Pair(NamedTuple):
    """The same function of params and x, by funcnn and by someone else."""

    ours: Any
    theirs: Any
    params: Any
    x: Any


def params_of(layer, x):
    """Random numbers in the shapes of a layer's params, so that no bias or scale is 0 or 1."""
    params, state = jax.eval_shape(layer.init, KEY, x)
    assert not jax.tree.leaves(state)
    leaves, structure = jax.tree.flatten(params)
    return structure.unflatten(
        [x_of(*a.shape, dtype=a.dtype, seed=i + 1) for i, a in enumerate(leaves)]
    )


def with_flax(layer, make_module, x):
    """A layer, and the Flax module that `make_module(rngs)` gives, with the same params."""

    def theirs(params, x):
        module = make_module(nnx.Rngs(0))
        for name, value in params.items():
            assert getattr(module, name).shape == value.shape
            setattr(module, name, nnx.Param(value))
        return module(x)

    return Pair(layer, theirs, params_of(layer, x), x)


def expect_same(*pairs, rtol=1e-5, atol=1e-5):
    """Values, and gradients of ours by funcnn, are those of theirs by JAX; all in one program."""

    @quick_jit
    def run(inputs):
        results = []
        for pair, (params, x) in zip(pairs, inputs, strict=True):
            y, pull = funcnn.vjp(pair.ours, params, x)
            upstream = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
            y_theirs, pull_theirs = jax.vjp(pair.theirs, params, x)
            results.append(((y, pull(upstream)), (y_theirs, pull_theirs(upstream))))
        return results

    for pair, (ours, theirs) in zip(pairs, run([p[2:] for p in pairs]), strict=True):
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"{pair.ours}")
