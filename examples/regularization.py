"""What regularization does to weights, and to the boundary between two classes.

    python examples/regularization.py

Rows 17 and 18 of the lectures, decks A, B, C and E. L2 prefers weights that share the work,
w = (¼, ¼, ¼, ¼), to one that does it all, w = (1, 0, 0, 0); to L1 both are the same, until one
input is worth a little more than the others. Then the weights of a logistic regression, few of
which matter; and the boundary of a network that has more weights than examples, with penalties,
dropout, batch normalization, stochastic depth, early stopping and data augmentation.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import plane_data
import tables

import funcnn
from funcnn import losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ONE, SHARED = np.array([1.0, 0, 0, 0]), np.full(4, 0.25)
BETA = 1.0  # of the elastic net β w² + |w|
START = np.array([0.4, 0.3, 0.2, 0.1])
BETTER = np.array([1.0, 0.9, 0.9, 0.9])  # x, the first input a little larger
INPUTS, MATTER, EXAMPLES = 20, 4, 40  # of the logistic regression
PENALTIES = {  # the factors of Σ w² and of Σ |w|
    "none": (0.0, 0.0),
    "L2": (1.0, 0.0),
    "L1": (0.0, 1.0),
    "elastic net": (BETA, 1.0),
}
WIDTH, RATE = 64, 0.01


class Fitted(NamedTuple):
    """A network after training.

    Attributes:
      logits: points (n, 2) to (n, 2).
      params: what was learned.
      train, test: the accuracy on the points that it learned from, and on others.
    """

    logits: Callable[[Any], jax.Array]
    params: Any
    train: float
    test: float


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    print("x = (1, 1, 1, 1): two weight vectors with the same score\n")
    print(preferences_table())
    small = descend_small(args.steps)
    print(f"\nx = {tuple(BETTER.tolist())}: gradient descent on (w·x − 1)² + 0.02 R(w)\n")
    print(small_table(small))
    sparse = descend_sparse(args.steps, args.seed)
    print(
        f"\nlogistic regression, {EXAMPLES} examples, {INPUTS} inputs, {MATTER} of which matter\n"
    )
    print(sparse_table(sparse, args.seed))
    points = plane_data.moons(80, 0.35, args.seed)
    fitted = penalized(points, args) | ({} if args.quick else without_penalty(points, args))
    count = len(points[1])
    print(f"\na network 2-{WIDTH}-{WIDTH}-2 on {count} points of two noisy half moons\n")
    print(fitted_table(fitted))
    if "early stopping" in fitted:
        print(f"\n(early stopping is told when by {count} other points)")
    if not args.no_picture:
        picture_file.save(picture(small, sparse, fitted, points), args.out / "regularization.png")


def penalty(w: Any, factors: Any) -> jax.Array:
    """R(w) of any pytree, with the factors of L2 and L1."""
    return factors[0] * losses.l2(w, "**") + factors[1] * losses.l1(w, "**")


def preferences_table() -> str:
    """The penalties of the deck's two weight vectors."""
    rows = []
    x = np.ones(4)
    for name, w in (("(1, 0, 0, 0)", ONE), ("(¼, ¼, ¼, ¼)", SHARED)):
        of = [penalty(jnp.asarray(w), factors) for factors in list(PENALTIES.values())[1:]]
        rows.append([name, f"{w @ x:g}", *(f"{value:g}" for value in of)])
    preferred = ["prefers", ""]
    for first, second in zip(rows[0][2:], rows[1][2:], strict=True):
        preferred.append("neither" if first == second else "the second")
    header = ["w", "w·x", "L2: Σ w²", "L1: Σ |w|", f"elastic net, β = {BETA:g}"]
    return tables.table(header, [*rows, preferred])


def descend(loss: Callable[[Any, Any], Any], start: Any, factors: Any, steps: int) -> np.ndarray:
    """Gradient descent with each of the penalties, (penalties, …), in one compiled program."""
    optimizer = optim.adam(lambda step: 0.05 * (1 - step / steps))  # to 0, since |w| has a kink

    @jax.jit
    @jax.vmap
    def run(factors):
        def step(carry, _):
            w, state = carry
            slope = funcnn.grad(loss)(w, factors)
            updates, state = optimizer.update(slope, state, w)
            return (optim.apply_updates(w, updates), state), None

        (w, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=steps)
        return w

    return np.asarray(run(jnp.asarray(factors)))


def descend_small(steps: int) -> np.ndarray:
    """Four weights, one row for each of PENALTIES."""

    def loss(w, factors):
        return jnp.square(w @ BETTER - 1) + 0.02 * penalty(w, factors)

    return descend(loss, jnp.asarray(START, jnp.float32), list(PENALTIES.values()), steps)


def sparse_data(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x (count, INPUTS) and y, 0 or 1, which depends on the first MATTER inputs."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, INPUTS)).astype(np.float32)
    z = x[:, :MATTER] @ [4.0, -4.0, 3.0, -3.0]
    return x, (random.uniform(size=count) < 1 / (1 + np.exp(-z))).astype(np.float32)


def descend_sparse(steps: int, seed: int) -> np.ndarray:
    """The weights of the logistic regression, one row for each of PENALTIES."""
    x, y = sparse_data(EXAMPLES, seed)

    def loss(w, factors):
        return losses.sigmoid_binary_cross_entropy(x @ w, y).mean() + 0.02 * penalty(w, factors)

    return descend(loss, jnp.zeros(INPUTS), list(PENALTIES.values()), steps)


def network(*after: Any) -> nn.Layer:
    """Two hidden layers, each followed by what regularizes, if anything."""
    hidden = [part for _ in range(2) for part in (nn.dense(WIDTH), *after, jax.nn.relu)]
    return nn.serial(*hidden, nn.dense(2))


def skipping() -> nn.Layer:
    """With residual branches, which stochastic depth leaves out at random."""
    branch = nn.residual(nn.serial(nn.dense(WIDTH), jax.nn.relu, nn.stochastic_depth(0.5)))
    return nn.serial(nn.dense(WIDTH), jax.nn.relu, branch, branch, nn.dense(2))


def cross_entropy(model: nn.Layer) -> train.Loss:
    loss = losses.softmax_cross_entropy_with_integer_labels
    return train.supervised(model, loss, metrics={"accuracy": metrics.accuracy})


def penalized(points: plane_data.Points, args: argparse.Namespace) -> dict[str, Fitted]:
    """One network for each of PENALTIES, all in one program: λ comes with the state of the run."""
    model, optimizer = network(), optim.adam(RATE)
    unpenalized = cross_entropy(model)
    start = train.init(jax.random.key(args.seed), model, optimizer, points[0])

    def loss(params, state, batch, key):
        value, (_, measured) = unpenalized(params, start.state, batch, key)
        l2, l1 = state
        return value + l2 * losses.l2(params) + l1 * losses.l1(params), (state, measured)

    factors = jnp.array(list(PENALTIES.values())) * jnp.array([3e-3, 2e-3])
    settings = lambda pair: (optimizer, start._replace(state=(pair[0], pair[1])))
    states, _ = train.sweep(
        loss, settings, factors, points, epochs=args.epochs, batch_size=len(points[1])
    )
    runs = [train.one_run(states, i)._replace(state=start.state) for i in range(len(PENALTIES))]
    return {n: measured(model, run, points) for n, run in zip(PENALTIES, runs, strict=True)}


def without_penalty(points: plane_data.Points, args: argparse.Namespace) -> dict[str, Fitted]:
    """The ways to regularize that are no penalty."""

    def run(model: nn.Layer, loss: Any = None, **options: Any) -> Fitted:
        optimizer = optim.adam(RATE)
        state = train.init(jax.random.key(args.seed), model, optimizer, points[0])
        state, _ = train.fit(
            loss or cross_entropy(model),
            *(optimizer, state, points),
            epochs=args.epochs,
            batch_size=options.pop("batch_size", len(points[1])),
            **options,
        )
        return measured(model, state, points)

    def noise(key, x):
        return x + 0.3 * jax.random.normal(key, x.shape)

    plain = network()
    held_out = plane_data.moons(80, 0.35, args.seed + 1)
    lowest = train.lowest("validation_loss")
    return {
        "dropout ½": run(network(nn.dropout(0.5))),
        "early stopping": run(plain, validation=held_out, keep=lowest),
        "noise on x": run(plain, train.augmented(cross_entropy(plain), noise)),
        "batch norm": run(network(nn.batch_norm()), batch_size=16),
        "stochastic depth": run(skipping()),
    }


def measured(model: nn.Layer, state: train.TrainState, points: plane_data.Points) -> Fitted:
    def logits(x):
        return model.apply(state.params, state.state, jnp.asarray(x))[0]

    of = [
        float(metrics.accuracy(logits(x), y))
        for x, y in (points, plane_data.moons(2000, 0.35, 10_000))
    ]
    return Fitted(logits, state.params, *of)


def small_table(found: np.ndarray) -> str:
    rows = [["start", *(f"{v:.3f}" for v in START), f"{START @ BETTER:.3f}"]]
    for name, w in zip(PENALTIES, found, strict=True):
        rows.append([name, *(f"{v:.3f}" for v in w), f"{w @ BETTER:.3f}"])
    return tables.table(["R", *(f"w{i}" for i in "₁₂₃₄"), "w·x"], rows)


def sparse_table(found: np.ndarray, seed: int) -> str:
    x, y = sparse_data(5000, seed + 1)
    rows = []
    for name, w in zip(PENALTIES, found, strict=True):
        right = ((x @ w > 0) == y).mean()
        zeros = (np.abs(w) < 0.01).sum()
        matter, rest = np.abs(w[:MATTER]).mean(), np.abs(w[MATTER:]).mean()
        rows.append([name, f"{matter:.3f}", f"{rest:.3f}", str(zeros), f"{right:.1%}"])
    header = ["R", "mean |w| that matter", "of the others", "|w| < 0.01", "test accuracy"]
    return tables.table(header, rows)


def fitted_table(fitted: dict[str, Fitted]) -> str:
    rows = [
        [name, f"{one.train:.1%}", f"{one.test:.1%}", f"{losses.l2(one.params):.1f}"]
        for name, one in fitted.items()
    ]
    return tables.table(["", "training accuracy", "test accuracy", "Σ w²"], rows)


def picture(
    small: np.ndarray, sparse: np.ndarray, fitted: dict[str, Fitted], points: plane_data.Points
) -> "Figure":
    """The weights in bars above, the boundaries below."""
    rows = 1 + -(-len(fitted) // 3)
    figure, axes = viz.figure(rows, 3, size=(10, 0.4 + 3.1 * rows), title="regularization")
    grid = axes[0, 0].get_gridspec()
    for ax in axes[0, 1:]:
        ax.remove()
    _draw_bars(axes[0, 0], {"start": START} | dict(zip(PENALTIES, small, strict=True)))
    _draw_sparse(figure.add_subplot(grid[0, 1:]), sparse)
    below = axes[1:].flat
    for ax, (name, one) in zip(below, fitted.items(), strict=False):
        viz.decision_boundary(one.logits, *points, ax, logits=True, limits=((-3, 3), (-2.3, 2.3)))
        ax.get_legend().remove()
        title = f"{name}\ntraining {one.train:.0%}, test {one.test:.1%}"
        ax.set_title(title, size=11, weight="bold", color=viz.style.INK)
        ax.set_aspect("equal")
    for ax in list(axes[1:].flat)[len(fitted) :]:
        ax.remove()
    return figure


def _draw_bars(ax: Any, weights: dict[str, np.ndarray]) -> None:
    """Four weights with each of the penalties."""
    for i, (look, color) in enumerate(zip("₁₂₃₄", viz.style.COLORS, strict=False)):
        heights = [w[i] for w in weights.values()]
        ax.bar(
            np.arange(len(weights)) + 0.2 * (i - 1.5), heights, 0.2, color=color, label=f"w{look}"
        )
    ax.set_xticks(range(len(weights)), [name.replace(" ", "\n") for name in weights])
    viz.label(ax, None, "weight", "x = (1, 0.9, 0.9, 0.9)")
    viz.style.plot_style(ax, legend=True, ncols=2)
    ax.set_ylim(0, 1.1)
    ax.tick_params(labelsize=viz.style.SMALL)


def _draw_sparse(ax: Any, weights: np.ndarray) -> None:
    """The weights of the logistic regression, input by input."""
    for i, (look, name) in enumerate(zip(viz.style.looks(), PENALTIES, strict=False)):
        at = np.arange(INPUTS) + 0.16 * (i - 1.5)
        ax.vlines(at, 0, weights[i], color=look.color, lw=1.2)
        ax.plot(at, weights[i], look.marker, color=look.color, ms=4, label=name)
    ax.axhline(0, color=viz.style.GRAY, lw=0.8)
    ax.axvspan(-0.5, MATTER - 0.5, color=viz.style.YELLOW, alpha=0.25, lw=0, label="these matter")
    ax.set_xticks(range(INPUTS), map(str, range(1, INPUTS + 1)))
    ax.set_xlim(-0.5, INPUTS - 0.5)
    viz.label(ax, "input", "weight", "logistic regression")
    viz.style.plot_style(ax, legend=True, loc="upper right", ncols=3)


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--epochs",
        type=command_line.whole_number(1),
        metavar="N",
        help="how often the networks go through the points (default: 500)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="150 epochs, penalties alone, for a first look"
    )
    args = parser.parse_args()
    args.epochs = args.epochs or (150 if args.quick else 500)
    args.steps = 1500
    return args


if __name__ == "__main__":
    main()
