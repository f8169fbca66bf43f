"""What is looked at before training starts, so that a mistake is an error and not a bad model."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.nn.layer import shape_of
from funcnn.train.counting import count_examples
from funcnn.train.history import PREFIXES, RESERVED
from funcnn.train.objective import Loss
from funcnn.train.state import TrainState


def check_data(name: str, data: Any, loss: Loss, state: TrainState, batch_size: int) -> None:
    """Raises for data that is empty, ragged or not finite, or that the loss cannot take.

    The loss is traced, not computed: on a batch of `data` with a key, or of data held out without.
    """
    try:
        n = count_examples(data)
        check_finite("data", data)
        key = state.key if name == "data" else None
        size = min(batch_size, n)
        of_batch = lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)
        batch = jax.tree.map(of_batch, shape_of(data))  # NumPy's float64 as JAX will have it
        params, model_state = state.params, state.state
        returned = jax.eval_shape(lambda p, s, b: loss(p, s, b, key), params, model_state, batch)
        _check_returned(returned)
        check = getattr(loss, "check", None)
        if check is not None:
            check(params, model_state, data)
    except (ValueError, TypeError) as error:
        error.add_note(f"while checking the argument {name!r}")
        raise


def check_state(state: TrainState) -> None:
    """Raises where training would start from parameters that are not finite."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(state)):
        raise TypeError(
            "train.fit is a Python loop and cannot be traced: inside jit, vmap or grad use the "
            "function that train.make_epoch returns"
        )
    check_finite("state.params", state.params)
    check_finite("state.state", state.state)


def _check_returned(returned: Any) -> None:
    pair = isinstance(returned, tuple) and len(returned) == 2
    extra = returned[1] if pair else None
    if not (
        pair
        and getattr(returned[0], "shape", None) == ()
        and isinstance(extra, tuple)
        and len(extra) == 2
        and isinstance(extra[1], dict)
        and all(getattr(metric, "shape", None) == () for metric in extra[1].values())
    ):
        raise TypeError(
            "a loss must return (scalar, (state, metrics)), metrics a dict of scalars, and "
            f"(value, (state, {{}})) where there is nothing to report; got {returned}"
        )
    taken = {name for name in extra[1] if name in RESERVED or name.startswith(PREFIXES)}
    if taken:
        raise ValueError(f"metrics cannot be named {sorted(taken)}: the history has these already")


def check_finite(what: str, tree: Any) -> None:
    """Raises for values that are not finite, or that JAX's narrower types cannot hold."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = what + jax.tree_util.keystr(path)
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            _check_range(name, leaf)
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        if isinstance(leaf, jax.Array) and bool(jnp.isfinite(leaf).all()):
            continue  # looked at where it is
        values = np.asarray(leaf)
        with np.errstate(over="ignore"):  # what overflows is found below
            narrow = values.astype(jax.dtypes.canonicalize_dtype(values.dtype))
        bad = ~np.isfinite(narrow)
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(
                f"{name}[{', '.join(map(str, first))}] is {values[first]}, and {int(bad.sum())} of "
                f"{bad.size} values are not finite in {narrow.dtype}: replace or leave them out"
            )


def _check_range(name: str, leaf: Any) -> None:
    limits = jnp.iinfo(jax.dtypes.canonicalize_dtype(leaf.dtype))
    if isinstance(leaf, np.ndarray) and leaf.size:
        low, high = int(leaf.min()), int(leaf.max())
        if low < limits.min or high > limits.max:
            raise ValueError(
                f"{name} has values from {low} to {high}, which do not fit in {limits.dtype}: "
                "renumber them, or enable JAX's 64-bit types"
            )
