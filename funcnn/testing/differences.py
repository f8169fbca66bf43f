"""Slopes by central differences that know how far they can be trusted.

A slope is measured at many step sizes, from as large as the argument down to its last digits, and
extrapolated (Richardson). Where neighbouring steps agree best it is taken, and what they disagree
by, with the rounding of the values, is its error. So a step need not be chosen for a dtype or a
size, and noise shows as a large error, never as a wrong slope.

What is extrapolated is the difference between the slope and a claimed one, over the step that was
really taken: the rounding of ``x + h`` then does not enter.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Vector = np.ndarray


class Slopes(NamedTuple):
    """Slopes along one direction, one for each cotangent: arrays of one axis."""

    value: Any
    error: Any
    """how far off the value may be; infinite where the differences cannot tell"""
    low: Any
    """at a kink the lower of the slopes on either side, else the value"""
    high: Any
    kink: Any
    """bool: the slopes on both sides differ however small the step"""
    flat: Any
    """bool: the function did not change at all where the value was taken"""

    def one(self, k: int) -> "Slopes":
        """The slope for one cotangent."""
        return Slopes(*(field[k] for field in self))

    def admits(self, claimed: Any, allowed: Any) -> Any:
        """Can the claimed slopes be right? An error of `allowed` is forgiven in any case."""
        slack = allowed + _TRUST * self.error
        return (claimed >= self.low - slack) & (claimed <= self.high + slack) | np.isinf(self.error)


_TRUST = 4.0  # what neighbouring steps disagree by is an estimate of the error, not a bound


@np.errstate(all="ignore")
def slopes(
    function: Callable[[Vector], Vector],
    x: Vector,
    direction: Vector,
    cotangents: Vector,
    claimed: Vector,
    unit: float,
    rounded: Callable[[Vector], Vector],
    step: float | None = None,
) -> Slopes:
    """The slopes of ``cotangents @ function(x)`` along `direction`.

    Args:
      function: of a vector (n,), gives a vector (m,).
      x: where, (n,).
      direction: (n,), of the size in which x may move: a step of 1 is a large one.
      cotangents: (k, m).
      claimed: the gradients that are held against it, (k, n).
      unit: the unit roundoff of the numbers that `function` computes with.
      rounded: x as `function` sees it.
      step: the largest step in units of x, if it is to be given.
    """
    steps = _steps(x, direction, unit, step)
    ratio = steps[0] / steps[1]
    claimed = np.where(np.isfinite(claimed), claimed, 0.0)
    middle = function(x)
    magnitude = np.abs(cotangents) @ np.where(np.isfinite(middle), np.abs(middle), 0.0)
    ahead, behind, still = [], [], []
    for h in steps:
        sides = []
        for side in (rounded(x + h * direction), rounded(x - h * direction)):
            change = function(side) - middle
            change = cotangents @ np.where((change == 0) | (cotangents == 0).all(0), 0.0, change)
            sides.append((change, change - claimed @ (side - x)))
        (up, up_rest), (down, down_rest) = sides
        ahead.append(up_rest / h)
        behind.append(-down_rest / h)
        still.append((up == 0) & (down == 0))
    right, left, flat = np.array(ahead), np.array(behind), np.array(still)
    rest = (right + left) / 2
    noise = 2 * unit * magnitude / steps[:, None]
    if unit > _DOUBLE:
        # in few digits a function may be a staircase; between two stairs it tells nothing
        moves = (np.abs(claimed) @ np.abs(direction)) > 0
        rest = np.where(flat & moves, np.nan, rest)
    finer, coarser = rest[1:], rest[:-1]
    extrapolated = finer + (finer - coarser) / (ratio**2 - 1)
    # three in a row have to agree, or two wrong ones would some day agree by accident
    change = np.abs(np.diff(extrapolated, axis=0))
    value = extrapolated[1:-1]
    error = np.maximum(change[1:], change[:-1]) + noise[2:-1]
    error = np.where(np.isfinite(error), error, np.inf)
    # finer steps show the noise of the values, which is there at coarser steps too
    seen = np.where(np.isfinite(error), error, 0.0) * steps[2:-1, None]
    error = np.maximum(error, np.maximum.accumulate(seen[::-1])[::-1] / steps[2:-1, None])
    # a slope that finer steps contradict is that of something larger: of a kink or a pole nearby
    last = max(1, len(value) - 2)
    apart = np.abs(value[:, None] - value[None, :last])
    finer_than = np.arange(last)[None, :] > np.arange(len(value))[:, None]
    contradicted = (apart > _TRUST * (error[:, None] + error[None, :last])) & finer_than[..., None]
    best = np.where(contradicted.any(1), np.inf, error).argmin(0)
    each = np.arange(len(cotangents))
    error = np.where(contradicted.any(1)[best, each], np.inf, error[best, each])
    value = np.where(np.isfinite(error), value[best, each], 0.0)
    # a kink: the gap between the two sides' slopes does not close with the step
    coarse, fine = (best + 1, each), (best + 2, each)
    gap = np.abs(right - left)
    kink = (gap[fine] > gap[coarse] / 2) & (gap[fine] > 20 * (noise[fine] + error))
    one_sided = []
    for side in (right, left):
        more = (side[fine] - side[coarse]) / (ratio - 1)
        one_sided += [side[fine] + more - np.abs(more), side[fine] + more + np.abs(more)]
    along = claimed @ direction
    low = np.where(kink, np.min(one_sided, axis=0), value) + along
    high = np.where(kink, np.max(one_sided, axis=0), value) + along
    return Slopes(value + along, error, low, high, kink, flat[fine])


_DOUBLE = 2.0**-53


def _steps(x: Vector, direction: Vector, unit: float, step: float | None) -> Vector:
    """Step sizes from large to small, in units of `direction`: powers of two, which round less."""
    moved = direction != 0
    size = np.abs(direction).max(initial=0.0) or 1.0
    largest = step if step is not None else max(size, 1.0) / 4
    smallest = size if (x[moved] != 0).any() else min(size, 1.0)
    smallest = min(smallest * max(8 * unit, 2.0**-33), largest / 64)
    bits = 3 if unit <= _DOUBLE else 2 if unit < 2.0**-16 else 1
    top = np.floor(np.log2(largest / size))
    count = max(6, int((top - np.log2(smallest / size)) // bits) + 1)
    return 2.0 ** (top - bits * np.arange(count))
