"""Schedule-free averaging: good params at any time, without a schedule that ends."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from .extra_args import check_transformation, passing_extra_args, transformation_around
from .hyperparameters import number
from .lift import as_schedule
from .matching import check_matching, check_state, inexact_leaves, with_dtypes_of
from .transformation import PyTree, Schedule


class ScheduleFreeState(NamedTuple):
    """The state of `schedule_free`.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        b1: float, (). The share of x in y.
        weight_sum: float, (). The sum of the weights of the average so far.
        step_count: int32, (). The step to come: 1 at first.
        max_lr: float, (). The largest rate so far.
        base_optimizer_state: that of the base optimizer.
        z: a pytree like the params: where the base optimizer alone has come to.
    """

    learning_rate: jax.Array
    b1: jax.Array
    weight_sum: jax.Array
    step_count: jax.Array
    max_lr: jax.Array
    base_optimizer_state: Any
    z: PyTree


def schedule_free(
    base_optimizer: Any,
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    weight_lr_power: ArrayLike = 2.0,
    state_dtype: DTypeLike | None = None,
) -> Any:
    """Schedule-free averaging; signature and results are those of `optax.contrib.schedule_free`.

    The base optimizer makes the steps u of z, at gradients taken at y, which are the params; x is
    the average of the z, weighted by the largest rate γ so far, and what to evaluate with:

        z ← z + u(∇f(y))
        x ← (1 − c) x + c z,     c = γ^p / Σ γ^p
        y ← b1 x + (1 − b1) z

    Only y and z are kept. x is `schedule_free_eval_params(state, params)`. The base optimizer
    should have no momentum of its own: `sgd(α)`, `adam(α, b1=0)`. γ and the sum of its powers are
    kept in float32; optax keeps them in the narrowest dtype of the params, and a sum in bfloat16
    stops growing after some hundred steps.

    Args:
        base_optimizer: a transformation, funcnn's or optax's.
        learning_rate: that of the base optimizer, a number of at least 0 or a schedule (a warm-up,
            say; called with 1 in the first step, as optax does).
        b1: the share of x in y, above 0 and below 1.
        weight_lr_power: p, at least 0.
        state_dtype: dtype of z; None for that of each parameter.

    Returns:
        The transformation, with a `ScheduleFreeState`; `update` needs the params.

    Raises:
        TypeError: what is not a transformation or a number. ValueError: a number outside its range.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.schedule_free(optim.sgd(0.5), 0.5, b1=0.5)
        >>> y = jnp.array(4.0)
        >>> state = optimizer.init(y)
        >>> for _ in range(3):  # on f(y) = y²/2, whose gradient is y
        ...     updates, state = optimizer.update(y, state, y)
        ...     y = optim.apply_updates(y, updates)
        ...     print(state.z, optim.schedule_free_eval_params(state, y).round(6), y.round(6))
        2.0 2.0 2.0
        1.0 1.5 1.25
        0.375 1.125 0.75

    Source: Defazio et al., "The Road Less Scheduled", NeurIPS 2024.
    """
    check_transformation("base_optimizer", base_optimizer)
    inner_update = passing_extra_args(base_optimizer)
    rate_at = as_schedule(learning_rate)
    b1 = number("b1", b1, low=0, below=1)
    if isinstance(b1, float) and b1 == 0:
        raise ValueError("b1 must be above 0, got 0: x could not be told from y and z")
    power = number("weight_lr_power", weight_lr_power, low=0)

    def init(params):
        arrays, structure = inexact_leaves("params", params)
        z = [jnp.array(x, state_dtype or x.dtype) for x in arrays]  # copies: both may be donated
        scalar = lambda value: jnp.array(value, jnp.result_type(float))
        first = jnp.ones((), jnp.int32)
        return ScheduleFreeState(
            scalar(rate_at(first)),
            scalar(b1),
            scalar(0),
            first,
            scalar(0),
            base_optimizer.init(params),
            structure.unflatten(z),
        )

    def update(updates, state, params=None, **extra_args):
        check_state(state, ScheduleFreeState)
        _check_params(params, state)
        steps, base_state = inner_update(updates, state.base_optimizer_state, params, **extra_args)
        rate = jnp.asarray(rate_at(state.step_count), state.max_lr.dtype)
        max_lr = jnp.maximum(state.max_lr, rate)
        weight_sum = state.weight_sum + max_lr**power
        c = jnp.where(weight_sum > 0, max_lr**power / weight_sum, 0)

        def move(y, z, u):
            """The update of y, and the new z."""
            real = y.real.dtype
            z_new = (z + u).astype(z.dtype)
            x = (1 - c).astype(real) * _x(y, z, b1) + c.astype(real) * z_new
            return b1 * x + (1 - b1) * z_new - y, z_new

        pairs = jax.tree.map(move, params, state.z, steps)
        pair = jax.tree.structure((0, 0))
        updates_y, z = jax.tree.transpose(jax.tree.structure(params), pair, pairs)
        return with_dtypes_of(updates, updates_y), ScheduleFreeState(
            rate,
            state.b1,
            weight_sum,
            jnp.minimum(state.step_count, jnp.iinfo(jnp.int32).max - 1) + 1,
            max_lr,
            with_dtypes_of(state.base_optimizer_state, base_state),
            z,
        )

    return transformation_around([base_optimizer], init, update)


def schedule_free_eval_params(state: ScheduleFreeState, params: PyTree) -> PyTree:
    """The params x to evaluate with, (y − (1 − b1) z) / b1; y are those that are trained.

    Args:
        state: that of `schedule_free`.
        params: those that were updated with it.

    Returns:
        A pytree like the params.

    Raises:
        TypeError: the state of another transformation. ValueError: the state of other params.

    Source: as `optax.contrib.schedule_free_eval_params`, which takes this state too.
    """
    check_state(state, ScheduleFreeState)
    _check_params(params, state)
    b1_for = lambda y: state.b1.astype(y.real.dtype)
    return jax.tree.map(lambda y, z: _x(y, z, b1_for(y)).astype(y.dtype), params, state.z)


def _x(y, z, b1):
    return (y - (1 - b1) * z) / b1


def _check_params(params, state):
    if params is None:
        raise ValueError("schedule_free needs the params: call update(gradients, state, params)")
    advice = "the state is for other params: make one with init(params)"
    check_matching("params", params, "state's z", state.z, dtypes=False, advice=advice)
