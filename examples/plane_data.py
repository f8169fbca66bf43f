"""Points of the plane in classes that no line separates: spiral, circles, moons, exclusive or.

Each function gives ``x`` (count, 2), float32, around the origin, and ``y`` (count,), int32 classes.
"""

from collections.abc import Callable
from types import ModuleType

import numpy as np

Points = tuple[np.ndarray, np.ndarray]


def spiral(count: int, noise: float = 0.1, seed: int = 0, arms: int = 2) -> Points:
    """Arms that wind around the origin one and a quarter times, to a distance of 2.

    `noise` is the standard deviation of each coordinate. Source: the decks' web demo in ConvNetJS.
    """
    random = np.random.default_rng(seed)
    y = np.arange(count) % arms
    r = np.sqrt(random.uniform(0.01, 1, count))  # as many points everywhere along an arm
    angle = 2 * np.pi * (1.25 * r + y / arms)
    x = 2 * r[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _points(x + random.normal(scale=noise, size=x.shape), y)


def circles(count: int, noise: float = 0.1, seed: int = 0) -> Points:
    """A circle of radius 1 (class 1) within one of radius 2 (class 0)."""
    x, y = _sklearn_datasets().make_circles(count, noise=noise / 2, factor=0.5, random_state=seed)
    return _points(2 * x, y)


def moons(count: int, noise: float = 0.1, seed: int = 0) -> Points:
    """Two half circles, one in the other's arms."""
    x, y = _sklearn_datasets().make_moons(count, noise=noise, random_state=seed)
    return _points(1.4 * (x - [0.5, 0.25]), y)


def xor(count: int, noise: float = 0.1, seed: int = 0) -> Points:
    """A square in quarters: class 1 where one of the coordinates is positive and one negative."""
    random = np.random.default_rng(seed)
    x = random.uniform(-2, 2, (count, 2))
    y = x[:, 0] * x[:, 1] < 0
    return _points(x + random.normal(scale=noise, size=x.shape), y)


DATA: dict[str, Callable[..., Points]] = {
    "spiral": spiral,
    "circles": circles,
    "moons": moons,
    "xor": xor,
}


def _sklearn_datasets() -> ModuleType:
    try:
        import sklearn.datasets
    except ImportError as error:
        raise ImportError(
            "circles and moons are scikit-learn's, and it is missing: pip install 'funcnn[data]'"
        ) from error
    return sklearn.datasets


def _points(x: np.ndarray, y: np.ndarray) -> Points:
    return x.astype(np.float32), y.astype(np.int32)
