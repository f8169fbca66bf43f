"""Dropping at random: single numbers, or whole branches."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.nn.errors import describe, expect_inexact, expect_key


def dropout(
    x: ArrayLike, rate: float, key: jax.Array, *, broadcast_dims: Sequence[int] = ()
) -> jax.Array:
    """y = m x / (1 − rate), where each m is 0 with probability `rate` and else 1.

    The division keeps the mean what it is without dropout, so that nothing is done at inference.

    Args:
      x: of any shape; a floating dtype.
      rate: the probability of being dropped, in [0, 1).
      key: of the random numbers; the same key drops the same.
      broadcast_dims: axes along which there is one m for all: the spatial axes, say, to drop
        whole channels of images.

    Returns:
      y, of x's shape and dtype.

    Raises:
      TypeError: x of integers; no key; a rate that is no number.
      ValueError: rate outside [0, 1); broadcast_dims that x does not have.

    Source: Srivastava et al., "Dropout", 2014; decks A, B and E, row 18. What Flax's `nnx.Dropout`
    does, with the same numbers from the same key.

    >>> import jax, jax.numpy as jnp
    >>> set(dropout(jnp.ones(100), 0.5, jax.random.key(0)).tolist()) == {0.0, 2.0}
    True
    """
    x = jnp.asarray(x)
    expect_inexact("dropout", x)
    expect_rate("dropout", rate)
    expect_key(key)
    if any(not -x.ndim <= axis < x.ndim for axis in broadcast_dims):
        raise ValueError(
            f"dropout: expected x with the axes broadcast_dims={tuple(broadcast_dims)}, "
            f"got {x.shape}"
        )
    shared = {axis % x.ndim for axis in broadcast_dims}
    shape = [1 if axis in shared else size for axis, size in enumerate(x.shape)]
    keep = jax.random.bernoulli(key, 1 - float(rate), shape)
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


def stochastic_depth(x: ArrayLike, rate: float, key: jax.Array) -> jax.Array:
    """A branch's output x, dropped for whole examples: `dropout` with one m an example.

    Around it goes a residual connection, so that for an example that is dropped the branch is
    skipped. (The paper has no division in training, and multiplies by 1 − rate at inference.)

    Args:
      x: (n, ...), where the first axis is the batch; a floating dtype.
      rate: the probability of being dropped, in [0, 1).
      key: of the random numbers.

    Returns:
      y, of x's shape and dtype.

    Raises:
      As `dropout`; ValueError for a scalar.

    Source: Huang et al., "Deep Networks with Stochastic Depth", 2016; deck B, row 18.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.ones((4, 3))
    >>> y = stochastic_depth(x, 0.5, jax.random.key(1))
    >>> bool(jnp.all(y == y[:, :1]))
    True
    """
    if jnp.ndim(x) == 0:
        raise ValueError("stochastic_depth: expected x of shape (n, ...), got a scalar")
    return dropout(x, rate, key, broadcast_dims=range(1, jnp.ndim(x)))


def expect_rate(name: str, rate: Any) -> None:
    """A number in [0, 1) is a rate."""
    if isinstance(rate, bool) or not isinstance(rate, Real):
        raise TypeError(f"{name}: rate must be a number in [0, 1), got {describe(rate)}")
    if not 0 <= float(rate) < 1:
        raise ValueError(
            f"{name}: rate, the probability of being dropped, must be in [0, 1), got {rate}"
        )
