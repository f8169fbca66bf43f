"""Gradient accumulation: one step for several batches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from .extra_args import check_transformation, passing_extra_args, transformation_around
from .hyperparameters import whole_number
from .matching import check_matching, check_state, inexact_leaves, with_dtypes_of
from .transformation import PyTree


class MultiStepsState(NamedTuple):
    """The state of `multi_steps`.

    Attributes:
        mini_step: int32, (). Gradients since the latest step; 0 right after a step.
        gradient_step: int32, (). Steps so far.
        inner_opt_state: that of the inner transformation.
        acc_grads: a pytree like the params: the mean or sum of the gradients since the last step.
    """

    mini_step: jax.Array
    gradient_step: jax.Array
    inner_opt_state: Any
    acc_grads: PyTree


def multi_steps(
    opt: Any,
    every_k_schedule: int | Callable[[jax.Array], ArrayLike],
    use_grad_mean: bool = True,
    accumulator_dtype: DTypeLike | None = None,
) -> Any:
    """Gathers k gradients, then lets `opt` take a step with their mean; as `optax.MultiSteps`.

    The k − 1 updates in between are 0. A batch too large for the memory is trained in k parts:
    for a loss that is a mean over its examples, k equal parts give the gradient of the whole.
    A transformation like any other: no `gradient_transformation()` is needed to put it in a chain.

    Args:
        opt: a transformation, funcnn's or optax's.
        every_k_schedule: k, at least 1, or a function from the steps so far (int32, ()) to k.
        use_grad_mean: the mean of the k gradients, else their sum.
        accumulator_dtype: dtype in which they are gathered; None for that of the params, but
            float32 at least. (optax: float32, which loses the imaginary part of complex params.)

    Returns:
        The transformation, with a `MultiStepsState`. Where optax has `has_updated(state)`, look at
        `state.mini_step == 0`.

    Raises:
        TypeError: `opt` is not a transformation, or k no whole number. ValueError: k is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.multi_steps(optim.sgd(1.0), 2)
        >>> state = optimizer.init(jnp.zeros(()))
        >>> for g in (1.0, 5.0, 7.0):
        ...     update, state = optimizer.update(jnp.array(g), state)
        ...     print(update, state.mini_step)
        0.0 1
        -3.0 0
        0.0 1
    """
    check_transformation("opt", opt)
    inner_update = passing_extra_args(opt)
    if not callable(every_k_schedule):
        whole_number("every_k_schedule", every_k_schedule, low=1)

    def gathered(x):
        # like x, so that it lies on the devices that x lies on
        return jnp.zeros_like(x, accumulator_dtype or jnp.promote_types(x.dtype, jnp.float32))

    def init(params):
        arrays, structure = inexact_leaves("params", params)
        zero = lambda: jnp.zeros((), jnp.int32)  # one buffer each, since they may be donated
        return MultiStepsState(
            zero(), zero(), opt.init(params), structure.unflatten(map(gathered, arrays))
        )

    def update(updates, state, params=None, **extra_args):
        check_state(state, MultiStepsState)
        inexact_leaves("gradients", updates)
        advice = "the state is for other params: make one with init(params)"
        gathered = state.acc_grads
        check_matching("gradients", updates, "acc_grads", gathered, dtypes=False, advice=advice)

        k = (
            every_k_schedule(state.gradient_step)
            if callable(every_k_schedule)
            else every_k_schedule
        )
        share = 1 / (state.mini_step + 1) if use_grad_mean else None
        add = lambda a, g: a + (g if share is None else (g - a) * share.astype(a.real.dtype))
        gathered = with_dtypes_of(gathered, jax.tree.map(add, gathered, updates))

        def step():
            means = with_dtypes_of(updates, gathered)
            new, inner_state = inner_update(means, state.inner_opt_state, params, **extra_args)
            return (
                with_dtypes_of(updates, new),
                with_dtypes_of(state.inner_opt_state, inner_state),
                jax.tree.map(jnp.zeros_like, gathered),
            )

        def wait():
            zeros = with_dtypes_of(updates, jax.tree.map(jnp.zeros_like, updates))
            return zeros, with_dtypes_of(state.inner_opt_state, state.inner_opt_state), gathered

        last = state.mini_step + 1 >= k
        updates, inner_state, gathered = jax.lax.cond(last, step, wait)
        return updates, MultiStepsState(
            jnp.where(last, 0, state.mini_step + 1),
            state.gradient_step + last,
            inner_state,
            gathered,
        )

    return transformation_around([opt], init, update)
