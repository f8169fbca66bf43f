"""One style for all pictures: colours everyone can tell apart, sizes, axes without a display."""

from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# the colours by Okabe and Ito, which colour-blind readers tell apart; their yellow is too pale
# for lines on white
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW = "#E69F00", "#56B4E9", "#F0E442"
INK, GRAY, FRAME, GRID = "#222222", "#808080", "#C8C8C8", "#E6E6E6"
COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")

SIZE = (5.6, 4.0)  # of a new figure, in inches
DPI = 150
TITLE, LABEL, TICK, SMALL = 13, 11, 10, 9  # points


class Look(NamedTuple):
    """What tells one series from the others, in colour and without."""

    color: str
    marker: str
    dashes: str


def looks() -> Iterator[Look]:
    """The looks of series, one after the other, without end.

    >>> next(looks())
    Look(color='#0072B2', marker='o', dashes='-')
    """
    return (Look(*look) for look in zip(cycle(COLORS), cycle(MARKERS), cycle(DASHES), strict=False))


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> "tuple[Figure, Any]":
    """A new figure with axes for pictures side by side; it needs no display and no pyplot.

    Args:
      rows, columns: how many axes below one another, and side by side.
      size: width and height in inches.
      title: above all of them.

    Returns:
      ``(figure, axes)``: one Axes, or an array of them as matplotlib's `subplots` gives it. The
      picture is written by ``figure.savefig("picture.png")``.

    Raises:
      ImportError: matplotlib is missing.

    >>> from funcnn import viz
    >>> figure, (left, right) = viz.figure(1, 2, title="two pictures")
    >>> figure.get_suptitle()
    'two pictures'
    """
    need_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = size or (SIZE[0] * columns, SIZE[1] * rows)
    # by itself, not by pyplot, which would look for a window to show it in
    layout = ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09)
    made = Figure(size, dpi=DPI, facecolor="white", layout=layout)
    if title:
        made.suptitle(title, size=TITLE + 1, weight="bold", color=INK)
    return made, made.subplots(rows, columns)


def axes(ax: Any, size: tuple[float, float] = SIZE) -> "Axes":
    """`ax`, or for None that of a new figure. TypeError where it is no Axes."""
    need_matplotlib()
    from matplotlib.axes import Axes

    if ax is None:
        return figure(size=size)[1]
    if not isinstance(ax, Axes):
        raise TypeError(
            f"expected ax to be matplotlib's Axes, or None for a new figure, got "
            f"{type(ax).__name__}: figure, ax = viz.figure() makes both"
        )
    return ax


def points_a_unit(ax: "Axes", width: float, height: float) -> float:
    """How many points a unit of length has in a drawing of that many units, with square squares.

    Letters are as large as they are told to be; drawings are as large as their Axes. This keeps one
    in step with the other.
    """
    figure: Any = ax.get_figure(root=False)  # or a part of a figure
    whole = np.asarray(figure.bbox.size) / figure.dpi
    spec = ax.get_subplotspec()
    if spec is None or figure.get_layout_engine() is None:
        box = ax.get_position(original=True)
        share = np.array([box.width, box.height])
    else:  # it will be laid out when it is drawn: nearly all of its cell of the grid
        rows, columns, _, _ = spec.get_geometry()
        share = 0.92 * np.array([len(spec.colspan) / columns, len(spec.rowspan) / rows])
    return float(72 * np.min(share * whole / (width, height)))


def signed(number: float) -> str:
    """Few digits, and a real minus.

    >>> signed(-30.0), signed(0.3456)
    ('−30', '0.35')
    """
    text = f"{number:.0f}" if abs(number) >= 99.5 else f"{number:.2g}"
    return text.replace("-", "−")


def need_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'funcnn[plots]'") from error


def label(ax: "Axes", x: str | None = None, y: str | None = None, title: str | None = None) -> None:
    """Names of the axes and a title, in the size and colour of all pictures.

    Args:
      ax: matplotlib's Axes.
      x, y, title: None leaves what is there.

    >>> from funcnn import viz
    >>> ax = viz.history({"loss": [2.0, 1.0]})
    >>> viz.label(ax, y="bits", title="a character at a time")
    >>> ax.get_xlabel(), ax.get_ylabel(), ax.get_title()
    ('epoch', 'bits', 'a character at a time')
    """
    if x is not None:
        ax.set_xlabel(x, size=LABEL, color=INK)
    if y is not None:
        ax.set_ylabel(y, size=LABEL, color=INK)
    if title is not None:
        ax.set_title(title, size=TITLE, weight="bold", color=INK)
    ax.tick_params(labelsize=TICK)


def plot_style(ax: "Axes", legend: bool = False, **at: Any) -> None:
    """A grid behind the curves, no box around them; a legend without one, `at` its place."""
    ax.grid(color=GRID)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    if legend:
        ax.legend(frameon=False, fontsize=TICK, **at)


def framed_legend(ax: "Axes") -> None:
    """A legend over shades; none where nothing has a name."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=TICK, framealpha=0.9, edgecolor=FRAME)


def picture_style(ax: "Axes") -> None:
    """No axes at all, and squares are squares: for drawings that are no plots."""
    ax.axis("off")
    ax.set_aspect("equal")


def log_if_wide(ax: "Axes", factor: float = 20.0) -> None:
    """A logarithmic y axis where the plotted values are positive and span more than `factor`."""
    from matplotlib.ticker import LogLocator, NullFormatter

    lowest, highest = ax.dataLim.intervaly
    if not highest > factor * lowest > 0:
        return
    ax.set_yscale("log")
    if highest < 1e5 * lowest:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())


def whole_numbers(ax: "Axes") -> None:
    """Ticks of the x axis at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    ax.xaxis.set_major_locator(ticks)


def blend(color: Any, share: Any) -> Any:
    """White mixed with a share of a colour: RGB (..., 3) for shares (...) in [0, 1].

    >>> blend("#000000", [0.0, 0.5]).tolist()
    [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]
    """
    from matplotlib.colors import to_rgb

    return 1 - np.asarray(share)[..., None] * (1 - np.asarray(to_rgb(color)))
