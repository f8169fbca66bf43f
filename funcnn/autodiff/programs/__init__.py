"""Programs inside programs: `jit`, loops, branches, `checkpoint`. One rule a file.

joint.py traces the forward and backward pass of an inner program together, cut.py decides what is
kept between them.
"""

from funcnn.autodiff.programs import (
    cond,
    hi_primitives,
    jit,
    linear_solve,
    opened,
    reduce,
    references,
    remat,
    scan,
    shard_map,
    sparse,
    while_loop,
)

__all__ = [
    "cond",
    "hi_primitives",
    "jit",
    "linear_solve",
    "opened",
    "reduce",
    "references",
    "remat",
    "scan",
    "shard_map",
    "sparse",
    "while_loop",
]
