"""Do two pytrees match? If not: which leaf differs, and what each has there."""

from typing import Any, get_args

import jax
import jax.numpy as jnp
from jax.tree_util import keystr, tree_flatten_with_path
from jax.typing import ArrayLike

from .transformation import PyTree

_ARRAY_TYPES = get_args(ArrayLike)


def inexact_leaves(name: str, tree: PyTree) -> tuple[list[jax.Array], Any]:
    """Flattens a pytree of float and complex arrays; no array comes out weakly typed.

    Raises:
        TypeError: a leaf is anything else. The message names its path.
    """
    leaves, structure = tree_flatten_with_path(tree)
    arrays = []
    for path, leaf in leaves:
        aval = _aval(leaf)
        if aval is None or not jnp.issubdtype(aval.dtype, jnp.inexact):
            raise TypeError(
                f"leaf {show(path)} of the {name} is {_describe(leaf)}, expected an array of "
                "float or complex dtype; what is not trained does not belong here"
            )
        arrays.append(with_dtype(leaf, aval.dtype))
    return arrays, structure


def with_dtype(value: ArrayLike, dtype: Any) -> jax.Array:
    """Returns `value` as an array of that dtype, not weakly typed."""
    if isinstance(value, jax.Array) and value.dtype == dtype and not value.weak_type:
        return value  # as asarray would, but that takes ten times as long
    return jnp.asarray(value, dtype=dtype)


def with_dtypes_of(tree: PyTree, new: PyTree) -> PyTree:
    """`new` with the dtypes of `tree` and no weak types, as the state of a scan must have it."""
    return jax.tree.map(lambda old, leaf: with_dtype(leaf, jnp.result_type(old)), tree, new)


def check_matching(
    name: str, tree: PyTree, other_name: str, other: PyTree, *, dtypes: bool, advice: str
) -> None:
    """Checks that two pytrees have the same structure, the same shapes and, if asked, dtypes.

    Raises:
        ValueError: they do not. The message names the first leaf that differs, says what each
            tree has there, and ends with `advice`.
    """

    def agree(leaf, other_leaf):
        a, b = _aval(leaf), _aval(other_leaf)
        if a is None or b is None:
            return False
        return a.shape == b.shape and (a.dtype == b.dtype or not dtypes)

    structures: list[Any] = [jax.tree.structure(t) for t in (tree, other)]
    same_structure = structures[0] == structures[1]
    if same_structure and all(map(agree, jax.tree.leaves(tree), jax.tree.leaves(other))):
        return

    here, there = (dict(tree_flatten_with_path(t)[0]) for t in (tree, other))
    for path in here | there:
        if path not in here or path not in there or not agree(here[path], there[path]):
            mine, theirs = (
                _describe(side[path]) if path in side else "absent" for side in (here, there)
            )
            raise ValueError(
                f"the {name} do not match the {other_name}: leaf {show(path)} is {mine} in the "
                f"{name} and {theirs} in the {other_name}; {advice}"
            )
    raise ValueError(
        f"the {name} do not match the {other_name}: the leaves agree, but the containers are "
        f"{structures[0]} and {structures[1]}; {advice}"
    )


def check_state(state: Any, state_type: type[Any]) -> None:
    """TypeError unless the state is of the type that the optimizer's init and update return."""
    if not isinstance(state, state_type):
        raise TypeError(
            f"the state must be the {state_type.__name__} that this optimizer's init or update "
            f"returned, got a {type(state).__name__}"
        )


def show(path: Any) -> str:
    """A leaf's path as it is written in Python: ['dense']['kernel']."""
    return keystr(path) or "(the root)"


def _aval(leaf) -> Any:
    """The shape and dtype that JAX sees; None if the leaf is neither an array nor a number."""
    return jax.typeof(leaf) if isinstance(leaf, _ARRAY_TYPES) else None


def _describe(leaf) -> str:
    aval = _aval(leaf)
    return f"a {type(leaf).__name__}" if aval is None else str(aval).removeprefix("~")
