"""Learning rate schedules: step, cosine, linear, inverse square root, and what they do to a loss.

    python examples/schedules.py

Row 36 of the lectures, deck B: α₀ × 0.1 after epochs 30, 60 and 90; ½α₀(1 + cos(tπ/T));
α₀(1 − t/T); α₀/√t. The table has funcnn's values beside the formulas'. Then a linear classifier
learns handwritten digits, of which one in five has a wrong label, once with each of them and once
with a rate that stays: steps that stay large jump around the minimum, smaller ones settle in it.

Needs: pip install 'funcnn[examples]'
"""

import argparse
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

from funcnn import data, losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST, EPOCHS = 0.5, 100  # α₀ and T
SHOWN = (0, 1, 4, 25, 29, 30, 50, 60, 75, 90, 99)
SCHEDULES: dict[str, tuple[str, optim.Schedule, Callable[[int], float]]] = {
    "step": (
        "× 0.1 after 30, 60, 90",
        optim.step_schedule(FIRST),
        lambda t: FIRST * 0.1 ** sum(t >= boundary for boundary in (30, 60, 90)),
    ),
    "cosine": (
        "½ α₀ (1 + cos(tπ/T))",
        optim.cosine_decay_schedule(FIRST, EPOCHS),
        lambda t: FIRST / 2 * (1 + math.cos(t * math.pi / EPOCHS)),
    ),
    "linear": (
        "α₀ (1 − t/T)",
        optim.linear_schedule(FIRST, 0.0, EPOCHS),
        lambda t: FIRST * (1 - t / EPOCHS),
    ),
    "inverse square root": (
        "α₀ / √t",
        optim.inverse_sqrt_schedule(FIRST),
        lambda t: FIRST / math.sqrt(max(t, 1)),
    ),
}
CONSTANT = "constant"
BATCH = 16
WRONG = 0.2  # of the training labels


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    print(f"α₀ = {FIRST:g}, T = {EPOCHS} epochs: the rate in epoch t, by formula and by funcnn\n")
    print(rates_table())
    splits = data.digits()
    examples = 500 if args.quick else len(splits.train[1])
    history = learned(splits, examples, args.seed)
    print(
        f"\na linear classifier learns {examples:,} digits with each schedule, batches of {BATCH}; "
        f"{WRONG:.0%} of the labels are wrong\n"
    )
    print(losses_table(history))
    if not args.no_picture:
        print()
        picture_file.save(picture(history), args.out / "schedules.png")


def rates(schedule: optim.Schedule) -> np.ndarray:
    """The rate in each epoch, (EPOCHS,)."""
    return np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(EPOCHS)))


def learned(splits: data.Splits, examples: int, seed: int) -> dict[str, np.ndarray]:
    """The history of `train.sweep`: a run for each schedule, and one with a rate that stays."""
    x, y = (part[:examples] for part in splits.train)
    y = with_mistakes(y, seed)
    batches = len(y) // BATCH
    model = nn.models.softmax_regression(10)
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )

    def setup(by_epoch: jax.Array) -> Any:
        optimizer = optim.sgd(optim.in_epochs(lambda epoch: by_epoch[epoch], batches))
        return optimizer, train.init(jax.random.key(seed), model, optimizer, x)

    settings = np.stack([*(rates(s) for _, s, _ in SCHEDULES.values()), np.full(EPOCHS, FIRST)])
    _, history = train.sweep(
        loss,
        setup,
        settings.astype(np.float32),
        (x, y),
        epochs=EPOCHS,
        batch_size=BATCH,
        validation=splits.validation,
        drop_remainder=True,  # a step of this size after one example would jump far
    )
    return history


def with_mistakes(labels: np.ndarray, seed: int) -> np.ndarray:
    """The labels (n,), some of them replaced by another digit."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(labels)) < WRONG
    return np.where(wrong, (labels + rng.integers(1, 10, len(labels))) % 10, labels)


def rates_table() -> str:
    header = ["epoch t"]
    for name, (formula, _, _) in SCHEDULES.items():
        header += [f"{name}: {formula}", "funcnn"]
    rows = []
    for t in SHOWN:
        row = [str(t)]
        for _, schedule, formula in SCHEDULES.values():
            row += [f"{formula(t):.6f}", f"{schedule(t):.6f}"]
        rows.append(row)
    return tables.table(header, rows)


def losses_table(history: Mapping[str, np.ndarray]) -> str:
    """The training loss after some epochs, and how well the validation set is read at the end."""
    after = (1, 10, 30, 60, 90, 100)
    rows = [
        [
            name,
            *(f"{history['loss'][epoch - 1, run]:.5f}" for epoch in after),
            f"{history['validation_accuracy'][-1, run]:.2%}",
        ]
        for run, name in enumerate([*SCHEDULES, CONSTANT])
    ]
    return tables.table(
        ["", *(f"loss, epoch {epoch}" for epoch in after), "validation accuracy"], rows
    )


def picture(history: Mapping[str, np.ndarray]) -> "Figure":
    import picture_page

    from funcnn.viz import style

    figure, axes = picture_page.page(
        "Learning rate schedules", 4.4, [["rates", "losses"]], width_ratios=[1, 1.05]
    )
    named = {f"{name}: {formula}": s for name, (formula, s, _) in SCHEDULES.items()}
    viz.schedules(named, EPOCHS, axes["rates"])
    viz.label(axes["rates"], "epoch t", "learning rate", f"α₀ = {FIRST:g}, T = {EPOCHS}")
    ax, epochs = axes["losses"], np.arange(1, EPOCHS + 1)
    for look, name, run in zip(
        style.looks(), [*SCHEDULES, CONSTANT], history["loss"].T, strict=False
    ):
        color, dashes = (style.INK, ":") if name == CONSTANT else (look.color, look.dashes)
        ax.plot(epochs, run, dashes, color=color, lw=1.8, label=name)
    ax.set_ylim(0.98 * history["loss"].min(), 1.18 * history["loss"][2:].min())
    style.plot_style(ax, legend=True)
    viz.label(ax, "epoch", "training loss", f"digits, {WRONG:.0%} of them with wrong labels")
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="500 digits, for a first look")
    return parser.parse_args()


if __name__ == "__main__":
    main()
