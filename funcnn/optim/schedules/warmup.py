"""Schedules that rise first: small steps while the params are still random."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from ..hyperparameters import number, whole_number
from ..transformation import Schedule
from .decays import constant_schedule, cosine_decay_schedule, exponential_decay, linear_schedule
from .join import join_schedules
from .steps import of_steps


def warmup_constant_schedule(
    init_value: ArrayLike, peak_value: ArrayLike, warmup_steps: int
) -> Schedule:
    """Linear from init to peak, and the peak from then on; as optax's of this name.

    >>> rate = warmup_constant_schedule(0.0, 1.0, 4)
    >>> [float(rate(t)) for t in (0, 1, 4, 100)]
    [0.0, 0.25, 1.0, 1.0]

    Raises:
        ValueError: warmup_steps below 0; a number that is not finite.
    """
    return _warmup(init_value, peak_value, warmup_steps, constant_schedule(peak_value))


def warmup_cosine_decay_schedule(
    init_value: ArrayLike,
    peak_value: ArrayLike,
    warmup_steps: int,
    decay_steps: int,
    end_value: ArrayLike = 0.0,
    exponent: ArrayLike = 1.0,
) -> Schedule:
    """Linear from init to peak, then the cosine from peak to end; as optax's of this name.

    `decay_steps` are all of the steps, those of the warm-up among them.

    >>> rate = warmup_cosine_decay_schedule(0.0, 1.0, 4, 16)
    >>> [round(float(rate(t)), 6) for t in (0, 1, 4, 8, 10, 16)]
    [0.0, 0.25, 1.0, 0.75, 0.5, 0.0]

    Raises:
        ValueError: warmup_steps below 0, decay_steps not above them, a number that is not finite.

    Source: Loshchilov and Hutter, ICLR 2017. Goyal et al., "Accurate, Large Minibatch SGD", 2017.
    """
    peak, end = number("peak_value", peak_value), number("end_value", end_value)
    warmup_steps = whole_number("warmup_steps", warmup_steps, low=0)
    steps = whole_number("decay_steps", decay_steps, low=warmup_steps + 1) - warmup_steps
    share = 0.0 if isinstance(peak, float) and peak == 0 else end / peak
    return _warmup(
        init_value, peak, warmup_steps, cosine_decay_schedule(peak, steps, share, exponent)
    )


def warmup_exponential_decay_schedule(
    init_value: ArrayLike,
    peak_value: ArrayLike,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: ArrayLike,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: ArrayLike | None = None,
) -> Schedule:
    """Linear from init to peak, then `exponential_decay` from there; as optax's of this name.

    >>> rate = warmup_exponential_decay_schedule(0.0, 1.0, 4, 10, 0.25)
    >>> [round(float(rate(t)), 6) for t in (0, 2, 4, 9, 14)]
    [0.0, 0.5, 1.0, 0.5, 0.25]

    Raises:
        ValueError: warmup_steps below 0, and as `exponential_decay`.
    """
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return _warmup(init_value, peak_value, warmup_steps, decay)


def warmup_inverse_sqrt_schedule(
    init_value: ArrayLike, peak_value: ArrayLike, warmup_steps: int
) -> Schedule:
    """Linear from init to peak in w steps, then peak √(w/t): a transformer's schedule.

    The paper's d^−½ min(t^−½, t w^−1.5) is `warmup_inverse_sqrt_schedule(0, 1/√(d w), w)`.

    >>> rate = warmup_inverse_sqrt_schedule(0.0, 1.0, 4)
    >>> [round(float(rate(t)), 6) for t in (0, 2, 4, 16, 64)]
    [0.0, 0.5, 1.0, 0.5, 0.25]

    Raises:
        ValueError: warmup_steps below 1; a number that is not finite.

    Source: Vaswani et al., "Attention is all you need", NIPS 2017.
    """
    peak = number("peak_value", peak_value)
    w = whole_number("warmup_steps", warmup_steps, low=1)
    return _warmup(init_value, peak, w, of_steps(lambda t: peak * jnp.sqrt(w / (w + t))))


def _warmup(init_value, peak_value, warmup_steps, later):
    if whole_number("warmup_steps", warmup_steps, low=0) == 0:
        return later
    rise = linear_schedule(init_value, peak_value, warmup_steps)
    return join_schedules([rise, later], [warmup_steps])
