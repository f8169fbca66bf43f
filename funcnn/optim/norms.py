"""Euclidean norms of arrays and of whole pytrees."""

import jax
import jax.numpy as jnp

from .matching import inexact_leaves
from .transformation import PyTree


def norm(x: jax.Array) -> jax.Array:
    """√Σ|x|² over all entries: real, (), in float32 at least."""
    return _root(_sum_of_squares(x))


def global_norm(tree: PyTree) -> jax.Array:
    """√Σ|x|² over all entries of all arrays, as `optax.tree.norm`; in float32 at least.

    Raises:
        TypeError: a leaf that is not an array of float or complex dtype.

    >>> print(global_norm({"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}))
    5.0
    """
    arrays, _ = inexact_leaves("pytree", tree)
    return _root(sum(map(_sum_of_squares, arrays), start=jnp.zeros(())))


def _root(x):
    """√x with a gradient of 0 at 0, for those who differentiate through the steps."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


def _sum_of_squares(x):
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return jnp.sum((wide * wide.conj()).real)
