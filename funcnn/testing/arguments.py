"""A user's function as one of its differentiable leaves; what cannot be checked is refused."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path, tree_unflatten

from funcnn.autodiff.tangents import is_inexact
from funcnn.testing.vectors import Space, pack, space_of


class Function(NamedTuple):
    """The function that is checked, and the place where it is."""

    name: str
    fun: Callable[..., list[Any]]
    """differentiable leaves, one an argument -> differentiable leaves"""
    inputs: Space
    outputs: Space
    x: np.ndarray
    value: np.ndarray


def read(fun: Any, args: Any) -> Function:
    """Looks at the arguments, and calls the function twice.

    Raises:
      TypeError: not a function, not a tuple of arguments, leaves that are not arrays.
      ValueError: nothing to differentiate, NaN, two calls with different values.
    """
    if not callable(fun):
        raise TypeError(
            f"check_grads: expected a function and a tuple of its arguments, got {fun!r} "
            "as the function."
        )
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            f"check_grads: args must be a tuple of the function's arguments, got "
            f"{type(args).__name__}. For one argument: check_grads(fun, (x,))."
        )
    name = getattr(fun, "__name__", None) or repr(fun)
    flat, tree = tree_flatten_with_path(tuple(args))
    named = [(f"args{keystr(path)}", leaf) for path, leaf in flat]
    differentiable = [_is_differentiable("check_grads: ", *each) for each in named]
    # numpy computes with other types than JAX; a Python number stays one
    named = [
        (path, jnp.asarray(leaf) if d and isinstance(leaf, (np.ndarray, np.generic)) else leaf)
        for (path, leaf), d in zip(named, differentiable, strict=True)
    ]
    if not any(differentiable):
        found = ", ".join(f"{path}: {jax.typeof(leaf)}" for path, leaf in named) or "no arguments"
        raise ValueError(
            "check_grads: there is nothing to differentiate: expected an argument of floating "
            f"point type, got {found}."
        )
    chosen = [each for each, d in zip(named, differentiable, strict=True) if d]
    inputs = space_of(chosen)
    x = pack([leaf for _, leaf in chosen])
    _no_nan(inputs, x, "Choose another place to differentiate at.")
    out_paths: list[str] = []

    def of_leaves(*leaves):
        given = iter(leaves)
        full = [next(given) if d else v for (_, v), d in zip(named, differentiable, strict=True)]
        outs, _ = tree_flatten_with_path(fun(*tree_unflatten(tree, full)))
        pairs = [(f"the output{keystr(path)}", leaf) for path, leaf in outs]
        pairs = [each for each in pairs if _is_differentiable(f"{name}: ", *each)]
        out_paths[:] = [path for path, _ in pairs]
        return [leaf for _, leaf in pairs]

    first, second = (of_leaves(*(leaf for _, leaf in chosen)) for _ in range(2))
    outputs = [
        leaf._replace(weak=False) for leaf in space_of(list(zip(out_paths, first, strict=True)))
    ]
    if not outputs:
        raise ValueError(
            f"check_grads: {name} returned nothing of floating point type, so there is no gradient."
        )
    value = pack(first)
    _no_nan(outputs, value, f"The arguments of {name} have none: choose others, or mend it.")
    check_same(name, outputs, value, pack(second))
    return Function(name, of_leaves, inputs, outputs, x, value)


def check_same(name: str, outputs: Space, first: np.ndarray, second: np.ndarray) -> None:
    """Two calls with the same arguments: their values may differ by rounding, not by more."""
    if first.shape != second.shape:
        raise ValueError(
            f"check_grads: {name} returned {len(first)} numbers, then {len(second)} for the same "
            "arguments. A gradient needs a function of its arguments alone."
        )
    for leaf in outputs:
        a, b = first[leaf.place], second[leaf.place]
        size = np.abs(a[np.isfinite(a)]).max(initial=0.0)
        with np.errstate(invalid="ignore"):
            same = (a == b) | (np.abs(a - b) <= 64 * float(jnp.finfo(leaf.dtype).eps) * size)
        if not same.all():
            i = int(np.argmin(same))
            raise ValueError(
                f"check_grads: {name} called twice with the same arguments gave {a[i]:.9g}, then "
                f"{b[i]:.9g} at {leaf.entry(leaf.start + i)}. A gradient needs a function of its "
                "arguments alone: pass random keys as arguments, and keep nothing between calls."
            )


def _is_differentiable(who: str, path: str, leaf: Any) -> bool:
    try:
        jax.typeof(leaf)
    except TypeError:
        raise TypeError(
            f"{who}{path} is not an array or a number: got {leaf!r} of type {type(leaf).__name__}."
        ) from None
    if isinstance(leaf, jax.core.Tracer) and who.startswith("check_grads"):
        raise TypeError(
            f"{who}{path} is being traced. Call check_grads with concrete arguments, outside of "
            "jit, vmap and gradients."
        )
    return is_inexact(leaf)


def _no_nan(space: Space, vector: np.ndarray, advice: str) -> None:
    if np.isnan(vector).any():
        i = int(np.argmax(np.isnan(vector)))
        leaf = next(leaf for leaf in space if i < leaf.start + leaf.size)
        count = int(np.isnan(vector).sum())
        raise ValueError(
            f"check_grads: {leaf.entry(i)} is nan"
            + (f", and {count - 1} more. " if count > 1 else ". ")
            + advice
        )
