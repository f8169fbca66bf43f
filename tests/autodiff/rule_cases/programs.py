"""Programs inside programs."""

import jax
import jax.numpy as jnp
import numpy as np

from .case import case, normal


def _long(x, y):
    """More equations than are opened while tracing: goes through `programs.halves`."""
    for _ in range(4):
        x, y = jnp.sin(x) * y, jnp.cos(y) + x
    return x, y


case(
    "jit",
    long=(jax.jit(_long), normal(3), normal(3)),
    one_operand=(lambda x: jax.jit(_long)(x, np.ones(3, x.dtype)), normal(3)),
    one_output=(lambda x, y: jax.jit(_long)(x, y)[1], normal(), normal()),
    nested=(jax.jit(lambda x, y: jax.jit(_long)(*jax.jit(_long)(x, y))), normal(3), normal(3)),
    short=(jax.jit(lambda x: jnp.sin(x) * x), normal(3)),
)
