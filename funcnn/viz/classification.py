"""How good a classifier is: the confusion matrix, the ROC curve."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcnn.viz import style
from funcnn.viz.arrays import as_many, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion_matrix(matrix: Any, ax: Any = None, names: Sequence[str] | None = None) -> "Axes":
    """Which class was taken for which: what is right in blue, what is wrong in red.

    The shade of a cell is its share of the examples of its label (its row); mistakes are shaded
    more strongly, since each is rare where a classifier is good.

    Args:
      matrix: of `funcnn.metrics.confusion_matrix`, (classes, classes): entry [i, j] counts label i
        predicted as j.
      ax: matplotlib's Axes; None makes a new figure.
      names: of the classes; None shows their numbers.

    Returns:
      The Axes. The title is the accuracy.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: no real numbers.
      ValueError: not square; negative or not finite; not as many names as classes.

    >>> from funcnn import viz
    >>> ax = viz.confusion_matrix([[3, 1], [0, 4]], names=["cat", "dog"])
    >>> ax.get_title(), [text.get_text() for text in ax.texts]
    ('accuracy 87.50%', ['3', '1', '4'])

    Source: deck E, row 41.
    """
    counts = numbers("matrix", matrix, "classes", "classes", finite=True)
    classes = len(counts)
    if counts.shape != (classes, classes) or (counts < 0).any():
        raise ValueError(
            f"expected a square matrix of counts from 0 on, got shape {counts.shape} and values "
            f"from {counts.min():g}"
        )
    side = min(max(0.42 * classes, 3.2), 8.0)
    ax = style.axes(ax, (side + 1.1, side + 1.0))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    right = np.eye(classes, dtype=bool)
    shade = np.where(right, 0.85 * share, np.sqrt(0.6 * share))
    colors = np.where(
        right[..., None], style.blend(style.BLUE, shade), style.blend(style.VERMILION, shade)
    )
    ax.imshow(colors, aspect="equal")
    written = {(i, j): _short(counts[i, j]) for i, j in zip(*np.nonzero(counts), strict=True)}
    longest = max(map(len, written.values()), default=1)
    # the names beside the matrix take a fifth of the place
    cell = 0.8 * style.points_a_unit(ax, classes, classes)
    size = float(np.clip(cell / (0.68 * max(longest, 2)), 3, style.LABEL))
    for (i, j), text in written.items():
        color = "white" if shade[i, j] > 0.6 else style.INK
        ax.text(j, i, text, ha="center", va="center", size=size, color=color)
    names = as_many("names", names, classes, "classes") or [str(i) for i in range(classes)]
    turned = 45 if max(map(len, names)) > 3 and classes > 4 else 0
    ax.set_xticks(range(classes), names, rotation=turned, ha="right" if turned else "center")
    ax.set_yticks(range(classes), names)
    total = counts.sum()
    title = f"accuracy {np.trace(counts) / total:.2%}" if total else "no examples"
    style.label(ax, "predicted", "label", title)
    ax.tick_params(length=0)
    ax.spines[:].set_color(style.FRAME)
    return ax


def _short(count: float) -> str:
    """Digits that fit into a cell.

    >>> _short(5432.0), _short(54321.0), _short(0.25)
    ('5432', '5.43e+04', '0.25')
    """
    return f"{count:.4g}" if count < 1e4 else f"{count:.3g}"


def roc(
    false_positive_rate: Any,
    true_positive_rate: Any,
    ax: Any = None,
    area: float | None = None,
    label: str | None = None,
) -> "Axes":
    """The ROC curve, and that of guessing. Called again with the same Axes, it adds a curve.

    Args:
      false_positive_rate, true_positive_rate: the first two of what `funcnn.metrics.roc_curve`
        returns: ``viz.roc(*metrics.roc_curve(scores, labels)[:2])``.
      ax: matplotlib's Axes; None makes a new figure.
      area: under the curve, for the legend; None computes it from the points.
      label: the name of the curve.

    Returns:
      The Axes.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: no real numbers.
      ValueError: shapes that differ; NaN (there were no positives or no negatives); outside [0, 1].

    >>> from funcnn import viz
    >>> ax = viz.roc([0, 0, 0.5, 0.5, 1], [0, 0.5, 0.5, 1, 1], label="unit")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['guessing: area 0.5', 'unit: area 0.750']

    Source: deck E, row 41.
    """
    fpr = numbers("false_positive_rate", false_positive_rate, "n")
    tpr = numbers("true_positive_rate", true_positive_rate, len(fpr))
    both = np.stack([fpr, tpr])
    if not ((both >= 0) & (both <= 1)).all():
        raise ValueError(
            f"expected rates in [0, 1], got values from {both.min():g} to {both.max():g}: NaN "
            "stands for no positives, or no negatives, to count"
        )
    ax = style.axes(ax, (4.6, 4.4))
    known = [drawn for drawn in ax.lines if drawn.get_gid() == "roc"]
    if not known:
        ax.plot([0, 1], [0, 1], ":", color=style.GRAY, lw=1.5, label="guessing: area 0.5")
    looks = style.looks()
    look = [next(looks) for _ in range(len(known) + 1)][-1]
    area = float(np.trapezoid(tpr, fpr)) if area is None else float(area)
    text = f"area {area:.3f}" if label is None else f"{label}: area {area:.3f}"
    ax.plot(fpr, tpr, look.dashes, color=look.color, lw=2, label=text, gid="roc")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    style.label(ax, "false positive rate", "true positive rate")
    style.plot_style(ax, legend=True, loc="lower right")
    return ax
