"""One schedule after another, and schedules in epochs."""

from collections.abc import Sequence

import jax.numpy as jnp

from ..hyperparameters import whole_number
from ..transformation import Schedule
from .steps import expect_schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Each schedule from its boundary on, its own steps counted from there; as optax's.

    Args:
        schedules: functions from a step to a rate, funcnn's, optax's or your own.
        boundaries: where the second, third, ... begins: one less than schedules, rising.

    Raises:
        TypeError: a schedule that is no function.
        ValueError: the number of boundaries is wrong, they are negative, or do not rise.

    >>> from funcnn.optim import constant_schedule, linear_schedule
    >>> rate = join_schedules([linear_schedule(0.0, 1.0, 4), constant_schedule(1.0)], [4])
    >>> [float(rate(t)) for t in (0, 1, 3, 4, 9)]
    [0.0, 0.25, 0.75, 1.0, 1.0]
    """
    for one in schedules:
        expect_schedule(one)
    boundaries = [whole_number("a boundary", b, low=0) for b in boundaries]
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            f"expected a boundary between each two of {len(schedules)} schedules, got "
            f"{len(boundaries)} boundaries"
        )
    if sorted(boundaries) != boundaries:
        raise ValueError(f"the boundaries must rise, got {boundaries}")

    def schedule(count):
        rate = schedules[0](count)
        for boundary, later in zip(boundaries, schedules[1:], strict=True):
            t = jnp.maximum(jnp.asarray(count) - boundary, 0)
            rate = jnp.where(count < boundary, rate, later(t))
        return rate

    return schedule


def in_epochs(schedule: Schedule, steps_per_epoch: int) -> Schedule:
    """A schedule that is written in epochs, as the deck's, for an optimizer that counts steps.

    >>> from funcnn.optim import step_schedule
    >>> rate = in_epochs(step_schedule(1.0, [30, 60, 90]), steps_per_epoch=100)
    >>> [round(float(rate(t)), 6) for t in (0, 2999, 3000, 6000)]
    [1.0, 1.0, 0.1, 0.01]

    Raises:
        TypeError: a schedule that is no function. ValueError: steps_per_epoch below 1.
    """
    expect_schedule(schedule)
    steps = whole_number("steps_per_epoch", steps_per_epoch, low=1)
    return lambda count: schedule(count // steps)
