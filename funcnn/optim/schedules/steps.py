"""The steps that a schedule is called with."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..transformation import Schedule


def expect_schedule(value: Any) -> None:
    """TypeError for what is no function, a number say."""
    if not callable(value):
        raise TypeError(f"expected a schedule, such as constant_schedule(0.1), got {value!r}")


def of_steps(formula: Callable[[jax.Array], Any]) -> Schedule:
    """A schedule from a formula in t, a float array of steps.

    ValueError for negative steps, if they are numbers or NumPy's. Those in arrays of JAX count as
    0: `join_schedules`, optax's too, asks every schedule at every step, also before its time.
    """

    @functools.wraps(formula)
    def schedule(count):
        if not isinstance(count, jax.Array) and np.any(np.asarray(count) < 0):
            raise ValueError(f"a schedule begins at step 0, got step {np.min(count)}")
        return formula(jnp.maximum(jnp.asarray(count, jnp.result_type(float)), 0))

    return schedule
