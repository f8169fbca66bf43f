"""What a classifier looks for in an image: its weights, drawn as templates.

    python examples/templates.py

Rows 6 and 42 of the lectures, decks A, B and C. A linear classifier has ten scores W x + b; a row
of W is a template, and the score says how well the image matches it. The units of a hidden layer
have templates too, and the next layer combines what they say. The digits are MNIST's, from the
folder --data or the one that the environment variable FUNCNN_DATA names; without either, the 1,797
small ones that scikit-learn ships. Needs: pip install 'funcnn[examples]'
"""

import argparse
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import numpy as np
import tables
from jax.nn import initializers

from funcnn import data, losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = 30
PENALTY = 1e-3  # λ of λ Σ w²: without it, the pixels at the edges keep the noise they began with
BATCH = 100


class Trained(NamedTuple):
    """A classifier after training.

    Attributes:
      name: how it is called.
      model: images (n, h, w, 1) to logits (n, 10).
      params: what it learned.
      accuracy: on the test set.
    """

    name: str
    model: nn.Layer
    params: Any
    accuracy: float


def main() -> None:
    args, splits, source = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    shape = splits.train[0].shape[1:3]
    print(
        f"{source}: {len(splits.train[1]):,} training digits of {shape[0]} by {shape[1]} pixels\n"
    )
    # a convex loss: from nothing, so that all that is in the templates comes from the digits
    linear = nn.serial(nn.flatten, nn.dense(10, kernel_init=initializers.zeros))
    hidden = nn.models.mlp([UNITS, 10], jax.nn.sigmoid)
    found = [
        fitted("linear classifier", linear, splits, args),
        fitted(f"{UNITS} hidden units, sigmoid", hidden, splits, args),
    ]
    print(results_table(found))
    scores = mean_scores(found[0], *splits.test)
    print("\nthe linear classifier's mean score by template, for the test digits of each class\n")
    print(scores_table(scores))
    print(f"\nthe best match is the template of the class itself: {matching(scores)} of 10 classes")
    if not args.no_picture:
        picture_file.save(picture(found, splits.test, source), args.out / "templates.png")


def fitted(name: str, model: nn.Layer, splits: data.Splits, args: argparse.Namespace) -> Trained:
    """Trained by Adam, with weight decay as a part of the loss."""
    cross_entropy = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        value, rest = cross_entropy(params, state, batch, key)
        return value + PENALTY * losses.l2(params), rest

    x, y = splits.train
    steps = args.epochs * -(-len(y) // BATCH)
    optimizer = optim.adam(lambda step: 0.01 * (1 - step / steps))
    state = train.init(jax.random.key(args.seed), model, optimizer, x[:1])
    state, _ = train.fit(loss, optimizer, state, (x, y), epochs=args.epochs, batch_size=BATCH)
    x, y = splits.test
    return Trained(name, model, state.params, float(metrics.accuracy(model(state.params, x), y)))


def templates(trained: Trained) -> np.ndarray:
    """The weights of the first layer, a row for each of its units: (units, pixels)."""
    _, first, *_ = trained.params
    return np.asarray(first["kernel"]).T


def mean_scores(trained: Trained, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(10, 10): in row i, the mean scores of the digits of class i."""
    scores = np.asarray(trained.model(trained.params, x))
    return np.stack([scores[y == digit].mean(axis=0) for digit in range(10)])


def matching(scores: np.ndarray) -> int:
    return int((scores.argmax(axis=1) == np.arange(len(scores))).sum())


def results_table(found: list[Trained]) -> str:
    rows = [
        [one.name, f"{nn.count_parameters(one.params):,}", f"{one.accuracy:.2%}"] for one in found
    ]
    return tables.table(["", "parameters", "test accuracy"], rows)


def scores_table(scores: np.ndarray) -> str:
    rows = [[str(i), *(f"{v:.1f}" for v in row)] for i, row in enumerate(scores)]
    return tables.table(["digit", *map(str, range(10))], rows)


def picture(found: list[Trained], test: tuple[np.ndarray, np.ndarray], source: str) -> "Figure":
    """Digits, what they are compared with, and how they match."""
    linear, hidden = found
    x, y = test
    first = np.array([np.flatnonzero(y == digit)[0] for digit in range(10)])  # one of each class
    shape = x.shape[1:3]
    heights = (1.1, 1.25, 1.25, 3.2)
    figure, axes = viz.figure(4, 1, size=(10, 8.6), title=f"templates of {source}")
    axes[0].get_gridspec().set_height_ratios(heights)
    viz.images(x[first], axes[0], columns=10)
    _heading(axes[0], "test digits")
    viz.templates(templates(linear), shape, axes[1])
    what = f"{linear.name}, {linear.accuracy:.2%} right: the weights of each class"
    _heading(axes[1], f"{what} (blue positive, red negative)")
    scores = np.asarray(linear.model(linear.params, x[first]))
    captions = [f"{row[i]:.1f}" for i, row in enumerate(scores)]
    viz.templates(templates(linear) * x[first].reshape(10, -1), shape, axes[2], captions)
    _heading(axes[2], "each digit times the template of its class: the sum, with b, is the score")
    viz.templates(templates(hidden), shape, axes[3], [""] * len(templates(hidden)))
    _heading(
        axes[3], f"{hidden.name}, {hidden.accuracy:.2%} right: the weights of each hidden unit"
    )
    return figure


def _heading(ax: "Axes", text: str) -> None:
    ax.set_title(text, loc="left", size=12, weight="bold", color=viz.style.INK)


def arguments() -> tuple[argparse.Namespace, data.Splits, str]:
    """The options, the digits that they ask for, and what those are called."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--data", metavar="FOLDER", help="folder with MNIST's four files (default: see above)"
    )
    parser.add_argument(
        "--epochs",
        type=command_line.whole_number(1),
        metavar="N",
        help="how often to go through the training digits (default: 5, of the small ones 60)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="the first 5,000 training digits, 3 epochs"
    )
    args = parser.parse_args()
    small = args.data is None and not os.environ.get("FUNCNN_DATA")
    args.epochs = args.epochs or (3 if args.quick else 5) * (12 if small else 1)
    if small:
        return args, data.digits(), "scikit-learn's digits"
    try:
        splits = data.mnist(args.data, validation=0)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if args.quick:
        splits = splits._replace(train=jax.tree.map(lambda part: part[:5000], splits.train))
    return args, splits, "MNIST"


if __name__ == "__main__":
    main()
