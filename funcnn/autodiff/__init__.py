"""A reverse mode for whole JAX programs. Knows nothing of networks.

tracer.py is the forward pass, backward.py the backward pass, rules/ the table of what each
primitive does to a gradient, programs.py programs inside programs, transforms.py what is called.
"""

import pathlib

from jax.extend import source_info_util

from funcnn.autodiff import programs as programs  # enters the rule for jit
from funcnn.autodiff.rules.table import defvjp, elementwise, linear, zero_derivative
from funcnn.autodiff.transforms import grad, value_and_grad, vjp

# so that JAX, when it says where something came from, names the user's line and not ours
source_info_util.register_exclusion(str(pathlib.Path(__file__).parent))

__all__ = [
    "defvjp",
    "elementwise",
    "grad",
    "linear",
    "value_and_grad",
    "vjp",
    "zero_derivative",
]
