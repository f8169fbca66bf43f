"""What one logistic unit can tell apart, and what three of them can, combined by a fourth.

    python examples/logistic_units.py

Rows 2 and 3 of the lectures, deck A: σ(x₁ + x₂ − 3) has a line as its boundary, as every unit has.
The sigmoid of the sum of three units is never below ½ and so says 1 everywhere; a fourth logistic
unit, with weights and a bias of its own, says 0 in the middle of the three.
"""

import argparse
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

from funcnn import nn, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Unit(NamedTuple):
    """Weights and bias of a logistic unit."""

    w: tuple[float, ...]
    b: float


FIRST = Unit((1, 1), -3)
THREE = {"h₁": Unit((10, 10), -30), "h₂": Unit((10, -10), -30), "h₃": Unit((-10, 1), -3)}
FOURTH = Unit((10, 10, 10), -1)
LOW, HIGH, POINTS = -10, 10, 100  # the deck's square, and its points along each side
EXAMPLES = [(0, 0), (1, 1), (2, 1), (3, 0), (1.5, 1.5), (2, 2), (4, 3)]
PLACES = [(1.25, 0), (8, 0), (2, 6), (2, -6), (-6, 0)]  # one in each of the regions


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is computed in vain without matplotlib

    slope, offset = boundary(FIRST)
    print(f"a logistic unit, w = {FIRST.w}, b = {FIRST.b}: 1 where σ(x₁ + x₂ − 3) ≥ ½\n")
    print(examples_table())
    print(f"\nits boundary, where σ is ½: x₂ = {slope:g} x₁ + {offset:g}")
    print("\nthree units, and two ways to combine them\n")
    print(places_table())
    print(f"\nthe same over the square from {LOW} to {HIGH}, {POINTS} by {POINTS} points\n")
    print(square_table())
    if not args.no_picture:
        picture_file.save(picture(), args.out / "logistic_units.png")


def layer(*units: Unit) -> dict[str, jax.Array]:
    """The params of `nn.dense`, with these units."""
    weights, biases = zip(*units, strict=True)
    return {"kernel": jnp.array(weights, jnp.float32).T, "bias": jnp.array(biases, jnp.float32)}


def scores(x: Any) -> jax.Array:
    """The first unit before its sigmoid: (n, 2) to (n,)."""
    return nn.models.logistic_regression()(((), layer(FIRST), ()), jnp.asarray(x))


def boundary(unit: Unit) -> tuple[float, float]:
    """Slope and offset of the line w₁ x₁ + w₂ x₂ + b = 0."""
    (w1, w2), b = unit
    return -w1 / w2, -b / w2


def panels(x: Any) -> dict[str, np.ndarray]:
    """What the deck's five panels show at points (n, 2): each (n,)."""
    network = nn.serial(z=nn.dense(3), h=jax.nn.sigmoid, z4=nn.dense(1), h4=jax.nn.sigmoid)
    params = {"z": layer(*THREE.values()), "h": (), "z4": layer(FOURTH), "h4": ()}
    within = nn.intermediates(network, params, jnp.asarray(x))
    shown = dict(zip(THREE, within["h"].T, strict=True))
    shown["σ(h₁ + h₂ + h₃)"] = jax.nn.sigmoid(within["h"].sum(axis=1))
    shown["fourth unit"] = within["h4"][:, 0]
    return {name: np.asarray(values) for name, values in shown.items()}


def examples_table() -> str:
    x = np.array(EXAMPLES, np.float32)
    z = np.asarray(scores(x))
    rows = [
        [f"{a:g}", f"{b:g}", f"{s:g}", f"{p:.4f}", str(int(p >= 0.5))]
        for (a, b), s, p in zip(x, z, np.asarray(jax.nn.sigmoid(z)), strict=True)
    ]
    return tables.table(["x₁", "x₂", "x₁ + x₂ − 3", "σ", "predicted"], rows)


def places_table() -> str:
    values = panels(np.array(PLACES, np.float32))
    rows = [
        [*map("{:g}".format, place), *(f"{column[i]:.4f}" for column in values.values())]
        for i, place in enumerate(PLACES)
    ]
    return tables.table(["x₁", "x₂", *values], rows)


def square_table() -> str:
    side = np.linspace(LOW, HIGH, POINTS, dtype=np.float32)
    values = panels(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    rows = [
        [name, f"{v.min():.4f}", f"{v.max():.4f}", f"{(v >= 0.5).mean():.1%}"]
        for name, v in values.items()
    ]
    return tables.table(["", "lowest", "highest", "predicted 1"], rows)


def picture() -> "Figure":
    """The unit with its line, and the deck's five panels."""
    figure, axes = viz.figure(2, 3, size=(10, 6.7), title="logistic units and their boundaries")
    x = np.array(EXAMPLES, np.float32)
    first = axes.flat[0]
    y = (scores(x) >= 0).astype(int)
    viz.decision_boundary(
        scores, x, y, first, logits=True, limits=(-1, 5), names=["predicted 0", "predicted 1"]
    )
    first.text(-0.1, 3.45, "$x_2 = 3 - x_1$", rotation=-45, ha="center", va="center", size=11)
    titles = ["$w$ = (1, 1), $b$ = −3"]
    for name, unit in THREE.items():
        titles.append(f"{name}: $w$ = {unit.w}, $b$ = {unit.b}".replace("-", "−"))
    titles += ["σ(h₁ + h₂ + h₃): always 1", "unit: $w$ = (10, 10, 10), $b$ = −1"]
    for ax, name in zip(axes.flat[1:], panels(x), strict=True):
        _panel(ax, name)
    for ax, title in zip(axes.flat, titles, strict=True):
        ax.set_title(title, size=11, weight="bold")
        ax.set_aspect("equal")
    return figure


def _panel(ax: Any, name: str) -> None:
    """One of the five, with its values in each region."""
    viz.decision_boundary(lambda p: panels(p)[name], ax=ax, limits=(LOW, HIGH))
    for place, value in zip(PLACES, panels(np.array(PLACES, np.float32))[name], strict=True):
        ax.text(*place, f"{value:.2f}", ha="center", va="center", size=8.5)
    ax.set(xticks=range(LOW, HIGH + 1, 5), yticks=range(LOW, HIGH + 1, 5))


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="the same: it is quick")
    return parser.parse_args()


if __name__ == "__main__":
    main()
