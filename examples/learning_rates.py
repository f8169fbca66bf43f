"""Choosing a learning rate: too low, just right, too high; and the range test, which finds it.

    python examples/learning_rates.py

Row 38 of the lectures, deck E. First on a parabola, J(θ) = θ²/2, where a step is θ ← (1 − η) θ:
rates above 2 diverge. Then a network learns handwritten digits with many rates at once
(`train.sweep`), and `train.lr_find` says from a hundred steps which of them are good.

Needs: pip install 'funcnn[examples]'
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import data, losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START = 4.0
PARABOLA = {"too low": 0.05, "just right": 0.6, "too high": 2.1}
STEPS = 8
BATCH = 32
RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
NETWORK = {"too low": 1e-3, "just right": 0.1, "too high": 10.0}  # of those


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    print(f"θ after each step on the parabola J(θ) = θ²/2, from θ = {START:g}\n")
    print(parabola_table())

    splits = data.digits()
    model = nn.models.mlp([64, 10])
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )
    epochs = 3 if args.quick else 12
    history = learned(model, loss, splits, epochs, args.seed)
    count = len(splits.train[1])
    print(f"\na network 64-64-10 learns {count:,} digits: the mean loss of an epoch\n")
    print(losses_table(history))

    found = range_test(model, loss, splits, args.seed)
    print("\nthe range test: the rate grows in each of 100 steps\n")
    print(range_table(found))
    if not args.no_picture:
        print()
        picture_file.save(picture(history, found), args.out / "learning_rates.png")


def parabola(theta: jax.Array) -> jax.Array:
    return theta**2 / 2


def descend(rate: float) -> np.ndarray:
    """θ at the start and after each step, (STEPS + 1,)."""
    optimizer = optim.sgd(rate)
    theta = jnp.float32(START)
    state, path = optimizer.init(theta), [START]
    for _ in range(STEPS):
        updates, state = optimizer.update(funcnn.grad(parabola)(theta), state)
        theta = optim.apply_updates(theta, updates)
        path.append(float(theta))
    return np.array(path)


def learned(
    model: nn.Layer, loss: train.Loss, splits: data.Splits, epochs: int, seed: int
) -> dict[str, np.ndarray]:
    """The history of `train.sweep`: a run for each of RATES, in one program."""

    def setup(rate: jax.Array) -> Any:
        optimizer = optim.sgd(rate)
        return optimizer, train.init(jax.random.key(seed), model, optimizer, splits.train[0])

    _, history = train.sweep(
        loss,
        setup,
        jnp.array(RATES),
        splits.train,
        epochs=epochs,
        batch_size=BATCH,
        validation=splits.validation,
    )
    return history


def range_test(
    model: nn.Layer, loss: train.Loss, splits: data.Splits, seed: int
) -> train.RangeTest:
    state = train.init(jax.random.key(seed), model, optim.sgd(1.0), splits.train[0])
    return train.lr_find(
        loss, optim.sgd, state, splits.train, batch_size=BATCH, low=1e-4, high=30.0
    )


def parabola_table() -> str:
    paths = {name: descend(rate) for name, rate in PARABOLA.items()}
    rows = [
        [str(step), *(f"{path[step]:.5f}" for path in paths.values())] for step in range(STEPS + 1)
    ]
    header = [f"{name}: η = {PARABOLA[name]:g}" for name in paths]
    return tables.table(["step", *header], rows)


def losses_table(history: Mapping[str, np.ndarray]) -> str:
    epochs = sorted({0, len(history["epoch"]) // 2, len(history["epoch"]) - 1})
    rows = []
    for run, rate in enumerate(RATES):
        curve, accuracy = history["loss"][:, run], history["validation_accuracy"][-1, run]
        rows.append([f"{rate:g}", *(f"{curve[epoch]:.4g}" for epoch in epochs), f"{accuracy:.2%}"])
    header = [f"loss, epoch {history['epoch'][epoch]}" for epoch in epochs]
    return tables.table(["learning rate", *header, "validation accuracy"], rows)


def range_table(found: train.RangeTest) -> str:
    lowest = int(np.nanargmin(found.smoothed))
    exploded = found.exploded < len(found.rates)
    rows = [
        ["the smoothed loss is lowest at", f"{found.rates[lowest]:.3g}"],
        ["it explodes at", f"{found.rates[found.exploded]:.3g}" if exploded else "never"],
        ["suggested: a tenth of the lowest", f"{found.suggestion:.3g}"],
    ]
    return tables.table(["", "learning rate"], rows)


def picture(history: Mapping[str, np.ndarray], found: train.RangeTest) -> "Figure":
    import picture_page

    from funcnn.viz import style

    mosaic = [[*PARABOLA], ["training"] + ["range test"] * 2]
    figure, axes = picture_page.page("Choosing a learning rate", 7.2, mosaic)
    theta = np.linspace(-8, 8, 201)
    for look, (name, rate) in zip(style.looks(), PARABOLA.items(), strict=False):
        ax, path = axes[name], descend(rate)
        ax.plot(theta, parabola(theta), color=style.GRAY, lw=1.5)
        ax.plot(path, parabola(path), look.marker, ls="-", lw=1.2, ms=6, color=look.color)
        ax.plot(START, parabola(START), "o", ms=9, mfc="white", mec=style.INK, mew=1.6)
        ax.set(xlim=(-8, 8), ylim=(-1.5, 30))
        style.plot_style(ax)
        first = ax is axes["too low"]
        viz.label(ax, "θ", "J(θ)" if first else None, f"{name}: η = {rate:g}")
    draw_training(axes["training"], history)
    viz.range_test(found, axes["range test"])
    viz.label(axes["range test"], title="the range test: a rate that grows from step to step")
    return figure


def draw_training(ax: Any, history: Mapping[str, np.ndarray]) -> None:
    from funcnn.viz import style

    for look, (name, rate) in zip(style.looks(), NETWORK.items(), strict=False):
        curve = history["loss"][:, RATES.index(rate)]
        ax.plot(
            history["epoch"],
            curve,
            look.dashes,
            color=look.color,
            marker=look.marker,
            ms=5,
            label=f"{name}: {rate:g}",
        )
    ax.set_yscale("log")
    style.whole_numbers(ax)
    style.plot_style(ax, legend=True)
    viz.label(ax, "epoch", "training loss", "digits, learned")


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="3 epochs, for a first look")
    return parser.parse_args()


if __name__ == "__main__":
    main()
