"""What can have a gradient, and what stands for a gradient of zero."""

import functools
from typing import Any

import jax
import numpy as np
from jax.custom_derivatives import SymbolicZero


def is_array(x: Any) -> bool:
    """Is this a value JAX computes with (and not one of its symbolic zeros)?"""
    return isinstance(x, (jax.Array, np.ndarray, np.generic, float, complex))


def is_inexact(x: Any) -> bool:
    """Is this a value that can have a gradient: of real or complex floating point type?"""
    return _is_inexact_dtype(x.dtype if hasattr(x, "dtype") else jax.typeof(x).dtype)


@functools.cache
def _is_inexact_dtype(dtype: Any) -> bool:
    return jax.dtypes.issubdtype(dtype, np.inexact)


def zero_tangent(aval: Any) -> Any:
    """Zeros of the type that tangents of such a value have: float0 for integers."""
    return zeros(aval) if is_inexact(aval) else np.zeros(aval.shape, jax.dtypes.float0)


def zero_cotangent(aval: Any) -> Any:
    """Zeros of the type that cotangents of such a value have, where that is another.

    Of what is "reduced" over devices (`PartitionSpec`), the cotangent is not yet: "unreduced".
    """
    return zero_tangent(aval.to_ct_aval())


def constant(value: Any, like: Any) -> Any:
    """A number of the type of `like`: a Python number is weakly typed, an array strongly."""
    strong = np.asarray(value, like.dtype)
    number = strong.item()
    # the type of a Python number depends on whether there are 64 bits
    weak = getattr(like, "weak_type", False) and jax.typeof(number).dtype == strong.dtype
    return number if weak else strong


def zeros(aval: Any) -> Any:
    """Zeros of a type: shape, dtype, weak or not, sharding, the same or varying between devices."""
    sharding = aval.sharding if aval.sharding.mesh.explicit_axes else None
    made = jax.lax.full(aval.shape, constant(0, aval), sharding=sharding)
    varying = tuple(aval.manual_axis_type.varying)
    return jax.lax.pcast(made, varying, to="varying") if varying else made


def symbolic_zero(aval: Any) -> SymbolicZero:
    """The zero that JAX hands to rules with `symbolic_zeros=True`."""
    return SymbolicZero(aval.to_tangent_aval())
