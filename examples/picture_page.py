"""The page that pictures of several plots stand on."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from funcnn.viz import style

WIDTH = 10.0  # inches


def page(
    title: str, height: float, mosaic: Sequence[Sequence[str]], **ratios: Any
) -> tuple[Figure, dict[str, Axes]]:
    """A figure that needs no display, and its axes by the names that the mosaic gives them.

    `ratios` are those of `Figure.subplot_mosaic`: width_ratios and height_ratios.
    """
    figure = Figure((WIDTH, height), dpi=style.DPI, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08, wspace=0.03, hspace=0.03)
    figure.suptitle(title, size=style.TITLE + 2, weight="bold", color=style.INK)
    return figure, figure.subplot_mosaic(mosaic, **ratios)
