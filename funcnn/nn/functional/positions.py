"""Positions as numbers that a network can use."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from funcnn.nn.errors import expect_inexact


def sinusoidal_positions(
    length: int, features: int, *, base: float = 10000.0, dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """PE[p, 2i] = sin(p / base^(2i/features)), PE[p, 2i + 1] = cos of the same.

    Args:
      length: the number of positions p, from 0.
      features: even.
      base: how much longer the last wavelength is than the first.
      dtype: of the result, which is computed in float32 at least.

    Returns:
      (length, features).

    Raises:
      ValueError: features that are odd.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    >>> import numpy as np
    >>> print(np.asarray(sinusoidal_positions(2, 4)).round(3))
    [[0.    1.    0.    1.   ]
     [0.841 0.54  0.01  1.   ]]
    """
    angles = _angles(jnp.arange(length), features, base, dtype)
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(length, -1).astype(dtype)


def rotary(x: ArrayLike, positions: ArrayLike | None = None, *, base: float = 10000.0) -> jax.Array:
    """Queries or keys, each pair of numbers turned by an angle that grows with the position.

    The pair (x[i], x[i + head_dim/2]) turns by p / base^(2i/head_dim), so that the product of a
    query and a key depends on how far apart they are, and not on where.

    Args:
      x: (..., time, heads, head_dim), head_dim even, of a floating dtype.
      positions: p, (time,) or (..., time) like the leading axes of x; 0, 1, 2, ... if None.
      base: how much longer the last wavelength is than the first.

    Returns:
      An array like x; the angles are computed in float32 at least.

    Raises:
      TypeError: x of integers.
      ValueError: an odd head_dim; x of fewer than three axes.

    Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021.

    >>> import numpy as np
    >>> x = np.tile(np.float32([1, 0]), (3, 1, 1))
    >>> print(np.asarray(rotary(x)[:, 0]).round(3))
    [[ 1.     0.   ]
     [ 0.54   0.841]
     [-0.416  0.909]]
    """
    x = jnp.asarray(x)
    expect_inexact("rotary", x)
    if x.ndim < 3:
        raise ValueError(f"rotary: expected x of shape (..., time, heads, head_dim), got {x.shape}")
    positions = jnp.arange(x.shape[-3]) if positions is None else jnp.asarray(positions)
    angles = _angles(positions, x.shape[-1], base, x.dtype)[..., None, :]
    sin, cos = jnp.sin(angles).astype(x.dtype), jnp.cos(angles).astype(x.dtype)
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _angles(positions: jax.Array, features: int, base: float, dtype: DTypeLike) -> jax.Array:
    """(..., positions) to (..., positions, features/2)."""
    if features % 2:
        raise ValueError(f"positions: expected an even number of features, got {features}")
    wide = jnp.promote_types(dtype, jnp.float32)
    frequencies = base ** -(jnp.arange(0, features, 2, dtype=wide) / features)
    return positions.astype(wide)[..., None] * frequencies
