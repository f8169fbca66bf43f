"""How training ends when it goes wrong: with what was trained, and a word on where and why."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from funcnn.train.history import History
from funcnn.train.objective import Loss
from funcnn.train.state import TrainState
from funcnn.train.step import STEP, Step, stream


class NonFinite(RuntimeWarning):
    """Training stopped because a loss or a parameter was NaN or infinite.

    Attributes:
      state: the last `TrainState` with finite parameters: the one that the bad step started from.
      history: of the epochs that were completed.
      epoch, step: where it happened; both count from 1, `step` within the epoch.
      origin: the line that made it so, a `funcnn.debug.NanOrigin`; None where that is not known: of
        streams and on a mesh it is not looked for.

    It is shown each time, and not only the first time as most warnings are.
    """

    def __init__(
        self,
        what: str,
        epoch: int,
        step: int | None,
        state: TrainState,
        history: History,
        origin: Any = None,
    ):
        where = f"in epoch {epoch}" + ("" if step is None else f", step {step}")
        causes = (
            " Usual causes: a learning rate too high, log or sqrt at 0, a division by 0."
            if origin is None
            else f" Where it arose:\n{origin}"
        )
        super().__init__(
            f"{what} {where}: training stopped, and the state before is returned.{causes}"
        )
        self.epoch, self.step, self.state, self.history = epoch, step, state, history
        self.origin = origin


# at the end of the filters, so that those of the user still come first
warnings.simplefilter("always", NonFinite, append=True)


def nan_origin_of_step(loss: Loss, step: Step, state: TrainState, batch: Any) -> Any:
    """The operation that made a step's result NaN or infinite, or None where none is found.

    First in the loss and its gradient, then in the whole step: the optimizer.
    """
    from funcnn.debug import nan_origin  # needed only now

    # compiled, as the step was that went wrong; it is looked into only where that is not finite

    @jax.jit
    def loss_of_batch(params, state, batch, key):
        return loss(params, state, batch, key)

    @jax.jit
    def train_step(state, batch):
        return _largest(step(state, batch)[0])

    try:
        of_loss = nan_origin(loss_of_batch, argnums=0, has_aux=True)
        found = of_loss(state.params, state.state, batch, stream(state, STEP))
        return found or nan_origin(train_step, argnums=())(state, batch)
    except Exception:  # this is about a loss that is not finite, and must not hide it
        return None


def _largest(state: TrainState) -> jax.Array:
    """One number that is finite if all of the state is."""
    leaves = jax.tree.leaves((state.params, state.state))
    inexact = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.size]
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)).astype(jnp.float32) for leaf in inexact]))


class TrainingFailed(RuntimeError):
    """Training ended by an error: of the data source, of memory, of a function that was given.

    The error itself is its `__cause__`.

    Attributes:
      state: the last good `TrainState`.
      history: of the epochs that were completed.
    """

    def __init__(self, what: str, state: TrainState, history: History):
        super().__init__(
            f"{what} (the state after {int(state.step)} steps is this error's .state, the epochs "
            "so far its .history)"
        )
        self.state, self.history = state, history


class BadSource(Exception):
    """What is wrong with a batch, or with where it comes from: the message says all of it."""


class Unusable(Exception):
    """An argument of `fit` that cannot be meant, its error is the cause; raised in a thread."""


def out_of_memory(error: BaseException) -> bool:
    """Whether XLA or Python could not have the memory that they asked for."""
    of_xla = isinstance(error, jax.errors.JaxRuntimeError)
    said = "RESOURCE_EXHAUSTED" in str(error) or "Out of memory" in str(error)
    return isinstance(error, MemoryError) or (of_xla and said)


def memory_of_step(batch_size: int, step: Callable[..., Any], *arguments: Any) -> str:
    """Which batch size did not fit, how many bytes a step of it takes, and what would help.

    Args:
      step: compiled by `jax.jit`.
      arguments: of the step, or shapes like them.
    """
    try:
        needs = step.lower(*arguments).compile().memory_analysis()  # type: ignore[attr-defined]
        arrays = needs.argument_size_in_bytes + needs.output_size_in_bytes
        bytes_of_step = (
            f"a step takes {needs.temp_size_in_bytes:,} bytes beside {arrays:,} for parameters, "
            "optimizer and batch"
        )
    except Exception:  # this is about an error, and must not hide it
        bytes_of_step = "how many bytes a step takes XLA does not say"
    return (
        f"out of memory with batch_size {batch_size}: {bytes_of_step}. A smaller batch takes less, "
        "as do grad=train.accumulated(...), nn.remat and nn.mixed_precision"
    )
