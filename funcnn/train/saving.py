"""When a run is saved, and how it is found again: between `fit` and the checkpoints on the disk."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from funcnn.train.engine import START, Position
from funcnn.train.history import Row
from funcnn.train.state import TrainState


class Run(NamedTuple):
    """All that `fit` goes on from.

    Attributes:
      state: the parameters, and all that the next steps depend on.
      kept: the state of the best epoch so far, where `fit(keep=...)` asks for it.
      rows: the history.
      position: how far into the epoch after these.
    """

    state: TrainState
    kept: TrainState | None = None
    rows: tuple[Row, ...] = ()
    position: Position = START


class Saving(NamedTuple):
    """An open folder of checkpoints, as `fit` sees it.

    Attributes:
      found: the run as it was saved last; None for one that starts anew.
      due: ``due(epochs, batches)``: whether the run is to be saved now.
      save: ``save(run)``; does nothing for what is saved already.
    """

    found: Run | None
    due: Callable[[int, int], bool]
    save: Callable[[Run], None]


@contextlib.contextmanager
def saving(checkpoints: Any, resume: bool, like: TrainState) -> Iterator[Saving]:
    """Opens the folder, or stands in for it where nothing is to be saved."""
    if checkpoints is None:
        if resume:
            raise ValueError("resume=True needs the folder to go on from: checkpoints=folder")
        yield Saving(None, lambda epochs, batches: False, lambda run: None)
        return
    from funcnn.train.checkpoints import Checkpoints, Saved, opened

    if isinstance(checkpoints, (str, os.PathLike)):
        checkpoints = Checkpoints(checkpoints)
    if checkpoints.minutes is not None and jax.process_count() > 1:
        raise ValueError("several processes save at the same step: take steps instead of minutes")
    saved_at = time.monotonic()
    latest: tuple[int, int] | None = None  # steps and epochs of what is saved

    def due(epochs: int, batches: int) -> bool:
        if checkpoints.minutes is not None and time.monotonic() - saved_at > (
            60 * checkpoints.minutes
        ):
            return True
        if batches:
            return checkpoints.steps is not None and batches % checkpoints.steps == 0
        return checkpoints.every is not None and epochs % checkpoints.every == 0

    with opened(checkpoints, resume) as store:
        found = store.restore(like) if resume else None
        if found is not None:
            latest = int(found.state.step), len(found.progress["history"])

        def save(run: Run) -> None:
            nonlocal saved_at, latest
            # a step at the end of an epoch may be saved without its row first
            if (now := (int(run.state.step), len(run.rows))) != latest:
                progress = {"history": list(run.rows), "position": run.position._asdict()}
                store.save(Saved(run.state, run.kept, progress))
                saved_at, latest = time.monotonic(), now

        yield Saving(None if found is None else _run(found), due, save)


def _run(saved: Any) -> Run:
    progress = saved.progress
    position = Position(**progress["position"])
    return Run(saved.state, saved.kept, tuple(progress["history"]), position)
