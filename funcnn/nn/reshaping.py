"""Plain functions that change the shape of an array: layers without parameters."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def flatten(x: ArrayLike) -> jax.Array:
    """One row an example: (n, ...) to (n, product of the rest), in C order.

    The first axis is the batch and stays. A single example has no such axis: flatten it with
    `jnp.ravel`, as a layer too (`nn.serial(jnp.ravel, nn.dense(30))`, batched by `jax.vmap`).

    Raises:
      ValueError: x is a scalar.

    >>> import jax.numpy as jnp
    >>> flatten(jnp.ones((64, 28, 28, 1))).shape
    (64, 784)
    """
    x = jnp.asarray(x)
    if x.ndim == 0:
        raise ValueError("flatten: expected x of shape (n, ...), got a scalar")
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))
