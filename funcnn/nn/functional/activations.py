"""Activations, where jax.nn has not the one that the lectures have, and units made with them.

The others of the lectures are `jax.nn.sigmoid`, `jax.nn.tanh`, `jax.nn.relu`, `jax.nn.elu` (α is 1
if not given) and `jax.nn.softmax`.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.nn.functional.linear import dense


def leaky_relu(x: ArrayLike, negative_slope: float = 0.1) -> jax.Array:
    """max(0.1 x, x): `jax.nn.leaky_relu` with the slope that the lectures have; JAX's is 0.01.

    Source: decks A, B, C and E, row 12.

    >>> import jax.numpy as jnp
    >>> leaky_relu(jnp.array([-10.0, 0.0, 10.0]))
    Array([-1.,  0., 10.], dtype=float32)
    """
    return jax.nn.leaky_relu(x, negative_slope)


def step(x: ArrayLike) -> jax.Array:
    """1 if x ≥ 0 else 0, in x's dtype; NaN stays NaN. Its gradient is 0 everywhere.

    Source: decks A, D and E, rows 1 and 12.

    >>> import jax.numpy as jnp
    >>> step(jnp.array([-0.5, 0.0, 0.5]))
    Array([0., 1., 1.], dtype=float32)
    """
    return jnp.heaviside(x, 1.0)


def perceptron(x: ArrayLike, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """1 if w·x ≥ θ else 0, where the bias is −θ: `step` of `dense`.

    Args:
      x: (..., in), any number of leading axes, also none; a floating dtype.
      kernel: w, (in, units).
      bias: −θ, (units,), or None for θ = 0.

    Returns:
      y, (..., units).

    Raises:
      As `dense`.

    Source: decks A, D and E, row 1.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> perceptron(x, jnp.array([[20.0], [20.0]]), jnp.array([-30.0])).ravel()  # AND
    Array([0., 0., 0., 1.], dtype=float32)
    """
    return step(dense(x, kernel, bias))


def maxout(x: ArrayLike, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """max(w₁·x + b₁, w₂·x + b₂, ...): of several `dense` layers the largest, unit by unit.

    Args:
      x: (..., in), any number of leading axes, also none; a floating dtype.
      kernel: w, (pieces, in, units).
      bias: b, (pieces, units), or None for none.

    Returns:
      y, (..., units).

    Raises:
      TypeError: x of integers.
      ValueError: shapes that do not match.

    Source: decks A, B and E, row 12; Goodfellow et al., "Maxout Networks", 2013.

    >>> import jax.numpy as jnp
    >>> kernel = jnp.array([[[1.0]], [[-1.0]]])
    >>> maxout(jnp.array([[-3.0], [2.0]]), kernel).ravel()  # |x|
    Array([3., 2.], dtype=float32)
    """
    if kernel.ndim != 3:
        raise ValueError(
            f"maxout: expected a kernel of shape (pieces, in, units), got {kernel.shape}"
        )
    if bias is not None and bias.shape != (kernel.shape[0], kernel.shape[2]):
        raise ValueError(
            f"maxout: expected a bias of shape {(kernel.shape[0], kernel.shape[2])} to match "
            f"kernel {kernel.shape}, got {bias.shape}"
        )
    return jax.vmap(dense, in_axes=(None, 0, None if bias is None else 0))(x, kernel, bias).max(0)
