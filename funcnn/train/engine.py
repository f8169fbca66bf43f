"""What `fit` asks of the two ways to feed a model: arrays on the device, or a stream of batches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnn.train.history import Row
from funcnn.train.state import TrainState


class Position(NamedTuple):
    """How far into an epoch: what resuming in the middle of a stream needs to know.

    Attributes:
      batches: taken so far.
      examples: in them.
      sums: of the loss and each metric: each batch's mean times its examples, float64.
    """

    batches: int = 0
    examples: int = 0
    sums: dict[str, float] = {}  # noqa: RUF012  (never changed)


START = Position()


class Outcome(NamedTuple):
    """What an epoch came to.

    Attributes:
      state: after it; the one before the bad step, where there was one.
      row: the means of loss and metrics; None when the epoch was not completed.
      position: where in the epoch the state is, when it was not completed.
      bad: what was not finite; None when all was well.
      bad_step: in which step of the epoch, from 1; None if no single one is to blame.
      explain: looks for the operation that made it so (a `funcnn.debug.NanOrigin`, or None); None
        where the batch is not to be had again.
    """

    state: TrainState
    row: Row | None
    position: Position = START
    bad: str | None = None
    bad_step: int | None = None
    explain: Callable[[], Any] | None = None


class Between(NamedTuple):
    """What happens between two steps of a stream. (An epoch on the device has no such moment.)

    Attributes:
      stop: whether training is to end here, asked after each batch.
      due: ``due(batches)``: whether the state is to be saved now.
      save: ``save(state, position)``.
      show: ``show(batches)``, for the progress bar.
    """

    stop: Callable[[], bool]
    due: Callable[[int], bool]
    save: Callable[[TrainState, Position], None]
    show: Callable[[int], None]


class Engine(NamedTuple):
    """A way to go through the data.

    Attributes:
      state: where training starts, on the devices.
      epoch: ``epoch(state, number, position, between) -> Outcome``; `number` counts from 1.
      memory: what a step needs, in words, for when there is not enough.
      evaluate: by name ("validation", "test"), ``evaluate(params, state, number) -> Row``.
    """

    state: TrainState
    epoch: Callable[[TrainState, int, Position, Between], Outcome]
    memory: Callable[[], str]
    evaluate: dict[str, Callable[[Any, Any, int], Row]]


class Halted(Exception):
    """An epoch could not go on; the message says why. Its cause is what was raised.

    Attributes:
      state, position: the last good ones.
    """

    def __init__(self, what: str, state: TrainState, position: Position = START):
        super().__init__(what)
        self.state, self.position = state, position


def all_finite(tree: Any) -> jax.Array:
    """Whether no floating-point or complex leaf holds NaN or an infinity; bool, ()."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in leaves]))
