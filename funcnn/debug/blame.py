"""Which of its operands makes a result NaN or infinite: found out by taking them away.

An operation may have operands that are not finite and do no harm, as `where` has. So nothing is
concluded from looking: what is not finite is replaced by a plain number, the operation done again,
and where its result is then finite, what was replaced is to blame.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

Index = tuple[int, ...]
Operation = Callable[[list[Any]], Sequence[Any]]

_PLAIN = 0.5  # in the domain of log, sqrt, arcsin, arctanh, and no divisor of trouble


def bad(x: Any) -> np.ndarray | None:
    """Where an array is NaN or infinite; None where it is nowhere."""
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.inexact):
        return None
    found = ~np.isfinite(np.asarray(x))
    return found if found.any() else None


def first_bad(x: Any, like: Any = None) -> Index | None:
    """The first place where an array is not finite: of the same kind as `like`, if there is one."""
    found = bad(x)
    if found is None:
        return None
    if like is not None and (same := found & (np.isnan(x) == np.isnan(like))).any():
        found = same
    return tuple(int(i) for i in np.argwhere(found)[0])


def entry_of(x: Any, index: Index, shape: tuple[int, ...]) -> Any:
    """The entry of an operand that belongs to one of a result of this shape; None where none does.

    >>> entry_of(np.array([[1.0], [2.0]]), (1, 3), (2, 4))
    np.float64(2.0)
    """
    x = np.asarray(x)
    if x.shape == ():
        return x[()]
    if x.ndim != len(shape) or any(n not in (1, m) for n, m in zip(x.shape, shape, strict=True)):
        return None
    return x[tuple(i if n > 1 else 0 for i, n in zip(index, x.shape, strict=True))]


def is_bad(x: Any, index: Index) -> bool:
    return bad(np.asarray(x)[index]) is not None


def is_discrete(x: Any) -> bool:
    """Is it made of integers or truth values?"""
    if not hasattr(x, "dtype"):
        return isinstance(x, int)
    return jnp.issubdtype(x.dtype, jnp.integer) or jnp.issubdtype(x.dtype, jnp.bool_)


def to_blame(
    operation: Operation,
    operands: Sequence[Any],
    output: int,
    index: Index,
    entry: Any,
    everything_counts: bool = False,
) -> list[tuple[int, Index]]:
    """The operands for which an entry of a result is what it is, each with the place in it.

    Empty where there are none: then it is the operation itself that made NaN or infinity of finite
    numbers. NaN is named before infinity.

    Args:
      operation: from the operands to the results.
      output: which of the results.
      index: of the entry in it.
      entry: NaN or infinite; or an integer or a truth value, for which what is not finite is to
        blame before integers and truth values are.
      everything_counts: each entry of the operands has a part in each of the result, and the
        operation is not to be done again.
    """
    not_finite = {k: found for k, x in enumerate(operands) if (found := bad(x)) is not None}
    suspects = [[(not_finite, _PLAIN)]]
    if is_discrete(entry):
        # both sides of x == inf are infinite, and are equal too when both are replaced
        suspects.append([({k: found}, _PLAIN) for k, found in not_finite.items()])
        suspects += [[(_where_true(operands, so), 1 - so)] for so in (True, False)]
    for group in suspects:
        trials = [
            _Trial(operation, operands, where, instead, output, index, entry)
            for where, instead in group
            if where
        ]
        blame = _first_of if everything_counts else _found_out
        blamed = [each for trial in trials for each in blame(trial)]
        if blamed:
            return blamed
    return []


def _where_true(operands: Sequence[Any], so: bool) -> dict[int, np.ndarray]:
    """Where integers and truth values count as true (or do not)."""
    there = {k: (np.asarray(x) != 0) == so for k, x in enumerate(operands) if is_discrete(x)}
    return {k: found for k, found in there.items() if found.any()}


def _found_out(trial: "_Trial") -> list[tuple[int, Index]]:
    try:
        if trial.is_bad_with({}):
            return []
        # infinities in two operands may make NaN together, and one of them infinity
        for trial.strict in (True, False):
            for kind in trial.kinds():
                blamed = [(k, at) for k, there in kind.items() for at in trial.search(k, there)]
                if blamed:
                    return blamed
    except Exception:  # it cannot be done again by itself, a collective say
        pass
    return _first_of(trial)


def _first_of(trial: "_Trial") -> list[tuple[int, Index]]:
    """Of all operands with the worst kind of suspects."""
    return [(k, _first(there, trial.index)) for k, there in trial.kinds()[0].items()]


class _Trial:
    """An operation on operands without what is suspect in them, or with some of it.

    Attributes:
      where: the suspects, by operand.
      instead: what they are replaced by.
      strict: whether infinity counts as bad where the entry in question is NaN, and NaN where it is
        infinite: with a plain number in the place of NaN, ``nan/0`` is infinite.
    """

    def __init__(self, operation, operands, where, instead, output, index, entry):
        self.operation, self.operands, self.where = operation, operands, where
        self.instead, self.output, self.index, self.entry = instead, output, index, entry
        self.strict = True

    def kinds(self) -> list[dict[int, np.ndarray]]:
        """The suspects that are NaN, then the others."""
        is_nan = {k: np.isnan(np.asarray(self.operands[k])) for k in self.where}
        kinds = [
            {k: found for k, there in self.where.items() if (found := there & of(is_nan[k])).any()}
            for of in (np.asarray, np.logical_not)
        ]
        return list(filter(None, kinds))

    def is_bad_with(self, kept: dict[int, np.ndarray]) -> bool:
        given = list(self.operands)
        for k, there in self.where.items():
            taken = there & ~kept[k] if k in kept else there
            x = np.asarray(given[k])
            given[k] = jnp.asarray(np.where(taken, np.asarray(self.instead, x.dtype), x))
        out = self.operation(given)[self.output]
        return out is not None and self._is_as_bad(np.asarray(out)[self.index])

    def _is_as_bad(self, found: Any) -> bool:
        if is_discrete(self.entry):
            return bool(found == self.entry)
        same = not self.strict or np.isnan(found) == np.isnan(self.entry)
        return bool(same and not np.isfinite(found))

    def search(self, k: int, there: np.ndarray) -> list[Index]:
        """One entry that is enough, halving those in question; none where all are not."""
        first = _first(there, self.index)
        if first == self.index:
            alone = np.zeros_like(there)
            alone[first] = True
            if self.is_bad_with({k: alone}):
                return [first]
        if not self.is_bad_with({k: there}):
            return []
        entries = np.flatnonzero(there)
        while len(entries) > 1:
            halves = np.array_split(entries, 2)
            for half in halves:
                part = np.zeros(there.size, bool)
                part[half] = True
                if self.is_bad_with({k: part.reshape(there.shape)}):
                    entries = half
                    break
            else:
                break
        return [tuple(int(i) for i in np.unravel_index(entries[0], there.shape))]


def _first(there: np.ndarray, index: Index) -> Index:
    """The entry at the same index, or the first."""
    inside = len(index) == there.ndim and all(map(int.__lt__, index, there.shape))
    if inside and there[index]:
        return index
    return tuple(int(i) for i in np.argwhere(there)[0])
