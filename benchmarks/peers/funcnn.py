"""funcnn: one compiled program an epoch."""

import jax
import jax.numpy as jnp
import numpy as np

import funcnn
from funcnn import losses, nn, optim, train
from peers import Peer
from peers.problem import WIDTHS, Problem

OPTIMIZERS = {"sgd": optim.sgd, "adam": optim.adam}


def make(problem: Problem) -> Peer:
    hidden = [layer for width in WIDTHS[1:-1] for layer in (nn.dense(width), jax.nn.sigmoid)]
    model = nn.serial(*hidden, nn.dense(WIDTHS[-1]))
    loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    optimizer = OPTIMIZERS[problem.optimizer](problem.learning_rate)
    step = train.make_step(loss, optimizer, grad=funcnn.value_and_grad)
    epoch = train.make_epoch(step, problem.batch_size, drop_remainder=True)

    images, labels = jnp.asarray(problem.images), jnp.asarray(problem.labels)
    state = train.init(jax.random.key(problem.seed), model, optimizer, images)
    given = iter(problem.parameters)
    # an activation's parameters are an empty tuple
    state = state._replace(
        params=tuple(
            dict(zip(("kernel", "bias"), map(jnp.array, next(given)), strict=True)) if layer else ()
            for layer in state.params
        )
    )

    def run() -> float:
        nonlocal state
        state, metrics = epoch(state, (images, labels))
        return float(metrics["loss"])

    def parameters():
        return [
            (np.asarray(layer["kernel"]), np.asarray(layer["bias"]))
            for layer in state.params
            if layer
        ]

    return Peer(run, parameters)
