"""Penalties on the size of the weights: on kernels, not on biases, chosen by path.

All of them leave the factor λ to the caller. The lectures scale L2 in two ways:

    loss + λ * l2(params)                decks B, C and E: λ Σ w²
    loss + λ / (2 * n) * l2(params)      deck A: λ/(2n) Σ W², for n examples
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn import paths
from funcnn.losses.arguments import absolute, at_least_float32, expect_number, floating

KERNELS = "**/kernel"


def l2(params: paths.PyTree, *patterns: paths.Pattern) -> jax.Array:
    """L2 penalty Σ w² over all kernels.

    Args:
      params: a pytree of floating arrays.
      patterns: which leaves, as in `funcnn.paths`; without any, all those named "kernel".
        `"**"` takes every leaf.

    Returns:
      A scalar; the sum is taken in float32 at least.

    Raises:
      TypeError: a chosen leaf of integers.
      ValueError: a pattern that no leaf matches; the message lists the paths that there are.

    Source: decks A, B, C and E, row 17.

    >>> import jax.numpy as jnp
    >>> params = {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([10.0, 10.0])}
    >>> l2(params)
    Array(5., dtype=float32)
    >>> l2(params, "*")
    Array(205., dtype=float32)
    """
    return _total(lambda w: jnp.square(w), params, patterns)


def l1(params: paths.PyTree, *patterns: paths.Pattern) -> jax.Array:
    """L1 penalty Σ |w| over all kernels; the gradient at 0 is 0.

    Arguments and errors as in `l2`. Source: decks B, C and E, row 17.

    >>> import jax.numpy as jnp
    >>> l1({"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([10.0, 10.0])})
    Array(3., dtype=float32)
    """
    return _total(absolute, params, patterns)


def elastic_net(params: paths.PyTree, beta: ArrayLike, *patterns: paths.Pattern) -> jax.Array:
    """Elastic net Σ β w² + |w| over all kernels: L2 and L1 at once.

    Args:
      beta: β ≥ 0.
      params, patterns: as in `l2`.

    Raises:
      As `l2`; TypeError for a beta that is no number, ValueError for one below 0.

    Source: deck B, row 17; Zou and Hastie, Regularization and Variable Selection via the Elastic
    Net, 2005.

    >>> import jax.numpy as jnp
    >>> elastic_net({"kernel": jnp.array([[1.0, -2.0]])}, 0.5)
    Array(5.5, dtype=float32)
    """
    expect_number("beta", beta, "of at least 0", lambda beta: beta >= 0)
    return _total(lambda w: beta * jnp.square(w) + absolute(w), params, patterns)


def _total(penalty, params, patterns) -> jax.Array:
    """The sum of the penalty over the leaves that the patterns choose."""
    chosen = paths.select(params, *(patterns or (KERNELS,)))
    leaves = [
        floating(f"the leaf {name}", w)
        for name, w in zip(paths.names(chosen), jax.tree.leaves(chosen), strict=True)
    ]
    total = sum((jnp.sum(penalty(at_least_float32(w))) for w in leaves), start=jnp.zeros(()))
    return total.astype(jnp.result_type(*leaves))
