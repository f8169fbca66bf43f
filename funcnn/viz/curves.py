"""Curves over steps and rates: a run's history, schedules, the range test."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.viz import style
from funcnn.viz.arrays import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KINDS = (
    ("", "training (mean over the epoch)", style.BLUE, "o"),
    ("validation_", "validation (after the epoch)", style.VERMILION, "s"),
)


def history(
    history: Mapping[str, Any],
    name: str = "loss",
    ax: Any = None,
    *,
    best: str | None = "auto",
) -> "Axes":
    """A measure by epoch: in training and validation, and of the test set at the end.

    The y axis is logarithmic where positive values span more than a factor of 20.

    Args:
      history: what `funcnn.train.fit` or `funcnn.train.read_history` returned, or any mapping with
        ``{name: (epochs,)}`` and, where there are such, "validation_" + name, "test_" + name (a
        scalar) and "epoch" (without it, epochs count from 1).
      name: of the measure.
      ax: matplotlib's Axes; None makes a new figure.
      best: which epoch of the validation to mark: the "lowest", the "highest", or None. "auto" is
        the lowest of the loss, and none of other measures.

    Returns:
      The Axes.

    Raises:
      ImportError: matplotlib is missing.
      ValueError: the history has no such measure; no epochs; lengths that differ.

    >>> from funcnn import viz
    >>> ax = viz.history({"loss": [3.0, 2.0, 1.0], "validation_loss": [3.0, 1.5, 2.0]})
    >>> [text.get_text() for text in ax.texts]
    ['best: 1.5 (epoch 2)']

    Source: deck A, row 18; deck E, row 40.
    """
    ax = style.axes(ax)
    if best not in ("auto", "lowest", "highest", None):
        raise ValueError(f"expected best='auto', 'lowest', 'highest' or None, got {best!r}")
    shown = [kind for kind in _KINDS if kind[0] + name in history]
    if not shown:
        raise ValueError(f"the history has no {name!r}: it has {', '.join(history) or 'nothing'}")
    columns = {kind[0]: numbers(kind[0] + name, history[kind[0] + name], "n") for kind in shown}
    count = len(next(iter(columns.values())))
    epochs = numbers("epoch", history.get("epoch", np.arange(1, count + 1)), count)
    for prefix, label, color, marker in shown:
        values = numbers(prefix + name, columns[prefix], count)
        marker = marker if count <= 40 else ""
        ax.plot(epochs, values, color=color, marker=marker, ms=4, label=label)
    if f"test_{name}" in history:
        value = float(history[f"test_{name}"])
        label = "test (after training)"
        ax.plot(epochs[-1:], [value], "*", ms=12, color=style.GREEN, label=label, zorder=3)
    if best == "auto":
        best = "lowest" if name == "loss" else None
    if best and "validation_" in columns and not np.isnan(columns["validation_"]).all():
        _mark_best(ax, epochs, columns["validation_"], best)
    style.label(ax, "epoch", name)
    style.whole_numbers(ax)
    style.plot_style(ax, legend=True)
    style.log_if_wide(ax)
    return ax


def _mark_best(ax: "Axes", epochs: np.ndarray, values: np.ndarray, best: str) -> None:
    i = int((np.nanargmin if best == "lowest" else np.nanargmax)(values))
    ax.plot(epochs[i], values[i], "o", ms=12, mfc="none", mec=style.INK, mew=1.5, zorder=4)
    ax.annotate(
        f"best: {values[i]:.4g} (epoch {epochs[i]:g})",
        (epochs[i], values[i]),
        # where the curve is not, and seldom the one of training
        xytext=(0, 12 if best == "lowest" else -12),
        textcoords="offset points",
        ha="left" if 5 * i < len(epochs) else "right" if 5 * i > 4 * len(epochs) else "center",
        va="bottom" if best == "lowest" else "top",
        size=style.TICK,
        color=style.INK,
    )
    ax.margins(y=0.12)


def schedules(schedules: Mapping[str, Callable[[Any], Any]], steps: int, ax: Any = None) -> "Axes":
    """Learning rates by step.

    Args:
      schedules: ``{name: step -> rate}``: funcnn's, optax's, or functions of your own.
      steps: how many; shown are 0, …, steps − 1.
      ax: matplotlib's Axes; None makes a new figure.

    Returns:
      The Axes.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: a schedule that is no function.
      ValueError: no schedules; no steps; a schedule that returns more than a number.

    >>> from funcnn import optim, viz
    >>> ax = viz.schedules({"cosine": optim.cosine_decay_schedule(0.1, 50)}, 100)
    >>> print(ax.lines[0].get_ydata()[[0, 25, 50]].round(3))
    [0.1  0.05 0.  ]

    Source: deck B, row 36.
    """
    ax = style.axes(ax)
    if not isinstance(schedules, Mapping) or not schedules:
        raise ValueError(f"expected schedules as {{name: step -> rate}}, got {schedules!r}")
    if steps < 1:
        raise ValueError(f"expected steps of at least 1, got {steps}")
    for look, (name, schedule) in zip(style.looks(), schedules.items(), strict=False):
        rates = numbers(f"the rates of {name!r}", _rates(name, schedule, steps), steps)
        ax.plot(np.arange(steps), rates, look.dashes, color=look.color, lw=2, label=name)
    style.label(ax, "step", "learning rate")
    style.whole_numbers(ax)
    style.plot_style(ax, legend=True)
    return ax


def _rates(name: str, schedule: Any, steps: int) -> Any:
    if not callable(schedule):
        raise TypeError(f"expected schedule {name!r} to be a function of the step, got {schedule}")
    try:
        return jax.jit(jax.vmap(schedule))(jnp.arange(steps))
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        # it asks "step < 30?" of a number, in Python: one step at a time
        return [float(schedule(step)) for step in range(steps)]


def range_test(found: Any, ax: Any = None) -> "Axes":
    """The loss by learning rate, with the rate that the range test suggests.

    Args:
      found: what `funcnn.train.lr_find` returned.
      ax: matplotlib's Axes; None makes a new figure.

    Returns:
      The Axes.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: `found` is no result of `lr_find`.
      ValueError: no loss is finite.

    >>> import numpy as np
    >>> from funcnn import train, viz
    >>> rates, losses = np.array([0.01, 0.1, 1.0, 10.0]), np.array([4.0, 3.0, 1.0, 9.0])
    >>> ax = viz.range_test(train.RangeTest(rates, losses, losses, 3, 0.1))
    >>> [text.get_text() for text in ax.texts]
    ['suggested: 0.1', 'explodes']

    Source: deck E, row 38.
    """
    ax = style.axes(ax)
    missing = [
        n
        for n in ("rates", "losses", "smoothed", "exploded", "suggestion")
        if not hasattr(found, n)
    ]
    if missing:
        raise TypeError(f"expected the result of train.lr_find, got {found!r} without {missing}")
    rates = numbers("rates", found.rates, "n", finite=True)
    losses = numbers("losses", found.losses, len(rates))
    smoothed = numbers("smoothed", found.smoothed, len(rates))
    if not np.isfinite(smoothed).any():
        raise ValueError("no loss of the range test is finite: begin with a lower rate")
    ax.plot(rates, losses, color=style.SKY, lw=1, label="each minibatch")
    ax.plot(rates, smoothed, color=style.BLUE, lw=2, label="smoothed")
    ax.set_xscale("log")
    # what comes after the explosion would press all else flat
    seen = smoothed[: max(found.exploded, 1)]
    low, high = np.nanmin(seen), np.nanmax(seen)
    room = 0.15 * (high - low) or 0.1 * abs(high) or 1.0
    ax.set(ylim=(low - room, high + 1.5 * room), xlim=(rates[0], rates[-1]))
    if np.isfinite(found.suggestion):
        ax.axvline(found.suggestion, color=style.GREEN, lw=2, ls="--")
        _write_at_top(ax, found.suggestion, f"suggested: {found.suggestion:.2g}", style.GREEN, -1)
    if found.exploded < len(rates):
        begin = rates[found.exploded]
        ax.axvspan(begin, rates[-1], color=style.VERMILION, alpha=0.12, lw=0)
        place = np.log(begin / rates[0]) / np.log(rates[-1] / rates[0])
        _write_at_top(ax, begin, "explodes", style.VERMILION, 1 if place < 0.8 else -1)
    style.label(ax, "learning rate", "loss")
    style.plot_style(ax, legend=True, loc="lower left")
    return ax


def _write_at_top(ax: "Axes", x: float, text: str, color: str, side: int) -> None:
    """At the right (1) or left (-1) of a vertical line."""
    ax.annotate(
        text,
        (x, 0.98),
        xycoords=ax.get_xaxis_transform(),
        xytext=(5 * side, 0),
        textcoords="offset points",
        ha="left" if side > 0 else "right",
        va="top",
        size=style.TICK,
        color=color,
    )
