"""Hand-written JAX: shuffle and scan over the minibatches in one jitted call, state donated.

With convolutions on a CPU it is a Python loop instead: there XLA computes the convolutions of
`jax.grad` many times slower inside of a loop.

README.md, "The limit", says what made it fast on a CPU, and what did not.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from peers import LeftOut, Peer, jitted_step, networks
from peers.problem import Problem


def make(problem: Problem) -> Peer:
    """Kernels (in, out), examples in rows: as most people write it."""

    def logits(parameters, x):
        for layer, given in zip(problem.network.layers, parameters, strict=True):
            x = applied(layer, given, x)
        return x

    convolutions = any(isinstance(layer, networks.Conv) for layer in problem.network.layers)
    trained = looped if convolutions and jax.default_backend() == "cpu" else scanned
    return trained(logits, problem, jax.tree.map(jnp.array, problem.parameters))


def make_limit(problem: Problem) -> Peer:
    """Kernels (out, in), examples in columns: the long axis, of pixels, is then contiguous in the
    gradient of the first kernel, and the batch is what the matrix products vectorize over."""
    layers = problem.network.layers
    if not all(isinstance(layer, networks.Dense | str) for layer in layers):
        raise LeftOut("found for dense layers only")

    def logits(parameters, x):
        x = x.T
        for layer, given in zip(layers, parameters, strict=True):
            dense = isinstance(layer, networks.Dense)
            x = given["kernel"] @ x + given["bias"][:, None] if dense else ACTIVATIONS[layer](x)
        return x.T

    parameters = [
        {**given, "kernel": given["kernel"].T} if given else given for given in problem.parameters
    ]
    return scanned(logits, problem, jax.tree.map(jnp.array, parameters))


ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}


def applied(layer: networks.Layer, given: dict[str, Any], x: jax.Array) -> jax.Array:
    match layer:
        case networks.Dense():
            return x @ given["kernel"] + given["bias"]
        case networks.Conv():
            dimensions = ("NHWC", "HWIO", "NHWC")
            return (
                lax.conv_general_dilated(
                    x, given["kernel"], (1, 1), "SAME", dimension_numbers=dimensions
                )
                + given["bias"]
            )
        case networks.Flatten():
            return x.reshape(len(x), -1)
        case networks.LSTM():
            return lstm(given, x)
        case networks.Positions():
            return x + given["embedding"]
        case networks.Block(_, heads):
            return block(given, heads, x)
        case "max pool":
            # the gradient is several times faster than that of lax.reduce_window
            n, height, width, channels = x.shape
            return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))
        case "mean":
            return x.mean(axis=1)
        case _:
            return ACTIVATIONS[layer](x)


def lstm(given: dict[str, Any], x: jax.Array) -> jax.Array:
    """All inputs times their kernel at once; what is left is scanned over time."""

    def step(carry, z):
        c, h = carry
        i, f, g, o = jnp.split(z + h @ given["recurrent_kernel"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (c, jax.nn.sigmoid(o) * jnp.tanh(c)), None

    zeros = jnp.zeros((len(x), len(given["recurrent_kernel"])))
    z = x.swapaxes(0, 1) @ given["kernel"] + given["bias"]
    (_, h), _ = lax.scan(step, (zeros, zeros), z)
    return h


def block(given: dict[str, Any], heads: int, x: jax.Array) -> jax.Array:
    def dense(name, x):
        return x @ given[name]["kernel"] + given[name]["bias"]

    def norm(name, x):
        centered = x - x.mean(-1, keepdims=True)
        variance = (centered**2).mean(-1, keepdims=True)
        scaled = centered * lax.rsqrt(variance + networks.NORM_EPSILON)
        return scaled * given[name]["scale"] + given[name]["bias"]

    y = norm("norm_1", x)
    q, k, v = (
        dense(name, y).reshape(*x.shape[:2], heads, -1) for name in ("query", "key", "value")
    )
    weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1]))
    h = x + dense("out", jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape))
    return h + dense("contract", jax.nn.relu(dense("expand", norm("norm_2", h))))


def stepped(logits: Callable, problem: Problem) -> Callable:
    """A step from (parameters, moments) and a minibatch to those after it, and the loss."""
    _, update = OPTIMIZERS[problem.optimizer]

    def loss(parameters, x, y):
        scores = logits(parameters, x)
        of_label = jnp.take_along_axis(scores, y[:, None], axis=1)[:, 0]
        return (jax.nn.logsumexp(scores, axis=1) - of_label).mean()

    def step(carry, x, y):
        parameters, moments = carry
        value, grads = jax.value_and_grad(loss)(parameters, x, y)
        return update(parameters, moments, grads, problem.learning_rate), value

    return step


def looped(logits: Callable, problem: Problem, parameters: Any) -> Peer:
    first_moments, _ = OPTIMIZERS[problem.optimizer]
    jitted = jax.jit(stepped(logits, problem), donate_argnums=0)
    carry = parameters, first_moments(parameters)

    def step(x, y):
        nonlocal carry
        carry, value = jitted(carry, x, y)
        return value

    return jitted_step.over_batches(step, problem, lambda x, y: jitted.lower(carry, x, y).compile())


def scanned(logits: Callable, problem: Problem, parameters: Any) -> Peer:
    first_moments, _ = OPTIMIZERS[problem.optimizer]
    examples, size = len(problem.labels), problem.batch_size
    images, labels = jnp.asarray(problem.images), jnp.asarray(problem.labels)
    first = images[:size], labels[:size]
    step = stepped(logits, problem)

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state, images, labels):
        carry, key = state
        key, subkey = jax.random.split(key)
        order = permutation(subkey, examples)[: examples // size * size].reshape(-1, size)
        carry, losses = lax.scan(
            lambda carry, indices: step(carry, images[indices], labels[indices]),
            carry,
            order,
            unroll=2,
        )
        return (carry, key), losses.mean()

    jitted = jax.jit(step, donate_argnums=0)
    state = (parameters, first_moments(parameters)), jax.random.key(problem.seed)

    def train() -> float:
        nonlocal state
        state, value = epoch(state, images, labels)
        return float(value)

    def one_step() -> float:
        nonlocal state
        carry, value = jitted(state[0], *first)
        state = carry, state[1]
        return float(value)

    return Peer(train, one_step, lambda: jitted.lower(state[0], *first).compile())


def permutation(key: jax.Array, n: int) -> jax.Array:
    """A random permutation of 0..n-1, much faster on a CPU than `jax.random.permutation`.

    Sorting one array is quicker there than sorting indices along with random keys, so the index
    fills the low bits of each key. Equal random bits leave two indices in order, which the rounds
    make as rare as in `jax.random.permutation`: a pair ties in all with probability n^-3.
    """
    index_bits = (n - 1).bit_length()
    rounds = math.ceil(3 * math.log2(n) / (32 - index_bits))
    mask = np.uint32(2**index_bits - 1)
    indices = lax.iota(jnp.uint32, n)
    order = indices
    for bits in jax.random.bits(key, (rounds, n)):
        order = order[lax.sort(bits & ~mask | indices) & mask]
    return order


def no_moments(parameters):
    return ()


def sgd(parameters, moments, grads, rate):
    return jax.tree.map(lambda p, g: p - rate * g, parameters, grads), moments


def adam_moments(parameters):
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), jnp.int32)


def adam(parameters, moments, grads, rate, b1=0.9, b2=0.999, epsilon=1e-8):
    first, second, count = moments
    count += 1
    first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, first, grads)
    second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, second, grads)
    scale1, scale2 = 1 / (1 - b1**count), 1 / (1 - b2**count)

    def stepped(p, m, v):
        return p - rate * (m * scale1) / (jnp.sqrt(v * scale2) + epsilon)

    return jax.tree.map(stepped, parameters, first, second), (first, second, count)


OPTIMIZERS = {"sgd": (no_moments, sgd), "adam": (adam_moments, adam)}
