"""Gradient descent with all examples a step, with one, and with a minibatch: three paths.

    python examples/descent.py

Row 31 of the lectures, decks A to E, on the loss of one logistic unit with two weights. A step on
all examples goes straight downhill and is dear; a step on one example is cheap and goes anywhere;
a minibatch is between. The examples are shuffled each epoch. The steps on one example are held
against deck E's rule w ← w − α (ŷ − y) x.
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import losses, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLES = 256
START = (-2.5, -1.5)
MINIBATCH = 16
# batch size, learning rate and epochs of each; the larger the noise, the smaller the steps
KINDS = {
    f"all {EXAMPLES}": (EXAMPLES, 2.0, 40),
    f"minibatches of {MINIBATCH}": (MINIBATCH, 0.5, 10),
    "one example": (1, 0.2, 2),
}


class Path(NamedTuple):
    """What a descent did.

    Attributes:
      seen: (steps + 1,), the examples whose gradients were computed so far: the work.
      weights: (steps + 1, 2), those at the start first.
      losses: (steps + 1,), of all the examples, at each of them.
    """

    seen: np.ndarray
    weights: np.ndarray
    losses: np.ndarray


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is computed in vain where matplotlib is missing

    x, y = examples(args.seed)
    lowest = minimum(x, y)
    print(
        f"{EXAMPLES} examples of two classes (seed {args.seed}), ŷ = σ(w₁ x₁ + w₂ x₂); the mean "
        f"cross-entropy is lowest, {objective(lowest, x, y):.5f}, at w = {shown(lowest)}\n"
    )
    epochs = 0.5 if args.quick else 1.0
    paths = {
        name: descend(x, y, size, rate, max(1, int(epochs * count)), args.seed)
        for name, (size, rate, count) in KINDS.items()
    }
    print(steps_table(paths))
    print("\nthe loss of all examples after so many gradients of an example\n")
    print(work_table(paths))
    print("\nsteps on one example: funcnn's, and deck E's rule w ← w − α (ŷ − y) x\n")
    print(rule_table(x, y))
    if not args.no_picture:
        print()
        picture_file.save(picture(paths, x, y, lowest), args.out / "descent.png")


def examples(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds that overlap, around (1, ½) and its opposite: x (n, 2), y (n,) of 0 and 1."""
    y = np.arange(EXAMPLES, dtype=np.float32) % 2
    noise = np.random.default_rng(seed).normal(size=(EXAMPLES, 2)) @ [[1.5, 0.2], [0.2, 0.8]]
    return ((2 * y - 1)[:, None] * [1.0, 0.5] + noise).astype(np.float32), y


def objective(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return losses.sigmoid_binary_cross_entropy(jnp.asarray(x) @ jnp.asarray(w), y).mean()


def minimum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By Newton's method, with funcnn's gradient and Hessian."""

    @jax.jit
    def step(w: jax.Array) -> jax.Array:
        slope = funcnn.grad(objective)(w, x, y)
        return w - jnp.linalg.solve(funcnn.hessian(objective)(w, x, y), slope)

    w = jnp.zeros(2)
    for _ in range(12):
        w = step(w)
    return np.asarray(w)


def descend(x: np.ndarray, y: np.ndarray, size: int, rate: float, epochs: int, seed: int) -> Path:
    """Steps of `train.make_step` on batches of `size`, in another order each epoch."""
    model = nn.serial(logit=nn.dense(1, use_bias=False))
    optimizer = optim.sgd(rate)
    loss = train.supervised(model, losses.sigmoid_binary_cross_entropy)
    step = train.make_step(loss, optimizer)
    state = train.init(jax.random.key(seed), model, optimizer, x)
    kernel = jnp.array(START)[:, None]
    state = state._replace(params={"logit": {"kernel": kernel}})

    @jax.jit
    def run(state: train.TrainState) -> jax.Array:
        keys = jax.random.split(jax.random.key(seed), epochs)
        orders = jax.vmap(lambda key: jax.random.permutation(key, EXAMPLES))(keys)

        def body(state, indices):
            state, _ = step(state, (jnp.asarray(x)[indices], jnp.asarray(y)[indices][:, None]))
            return state, state.params["logit"]["kernel"][:, 0]

        _, weights = jax.lax.scan(body, state, orders.reshape(-1, size))
        return jnp.concatenate([kernel.T, weights])

    weights = run(state)
    values = jax.jit(jax.vmap(lambda w: objective(w, x, y)))(weights)
    return Path(size * np.arange(len(weights)), np.asarray(weights), np.asarray(values))


def by_rule(x: np.ndarray, y: np.ndarray, rate: float, order: np.ndarray) -> np.ndarray:
    """Deck E's algorithm in NumPy: the weights before and after each example of the order."""
    weights = [np.array(START)]
    for i in order:
        w = weights[-1]
        y_hat = 1 / (1 + np.exp(-(w @ x[i])))
        weights.append(w - rate * (y_hat - y[i]) * x[i])
    return np.array(weights)


def steps_table(paths: Mapping[str, Path]) -> str:
    rows = []
    for name, path in paths.items():
        _, rate, _ = KINDS[name]
        uphill = np.mean(np.diff(path.losses) > 0)
        rows.append(
            [
                *(name, f"{rate:g}", f"{len(path.losses) - 1:,}", f"{path.seen[-1]:,}"),
                *(f"{uphill:.0%}", shown(path.weights[-1]), f"{path.losses[-1]:.5f}"),
            ]
        )
    header = ["a step on", "rate", "steps", "gradients", "steps uphill", "last w", "last loss"]
    return tables.table(header, rows)


def work_table(paths: Mapping[str, Path]) -> str:
    """The loss after the same work; empty where the path has ended, or not made a step."""
    rows = []
    for work in (0, 1, 16, 64, 256, 1024, 2560, 7680, 15360):
        row = [f"{work:,}"]
        for path in paths.values():
            done = work <= path.seen[-1] and (path.seen == work).any()
            row.append(f"{path.losses[np.searchsorted(path.seen, work)]:.5f}" if done else "")
        if any(row[1:]):
            rows.append(row)
    return tables.table(["gradients", *paths], rows)


def rule_table(x: np.ndarray, y: np.ndarray, count: int = 4) -> str:
    _, rate, _ = KINDS["one example"]
    order = np.arange(count)
    rows, w = [], jnp.array(START)
    for i, expected in zip(order, by_rule(x, y, rate, order)[1:], strict=True):
        w = w - rate * funcnn.grad(objective)(w, x[i : i + 1], y[i : i + 1])
        rows.append([shown(x[i]), f"{y[i]:.0f}", shown(w, 6), shown(expected, 6)])
    return tables.table(["x", "y", "w by funcnn.grad", "w by the rule"], rows)


def shown(point: np.ndarray, digits: int = 3) -> str:
    return "({})".format(", ".join(f"{value:.{digits}f}" for value in np.asarray(point)))


def picture(
    paths: Mapping[str, Path], x: np.ndarray, y: np.ndarray, lowest: np.ndarray
) -> "Figure":
    import picture_page

    from funcnn.viz import style

    figure, axes = picture_page.page(
        "Gradient descent: all examples, one, or a minibatch a step", 5.0, [["paths", "losses"]]
    )
    walked = {name: path.weights for name, path in reversed(paths.items())}
    limits = ((-3.0, 2.2), (-2.0, 2.6))
    viz.paths(lambda w: objective(w, x, y), walked, axes["paths"], limits=limits, minimum=lowest)
    viz.label(axes["paths"], title="on the same loss, of two weights")
    ax, floor = axes["losses"], float(objective(lowest, x, y))
    for look, (name, path) in zip(style.looks(), reversed(paths.items()), strict=False):
        above = path.losses - floor
        ax.plot(path.seen[1:], above[1:], look.dashes, color=look.color, lw=1.6, label=name)
        ax.plot(path.seen[1], above[1], look.marker, color=look.color, ms=6)
    ax.set(xscale="log", yscale="log", ylim=(5e-5, 8))
    style.plot_style(ax, legend=True)
    viz.label(ax, "work: gradients of an example", "loss above its minimum", "over the work done")
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="half of the epochs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
