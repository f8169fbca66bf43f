"""One step of training: a pure function from state and batch to state and metrics."""

from collections.abc import Callable
from typing import Any

import jax

from funcnn.autodiff import value_and_grad
from funcnn.optim import GradientTransformation, apply_updates
from funcnn.train.objective import Loss, named
from funcnn.train.state import TrainState

Step = Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]


def make_step(
    loss: Loss, optimizer: GradientTransformation, grad: Callable[..., Any] = value_and_grad
) -> Step:
    """The step w ← w − α∇ in full: gradient of the loss, the optimizer's update, the new state.

    Args:
      loss: see `funcnn.train.Loss`.
      optimizer: funcnn's or optax's.
      grad: the gradient transform: `funcnn.value_and_grad`, or `jax.value_and_grad`.

    Returns:
      ``step(state, batch) -> (state, metrics)``, to be compiled by `jax.jit`, scanned, or called as
      it is. `metrics` holds the loss before the step under "loss", and the loss's own metrics.

    Example: one step on a quadratic, written by hand:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import optim, train
    >>> def loss(params, state, batch, key):
    ...     return jnp.mean((params - batch) ** 2), (state, {})
    >>> optimizer = optim.sgd(0.25)
    >>> w = jnp.array(4.0)
    >>> state = train.TrainState(w, (), optimizer.init(w), jax.random.key(0), jnp.int32(0))
    >>> state, metrics = train.make_step(loss, optimizer)(state, jnp.array([0.0]))
    >>> float(state.params), float(metrics["loss"]), int(state.step)
    (2.0, 16.0, 1)

    Source: decks A to E, row 31.
    """

    def step(state: TrainState, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        key = stream(state, STEP)
        (value, (model_state, metrics)), gradients = grad(loss, has_aux=True)(
            state.params, state.state, batch, key
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = apply_updates(state.params, updates)
        after = TrainState(params, model_state, opt_state, state.key, state.step + 1)
        return after, named(value, metrics)

    return step


# what a key is for: streams of random numbers that never meet
STEP, SHUFFLE = 0, 1


def stream(state: TrainState, purpose: int) -> jax.Array:
    """A key for this purpose at this step. Costs nothing where a compiled step does not use it."""
    return jax.random.fold_in(jax.random.fold_in(state.key, purpose), state.step)
