"""The fully connected layer's function."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.nn.errors import expect_inexact


def dense(x: ArrayLike, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """y = x W + b, with rows as examples.

    Args:
      x: (..., in), any number of leading axes (also none, also of size 0), of a floating dtype.
      kernel: W, (in, out).
      bias: b, (out,), or None for none.

    Returns:
      y, (..., out).

    Raises:
      TypeError: x of integers.
      ValueError: shapes that do not match; the message shows them.

    Source: Z = X W + B, decks A to E, row 9.

    >>> import jax.numpy as jnp
    >>> dense(jnp.array([1.0, 2.0]), jnp.eye(2), jnp.array([10.0, 20.0]))
    Array([11., 22.], dtype=float32)
    """
    x = jnp.asarray(x)
    expect_inexact("dense", x)
    if kernel.ndim != 2:
        raise ValueError(f"dense: expected a kernel of shape (in, out), got {kernel.shape}")
    if x.ndim == 0 or x.shape[-1] != kernel.shape[0]:
        flat = x.ndim > 1 and math.prod(x.shape[1:]) == kernel.shape[0]
        raise ValueError(
            f"dense: expected x of shape (..., {kernel.shape[0]}) to match kernel {kernel.shape}, "
            f"got {x.shape}{': put nn.flatten before it' if flat else ''}"
        )
    if bias is None:
        return x @ kernel
    if bias.shape != kernel.shape[1:]:
        raise ValueError(
            f"dense: expected a bias of shape {kernel.shape[1:]} to match kernel {kernel.shape}, "
            f"got {bias.shape}"
        )
    return x @ kernel + bias
