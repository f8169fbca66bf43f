"""Values in a few characters."""

import math
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

_MOST = 4  # elements of a vector that are written out


def short(value: Any, digits: int = 2) -> str:
    """A number in few characters: whole ones without a point, others with `digits` significant.

    >>> short(-1.0), short(0.125), short(0.5344), short(12345678.0), short(float("nan"))
    ('-1', '0.12', '0.53', '1.2e+07', 'nan')
    """
    number = np.asarray(value).item()
    if isinstance(number, bool | int):
        return str(number)
    whole = isinstance(number, float) and abs(number) < 1e5 and number == math.floor(number)
    return str(int(number)) if whole else f"{number:.{digits}g}"


def decimals_for(values: Iterable[Any]) -> int:
    """How many decimals a graph's numbers have: none where all are whole, else two, as in deck B.

    >>> decimals_for([-2.0, 5.0]), decimals_for([0.73, 1.0])
    (0, 2)
    """
    arrays = [np.asarray(value) for value in values if is_shown(value)]
    return 0 if all(np.all(np.isfinite(v)) and np.all(v == np.round(v)) for v in arrays) else 2


def is_shown(value: Any) -> bool:
    """Is it small enough to be written out: a number, or a vector of four?"""
    if value is None or isinstance(value, jax.core.Tracer | jax.ShapeDtypeStruct):
        return False
    shape = np.shape(value)
    if len(shape) > 1 or (shape and not 0 < shape[0] <= _MOST):
        return False
    return isinstance(value, bool | int | float | complex) or not jax.dtypes.issubdtype(
        value.dtype, jax.dtypes.extended
    )


def shown(value: Any, decimals: int = 2) -> str:
    """A number or a short vector with so many decimals, in a drawing.

    >>> shown(np.float32(-0.5344)), shown(np.array([4.0, 0.0]), 0), shown(3), shown(np.array(1e-7))
    ('-0.53', '[4 0]', '3', '1.0e-07')
    """
    array = np.asarray(value)
    if array.ndim:
        return "[" + " ".join(_fixed(v, decimals) for v in array) + "]"
    return _fixed(array, decimals)


def _fixed(value: Any, decimals: int = 2) -> str:
    if value.dtype == bool:
        return str(bool(value))
    number = value.item()
    if isinstance(number, int):
        return str(number)
    if isinstance(number, complex):
        return f"{number:.{decimals}f}"
    if number and np.isfinite(number) and not 0.005 <= abs(number) < 1e5:
        return f"{number:.1e}"
    return f"{number:.{decimals}f}"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as it is drawn.

    >>> shape_text((64, 10)), shape_text((4,)), shape_text(())
    ('64×10', '4', 'scalar')
    """
    return "×".join(map(str, shape)) if shape else "scalar"


def norm_text(array: Any) -> str:
    """How large an array is: its norm; nothing for what is not of numbers.

    >>> norm_text(np.array([3.0, 4.0, 0.0, 0.0, 0.0])), norm_text(np.arange(5))
    ('‖5.00‖', '')
    """
    if not jax.numpy.issubdtype(array.dtype, np.inexact):
        return ""
    precise = np.asarray(array, np.result_type(array.dtype, np.float32))
    return f"‖{_fixed(np.linalg.norm(precise.ravel()))}‖"


def decimals_of(graph: Any) -> int:
    """How many decimals a graph's numbers have: all of it alike."""
    results = [result for node in graph.nodes for result in node.results]
    return decimals_for(v for result in results for v in (result.value, result.gradient))
