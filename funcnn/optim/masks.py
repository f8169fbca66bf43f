"""Masks: which arrays of the params something is for."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from funcnn import paths

from .transformation import PyTree

Mask = PyTree | Callable[[PyTree], PyTree] | str
"""A pytree of bools like the params, or a prefix of one (True is all of them); a function from the
params to such a pytree, as in optax; or a path pattern such as "**/kernel" (see funcnn.paths)."""


def resolved(mask: Mask, tree: PyTree) -> PyTree:
    """The mask as a pytree of bools with exactly the structure of `tree`.

    >>> params = ({"kernel": 1.0, "bias": 2.0}, {"kernel": 3.0})
    >>> resolved("**/kernel", params)
    ({'bias': False, 'kernel': True}, {'kernel': True})
    >>> resolved((True, False), params)
    ({'bias': True, 'kernel': True}, {'kernel': False})

    Raises:
        ValueError: the mask has another structure; a pattern that no path matches.
        TypeError: a leaf of the mask is not True or False. Both messages name the leaf.
    """
    if isinstance(mask, str):
        return paths.mask(tree, mask)
    return jax.tree.map_with_path(_bool, broadcast("mask", mask, tree))


def broadcast(name: str, prefix: Any, tree: PyTree) -> PyTree:
    """`prefix`, or what it returns for `tree`, with each leaf repeated for all below it in `tree`.

    Raises:
        ValueError: it is no prefix of `tree`. The message names a leaf that only one of them has.
    """
    prefix = prefix(tree) if callable(prefix) else prefix
    try:
        return jax.tree.broadcast(prefix, tree)
    except ValueError as error:
        ours, theirs = paths.names(prefix), paths.names(tree)
        covers = lambda a, b: not a or f"{b}/".startswith(f"{a}/")
        missing = [b for b in theirs if not any(covers(a, b) for a in ours)]
        unknown = [a for a in ours if not any(covers(a, b) for b in theirs)]
        reason = "the containers differ"
        if missing or unknown:
            where = ("params", name) if missing else (name, "params")
            reason = f"{(missing + unknown)[0]!r} is in the {where[0]} and not in the {where[1]}"
        raise ValueError(
            f"the {name} must be a pytree like the params or a prefix of one, but {reason}"
        ) from error


def _bool(path, leaf):
    if not isinstance(leaf, bool | np.bool_):
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        raise TypeError(f"leaf {where!r} of the mask is {leaf!r}, expected True or False")
    return bool(leaf)
