"""Decision boundaries in the plane: of a classifier, and of its hidden units."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from funcnn.viz import style
from funcnn.viz.arrays import as_many, numbers, whole
from funcnn.viz.plane import Limits, grid, limits_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def decision_boundary(
    predict: Callable[[Any], Any],
    x: Any = None,
    y: Any = None,
    ax: Any = None,
    *,
    logits: bool = False,
    limits: Any = None,
    resolution: int = 200,
    names: Sequence[str] | None = None,
) -> "Axes":
    """What a classifier says of each point of the plane, and examples with their labels.

    The surer, the stronger the shade; where the likeliest class changes, a line is drawn: for two
    classes where p = ½.

    Args:
      predict: ``predict(points (m, 2))`` → the probability of class 1, (m,) or (m, 1), or of each
        class, (m, classes). Points are a JAX array. For a model, ``lambda p: model(params, p)``.
      x: examples, (n, 2). None draws none, and needs `limits`.
      y: their labels, whole numbers from 0 on (or bools), (n,).
      ax: matplotlib's Axes; None makes a new figure.
      logits: whether `predict` gives logits (scores) instead of probabilities.
      limits: what to show: ``((left, right), (bottom, top))``, or ``(low, high)`` for both axes;
        None finds them from x.
      resolution: points along each axis.
      names: of the classes, for a legend.

    Returns:
      The Axes. Its first image holds the colours, (resolution, resolution, 3).

    Raises:
      ImportError: matplotlib is missing.
      TypeError: no real numbers.
      ValueError: shapes that do not match; NaN; "probabilities" that are none, where `logits` was
        perhaps forgotten; a label that is no class.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import viz
    >>> unit = lambda p: jax.nn.sigmoid(p @ jnp.array([1.0, 1.0]) - 3)
    >>> ax = viz.decision_boundary(unit, [[1, 1], [2, 2]], [0, 1], limits=(0, 4), resolution=5)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['class 0', 'class 1']

    Source: deck A, row 2: 1 where x₁ + x₂ ≥ 3; rows 3, 8, 17.
    """
    ax = style.axes(ax, (5.0, 4.4))
    examples = None if x is None else numbers("x", x, "n", 2, finite=True)
    place = limits_of(limits, () if examples is None else (examples,))
    xs, ys, points = grid(place, resolution)
    p = probabilities(predict(jnp.asarray(points)), len(points), logits)
    square = p.reshape(len(ys), len(xs), -1)
    classes = square.shape[-1]
    names = as_many("names", names, classes, "classes") or [f"class {i}" for i in range(classes)]
    image_at(ax, _shades(square), place)
    for i in range(1 if classes == 2 else classes):
        ahead = square[..., i] - np.delete(square, i, axis=-1).max(axis=-1)
        line(ax, xs, ys, ahead, 0.0, style.INK)
    if examples is not None and y is not None:
        _draw_points(ax, examples, y, names)
    _finish(ax, place)
    return ax


def hidden_boundaries(
    hidden: Callable[[Any], Any],
    x: Any = None,
    y: Any = None,
    ax: Any = None,
    *,
    level: float = 0.0,
    limits: Any = None,
    resolution: int = 200,
    names: Sequence[str] | None = None,
) -> Any:
    """Where each unit of a hidden layer switches: the boundaries that the next layer combines.

    Args:
      hidden: ``hidden(points (m, 2))`` → a value for each unit, (m, units).
      x, y: as for `decision_boundary`.
      ax: matplotlib's Axes, for a line for each unit; or a sequence of Axes, one for each unit,
        for its line and its values as shades, dark where they are high. None makes a new figure
        with the lines.
      level: the value at which a unit switches: 0 before its activation (and for tanh after it),
        ½ after a sigmoid.
      limits, resolution: as for `decision_boundary`.
      names: of the units.

    Returns:
      `ax`, the Axes or the sequence of them.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: no real numbers.
      ValueError: shapes that do not match; not as many Axes as units; NaN.

    >>> import jax.numpy as jnp
    >>> from funcnn import viz
    >>> gates = lambda p: p @ jnp.array([[20.0, -20.0], [20.0, -20.0]]) + jnp.array([-10.0, 30.0])
    >>> ax = viz.hidden_boundaries(gates, limits=(-0.5, 1.5), names=["OR", "NAND"], resolution=9)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['OR', 'NAND']

    Source: decks D and E, row 4 (XOR from OR and NAND); deck A, row 3.
    """
    several = None if ax is None or hasattr(ax, "plot") else list(np.ravel(np.asarray(ax, object)))
    single = None if several is not None else style.axes(ax, (5.0, 4.4))
    examples = None if x is None else numbers("x", x, "n", 2, finite=True)
    place = limits_of(limits, () if examples is None else (examples,))
    xs, ys, points = grid(place, resolution)
    values = numbers("the hidden units", hidden(jnp.asarray(points)), len(points), "units")
    units = values.T.reshape(-1, len(ys), len(xs))
    names = as_many("names", names, len(units), "units") or [f"unit {i}" for i in range(len(units))]
    targets = as_many("Axes", several, len(units), "units") or [single] * len(units)
    for look, target, unit, name in zip(style.looks(), targets, units, names, strict=False):
        if several is None:
            line(target, xs, ys, unit, level, look.color, look.dashes, name)
        else:
            target = style.axes(target)
            _draw_unit(target, xs, ys, unit, level, place)
            style.label(target, title=name)
    for target in targets if several is not None else targets[:1]:
        if examples is not None and y is not None:
            count = int(whole("y", y, len(examples)).max()) + 1
            _draw_points(target, examples, y, [f"class {i}" for i in range(max(count, 2))])
        elif several is None:
            style.framed_legend(target)
        _finish(target, place)
    return ax if ax is not None else single


def probabilities(outputs: Any, count: int, logits: bool) -> np.ndarray:
    """Probabilities of each class, (count, classes ≥ 2), of what a classifier gave.

    >>> probabilities(np.array([0.25, 1.0]), 2, logits=False).tolist()
    [[0.75, 0.25], [0.0, 1.0]]
    """
    shape = np.shape(outputs)
    axes: tuple[int | str, ...] = (count,) if len(shape) == 1 else (count, "classes")
    values = numbers("predict(points)", outputs, *axes, finite=True).reshape(count, -1)
    one = values.shape[1] == 1
    if logits:
        values = np.concatenate([np.zeros_like(values), values], axis=1) if one else values
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    sums = 1 if one else values.sum(axis=1)
    if values.min() < -1e-3 or values.max() > 1 + 1e-3 or np.abs(sums - 1).max() > 1e-2:
        raise ValueError(
            f"expected probabilities from predict, got values from {values.min():.3g} to "
            f"{values.max():.3g}{'' if one else ' whose sum over the classes is not 1'}: for "
            "logits (scores), pass logits=True"
        )
    return np.concatenate([1 - values, values], axis=1) if one else values


def _shades(p: np.ndarray) -> np.ndarray:
    """(h, w, 3): the colour of the likeliest class, the paler, the less sure."""
    classes = p.shape[-1]
    best = p.argmax(axis=-1)
    sure = (p.max(axis=-1) * classes - 1) / (classes - 1)
    colors = [style.COLORS[i % len(style.COLORS)] for i in range(classes)]
    return np.choose(best[..., None], [style.blend(c, 0.08 + 0.47 * sure) for c in colors])


def _draw_unit(ax: "Axes", xs, ys, unit: np.ndarray, level: float, place: Limits) -> None:
    """A unit's values as shades of gray, which are no class, and its boundary."""
    away = unit - level
    size = np.quantile(np.abs(away), 0.9) or 1.0
    image_at(ax, style.blend(style.GRAY, 0.35 + 0.3 * np.clip(away / size, -1, 1)), place)
    line(ax, xs, ys, unit, level, style.INK)


def image_at(ax: "Axes", colors: np.ndarray, place: Limits) -> None:
    ax.imshow(colors, extent=place.extent, origin="lower", aspect="auto", interpolation="bilinear")


def line(
    ax: "Axes",
    xs: np.ndarray,
    ys: np.ndarray,
    values: np.ndarray,
    level: float,
    color: str,
    dashes: str = "-",
    name: str | None = None,
) -> None:
    """Where `values` cross a level, if they do; with a name, for the legend."""
    if values.min() < level < values.max():
        ax.contour(xs, ys, values, [level], colors=[color], linewidths=2, linestyles=[dashes])
    if name is not None:
        ax.plot([], [], dashes, color=color, lw=2, label=name)


def _draw_points(ax: "Axes", x: np.ndarray, y: Any, names: Sequence[str]) -> None:
    labels = whole("y", y, len(x))
    if labels.max() >= len(names):
        raise ValueError(f"expected labels below {len(names)} (classes), got {labels.max()}")
    for i, (look, name) in enumerate(zip(style.looks(), names, strict=False)):
        at = x[labels == i].T
        size = float(np.clip(3000 / len(x), 8, 40))
        ax.scatter(
            at[0],
            at[1],
            s=size,
            c=look.color,
            marker=look.marker,
            ec="white",
            lw=0.6,
            label=name,
            zorder=3,
        )
    style.framed_legend(ax)


def _finish(ax: "Axes", place: Limits) -> None:
    ax.set(xlim=place.x, ylim=place.y)
    style.label(ax, "$x_1$", "$x_2$")
