"""Activation functions, each with its derivative.

    python examples/activations.py

Row 12 of the lectures, decks A to E. The derivatives are those of funcnn.grad, beside the formulas
on paper. Where a derivative is near 0, a unit saturates: nothing is learned through it. At a
kink there is none: ReLU's is taken as 0 and leaky ReLU's as 1. Of softmax, what is shown is the
first of three probabilities by its own score, the two others being 0 and 1.
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
from funcnn import nn, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Activation(NamedTuple):
    """A function of one number.

    Attributes:
      formula: as it stands in the decks.
      function: of a scalar.
      slope: its derivative by hand.
      interval: where it is drawn.
    """

    formula: str
    function: Callable[[Any], jax.Array]
    slope: Callable[[float], float]


ALPHA = 1.0  # of ELU
PIECES = {"kernel": jnp.array([[[-0.5]], [[1.0]]]), "bias": jnp.array([[0.0], [-0.75]])}
POINTS = (-3.0, -1.0, 0.0, 1.0, 3.0)


def maxout(x: Any) -> jax.Array:
    """The layer of two pieces, −½x and x − ¾, at one number."""
    return nn.maxout(1)(PIECES, jnp.reshape(x, (1, 1)))[0, 0]


def softmax(x: Any) -> jax.Array:
    """The first of three probabilities, by its score; the scores of the others are 0 and 1."""
    return jax.nn.softmax(jnp.stack([x, jnp.zeros_like(x), jnp.ones_like(x)]))[0]


def softmax_slope(x: float) -> float:
    p = np.exp(x) / (np.exp(x) + 1 + np.e)
    return p * (1 - p)


def sigmoid_slope(x: float) -> float:
    y = 1 / (1 + np.exp(-x))
    return y * (1 - y)


ACTIVATIONS = {
    "step": Activation("1 if x ≥ 0 else 0", nn.step, lambda x: 0.0),
    "sigmoid": Activation("1/(1 + exp(−x))", jax.nn.sigmoid, sigmoid_slope),
    "tanh": Activation("tanh(x)", jnp.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "ReLU": Activation("max(0, x)", jax.nn.relu, lambda x: float(x > 0)),
    "leaky ReLU": Activation("max(0.1x, x)", nn.leaky_relu, lambda x: 1.0 if x >= 0 else 0.1),
    "ELU": Activation(
        "x if x ≥ 0 else α(exp(x) − 1)",
        lambda x: jax.nn.elu(x, ALPHA),
        lambda x: 1.0 if x > 0 else ALPHA * np.exp(x),
    ),
    "maxout": Activation("max(−½x, x − ¾)", maxout, lambda x: 1.0 if x > 0.5 else -0.5),
    "softmax": Activation("exp(x)/(exp(x) + exp(0) + exp(1))", softmax, softmax_slope),
}


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is computed in vain without matplotlib

    print("values\n")
    print(values_table())
    print("\nderivatives, by funcnn.grad\n")
    print(derivatives_table())
    if not args.no_picture:
        picture_file.save(picture(), args.out / "activations.png")


def values_and_slopes(function: Callable[[Any], jax.Array]) -> tuple[np.ndarray, np.ndarray]:
    """At POINTS."""
    both = jax.jit(jax.vmap(funcnn.value_and_grad(function)))
    value, slope = both(jnp.array(POINTS))
    return np.asarray(value), np.asarray(slope)


def values_table() -> str:
    rows = []
    for name, activation in ACTIVATIONS.items():
        values, _ = values_and_slopes(activation.function)
        rows.append([name, activation.formula, *map("{:.4f}".format, values)])
    return tables.table(["", "", *(f"x = {x:g}" for x in POINTS)], rows)


def derivatives_table() -> str:
    rows = []
    for name, activation in ACTIVATIONS.items():
        _, slopes = values_and_slopes(activation.function)
        by_hand = np.array([activation.slope(x) for x in POINTS])
        difference = np.abs(slopes - by_hand).max()
        rows.append([name, *map("{:.4f}".format, slopes), f"{difference:.0e}"])
    header = ["", *(f"x = {x:g}" for x in POINTS), "largest difference from the formula"]
    return tables.table(header, rows)


def picture() -> "Figure":
    figure, axes = viz.figure(2, 4, size=(10, 5.4), title="activations and their derivatives")
    for ax, (name, activation) in zip(axes.flat, ACTIVATIONS.items(), strict=True):
        viz.activation(activation.function, ax, name=name, interval=(-4, 4))
        ax.get_legend().remove()
        ax.set_ylim(-1.2, 1.9)
        ax.set_xlabel(activation.formula, size=9)
    lines = axes.flat[0].lines[:2]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False)
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="the same: it is quick")
    return parser.parse_args()


if __name__ == "__main__":
    main()
