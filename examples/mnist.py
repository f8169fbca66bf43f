"""Trains a network of any width and depth on MNIST, and draws what it learned.

    python examples/mnist.py                                784-30-30-10, sigmoid: about 96 %
    python examples/mnist.py --hidden none                  a linear classifier: about 92.8 %
    python examples/mnist.py --hidden 512,512 --epochs 8    about 98.3 %

With --checkpoints FOLDER, a run that was stopped or killed goes on by --resume as if it never was.

MNIST's four files are read from the folder --data, or the one that the environment variable
FUNCNN_DATA names; else they are downloaded once (11 MB). Needs: pip install 'funcnn[examples]'
"""

import argparse
import functools
import sys
from collections.abc import Callable

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import data, losses, metrics, nn, optim, train

ACTIVATIONS = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.1),
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
}
Optimizer = Callable[..., optim.GradientTransformation]
OPTIMIZERS: dict[str, tuple[Optimizer, float]] = {  # and the learning rate, unless given
    "sgd": (optim.sgd, 0.5),
    "momentum": (functools.partial(optim.sgd, momentum=0.9), 0.1),
    "nesterov": (functools.partial(optim.sgd, momentum=0.9, nesterov=True), 0.1),
    "adam": (optim.adam, 0.003),
}
GRADIENTS = {"funcnn": funcnn.value_and_grad, "jax": jax.value_and_grad}


def main() -> None:
    args, splits = arguments()
    if not args.no_picture:
        import pictures  # here, so that nothing is trained in vain where matplotlib is missing

    x, y = splits.test
    model = multilayer_perceptron(args.hidden, ACTIVATIONS[args.activation])
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )
    make_optimizer, usual_rate = OPTIMIZERS[args.optimizer]
    rate = args.learning_rate or usual_rate
    steps = args.epochs * -(-len(splits.train[1]) // args.batch_size)
    optimizer = make_optimizer(lambda step: rate * (1 - step / steps))  # falls to 0 in a line
    state = train.init(jax.random.key(args.seed), model, optimizer, x)

    print("MNIST: " + ", ".join(f"{len(y):,} {part}" for part, (_, y) in splits._asdict().items()))
    name = "-".join(map(str, [784, *args.hidden, 10]))
    kind = args.activation if args.hidden else "linear"
    print(f"{name}, {kind}: {nn.count_parameters(state.params):,} parameters")
    print(f"{args.optimizer}, learning rate {rate:g} falling to 0, batches of {args.batch_size}\n")
    state, history = train.fit(
        loss,
        optimizer,
        state,
        splits.train,
        epochs=args.epochs,
        batch_size=args.batch_size,
        validation=splits.validation,
        grad=GRADIENTS[args.grad],
        checkpoints=args.checkpoints,
        resume=args.resume,
    )
    if not len(history["epoch"]):
        sys.exit("stopped before the end of the first epoch")
    print(tables.by_epoch(history))

    probabilities = np.asarray(jax.nn.softmax(model(state.params, x)))
    correct = probabilities.argmax(-1) == y
    result = f"test accuracy {correct.mean():.2%} ({correct.sum():,} of {len(y):,})"
    print(f"\n{result}, trained in {history['seconds'].sum():.1f} s\n")

    if not args.no_picture:
        weights, names = strongest_units(state.params[1]["kernel"])
        layer = f"the {len(names)} units of the first layer with the largest weights"
        what = layer if args.hidden else "the weights for each digit"
        heading = "the first test digits: what the network reads (with what probability)"
        sections = [
            pictures.curves(history),
            pictures.templates(f"{what}: blue positive, red negative", weights, names),
            pictures.digits(heading, x[:10], probabilities[:10], y[:10]),
            pictures.mistakes(x, probabilities, y),
        ]
        pictures.save(args.out / "mnist.png", f"MNIST, {name}, {kind}: {result}", sections)


def multilayer_perceptron(hidden: list[int], activation: Callable) -> nn.Layer:
    layers = [layer for width in hidden for layer in (nn.dense(width), activation)]
    return nn.serial(nn.flatten, *layers, nn.dense(10))


def strongest_units(kernel: jax.Array, most: int = 20) -> tuple[np.ndarray, list[str]]:
    """The weights of the units that have the largest, as images, and these units' numbers."""
    weights = np.asarray(kernel).T.reshape(-1, 28, 28)
    units = np.sort(np.argsort(-np.square(weights).sum((1, 2)), kind="stable")[:most])
    return weights[units], [str(unit) for unit in units]


def arguments() -> tuple[argparse.Namespace, data.Splits]:
    """The options, and the digits that they ask for."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder with MNIST's four files, gzipped or not (default: see above)",
    )
    parser.add_argument(
        "--hidden",
        type=widths,
        default="30,30",
        metavar="WIDTHS",
        help="units of each hidden layer, such as 512,512; none for a linear classifier "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        default="sigmoid",
        help="after each hidden layer (default: %(default)s)",
    )
    parser.add_argument(
        "--optimizer", choices=OPTIMIZERS, default="adam", help="default: %(default)s"
    )
    rates = ", ".join(f"{rate:g} for {name}" for name, (_, rate) in OPTIMIZERS.items())
    parser.add_argument(
        "--learning-rate",
        type=command_line.positive,
        metavar="RATE",
        help=f"at the first step; it falls to 0 in a line (default: {rates})",
    )
    parser.add_argument(
        "--epochs",
        type=command_line.whole_number(1),
        metavar="N",
        help="how often to go through the training digits (default: 10)",
    )
    parser.add_argument(
        "--batch-size",
        type=command_line.whole_number(1),
        default=64,
        metavar="N",
        help="digits in a step (default: %(default)s)",
    )
    parser.add_argument(
        "--grad",
        choices=GRADIENTS,
        default="funcnn",
        help="whose value_and_grad trains the network (default: %(default)s)",
    )
    command_line.add_checkpoints(parser)
    parser.add_argument(
        "--quick", action="store_true", help="the first 10,000 training digits, 1 epoch"
    )
    args = parser.parse_args()
    command_line.check_checkpoints(parser, args)
    args.epochs = args.epochs or (1 if args.quick else 10)
    try:
        splits = data.mnist(args.data, validation=1 / 6)
    except (OSError, ValueError, ImportError) as error:
        parser.error(str(error))
    if args.quick:
        splits = splits._replace(train=jax.tree.map(lambda part: part[:10_000], splits.train))
    if args.batch_size > len(splits.train[1]):
        parser.error(f"argument --batch-size: there are {len(splits.train[1])} training digits")
    return args, splits


def widths(text: str) -> list[int]:
    if text in ("", "none"):
        return []
    try:
        result = [int(width) for width in text.split(",")]
    except ValueError:
        result = [0]
    if min(result) < 1:
        raise argparse.ArgumentTypeError(
            f"expected widths such as 512,512, or none for a linear classifier, got {text!r}"
        )
    return result


if __name__ == "__main__":
    main()
