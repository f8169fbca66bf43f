"""A reverse mode for whole JAX programs. Knows nothing of networks.

tracer.py is the forward pass, backward.py the backward pass, rules/ the table of what each
primitive does to a gradient, programs/ programs inside programs, transforms.py and jacobians.py
what is called.
"""

from funcnn.autodiff import programs as programs  # enters the rule for jit
from funcnn.autodiff.jacobians import hessian, hvp, jacrev
from funcnn.autodiff.rules.table import (
    defvjp,
    elementwise,
    linear,
    temporary_rules,
    zero_derivative,
)
from funcnn.autodiff.transforms import grad, value_and_grad, vjp

__all__ = [
    "defvjp",
    "elementwise",
    "grad",
    "hessian",
    "hvp",
    "jacrev",
    "linear",
    "temporary_rules",
    "value_and_grad",
    "vjp",
    "zero_derivative",
]
