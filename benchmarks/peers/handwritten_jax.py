"""Hand-written JAX: shuffle and scan over the minibatches in one jitted call, state donated.

README.md, "The limit", says what made it fast on a CPU, and what did not.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from peers import Peer
from peers.problem import Parameters, Problem


def make(problem: Problem) -> Peer:
    """Kernels (in, out), examples in rows: as most people write it."""

    def logits(parameters, x):
        for kernel, bias in parameters[:-1]:
            x = jax.nn.sigmoid(x @ kernel + bias)
        kernel, bias = parameters[-1]
        return x @ kernel + bias

    return scanned(logits, problem, lambda parameters: parameters)


def make_limit(problem: Problem) -> Peer:
    """Kernels (out, in), examples in columns: the long axis, of pixels, is then contiguous in the
    gradient of the first kernel, and the batch is what the matrix products vectorize over."""

    def logits(parameters, x):
        x = x.T
        for kernel, bias in parameters[:-1]:
            x = jax.nn.sigmoid(kernel @ x + bias[:, None])
        kernel, bias = parameters[-1]
        return (kernel @ x + bias[:, None]).T

    return scanned(logits, problem, lambda parameters: [(k.T, b) for k, b in parameters])


def scanned(
    logits: Callable, problem: Problem, relayout: Callable[[Parameters], Parameters]
) -> Peer:
    """`relayout` turns given parameters into those that `logits` takes, and these back."""
    first_moments, update = OPTIMIZERS[problem.optimizer]
    examples, size = len(problem.labels), problem.batch_size
    images, labels = jnp.asarray(problem.images), jnp.asarray(problem.labels)

    def loss(parameters, x, y):
        scores = logits(parameters, x)
        of_label = jnp.take_along_axis(scores, y[:, None], axis=1)[:, 0]
        return (jax.nn.logsumexp(scores, axis=1) - of_label).mean()

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state, images, labels):
        def step(carry, indices):
            parameters, moments = carry
            value, grads = jax.value_and_grad(loss)(parameters, images[indices], labels[indices])
            return update(parameters, moments, grads, problem.learning_rate), value

        parameters, moments, key = state
        key, subkey = jax.random.split(key)
        order = permutation(subkey, examples)[: examples // size * size].reshape(-1, size)
        (parameters, moments), losses = lax.scan(step, (parameters, moments), order, unroll=2)
        return (parameters, moments, key), losses.mean()

    parameters = jax.tree.map(jnp.array, relayout(problem.parameters))
    state = parameters, first_moments(parameters), jax.random.key(problem.seed)

    def train() -> float:
        nonlocal state
        state, value = epoch(state, images, labels)
        return float(value)

    return Peer(train, lambda: jax.tree.map(np.asarray, relayout(state[0])))


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
