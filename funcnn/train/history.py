"""The history of a run: rows while it trains, arrays at the end, JSON Lines on the disk."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

History = dict[str, np.ndarray]
Row = dict[str, int | float]

RESERVED = {"loss", "epoch", "step", "seconds"}  # names that a metric cannot have
PREFIXES = ("validation_", "test_")


def as_row(prefix: str, metrics: Mapping[str, Any]) -> Row:
    """Python's scalars, the loss first (a compiled program returns a dict sorted by name)."""
    names = sorted(metrics, key=lambda name: (name != "loss", name))
    return {prefix + name: float(metrics[name]) for name in names}


def as_arrays(rows: Sequence[Row]) -> History:
    """A column for each name, one entry a row: integers int64, all else float64."""
    names = rows[0] if rows else {"epoch": 0, "step": 0, "loss": 0, "seconds": 0}
    return {name: np.array([row[name] for row in rows]) for name in names}


def read_history(path: str | os.PathLike[str]) -> History:
    """The history that `fit(log=path)` wrote, as `fit` returned it.

    A last line that was cut off, as by a kill, is left out.

    Args:
      path: a file of JSON Lines. (`pandas.read_json(path, lines=True)` reads it too.)

    Returns:
      A dict of arrays with one entry for each epoch; what was measured once, after training
      ("test_loss"), is a scalar.

    Raises:
      ValueError: a line that is no JSON object; the message names file and line.
    """
    rows = list(_parsed(Path(path)))
    epochs = [row for row in rows if "epoch" in row]
    once = [row for row in rows if "epoch" not in row]
    return as_arrays(epochs) | {name: np.array(row[name]) for row in once for name in row}


def log_writer(
    path: str | os.PathLike[str] | None, step: int, resumed: bool
) -> Callable[[Row], None]:
    """``write(row)``, which adds a line to the file: it is on the disk when `write` returns.

    Of a resumed run, lines after `step` are taken back: before it was killed it had written epochs
    that its last checkpoint does not know. Of several processes, the first one writes.
    """
    if path is None or jax.process_index() != 0:
        return lambda row: None
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if resumed and path.exists():
        known = [row for row in _parsed(path) if row.get("step", math.inf) <= step]
        beside = path.with_name(path.name + ".new")
        beside.write_text("".join(map(_line, known)), encoding="utf-8")
        beside.replace(path)

    def write(row: Row) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(_line(row))
            file.flush()
            os.fsync(file.fileno())

    return write


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"


def _parsed(path: Path) -> Iterator[Row]:
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            if number == len(lines):
                return  # the last line, cut off
            raise ValueError(f"{path}, line {number}: expected a JSON object, got {line[:80]!r}")
        yield row
