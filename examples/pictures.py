"""The examples' pictures: pages of sections with curves, digits and templates."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

try:
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
except ImportError as error:
    raise ImportError(
        "the picture needs matplotlib: pip install 'funcnn[examples]' (or --no-picture)"
    ) from error

# two of the colours by Okabe and Ito, which colour-blind readers tell apart
BLUE, VERMILION = "#0072B2", "#D55E00"
INK, FRAME, GRID = "#222222", "#C8C8C8", "#E6E6E6"

# inches
WIDTH, TITLE, CURVES, HEADING, MARGIN = 10.0, 0.6, 3.4, 0.5, 0.4
COLUMNS, TILE, LINE = 10, 0.78, 0.16  # tiles side by side, each so wide; a line of its caption
RIGHT = (WIDTH - 2 * MARGIN - TILE) / (COLUMNS - 1)  # from tile to tile
DPI = 150


class Section(NamedTuple):
    height: float
    draw: Callable[[SubFigure], None]


def save(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Draws the sections below one another, and says where the picture is."""
    heights = [TITLE, *(section.height for section in sections)]
    # the figure by itself, not by pyplot, which would look for a window to show it in
    figure = Figure((WIDTH, sum(heights)), dpi=DPI, facecolor="white")
    head, *parts = figure.subfigures(len(heights), 1, height_ratios=heights)
    size = min(16, 1100 / len(title))  # a deep network has a long name
    head.text(0.5, 0.4, title, ha="center", va="center", size=size, weight="bold", color=INK)
    for section, part in zip(sections, parts, strict=True):
        section.draw(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"picture: {path}")


def curves(history: Mapping[str, np.ndarray]) -> Section:
    """Loss and accuracy by epoch, in training and validation."""
    epochs = history["epoch"]

    def draw(part: SubFigure) -> None:
        left, right = part.subplots(1, 2)
        part.subplots_adjust(left=0.085, right=0.965, bottom=0.17, top=0.88, wspace=0.2)
        for ax, name in ((left, "loss"), (right, "accuracy")):
            for key, color, marker, label in (
                (name, BLUE, "o", "training (mean over the epoch)"),
                (f"validation_{name}", VERMILION, "s", "validation (after the epoch)"),
            ):
                marker = marker if len(epochs) <= 40 else ""
                ax.plot(epochs, history[key], color=color, marker=marker, ms=4, label=label)
            ax.set_title(name, loc="left", size=13, weight="bold", color=INK)
            ax.set_xlabel("epoch", size=11)
            ticks = MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
            ax.xaxis.set_major_locator(ticks)
            ax.tick_params(labelsize=10)
            ax.grid(color=GRID)
            ax.set_axisbelow(True)
            ax.spines[["top", "right"]].set_visible(False)
            ax.legend(frameon=False, fontsize=10)
        right.yaxis.set_major_formatter(PercentFormatter(1))
        lowest, highest = left.dataLim.intervaly
        if highest > 20 * lowest > 0:
            left.set_yscale("log")
            left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            left.yaxis.set_major_formatter("{x:g}")
            left.yaxis.set_minor_formatter(NullFormatter())

    return Section(CURVES, draw)


def digits(
    heading: str, images: np.ndarray, probabilities: np.ndarray, labels: np.ndarray
) -> Section:
    """Images (n, h, w, 1), each with the digit read and its probability, mistakes in colour.

    `probabilities` are (n, 10), `labels` the true digits, (n,).
    """
    read = probabilities.argmax(-1)
    captions = [
        f"{r} ({percent(p[r])})" + (f"\ntrue: {y}" if r != y else "")
        for p, r, y in zip(probabilities, read, labels, strict=True)
    ]
    colors = [INK if right else VERMILION for right in read == labels]
    return tiles(heading, images, captions, colors, cmap="gray_r", vmin=0, vmax=1)


def mistakes(
    images: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, most: int = 20
) -> Section:
    """As `digits`, of those read wrong: the surest first."""
    wrong = np.flatnonzero(probabilities.argmax(-1) != labels)
    shown = wrong[np.argsort(-probabilities[wrong].max(-1), kind="stable")][:most]
    heading = "mistakes on the test set, the surest first"
    heading += f": {len(shown)} of {len(wrong):,}" if len(shown) < len(wrong) else ""
    return digits(
        heading if len(wrong) else "no mistakes on the test set",
        *(images[shown], probabilities[shown], labels[shown]),
    )


def templates(heading: str, weights: np.ndarray, names: Sequence[str]) -> Section:
    """Weights (n, h, w) of n units: blue where positive, red where negative."""
    # a few large weights would make all others pale
    limit = np.quantile(np.abs(weights), 0.97)
    return tiles(heading, weights, names, [INK] * len(names), "RdBu", -limit, limit)


def tiles(
    heading: str,
    images: np.ndarray,
    captions: Sequence[str],
    colors: Sequence[str],
    cmap: str,
    vmin: float,
    vmax: float,
) -> Section:
    """Images in rows of `COLUMNS`, each above its caption."""
    lines = 1 + max((caption.count("\n") for caption in captions), default=0)
    down = TILE + lines * LINE + 0.15
    height = HEADING + -(-len(images) // COLUMNS) * down + 0.1

    def draw(part: SubFigure) -> None:
        # one Axes for all of them, measured in inches: quicker than one an image
        ax = part.add_axes((0, 0, 1, 1))
        ax.axis("off")
        ax.text(MARGIN, 0.2, heading, va="center", size=13, weight="bold", color=INK)
        for i, (image, caption, color) in enumerate(zip(images, captions, colors, strict=True)):
            x, y = MARGIN + i % COLUMNS * RIGHT, HEADING - 0.08 + i // COLUMNS * down
            box, middle, below = (x, x + TILE, y + TILE, y), x + TILE / 2, y + TILE + 0.05
            ax.imshow(image, cmap, vmin=vmin, vmax=vmax, extent=box, interpolation="nearest")
            # a frame, since the paper around a digit is as white as the page
            ax.add_patch(Rectangle((x, y), TILE, TILE, fill=False, edgecolor=FRAME, lw=0.8))
            ax.text(middle, below, caption, ha="center", va="top", size=9, color=color)
        ax.set(xlim=(0, WIDTH), ylim=(height, 0), aspect="auto")

    return Section(height, draw)


def percent(probability: float) -> str:
    return ">99%" if probability > 0.99 else f"{probability:.0%}"
