"""Shuffled, disjoint training, validation and test sets."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import jax
import numpy as np


class Splits(NamedTuple):
    """Training, validation and test examples, each of the same structure.

    In the data sets of `funcnn.data` each is a pair `(x, y)` of numpy arrays whose leading axis
    counts the examples.
    """

    train: Any
    validation: Any
    test: Any


def split(
    arrays: Any,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int | Sequence[int] | None = 0,
) -> Splits:
    """Shuffles examples and deals them out to training, validation and test, each to one of them.

    The training set gets what the other two leave. With the same seed the test set does not depend
    on the size of the validation set, so that this can be changed without looking at test examples.

    Args:
        arrays: a pytree of arrays, such as `(x, y)`, all with the same number of examples n along
            their leading axis.
        validation: the size of the validation set: a number of examples (int), or a fraction of n
            (float in [0, 1), rounded to the nearest number of examples). 0 leaves it empty.
        test: the size of the test set, likewise.
        seed: of the shuffle, as `numpy.random.default_rng` takes it (None: another one each time).

    Returns:
        `Splits(train, validation, test)`: each a pytree like `arrays`, of numpy arrays that are
        copies, with dtypes and trailing axes as they came.

    Raises:
        ValueError: no arrays, no examples, different numbers of examples, a leaf without a leading
            axis, or sizes that leave no training examples. The message names the leaf.
        TypeError: a size that is neither an int nor a float.

    Lectures: decks A and E, row 40 (training, validation and test sets).

    >>> import numpy as np
    >>> from funcnn import data
    >>> x, y = np.zeros((10, 3), np.float32), np.arange(10)
    >>> splits = data.split((x, y), validation=2, test=0.3, seed=0)
    >>> [len(y) for _, y in splits]
    [5, 2, 3]
    >>> sorted(np.concatenate([y for _, y in splits]).tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    arrays = jax.tree.map(np.asarray, arrays)
    length = common_length(arrays)
    held_out, tested = counts(length, validation=validation, test=test)
    order = np.random.default_rng(seed).permutation(length)

    def take(indices: np.ndarray) -> Any:
        return jax.tree.map(lambda array: array[indices], arrays)

    return Splits(
        train=take(order[tested + held_out :]),
        validation=take(order[tested : tested + held_out]),
        test=take(order[:tested]),
    )


def common_length(arrays: Any) -> int:
    """The number of examples, the same along the leading axis of every leaf of `arrays`."""
    lengths = {}
    for path, array in jax.tree_util.tree_leaves_with_path(arrays):
        name = "arrays" + jax.tree_util.keystr(path)
        if array.ndim == 0:
            raise ValueError(
                f"{name} is a scalar: expected an array with the examples along its leading axis "
                "(a list is a pytree of its items: make it an array)"
            )
        lengths[name] = array.shape[0]
    if not lengths:
        raise ValueError("arrays has no leaves: expected a pytree of arrays, such as (x, y)")
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"arrays differ in their number of examples (leading axis): {found}")
    length = next(iter(lengths.values()))
    if length == 0:
        raise ValueError("arrays has no examples to split: its leading axis has length 0")
    return length


def counts(length: int, **sizes: float) -> list[int]:
    """The number of examples in each named part of `length`; at least one is left for training."""
    result = [count(name, size, length) for name, size in sizes.items()]
    if sum(result) >= length:
        asked = " and ".join(
            f"{number} for {name}" for name, number in zip(sizes, result, strict=True)
        )
        raise ValueError(f"{asked} leave no training examples: there are {length} in all")
    return result


def count(name: str, size: Any, length: int) -> int:
    """The number of examples that `size`, a number of examples or a fraction, stands for."""
    if isinstance(size, bool) or not isinstance(size, Real):
        raise TypeError(
            f"{name}={size!r}: expected a number of examples (int) or a fraction (float)"
        )
    if isinstance(size, Integral):
        if size < 0:
            raise ValueError(f"{name}={size}: expected at least 0 examples")
        return int(size)
    fraction = float(size)
    if not 0 <= fraction < 1:
        raise ValueError(f"{name}={size}: expected a fraction in [0, 1), or an int")
    number = round(fraction * length)
    if number == 0 and fraction > 0:
        raise ValueError(f"{name}={size} of {length} examples is less than one example")
    return number
