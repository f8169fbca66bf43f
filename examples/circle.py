"""Learns a circle by gradient descent: its centre and radius, from points in and around it.

    python examples/circle.py

The lectures' composite function: z = (x₁ − w₁)² + (x₂ − w₂)² − w₀² is negative inside of a circle,
ŷ = σ(z) is the probability of being outside, and binary cross-entropy says how well the three
parameters separate the points. Automatic differentiation gives the derivatives, for one point
at a time, accumulated, and for all of them at once. Row 8 of the lectures, deck D.
"""

import argparse
from typing import TYPE_CHECKING, Any

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import losses, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUE = np.array([1.6, 0.7, -0.4])  # radius, and the centre's x₁ and x₂
START = np.array([1.0, 0.0, 0.0])
NAMES = ["radius w₀", "centre w₁", "centre w₂"]


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    x, y = points(args.points, args.seed)
    inside = int((y == 0).sum())
    print(f"{args.points:,} points, {inside:,} of them inside of the circle (seed {args.seed})\n")

    print("the derivatives of the loss at the start\n")
    print(derivatives_table(x, y))

    path, curve = descend(x, y, args.steps, args.learning_rate)
    print(f"\n{args.steps:,} steps of gradient descent, learning rate {args.learning_rate:g}\n")
    print(descent_table(path, curve, x, y))
    print("\n" + result_table(path[-1]))
    if not args.no_picture:
        picture_file.save(picture(path, curve, x, y), args.out / "circle.png")


def points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points in the square of side 6 around the origin: x (count, 2), and y, 1 outside."""
    x = np.random.default_rng(seed).uniform(-3, 3, (count, 2)).astype(np.float32)
    return x, (np.hypot(*(x - TRUE[1:]).T) > TRUE[0]).astype(np.float32)


def score(w: jax.Array, x: jax.Array) -> jax.Array:
    """z of a point, or of an array of them: (..., 2) to (...)."""
    return (x[..., 0] - w[1]) ** 2 + (x[..., 1] - w[2]) ** 2 - w[0] ** 2


def loss(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return losses.sigmoid_binary_cross_entropy(score(w, x), y).mean()


def by_hand(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The chain rule on paper: (ŷ − y) ∂z/∂w, the mean over the points."""
    z = (x[:, 0] - w[1]) ** 2 + (x[:, 1] - w[2]) ** 2 - w[0] ** 2
    upstream = 1 / (1 + np.exp(-z)) - y
    local = np.stack([np.full(len(x), -2 * w[0]), -2 * (x[:, 0] - w[1]), -2 * (x[:, 1] - w[2])])
    return local @ upstream / len(x)


def accumulated(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One point at a time: their gradients added up, and divided by their number."""
    gradient = jax.jit(funcnn.grad(loss))
    total = np.zeros(3)
    for point, label in zip(x, y, strict=True):
        total += gradient(jnp.asarray(w, jnp.float32), point, label)
    return total / len(x)


def derivatives_table(x: np.ndarray, y: np.ndarray) -> str:
    w = jnp.asarray(START, jnp.float32)
    columns = {
        "by hand": by_hand(START, x, y),
        "one point at a time": accumulated(START, x, y),
        "all at once": funcnn.grad(loss)(w, x, y),
        "jax.grad": jax.grad(loss)(w, x, y),
    }
    rows = [
        [f"∂loss/∂{name.split()[1]}", *(f"{column[i]:.6f}" for column in columns.values())]
        for i, name in enumerate(NAMES)
    ]
    return tables.table(["", *columns], rows)


def descend(x: np.ndarray, y: np.ndarray, steps: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradient descent over all points: w, (steps + 1, 3), and the loss at each, (steps + 1,)."""
    start = jnp.asarray(START, jnp.float32)

    @jax.jit
    def run(start):
        def step(w, _):
            w = w - rate * funcnn.grad(loss)(w, x, y)
            return w, w

        _, after = jax.lax.scan(step, start, length=steps)
        path = jnp.concatenate([start[None], after])
        return path, jax.vmap(lambda w: loss(w, x, y))(path)

    path, curve = run(start)
    return np.asarray(path), np.asarray(curve)


def shown_steps(count: int) -> list[int]:
    """0, the powers of ten, and the last: few steps that show all of the descent."""
    return sorted({0, *(10**n for n in range(6) if 10**n < count), count - 1})


def descent_table(path: np.ndarray, curve: np.ndarray, x: np.ndarray, y: np.ndarray) -> str:
    rows = []
    for i in shown_steps(len(curve)):
        right = ((np.asarray(score(path[i], x)) > 0) == y).mean()
        rows.append(
            [f"{i:,}", f"{curve[i]:.5f}", f"{right:.2%}", *(f"{value:.4f}" for value in path[i])]
        )
    return tables.table(["step", "loss", "right", *NAMES], rows)


def result_table(w: np.ndarray) -> str:
    found = np.array([abs(w[0]), *w[1:]])  # w₀ and −w₀ are the same circle
    rows = [
        [name, f"{true:.4f}", f"{value:.4f}", f"{abs(value - true):.4f}"]
        for name, true, value in zip(NAMES, TRUE, found, strict=True)
    ]
    return tables.table(["", "true", "learned", "difference"], rows)


def picture(path: np.ndarray, curve: np.ndarray, x: np.ndarray, y: np.ndarray) -> "Figure":
    """The boundary moving over the points, the loss, and the three parameters."""
    figure, axes = viz.figure(1, 2, size=(10, 5.2), title="a circle learned by gradient descent")
    plane, below = axes
    below.remove()
    grid = plane.get_gridspec()[1].subgridspec(2, 1)
    loss_ax, parameters_ax = (figure.add_subplot(place) for place in grid)
    _draw_boundaries(plane, path, curve, x, y)
    steps = np.arange(len(curve))
    loss_ax.plot(steps, curve, color=viz.style.INK, lw=2)
    viz.label(loss_ax, None, "loss")
    for look, name, true, values in zip(viz.style.looks(), NAMES, TRUE, path.T, strict=False):
        parameters_ax.plot(steps, values, look.dashes, color=look.color, lw=2, label=name)
        parameters_ax.axhline(true, color=look.color, lw=1, ls=":")
    viz.label(parameters_ax, "step", "parameters (dotted: true)")
    for ax in (loss_ax, parameters_ax):
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(0, len(curve) - 1)
        viz.style.plot_style(ax)
    parameters_ax.margins(y=0.25)
    parameters_ax.legend(frameon=False, loc="upper center", ncols=3, fontsize=viz.style.SMALL)
    return figure


def steps_on_the_way(curve: np.ndarray, parts: int = 4) -> list[int]:
    """The first steps at which the loss has come down by 0, 1/parts, …, and the last step."""
    down = (curve[0] - curve) / max(curve[0] - curve.min(), 1e-12)
    return sorted({*(int((down >= i / parts).argmax()) for i in range(parts)), len(curve) - 1})


def _draw_boundaries(
    ax: Any, path: np.ndarray, curve: np.ndarray, x: np.ndarray, y: np.ndarray
) -> None:
    """Some of the points, and where σ(z) is ½ on the way: the later, the darker."""
    viz.decision_boundary(
        lambda p: score(jnp.asarray(path[-1]), p),
        *(x[:400], y[:400].astype(int), ax),
        logits=True,
        limits=(-3, 3),
        names=["inside", "outside"],
    )
    ax.get_legend().remove()
    steps = steps_on_the_way(curve)
    angle = np.linspace(0, 2 * np.pi, 200)
    for share, i in zip(np.linspace(0.35, 1, len(steps)), steps, strict=True):
        radius, *centre = path[i]
        circle = np.array(centre)[:, None] + radius * np.stack([np.cos(angle), np.sin(angle)])
        ax.plot(*circle, color=viz.style.blend(viz.style.INK, share), lw=1 + 2 * share)
        ax.plot(*centre, "+", color=viz.style.blend(viz.style.INK, share), ms=8, mew=1.5)
        box = {"fc": "white", "ec": "none", "pad": 1.5}
        ax.text(*circle[:, 0], f"{i:,}", ha="center", va="center", size=10, bbox=box)
    ax.set_aspect("equal")
    viz.label(ax, title="the boundary (numbers: steps)")


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--points",
        type=command_line.whole_number(1),
        metavar="N",
        help="how many points to draw (default: 2000)",
    )
    parser.add_argument(
        "--steps",
        type=command_line.whole_number(1),
        default=999,
        metavar="N",
        help="how many steps to take (default: %(default)s)",
    )
    parser.add_argument(
        "--learning-rate",
        type=command_line.positive,
        default=0.1,
        metavar="RATE",
        help="default: %(default)s",
    )
    parser.add_argument("--quick", action="store_true", help="400 points, for a first look")
    args = parser.parse_args()
    args.points = args.points or (400 if args.quick else 2000)
    return args


if __name__ == "__main__":
    main()
