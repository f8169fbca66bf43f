"""The examples' pictures: pages of sections with curves, digits and templates."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

try:
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.ticker import PercentFormatter
except ImportError as error:
    raise ImportError(
        "the picture needs matplotlib: pip install 'funcnn[examples]' (or --no-picture)"
    ) from error

from funcnn import viz
from funcnn.viz.style import DPI, INK
from funcnn.viz.tiles import STEP, TILE, extent, largest, readings, surest_mistakes

# inches; a row of images is as wide as the page
TITLE, CURVES, HEADING, MARGIN, COLUMNS = 0.6, 3.4, 0.5, 0.4, 10
WIDTH = 2 * MARGIN + ((COLUMNS - 1) * STEP + 1) * TILE


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

    def draw(part: SubFigure) -> None:
        left, right = part.subplots(1, 2)
        part.subplots_adjust(left=0.085, right=0.965, bottom=0.17, top=0.88, wspace=0.2)
        for ax, name in ((left, "loss"), (right, "accuracy")):
            viz.history(history, name, ax, best=None)
            ax.set_ylabel("")
            ax.set_title(name, loc="left", size=13, weight="bold", color=INK)
        right.set_yscale("linear")
        right.yaxis.set_major_formatter(PercentFormatter(1))

    return Section(CURVES, draw)


def digits(
    heading: str, images: np.ndarray, probabilities: np.ndarray, labels: np.ndarray
) -> Section:
    """Images (n, h, w, 1), each with the digit read and its probability, mistakes in colour.

    `probabilities` are (n, 10), `labels` the true digits, (n,).
    """
    return tiles(heading, images, *readings(probabilities, labels), "gray_r", 0, 1)


def mistakes(
    images: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, most: int = 20
) -> Section:
    """As `digits`, of those read wrong: the surest first."""
    wrong = surest_mistakes(probabilities, labels)
    if not len(wrong):
        return tiles("no mistakes on the test set", (), (), (), "gray_r", 0, 1)
    shown = wrong[:most]
    heading = "mistakes on the test set, the surest first"
    heading += f": {len(shown)} of {len(wrong):,}" if len(shown) < len(wrong) else ""
    return digits(heading, images[shown], probabilities[shown], labels[shown])


def templates(heading: str, weights: np.ndarray, names: Sequence[str]) -> Section:
    """Weights (n, h, w) of n units: blue where positive, red where negative."""
    limit = largest(weights)
    return tiles(heading, weights, names, [INK] * len(names), "RdBu", -limit, limit)


def tiles(
    heading: str,
    images: Sequence[np.ndarray] | np.ndarray,
    captions: Sequence[str],
    colors: Sequence[str],
    cmap: str,
    vmin: float,
    vmax: float,
) -> Section:
    """Images in rows of `COLUMNS`, each above its caption."""
    wide, high, _ = (TILE * size for size in extent(len(images), captions, COLUMNS))
    height = HEADING + high + 0.15

    def draw(part: SubFigure) -> None:
        box = (MARGIN / WIDTH, 0.2 / height, wide / WIDTH, high / height)
        ax = part.add_axes(box, anchor="NW")
        ax.axis("off")
        above = {"transform": ax.transAxes, "va": "bottom", "weight": "bold", "color": INK}
        ax.text(0, 1 + 0.12 / high, heading, size=13, **above)
        if len(images):
            limits = (vmin, vmax)
            viz.images(images, ax, captions, colors, COLUMNS, cmap=cmap, limits=limits)

    return Section(height, draw)
