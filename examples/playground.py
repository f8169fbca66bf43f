"""A playground in the plane: a network learns, and an animation shows how its boundary moves.

    python examples/playground.py                                        two spirals
    python examples/playground.py --data moons --hidden 3 --noise 0.3
    python examples/playground.py --data xor --activation relu --optimizer sgd --l2 0.001

After the decks' web demos (A, B); row 18 of the lectures in motion. The animation, playground.gif,
shows the boundary and the loss on the points that are learned from and on as many others. Needs:
pip install 'funcnn[examples]'
"""

import argparse
import functools
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import numpy as np
import plane_data
import tables
from mnist import ACTIVATIONS, widths

from funcnn import losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Optimizer = Callable[[float], optim.GradientTransformation]
OPTIMIZERS: dict[str, tuple[Optimizer, float]] = {  # and the learning rate, unless given
    "adam": (optim.adam, 0.03),
    "sgd": (optim.sgd, 0.3),
    "momentum": (optim.momentum, 0.1),
    "rmsprop": (optim.rmsprop, 0.01),
}
LIMITS = (-2.6, 2.6)
MOVING, LAST = 140, 3000  # milliseconds that a frame is shown, and the last one
DPI, COLORS = 96, 48  # what keeps the file small


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    make = plane_data.DATA[args.data]
    points, others = (make(args.points, args.noise, args.seed + i) for i in range(2))
    model = network(args.hidden, ACTIVATIONS[args.activation], args.dropout)
    name = "-".join(map(str, [2, *args.hidden, 2]))
    print(f"{args.data}, noise {args.noise:g}: {args.points} points to learn from, as many others")
    print(f"{name}, {args.activation if args.hidden else 'linear'}, dropout {args.dropout:g}")
    print(f"{args.optimizer}, learning rate {args.learning_rate:g}, L2 {args.l2:g}\n")
    snapshots, history = trained(model, points, others, args)
    if not len(history["epoch"]):
        sys.exit("stopped before the end of the first epoch")
    print(tables.by_epoch(history))
    if not args.no_picture:
        figures = animation(model, snapshots, history, points)
        frames = [picture_file.drawn(figure, DPI) for figure in figures]
        times = [MOVING] * (len(frames) - 1) + [LAST]
        picture_file.save_animation(frames, args.out / "playground.gif", times, COLORS)


class Snapshot(NamedTuple):
    """The parameters after an epoch."""

    epoch: int
    params: Any


def network(hidden: Sequence[int], activation: Callable[[Any], Any], dropout: float) -> nn.Layer:
    """Points (n, 2) to logits (n, 2)."""
    drop = [nn.dropout(dropout)] if dropout else []
    layers = [part for width in hidden for part in (nn.dense(width), activation, *drop)]
    return nn.serial(*layers, nn.dense(2))


def epochs_shown(epochs: int, frames: int) -> list[int]:
    """When the animation looks at the network: often at first, where most of it moves."""
    growing = epochs * np.linspace(0, 1, frames + 1) ** 2
    return sorted({0, *np.ceil(growing[1:]).astype(int).tolist()})


def trained(
    model: nn.Layer, points: plane_data.Points, others: plane_data.Points, args: argparse.Namespace
) -> tuple[list[Snapshot], dict[str, np.ndarray]]:
    """The network as it learns, and the history of all epochs."""
    cross_entropy = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )

    def loss(params, state, batch, key):
        value, rest = cross_entropy(params, state, batch, key)
        return value + args.l2 * losses.l2(params), rest

    make_optimizer, _ = OPTIMIZERS[args.optimizer]
    optimizer = make_optimizer(args.learning_rate)
    state = train.init(jax.random.key(args.seed), model, optimizer, points[0])
    snapshots, parts = [Snapshot(0, state.params)], []
    looks = epochs_shown(args.epochs, args.frames)
    for before, epoch in itertools.pairwise(looks):
        # the program is compiled by the first of these calls, and the others go on where it ended
        state, part = train.fit(
            *(loss, optimizer, state, points),
            epochs=epoch - before,
            batch_size=args.batch_size,
            validation=others,
            progress=False,
        )
        parts.append(part | {"epoch": part["epoch"] + before})
        if len(part["epoch"]) < epoch - before:
            break  # interrupted, or no longer finite
        snapshots.append(Snapshot(epoch, state.params))
    history = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return snapshots, history


def animation(
    model: nn.Layer,
    snapshots: Sequence[Snapshot],
    history: Mapping[str, np.ndarray],
    points: plane_data.Points,
) -> Iterator["Figure"]:
    """One figure, drawn anew for each frame: the boundary, and the loss up to there."""
    figure, (plane, curve) = viz.figure(1, 2, size=(8.4, 4.2))
    logits = jax.jit(model)
    for epoch, params in snapshots:
        for ax in (plane, curve):
            ax.clear()
        predict = functools.partial(logits, params)
        viz.decision_boundary(predict, *points, plane, logits=True, limits=LIMITS, resolution=120)
        plane.get_legend().remove()
        plane.set_aspect("equal")
        _draw_loss(curve, history, epoch)
        viz.label(plane, title=f"epoch {epoch:,}")
        yield figure
        figure.set_layout_engine("none")  # all frames alike


def _draw_loss(ax: Any, history: Mapping[str, np.ndarray], epoch: int) -> None:
    """Pale what is still to come."""
    for name, label, color in (
        ("loss", "training", viz.style.BLUE),
        ("validation_loss", "validation", viz.style.VERMILION),
    ):
        dashes = "-" if name == "loss" else "--"
        ax.plot(history["epoch"], history[name], dashes, color=viz.style.blend(color, 0.25))
        ax.plot(history["epoch"][:epoch], history[name][:epoch], dashes, color=color, label=label)
        if epoch:
            ax.plot(epoch, history[name][epoch - 1], "o", color=color)
    right = f"validation: {history['validation_accuracy'][epoch - 1]:.0%} right"
    viz.label(ax, "epoch", "loss", right if epoch else "before training")
    ax.set(xlim=(0, len(history["epoch"])))
    viz.style.plot_style(ax, legend=True, loc="upper right")
    viz.style.log_if_wide(ax)


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    positive, whole = command_line.positive, command_line.whole_number
    default = "default: %(default)s"
    parser.add_argument("--data", choices=plane_data.DATA, default="spiral", help=default)
    parser.add_argument(
        "--points",
        type=whole(10),
        default=200,
        metavar="N",
        help=f"how many to learn from ({default})",
    )
    parser.add_argument(
        "--noise",
        type=number_from_0,
        default=0.15,
        metavar="SIZE",
        help=f"how far points lie from where they belong ({default})",
    )
    parser.add_argument(
        "--hidden",
        type=widths,
        default="16,16",
        metavar="WIDTHS",
        help=f"units of each hidden layer; none for a linear classifier ({default})",
    )
    parser.add_argument("--activation", choices=ACTIVATIONS, default="tanh", help=default)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help=default)
    rates = ", ".join(f"{rate:g} for {name}" for name, (_, rate) in OPTIMIZERS.items())
    parser.add_argument("--learning-rate", type=positive, metavar="RATE", help=f"default: {rates}")
    parser.add_argument(
        "--l2",
        type=number_from_0,
        default=0.0,
        metavar="λ",
        help=f"of the penalty λ Σ w² ({default})",
    )
    parser.add_argument(
        "--dropout", type=share, default=0.0, metavar="RATE", help=f"of hidden units ({default})"
    )
    parser.add_argument(
        "--epochs",
        type=whole(1),
        metavar="N",
        help="how often to go through the points (default: 300)",
    )
    parser.add_argument(
        "--batch-size", type=whole(1), default=50, metavar="N", help=f"points in a step ({default})"
    )
    parser.add_argument(
        "--frames", type=whole(1), metavar="N", help="of the animation (default: 40)"
    )
    parser.add_argument("--quick", action="store_true", help="60 epochs and 5 frames")
    args = parser.parse_args()
    args.epochs = args.epochs or (60 if args.quick else 300)
    args.frames = args.frames or (5 if args.quick else 40)
    args.learning_rate = args.learning_rate or OPTIMIZERS[args.optimizer][1]
    if args.batch_size > args.points:
        parser.error(f"argument --batch-size: there are {args.points} points")
    return args


def number_from_0(text: str, below: float = math.inf) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < below:
        limits = "of at least 0" if below == math.inf else f"from 0 to below {below:g}"
        raise argparse.ArgumentTypeError(f"expected a number {limits}, got {text!r}")
    return number


def share(text: str) -> float:
    return number_from_0(text, below=1)


if __name__ == "__main__":
    main()
