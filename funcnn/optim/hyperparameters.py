"""Checks of hyperparameters, made where their values are known (not while tracing)."""

import math
import operator
from typing import Any, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def scalar(name: str, value: Any) -> Any:
    """Returns `value` if it is a real number or a real array of shape (), traced or not.

    Raises:
        TypeError: it is not a number, or not a real one.
        ValueError: it has another shape.
    """
    if not isinstance(value, get_args(ArrayLike)) or jnp.issubdtype(
        jnp.result_type(value), jnp.complexfloating
    ):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    if jnp.shape(value) != ():
        raise ValueError(f"{name} must be a scalar, got an array of shape {jnp.shape(value)}")
    return value


def number(name: str, value: Any, *, low: float = -math.inf, below: float = math.inf) -> Any:
    """Checks that `value` is a finite `scalar` with `low <= value < below`.

    Returns:
        A Python float, which does not promote the dtype of the arrays that it meets. A traced value
        has no number to check yet and is returned as it is.

    Raises:
        TypeError, ValueError: as `scalar`; ValueError too for NaN, infinity, or outside the range.
    """
    if isinstance(scalar(name, value), jax.core.Tracer):
        return value
    value = float(value)
    if not (math.isfinite(value) and low <= value < below):
        raise ValueError(f"{name} must be finite and in [{low:g}, {below:g}), got {value:g}")
    return value


def positive_number(name: str, value: Any) -> Any:
    """`number` of a value above 0."""
    value = number(name, value, low=0)
    if isinstance(value, float) and value == 0:
        raise ValueError(f"{name} must be above 0, got 0")
    return value


def whole_number(name: str, value: Any, *, low: int) -> int:
    """Checks that `value` is a whole number of at least `low`, known before tracing.

    Raises:
        TypeError: it is no integer, or traced. ValueError: it is below `low`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < low:
        raise ValueError(f"{name} must be at least {low}, got {number}")
    return number
