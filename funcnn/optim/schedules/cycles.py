"""Schedules that rise and fall: one cycle, or one after another."""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..hyperparameters import number, positive_number, whole_number
from ..transformation import Schedule
from .join import join_schedules
from .steps import of_steps
from .warmup import warmup_cosine_decay_schedule


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Schedule:
    """The cosine with warm restarts, as `optax.sgdr_schedule`.

    Args:
        cosine_kwargs: for each cycle, the arguments of `warmup_cosine_decay_schedule`; its
            `decay_steps` are the cycle's length.

    >>> cycle = {"init_value": 1.0, "peak_value": 1.0, "warmup_steps": 0}
    >>> rate = sgdr_schedule([cycle | {"decay_steps": 4}, cycle | {"decay_steps": 8}])
    >>> [round(float(rate(t)), 6) for t in (0, 2, 4, 8, 12)]
    [1.0, 0.5, 1.0, 0.5, 0.0]

    Raises:
        ValueError: no cycle, and as `warmup_cosine_decay_schedule`.

    Source: deck B, row 36. Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", ICLR 2017.
    """
    cycles = list(cosine_kwargs)
    if not cycles or not all(isinstance(cycle, Mapping) for cycle in cycles):
        raise ValueError(
            "sgdr_schedule needs at least one cycle, each the arguments of "
            f"warmup_cosine_decay_schedule as a dict, got {cosine_kwargs!r}"
        )
    schedules = [warmup_cosine_decay_schedule(**cycle) for cycle in cycles]
    ends = np.cumsum([cycle["decay_steps"] for cycle in cycles]).tolist()
    return join_schedules(schedules, ends[:-1])


def piecewise_interpolate_schedule(
    interpolate_type: Literal["linear", "cosine"],
    init_value: ArrayLike,
    boundaries_and_scales: Mapping[int, ArrayLike] | None = None,
) -> Schedule:
    """From value to value, on lines or half waves of the cosine; as optax's of this name.

    The value at each boundary is the one before it times its scale; from the last on it stays.

    >>> rate = piecewise_interpolate_schedule("linear", 1.0, {4: 2.0, 8: 0.0})
    >>> [float(rate(t)) for t in (0, 2, 4, 6, 8, 9)]
    [1.0, 1.5, 2.0, 1.0, 0.0, 0.0]

    Raises:
        ValueError: an unknown type, a boundary below 0, a scale that is not finite or below 0.
    """
    if interpolate_type not in ("linear", "cosine"):
        raise ValueError(f"interpolate_type must be 'linear' or 'cosine', got {interpolate_type!r}")
    points = [(0, number("init_value", init_value))]
    for step, scale in sorted((boundaries_and_scales or {}).items()):
        step = whole_number("a boundary", step, low=0)
        points.append((step, points[-1][1] * number(f"the scale at step {step}", scale, low=0)))

    def schedule(t):
        rate = jnp.full_like(t, points[0][1])
        for (begin, first), (end, last) in itertools.pairwise(points):
            share = jnp.clip((t - begin) / max(end - begin, 1), 0, 1)
            if interpolate_type == "cosine":
                share = (1 - jnp.cos(math.pi * share)) / 2
            rate = jnp.where(t < begin, rate, first + (last - first) * share)
        return jnp.where(t < points[-1][0], rate, points[-1][1])

    return of_steps(schedule)


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: ArrayLike,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to the peak, down again, and further down, on lines; as `optax.linear_onecycle_schedule`.

    Args:
        transition_steps: T, the length of the cycle, at least 1.
        peak_value: the rate at step `pct_start` T.
        pct_start: in [0, 1].
        pct_final: the rate is at step `pct_final` T what it was at first; at least `pct_start`.
        div_factor: the first rate is peak / div_factor.
        final_div_factor: the last rate is the first / final_div_factor.

    >>> rate = linear_onecycle_schedule(20, 1.0, div_factor=4.0, final_div_factor=10.0)
    >>> [round(float(rate(t)), 6) for t in (0, 6, 17, 20)]
    [0.25, 1.0, 0.25, 0.025]

    Raises:
        ValueError: transition_steps below 1, a number outside its range.

    Source: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates", 2017.
    """
    steps, peak, down = _cycle(transition_steps, peak_value, div_factor, final_div_factor)
    start = _share("pct_start", pct_start, low=0)
    final = _share("pct_final", pct_final, low=pct_start)
    scales = {int(start * steps): down, int(final * steps): 1 / down, steps: 1 / final_div_factor}
    return piecewise_interpolate_schedule("linear", peak / down, scales)


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: ArrayLike,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to the peak and all the way down, as the cosine; as `optax.cosine_onecycle_schedule`.

    Args: as in `linear_onecycle_schedule`.

    >>> rate = cosine_onecycle_schedule(20, 1.0, div_factor=4.0, final_div_factor=10.0)
    >>> [round(float(rate(t)), 6) for t in (0, 3, 6, 13, 20)]
    [0.25, 0.625, 1.0, 0.5125, 0.025]

    Raises and Source: as in `linear_onecycle_schedule`.
    """
    steps, peak, down = _cycle(transition_steps, peak_value, div_factor, final_div_factor)
    start = _share("pct_start", pct_start, low=0)
    scales = {int(start * steps): down, steps: 1 / (down * final_div_factor)}
    return piecewise_interpolate_schedule("cosine", peak / down, scales)


def _cycle(transition_steps, peak_value, div_factor, final_div_factor):
    steps = whole_number("transition_steps", transition_steps, low=1)
    positive_number("final_div_factor", final_div_factor)
    return steps, number("peak_value", peak_value, low=0), positive_number("div_factor", div_factor)


def _share(name, value, *, low):
    if not low <= number(name, value) <= 1:
        raise ValueError(f"{name} must be in [{low:g}, 1], got {value:g}")
    return value
