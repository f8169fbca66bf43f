"""The step itself: params plus updates."""

import jax
import jax.numpy as jnp

from .matching import check_matching, show
from .transformation import PyTree


def apply_updates(params: PyTree, updates: PyTree) -> PyTree:
    """Adds the updates to the params: x ← x + u for each array.

    Args:
        params: a pytree of arrays; None where there is nothing to train.
        updates: a pytree of the same structure and shapes.

    Returns:
        The new params, with the dtypes of the old ones, whatever those of the updates.

    Raises:
        ValueError: structure or shapes differ (nothing is broadcast), or an update is complex and
            its parameter real. The message names the leaf.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> params = {"w": jnp.ones(2, jnp.bfloat16), "frozen": None}
        >>> optim.apply_updates(params, {"w": jnp.array([0.5, -1.0]), "frozen": None})
        {'frozen': None, 'w': Array([1.5, 0], dtype=bfloat16)}
    """
    check_matching(
        "updates",
        updates,
        "params",
        params,
        dtypes=False,
        advice="pass the updates that the optimizer made for these params",
    )

    def add(path, x, u):
        if jnp.iscomplexobj(u) and not jnp.iscomplexobj(x):
            raise ValueError(f"leaf {show(path)} is real in the params, but its update is complex")
        return jnp.asarray(x + u, dtype=jnp.result_type(x))

    return jax.tree_util.tree_map_with_path(add, params, updates)
