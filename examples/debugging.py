"""Where a gradient went wrong: NaN, and a gradient that vanishes.

    python examples/debugging.py

The entropy −Σ p log p has a value where p is 0, and a gradient of NaN, although a `where` stands
before the logarithm: `nan_origin` names the line, and what mends it. In a perceptron of ten
sigmoid layers the gradient vanishes: `gradient_flow` says in which layers and why (row 29, decks A
and E), and `costs` where its flops and bytes go.
"""

import argparse

import command_line
import jax
import jax.numpy as jnp

from funcnn import debug, losses, nn

P = jnp.array([0.5, 0.5, 0.0])


def main() -> None:
    args = arguments()
    print(debug.nan_origin(entropy)(P))
    print(f"\nmended: {debug.nan_origin(mended)(P)}\n")
    model = nn.serial(*10 * (nn.dense(32), jax.nn.sigmoid), nn.dense(10))
    keys = jax.random.split(jax.random.key(args.seed), 3)
    x, y = jax.random.normal(keys[0], (64, 20)), jax.random.randint(keys[1], (64,), 0, 10)
    params, _ = model.init(keys[2], x)
    loss = losses.softmax_cross_entropy_with_integer_labels
    print(debug.gradient_flow(model, params, x, y, loss=loss))
    print(f"\n{debug.costs(model, params, x, y, loss=loss)}")


def entropy(p):
    return -jnp.sum(jnp.where(p > 0, p * jnp.log(p), 0.0))


def mended(p):
    there = p > 0
    safe = jnp.where(there, p, 1.0)
    return -jnp.sum(jnp.where(there, safe * jnp.log(safe), 0.0))


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="the same: it takes seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
