"""Making a parameter, and counting them."""

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
from jax.nn import initializers

from funcnn.nn.errors import describe, expect_key

Initializer = Callable[..., jax.Array]

# the same as Flax's: truncated normal of variance 1/in
default_kernel_init: Initializer = initializers.lecun_normal()


def initialized(
    name: str, initializer: Initializer, key: jax.Array, shape: tuple[int, ...], dtype: Any
) -> jax.Array:
    """`initializer(key, shape, dtype)`; ValueError where that gives no array of this shape."""
    array = initializer(key, shape, dtype)
    if getattr(array, "shape", None) != shape:
        # lecun_normal without brackets returns a function
        raise ValueError(
            f"expected {name}_init(key, shape, dtype) to return an array of shape {shape}, got "
            f"{describe(array)}: initializers are made like nn.initializers.lecun_normal()"
        )
    return array


def kernel_and_bias(
    key: Any,
    shape: tuple[int, ...],
    dtype: Any,
    kernel_init: Initializer,
    bias_init: Initializer | None,
) -> dict[str, jax.Array]:
    """{"kernel": of that shape, "bias": one for each unit of the last axis, unless None}."""
    expect_key(key)
    kernel_key, bias_key = jax.random.split(key)
    params = {"kernel": initialized("kernel", kernel_init, kernel_key, shape, dtype)}
    if bias_init is not None:
        params["bias"] = initialized("bias", bias_init, bias_key, shape[-1:], dtype)
    return params


def expect_number(layer: str, what: str, number: Any, example: str) -> int:
    """An integer of at least 1, such as a number of units."""
    try:
        number = operator.index(number)
    except TypeError:
        # nn.dense without brackets, used as a plain function, arrives here with its input.
        raise TypeError(
            f"{layer}: {what} must be an integer, as in nn.{layer}({example}), "
            f"got {describe(number)}"
        ) from None
    if number < 1:
        raise ValueError(f"{layer}: {what} must be at least 1, got {number}")
    return number


def count_parameters(params: Any) -> int:
    """The number of scalars in a pytree of arrays, or of `jax.ShapeDtypeStruct`s.

    Raises:
      TypeError: a leaf has no shape (the model itself, say, in the place of its params).

    Source: deck A, row 11.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> model = nn.serial(nn.dense(30), jax.nn.relu, nn.dense(30), jax.nn.relu, nn.dense(10))
    >>> params, _ = model.init(jax.random.key(0), jax.ShapeDtypeStruct((784,), jnp.float32))
    >>> nn.count_parameters(params)
    24790
    """
    leaves = jax.tree.leaves(params)
    for leaf in leaves:
        if not hasattr(leaf, "shape"):
            raise TypeError(
                f"count_parameters: expected a pytree of arrays, got {leaf!r} in it: "
                "give it the params of params, state = layer.init(key, x)"
            )
    return sum(math.prod(leaf.shape) for leaf in leaves)
