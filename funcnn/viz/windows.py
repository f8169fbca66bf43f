"""Receptive fields: which pixels of the input a unit sees through convolutions and pooling."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funcnn.viz import style
from funcnn.viz.arrays import as_many

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Step(NamedTuple):
    """A window along one axis."""

    kernel: int
    stride: int
    dilation: int


def receptive_field(
    windows: Sequence[Any],
    ax: Any = None,
    *,
    names: Sequence[str] | None = None,
    axis: int = 0,
) -> "Axes":
    """What one unit sees, layer by layer, along one axis: from the unit (above) to the pixels.

    Each row of squares is a layer, above the pixels that it sees; those that the unit sees are
    filled. The number at the right is the layer's receptive field: how many pixels a unit sees from
    the first to the last.

    Args:
      windows: of each layer, from the input on: a kernel size; ``(kernel, stride)`` or
        ``(kernel, stride, dilation)``, each a number or one for each axis, as the attribute
        `window` of funcnn's convolution and pooling layers. Padding does not matter.
      ax: matplotlib's Axes; None makes a new figure.
      names: of each layer.
      axis: which of the axes is shown, where windows have several.

    Returns:
      The Axes, with one square for each place.

    Raises:
      ImportError: matplotlib is missing.
      ValueError: no windows; numbers that are not whole, or below 1; more than 400 pixels.

    >>> from funcnn import nn, viz
    >>> layers = nn.conv(8, (3, 3)), nn.max_pool((2, 2), (2, 2)), nn.conv(8, (3, 3))
    >>> ax = viz.receptive_field([layer.window for layer in layers])
    >>> [text.get_text() for text in ax.texts if "sees" in text.get_text()]
    ['sees 3', 'sees 4', 'sees 8']

    Source: deck E, row 44; Araujo et al., "Computing Receptive Fields of Convolutional Neural
    Networks", Distill, 2019.
    """
    steps = [_step(window, i, axis) for i, window in enumerate(windows)]
    if not steps:
        raise ValueError("expected windows of one layer or more, got none")
    rows = seen_by_layer(steps)
    names = as_many("names", names, len(steps), "layers") or [_named(step) for step in steps]
    width = len(rows[0])
    if width > 400:
        raise ValueError(f"expected a receptive field of at most 400 pixels, got {width}")
    apart = max(2.2, width / 10)  # from row to row, in pixels
    side = max(6.0, 0.42 * width)  # for the texts
    total, height = width + 2 * side, apart * len(steps) + 1.6
    inches = float(np.clip(0.32 * total, 6.0, 11.0))
    ax = style.axes(ax, (inches, inches * height / total + 0.3))
    style.picture_style(ax)
    ax.set(xlim=(-side, width + side), ylim=(-1.1, height - 1.1))
    size = float(np.clip(0.09 * side * style.points_a_unit(ax, total, height), 4, style.TICK))
    middles = _middles(steps, rows)
    for i, (row, at) in enumerate(zip(rows, middles, strict=True)):
        _draw_row(ax, row, at, apart * i)
        if i:
            _draw_lines(ax, steps[i - 1], row, at, middles[i - 1], apart * i, apart)
    texts = {"size": size, "va": "center", "color": style.INK}
    ax.text(-1, 0, "input", ha="right", **texts)
    for i, (name, field) in enumerate(zip(names, fields(steps), strict=True), start=1):
        ax.text(-1, apart * i, name, ha="right", **texts)
        ax.text(width, apart * i, f"sees {field}", **texts)
    return ax


def _named(step: Step) -> str:
    more = [f"stride {step.stride}"] * (step.stride > 1)
    more += [f"dilation {step.dilation}"] * (step.dilation > 1)
    return ", ".join([f"window {step.kernel}", *more])


def _middles(steps: Sequence[Step], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Where the places of each row lie over the pixels: in the middle of what they see."""
    middles, jump, begin = [np.arange(len(rows[0]), dtype=float)], 1, 0.0
    for step, row in zip(steps, rows[1:], strict=True):
        begin += (step.kernel - 1) * step.dilation * jump / 2
        jump *= step.stride
        middles.append(begin + jump * np.arange(len(row)))
    return middles


def _draw_row(ax: "Axes", row: np.ndarray, at: np.ndarray, y: float) -> None:
    from matplotlib.patches import Rectangle

    for seen, x in zip(row, at, strict=True):
        color = style.SKY if seen else "white"
        edge = style.INK if seen else style.FRAME
        ax.add_patch(Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, fc=color, ec=edge, lw=0.8, zorder=2))


def _draw_lines(
    ax: "Axes",
    step: Step,
    row: np.ndarray,
    at: np.ndarray,
    below: np.ndarray,
    y: float,
    apart: float,
) -> None:
    """From each place that is seen to those in its window."""
    for i in np.flatnonzero(row):
        for j in i * step.stride + np.arange(step.kernel) * step.dilation:
            ends = [at[i], below[j]], [y - 0.45, y - apart + 0.45]
            ax.plot(*ends, color=style.GRAY, lw=0.7, alpha=0.7, zorder=1)


def _step(window: Any, i: int, axis: int) -> Step:
    """A window as given, along one axis."""
    parts = list(window) if np.ndim(np.asarray(window, object)) else [window]
    try:
        one = [int(np.ravel(part)[axis if np.size(part) > 1 else 0]) for part in parts]
        same = all(int(np.ravel(part)[0]) == np.ravel(part)[0] for part in parts)
    except (TypeError, ValueError, IndexError):
        same = False
    if not same or not 1 <= len(parts) <= 3 or min(one) < 1:
        raise ValueError(
            f"expected window {i} as a kernel size, (kernel, stride) or (kernel, stride, dilation) "
            f"of whole numbers from 1 on, with axis {axis}, got {window!r}"
        )
    return Step(*one, *[1] * (3 - len(one)))


def seen_by_layer(steps: Sequence[Step]) -> list[np.ndarray]:
    """For the input and each layer: which of the places below the last unit it sees, as 0 and 1.

    >>> [row.tolist() for row in seen_by_layer([Step(2, 2, 1), Step(2, 1, 2)])]
    [[1, 1, 0, 0, 1, 1], [1, 0, 1], [1]]
    """
    rows = [np.ones(1, int)]
    for step in reversed(steps):
        above = np.flatnonzero(rows[0])
        below = (above[:, None] * step.stride + np.arange(step.kernel) * step.dilation).ravel()
        row = np.zeros(below.max() + 1, int)
        row[below] = 1
        rows.insert(0, row)
    return rows


def fields(steps: Sequence[Step]) -> list[int]:
    """The receptive field of each layer.

    >>> fields([Step(3, 1, 1), Step(2, 2, 1), Step(3, 1, 1)])
    [3, 4, 8]
    """
    found, field, jump = [], 1, 1
    for kernel, stride, dilation in steps:
        field, jump = field + (kernel - 1) * dilation * jump, jump * stride
        found.append(field)
    return found
