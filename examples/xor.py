"""Logic gates with given weights, and exclusive or, which takes a hidden layer, learned.

    python examples/xor.py

AND, OR and NAND are one unit each; XOR is AND of OR and NAND: two layers. Then networks with one
hidden layer learn XOR by gradient descent, each from many random starts, all of them at once by
jax.vmap; without hidden units none of them can. Row 4 of the lectures, decks D and E.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import losses, nn, optim, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
TRUTH = {"AND": (0, 0, 0, 1), "OR": (0, 1, 1, 1), "NAND": (1, 1, 1, 0), "XOR": (0, 1, 1, 0)}
GATES = {  # the weights of x₁ and x₂, and the bias, which is minus the threshold
    "AND": (20.0, 20.0, -30.0),
    "OR": (20.0, 20.0, -10.0),
    "NAND": (-20.0, -20.0, 30.0),
}
RATE = 1.0
SQUARE = (-0.5, 1.5)  # what the picture shows of both axes
CLOSE = 0.1  # a network has learned the gate if no probability is further from the truth


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

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
    if not args.no_picture:
        picture_file.save(picture(found[2]), args.out / "xor.png")


def gates(activation: Any) -> dict[str, jax.Array]:
    """What each gate gives on the four inputs of X."""
    return {name: gate(name, activation)(X) for name in TRUTH}


def gate(name: str, activation: Any) -> Callable[[Any], jax.Array]:
    """A gate as a function of points: (n, 2) to (n,)."""
    if name == "XOR":
        network = nn.serial(nn.dense(2), activation, nn.dense(1), activation)
        return lambda x: network((units("OR", "NAND"), (), units("AND"), ()), x)[:, 0]
    unit = nn.serial(nn.dense(1), activation)
    return lambda x: unit((units(name), ()), x)[:, 0]


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


def picture(found: Learned) -> "Figure":
    """The gates' boundaries; XOR as a network of gates, and as a network that learned it."""
    figure, axes = viz.figure(3, 3, size=(10, 9.6), title="gates, and exclusive or in two layers")
    two_layers, hidden, learned, curves = axes[1, 2], *axes[2]
    for ax, (name, truth) in zip([*axes[0], two_layers], TRUTH.items(), strict=True):
        title = "XOR = AND(OR, NAND)" if name == "XOR" else name
        _boundary(ax, gate(name, jax.nn.sigmoid), truth, title)
    for ax in axes[1, :2]:  # one wide one in their place
        ax.remove()
    drawn = figure.add_subplot(axes[1, 0].get_gridspec()[1, :2])
    viz.network([units("OR", "NAND"), units("AND")], drawn, [["x₁", "x₂"], ["OR", "NAND"], ["AND"]])
    viz.label(drawn, title="XOR of three gates: weights, and biases in the units")
    params, _ = best_start(found)
    layer = nn.serial(nn.dense(2), jnp.tanh)
    viz.hidden_boundaries(
        lambda x: layer((params["z"], ()), x),
        *(X, TRUTH["XOR"], hidden),
        limits=SQUARE,
        names=["$h_1$", "$h_2$"],
    )
    viz.label(hidden, title="learned: the two hidden units")
    _without_legend(hidden)

    def output(x: Any) -> jax.Array:
        return network(2)(params, x)

    _boundary(learned, lambda x: jax.nn.sigmoid(output(x)), TRUTH["XOR"], "learned: the output")
    curves.plot(found.losses.T, color=viz.style.BLUE, lw=0.8, alpha=0.35)
    curves.set(xscale="log", ylim=(0, None))
    viz.label(curves, "step", "loss", f"{len(found.losses)} random starts")
    viz.style.plot_style(curves)
    return figure


def _boundary(ax: Any, predict: Callable[[Any], jax.Array], truth: Any, title: str) -> None:
    viz.decision_boundary(predict, X, truth, ax, limits=SQUARE)
    viz.label(ax, title=title)
    _without_legend(ax)


def _without_legend(ax: Any) -> None:
    """The four points say which is which, and the panels are small."""
    ax.get_legend().remove()
    ax.set(xticks=[0, 1], yticks=[0, 1], aspect="equal")


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
