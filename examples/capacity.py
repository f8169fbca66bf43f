"""Boundaries of networks with more or fewer hidden units, and with weaker or stronger penalties.

    python examples/capacity.py

Decks A and B, their web demos, and row 17 of the lectures: more neurons are more capacity. On two
noisy spirals too few hidden units cannot follow the arms, and with many the boundary follows the
noise as well. But the number of units is no way to regularize: a large network with a stronger
penalty λ Σ w² has a smooth boundary too.
"""

import argparse
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import plane_data
import tables

from funcnn import losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = (3, 6, 20, 100)  # the hidden layer, without a penalty
PENALTIES = (1e-4, 1e-3, 3e-3, 3e-2)  # λ, of the largest network
POINTS, NOISE = 150, 0.25
RATE = 0.03


class Fitted(NamedTuple):
    """A network after training.

    Attributes:
      model: points (n, 2) to logits (n, 2).
      params: what it learned.
      train, test: the accuracy on the points that it learned from, and on 2,000 others.
    """

    model: nn.Layer
    params: Any
    train: float
    test: float


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    points = plane_data.spiral(POINTS, NOISE, args.seed)
    by_units = {units: fitted(units, [0.0], points, args)[0] for units in args.units}
    print(f"two spirals, {POINTS} points; hidden units, without a penalty\n")
    print(table("hidden units", by_units))
    units = max(args.units)
    by_penalty = dict(zip(PENALTIES, fitted(units, PENALTIES, points, args), strict=True))
    print(f"\n{units} hidden units, with the penalty λ Σ w²\n")
    print(table("λ", by_penalty))
    if not args.no_picture:
        picture_file.save(picture(by_units, by_penalty, points), args.out / "capacity.png")


def network(units: int) -> nn.Layer:
    return nn.models.mlp([units, 2], jnp.tanh)


def penalized(model: nn.Layer, model_state: Any) -> train.Loss:
    """Cross-entropy + λ Σ w²; λ is what it has as the state of the run, which does not change."""
    cross_entropy = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)

    def loss(params, penalty, batch, key):
        value, (_, measured) = cross_entropy(params, model_state, batch, key)
        return value + penalty * losses.l2(params), (penalty, measured)

    return loss


def fitted(
    units: int, penalties: Sequence[float], points: plane_data.Points, args: argparse.Namespace
) -> list[Fitted]:
    """A network for each penalty λ, all trained in one program: λ comes with a run's state."""
    model, optimizer = network(units), optim.adam(RATE)
    start = train.init(jax.random.key(args.seed), model, optimizer, points[0])
    states, _ = train.sweep(
        penalized(model, start.state),
        lambda penalty: (optimizer, start._replace(state=penalty)),
        jnp.array(penalties),
        points,
        epochs=args.epochs,
        batch_size=len(points[1]),
    )
    runs = [train.one_run(states, i).params for i in range(len(penalties))]
    others = plane_data.spiral(2000, NOISE, 10_000)
    return [Fitted(model, p, *(accuracy(model, p, *of) for of in (points, others))) for p in runs]


def accuracy(model: nn.Layer, params: Any, x: np.ndarray, y: np.ndarray) -> float:
    return float(metrics.accuracy(model(params, x), y))


def table(header: str, found: Mapping[Any, Fitted]) -> str:
    rows = []
    for name, one in found.items():
        size = nn.count_parameters(one.params)
        squares = f"{losses.l2(one.params):,.1f}"
        rows.append([f"{name:g}", f"{size:,}", f"{one.train:.1%}", f"{one.test:.1%}", squares])
    header = [header, "parameters", "training accuracy", "test accuracy", "Σ w²"]
    return tables.table(header, rows)


def picture(
    by_units: Mapping[int, Fitted], by_penalty: Mapping[float, Fitted], points: plane_data.Points
) -> "Figure":
    """Above, more and more units; below, the largest network with stronger and stronger λ."""
    title = "capacity: hidden units, and regularization"
    figure, axes = viz.figure(2, 4, size=(10, 5.9), title=title)
    units = max(by_units)
    above = {f"{n} hidden units": one for n, one in by_units.items()}
    below = {f"{units} units, λ = {value:g}": one for value, one in by_penalty.items()}
    for row, networks in zip(axes, (above, below), strict=True):
        for ax, (name, one) in zip(row, networks.items(), strict=False):
            predict = functools.partial(one.model, one.params)
            viz.decision_boundary(predict, *points, ax, logits=True, limits=(-2.6, 2.6))
            ax.get_legend().remove()
            ax.set_aspect("equal")
            scores = f"training {one.train:.0%}, test {one.test:.0%}"
            ax.set_title(f"{name}\n{scores}", size=10, weight="bold", color=viz.style.INK)
        for ax in row[len(networks) :]:
            ax.remove()
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--epochs",
        type=command_line.whole_number(1),
        metavar="N",
        help="how often the networks go through the points (default: 2000)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="300 epochs, 20 units, for a first look"
    )
    args = parser.parse_args()
    args.epochs = args.epochs or (300 if args.quick else 2000)
    args.units = (20,) if args.quick else UNITS
    return args


if __name__ == "__main__":
    main()
