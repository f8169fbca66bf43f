"""Schedules: functions from the count of updates so far to the learning rate of the next one.

Any learning rate of `funcnn.optim` may be one, and the current rate is in the state, as
`state.learning_rate`. Schedules are plain functions of a step, or of an array of steps to plot.
Names and signatures are optax's where optax has the same; theirs and ours can be joined.
"""

from .cycles import (
    cosine_onecycle_schedule,
    linear_onecycle_schedule,
    piecewise_interpolate_schedule,
    sgdr_schedule,
)
from .decays import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    inverse_sqrt_schedule,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    step_schedule,
)
from .join import in_epochs, join_schedules
from .warmup import (
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
    warmup_inverse_sqrt_schedule,
)

__all__ = [
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "in_epochs",
    "inverse_sqrt_schedule",
    "join_schedules",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "sgdr_schedule",
    "step_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "warmup_inverse_sqrt_schedule",
]
