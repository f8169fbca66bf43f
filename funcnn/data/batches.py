"""Batches of arrays that are too large for the device, or for memory: drawn as they are needed."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np


class Batches(Sequence):
    """The minibatches of one epoch; each is read when it is asked for.

    Attributes:
      arrays: a pytree of NumPy arrays or memory maps, examples along the first axis.
      order: the examples' indices, in the order in which they are to come.
      batch_size: examples in each batch but the last, which may be smaller.
    """

    def __init__(self, arrays: Any, order: np.ndarray, batch_size: int):
        self.arrays, self.order, self.batch_size = arrays, order, batch_size

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(f"batch {i} of {len(self)}")
        chosen = self.order[i * self.batch_size : (i + 1) * self.batch_size]
        return jax.tree.map(lambda array: np.asarray(array[chosen]), self.arrays)


def batches(
    arrays: Any,
    batch_size: int,
    *,
    seed: int | None = 0,
    drop_remainder: bool = False,
    process: tuple[int, int] = (0, 1),
) -> Callable[[int], Batches]:
    """A source for `funcnn.train.fit` over arrays that stay where they are, such as memory maps.

    Each epoch the examples come in a new random order, which depends on `seed` and the number of
    the epoch only: a run that is resumed gets the batches that it would have got.

    Args:
      arrays: a pytree of arrays whose first axis counts examples: NumPy's, or memory maps from
        ``numpy.load(path, mmap_mode="r")``, of which only the examples of a batch are read.
      batch_size: examples in a batch (of this process).
      seed: of the order; None for the order in which they lie, for validation.
      drop_remainder: leave out the last batch of an epoch where it is smaller.
      process: ``(jax.process_index(), jax.process_count())`` in a run of several processes, each of
        which then gets its own part of the same random order, all equally many.

    Returns:
      ``source(epoch)``: a sequence of batches, each a pytree like `arrays`.

    Raises:
      ValueError: no examples, another number of them in each array, a batch larger than the data.

    Example:

    >>> import numpy as np
    >>> x, y = np.arange(10.0)[:, None], np.arange(10)
    >>> source = batches((x, y), 4)
    >>> [len(labels) for _, labels in source(1)], source(1)[0][1], source(2)[0][1]
    ([4, 4, 2], array([9, 1, 3, 8]), array([8, 2, 1, 0]))
    """
    counts = {len(leaf) for leaf in jax.tree.leaves(arrays)}
    if len(counts) != 1:
        raise ValueError(f"the arrays hold different numbers of examples: {sorted(counts)}")
    index, processes = process
    n = counts.pop() // processes
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be from 1 to {n}, the number of examples: {batch_size}")

    def source(epoch: int) -> Batches:
        if seed is None:
            order = np.arange(n * processes)
        else:
            order = np.random.default_rng([seed, epoch]).permutation(n * processes)
        order = order[index * n : (index + 1) * n]
        if drop_remainder:
            order = order[: n // batch_size * batch_size]
        return Batches(arrays, order, batch_size)

    return source
