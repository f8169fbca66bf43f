"""An array for the page: its numbers as text, and itself as a small heat map."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from funcnn.graph.numbers import is_shown

Data = dict[str, Any]

_WRITTEN_OUT = 6
"""An array of so many numbers is shown as numbers."""
_LISTED = 16
"""An array of so many numbers is listed in full beside the graph."""
_SIDE = 32
"""A heat map has at most so many rows, and columns."""


def number(value: Any) -> str:
    """A number as the lectures write it: two decimals, a sign that is a minus.

    Whole numbers have no decimals; small and large ones have two digits and a power of ten.

    >>> [number(v) for v in (-0.5344, 1, -0.1966, 1.3679, 123.456, 0.07, 2.5e-7, float("nan"))]
    ['−0.53', '1', '−0.20', '1.37', '123.5', '0.070', '2.5e−7', 'NaN']
    """
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if np.iscomplexobj(value):
        return f"{number(value.real)} + {number(value.imag)}i".replace("+ −", "− ")
    value = float(value)
    if not np.isfinite(value):
        return {"nan": "NaN", "inf": "∞", "-inf": "−∞"}[str(value)]
    size = abs(value)
    if value == round(value) and size < 1e5:
        text = str(round(value))  # no −0
    elif size < 1e-3 or size >= 1e5:
        mantissa, power = f"{value:.1e}".split("e")
        text = f"{mantissa}e{int(power)}"
    elif size < 0.0995:
        text = f"{value:#.2g}"
    else:
        text = f"{value:.2f}" if size < 100 else f"{value:.1f}"
    return text.replace("-", "−")


def full(value: Any) -> str:
    """All digits of a number."""
    return str(value).replace("-", "−")


def text(array: Any) -> str:
    """An array in a sentence: its numbers where they are few, else its shape.

    >>> text(np.array([4.0, -1.0, 5.0, 9.0])), text(np.ones((3, 28)))
    ('[4, −1, 5, 9]', '(3, 28)')
    """
    return _nested(np.asarray(array), number) if is_written_out(array) else shape(array)


def shape(array: Any) -> str:
    """The shape of an array, as Python writes it."""
    return str(tuple(np.shape(array)))


def is_written_out(array: Any) -> bool:
    """Does `text` give its numbers?"""
    return 0 < np.size(array) <= _WRITTEN_OUT and _is_of_numbers(array)


def _is_of_numbers(array: Any) -> bool:
    # a key of jax.random is an array, of no numbers
    return not jax.dtypes.issubdtype(getattr(array, "dtype", float), jax.dtypes.extended)


def _nested(array: np.ndarray, write: Callable[[Any], str]) -> str:
    if array.ndim:
        return "[" + ", ".join(_nested(row, write) for row in map(np.asarray, array)) + "]"
    return write(array[()])


def drawn(array: Any) -> Data:
    """All that the page shows of an array, ready for JSON.

    Returns:
      shape, dtype; text: as in sentences; full: all digits, of a small array; and for an array
      that is more than a number: range; note: what the heat map shows; rows, columns, cells: the
      heat map, each cell from −100 (−largest) to 100 (largest), None where not finite, 200 between
      pictures; numbers: of the cells of a short vector.
    """
    found: Data = {"shape": shape(array), "dtype": str(array.dtype), "text": text(array)}
    if not _is_of_numbers(array):
        return found
    array = np.asarray(array)
    if array.size <= _LISTED:
        found["full"] = _nested(array, full)
    if array.ndim == 0 or array.size == 0:
        return found
    real = np.abs(array) if np.iscomplexobj(array) else array.astype(np.float64)
    picture, note = _as_picture(real)
    found["range"] = _range(real)
    found["note"] = note
    found.update(_heat_map(picture))
    if is_shown(array):  # the layout has room for them
        found["numbers"] = [number(value) for value in array.reshape(-1).tolist()]
    return found


def _range(array: np.ndarray) -> str:
    finite = array[np.isfinite(array)]
    ends = f"{number(finite.min())} … {number(finite.max())}" if finite.size else "nothing finite"
    rest = array.size - finite.size
    return f"{ends}, {rest} not finite" if rest and finite.size else ends


def _as_picture(array: np.ndarray) -> tuple[np.ndarray, str]:
    """Rows and columns of an array of any shape, and what they are of it.

    Of four axes: images (n, rows, columns, channels) or filters (rows, columns, in, out).
    """
    if array.ndim <= 2:
        return np.atleast_2d(array), ""
    if array.ndim == 4 and 0 not in array.shape:
        first, second, third, _ = array.shape
        if first == second and first <= _KERNEL and first != third:
            return _side_by_side(np.moveaxis(array[:, :, 0], -1, 0)), _first("filters", third)
        return _side_by_side(np.moveaxis(array[0], -1, 0)), _first("channels", first)
    rest = " × ".join(map(str, array.shape[:-2]))
    return array.reshape(-1, *array.shape[-2:])[0], f"the first of {rest}"


_KERNEL = 11
"""An array of (k, k, in, out) is taken for filters up to this k."""
_TILES = 16
"""So many pictures are shown side by side."""
_GAP = 200
"""A cell between pictures."""


def _first(what: str, of: int) -> str:
    whose = "input channel" if what == "filters" else "example"
    return f"{what} side by side" + (f", of the first {whose} of {of}" if of > 1 else "")


def _side_by_side(pictures: np.ndarray) -> np.ma.MaskedArray:
    """Pictures (n, rows, columns), the first few, in a square with masked gaps between them."""
    pictures = pictures[:_TILES]
    across = int(np.ceil(np.sqrt(len(pictures))))
    most = max(_SIDE // across, 6)
    tiles = [_largest_of_blocks(_largest_of_blocks(p, 0, most), 1, most) for p in pictures]
    rows, columns = tiles[0].shape
    down = -(-len(tiles) // across)
    shape = (down * (rows + 1) - 1, across * (columns + 1) - 1)
    found = np.ma.masked_all(shape)
    for i, tile in enumerate(tiles):
        top, left = i // across * (rows + 1), i % across * (columns + 1)
        found[top : top + rows, left : left + columns] = tile
    return found


def _heat_map(picture: np.ndarray) -> Data:
    if not np.ma.isMaskedArray(picture):
        picture = _largest_of_blocks(_largest_of_blocks(picture, 0, _SIDE), 1, _SIDE)
    values, gaps = np.ma.getdata(picture), np.ma.getmaskarray(picture)
    largest = np.abs(values[np.isfinite(values) & ~gaps]).max(initial=0) or 1.0
    cells = [
        _GAP if gap else round(100 * value / largest) if np.isfinite(value) else None
        for value, gap in zip(values.reshape(-1).tolist(), gaps.reshape(-1), strict=True)
    ]
    return {"rows": picture.shape[0], "columns": picture.shape[1], "cells": cells}


def _largest_of_blocks(picture: np.ndarray, axis: int, most: int) -> np.ndarray:
    """At most so many along an axis: of each block the largest, by size, with its sign."""
    if picture.shape[axis] <= most:
        return picture
    blocks = np.array_split(picture, most, axis)
    # what is not finite counts as the largest: it must be seen
    sizes = [np.where(np.isfinite(block), np.abs(block), np.inf) for block in blocks]
    picked = [
        np.take_along_axis(block, size.argmax(axis, keepdims=True), axis)
        for block, size in zip(blocks, sizes, strict=True)
    ]
    return np.concatenate(picked, axis)


class Shelf:
    """The arrays of a page, each once: values and gradients are the same in many places."""

    def __init__(self) -> None:
        self.drawn: list[Data] = []
        self._places: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no other array gets its id

    def shown(self, array: Any, at: int) -> Data | None:
        """The place of an array in `drawn`, and the step in which it appears; None of None."""
        if array is None:
            return None
        if id(array) not in self._places:
            self._kept.append(array)
            self._places[id(array)] = len(self.drawn)
            self.drawn.append(drawn(array))
        return {"array": self._places[id(array)], "at": at}
