"""Random search: a first, very bad idea for finding good params."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .hyperparameters import number, whole_number
from .matching import inexact_leaves
from .transformation import PyTree


def random_search(
    loss: Callable[[PyTree], ArrayLike],
    params: PyTree,
    key: jax.Array,
    steps: int,
    scale: ArrayLike = 0.1,
    *,
    local: bool = True,
) -> tuple[PyTree, jax.Array]:
    """Tries params at random and keeps the best: no gradient is needed, and little is found.

    Each step draws ε ~ N(0, 1) for every number of the params and takes

        x_try = x_best + scale ε          local=True: a step from the best so far
        x_try = x_first + scale ε         local=False: each try knows nothing of the others
        x_best ← x_try                    where loss(x_try) < loss(x_best)

    In n dimensions a random direction has a share of about 1/√n of the slope. Following the slope,
    the deck's next idea, is `sgd` on the same loss.

    Args:
        loss: from params to a real number, (); a function that JAX can trace. What is NaN is never
            the best.
        params: a pytree of float or complex arrays, where the search begins; None where there is
            nothing to search.
        key: a key, as from jax.random.key(0).
        steps: how many tries, at least 0.
        scale: at least 0.
        local: see above.

    Returns:
        The best params, of the dtypes of the first; and the loss of the best so far, (steps + 1,),
        that of the first params at its start.

    Raises:
        ValueError: negative steps, a negative scale, or a loss that is no scalar.
        TypeError: params that are not float or complex arrays.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> loss = lambda x: jnp.sum((x - 1) ** 2)
        >>> best, losses = optim.random_search(loss, jnp.zeros(3), jax.random.key(0), 1000)
        >>> print(losses[0], bool(losses[-1] < 0.01))
        3.0 True

    Source: deck B, row 30.
    """
    steps, scale = whole_number("steps", steps, low=0), number("scale", scale, low=0)
    arrays, structure = inexact_leaves("params", params)
    first = structure.unflatten(arrays)
    lowest = jnp.asarray(loss(first))
    if lowest.shape != ():
        raise ValueError(f"the loss must be a scalar, got an array of shape {lowest.shape}")

    def perturbed(tree, key):
        keys = jax.random.split(key, max(len(arrays), 1))
        moved = [
            x + (scale * jax.random.normal(k, x.shape, x.dtype)).astype(x.dtype)
            for x, k in zip(jax.tree.leaves(tree), keys, strict=False)
        ]
        return structure.unflatten(moved)

    def step(best, key):
        params, lowest = best
        tried = perturbed(params if local else first, key)
        value = jnp.asarray(loss(tried), lowest.dtype)
        better = (value < lowest) | (jnp.isnan(lowest) & ~jnp.isnan(value))
        keep = lambda new, old: jnp.where(better, new, old)
        best = jax.tree.map(keep, tried, params), keep(value, lowest)
        return best, best[1]

    start = (first, jnp.asarray(lowest, jnp.result_type(lowest, float)))
    (best, _), losses = jax.lax.scan(step, start, jax.random.split(key, steps))
    return best, jnp.concatenate([start[1][None], losses])
