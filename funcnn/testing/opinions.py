"""What everyone says a gradient is, what the differences say, and how far they may be apart."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from funcnn.testing.differences import Slopes, slopes
from funcnn.testing.problem import FUNCNN, JAX, Problem

Vector = np.ndarray
Pullback = Callable[[Vector, Vector], tuple[Vector, Vector]]
"""(x (n,), cotangents (k, m)) -> the value (m,), the gradients (k, n)"""

DOUBLE = "float64"
"""says the gradient in 64 bits, where the others compute in the function's own types"""


class Tolerance(NamedTuple):
    """An error of ``absolute + relative * (|gradient| + floor * largest in the leaf)`` is allowed.

    What rounding makes of it comes on top: see `Opinions.excess`.
    """

    relative: float
    floor: float
    absolute: float = 0.0


def tolerance_for(unit: float) -> Tolerance:
    """What is too little to be a mistake, in numbers of this unit roundoff."""
    if unit <= 2.0**-53:
        return Tolerance(1e-6, 1e-3)
    if unit <= 2.0**-24:
        return Tolerance(1e-5, 0.1)
    return Tolerance(20 * unit, 1.0)


class Opinions:
    """The gradients of one problem at one place, for a few cotangents. Each computed once."""

    def __init__(
        self,
        problem: Problem,
        pullbacks: dict[str, Pullback],
        x: Vector,
        cotangents: Vector,
        tolerance: Tolerance,
        step: float | None,
    ):
        self.problem, self.pullbacks = problem, pullbacks
        self.x, self.cotangents = x, cotangents
        self.tolerance, self.step = tolerance, step
        self.function = problem.values()
        self.claimant = FUNCNN if FUNCNN in pullbacks else JAX
        said = {who: pullback(x, cotangents) for who, pullback in pullbacks.items()}
        self.values = {who: value for who, (value, _) in said.items()}
        self.gradients = {who: gradients for who, (_, gradients) in said.items()}
        self.infinite = not all(np.isfinite(value).all() for value in self.values.values())
        self._excess: dict[tuple[str, str], Vector] = {}
        self._slopes: dict[int, Slopes] = {}

    @property
    def claimed(self) -> Vector:
        """(k, n): the gradients that are to be checked."""
        return self.gradients[self.claimant]

    @functools.cached_property
    def allowed(self) -> Vector:
        """(k, n): the error that is no mistake, apart from rounding."""
        sizes = [np.where(np.isfinite(g), np.abs(g), 0.0) for g in self.gradients.values()]
        size = np.max(sizes, axis=0)
        largest = np.zeros_like(size)
        for leaf in self.problem.inputs:
            largest[:, leaf.place] = size[:, leaf.place].max(axis=1, initial=0.0, keepdims=True)
        relative, floor, absolute = self.tolerance
        allowed = absolute + relative * (size + floor * largest)
        if DOUBLE not in self.gradients:
            return allowed
        # against 64 bits also what is less than the function's own rounding
        value = self.function(self.x)
        magnitude = np.abs(self.cotangents) @ np.where(np.isfinite(value), np.abs(value), 0.0)
        x = np.where(np.isfinite(self.x), np.abs(self.x), 1.0)
        return allowed + 32 * self.problem.unit * magnitude[:, None] / np.maximum(x, 1.0)

    @functools.cached_property
    def _nearby(self) -> list[dict[str, Vector]]:
        """The same gradients where the arguments differ in the later half of their digits."""
        size = 4 * self.problem.unit**0.5
        rng = np.random.default_rng(0)
        found = []
        for _ in range(15 if self.claimed.size <= 100_000 else 5):
            changed = self.x * (1 + size * rng.uniform(-1, 1, self.x.shape))
            x = self.problem.rounded(changed)
            found.append({w: pull(x, self.cotangents)[1] for w, pull in self.pullbacks.items()})
        return found

    def excess(self, one: str, other: str) -> Vector:
        """(k, n): the difference of two gradients over what is allowed; more than 1 is too much.

        Allowed is also what rounding makes of it, six times the standard deviation of the
        difference over arguments that differ in the later half of their digits: a mistake hardly
        changes there, rounding does.
        """
        pair = (one, other)
        if pair not in self._excess:
            difference = _difference(self.gradients[one], self.gradients[other])
            allowed = self.allowed
            if (np.abs(difference) > allowed).any():
                nearby = [_difference(g[one], g[other]) for g in self._nearby]
                with np.errstate(invalid="ignore"):
                    spread = np.std([difference, *nearby], axis=0)
                allowed = allowed + 6 * np.where(np.isfinite(spread), spread, 0.0)
            same = difference == 0
            with np.errstate(divide="ignore"):
                self._excess[pair] = np.where(
                    same, 0.0, np.abs(difference) / np.where(same, 1.0, allowed)
                )
        return self._excess[pair]

    def slopes_along(self, direction: Vector, step: float | None = None) -> Slopes:
        """The measured slopes, for all cotangents."""
        problem = self.problem
        return slopes(
            self.function,
            self.x,
            direction,
            self.cotangents,
            self.claimed,
            problem.unit,
            problem.rounded,
            step or self.step,
        )

    def slopes_at(self, i: int) -> Slopes:
        """The measured slopes with respect to number `i`."""
        if i not in self._slopes:
            direction = np.zeros_like(self.x)
            direction[i] = self.sizes[i]
            found = self.slopes_along(direction)
            if not found.admits(self.claimed[:, i] * self.sizes[i], self._slack(i)).all():
                # once more with other steps, before somebody is told to be wrong
                again = self.slopes_along(direction, step=0.09 * max(1.0, self.sizes[i]))
                better = again.admits(self.claimed[:, i] * self.sizes[i], self._slack(i))
                pairs = zip(found, again, strict=True)
                found = Slopes(*(np.where(better, other, first) for first, other in pairs))
            value, error, low, high, *rest = found
            per_unit = [number / self.sizes[i] for number in (value, error, low, high)]
            self._slopes[i] = Slopes(*per_unit, *rest)
        return self._slopes[i]

    def _slack(self, i: int) -> Vector:
        return self.allowed[:, i] * self.sizes[i]

    @functools.cached_property
    def sizes(self) -> Vector:
        """(n,): how far each number can be moved: its size, for a zero the largest of its leaf."""
        sizes = np.where(np.isfinite(self.x), np.abs(self.x), 0.0)
        for leaf in self.problem.inputs:
            part = sizes[leaf.place]
            part[part == 0] = part.max(initial=0.0) or 1.0
        return 2.0 ** np.floor(np.log2(sizes))  # powers of two: a step then rounds less


def _difference(a: Vector, b: Vector) -> Vector:
    """None between equal infinities or two NaN, infinite where only one is not finite."""
    with np.errstate(invalid="ignore"):
        difference = a - b
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
