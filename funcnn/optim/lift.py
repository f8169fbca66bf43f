"""From an algorithm for one array to a gradient transformation of whole pytrees."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .hyperparameters import number, scalar
from .masks import Mask, resolved
from .matching import check_matching, check_state, inexact_leaves, show, with_dtype
from .transformation import GradientTransformation, Schedule

_MAX_COUNT = jnp.iinfo(jnp.int32).max


def lift(
    algorithm: Callable[..., Any],
    state_type: type[Any],
    *,
    slots: Mapping[str, Callable[[jax.Array], jax.Array]] | None = None,
    learning_rate: ArrayLike | Schedule | None = None,
    scalars: Callable[[Any], Mapping[str, ArrayLike | None]] | None = None,
    uses_params: bool = False,
    masks: Mapping[str, Mask] | None = None,
) -> GradientTransformation:
    """Lifts an algorithm for one array over a pytree and into a `GradientTransformation`.

    The algorithm is its formula. What all algorithms share is done here: the mapping over the
    pytree, a state whose structure and dtypes stay, the count, schedules, and errors.

    Args:
        algorithm: `algorithm(gradient, *slots, x=..., rate=..., **scalars) -> (update, *slots)`, or
            only the update if there are no slots. The update is what will be added to the
            parameter, so the minus sign of descent is the algorithm's. It gets `rate` if
            `learning_rate` is given, and the parameter `x` if it `uses_params`. Scalars come in the
            precision of the gradient and slots, and what is returned is cast to the dtypes of the
            gradient and of the old slots.
        state_type: a `NamedTuple` for the state, with a field for each slot (a pytree like the
            params); `learning_rate` (float, (): the rate of the latest update, and before the
            first one the rate that it will have) if one is given; and `count` (int32, (): updates
            so far, stopping at the largest int32) if there are `scalars` or the learning rate is
            a schedule. Other fields keep their defaults.
        slots: what the algorithm remembers of each array: from the slot's name to the function
            that makes its first value, a new array, from the parameter. `algorithm` takes and
            returns them in this order.
        learning_rate: a number of at least 0, or a schedule, called with the count before the
            update: 0 in the first step.
        scalars: `scalars(t)` returns, by name, the scalars that all arrays share in step t. t is
            int32, (), and 1 in the first step, as in most formulas.
        uses_params: the step depends on the parameter, not on its gradient alone; `update` then
            needs the params.
        masks: from the name of a scalar to the mask that chooses the arrays which it is for; the
            algorithm gets None for the others. A mask is a pytree of bools, like the params or a
            prefix, a function from params to one, or a path pattern such as "**/kernel".

    Returns:
        The transformation. Its `update` raises TypeError for gradients that are not of float or
        complex dtype and for the state of another algorithm, and ValueError for gradients that
        have not the structure, shapes and dtypes of the params (if passed) or not the structure
        and shapes of the state, or where the params are needed and were not passed. The message
        names the leaf.

    Raises:
        TypeError, ValueError: `learning_rate` is not a finite number of at least 0. A schedule's
            value is checked by `init`, at count 0.

    Example:
        Gradient descent by the sign, which also counts how often each entry had no gradient:

        >>> from typing import NamedTuple
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> class SignState(NamedTuple):
        ...     learning_rate: jax.Array
        ...     zeros: optim.PyTree
        >>> def sign_descent(g, zeros, *, rate):
        ...     return -rate * jnp.sign(g), zeros + (g == 0)
        >>> optimizer = optim.lift(
        ...     sign_descent, SignState, slots={"zeros": jnp.zeros_like}, learning_rate=0.5
        ... )
        >>> state = optimizer.init({"w": jnp.ones(2)})
        >>> updates, state = optimizer.update({"w": jnp.array([3.0, 0.0])}, state)
        >>> updates
        {'w': Array([-0.5, -0. ], dtype=float32)}
        >>> state
        SignState(learning_rate=Array(0.5, dtype=float32),
                  zeros={'w': Array([0., 1.], dtype=float32)})
    """
    slots, masks = dict(slots or {}), dict(masks or {})
    counted = scalars is not None or callable(learning_rate)
    required = set(state_type._fields) - set(state_type._field_defaults)
    has_rate = learning_rate is not None or "learning_rate" in required
    rate_at = as_schedule(learning_rate) if has_rate else lambda count: None
    # compiled in eager updates too, to round as in compiled ones: 1 − 0.999ᵗ has no digit to spare
    scalars_at: Callable[[Any], Any] = jax.jit(scalars, inline=True) if scalars else lambda t: {}

    def make_state(count, rate, trees):
        fields = dict(trees)
        if counted:
            fields["count"] = count
        if rate is not None:
            fields["learning_rate"] = jnp.asarray(rate, dtype=jnp.result_type(float))
        return state_type(**fields)

    def init(params):
        arrays, structure = inexact_leaves("params", params)
        count = jnp.zeros((), jnp.int32)
        rate = rate_at(count)
        if has_rate:
            number("the learning rate at count 0", rate, low=0)
        trees = {name: structure.unflatten(map(first, arrays)) for name, first in slots.items()}
        return make_state(count, rate, trees)

    def update(updates, state, params=None, **extra_args):
        del extra_args  # part of the protocol; no lifted algorithm needs one
        _check_state(state, state_type, counted)
        gradients, structure = inexact_leaves("gradients", updates)
        _check_gradients(updates, params, {name: getattr(state, name) for name in slots})
        xs = _params_for(gradients, params, uses_params)
        chosen = {name: jax.tree.leaves(resolved(mask, updates)) for name, mask in masks.items()}

        count = jnp.minimum(state.count, _MAX_COUNT - 1) + 1 if counted else None
        rate = rate_at(state.count if counted else None)
        shared = dict(scalars_at(count))
        if rate is not None:
            shared["rate"] = rate

        @functools.cache  # one cast for each dtype rather than for each array
        def shared_for(dtype):
            return {name: _in_precision(dtype, value) for name, value in shared.items()}

        rows = []  # for each array: the update and the new slots
        columns = [gradients, *(jax.tree.leaves(getattr(state, name)) for name in slots)]
        for i, old in enumerate(zip(*columns, strict=True)):
            own = {"x": xs[i]} if uses_params else {}
            own |= {name: None for name in masks if not chosen[name][i]}
            try:
                new = algorithm(*old, **(shared_for(jnp.result_type(*old)) | own))
                rows.append(_like(old, new if slots else (new,)))
            except Exception as error:
                path, _ = jax.tree.leaves_with_path(updates)[i]
                error.add_note(f"in the update of leaf {show(path)}")
                raise
        updates, *trees = (
            structure.unflatten(row[i] for row in rows) for i in range(1 + len(slots))
        )
        return updates, make_state(count, rate, zip(slots, trees, strict=True))

    return GradientTransformation(init, update)


def as_schedule(learning_rate: ArrayLike | Schedule | None) -> Callable[[Any], Any]:
    """A function from the count to the rate: a Python float if constant, else an array, ().

    Raises:
        TypeError, ValueError: it is neither a schedule nor a finite number of at least 0.
    """
    if callable(learning_rate):
        schedule = learning_rate
        name = "what the learning rate's schedule returned"
        rate_at = lambda count: scalar(name, schedule(count))
    else:
        constant = number("learning_rate", learning_rate, low=0)
        if isinstance(constant, float):
            return lambda count: constant
        rate_at = lambda count: constant

    # a copy, because it goes into the state, which may be donated
    return lambda count: jnp.array(rate_at(count), dtype=jnp.result_type(float))


def _like(old, new):
    """What the algorithm made of gradient and slots, in their dtypes."""
    if len(new) != len(old):
        raise ValueError(
            f"the algorithm returned {len(new)} values, expected the update and "
            f"{len(old) - 1} slots"
        )
    return [with_dtype(a, b.dtype) for a, b in zip(new, old, strict=True)]


def _in_precision(dtype, value):
    """Casts a float array to the real dtype of that precision; a Python number adapts anyway."""
    if (
        value is None
        or isinstance(value, float)
        or not jnp.issubdtype(jnp.result_type(value), jnp.inexact)
    ):
        return value
    return jnp.asarray(value, dtype=jnp.finfo(dtype).dtype)


def _check_state(state, state_type, counted):
    check_state(state, state_type)
    # a tuple has a method of that name, so look at the fields
    if "count" in state_type._fields and (state.count is not None) != counted:
        raise ValueError(
            f"the {state_type.__name__} is of another optimizer: its count is {state.count}, but "
            f"this optimizer {'counts' if counted else 'does not count'} its updates (a schedule "
            "needs the count, a constant learning rate does not); make a state with init(params)"
        )


def _check_gradients(gradients, params, slots):
    if params is not None:
        advice = "pass the params that the gradients were taken of"
        check_matching("gradients", gradients, "params", params, dtypes=True, advice=advice)
    for name, tree in slots.items():
        advice = "the state is for other params: make one with init(params)"
        check_matching("gradients", gradients, f"state's {name}", tree, dtypes=False, advice=advice)


def _params_for(gradients, params, uses_params):
    if not uses_params:
        return []
    if params is None and gradients:
        raise ValueError(
            "this optimizer needs the params for its step: call update(gradients, state, params)"
        )
    return inexact_leaves("params", params)[0]
