"""Numbers of examples, batches and epochs, and what is wrong with them."""

import operator
from typing import Any

import jax


def whole_number(name: str, value: Any, least: int) -> int:
    """`value` as an int, NumPy's integers included; TypeError or ValueError names the argument.

    >>> import numpy as np
    >>> whole_number("batch_size", np.int64(32), least=1)
    32
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def count_examples(data: Any) -> int:
    """The length of the first axis, which all leaves share; ValueError where they do not."""
    counts = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        name = f"data{jax.tree_util.keystr(path)}"
        if not hasattr(leaf, "shape"):
            raise TypeError(f"{name} is {leaf!r}, expected an array: numpy.asarray makes one")
        if not leaf.shape:
            raise ValueError(f"{name} is a scalar: the first axis of each array counts examples")
        counts[name] = leaf.shape[0]
    if not counts:
        raise ValueError("the data has no arrays")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise ValueError(f"the arrays of the data hold different numbers of examples: {listed}")
    n = next(iter(counts.values()))
    if n == 0:
        raise ValueError("the data is empty: 0 examples")
    return n
