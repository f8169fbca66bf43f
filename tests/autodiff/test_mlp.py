"""Multilayer perceptrons of one to six layers: every parameter's gradient is that of `jax.grad`.

An error is relative to the largest magnitude in its leaf (kernel or bias).
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn

from .agreement import assert_agree
from .modes import traced

ACTIVATIONS = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "linear": lambda z: z,
}
INPUTS, HIDDEN, CLASSES = 7, 9, 4


def init(depth, dtype):
    rng = np.random.default_rng(depth)
    sizes = [INPUTS, *[HIDDEN] * (depth - 1), CLASSES]
    return [
        {
            "kernel": np.asarray(rng.normal(size=(n, m)) / np.sqrt(n), dtype),
            "bias": np.asarray(rng.normal(size=m) / 10, dtype),
        }
        for n, m in itertools.pairwise(sizes)
    ]


def scores(params, x, activation):
    *hidden, last = params
    for layer in hidden:
        x = activation(x @ layer["kernel"] + layer["bias"])
    return x @ last["kernel"] + last["bias"]


def cross_entropy(params, x, labels, activation):
    log_probabilities = jax.nn.log_softmax(scores(params, x, activation))
    return -jnp.mean(jnp.sum(jax.nn.one_hot(labels, CLASSES) * log_probabilities, axis=-1))


def quadratic(params, x, labels, activation):
    predictions = activation(scores(params, x, activation))
    return jnp.mean(jnp.sum((predictions - jax.nn.one_hot(labels, CLASSES)) ** 2, axis=-1)) / 2


def all_gradients(m, way, depth, activation, dtype):
    """Of both losses, for a batch and for a single example."""
    xs = np.asarray(np.random.default_rng(1).normal(size=(5, INPUTS)), dtype)
    labels = np.arange(5) % CLASSES

    def compute(params, xs, labels):
        return {
            (loss.__name__, size): m.value_and_grad(loss)(params, x, y, ACTIVATIONS[activation])
            for loss in (cross_entropy, quadratic)
            for size, x, y in (("batch", xs, labels), ("single", xs[0], labels[0]))
        }

    return way(compute)(init(depth, dtype), xs, labels)


def tolerance(dtype):
    return 1e-12 if dtype is np.float64 else 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", range(1, 7))
def test_gradients_of_mlps(depth, activation, dtype):
    with jax.enable_x64(dtype is np.float64):
        ours, theirs = (all_gradients(m, traced, depth, activation, dtype) for m in (funcnn, jax))
        assert_agree(ours, theirs, tolerance(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("depth", "activation"), [(1, "sigmoid"), (3, "gelu"), (6, "relu")])
def test_compiled(depth, activation, dtype):
    with jax.enable_x64(dtype is np.float64):
        ours, theirs = (all_gradients(m, jax.jit, depth, activation, dtype) for m in (funcnn, jax))
        assert_agree(ours, theirs, tolerance(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("depth", [1, 3, 6])
def test_eagerly_and_by_example(depth, dtype):
    """Without jit; and under vmap one gradient for each example, whose mean is the batch's."""
    rtol = tolerance(dtype)
    with jax.enable_x64(dtype is np.float64):
        params = init(depth, dtype)
        xs = np.asarray(np.random.default_rng(1).normal(size=(5, INPUTS)), dtype)
        labels = np.arange(5) % CLASSES
        loss = lambda params, x, y: cross_entropy(params, x, y, jnp.tanh)
        ours = funcnn.grad(loss)(params, xs, labels)
        assert_agree(ours, jax.grad(loss)(params, xs, labels), rtol)
        by_example = jax.vmap(funcnn.grad(loss), in_axes=(None, 0, 0))(params, xs, labels)
        assert_agree(jax.tree.map(lambda g: g.mean(0), by_example), ours, 2 * rtol)
