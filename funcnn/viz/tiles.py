"""Images side by side: examples, what was read in them, mistakes, templates, feature maps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcnn.viz import style
from funcnn.viz.arrays import as_many, numbers, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# in widths of a tile: from tile to tile; a line of a caption; what is between caption and image
STEP, LINE, PAD = 1.2, 0.205, 0.06
TILE = 0.78  # inches


def images(
    images: Any,
    ax: Any = None,
    captions: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    columns: int = 10,
    *,
    cmap: Any = "gray_r",
    limits: tuple[float, float] | None = None,
) -> "Axes":
    """Images in rows, each above its caption.

    Args:
      images: (n, h, w), (n, h, w, 1), or in colour (n, h, w, 3).
      ax: matplotlib's Axes; None makes a new figure of the size that they need.
      captions: a text below each; it may have several lines.
      colors: of each caption.
      columns: side by side.
      cmap: matplotlib's name of the colours for gray images; the usual one shows ink on paper.
      limits: the values of the first and of the last colour; None: 0 and 255 for uint8, 0 and 1 for
        others, and the least and the greatest where some are outside.

    Returns:
      The Axes, with one image for each.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: no real numbers.
      ValueError: another shape; no images; not as many captions or colors as images.

    >>> import numpy as np
    >>> from funcnn import viz
    >>> ax = viz.images(np.eye(3)[None].repeat(4, 0), captions=list("abcd"), columns=2)
    >>> len(ax.images), [text.get_text() for text in ax.texts]
    (4, ['a', 'b', 'c', 'd'])

    Source: row 42 (digits drawn).
    """
    return _draw(images, ax, captions, colors, columns, cmap, limits)


def _draw(
    images: Any,
    ax: Any,
    captions: Sequence[str] | None,
    colors: Sequence[str] | None = None,
    columns: int = 10,
    cmap: Any = "gray_r",
    limits: tuple[float, float] | None = None,
) -> "Axes":
    if columns < 1:
        raise ValueError(f"expected columns of at least 1, got {columns}")
    pixels, limits = _pixels(images, limits)
    count = len(pixels)
    captions = as_many("captions", captions, count, "images") or [""] * count
    colors = as_many("colors", colors, count, "images") or [style.INK] * count
    width, height, down = extent(count, captions, columns)
    ax = style.axes(ax, (width * TILE + 0.3, height * TILE + 0.3))
    from matplotlib.patches import Rectangle

    style.picture_style(ax)
    size = _caption_size(ax, width, height, captions)
    for i, (image, caption, color) in enumerate(zip(pixels, captions, colors, strict=True)):
        x, y = i % columns * STEP, i // columns * down
        box = (x, x + 1, y + 1, y)
        ax.imshow(image, cmap, vmin=limits[0], vmax=limits[1], extent=box, interpolation="nearest")
        # a frame, since the paper around a digit is as white as the page
        frame = Rectangle((x, y), 1, 1, fill=False, edgecolor=style.FRAME, lw=0.8, clip_on=False)
        ax.add_patch(frame)
        if caption:
            below = y + 1 + PAD
            ax.text(x + 0.5, below, caption, ha="center", va="top", size=size, color=color)
    ax.set(xlim=(0, width), ylim=(height, 0))
    return ax


def extent(count: int, captions: Sequence[str], columns: int) -> tuple[float, float, float]:
    """Width and height of that many images, and from row to row: in widths of an image.

    >>> print(*(f"{size:.3f}" for size in extent(3, ["a", "b", "c"], 2)))
    2.200 2.750 1.425
    """
    lines = max((caption.count("\n") + 1 for caption in captions if caption), default=0)
    below = lines * LINE + 2 * PAD if lines else 0.0
    down = 1 + max(below + 0.1, STEP - 1)
    rows = -(-max(count, 1) // columns)
    return (min(max(count, 1), columns) - 1) * STEP + 1, (rows - 1) * down + 1 + below, down


def _pixels(
    images: Any, limits: tuple[float, float] | None
) -> tuple[np.ndarray, tuple[float, float]]:
    """Images (n, h, w) or (n, h, w, 3), these in [0, 1]; values of the first and last colour."""
    shape = np.shape(images)
    bytes_ = getattr(images, "dtype", None) == np.uint8
    axes: tuple[int | str, ...] = ("n", "h", "w")
    if len(shape) == 4:
        axes = (*axes, 3 if shape[-1] == 3 else 1)
    pixels = numbers("images", images, *axes)
    if limits is None:
        low, high = (float(np.nanmin(pixels)), float(np.nanmax(pixels)))
        limits = (0, 255) if bytes_ else (0, 1) if low >= 0 and high <= 1 else (low, high)
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        return pixels[..., 0], limits
    if pixels.ndim == 4:
        pixels = np.clip((pixels - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return pixels, limits


def _caption_size(ax: "Axes", width: float, height: float, captions: Sequence[str]) -> float:
    """Points, so that captions stay below their images however small the Axes are."""
    tile = style.points_a_unit(ax, width, height)
    longest = max((len(text) for caption in captions for text in caption.split("\n")), default=1)
    widest = STEP * tile / (0.58 * max(longest, 1))
    return float(np.clip(min(LINE * tile * 0.8, widest), 3, 11))


def predictions(
    images: Any,
    probabilities: Any,
    labels: Any,
    ax: Any = None,
    *,
    columns: int = 10,
    names: Sequence[str] | None = None,
) -> "Axes":
    """Images, each with the class read and its probability; mistakes in colour, with the truth.

    Args:
      images: as for `images`, (n, h, w, …).
      probabilities: (n, classes).
      labels: the true classes, (n,).
      ax: matplotlib's Axes; None makes a new figure.
      columns: side by side.
      names: of the classes; None shows their numbers.

    Returns:
      The Axes.

    Raises:
      As `images`; ValueError for probabilities or labels that do not match.

    >>> import numpy as np
    >>> from funcnn import viz
    >>> ax = viz.predictions(np.zeros((2, 3, 3)), [[0.9, 0.1], [0.8, 0.2]], [0, 1])
    >>> [text.get_text() for text in ax.texts]
    ['0 (90%)', '0 (80%)\\ntrue: 1']

    Source: row 42 (digits drawn).
    """
    captions, colors = readings(probabilities, labels, names)
    return _draw(images, ax, captions, colors, columns)


def mistakes(
    images: Any,
    probabilities: Any,
    labels: Any,
    ax: Any = None,
    most: int = 20,
    *,
    columns: int = 10,
    names: Sequence[str] | None = None,
) -> "Axes":
    """As `predictions`, of those read wrong: the surest first, and at most so many.

    The title says how many there are. Source: row 42 (mistakes drawn).

    >>> import numpy as np
    >>> from funcnn import viz
    >>> ax = viz.mistakes(np.zeros((2, 3, 3)), [[0.9, 0.1], [0.8, 0.2]], [0, 1])
    >>> print(ax.get_title())
    1 mistake of 2
    """
    probabilities = numbers("probabilities", probabilities, len(images), "classes", finite=True)
    wrong = surest_mistakes(probabilities, labels)
    shown = wrong[:most]
    title = f"{len(wrong):,} mistake{'' if len(wrong) == 1 else 's'} of {len(images):,}"
    if len(shown) < len(wrong):
        title += f", the {len(shown)} surest"
    if not len(shown):
        ax = style.axes(ax)
        style.picture_style(ax)
    else:
        chosen = (np.asarray(images)[shown], probabilities[shown], np.asarray(labels)[shown])
        ax = predictions(*chosen, ax, columns=columns, names=names)
    style.label(ax, title=title)
    return ax


def readings(
    probabilities: Any, labels: Any, names: Sequence[str] | None = None
) -> tuple[list[str], list[str]]:
    """Captions "class (probability)" and their colours, with the truth where it was read wrong.

    >>> readings([[0.9, 0.1], [0.004, 0.996]], [0, 0])
    (['0 (90%)', '1 (>99%)\\ntrue: 0'], ['#222222', '#D55E00'])
    """
    p = numbers("probabilities", probabilities, "n", "classes", finite=True)
    classes = p.shape[1]
    true = whole("labels", labels, len(p))
    if true.max() >= classes:
        raise ValueError(f"expected labels below {classes} (classes), got {true.max()}")
    names = as_many("names", names, classes, "classes") or [str(i) for i in range(classes)]
    read = p.argmax(-1)
    captions = [
        f"{names[r]} ({percent(q[r])})" + (f"\ntrue: {names[y]}" if r != y else "")
        for q, r, y in zip(p, read, true, strict=True)
    ]
    return captions, [style.INK if right else style.VERMILION for right in read == true]


def surest_mistakes(probabilities: Any, labels: Any) -> np.ndarray:
    """Which examples are read wrong, the surest first.

    >>> surest_mistakes([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8]], [1, 1, 0])
    array([2, 0])
    """
    p = numbers("probabilities", probabilities, "n", "classes", finite=True)
    wrong = np.flatnonzero(p.argmax(-1) != whole("labels", labels, len(p)))
    return wrong[np.argsort(-p[wrong].max(-1), kind="stable")]


def percent(probability: float) -> str:
    return ">99%" if probability > 0.99 else f"{probability:.0%}"


def templates(
    weights: Any,
    shape: Sequence[int],
    ax: Any = None,
    names: Sequence[str] | None = None,
    *,
    columns: int = 10,
) -> "Axes":
    """The weights of units as images: blue where positive, red where negative.

    Args:
      weights: a row for each unit, (units, h · w): of a kernel (in, out), ``kernel.T``.
      shape: (h, w).
      ax: matplotlib's Axes; None makes a new figure.
      names: a text below each; None shows their numbers.
      columns: side by side.

    Returns:
      The Axes.

    Raises:
      As `images`; ValueError for weights that are not of this shape.

    >>> import numpy as np
    >>> from funcnn import viz
    >>> ax = viz.templates(np.eye(4), (2, 2))
    >>> ax.images[1].get_array().tolist()
    [[0.0, 1.0], [0.0, 0.0]]

    Source: deck A, row 6: a row of W is a class template, drawn 28×28, red negative and blue
    positive.
    """
    if len(shape) != 2:
        raise ValueError(f"expected shape (h, w), got {tuple(shape)}")
    size = int(np.prod(shape))
    given = np.shape(weights)
    if len(given) == 2 and given[1] != size == given[0]:
        raise ValueError(
            f"expected weights of shape (units, {size}), got {given}: of a kernel, kernel.T"
        )
    rows = numbers("weights", weights, "units", size, finite=True)
    names = names if names is not None else [str(i) for i in range(len(rows))]
    return signed(rows.reshape(-1, *shape), ax, names, columns)


def feature_maps(
    maps: Any, ax: Any = None, names: Sequence[str] | None = None, *, columns: int = 8
) -> "Axes":
    """What each channel of a convolution saw in an image.

    Values from 0 on (as after ReLU) are shown as ink on paper; with negative ones, blue is positive
    and red negative. All channels share one scale.

    Args:
      maps: of one image, (h, w, channels).
      ax: matplotlib's Axes; None makes a new figure.
      names: a text below each; None shows the channels' numbers.
      columns: side by side.

    Returns:
      The Axes.

    Raises:
      As `images`.

    >>> import numpy as np
    >>> from funcnn import viz
    >>> len(viz.feature_maps(np.ones((4, 4, 6))).images)
    6

    Source: decks A and E, row 44.
    """
    channels = np.moveaxis(numbers("maps", maps, "h", "w", "channels", finite=True), -1, 0)
    names = names if names is not None else [str(i) for i in range(len(channels))]
    if channels.min() < 0:
        return signed(channels, ax, names, columns)
    highest = float(channels.max()) or 1.0
    return _draw(channels, ax, names, columns=columns, limits=(0, highest))


def signed(values: np.ndarray, ax: Any, names: Sequence[str] | None, columns: int) -> "Axes":
    """Images (n, h, w) of numbers with signs: blue positive, red negative, white 0."""
    limit = largest(values)
    return _draw(values, ax, names, columns=columns, cmap="RdBu", limits=(-limit, limit))


def largest(values: np.ndarray) -> float:
    """The size that has the strongest colour: a few larger ones would make all others pale."""
    sizes = np.abs(values)
    return float(np.quantile(sizes, 0.97)) or float(sizes.max()) or 1.0
