"""Flax NNX: modules that hold their parameters, a jitted train step, a Python loop.

The data is on the device, and the step picks its minibatch: faster here than indexing outside.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from peers import Peer
from peers.problem import WIDTHS, Problem


class MLP(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        pairs = itertools.pairwise(WIDTHS)
        self.layers = nnx.List([nnx.Linear(*pair, rngs=rngs) for pair in pairs])

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = nnx.sigmoid(layer(x))
        return self.layers[-1](x)


def loss_of(model, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


@nnx.jit
def train_step(model, optimizer, images, labels, indices):
    loss, grads = nnx.value_and_grad(loss_of)(model, images[indices], labels[indices])
    optimizer.update(model, grads)
    return loss


def make(problem: Problem) -> Peer:
    """The loop of Flax's own tutorials."""
    model, optimizer = built(problem)

    def step(*batch):
        return train_step(model, optimizer, *batch)

    return looped(step, model, problem)


def make_cached(problem: Problem) -> Peer:
    """What Flax's guide on performance recommends for small models."""
    model, optimizer = built(problem)
    return looped(nnx.cached_partial(train_step, model, optimizer), model, problem)


def built(problem: Problem) -> tuple[MLP, nnx.Optimizer]:
    model = MLP(nnx.Rngs(problem.seed))
    for layer, (kernel, bias) in zip(model.layers, problem.parameters, strict=True):
        layer.kernel[...], layer.bias[...] = jnp.array(kernel), jnp.array(bias)
    transformation = getattr(optax, problem.optimizer)(problem.learning_rate)
    return model, nnx.Optimizer(model, transformation, wrt=nnx.Param)


def looped(step: Callable, model: MLP, problem: Problem) -> Peer:
    images, labels = jnp.asarray(problem.images), jnp.asarray(problem.labels)
    rng = np.random.default_rng(problem.seed)

    def epoch() -> float:
        order = rng.permutation(len(labels)).astype(np.int32)
        starts = range(0, len(order) - problem.batch_size + 1, problem.batch_size)
        losses = [step(images, labels, order[i : i + problem.batch_size]) for i in starts]
        return float(np.mean(jax.device_get(losses)))

    def parameters():
        return [
            (np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])) for layer in model.layers
        ]

    return Peer(epoch, parameters)
