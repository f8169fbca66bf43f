"""Lookahead: slow params that follow fast ones, and call them back."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .extra_args import check_transformation, passing_extra_args, transformation_around
from .hyperparameters import number, whole_number
from .matching import check_matching, check_state, inexact_leaves, with_dtypes_of
from .transformation import PyTree


class LookaheadState(NamedTuple):
    """The state of `lookahead`.

    Attributes:
        fast_state: that of the fast optimizer.
        slow: a pytree like the params, the slow params: what to evaluate with.
        steps_since_sync: int32, (). 0 right after fast and slow params were made equal.
    """

    fast_state: Any
    slow: PyTree
    steps_since_sync: jax.Array


def lookahead(
    fast_optimizer: Any,
    sync_period: int,
    slow_step_size: ArrayLike,
    reset_state: bool = False,
) -> Any:
    """Lookahead: k steps forward, 1 step back. Arguments and steps are those of `optax.lookahead`.

    With u the update of the fast optimizer, x the params (the fast ones), s the slow ones:

        x ← x + u                                every step
        s ← s + α (x − s),   x ← s               and then, every k-th

    In optax the params are a pair of fast and slow ones, which no model takes. Here the params are
    the fast ones, as the model has them, and the slow ones, which generalize better, are
    `state.slow`. So it goes wherever an optimizer does: into a training loop, a chain (as the last:
    an update changed afterwards would part x from s), another wrapper.

    Args:
        fast_optimizer: a transformation, funcnn's or optax's.
        sync_period: k, a whole number of at least 1.
        slow_step_size: α, at least 0. Typically 0.5.
        reset_state: starts the fast optimizer anew after every k-th step.

    Returns:
        The transformation, with a `LookaheadState`; `update` needs the params.

    Raises:
        TypeError: what is not a transformation or a number. ValueError: k below 1, α below 0.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.lookahead(optim.sgd(1.0), 3, 0.5)
        >>> x = jnp.array(0.0)
        >>> state = optimizer.init(x)
        >>> for _ in range(4):
        ...     updates, state = optimizer.update(jnp.array(-2.0), state, x)
        ...     x = optim.apply_updates(x, updates)
        ...     print(x, state.slow)
        2.0 0.0
        4.0 0.0
        3.0 3.0
        5.0 3.0

    Source: Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", NeurIPS 2019.
    """
    check_transformation("fast_optimizer", fast_optimizer)
    inner_update = passing_extra_args(fast_optimizer)
    k = whole_number("sync_period", sync_period, low=1)
    alpha = number("slow_step_size", slow_step_size, low=0)

    def init(params):
        arrays, structure = inexact_leaves("params", params)
        slow = structure.unflatten(map(jnp.copy, arrays))  # params and state may be donated
        return LookaheadState(fast_optimizer.init(params), slow, jnp.zeros((), jnp.int32))

    def update(updates, state, params=None, **extra_args):
        check_state(state, LookaheadState)
        if params is None:
            raise ValueError("lookahead needs the params: call update(gradients, state, params)")
        advice = "the state is for other params: make one with init(params)"
        check_matching("params", params, "state's slow", state.slow, dtypes=True, advice=advice)
        updates, fast_state = inner_update(updates, state.fast_state, params, **extra_args)
        last = state.steps_since_sync == k - 1

        def pull(u, x, s):
            """The update of x, and the new s."""
            ahead = x + u - s
            return jnp.where(last, u - (1 - alpha) * ahead, u), jnp.where(
                last, s + alpha * ahead, s
            )

        pairs = jax.tree.map(pull, updates, params, state.slow)
        new, slow = jax.tree.transpose(
            jax.tree.structure(updates), jax.tree.structure((0, 0)), pairs
        )
        if reset_state:
            first = fast_optimizer.init(params)
            fast_state = jax.tree.map(lambda a, b: jnp.where(last, a, b), first, fast_state)
        return with_dtypes_of(updates, new), LookaheadState(
            with_dtypes_of(state.fast_state, fast_state),
            with_dtypes_of(state.slow, slow),
            (state.steps_since_sync + 1) % k,
        )

    return transformation_around([fast_optimizer], init, update)
