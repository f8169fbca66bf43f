"""Primitives that stand for a program: those that JAX exports. test_opened.py has the others."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core.primitives import call_p, closed_call_p

from .case import case, normal


def _product(x, y):
    return jnp.sin(x) * y, y


def _cases(primitive):
    def call(x, y):
        program = jax.make_jaxpr(_product)(x, y)
        return primitive.bind(x, y, **primitive.get_bind_params({"call_jaxpr": program}))

    case(
        str(primitive),
        both=(call, normal(3), normal(3)),
        one=(lambda x: call(x, np.ones(3, x.dtype)), normal(3)),
        used_once=(lambda x, y: call(x, y)[0], normal(), normal()),
    )


# one and the same from JAX 0.12 on
for _primitive in dict.fromkeys((call_p, closed_call_p)):
    _cases(_primitive)
