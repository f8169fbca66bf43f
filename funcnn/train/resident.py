"""Training on arrays that are on the device: each epoch is one compiled program."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from funcnn.optim import GradientTransformation
from funcnn.train.engine import Engine, Outcome, all_finite
from funcnn.train.epoch import make_epoch, make_eval, order, take
from funcnn.train.failures import memory_of_step, nan_origin_of_step
from funcnn.train.history import Row, as_row
from funcnn.train.objective import Loss
from funcnn.train.placement import Placement, placed_loss, placed_step, put_state, put_whole
from funcnn.train.remembered import remembered
from funcnn.train.state import TrainState
from funcnn.train.step import Step, make_step

ARE_FINITE = jax.jit(all_finite)


def resident(
    loss: Loss,
    optimizer: GradientTransformation,
    grad: Callable[..., Any],
    state: TrainState,
    data: Any,
    batch_size: int,
    drop_remainder: bool,
    where: Placement,
) -> Engine:
    """An `Engine` without evaluation; `data` is put on the device."""
    step, epoch = remembered(_programs, loss, optimizer, grad, batch_size, drop_remainder, where)
    data = put_whole(where, data)
    state = _settled(put_state(where, state), data)

    def run(state, number, position, between):
        after, metrics = epoch(state, data)
        if bool(ARE_FINITE((metrics["loss"], after.params, after.state))):
            return Outcome(after, as_row("", metrics))
        explain = None
        if where.batch is None:  # operation by operation it would not fit, or not be the same
            explain = functools.partial(nan_origin_of_step, loss, make_step(loss, optimizer, grad))
        return _first_bad_step(step, state, data, batch_size, drop_remainder, explain)

    def memory() -> str:
        batch = jax.eval_shape(lambda d: take(d, jnp.arange(batch_size)), data)
        return memory_of_step(batch_size, step, state, batch)

    return Engine(state, run, memory, {})


def evaluation(
    loss: Loss, data: Any, batch_size: int, where: Placement
) -> Callable[[Any, Any, int], Row]:
    """Means of loss and metrics over arrays, which are put on the device."""
    evaluate = remembered(_evaluation, loss, batch_size, where)
    data = put_whole(where, data)
    return lambda params, state, number: as_row("", evaluate(params, state, data))


# Only the latest are kept, because they hold on to all that the loss closes over.
@functools.lru_cache(maxsize=1)
def _programs(loss, optimizer, grad, batch_size, drop_remainder, where):
    """The step and the epoch. The old state is what is returned when an epoch goes wrong, so it
    is not donated."""
    step = placed_step(make_step(loss, optimizer, grad), where)
    epoch = make_epoch(step, batch_size, drop_remainder=drop_remainder, donate=False)
    return jax.jit(step), epoch


@functools.lru_cache(maxsize=2)  # validation and test
def _evaluation(loss, batch_size, where):
    return make_eval(placed_loss(loss, where), batch_size)


@functools.partial(jax.jit, keep_unused=True)
def _settled(state: TrainState, data: Any) -> TrainState:
    """The state as an epoch returns it: on the data's devices, no type weak.

    Otherwise the second epoch would meet a state of another kind, and compile once more.
    """
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), state)


def _first_bad_step(
    step: Step,
    start: TrainState,
    data: Any,
    batch_size: int,
    drop_remainder: bool,
    explain: Callable[[TrainState, Any], Any] | None,
) -> Outcome:
    """Walks through the epoch again, step by step, up to the one that is not finite.

    Costs nothing while all goes well, since an epoch can be had again from the state it began with.
    """
    batches, rest = order(start, data, batch_size)
    last = [rest] if rest.size and not drop_remainder else []
    state = start
    for i, indices in enumerate(itertools.chain(batches, last), start=1):
        batch = take(data, indices)
        after, metrics = step(state, batch)
        for what, values in (
            (f"the loss is {metrics['loss']}", metrics["loss"]),
            ("a parameter is no longer finite", after.params),
            ("the model's state is no longer finite", after.state),
        ):
            if not bool(ARE_FINITE(values)):
                why = functools.partial(explain, state, batch) if explain else None
                return Outcome(state, None, bad=what, bad_step=i, explain=why)
        state = after
    what = "the mean loss is not finite, though that of each step is,"
    return Outcome(start, None, bad=what)
