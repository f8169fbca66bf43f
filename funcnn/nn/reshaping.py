"""Layers without parameters that change the shape of an array."""

import math
import operator

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.nn.errors import describe
from funcnn.nn.layer import Layer, without_params


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


def reshape(*shape: int) -> Layer:
    """Each example in another shape: (n, ...) to (n, *shape), in C order.

    Args:
      shape: one number may be −1, for what is left over. The batch axis is not among them.

    Raises:
      TypeError: a shape that is not of integers.
      ValueError: more than one −1; x whose examples have another number of elements.

    >>> import jax.numpy as jnp
    >>> reshape(28, 28, -1)((), jnp.ones((64, 784))).shape
    (64, 28, 28, 1)
    """
    try:
        shape = tuple(map(operator.index, shape))
    except TypeError:
        raise TypeError(
            "reshape: expected a shape of integers, as in nn.reshape(28, 28, 1), got "
            f"{', '.join(map(describe, shape))}"
        ) from None
    if min(shape, default=0) < -1 or shape.count(-1) > 1:
        raise ValueError(f"reshape: expected sizes and at most one -1, got {shape}")

    def function(x: ArrayLike) -> jax.Array:
        x = jnp.asarray(x)
        size, known = math.prod(x.shape[1:]), math.prod(n for n in shape if n != -1)
        # not left to jnp, which cannot know what -1 is in an empty batch
        left = size // known if known else 0
        full = tuple(left if n == -1 else n for n in shape)
        if x.ndim == 0 or math.prod(full) != size:
            raise ValueError(
                f"reshape: expected x of shape (n, ...) whose examples fit into {shape}, "
                f"got {x.shape}"
            )
        return x.reshape(x.shape[0], *full)

    return without_params(function, f"reshape({', '.join(map(str, shape))})")
