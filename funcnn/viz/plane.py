"""Rectangles of the plane: their limits, and points on a grid over them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcnn.viz.arrays import numbers


class Limits(NamedTuple):
    """A rectangle of the plane."""

    x: tuple[float, float]
    y: tuple[float, float]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return *self.x, *self.y


def limits_of(limits: Any, points: Sequence[np.ndarray] = (), margin: float = 0.1) -> Limits:
    """`limits` as given: ``((left, right), (bottom, top))`` or ``(low, high)`` for both axes.

    None gives those of the points (n, 2), with a margin around them.

    >>> limits_of((-1, 1))
    Limits(x=(-1.0, 1.0), y=(-1.0, 1.0))
    >>> limits_of(None, [np.array([[0, 0], [1, 2]])], margin=0.5)
    Limits(x=(-0.5, 1.5), y=(-1.0, 3.0))
    """
    if limits is None:
        if not sum(map(len, points)):
            raise ValueError("expected limits, or points to find them from, got neither")
        together = np.concatenate(points)
        low, high = together.min(axis=0), together.max(axis=0)
        room = margin * np.where(high > low, high - low, 1.0)
        limits = np.stack([low - room, high + room], axis=1)
    limits = np.asarray(limits)
    # one interval stands for both axes
    pair = np.stack([limits] * 2) if limits.shape == (2,) else limits
    pair = numbers("limits ((left, right), (bottom, top))", pair, 2, 2, finite=True)
    if not (pair[:, 0] < pair[:, 1]).all():
        raise ValueError(f"expected limits that grow, got {pair.tolist()}")
    (left, right), (bottom, top) = pair.tolist()
    return Limits((left, right), (bottom, top))


def grid(limits: Limits, resolution: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points at equal distances: their x (r,) and y (r,), and all (r · r, 2), the lowest row first.

    >>> x, y, points = grid(Limits((0, 1), (0, 2)), 2)
    >>> points.tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]]
    """
    if resolution < 2:
        raise ValueError(f"expected a resolution of at least 2, got {resolution}")
    x, y = (np.linspace(*interval, resolution) for interval in limits)
    return x, y, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
