"""The numerical gradient: how wrong it is, by the step h, and what it costs.

    python examples/numerical_gradient.py

Row 19 of the lectures, decks A, B and E: a loss evaluated once more for each parameter. Too large
an h, and the difference quotient is no derivative; too small, and the difference is lost in the
rounding of the loss. Backpropagation is exact up to rounding, and takes two passes whatever the
number of parameters. Needs: pip install 'funcnn[examples]'
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import data, losses, nn, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# deck B's: the loss at W, and where one of its entries is larger by h
LOSS, STEP = 1.25347, 0.0001
MOVED = (1.25322, 1.25353, 1.25347)

WIDTHS = (2, 8, 32, 128)  # hidden units of the networks whose cost is counted
EXAMPLES = 64


class Errors(NamedTuple):
    """How wrong a difference quotient is.

    Attributes:
      steps: h, (n,).
      errors: (n,), ‖numerical − exact‖ / ‖exact‖.
    """

    steps: np.ndarray
    errors: np.ndarray


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is computed in vain where matplotlib is missing

    print(f"deck B: the loss is {LOSS:g}, and with one entry of W larger by h = {STEP:g}\n")
    print(deck_table())
    found = {
        f"{name} difference, {dtype}": errors(quotient, dtype, args.steps, args.seed)
        for dtype in ("float32", "float64")
        for name, quotient in QUOTIENTS.items()
    }
    print("\nrelative error of the gradient of a network 64-8-10, by h\n")
    print(errors_table(found))
    counted = costs(args.widths, args.seed)
    print("\nfloating point operations, counted by XLA, in those of one evaluation of the loss\n")
    print(costs_table(counted))
    if not args.no_picture:
        print()
        picture_file.save(picture(found, counted), args.out / "numerical_gradient.png")


def forward(loss: Callable[[Any], Any], w: Any, direction: Any, h: Any) -> Any:
    """(L(w + h) − L(w)) / h, wrong by about h/2 · L″."""
    return (loss(w + h * direction) - loss(w)) / h


def central(loss: Callable[[Any], Any], w: Any, direction: Any, h: Any) -> Any:
    """(L(w + h) − L(w − h)) / 2h, wrong by about h²/6 · L‴."""
    return (loss(w + h * direction) - loss(w - h * direction)) / (2 * h)


QUOTIENTS = {"forward": forward, "central": central}


def problem(width: int, dtype: str, seed: int) -> tuple[Callable[[Any], Any], np.ndarray]:
    """The loss of a network on digits, as a function of all its parameters in one vector."""
    x, y = (part[:EXAMPLES] for part in data.digits(seed=seed).train)
    model = nn.models.mlp([width, 10], jnp.tanh)
    params, _ = model.init(jax.random.key(seed), x)
    leaves, structure = jax.tree.flatten(params)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    x = x.astype(dtype)

    def loss(w: Any) -> Any:
        parts = zip(jnp.split(w, ends), leaves, strict=True)
        shaped = jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in parts])
        return losses.softmax_cross_entropy_with_integer_labels(model(shaped, x), y).mean()

    return loss, np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(dtype)


def errors(quotient: Callable[..., Any], dtype: str, steps: tuple[float, ...], seed: int) -> Errors:
    """Of the derivatives along 20 of the parameters' axes, against `funcnn.grad` in float64."""
    with jax.enable_x64(True):
        loss, w = problem(8, dtype, seed)
        exact_loss, exact_w = problem(8, "float64", seed)
        chosen = np.random.default_rng(seed).choice(len(w), 20, replace=False)
        exact = np.asarray(jax.jit(funcnn.grad(exact_loss))(exact_w))[chosen]
        axes = jnp.eye(len(w), dtype=dtype)[chosen]

        @jax.jit
        def all_of_them(h: Any) -> Any:
            return jax.vmap(lambda axis: quotient(loss, jnp.asarray(w), axis, h))(axes)

        numerical = [np.asarray(all_of_them(jnp.asarray(h, dtype)), float) for h in steps]
    wrong = np.linalg.norm(np.array(numerical) - exact, axis=1) / np.linalg.norm(exact)
    return Errors(np.array(steps), wrong)


def costs(widths: tuple[int, ...], seed: int) -> list[tuple[int, float]]:
    """Of each network: how many parameters, and the flops of its gradient in those of the loss."""
    counted = []
    for width in widths:
        loss, w = problem(width, "float32", seed)
        once, gradient = (flops(f, w) for f in (loss, funcnn.grad(loss)))
        counted.append((len(w), gradient / once))
    return counted


def flops(fun: Callable[[Any], Any], w: np.ndarray) -> float:
    analysis = jax.jit(fun).lower(w).compile().cost_analysis()
    return float(analysis["flops"])


def deck_table() -> str:
    rows = [
        [f"{i}.", f"{moved:.5f}", f"({moved:.5f} − {LOSS:.5f}) / {STEP:g}", f"{d:.1f}"]
        for i, (moved, d) in enumerate(zip(MOVED, deck_derivatives(), strict=True), start=1)
    ]
    return tables.table(["entry", "loss", "(L(W + h) − L(W)) / h", "dW"], rows)


def deck_derivatives() -> list[float]:
    """−2.5, 0.6 and 0."""
    return [(moved - LOSS) / STEP + 0.0 for moved in MOVED]


def errors_table(found: dict[str, Errors]) -> str:
    steps = next(iter(found.values())).steps
    rows = [
        [f"{h:.0e}", *(f"{each.errors[i]:.1e}" for each in found.values())]
        for i, h in enumerate(steps)
    ]
    return tables.table(["h", *found], rows)


def costs_table(counted: list[tuple[int, float]]) -> str:
    rows = [
        [f"{count:,}", f"{ratio:.2f}", f"{count + 1:,}", f"{2 * count:,}"]
        for count, ratio in counted
    ]
    header = ["parameters n", "backpropagation", "forward: n + 1", "central: 2n"]
    return tables.table(header, rows)


def picture(found: dict[str, Errors], counted: list[tuple[int, float]]) -> "Figure":
    import picture_page

    from funcnn.viz import style

    title = "The numerical gradient: how wrong it is, and what it costs"
    figure, axes = picture_page.page(title, 4.8, [["errors", "costs"]])
    ax = axes["errors"]
    for look, (name, each) in zip(style.looks(), found.items(), strict=False):
        options = {"color": look.color, "marker": look.marker, "ls": look.dashes, "ms": 4}
        ax.plot(each.steps, np.maximum(each.errors, 1e-16), lw=1.6, label=name, **options)
    ax.set(xscale="log", yscale="log", ylim=(1e-11, 1e6))
    style.plot_style(ax, legend=True, loc="upper right")
    viz.label(ax, "h", "relative error", "rounding at the left, curvature at the right")
    ax, n = axes["costs"], np.array([count for count, _ in counted])
    curves = {
        "central difference: 2n": 2 * n,
        "forward difference: n + 1": n + 1,
        "backpropagation": np.array([ratio for _, ratio in counted]),
    }
    for look, (name, cost) in zip(style.looks(), curves.items(), strict=False):
        ax.plot(n, cost, look.dashes, color=look.color, marker=look.marker, lw=1.8, label=name)
    ax.set(xscale="log", yscale="log", ylim=(1, None))
    style.plot_style(ax, legend=True)
    viz.label(ax, "parameters n", "evaluations of the loss", "the cost of a gradient")
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer h and networks")
    args = parser.parse_args()
    powers = range(-12, 1, 3) if args.quick else np.arange(-12, 0.5, 0.5)
    args.steps = tuple(10.0**power for power in powers)
    args.widths = WIDTHS[:2] if args.quick else WIDTHS
    return args


if __name__ == "__main__":
    main()
