"""The Python loop around a jitted, donated step that users of functional libraries write."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from peers import Peer
from peers.problem import Problem


def looped(apply: Callable, params: Any, problem: Problem) -> Peer:
    """`apply(params, x)` gives logits."""
    optimizer = getattr(optax, problem.optimizer)(problem.learning_rate)
    opt_state = optimizer.init(params)

    def loss_of(params, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train_step(params, opt_state, x, y):
        loss, grads = jax.value_and_grad(loss_of)(params, x, y)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    def step(x, y):
        nonlocal params, opt_state
        params, opt_state, loss = train_step(params, opt_state, x, y)
        return loss

    return over_batches(
        step, problem, lambda x, y: train_step.lower(params, opt_state, x, y).compile()
    )


def over_batches(step: Callable, problem: Problem, compile_for: Callable) -> Peer:
    """`step(x, y)` takes a step and gives the loss, which nobody waits for before the epoch's end.

    Minibatches are NumPy arrays: faster on a CPU than picking them on the device.
    """
    size = problem.batch_size
    rng = np.random.default_rng(problem.seed)
    first = jnp.asarray(problem.images[:size]), jnp.asarray(problem.labels[:size])

    def epoch() -> float:
        order = rng.permutation(len(problem.labels))
        losses = []
        for i in range(0, len(order) - size + 1, size):
            batch = order[i : i + size]
            losses.append(step(problem.images[batch], problem.labels[batch]))
        return float(np.mean(jax.device_get(losses)))

    return Peer(epoch, lambda: float(step(*first)), lambda: compile_for(*first))
