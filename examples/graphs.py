"""Computational graphs with their numbers: values forward, gradients backward.

    python examples/graphs.py

Each graph is traced from a plain function of jnp, printed as a table, and written as a drawing
(.svg) and as a page (.html) that goes through both passes one step at a time, with the arrow keys.

    (x + y) z; a product with a sum, where a value is used twice       row 21, decks A to E
    the sigmoid, gate by gate, and as one gate                         row 22, decks B and C
    add distributes, mul swaps, copy adds, max routes                  row 23, deck B
    ReLU of a vector, without its Jacobian                             row 25, deck B
    a network of two layers; a convolutional one, folded by layer; a loop, iteration by iteration

Needs: pip install 'funcnn[examples]'
"""

import argparse
from collections.abc import Callable, Iterator

import command_line
import jax
import jax.numpy as jnp
from jax import lax

from funcnn import graph, losses, nn


def main() -> None:
    args = arguments()
    for name, title, make in GRAPHS:
        made = make(args.seed)
        print(f"\n{title}\n\n{made.table(lines=False)}")
        if not args.no_picture:
            args.out.mkdir(parents=True, exist_ok=True)
            for ending in ("svg", "html"):
                path = args.out / f"graphs_{name}.{ending}"
                made.save(path)
                print(f"{'picture' if ending == 'svg' else 'page'}: {path}")


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="the same: it takes seconds")
    return parser.parse_args()


# row 21


def product_of_a_sum(x, y, z):
    q = x + y
    return q * z


def used_twice(a, b):
    c = a + b
    d = a * c
    return d


# row 22


def sigmoid_by_gates(w0, x0, w1, x1, w2):
    linear = w0 * x0 + w1 * x1 + w2
    return 1 / (1 + jnp.exp(-linear))


def sigmoid_as_one_gate(w0, x0, w1, x1, w2):
    linear = w0 * x0 + w1 * x1 + w2
    return jax.nn.sigmoid(linear)


# row 23


def gates(x, y, z, w):
    product = x * y
    largest = jnp.maximum(z, w)
    return 2 * (product + largest)


# networks and loops


def two_layers(params, x, y):
    hidden = jax.nn.relu(x @ params["W1"] + params["b1"])
    scores = hidden @ params["W2"] + params["b2"]
    return jnp.mean((scores - y) ** 2)


def of_two_layers(seed: int) -> graph.Graph:
    keys = iter(jax.random.split(jax.random.key(seed), 4))
    params = {
        "W1": jax.random.normal(next(keys), (4, 5)),
        "b1": jnp.full(5, 0.1),
        "W2": jax.random.normal(next(keys), (5, 3)),
        "b2": jnp.zeros(3),
    }
    x, y = jax.random.normal(next(keys), (6, 4)), jax.random.normal(next(keys), (6, 3))
    return graph.trace(two_layers)(params, x, y)


def of_a_convolutional_network(seed: int) -> graph.Graph:
    model = nn.serial(
        conv1=nn.conv(4, (3, 3)),
        relu1=jax.nn.relu,
        pool1=nn.max_pool((2, 2), (2, 2)),
        conv2=nn.conv(8, (3, 3)),
        relu2=jax.nn.relu,
        pool2=nn.max_pool((2, 2), (2, 2)),
        flatten=nn.flatten,
        dense1=nn.dense(10),
        relu3=jax.nn.relu,
        dense2=nn.dense(3),
    )

    def loss(params, images, labels):
        logits = model(params, images)
        return losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    images, labels = jnp.stack(list(rings(12, (3.0, 4.5))))[..., None], jnp.array([0, 2])
    params, _ = model.init(jax.random.key(seed), images)
    return graph.trace(loss)(params, images, labels).fold(depth=0)


def rings(size: int, radii: tuple[float, ...]) -> Iterator[jax.Array]:
    """Pictures of rings, (size, size)."""
    offset = jnp.arange(size) - (size - 1) / 2
    for radius in radii:
        yield jnp.exp(-((jnp.hypot(offset[:, None], offset) - radius) ** 2))


def of_a_loop(seed: int) -> graph.Graph:
    def leaky_sum(a, x):
        def step(carry, x):
            return a * carry + x, None

        last, _ = lax.scan(step, 0.0, x)
        return last**2

    return graph.trace(leaky_sum)(0.5, jnp.array([1.0, 2.0, 3.0])).unfold("scan")


def at(fun: Callable, *values: float) -> Callable[[int], graph.Graph]:
    """The graph of a function of numbers, which no seed changes."""
    return lambda seed: graph.trace(fun)(*values)


def of_relu(seed: int) -> graph.Graph:
    upstream = jnp.array([4.0, -1.0, 5.0, 9.0])
    return graph.trace(jax.nn.relu, cotangent=upstream)(jnp.array([1.0, -2.0, 3.0, -1.0]))


GRAPHS = (
    ("sum", "(x + y) z at (−2, 5, −4) (row 21)", at(product_of_a_sum, -2.0, 5.0, -4.0)),
    ("sum_again", "(x + y) z at (2, 3, −2) (row 21)", at(product_of_a_sum, 2.0, 3.0, -2.0)),
    (
        "used_twice",
        "a (a + b) at (4, 3): copy adds (rows 21, 23)",
        at(used_twice, 4.0, 3.0),
    ),
    (
        "sigmoid",
        "the sigmoid of w0 x0 + w1 x1 + w2, gate by gate (row 22)",
        at(sigmoid_by_gates, 2.0, -1.0, -3.0, -2.0, -3.0),
    ),
    (
        "one_gate",
        "the same with the sigmoid as one gate (row 22)",
        at(sigmoid_as_one_gate, 2.0, -1.0, -3.0, -2.0, -3.0),
    ),
    (
        "gates",
        "add distributes, mul swaps, max routes (row 23)",
        at(gates, 3.0, -4.0, 2.0, -1.0),
    ),
    ("relu", "ReLU at (1, −2, 3, −1), upstream (4, −1, 5, 9) (row 25)", of_relu),
    ("two_layers", "a network of two layers", of_two_layers),
    ("convolutional", "a convolutional network, folded by layer", of_a_convolutional_network),
    ("loop", "a loop, iteration by iteration", of_a_loop),
)


if __name__ == "__main__":
    main()
