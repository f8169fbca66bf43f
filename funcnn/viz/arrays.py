"""What pictures are made of: numbers of the expected shape, or an error that says what came."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np


def numbers(what: str, value: Any, *shape: int | str, finite: bool = False) -> np.ndarray:
    """`value` as float64, of a shape given by sizes and, where any will do, names of axes.

    Args:
      what: the name of the argument, for the message.
      value: an array or a nested sequence; bools and integers too.
      shape: an entry for each axis: a number, or the name of a size; "...": any axes.
      finite: whether NaN and ∞ are errors.

    Raises:
      TypeError: no real numbers.
      ValueError: another shape; no entries; NaN or ∞ where `finite`.

    >>> numbers("x", [[1, 2]], "n", 2)
    array([[1., 2.]])
    >>> numbers("x", [1, 2], "n", 2)
    Traceback (most recent call last):
    ValueError: expected x of shape (n, 2), got (2,)
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # a ragged list
        raise ValueError(f"expected {what} of shape {_shown(shape)}, got {value!r}") from error
    real = jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in "biu"
    if not real:
        raise TypeError(f"expected {what} of real numbers, got {array.dtype} ({_short(value)})")
    if shape != ("...",) and not _fits(array.shape, shape):
        raise ValueError(f"expected {what} of shape {_shown(shape)}, got {array.shape}")
    if array.size == 0:
        raise ValueError(f"expected {what} with entries, got none (shape {array.shape})")
    array = array.astype(np.float64)
    if finite and not np.isfinite(array).all():
        bad = int(np.sum(~np.isfinite(array)))
        raise ValueError(f"expected finite {what}, got {bad} of {array.size} that are NaN or ∞")
    return array


def whole(what: str, value: Any, *shape: int | str) -> np.ndarray:
    """As `numbers`, of whole numbers from 0 on: labels, counts."""
    array = numbers(what, value, *shape, finite=True)
    if (array != np.round(array)).any() or (array < 0).any():
        raise ValueError(
            f"expected {what} of whole numbers from 0 on, got values from {array.min():g} to "
            f"{array.max():g}"
        )
    return array.astype(np.int64)


def as_many(what: str, given: Sequence[Any] | None, count: int, of: str) -> list[Any] | None:
    """`given` as a list with one entry for each of `count`; None stays None."""
    if given is None:
        return None
    if isinstance(given, str) or len(given) != count:
        got = repr(given) if isinstance(given, str) else len(given)
        raise ValueError(f"expected {what} for each of {count} {of}, got {got}")
    return list(given)


def _fits(got: tuple[int, ...], shape: tuple[int | str, ...]) -> bool:
    sizes = zip(got, shape, strict=False)
    return len(got) == len(shape) and all(isinstance(s, str) or g == s for g, s in sizes)


def _shown(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
