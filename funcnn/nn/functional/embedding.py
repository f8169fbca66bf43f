"""A table's rows by number."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from funcnn.nn.errors import describe


def embedding(ids: ArrayLike, table: jax.Array) -> jax.Array:
    """y = E[id], a row of the table for each id.

    An id outside 0..rows−1 is never taken for another. Where ids are concrete (in eager code) it
    raises. Where they are traced, under `jit` or `vmap`, its row is NaN, and no row of the table
    gets a gradient from it.

    Args:
      ids: row numbers, of any shape, (...); an integer dtype.
      table: E, (rows, features).

    Returns:
      y, (..., features), of the table's dtype.

    Raises:
      TypeError: ids that are not integers, a table that is.
      ValueError: a table of another rank; concrete ids outside 0..rows−1.

    Equal to Flax's `nnx.Embed` for ids in the range. Source: Bengio et al., "A Neural Probabilistic
    Language Model", 2003.

    >>> import jax.numpy as jnp
    >>> embedding(jnp.array([2, 0]), jnp.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]))
    Array([[4., 5.],
           [0., 1.]], dtype=float32)
    """
    expect_ids(ids)
    if not jnp.issubdtype(table.dtype, jnp.inexact):
        raise TypeError(f"embedding: expected a table of a floating dtype, got {table.dtype}")
    if table.ndim != 2:
        raise ValueError(
            f"embedding: expected a table of shape (rows, features), got {table.shape}"
        )
    if not isinstance(ids, jax.core.Tracer) and getattr(ids, "is_fully_addressable", True):
        _expect_rows(np.asarray(ids), len(table))
    at = jnp.asarray(table).at[jnp.asarray(ids)]
    return at.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def expect_ids(ids: Any) -> None:
    """TypeError where there are no row numbers."""
    if not hasattr(ids, "dtype"):
        raise TypeError(f"embedding: expected an array of ids, got {describe(ids)}")
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(
            f"embedding: expected ids of an integer dtype (row numbers), got {ids.dtype} of shape "
            f"{ids.shape}: convert them with ids.astype('int32')"
        )


def _expect_rows(ids: np.ndarray, rows: int) -> None:
    outside = (ids < 0) | (ids >= rows)
    if outside.any():
        first = tuple(np.argwhere(outside)[0].tolist())
        raise ValueError(
            f"embedding: ids{list(first) if first else ''} is {ids[first]}, expected 0..{rows - 1} "
            f"for {rows} rows ({outside.sum()} of {ids.size} ids are outside)"
        )
