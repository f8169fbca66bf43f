"""What the transforms refuse: wrong arguments, inputs, outputs and cotangents."""

import operator
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_leaves

from funcnn.autodiff.tangents import is_inexact


def check_callable(fun: Any) -> None:
    if not callable(fun):
        raise TypeError(f"Expected a callable value, got {fun!r}")


def check_argnums(argnums: Any) -> int | tuple[int, ...]:
    try:
        return operator.index(argnums)
    except TypeError:
        pass
    try:
        return tuple(operator.index(i) for i in argnums)
    except TypeError:
        raise TypeError(f"argnums must be an int or a sequence of ints, got {argnums!r}") from None


def positions_of(argnums: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """The arguments to differentiate as positions from 0; negative ones count from the end."""
    wanted = (argnums,) if isinstance(argnums, int) else argnums
    for i in wanted:
        if not -count <= i < count:
            needed = i + 1 if i >= 0 else -i
            raise TypeError(
                f"differentiating with respect to argnums={argnums} requires at least {needed} "
                f"positional arguments to be passed by the caller, but got only {count} "
                "positional arguments."
            )
    positions = tuple(i % count for i in wanted)
    if len(set(positions)) < len(positions):
        raise ValueError(f"argnums={argnums} names an argument twice (of {count} given)")
    return positions


def _dtype_of(leaf: Any, what: str) -> Any:
    try:
        return jax.typeof(leaf).dtype
    except TypeError:
        raise TypeError(
            f"{what} {leaf!r} of type {type(leaf)} is not a valid JAX type: it must be an array or "
            "a number"
        ) from None


def check_array(name: str, leaf: Any, path: Any) -> None:
    _dtype_of(leaf, f"{name}: argument {keystr(path)}")


def check_output(leaf: Any, path: Any) -> None:
    _dtype_of(leaf, f"the differentiated function's output{keystr(path)}")


def check_input(name: str, leaf: Any, path: Any, holomorphic: bool, allow_int: bool) -> None:
    dtype = _dtype_of(leaf, f"{name}: argument {keystr(path)}")
    if holomorphic and not jax.dtypes.issubdtype(dtype, np.complexfloating):
        raise TypeError(
            f"{name} with holomorphic=True requires inputs with complex dtype, but got "
            f"{dtype.name} in argument {keystr(path)}."
        )
    if not (allow_int or jax.dtypes.issubdtype(dtype, np.inexact)):
        raise TypeError(
            f"{name} requires real- or complex-valued inputs (input dtype that is a sub-dtype of "
            f"np.inexact), but got {dtype.name} in argument {keystr(path)}. If you want to use "
            "Boolean- or integer-valued inputs, use vjp or set allow_int to True."
        )


def check_scalar(value: Any) -> None:
    leaves = tree_leaves(value)
    if len(leaves) != 1 or leaves[0] is not value:
        raise TypeError(
            f"Gradient only defined for scalar-output functions. Output was {value}. "
            "With auxiliary outputs, return (scalar, auxiliary) and pass has_aux=True."
        )
    shape = jax.typeof(value).shape
    if shape != ():
        raise TypeError(
            "Gradient only defined for scalar-output functions. "
            f"Output had shape: {shape}. Reduce it (jnp.sum, jnp.mean), or use vjp."
        )


def check_output_dtype(name: str, value: Any, holomorphic: bool) -> None:
    dtype = jax.typeof(value).dtype
    if holomorphic and not jax.dtypes.issubdtype(dtype, np.complexfloating):
        raise TypeError(
            f"{name} with holomorphic=True requires outputs with complex dtype, but got "
            f"{dtype.name}."
        )
    if not holomorphic and not jax.dtypes.issubdtype(dtype, np.floating):
        kind = "complex" if jax.dtypes.issubdtype(dtype, np.complexfloating) else "integer"
        advice = "pass holomorphic=True, or use vjp" if kind == "complex" else "use vjp directly"
        raise TypeError(
            f"{name} requires real-valued outputs (output dtype that is a sub-dtype of "
            f"np.floating), but got {dtype.name}. For differentiation of functions with {kind} "
            f"outputs, {advice}."
        )


def check_cotangent(ct: Any, aval: Any) -> None:
    """A cotangent must have the shape and dtype of the output.

    That of an integer is of dtype float0; as in JAX, anything of its shape is taken for it.
    """
    got = _dtype_of(ct, "the cotangent given to the pullback,")
    if np.shape(ct) != aval.shape or (is_inexact(aval) and got != aval.dtype):
        expected = aval.dtype.name if is_inexact(aval) else "float0"
        raise ValueError(
            "unexpected JAX type (e.g. shape/dtype) for argument to VJP function: got "
            f"{jax.typeof(ct).str_short()}, but expected {expected}{list(aval.shape)}, as "
            f"the corresponding output of the differentiated function had JAX type {aval}"
        )
