"""Equinox: a model that is a pytree, an `eqx.filter_jit` step, a Python loop.

Minibatches are NumPy arrays: faster here than picking them on the device, in the step or before.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from peers import Peer
from peers.problem import WIDTHS, Problem


class MLP(eqx.Module):
    layers: list[eqx.nn.Linear]

    def __init__(self, key: jax.Array):
        keys = jax.random.split(key, len(WIDTHS) - 1)
        pairs = zip(WIDTHS[:-1], WIDTHS[1:], keys, strict=True)
        self.layers = [eqx.nn.Linear(n, m, key=key) for n, m, key in pairs]

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = jax.nn.sigmoid(layer(x))
        return self.layers[-1](x)


def loss_of(model, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(x), y).mean()


def make(problem: Problem) -> Peer:
    model = eqx.tree_at(
        lambda model: [leaf for layer in model.layers for leaf in (layer.weight, layer.bias)],
        MLP(jax.random.key(problem.seed)),
        [jnp.array(leaf.T) for layer in problem.parameters for leaf in layer],
    )
    optimizer = getattr(optax, problem.optimizer)(problem.learning_rate)
    opt_state = optimizer.init(eqx.filter(model, eqx.is_array))

    @eqx.filter_jit
    def step(model, opt_state, x, y):
        loss, grads = eqx.filter_value_and_grad(loss_of)(model, x, y)
        updates, opt_state = optimizer.update(grads, opt_state, model)
        return eqx.apply_updates(model, updates), opt_state, loss

    rng = np.random.default_rng(problem.seed)

    def epoch() -> float:
        nonlocal model, opt_state
        order = rng.permutation(len(problem.labels))
        losses = []
        for i in range(0, len(order) - problem.batch_size + 1, problem.batch_size):
            batch = order[i : i + problem.batch_size]
            x, y = problem.images[batch], problem.labels[batch]
            model, opt_state, loss = step(model, opt_state, x, y)
            losses.append(loss)
        return float(np.mean(jax.device_get(losses)))

    def parameters():
        return [(np.asarray(layer.weight).T, np.asarray(layer.bias)) for layer in model.layers]

    return Peer(epoch, parameters)
