"""When to stop, and which epoch was the best: functions of the history."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Stop = Callable[[Mapping[str, np.ndarray]], str | None]
"""``stop(history) -> reason``: called after each epoch; training ends with the first reason.

Any function of the history will do, and None (or an empty string) means to go on.
"""


class Measure(NamedTuple):
    """A column of the history, and which of its values are better: see `lowest`, `highest`."""

    name: str
    sign: int  # 1 where less is better, -1 where more is


def lowest(name: str) -> Measure:
    """The least is the best, as of "validation_loss"."""
    return Measure(name, 1)


def highest(name: str) -> Measure:
    """The most is the best, as of "validation_accuracy"."""
    return Measure(name, -1)


def best_epoch(measure: Measure, history: Mapping[str, Any]) -> int | None:
    """Which row of the history is the best: the first of equal ones; None where all are NaN.

    >>> import numpy as np
    >>> best_epoch(lowest("loss"), {"loss": np.array([3.0, np.nan, 1.0, 1.0])})
    2

    Raises:
      ValueError: the history has no such column; the message lists those that it has.
    """
    if measure.name not in history:
        listed = ", ".join(history)
        raise ValueError(f"the history has no column {measure.name!r}: it has {listed}")
    values = measure.sign * np.asarray(history[measure.name], np.float64)
    return None if np.isnan(values).all() else int(np.nanargmin(values))


def early_stopping(measure: Measure, patience: int, min_delta: float = 0.0) -> Stop:
    """Stops when a measure has not become better for some epochs.

    Args:
      measure: `lowest("validation_loss")`, for instance.
      patience: how many epochs in a row may go by without a new best.
      min_delta: by how much a value must be better than the best so far to be a new best.

    Returns:
      What `fit(stop=...)` takes. The best parameters are kept by `fit(keep=measure)`.

    Example:

    >>> import numpy as np
    >>> stop = early_stopping(lowest("validation_loss"), patience=2)
    >>> stop({"validation_loss": np.array([3.0, 2.0, 2.5])})
    >>> stop({"validation_loss": np.array([3.0, 2.0, 2.5, 2.0])})
    'validation_loss has not become better than 2 (epoch 2) for 2 epochs'

    Source: deck A, row 18; deck E, row 40 (early stopping).
    """
    if patience < 1:
        raise ValueError(f"patience must be at least 1, got {patience}")
    if not min_delta >= 0:
        raise ValueError(f"min_delta must be at least 0, got {min_delta}")

    def stop(history: Mapping[str, np.ndarray]) -> str | None:
        best_epoch(measure, history)  # raises where there is no such column
        values = measure.sign * np.asarray(history[measure.name], np.float64)
        best, at = np.inf, -1
        for i, value in enumerate(values):
            if value < best - (min_delta if np.isfinite(best) else 0):
                best, at = value, i
        if len(values) - 1 - at < patience:
            return None
        since = f"{measure.sign * best:.4g} (epoch {at + 1})" if at >= 0 else "NaN"
        return f"{measure.name} has not become better than {since} for {patience} epochs"

    return stop


def reached(measure: Measure, target: float) -> Stop:
    """Stops when a measure is as good as asked.

    >>> import numpy as np
    >>> stop = reached(highest("validation_accuracy"), 0.99)
    >>> stop({"validation_accuracy": np.array([0.5, 0.991])})
    'validation_accuracy is 0.991, and 0.99 was asked for'
    """

    def stop(history: Mapping[str, np.ndarray]) -> str | None:
        best_epoch(measure, history)
        value = np.asarray(history[measure.name])[-1]
        if measure.sign * value <= measure.sign * target:
            return f"{measure.name} is {value:.4g}, and {target:g} was asked for"
        return None

    return stop


def first_reason(stop: Any, history: Mapping[str, np.ndarray]) -> str | None:
    """The first reason that one of the functions gives; `stop` is one, several, or None."""
    stops = () if stop is None else (stop,) if callable(stop) else stop
    return next((reason for each in stops if (reason := each(history))), None)
