"""Flax NNX: modules that hold their parameters, a jitted train step, a Python loop.

The data is on the device, and the step picks its minibatch: faster here than indexing outside.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from peers import Peer, networks
from peers.problem import Problem


def make(problem: Problem) -> Peer:
    """The loop of Flax's own tutorials."""
    model, optimizer = built(problem)
    step = nnx.jit(train_step)
    return looped(partial(step, model, optimizer), partial(step.lower, model, optimizer), problem)


def make_partial(problem: Problem) -> Peer:
    """The fastest that Flax has for small models: model and optimizer flattened once."""
    model, optimizer = built(problem)
    step = nnx.jit_partial(train_step, model, optimizer, graph=False)
    return looped(step, partial(nnx.jit(train_step).lower, model, optimizer), problem)


def train_step(model, optimizer, images, labels, indices):
    loss, grads = nnx.value_and_grad(loss_of)(model, images[indices], labels[indices])
    optimizer.update(model, grads)
    return loss


def loss_of(model, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


def built(problem: Problem) -> tuple[nnx.Module, nnx.Optimizer]:
    rngs = nnx.Rngs(problem.seed)
    layers = [
        layer_of(layer, given, rngs)
        for layer, given in zip(problem.network.layers, problem.parameters, strict=True)
    ]
    model = nnx.Sequential(*layers)
    transformation = getattr(optax, problem.optimizer)(problem.learning_rate)
    return model, nnx.Optimizer(model, transformation, wrt=nnx.Param)


def looped(step: Callable, lower: Callable, problem: Problem) -> Peer:
    images, labels = jnp.asarray(problem.images), jnp.asarray(problem.labels)
    rng = np.random.default_rng(problem.seed)
    first = np.arange(problem.batch_size, dtype=np.int32)

    def epoch() -> float:
        order = rng.permutation(len(labels)).astype(np.int32)
        starts = range(0, len(order) - problem.batch_size + 1, problem.batch_size)
        losses = [step(images, labels, order[i : i + problem.batch_size]) for i in starts]
        return float(np.mean(jax.device_get(losses)))

    return Peer(
        epoch,
        lambda: float(step(images, labels, first)),
        lambda: lower(images, labels, first).compile(),
    )


class LSTM(nnx.Module):
    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(inputs, outputs, rngs=rngs), rngs=rngs)

    def __call__(self, x):
        return self.rnn(x)[:, -1]


class Positions(nnx.Module):
    def __init__(self, embedding: np.ndarray):
        self.embedding = nnx.Param(jnp.array(embedding))

    def __call__(self, x):
        return x + self.embedding


class Block(nnx.Module):
    def __init__(self, features: int, heads: int, rngs: nnx.Rngs):
        norm = partial(nnx.LayerNorm, features, epsilon=networks.NORM_EPSILON, rngs=rngs)
        self.norm_1, self.norm_2 = norm(), norm()
        self.attention = nnx.MultiHeadAttention(heads, features, decode=False, rngs=rngs)
        self.expand = nnx.Linear(features, 4 * features, rngs=rngs)
        self.contract = nnx.Linear(4 * features, features, rngs=rngs)

    def __call__(self, x):
        h = x + self.attention(self.norm_1(x))
        return h + self.contract(nnx.relu(self.expand(self.norm_2(h))))


def layer_of(layer: networks.Layer, given: dict[str, Any], rngs: nnx.Rngs) -> Callable:
    match layer:
        case networks.Dense(inputs, outputs):
            return filled(nnx.Linear(inputs, outputs, rngs=rngs), given)
        case networks.Conv(inputs, outputs):
            return filled(nnx.Conv(inputs, outputs, (3, 3), rngs=rngs), given)
        case networks.Flatten():
            return lambda x: x.reshape(len(x), -1)
        case networks.LSTM(inputs, outputs):
            lstm = LSTM(inputs, outputs, rngs)
            filled(lstm.rnn.cell.dense_i, {"kernel": given["kernel"]})
            recurrent = {"kernel": given["recurrent_kernel"], "bias": given["bias"]}
            filled(lstm.rnn.cell.dense_h, recurrent)
            return lstm
        case networks.Positions():
            return Positions(given["embedding"])
        case networks.Block(features, heads):
            block = Block(features, heads, rngs)
            for name, part in given.items():
                filled(getattr(block, name, None) or getattr(block.attention, name), part)
            return block
        case "sigmoid":
            return nnx.sigmoid
        case "relu":
            return nnx.relu
        case "max pool":
            return partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
        case "mean":
            return partial(jnp.mean, axis=1)


def filled(module: nnx.Module, given: dict[str, np.ndarray]) -> nnx.Module:
    """Attention's parameters have the heads in an axis of their own."""
    for name, array in given.items():
        param = getattr(module, name)
        param[...] = jnp.array(array).reshape(param.shape)
    return module
