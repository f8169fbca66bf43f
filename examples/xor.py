"""Logic gates with given weights, and exclusive or, which takes a hidden layer, learned.

    python examples/xor.py

AND, OR and NAND are one unit each; XOR is AND of OR and NAND: two layers. Then networks with one
hidden layer learn XOR by gradient descent, each from many random starts, all of them at once by
jax.vmap; without hidden units none of them can.
"""

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import losses, nn, optim

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
TRUTH = {"AND": (0, 0, 0, 1), "OR": (0, 1, 1, 1), "NAND": (1, 1, 1, 0), "XOR": (0, 1, 1, 0)}
GATES = {  # the weights of x₁ and x₂, and the bias, which is minus the threshold
    "AND": (20.0, 20.0, -30.0),
    "OR": (20.0, 20.0, -10.0),
    "NAND": (-20.0, -20.0, 30.0),
}
RATE = 1.0
CLOSE = 0.1  # a network has learned the gate if no probability is further from the truth


def main() -> None:
    args = arguments()
    print("perceptrons: 1 if w₁ x₁ + w₂ x₂ ≥ θ, else 0\n")
    print(truth_table(gates(nn.step), "{:.0f}"))
    print("\nlogistic units with the same weights: σ(w₁ x₁ + w₂ x₂ − θ)\n")
    print(truth_table(gates(jax.nn.sigmoid), "{:.6f}"))

    keys = jax.random.split(jax.random.key(args.seed), args.starts)
    print(
        f"\nXOR learned: {args.steps:,} steps of gradient descent, learning rate {RATE:g}, "
        f"from {args.starts} random starts each\n"
    )
    found = {width: learn(network(width), keys, args.steps) for width in args.widths}
    print(starts_table(found))
    print("\nthe best of those with two hidden units\n")
    params, curve = best_start(found[2])
    steps = sorted({0, *(10**n for n in range(5) if 10**n < args.steps), args.steps - 1})
    print(tables.table(["step", "loss"], [[f"{i:,}", f"{curve[i]:.5f}"] for i in steps]))
    print("\n" + learned_table(params))


def gates(activation: Any) -> dict[str, jax.Array]:
    """What each gate gives on the four inputs of X."""
    unit = nn.serial(nn.dense(1), activation)
    outputs = {name: unit((units(name), ()), X)[:, 0] for name in GATES}
    two_layers = nn.serial(nn.dense(2), activation, nn.dense(1), activation)
    outputs["XOR"] = two_layers((units("OR", "NAND"), (), units("AND"), ()), X)[:, 0]
    return outputs


def units(*names: str) -> dict[str, jax.Array]:
    """The params of `nn.dense`, a unit a gate."""
    w1, w2, bias = np.array([GATES[name] for name in names], np.float32).T
    return {"kernel": jnp.stack([w1, w2]), "bias": jnp.asarray(bias)}


def network(width: int) -> nn.Layer:
    """One logit from two inputs; a `width` of 0 is logistic regression."""
    if not width:
        return nn.serial(logit=nn.dense(1))
    return nn.serial(z=nn.dense(width), h=jnp.tanh, logit=nn.dense(1))


class Learned(NamedTuple):
    """What gradient descent came to from each of the starts.

    Attributes:
      params: with an axis before the others that counts starts.
      losses: (starts, steps), each before its step.
      probabilities: (starts, 4), of 1 at each of the inputs, after the last step.
    """

    params: Any
    losses: np.ndarray
    probabilities: np.ndarray


def learn(model: nn.Layer, keys: jax.Array, steps: int) -> Learned:
    """XOR by gradient descent, from one start a key."""
    optimizer = optim.sgd(RATE)
    y = jnp.array(TRUTH["XOR"])

    def loss(params):
        return losses.sigmoid_binary_cross_entropy(model(params, X)[:, 0], y).mean()

    @jax.jit
    @jax.vmap
    def descend(key):
        def step(carry, _):
            params, state = carry
            value, slope = funcnn.value_and_grad(loss)(params)
            updates, state = optimizer.update(slope, state, params)
            return (optim.apply_updates(params, updates), state), value

        params, _ = model.init(key, X)
        (params, _), curve = jax.lax.scan(step, (params, optimizer.init(params)), length=steps)
        return Learned(params, curve, jax.nn.sigmoid(model(params, X)[:, 0]))

    return jax.tree.map(np.asarray, descend(keys))


def best_start(found: Learned) -> tuple[Any, np.ndarray]:
    """The params and the curve of the start with the lowest loss."""
    best = found.losses[:, -1].argmin()
    return jax.tree.map(lambda leaf: leaf[best], found.params), found.losses[best]


def starts_table(found: Mapping[int, Learned]) -> str:
    rows = []
    for width, learned in found.items():
        right = np.abs(learned.probabilities - TRUTH["XOR"]).max(-1) < CLOSE
        last = learned.losses[:, -1]
        rows.append(
            [str(width), f"{right.mean():.0%}"]
            + [f"{value:.5f}" for value in (last.min(), np.median(last), last.max())]
        )
    header = ["hidden units", "starts that learn it", "lowest loss", "median", "highest"]
    return tables.table(header, rows)


def truth_table(outputs: dict[str, jax.Array], cell: str) -> str:
    columns = [f"{name} ({', '.join(f'{w:g}' for w in GATES[name])})" for name in GATES]
    rows = [
        [*map("{:.0f}".format, x), *(cell.format(outputs[name][i]) for name in TRUTH)]
        for i, x in enumerate(X)
    ]
    return tables.table(["x₁", "x₂", *columns, "AND(OR, NAND) = XOR"], rows)


def learned_table(params: Any) -> str:
    """What the two hidden units and the output of a network say."""
    within = nn.intermediates(network(2), params, X)
    rows = [
        [*map("{:.0f}".format, x), *map("{:.3f}".format, h), f"{jax.nn.sigmoid(z[0]):.4f}"]
        for x, h, z in zip(X, within["h"], within["logit"], strict=True)
    ]
    return tables.table(["x₁", "x₂", "h₁", "h₂", "probability of 1"], rows)


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--starts",
        type=command_line.whole_number(1),
        default=100,
        metavar="N",
        help="random starts of each network (default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=command_line.whole_number(1),
        metavar="N",
        help="how many steps to take (default: 10000)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="1000 steps, at most 4 units, for a first look"
    )
    args = parser.parse_args()
    args.widths = (0, 2, 4) if args.quick else (0, 2, 3, 4, 8)
    args.steps = args.steps or (1000 if args.quick else 10_000)
    return args


if __name__ == "__main__":
    main()
