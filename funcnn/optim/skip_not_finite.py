"""Steps whose gradients are not finite are left out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .extra_args import check_transformation, passing_extra_args, transformation_around
from .hyperparameters import whole_number
from .matching import check_state, inexact_leaves, with_dtypes_of


class SkipNotFiniteState(NamedTuple):
    """The state of `skip_not_finite`.

    Attributes:
        notfinite_count: int32, (). How many gradients in a row, up to the latest, were not finite.
        last_finite: bool, (). Was the latest?
        total_notfinite: int32, (). How many were not, in all.
        inner_state: that of the inner transformation.
    """

    notfinite_count: jax.Array
    last_finite: jax.Array
    total_notfinite: jax.Array
    inner_state: Any


def skip_not_finite(inner: Any, max_consecutive_errors: int) -> Any:
    """Leaves out a step whose gradients hold NaN or infinity; as `optax.apply_if_finite`.

    The updates are then 0, and `inner` does not hear of it: its state stays. After more than
    `max_consecutive_errors` such steps in a row the gradients go through, so that a training that
    is lost shows it.

    Args:
        inner: a transformation, funcnn's or optax's.
        max_consecutive_errors: a whole number of at least 0.

    Returns:
        The transformation, with a `SkipNotFiniteState`.

    Raises:
        TypeError: `inner` is not a transformation. ValueError: a negative number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.skip_not_finite(optim.sgd(0.5), 2)
        >>> state = optimizer.init(jnp.zeros(()))
        >>> for g in (2.0, jnp.inf, 2.0):
        ...     update, state = optimizer.update(jnp.array(g), state)
        ...     print(update, state.total_notfinite)
        -1.0 0
        0.0 1
        -1.0 1
    """
    check_transformation("inner", inner)
    inner_update = passing_extra_args(inner)
    most = whole_number("max_consecutive_errors", max_consecutive_errors, low=0)

    def init(params):
        zero = lambda: jnp.zeros((), jnp.int32)  # one buffer each, since they may be donated
        return SkipNotFiniteState(zero(), jnp.array(True), zero(), inner.init(params))

    def update(updates, state, params=None, **extra_args):
        check_state(state, SkipNotFiniteState)
        arrays, _ = inexact_leaves("gradients", updates)
        finite = jnp.array([jnp.all(jnp.isfinite(g)) for g in arrays], bool).all()
        count = jnp.where(finite, 0, jnp.minimum(state.notfinite_count, most) + 1)

        def take():
            new, inner_state = inner_update(updates, state.inner_state, params, **extra_args)
            return with_dtypes_of(updates, new), with_dtypes_of(state.inner_state, inner_state)

        def skip():
            zeros = with_dtypes_of(updates, jax.tree.map(jnp.zeros_like, updates))
            return zeros, with_dtypes_of(state.inner_state, state.inner_state)

        updates, inner_state = jax.lax.cond(finite | (count > most), take, skip)
        total = jnp.minimum(state.total_notfinite, jnp.iinfo(jnp.int32).max - 1)
        total = jnp.where(finite, state.total_notfinite, total + 1)
        return updates, SkipNotFiniteState(count, finite, total, inner_state)

    return transformation_around([inner], init, update)
