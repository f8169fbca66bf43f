"""Backpropagation written out by hand, as in the lectures, and held against funcnn.grad.

    python examples/backprop_by_hand.py

The δ equations for any activation, for one example and for a batch of rows; the sigmoid graph line
by line; the two formulas of a convolution; the numerical gradient, with the number of times that it
evaluates the loss. Everything in float64. Needs: pip install 'funcnn[examples]'
"""

import argparse
import itertools
import time
from collections.abc import Callable, Sequence

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables
from jax import lax
from jax.flatten_util import ravel_pytree

import funcnn
from funcnn import losses

Params = list[tuple[jax.Array, jax.Array]]  # W, (out, in), and b, (out,), of each layer
Function = Callable[[jax.Array], jax.Array]

SIGMOID_AT = {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}

# any activation f, with its derivative f′
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "sigmoid": (jax.nn.sigmoid, lambda z: jax.nn.sigmoid(z) * (1 - jax.nn.sigmoid(z))),
    "tanh": (jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2),
    "relu": (jax.nn.relu, lambda z: jnp.where(z > 0, 1.0, 0.0)),
    "softplus": (jax.nn.softplus, jax.nn.sigmoid),
    "linear": (lambda z: z, jnp.ones_like),
}


# the network: a⁽¹⁾ = x, z⁽ˡ⁺¹⁾ = W⁽ˡ⁾ a⁽ˡ⁾ + b⁽ˡ⁾, a⁽ˡ⁺¹⁾ = f(z⁽ˡ⁺¹⁾)


def initial_params(widths: Sequence[int], seed: int) -> Params:
    rng = np.random.default_rng(seed)
    return [
        (jnp.asarray(rng.normal(size=(m, n)) / np.sqrt(n)), jnp.asarray(rng.normal(size=m)))
        for n, m in itertools.pairwise(widths)
    ]


def forward(params: Params, x: jax.Array, f: Function) -> tuple[list[jax.Array], list[jax.Array]]:
    """All weighted inputs z and all activations a, the input first; x is one example or rows."""
    zs, activations = [], [x]
    for w, b in params:
        zs.append(activations[-1] @ w.T + b)
        activations.append(f(zs[-1]))
    return zs, activations


def loss(params: Params, x: jax.Array, y: jax.Array, f: Function) -> jax.Array:
    """1/(2n) Σ_i Σ_k (h_ik − y_ik)², of rows of examples."""
    return losses.quadratic(forward(params, x, f)[1][-1], y)


# backpropagation (deck A, row 20)


def backpropagate_one(
    params: Params, x: jax.Array, y: jax.Array, f: Function, f_prime: Function
) -> Params:
    """The gradient of ½ Σ_k (a_k − y_k)² for one example, by the δ equations."""
    zs, activations = forward(params, x, f)
    delta = (activations[-1] - y) * f_prime(zs[-1])  # δ⁽ᴸ⁾ = (a⁽ᴸ⁾ − y) ⊙ f′(z⁽ᴸ⁾)
    gradients = [(jnp.outer(delta, activations[-2]), delta)]  # ∂W = δ aᵀ, ∂b = δ
    for layer in range(len(params) - 1, 0, -1):
        delta = params[layer][0].T @ delta * f_prime(zs[layer - 1])  # δ⁽ˡ⁾ = Wᵀ δ⁽ˡ⁺¹⁾ ⊙ f′(z⁽ˡ⁾)
        gradients.append((jnp.outer(delta, activations[layer - 1]), delta))
    return gradients[::-1]


def backpropagate_each(
    params: Params, x: jax.Array, y: jax.Array, f: Function, f_prime: Function
) -> Params:
    """The gradient of `loss`: summed over the examples, one at a time, and divided by n."""
    total = jax.tree.map(jnp.zeros_like, params)
    for one_x, one_y in zip(x, y, strict=True):
        gradient = backpropagate_one(params, one_x, one_y, f, f_prime)
        total = jax.tree.map(jnp.add, total, gradient)
    return jax.tree.map(lambda g: g / len(x), total)


def backpropagate_rows(
    params: Params, x: jax.Array, y: jax.Array, f: Function, f_prime: Function
) -> Params:
    """The gradient of `loss` in matrices: a row of each is an example."""
    n = len(x)
    zs, activations = forward(params, x, f)
    deltas = (activations[-1] - y) * f_prime(zs[-1])
    gradients = [(deltas.T @ activations[-2] / n, deltas.sum(0) / n)]
    for layer in range(len(params) - 1, 0, -1):
        deltas = deltas @ params[layer][0] * f_prime(zs[layer - 1])
        gradients.append((deltas.T @ activations[layer - 1] / n, deltas.sum(0) / n))
    return gradients[::-1]


# flat code (deck B, row 24): forward and backward of the sigmoid graph, a line an operation


def sigmoid_graph(w0, x0, w1, x1, w2):
    """1 / (1 + exp(−(w0 x0 + w1 x1 + w2))), and its derivatives by the arguments."""
    s0 = w0 * x0
    s1 = w1 * x1
    s2 = s0 + s1
    s3 = s2 + w2
    out = 1 / (1 + np.exp(-s3))

    grad_out = 1.0
    grad_s3 = grad_out * (1 - out) * out
    grad_w2 = grad_s3
    grad_s2 = grad_s3
    grad_s0 = grad_s2
    grad_s1 = grad_s2
    grad_w1 = grad_s1 * x1
    grad_x1 = grad_s1 * w1
    grad_w0 = grad_s0 * x0
    grad_x0 = grad_s0 * w0
    return out, (grad_w0, grad_x0, grad_w1, grad_x1, grad_w2)


# convolution (deck A, row 27), of one image and one filter, as networks have it: not flipped


def convolve(x: np.ndarray, f: np.ndarray) -> np.ndarray:
    """O_ij = Σ_kl X_(i+k)(j+l) F_kl, wherever the filter lies within the image."""
    rows, columns = (n - k + 1 for n, k in zip(x.shape, f.shape, strict=True))
    windows = [
        [np.sum(x[i : i + f.shape[0], j : j + f.shape[1]] * f) for j in range(columns)]
        for i in range(rows)
    ]
    return np.array(windows)


def gradient_of_filter(x: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """∂L/∂F = convolution(X, ∂L/∂O)."""
    return convolve(x, upstream)


def gradient_of_image(f: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """∂L/∂X = full convolution of the filter, rotated by 180°, with ∂L/∂O."""
    margins = [(k - 1, k - 1) for k in f.shape]
    return convolve(np.pad(upstream, margins), np.rot90(f, 2))


# numerical gradient (decks A, B and E, row 19): one coordinate at a time


def forward_difference(
    f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-4
) -> tuple[np.ndarray, int]:
    """(f(x + h e_j) − f(x)) / h for each j, and how often f was evaluated: n + 1 times."""
    before, gradient = f(x), np.zeros(len(x))
    for j in range(len(x)):
        step = np.zeros(len(x))
        step[j] = h
        gradient[j] = (f(x + step) - before) / h
    return gradient, 1 + len(x)


def central_difference(
    f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-4
) -> tuple[np.ndarray, int]:
    """(f(x + h e_j) − f(x − h e_j)) / 2h for each j, and how often f was evaluated: 2n times."""
    gradient = np.zeros(len(x))
    for j in range(len(x)):
        step = np.zeros(len(x))
        step[j] = h
        gradient[j] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient, 2 * len(x)


# the comparison


def main() -> None:
    args = arguments()
    with jax.enable_x64(True):
        print("gradients by hand, and how far those of funcnn.grad and jax.grad are from them:")
        rows = [
            [name, *map(largest, apart(by_hand, by_funcnn, by_jax))]
            for name, by_hand, by_funcnn, by_jax in compared(args.seed)
        ]
        print(tables.table(["by hand", "largest entry", "funcnn.grad", "jax.grad"], rows))

        widths = [8, 6, 4] if args.quick else [784, 30, 30, 10]
        print_cost(widths, args.seed)


def compared(seed: int):
    """Name, gradient by hand, by funcnn and by JAX."""
    rng = np.random.default_rng(seed)
    params = initial_params([5, 4, 3, 2], seed)
    x, y = jnp.asarray(rng.normal(size=(6, 5))), jnp.asarray(rng.normal(size=(6, 2)))
    for name, (f, f_prime) in ACTIVATIONS.items():
        each, rows, *by_tape = jax.jit(gradients, static_argnums=(3, 4))(params, x, y, f, f_prime)
        yield f"δ, {name}, each example", each, *by_tape
        yield f"δ, {name}, rows", rows, *by_tape

    at = tuple(map(jnp.asarray, SIGMOID_AT.values()))
    graph = lambda w0, x0, w1, x1, w2: 1 / (1 + jnp.exp(-(w0 * x0 + w1 * x1 + w2)))
    tapes = [grad(graph, argnums=range(5))(*at) for grad in (funcnn.grad, jax.grad)]
    yield "sigmoid graph, flat", sigmoid_graph(**SIGMOID_AT)[1], *tapes

    image, kernel, upstream = (rng.normal(size=s) for s in ((7, 6), (3, 2), (5, 5)))
    tapes = [
        vjp(convolution, image, kernel)[1](jnp.asarray(upstream)) for vjp in (funcnn.vjp, jax.vjp)
    ]
    yield "convolution, image", gradient_of_image(kernel, upstream), *(g[0] for g in tapes)
    yield "convolution, filter", gradient_of_filter(image, upstream), *(g[1] for g in tapes)


def gradients(params: Params, x, y, f: Function, f_prime: Function) -> list[Params]:
    """Of `loss`: example by example, in matrices, by funcnn and by JAX."""
    by_hand = [by(params, x, y, f, f_prime) for by in (backpropagate_each, backpropagate_rows)]
    return by_hand + [grad(loss)(params, x, y, f) for grad in (funcnn.grad, jax.grad)]


def convolution(image: jax.Array, kernel: jax.Array) -> jax.Array:
    """`convolve`, as one primitive."""
    return lax.conv(image[None, None], kernel[None, None], (1, 1), "VALID")[0, 0]


def apart(by_hand, *others):
    """The gradient by hand, and the others' differences from it."""
    return by_hand, *(jax.tree.map(jnp.subtract, by_hand, other) for other in others)


def largest(tree) -> str:
    return f"{max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree)):.1e}"


def print_cost(widths: Sequence[int], seed: int) -> None:
    """What a gradient costs by differences and by backpropagation, and how exact it is."""
    rng = np.random.default_rng(seed)
    params = initial_params(widths, seed)
    x, y = (jnp.asarray(rng.normal(size=(4, width))) for width in (widths[0], widths[-1]))
    flat, unflatten = ravel_pytree(params)
    value = jax.jit(lambda flat: loss(unflatten(flat), x, y, jax.nn.sigmoid))
    gradient = jax.jit(funcnn.grad(value))

    by_tape, _ = jax.block_until_ready((gradient(flat), value(flat)))  # compiles both
    start = time.perf_counter()
    jax.block_until_ready(gradient(flat))
    rows = [["funcnn.grad", "1 forward, 1 backward", f"{time.perf_counter() - start:.1e} s", ""]]
    for name, difference in (("forward", forward_difference), ("central", central_difference)):
        start = time.perf_counter()
        by_difference, evaluations = difference(lambda v: float(value(v)), np.asarray(flat))
        seconds = time.perf_counter() - start
        error = np.abs(by_difference - by_tape).max()
        rows.append([f"{name} difference", f"{evaluations:,}", f"{seconds:.1e} s", f"{error:.1e}"])
    print(f"\n{'-'.join(map(str, widths))}, sigmoid: {flat.size:,} parameters")
    print(tables.table(["gradient by", "evaluations", "time", "largest error"], rows))


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="the numerical gradient of a small network"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
