"""A two-layer network in twenty lines of NumPy, gradients by hand, and in funcnn: the same curve.

    python examples/twenty_lines.py

The lectures' two programs: 64 random examples of 1000 numbers, 100 hidden units, 10 outputs, the
sum of squared errors. One has sigmoid units, a learning rate of 1e-4 and 2000 steps; the other has
ReLU units, 1e-6 and 500 steps. The loss of every step, by NumPy and by funcnn, is compared in
float64 and in float32. (Where a loss is next to nothing, its last digits are rounding, and the
relative difference says so.)
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import losses


class Program(NamedTuple):
    """One of the lectures' two.

    Attributes:
      activation: of the hidden units, for NumPy.
      slope: its derivative, from its value.
      ours: the activation for JAX.
      rate: the learning rate.
      steps: how many the lecture takes.
    """

    activation: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    ours: Callable[[jax.Array], jax.Array]
    rate: float
    steps: int


PROGRAMS = {
    "sigmoid": Program(
        lambda z: 1 / (1 + np.exp(-z)), lambda h: h * (1 - h), jax.nn.sigmoid, 1e-4, 2000
    ),
    "ReLU": Program(lambda z: np.maximum(z, 0), lambda h: h > 0, jax.nn.relu, 1e-6, 500),
}
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Curves = dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]  # by units and dtype: NumPy's, ours
SIZES = 64, 1000, 100, 10  # examples, inputs, hidden units, outputs


def main() -> None:
    args = arguments()
    curves: Curves = {}
    for name, program in PROGRAMS.items():
        for dtype in ("float64", "float32"):
            arrays = draw(args.seed, SIZES, dtype)
            steps = args.steps or program.steps
            curves[name, dtype] = (
                in_numpy(program, arrays, steps),
                in_funcnn(program, arrays, steps),
            )
    print("network of {}-{}-{}, {} examples\n".format(*SIZES[1:], SIZES[0]))
    for name in PROGRAMS:
        print(f"{name}, learning rate {PROGRAMS[name].rate:g}: the loss in float64\n")
        print(curves_table(*curves[name, "float64"]) + "\n")
    print("the largest relative difference between the two curves, over all steps\n")
    print(differences_table(curves))


def draw(seed: int, sizes: tuple[int, int, int, int], dtype: str) -> Arrays:
    """x, y, w1 and w2, all of them normal."""
    n, inputs, hidden, outputs = sizes
    normal = np.random.default_rng(seed).normal
    shapes = (n, inputs), (n, outputs), (inputs, hidden), (hidden, outputs)
    return tuple(normal(size=shape).astype(dtype) for shape in shapes)


def in_numpy(program: Program, arrays: Arrays, steps: int) -> np.ndarray:
    """The loss before each step, the backward pass written out."""
    x, y, w1, w2 = arrays
    curve = []
    for _ in range(steps):
        loss, grad_w1, grad_w2 = by_hand(program, x, y, w1, w2)
        curve.append(loss)
        w1 = w1 - program.rate * grad_w1
        w2 = w2 - program.rate * grad_w2
    return np.array(curve)


def by_hand(program: Program, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The loss and its gradients in w1 and w2."""
    x, y, w1, w2 = arrays
    with np.errstate(over="ignore"):  # of exp in float32: 1/(1 + ∞) is the 0 that it should be
        h = program.activation(x @ w1)
    y_pred = h @ w2
    loss = np.square(y_pred - y).sum()

    grad_y_pred = 2 * (y_pred - y)
    grad_w2 = h.T @ grad_y_pred
    grad_h = grad_y_pred @ w2.T
    grad_w1 = x.T @ (grad_h * program.slope(h))
    return loss, grad_w1, grad_w2


def in_funcnn(program: Program, arrays: Arrays, steps: int) -> np.ndarray:
    """The loss before each step, the backward pass by funcnn; all steps are one program."""
    x, y, *weights = arrays

    def loss(weights):
        w1, w2 = weights
        return losses.squared_error(program.ours(x @ w1) @ w2, y).sum()

    def step(weights, _):
        value, gradients = funcnn.value_and_grad(loss)(weights)
        return [w - program.rate * g for w, g in zip(weights, gradients, strict=True)], value

    # on a GPU or TPU, products of float32 are short of digits unless they are asked for
    with jax.enable_x64(x.dtype == np.float64), jax.default_matmul_precision("float32"):
        x, y, weights = jax.tree.map(jnp.asarray, (x, y, weights))
        _, curve = jax.jit(lambda weights: jax.lax.scan(step, weights, length=steps))(weights)
    return np.asarray(curve)


def curves_table(numpy_curve: np.ndarray, our_curve: np.ndarray) -> str:
    last = len(numpy_curve) - 1
    steps = sorted({0, *(step for step in (1, 10, 100, 500, 1000) if step < last), last})
    rows = [[f"{i:,}", f"{numpy_curve[i]:.9g}", f"{our_curve[i]:.9g}"] for i in steps]
    return tables.table(["step", "NumPy", "funcnn"], rows)


def differences_table(curves: Curves) -> str:
    rows = [
        [
            *(name, dtype, f"{len(by_us):,}", f"{by_us[0]:.2g}", f"{by_us[-1]:.2g}"),
            f"{relative_difference(by_numpy, by_us):.1e}",
        ]
        for (name, dtype), (by_numpy, by_us) in curves.items()
    ]
    return tables.table(["units", "dtype", "steps", "first loss", "last loss", "difference"], rows)


def relative_difference(curve: np.ndarray, other: np.ndarray) -> float:
    """The largest |a − b| / |a|, in float64."""
    a, b = np.asarray(curve, np.float64), np.asarray(other, np.float64)
    return float(np.max(np.abs(a - b) / np.abs(a)))


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--steps",
        type=command_line.whole_number(1),
        metavar="N",
        help="how many steps to take (default: 2000 with sigmoid units, 500 with ReLU)",
    )
    parser.add_argument("--quick", action="store_true", help="30 steps each, for a first look")
    args = parser.parse_args()
    args.steps = args.steps or (30 if args.quick else None)
    return args


if __name__ == "__main__":
    main()
