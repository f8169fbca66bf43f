"""Leaves of a pytree by their path: which to regularize, to train, to freeze.

A leaf's path is written with slashes: `"0/kernel"` is `params[0]["kernel"]`. A pattern is such a
path with wildcards: `*` is any part of one entry, `**` any number of entries, also none.

    paths.mask(params, "**/kernel")          True for every kernel: weight decay, say
    head, body = paths.partition(params, "head/**")
    params = paths.combine(head, body)

Freezing is a partition: `loss(head)` combines `head` with a `body` that no gradient is taken of.
Where a pattern is wanted a function `(path, leaf) -> bool` will do too.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import jax
from jax.tree_util import keystr

PyTree = Any
Pattern = str | Callable[[str, Any], bool]


def names(tree: PyTree) -> list[str]:
    """The paths of all leaves, in the order of `jax.tree.leaves`.

    >>> names(({"kernel": 1.0, "bias": 2.0}, (), {"kernel": 3.0}))
    ['0/bias', '0/kernel', '2/kernel']
    """
    return [_name(path) for path, _ in jax.tree.leaves_with_path(tree)]


def mask(tree: PyTree, *patterns: Pattern) -> PyTree:
    """A pytree of bools like `tree`: True for each leaf that one of the patterns matches.

    Args:
      tree: any pytree.
      patterns: globs over the leaf's path, or functions `(path, leaf) -> bool`.

    Raises:
      ValueError: a pattern that no leaf matches; the message lists the paths that there are.
      TypeError: a pattern that is neither a string nor a function.

    >>> params = ({"kernel": 1.0, "bias": 2.0}, (), {"kernel": 3.0, "bias": 4.0})
    >>> mask(params, "**/kernel")
    ({'bias': False, 'kernel': True}, (), {'bias': False, 'kernel': True})
    >>> mask(params, "0/*", lambda path, leaf: leaf == 4.0)
    ({'bias': True, 'kernel': True}, (), {'bias': True, 'kernel': False})
    >>> mask(params, "1/kernel")
    Traceback (most recent call last):
    ValueError: no leaf matches '1/kernel': the paths are 0/bias, 0/kernel, 2/bias, 2/kernel
    """
    leaves, structure = jax.tree.flatten_with_path(tree)
    named = [(_name(path), leaf) for path, leaf in leaves]
    chosen = [False] * len(named)
    for pattern in patterns:
        matches = _matcher(pattern)
        found = [bool(matches(name, leaf)) for name, leaf in named]
        if not any(found):
            shown = repr(pattern) if isinstance(pattern, str) else f"the function {pattern!r}"
            raise ValueError(f"no leaf matches {shown}: the paths are {_listed(named)}")
        chosen = [a or b for a, b in zip(chosen, found, strict=True)]
    return jax.tree.unflatten(structure, chosen)


def select(tree: PyTree, *patterns: Pattern) -> PyTree:
    """`tree` with None in the place of each leaf that no pattern matches. Errors as in `mask`.

    >>> select({"kernel": 1.0, "bias": 2.0}, "kernel")
    {'bias': None, 'kernel': 1.0}
    """
    return partition(tree, *patterns)[0]


def partition(tree: PyTree, *patterns: Pattern) -> tuple[PyTree, PyTree]:
    """`tree` in two: the leaves that a pattern matches, and the others, None where it is not there.

    JAX sees no leaf in None, so a gradient by the first, or an optimizer's state for it, holds
    nothing of the second. Errors as in `mask`.

    >>> trained, frozen = partition({"head": {"kernel": 1.0}, "body": {"kernel": 2.0}}, "head/**")
    >>> trained
    {'body': {'kernel': None}, 'head': {'kernel': 1.0}}
    >>> combine(trained, frozen)
    {'body': {'kernel': 2.0}, 'head': {'kernel': 1.0}}
    """
    chosen = mask(tree, *patterns)
    first = jax.tree.map(lambda leaf, here: leaf if here else None, tree, chosen)
    second = jax.tree.map(lambda leaf, here: None if here else leaf, tree, chosen)
    return first, second


def combine(*trees: PyTree) -> PyTree:
    """One pytree from the parts of a partition: each leaf from the tree that has it.

    Raises:
      ValueError: trees of different structure; a leaf that two of them have.

    >>> combine({"a": 1.0, "b": None}, {"a": None, "b": 2.0})
    {'a': 1.0, 'b': 2.0}
    >>> combine({"a": 1.0}, {"a": 2.0})
    Traceback (most recent call last):
    ValueError: combine: the leaf a is in several of the trees
    """

    def one(path: Any, *leaves: Any) -> Any:
        there = [leaf for leaf in leaves if leaf is not None]
        if len(there) > 1:
            raise ValueError(f"combine: the leaf {_name(path)} is in several of the trees")
        return there[0] if there else None

    return jax.tree.map_with_path(one, *trees, is_leaf=lambda leaf: leaf is None)


def _name(path: Any) -> str:
    return keystr(path, simple=True, separator="/")


def _matcher(pattern: Any) -> Callable[[str, Any], bool]:
    if isinstance(pattern, str):
        parts = pattern.split("/")
        return lambda name, leaf: _matches(name.split("/"), parts)
    if callable(pattern):
        return pattern
    raise TypeError(f"expected a path pattern like '**/kernel' or a function, got {pattern!r}")


def _matches(entries: list[str], parts: list[str]) -> bool:
    if not parts:
        return not entries
    if parts[0] == "**":
        return any(_matches(entries[i:], parts[1:]) for i in range(len(entries) + 1))
    return bool(entries) and fnmatchcase(entries[0], parts[0]) and _matches(entries[1:], parts[1:])


def _listed(named: list[tuple[str, Any]], most: int = 20) -> str:
    if not named:
        return "none: the tree has no leaves"
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(name for name, _ in named[:most]) + more
