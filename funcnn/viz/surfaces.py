"""Objectives of two parameters as contours, and how optimizers walk on them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.viz import style
from funcnn.viz.arrays import numbers
from funcnn.viz.plane import grid, limits_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def paths(
    fun: Callable[[Any], Any],
    paths: Mapping[str, Any],
    ax: Any = None,
    *,
    limits: Any = None,
    minimum: Any = None,
    resolution: int = 150,
    names: tuple[str, str] = ("$w_1$", "$w_2$"),
) -> "Axes":
    """The paths of optimizers on the contours of an objective.

    Between two contours lies the same area, so that they show a valley's ground and its walls.
    A path ends where it is not finite any more.

    Args:
      fun: ``fun(point (2,))`` → a number; it is run under `jax.vmap`.
      paths: ``{name: (steps, 2)}``, each from its start on.
      ax: matplotlib's Axes; None makes a new figure.
      limits: what to show: ``((left, right), (bottom, top))``, or ``(low, high)`` for both axes;
        None finds them from the paths.
      minimum: a point to mark, (2,).
      resolution: points along each axis, for the contours.
      names: of the two parameters.

    Returns:
      The Axes, with one line for each path.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: no real numbers.
      ValueError: paths of another shape; an objective that does not return one number for a point.

    >>> import jax.numpy as jnp
    >>> from funcnn import viz
    >>> walked = {"descent": [[2.0, 1.0], [1.0, 0.5], [0.5, 0.25]]}
    >>> ax = viz.paths(lambda w: jnp.sum(w**2), walked, limits=(-3, 3), minimum=(0, 0))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['descent', 'minimum']

    Source: deck B, row 37: momentum, AdaGrad, RMSProp and Adam on hard surfaces; row 31.
    """
    ax = style.axes(ax, (5.6, 4.6))
    if not isinstance(paths, Mapping):
        raise TypeError(f"expected paths as {{name: (steps, 2)}}, got {type(paths).__name__}")
    walked = {name: _finite(numbers(f"path {name!r}", p, "steps", 2)) for name, p in paths.items()}
    place = limits_of(limits, list(walked.values()))
    xs, ys, points = grid(place, resolution)
    heights = numbers("fun(point)", jax.jit(jax.vmap(fun))(jnp.asarray(points)), len(points))
    _contours(ax, xs, ys, heights.reshape(len(ys), len(xs)))
    for look, (name, path) in zip(style.looks(), walked.items(), strict=False):
        _draw_path(ax, path, look, name)
    for start in np.unique([path[0] for path in walked.values() if len(path)], axis=0):
        ax.plot(*start, "o", ms=9, mfc="white", mec=style.INK, mew=1.6)
    if minimum is not None:
        point = numbers("minimum", minimum, 2, finite=True)
        ax.plot(*point, "*", ms=15, color=style.YELLOW, mec=style.INK, ls="none", label="minimum")
    ax.set(xlim=place.x, ylim=place.y)
    style.label(ax, *names)
    style.framed_legend(ax)
    return ax


def _finite(path: np.ndarray) -> np.ndarray:
    """The points before the first that is not finite."""
    good = np.isfinite(path).all(axis=1)
    return path[: len(path) if good.all() else int(good.argmin())]


def _draw_path(ax: "Axes", path: np.ndarray, look: style.Look, name: str) -> None:
    ax.plot(*path.T, color="white", lw=3.4, alpha=0.8)  # apart from the contours
    every = max(1, len(path) // 40)
    marks: dict[str, Any] = {"marker": look.marker, "markevery": every, "ms": 4.5}
    ax.plot(*path.T, color=look.color, lw=1.8, label=name, **marks)


def _contours(ax: "Axes", xs: np.ndarray, ys: np.ndarray, heights: np.ndarray) -> None:
    finite = heights[np.isfinite(heights)]
    levels = np.unique(np.quantile(finite, np.linspace(0, 1, 16))) if finite.size else finite
    if len(levels) < 2:
        return  # it is flat
    colors = style.blend(style.GRAY, np.linspace(0.5, 0.05, len(levels) - 1))
    heights = np.ma.masked_invalid(heights)
    ax.contourf(xs, ys, heights, levels, colors=colors.tolist())
    if len(levels) > 2:
        white: dict[str, Any] = {"colors": "white", "linewidths": 0.8, "linestyles": "solid"}
        ax.contour(xs, ys, heights, levels[1:-1], **white)
