"""Universal approximation: a function as a sum of towers."""

from typing import TYPE_CHECKING, Any

from funcnn.viz import style
from funcnn.viz.arrays import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def towers(x: Any, target: Any, towers: Any, ax: Any = None) -> "Axes":
    """A function, the towers that a network makes of its hidden units, and their sum.

    Args:
      x: where all is given, in growing order, (m,).
      target: the function to approximate, (m,).
      towers: each with its height, (towers, m). The sum is theirs.
      ax: matplotlib's Axes; None makes a new figure.

    Returns:
      The Axes. Its last two lines are the target and the sum.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: no real numbers.
      ValueError: shapes that do not match; x that does not grow; NaN.

    >>> import numpy as np
    >>> from funcnn import viz
    >>> x = np.linspace(0, 1, 5)
    >>> ax = viz.towers(x, x, [[0.2, 0.2, 0, 0, 0], [0, 0, 0.7, 0.7, 0.7]])
    >>> [line.get_label() for line in ax.lines[-2:]]
    ['target', 'sum of 2 towers']

    Source: deck A, row 5.
    """
    x = numbers("x", x, "m", finite=True)
    target = numbers("target", target, len(x), finite=True)
    each = numbers("towers", towers, "towers", len(x), finite=True)
    if (x[1:] <= x[:-1]).any():
        raise ValueError("expected x that grows from entry to entry")
    ax = style.axes(ax, (6.4, 4.0))
    ax.axhline(0, color=style.GRAY, lw=0.8, zorder=1)
    for i, tower in enumerate(each):
        label = "" if i else "towers"
        ax.fill_between(x, tower, color=style.SKY, alpha=0.3, lw=0, label=label)
        ax.plot(x, tower, color=style.SKY, lw=1)
    ax.plot(x, target, color=style.VERMILION, lw=2.4, label="target")
    many = f"sum of {len(each)} tower{'' if len(each) == 1 else 's'}"
    ax.plot(x, each.sum(axis=0), "--", color=style.INK, lw=1.8, label=many)
    ax.set_xlim(x[0], x[-1])
    style.label(ax, "x", "y")
    style.plot_style(ax, legend=True)
    return ax
