"""First values of what an algorithm remembers of each array."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def zeros(argument: str, dtype: DTypeLike | None) -> Callable[[jax.Array], jax.Array]:
    """Returns the function from a parameter to zeros of its shape, in `dtype` or in its own.

    The function raises TypeError where a real dtype would have to hold complex numbers;
    `argument` is the name by which the user gave the dtype.
    """

    def zeros_for(x):
        if (
            dtype is not None
            and jnp.iscomplexobj(x)
            and not jnp.issubdtype(dtype, jnp.complexfloating)
        ):
            raise TypeError(
                f"{argument}={jnp.dtype(dtype)} cannot hold the imaginary part of {x.dtype} params"
            )
        return jnp.zeros_like(x, dtype=dtype)

    return zeros_for


def real_zeros(x: jax.Array) -> jax.Array:
    """Zeros for a running size |g|²: real also where the parameter is complex."""
    return jnp.zeros_like(x.real)
