"""Which numbers of a gradient to look at closely."""

import numpy as np

from funcnn.testing.opinions import Opinions

Vector = np.ndarray
Number = tuple[int, int]
"""of the gradients (k, n): which cotangent, which number"""


def most_different(opinions: Opinions) -> list[Number]:
    """Of each leaf the number that people disagree on most, and others if they do so too much."""
    others = [who for who in opinions.gradients if who != opinions.claimant]
    apart = [opinions.excess(opinions.claimant, who) for who in others]
    excess = np.max([np.zeros_like(opinions.claimed), *apart], axis=0)
    found = []
    for leaf in opinions.problem.inputs:
        part = excess[:, leaf.place]
        worst = np.argsort(-part, axis=None, kind="stable")[:_PER_LEAF]
        for flat in worst:
            k, i = np.unravel_index(flat, part.shape)
            if flat == worst[0] or part[k, i] > 1:
                found.append((int(k), int(i) + leaf.start))
    return found


_PER_LEAF = 8


def some_of_each_leaf(opinions: Opinions, count: int, rng: np.random.Generator) -> list[Number]:
    """All numbers where they are few, otherwise `count` of them, taken at random."""
    x = opinions.x
    indices = np.arange(len(x)) if len(x) <= 4 * count else rng.choice(len(x), count, replace=False)
    return [(k, int(i)) for i in indices for k in range(len(opinions.cotangents))]


def off_along(opinions: Opinions, rng: np.random.Generator) -> list[Number]:
    """A number that is wrong if the slope along a random direction is; found by halving it.

    A number that nobody looked at takes part in every direction.
    """
    signs = rng.choice([-1.0, -0.75, 0.75, 1.0], len(opinions.x))
    direction = np.where(np.isfinite(opinions.x), signs * opinions.sizes, 0.0)
    k, off = _furthest_off(opinions, direction)
    if off == 0:
        return []
    support = np.flatnonzero(direction)
    while len(support) > 1:
        halves = []
        for part in np.array_split(support, 2):
            masked = np.zeros_like(direction)
            masked[part] = direction[part]
            halves.append((*_furthest_off(opinions, masked)[::-1], part))
        off, k, support = max(halves, key=lambda half: half[0])
        if off == 0:
            return []  # off only all together: noise
    return [(k, int(support[0]))]


_TINY = np.finfo(np.float64).tiny


def _furthest_off(opinions: Opinions, direction: Vector) -> tuple[int, float]:
    """Which cotangent's slope is off, and by how many times what is allowed; 0 if none is."""
    measured = opinions.slopes_along(direction)
    claimed = np.where(np.isfinite(opinions.claimed), opinions.claimed, 0.0)
    allowed = opinions.allowed @ np.abs(direction)
    along = claimed @ direction
    wrong = ~measured.admits(along, allowed)
    slack = np.where(wrong, allowed + measured.error, np.inf)
    off = np.abs(along - measured.value) / np.where(slack > 0, slack, _TINY)
    return int(off.argmax()), float(off.max(initial=0.0))
