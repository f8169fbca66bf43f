"""Under- and overfitting: polynomials of degree 1, 2 and 4, and networks; early stopping.

    python examples/overfitting.py

Row 40 of the lectures, decks A and E. Polynomials are fitted to many small samples of one noisy
curve: the error that is expected elsewhere is bias² (what even their mean gets wrong) + variance
(how far each of them is from their mean) + noise. Then networks learn a few noisy points: one that
is too small, and one that is large enough to learn the noise too, unless it is stopped when the
loss on a validation set no longer falls.
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

from funcnn import losses, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# --- polynomials

DEGREES = {1: "high bias", 2: "just right", 4: "high variance"}  # deck E's
SAMPLES, POINTS, NOISE = 500, 7, 0.5
GRID = np.linspace(-1, 1, 101)

# --- networks

HIDDEN = {"too small": 1, "large": 100}
LEARNED, RATE = 24, 0.01


class Fits(NamedTuple):
    """Polynomials of one degree, fitted to many samples.

    Attributes:
      curves: (samples, grid), what each says on GRID.
      bias2: the mean over GRID of (mean curve − truth)².
      variance: the mean over GRID of the curves' variance.
    """

    curves: np.ndarray
    bias2: float
    variance: float


class Points(NamedTuple):
    """Points of a noisy curve: x (n, 1), y (n, 1)."""

    x: np.ndarray
    y: np.ndarray


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    sample_x, sample_y = samples(args.seed)
    degrees = {degree: fits(sample_x, sample_y, degree) for degree in range(1, 6)}
    print(
        f"polynomials fitted to {SAMPLES} samples of {POINTS} points each of y = {CURVE}, with "
        f"noise of deviation {NOISE:g}\n"
    )
    print(bias_table(degrees))

    learn, validation = (points(n, args.seed, i) for i, n in enumerate((LEARNED, 200)))
    histories, predicted = {}, {}
    for name, width in HIDDEN.items():
        state, histories[name] = learned(width, learn, validation, args.epochs, args.seed)
        predicted[name] = np.asarray(network(width)(state.params, GRID[:, None]))[:, 0]
    stopped, history = learned(
        HIDDEN["large"], learn, validation, args.epochs, args.seed, patience=args.epochs // 8
    )
    predicted[STOPPED] = np.asarray(network(HIDDEN["large"])(stopped.params, GRID[:, None]))[:, 0]
    histories[STOPPED] = history
    print(
        f"\nnetworks with one hidden layer learn {LEARNED} points of y = sin(πx) with noise of "
        f"deviation {NOISE:g}: mean squared errors\n"
    )
    print(networks_table(histories, predicted))
    if not args.no_picture:
        print()
        drawn = picture(degrees, sample_x, sample_y, learn, histories, predicted)
        picture_file.save(drawn, args.out / "overfitting.png")


CURVE = "1 + x − 2x²"
STOPPED = "large, stopped early"


def curve(x: np.ndarray) -> np.ndarray:
    return 1 + x - 2 * x**2


def samples(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x (points,), the same for all samples, and y (samples, points)."""
    x = np.linspace(-1, 1, POINTS)
    noise = np.random.default_rng(seed).normal(scale=NOISE, size=(SAMPLES, POINTS))
    return x, curve(x) + noise


def fits(x: np.ndarray, y: np.ndarray, degree: int) -> Fits:
    """Polynomials of least squares, one a sample."""
    coefficients = np.polyfit(x, y.T, degree)  # (degree + 1, samples)
    curves = (np.vander(GRID, degree + 1) @ coefficients).T
    off = curves.mean(axis=0) - curve(GRID)
    return Fits(curves, float((off**2).mean()), float(curves.var(axis=0).mean()))


def points(count: int, seed: int, part: int) -> Points:
    rng = np.random.default_rng((seed, part))
    x = rng.uniform(-1, 1, (count, 1))
    y = np.sin(np.pi * x) + rng.normal(scale=NOISE, size=x.shape)
    return Points(x.astype(np.float32), y.astype(np.float32))


def network(width: int) -> nn.Layer:
    wide = jax.nn.initializers.normal(4.0)  # steep units at many places: room for the noise
    return nn.serial(nn.dense(width, kernel_init=wide, bias_init=wide), jnp.tanh, nn.dense(1))


def learned(
    width: int, learn: Points, validation: Points, epochs: int, seed: int, patience: int = 0
) -> tuple[train.TrainState, dict[str, np.ndarray]]:
    """By all of the points at once; with patience, stopped early and the best epoch kept."""
    model, optimizer = network(width), optim.adam(RATE)
    measure = train.lowest("validation_loss")
    return train.fit(
        train.supervised(model, losses.squared_error),
        optimizer,
        train.init(jax.random.key(seed), model, optimizer, learn.x),
        tuple(learn),
        epochs=epochs,
        batch_size=len(learn.x),
        validation=tuple(validation),
        stop=train.early_stopping(measure, patience) if patience else None,
        keep=measure if patience else None,
        progress=False,
    )


def bias_table(degrees: Mapping[int, Fits]) -> str:
    rows = []
    for degree, found in degrees.items():
        total = found.bias2 + found.variance + NOISE**2
        numbers = (found.bias2, found.variance, NOISE**2, total)
        rows.append([str(degree), *(f"{v:.4f}" for v in numbers), DEGREES.get(degree, "")])
    return tables.table(["degree", "bias²", "variance", "noise", "expected error", ""], rows)


def networks_table(
    histories: Mapping[str, Mapping[str, np.ndarray]], predicted: Mapping[str, np.ndarray]
) -> str:
    """At the epoch whose parameters were kept."""
    truth, rows = np.sin(np.pi * GRID), []
    for name, history in histories.items():
        best = int(history["validation_loss"].argmin())
        kept = best if name == STOPPED else len(history["epoch"]) - 1
        rows.append(
            [name, str(HIDDEN[name.partition(",")[0]]), f"{history['epoch'][kept]:,}"]
            + [f"{history[column][kept]:.4f}" for column in ("loss", "validation_loss")]
            + [f"{np.square(predicted[name] - truth).mean():.4f}"]
        )
    header = ["network", "hidden units", "epoch", "training", "validation", "from sin(πx)"]
    return tables.table(header, rows)


def picture(
    degrees: Mapping[int, Fits],
    sample_x: np.ndarray,
    sample_y: np.ndarray,
    learn: Points,
    histories: Mapping[str, Mapping[str, np.ndarray]],
    predicted: Mapping[str, np.ndarray],
) -> "Figure":
    import picture_page

    mosaic = [["1", "2", "4"], ["bias", "history", "networks"]]
    title = "Underfitting and overfitting: bias against variance"
    figure, axes = picture_page.page(title, 7.4, mosaic)
    for degree, what in DEGREES.items():
        draw_polynomials(axes[str(degree)], degrees[degree], sample_x, sample_y[0])
        viz.label(axes[str(degree)], "x", "y", f"degree {degree}: {what}")
    draw_bias(axes["bias"], degrees)
    draw_history(axes["history"], histories["large"])
    draw_networks(axes["networks"], learn, predicted)
    return figure


def draw_polynomials(ax: Any, found: Fits, x: np.ndarray, y: np.ndarray) -> None:
    from funcnn.viz import style

    for other in found.curves[1:40]:
        ax.plot(GRID, other, color=style.SKY, lw=0.5, alpha=0.6)
    ax.plot(GRID, found.curves[0], color=style.BLUE, lw=2.4, label="fitted to these points")
    ax.plot(GRID, curve(GRID), "--", color=style.VERMILION, lw=2, label="the true curve")
    ax.plot(x, y, "o", ms=6, color=style.INK)
    ax.plot([], [], color=style.SKY, lw=1, label="to other samples")
    ax.set(xlim=(-1.05, 1.05), ylim=(-3.6, 2.2))
    style.plot_style(ax, legend=True, loc="lower right")


def draw_bias(ax: Any, degrees: Mapping[int, Fits]) -> None:
    from funcnn.viz import style

    at, bottom = list(degrees), np.zeros(len(degrees))
    parts = {
        "bias²": (style.BLUE, "//", [found.bias2 for found in degrees.values()]),
        "variance": (style.ORANGE, "..", [found.variance for found in degrees.values()]),
        "noise": (style.FRAME, "", [NOISE**2] * len(degrees)),
    }
    for name, (color, hatch, heights) in parts.items():
        ax.bar(at, heights, 0.7, bottom, color=color, hatch=hatch, edgecolor="white", label=name)
        bottom = bottom + heights
    style.plot_style(ax, legend=True)
    style.whole_numbers(ax)
    viz.label(ax, "degree", "expected squared error", "bias and variance")


def draw_history(ax: Any, history: Mapping[str, np.ndarray]) -> None:
    from funcnn.viz import style

    viz.history(history, ax=ax)
    # most happens early
    ax.set_xscale("log")
    best = int(np.argmin(history["validation_loss"]))
    ax.texts[0].set(text=f"best: epoch {history['epoch'][best]}", ha="left", position=(6, -14))
    ax.legend(ax.lines[:2], ["training", "validation"], frameon=False, fontsize=style.TICK)
    viz.label(ax, "epoch", "squared error", f"a network of {HIDDEN['large']} units")


def draw_networks(ax: Any, learn: Points, predicted: Mapping[str, np.ndarray]) -> None:
    from funcnn.viz import style

    ax.plot(learn.x, learn.y, "o", ms=5, color=style.INK)
    names = {"too small": "1 unit", "large": f"{HIDDEN['large']} units", STOPPED: "stopped early"}
    for look, (name, values) in zip(style.looks(), predicted.items(), strict=False):
        ax.plot(GRID, values, look.dashes, color=look.color, lw=2, label=names[name])
    ax.set(xlim=(-1.05, 1.05), ylim=(-3.0, 2.2))
    style.plot_style(ax, legend=True, loc="lower right")
    viz.label(ax, "x", "y", "what networks learned")


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="200 epochs, for a first look")
    args = parser.parse_args()
    args.epochs = 200 if args.quick else 2000
    return args


if __name__ == "__main__":
    main()
