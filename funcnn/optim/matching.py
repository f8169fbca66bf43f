"""Do two pytrees match? If not: which leaf differs, and what each has there."""

from typing import Any, get_args

import jax
import jax.numpy as jnp
from jax.tree_util import keystr, tree_flatten_with_path
from jax.typing import ArrayLike

from .transformation import PyTree


def inexact_leaves(name: str, tree: PyTree) -> tuple[list[jax.Array], Any]:
    """Flattens a pytree of float and complex arrays; no array comes out weakly typed.

    Raises:
        TypeError: a leaf is anything else. The message names its path.
    """
    leaves, structure = tree_flatten_with_path(tree)
    arrays = []
    for path, leaf in leaves:
        _, dtype = _shape_and_dtype(leaf)
        if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
            raise TypeError(
                f"leaf {show(path)} of the {name} is {_describe(leaf)}, expected an array of "
                "float or complex dtype; what is not trained does not belong here"
            )
        arrays.append(with_dtype(leaf, dtype))
    return arrays, structure


def with_dtype(value: ArrayLike, dtype: Any) -> jax.Array:
    """Returns `value` as an array of that dtype, not weakly typed."""
    if isinstance(value, jax.Array) and value.dtype == dtype and not value.weak_type:
        return value  # as asarray would, but that takes ten times as long
    return jnp.asarray(value, dtype=dtype)


def check_matching(
    name: str, tree: PyTree, other_name: str, other: PyTree, *, dtypes: bool, advice: str
) -> None:
    """Checks that two pytrees have the same structure, the same shapes and, if asked, dtypes.

    Raises:
        ValueError: they do not. The message names the first leaf that differs, says what each
            tree has there, and ends with `advice`.
    """
    here, there = (dict(tree_flatten_with_path(t)[0]) for t in (tree, other))
    for path in here | there:
        if path in here and path in there:
            (shape, dtype), (other_shape, other_dtype) = map(
                _shape_and_dtype, (here[path], there[path])
            )
            if shape == other_shape and (dtype == other_dtype or not dtypes):
                continue
        mine, theirs = (
            _describe(side[path]) if path in side else "absent" for side in (here, there)
        )
        raise ValueError(
            f"the {name} do not match the {other_name}: leaf {show(path)} is {mine} in the "
            f"{name} and {theirs} in the {other_name}; {advice}"
        )
    structure: Any = jax.tree.structure(tree)
    other_structure = jax.tree.structure(other)
    if structure != other_structure:
        raise ValueError(
            f"the {name} do not match the {other_name}: the leaves agree, but the containers are "
            f"{structure} and {other_structure}; {advice}"
        )


def show(path: Any) -> str:
    """A leaf's path as it is written in Python: ['dense']['kernel']."""
    return keystr(path) or "(the root)"


def _shape_and_dtype(leaf) -> tuple[Any, Any]:
    """What JAX sees in a leaf; (None, None) if it is not an array or a number."""
    if isinstance(leaf, jax.Array):
        return leaf.shape, leaf.dtype
    if isinstance(leaf, get_args(ArrayLike)):
        return jnp.shape(leaf), jnp.result_type(leaf)
    return None, None


def _describe(leaf) -> str:
    shape, dtype = _shape_and_dtype(leaf)
    if dtype is None:
        return f"a {type(leaf).__name__}"
    return f"{dtype}[{','.join(map(str, shape))}]"
