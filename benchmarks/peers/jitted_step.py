"""The Python loop around a jitted, donated step that users of functional libraries write."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from peers import Peer
from peers.problem import Parameters, Problem


def looped(
    apply: Callable, params: Any, problem: Problem, as_parameters: Callable[[Any], Parameters]
) -> Peer:
    """`apply(params, x)` gives logits; minibatches are NumPy arrays, the fastest way here."""
    optimizer = getattr(optax, problem.optimizer)(problem.learning_rate)
    opt_state = optimizer.init(params)

    def loss_of(params, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, opt_state, x, y):
        loss, grads = jax.value_and_grad(loss_of)(params, x, y)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    rng = np.random.default_rng(problem.seed)

    def epoch() -> float:
        nonlocal params, opt_state
        order = rng.permutation(len(problem.labels))
        losses = []
        for i in range(0, len(order) - problem.batch_size + 1, problem.batch_size):
            batch = order[i : i + problem.batch_size]
            x, y = problem.images[batch], problem.labels[batch]
            params, opt_state, loss = step(params, opt_state, x, y)
            losses.append(loss)
        return float(np.mean(jax.device_get(losses)))

    return Peer(epoch, lambda: jax.tree.map(np.asarray, as_parameters(params)))
