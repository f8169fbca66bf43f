"""The cases of all rules, in files by kind as the rules are. case.py says what a case is."""

from . import (
    collectives,
    contractions,
    convolution,
    discrete,
    elementwise,
    fourier,
    indexing,
    linear_algebra,
    opened,
    placement,
    programs,
    reductions,
    running,
    shape,
    sorting,
    special,
    windows,
)
from .case import CASES

__all__ = [
    "CASES",
    "collectives",
    "contractions",
    "convolution",
    "discrete",
    "elementwise",
    "fourier",
    "indexing",
    "linear_algebra",
    "opened",
    "placement",
    "programs",
    "reductions",
    "running",
    "shape",
    "sorting",
    "special",
    "windows",
]
