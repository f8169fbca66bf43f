"""How convnet.py and mnist_best_mlp.py get the most out of a network on MNIST, whatever it is.

Every image is distorted anew each time it is seen; labels are smoothed; the learning rate rises and
falls once; the parameters are averaged over the last steps; and a digit is read in five places, one
pixel apart, of which the mean counts. What each gains is seen on the validation digits; the test
digits are read once, at the end.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

from funcnn import data, losses, metrics, nn, optim, train

# where a digit is read: by how many pixels it is shifted down and to the right
HERE, CROSS = [(0, 0)], [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]


class Recipe(NamedTuple):
    """What one network is trained with, and another is not.

    Attributes:
      name: of the network, in a few words.
      model: from images (n, 28, 28, 1) to logits (n, 10).
      optimizer: from a schedule of the learning rate to the optimizer.
      peak: the largest learning rate.
      batch_size: digits in a step.
      augment: from a key and images to images.
      smoothing: α of `losses.smooth_labels`.
    """

    name: str
    model: nn.Layer
    optimizer: Callable[[optim.Schedule], optim.GradientTransformation]
    peak: float
    batch_size: int
    augment: Callable[[jax.Array, jax.Array], jax.Array]
    smoothing: float


class Trained(NamedTuple):
    """What came out.

    Attributes:
      params: the averaged parameters.
      history: of `train.fit`.
      probabilities: (n, 10), of the test digits.
      result: the test accuracy, in words.
    """

    params: Any
    history: dict[str, np.ndarray]
    probabilities: np.ndarray
    result: str


def follow(recipe: Recipe, args: argparse.Namespace, splits: data.Splits) -> Trained:
    """Trains, prints each epoch and what averaging gained, and reads the test digits."""
    model, steps = recipe.model, args.epochs * -(-len(splits.train[1]) // recipe.batch_size)
    rate = optim.cosine_onecycle_schedule(
        steps, recipe.peak, pct_start=0.25, div_factor=10, final_div_factor=100
    )
    # the average is over the last fiftieth of the steps, more or less
    average = optim.params_ema(max(0.0, 1 - 50 / steps))
    optimizer = optim.chain(recipe.optimizer(rate), average)
    state = train.init(jax.random.key(args.seed), model, optimizer, splits.test[0])

    print("MNIST: " + ", ".join(f"{len(y):,} {part}" for part, (_, y) in splits._asdict().items()))
    print(f"{recipe.name}: {nn.count_parameters(state.params):,} parameters")
    print(f"learning rate up to {recipe.peak:g} and down to 0, batches of {recipe.batch_size}\n")
    loss = train.supervised(model, smoothed(recipe.smoothing), {"accuracy": metrics.accuracy})
    state, history = train.fit(
        train.augmented(loss, recipe.augment),
        optimizer,
        state,
        splits.train,
        epochs=args.epochs,
        batch_size=recipe.batch_size,
        validation=splits.validation,
        checkpoints=args.checkpoints,
        resume=args.resume,
    )
    if not len(history["epoch"]):
        sys.exit("stopped before the end of the first epoch")
    averaged = state.opt_state[-1].average
    print(tables.by_epoch(history) + "\n")
    print(what_averaging_gains(recipe, state, averaged, splits.validation))

    x, y = splits.test
    probabilities = read(model, averaged, state.state, x, CROSS)
    correct = probabilities.argmax(-1) == y
    result = f"test accuracy {correct.mean():.2%} ({correct.sum():,} of {len(y):,})"
    print(f"\n{result}, trained in {history['seconds'].sum():.1f} s\n")
    return Trained(averaged, history, probabilities, result)


def what_averaging_gains(
    recipe: Recipe, state: train.TrainState, averaged: Any, validation: tuple[Any, Any]
) -> str:
    """A table of the accuracy without averages, with that of the parameters, and with both."""
    x, y = validation
    ways = {
        "the last parameters": (state.params, HERE),
        "averaged over the last steps": (averaged, HERE),
        "the same, read in five places": (averaged, CROSS),
    }
    rows = []
    for name, (params, places) in ways.items():
        right = read(recipe.model, params, state.state, x, places).argmax(-1) == y
        rows.append([name, f"{right.mean():.2%}"])
    return tables.table(["parameters", "validation accuracy"], rows)


def smoothed(alpha: float) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The softmax loss of logits and class numbers, which are smoothed."""

    def loss(logits, labels):
        one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        return losses.softmax_cross_entropy(logits, losses.smooth_labels(one_hot, alpha))

    return loss


def read(
    model: nn.Layer,
    params: Any,
    state: Any,
    images: np.ndarray,
    places: Sequence[tuple[int, int]],
    batch_size: int = 1000,
) -> np.ndarray:
    """Probabilities (n, 10): the mean over readings of the images, shifted by each of `places`."""

    @jax.jit
    def probabilities(x):
        def of(by):
            logits, _ = model.apply(params, state, data.shifted(x, by))
            return jax.nn.softmax(logits)

        return sum(map(of, places)) / len(places)

    parts = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
    return np.concatenate([np.asarray(probabilities(jnp.asarray(part))) for part in parts])


def picture(
    recipe: Recipe, trained: Trained, args: argparse.Namespace, splits: data.Splits, *more: Any
) -> None:
    """Draws the course of training, digits as they were learned from, `more`, and the mistakes."""
    import pictures

    x, y = (part[:10] for part in splits.train)
    learned_from = np.asarray(recipe.augment(jax.random.key(args.seed), jnp.asarray(x)))
    heading = "the first training digits, distorted as they were learned from"
    captions, colors = [str(label) for label in y], [pictures.INK] * len(y)
    sections = [
        pictures.curves(trained.history),
        pictures.tiles(heading, learned_from, captions, colors, "gray_r", 0, 1),
        *more,
        pictures.mistakes(splits.test[0], trained.probabilities, splits.test[1]),
    ]
    path = args.out / f"{Path(sys.argv[0]).stem}.png"
    pictures.save(path, f"MNIST, {recipe.name}: {trained.result}", sections)


def arguments(description: str | None, epochs: int) -> tuple[argparse.Namespace, data.Splits]:
    """The options, and the digits that they ask for."""
    parser = command_line.parser(description)
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder with MNIST's four files, gzipped or not (default: see above)",
    )
    parser.add_argument(
        "--epochs",
        type=command_line.whole_number(1),
        metavar="N",
        help=f"how often to go through the training digits (default: {epochs})",
    )
    command_line.add_checkpoints(parser)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="the first 5,120 digits to train on, 1,000 to test on, 2 epochs",
    )
    args = parser.parse_args()
    command_line.check_checkpoints(parser, args)
    args.epochs = args.epochs or (2 if args.quick else epochs)
    if not args.no_picture:  # here, so that nothing is trained in vain where matplotlib is missing
        importlib.import_module("pictures")
    try:
        splits = data.mnist(args.data, validation=1 / 12)
    except (OSError, ValueError, ImportError) as error:
        parser.error(str(error))
    if args.quick:
        first = {"train": 5120, "validation": 1000, "test": 1000}
        parts = {name: tuple(a[:n] for a in getattr(splits, name)) for name, n in first.items()}
        splits = data.Splits(**parts)
    return args, splits
