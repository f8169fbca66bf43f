"""Checkpoints: a run on the disk, so that a kill at any moment loses no more than the interval.

`fit(checkpoints=...)` writes them and `fit(resume=True)` reads them. Here: the folder, which of
them stay in it, what is done about damaged ones. `one_checkpoint` has how one is written.
"""

import contextlib
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from funcnn.train.counting import whole_number
from funcnn.train.exclusive import everywhere, exclusive
from funcnn.train.one_checkpoint import (
    UNFINISHED,
    Damaged,
    Saved,
    check_files,
    is_one,
    libraries,
    read,
    read_manifest,
    remove,
    write,
)
from funcnn.train.state import TrainState
from funcnn.train.stopping import Measure, best_epoch


class Checkpoints(NamedTuple):
    """Where checkpoints go, how often, and which of them stay.

    A checkpoint is due as soon as one of `every`, `minutes` and `steps` says so.

    Attributes:
      folder: made where it is not there. Other files in it are left alone.
      every: epochs from one checkpoint to the next.
      minutes: most minutes between two; looked at after each compiled program: an epoch of data on
        the device, a step of streamed data.
      steps: most steps between two, within an epoch of streamed data.
      keep: how many of the newest stay.
      best: the best epoch by this column of the history stays too: `lowest("validation_loss")`.
      damaged: what to do about a checkpoint that cannot be read or whose checksums differ:
        "previous" goes on from the one before and says so in a `DamagedCheckpoint` warning,
        "error" raises.
    """

    folder: str | os.PathLike[str]
    every: int | None = 1
    minutes: float | None = None
    steps: int | None = None
    keep: int = 3
    best: Measure | None = None
    damaged: Literal["previous", "error"] = "previous"


class DamagedCheckpoint(RuntimeWarning):
    """A checkpoint could not be read; training goes on from the one before it.

    It is shown each time, and not only the first time as most warnings are.
    """


# at the end of the filters, so that those of the user still come first
warnings.simplefilter("always", DamagedCheckpoint, append=True)


@contextlib.contextmanager
def opened(checkpoints: Checkpoints, resume: bool) -> Iterator["Store"]:
    """The folder for this run alone: made, locked, and without what a killed run left half-written.

    Raises:
      BlockingIOError: another run is writing to the folder. (The lock of a killed run is void.)
      FileExistsError: there are checkpoints in it and `resume` is False.
      OSError: the folder cannot be made or written.
      ImportError: orbax-checkpoint or filelock is not installed.
    """
    _check(checkpoints)
    _, filelock = libraries()
    folder = Path(checkpoints.folder).expanduser().absolute()
    with exclusive(folder, filelock):
        if jax.process_index() == 0:
            for unfinished in folder.glob(f"step_*{UNFINISHED}"):
                shutil.rmtree(unfinished)  # of a run that was killed, or had no room
        everywhere(True)
        store = Store(checkpoints, folder, {})
        steps = store.steps()
        if steps and not resume:
            raise FileExistsError(
                f"{folder} has checkpoints already, the last of step {steps[-1]}: resume=True "
                "goes on from it; to start anew choose another folder, or empty this one"
            )
        for step in steps:
            with contextlib.suppress(Damaged, ValueError):  # or of another `best`
                store.note_score(step, read_manifest(store.path(step))["progress"])
        yield store


class Store(NamedTuple):
    """An open folder of checkpoints; from `opened`."""

    checkpoints: Checkpoints
    folder: Path
    scores: dict[int, float]  # of the checkpoints at the end of an epoch; less is better

    def steps(self) -> list[int]:
        paths = [path for path in self.folder.iterdir() if is_one(path)]
        found = [re.fullmatch(r"step_(0|[1-9]\d*)", path.name) for path in paths]
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        return self.folder / f"step_{step}"

    def note_score(self, step: int, progress: Mapping[str, Any]) -> None:
        best, rows = self.checkpoints.best, progress.get("history")
        if best is None or not rows or rows[-1]["step"] != step:
            return  # only the end of an epoch has a score
        if best_epoch(best, {name: [value] for name, value in rows[-1].items()}) is not None:
            self.scores[step] = best.sign * rows[-1][best.name]

    def save(self, saved: Saved) -> None:
        """Writes a checkpoint, and then removes those that need not stay.

        One of the same step is replaced: within an epoch, say, and then at the end of it.

        Raises:
          OSError: it could not be written (disk full, say); the checkpoints before are still there.
        """
        step = int(saved.state.step)
        self.note_score(step, saved.progress)
        try:
            write(self.path(step), saved)
        except OSError as error:
            before = f"; the last good one is {self.path(s[-1])}" if (s := self.steps()) else ""
            raise OSError(
                f"the checkpoint {self.path(step)} could not be written{before}: {error}"
            ) from error
        if jax.process_index() == 0:
            steps = self.steps()
            best = sorted(set(steps) & set(self.scores), key=lambda s: (self.scores[s], s))[:1]
            for old in set(steps[: -self.checkpoints.keep]) - set(best):
                remove(self.path(old))

    def restore(self, like: TrainState) -> Saved | None:
        """The newest good checkpoint, or None where there is none at all.

        Args:
          like: a state of the same model and optimizer; the arrays come with its shardings.

        Raises:
          ValueError: the checkpoint is of another model, optimizer or kind of key: the message
            names the leaf; or checkpoints are damaged, and no good one is left or `damaged` is
            "error".
        """
        bad: dict[int, str] = {}
        for step in reversed(self.steps()):
            path, manifest, why = self.path(step), {}, ""
            try:
                manifest = read_manifest(path)
                if jax.process_index() == 0:
                    check_files(path, manifest)
            except Damaged as error:
                why = str(error)
            if everywhere(not why):
                saved = read(path, manifest, like)
                self._set_aside(bad, step)
                return saved
            bad[step] = why or "as the first process says"
            if self.checkpoints.damaged == "error":
                break
        if bad:
            listed = "".join(f"\n  {self.path(step)}: {why}" for step, why in bad.items())
            raise ValueError(f"damaged checkpoints, and none to go on from:{listed}")
        return None

    def _set_aside(self, bad: Mapping[int, str], good: int) -> None:
        """Renames damaged checkpoints: their steps will be saved again."""
        for step, why in bad.items():
            aside = self.path(step).with_suffix(".damaged")
            warnings.warn(
                f"the checkpoint {self.path(step)} is damaged ({why}): training goes on from "
                f"step {good}, and the damaged one is kept as {aside.name}",
                DamagedCheckpoint,
                stacklevel=2,
            )
            if jax.process_index() == 0:
                while aside.exists():
                    aside = aside.with_name(aside.name + "~")
                self.path(step).rename(aside)
            self.scores.pop(step, None)
        everywhere(True)  # not before the renaming is done


def _check(checkpoints: Checkpoints) -> None:
    whole_number("Checkpoints.keep", checkpoints.keep, least=1)
    for name in ("every", "steps"):
        if (value := getattr(checkpoints, name)) is not None:
            whole_number(f"Checkpoints.{name}", value, least=1)
    if checkpoints.minutes is not None and not checkpoints.minutes > 0:
        raise ValueError(f"Checkpoints.minutes must be more than 0, got {checkpoints.minutes}")
    if checkpoints.damaged not in ("previous", "error"):
        raise ValueError(
            f"Checkpoints.damaged must be 'previous' or 'error', got {checkpoints.damaged!r}"
        )
