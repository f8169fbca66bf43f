"""A small network drawn as a graph of units."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from funcnn.viz import style
from funcnn.viz.arrays import as_many, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# inches, where the Axes are as large as the drawing wants
RADIUS, ACROSS, DOWN = 0.2, 2.0, 0.52


class Layers(NamedTuple):
    """Units of each layer; between each two, the kernel (in, out) and the bias (out,), or None."""

    sizes: tuple[int, ...]
    kernels: tuple[np.ndarray | None, ...]
    biases: tuple[np.ndarray | None, ...]


def network(
    params_or_sizes: Any,
    ax: Any = None,
    names: Sequence[Any] | None = None,
    *,
    most: int = 8,
) -> "Axes":
    """A multilayer perceptron as a graph: a circle for each unit, a line for each weight.

    Lines are blue where the weight is positive and red (and dashed) where it is negative, the
    thicker, the larger it is. Of a small network the weights are written at their lines, and each
    bias in its unit.

    Args:
      params_or_sizes: numbers of units ``(2, 3, 1)``; or parameters: a pytree whose arrays of two
        axes are the kernels (in, out), in order, as those of `funcnn.nn.serial` or a list of
        ``(kernel, bias)``. An array of one axis right beside a kernel is its bias.
      ax: matplotlib's Axes; None makes a new figure.
      names: of each layer: a caption, or a list with a name for each of its units (written beside
        inputs and outputs).
      most: units of a layer that are drawn; of larger ones the first and the last.

    Returns:
      The Axes.

    Raises:
      ImportError: matplotlib is missing.
      ValueError: fewer than two layers; kernels that do not follow one another; not as many names
        as layers, or as units.

    >>> from funcnn import viz
    >>> ax = viz.network((2, 3, 1))
    >>> len(ax.patches), len(ax.lines)
    (6, 9)
    >>> import numpy as np
    >>> ax = viz.network([(np.array([[20.0], [20.0]]), np.array([-30.0]))])
    >>> [text.get_text() for text in ax.texts if text.get_text().strip()]
    ['20', '20', '−30', 'input', 'output']

    Source: decks A to E, rows 4 and 9.
    """
    layers = layers_of(params_or_sizes)
    if most < 3:
        raise ValueError(f"expected most of at least 3 units, got {most}")
    shown = [_shown(size, most) for size in layers.sizes]
    tallest = max(map(len, shown))
    places = [_places(i, units, tallest) for i, units in enumerate(shown)]
    half = max(unit.y for units in places for unit in units)
    given = names_of(names, layers.sizes)
    below = 0.75 if any(isinstance(name, str) for name in given) else 0.35
    width, height = ACROSS * (len(shown) - 1) + 1.8, 2 * half + 0.45 + below
    ax = style.axes(ax, (width, height))
    style.picture_style(ax)
    ax.set(xlim=(-0.9, width - 0.9), ylim=(-half - below, half + 0.45))
    size = float(np.clip(style.points_a_unit(ax, width, height) / 72 * style.TICK, 4, 12))
    for i, kernel in enumerate(layers.kernels):
        _draw_edges(ax, places[i], places[i + 1], kernel, size)
    for i, units in enumerate(places):
        _draw_units(ax, units, layers.biases[i - 1] if i else None, size)
    _write_names(ax, given, layers.sizes, places, size)
    return ax


def layers_of(params_or_sizes: Any) -> Layers:
    """The sizes, kernels and biases of a network.

    >>> layers_of((2, 3, 1)).sizes
    (2, 3, 1)
    >>> layers_of([{"kernel": np.ones((2, 3)), "bias": np.ones(3)}]).sizes
    (2, 3)
    """
    if isinstance(params_or_sizes, Sequence) and all(
        isinstance(size, int | np.integer) for size in params_or_sizes
    ):
        sizes = tuple(int(size) for size in params_or_sizes)
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"expected the sizes of two or more layers, got {params_or_sizes}")
        return Layers(sizes, (None,) * (len(sizes) - 1), (None,) * (len(sizes) - 1))
    leaves = [(path[:-1], leaf) for path, leaf in jax.tree.leaves_with_path(params_or_sizes)]
    kernels = [(parent, leaf) for parent, leaf in leaves if np.ndim(leaf) == 2]
    vectors = [(parent, leaf) for parent, leaf in leaves if np.ndim(leaf) == 1]
    if not kernels:
        raise ValueError(
            "expected sizes (2, 3, 1), or params with kernels (in, out), got arrays of shapes "
            f"{[np.shape(leaf) for _, leaf in leaves]}"
        )
    shapes = [np.shape(kernel) for _, kernel in kernels]
    if any(a[1] != b[0] for a, b in itertools.pairwise(shapes)):
        raise ValueError(
            f"expected kernels (in, out) that follow one another, got shapes {shapes}: give them "
            "as a list, in order"
        )
    biases = []
    for parent, kernel in kernels:
        beside = [i for i, (p, b) in enumerate(vectors) if (p, len(b)) == (parent, kernel.shape[1])]
        biases.append(numbers("a bias", vectors.pop(beside[0])[1], "out") if beside else None)
    sizes = (shapes[0][0], *(shape[1] for shape in shapes))
    return Layers(sizes, tuple(numbers("a kernel", k, *k.shape) for _, k in kernels), tuple(biases))


class Unit(NamedTuple):
    """A unit that is drawn, or None where several are left out, and its place."""

    unit: int | None
    x: float
    y: float


def _shown(size: int, most: int) -> list[int | None]:
    """The units that are drawn, with None where others are left out.

    >>> _shown(3, 4), _shown(100, 4)
    ([0, 1, 2], [0, 1, None, 99])
    """
    if size <= most:
        return list(range(size))
    return [*range(most - 2), None, size - 1]


def _places(layer: int, units: list[int | None], tallest: int) -> list[Unit]:
    down = DOWN * (2 if tallest <= 4 else 1.5 if tallest <= 6 else 1)
    middle = (len(units) - 1) / 2
    return [Unit(unit, ACROSS * layer, down * (middle - i)) for i, unit in enumerate(units)]


def _draw_edges(
    ax: "Axes", before: list[Unit], after: list[Unit], kernel: np.ndarray | None, size: float
) -> None:
    edges = [(a, b) for a in before for b in after if None not in (a.unit, b.unit)]
    largest = np.abs(kernel).max() if kernel is not None and kernel.any() else 1.0
    for a, b in edges:
        weight = None if kernel is None else float(kernel[a.unit, b.unit])
        color = style.GRAY if weight is None else style.BLUE if weight >= 0 else style.VERMILION
        share = 0.25 if weight is None else abs(weight) / largest
        dashes = "--" if weight is not None and weight < 0 else "-"
        ax.plot(
            [a.x, b.x], [a.y, b.y], dashes, color=color, lw=0.3 + 3 * share, alpha=0.8, zorder=1
        )
        if weight is not None and len(edges) <= 8:
            at = 0.3 if len(before) >= len(after) else 0.7  # where they are farther apart
            text = style.signed(weight)
            x, y = a.x + at * (b.x - a.x), a.y + at * (b.y - a.y)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            ax.text(x, y, text, size=size, color=color, ha="center", va="center", bbox=box)


def _draw_units(ax: "Axes", units: list[Unit], bias: np.ndarray | None, size: float) -> None:
    from matplotlib.patches import Circle

    for unit in units:
        at = (unit.x, unit.y)
        if unit.unit is None:
            ax.text(*at, "⋮", size=1.6 * size, color=style.INK, ha="center", va="center")
            continue
        ax.add_patch(Circle(at, RADIUS, fc="white", ec=style.INK, lw=1.4, zorder=2))
        if bias is not None:
            value = float(bias[unit.unit])
            color = style.BLUE if value >= 0 else style.VERMILION
            text = style.signed(value)
            ax.text(*at, text, size=0.85 * size, color=color, ha="center", va="center", zorder=3)


def _write_names(
    ax: "Axes",
    names: Sequence[Any],
    sizes: Sequence[int],
    places: list[list[Unit]],
    size: float,
) -> None:
    """A caption below each layer, or a name beside each of its units."""
    last = len(sizes) - 1
    floor = min(unit.y for units in places for unit in units) - RADIUS - 0.15
    for i, (name, units) in enumerate(zip(names, places, strict=True)):
        if not isinstance(name, str):
            each = as_many(f"names of layer {i}", name, sizes[i], "units") or []
            for unit in units:
                if unit.unit is not None:
                    _write_beside(ax, each[unit.unit], unit, -1 if i == 0 else i == last, size)
            continue
        name += f"\n{sizes[i]:,} units" if len(units) < sizes[i] else ""
        ax.text(units[0].x, floor, name, size=size, color=style.INK, ha="center", va="top")


def names_of(names: Sequence[Any] | None, sizes: Sequence[int]) -> list[Any]:
    """What is written for each layer.

    >>> names_of(None, (2, 3, 3, 1))
    ['input', 'hidden 1', 'hidden 2', 'output']
    """
    last = len(sizes) - 1
    middle = [f"hidden {i}" if last > 2 else "hidden" for i in range(1, last)]
    return as_many("names", names, len(sizes), "layers") or ["input", *middle, "output"]


def _write_beside(ax: "Axes", name: str, unit: Unit, side: int, size: float) -> None:
    """At the left of an input, at the right of an output, above others."""
    away = RADIUS + 0.08
    x, y = unit.x + side * away, unit.y + (0 if side else away)
    ha, va = ("center", "left", "right")[side], "center" if side else "bottom"
    ax.text(x, y, name, size=size, color=style.INK, ha=ha, va=va)
