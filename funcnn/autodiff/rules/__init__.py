"""One rule a primitive, in files by kind. table.py says how a rule is written."""

from funcnn.autodiff.rules import (
    collectives,
    contractions,
    convolution,
    discrete,
    elementwise,
    fourier,
    indexing,
    linear_algebra,
    opaque,
    placement,
    reductions,
    running,
    shape,
    sorting,
    special,
    windows,
)

__all__ = [
    "collectives",
    "contractions",
    "convolution",
    "discrete",
    "elementwise",
    "fourier",
    "indexing",
    "linear_algebra",
    "opaque",
    "placement",
    "reductions",
    "running",
    "shape",
    "sorting",
    "special",
    "windows",
]
