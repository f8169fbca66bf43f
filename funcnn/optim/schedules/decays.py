"""Schedules that fall, or stay."""

import math
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jax.typing import ArrayLike

from ..hyperparameters import number, positive_number, whole_number
from ..transformation import Schedule
from .steps import of_steps


def constant_schedule(value: ArrayLike) -> Schedule:
    """α_t = value, as `optax.constant_schedule`.

    >>> print(constant_schedule(0.5)(100))
    0.5
    """
    value = number("value", value)
    return of_steps(lambda t: jnp.full_like(t, value))


def step_schedule(
    init_value: ArrayLike, boundaries: Sequence[int] = (30, 60, 90), factor: ArrayLike = 0.1
) -> Schedule:
    """The deck's step: α₀, times `factor` from each of the boundaries on.

    The deck counts epochs: see `in_epochs`. `piecewise_constant_schedule` has a factor for each.

    >>> rate = step_schedule(1.0)
    >>> [round(float(rate(t)), 6) for t in (0, 29, 30, 59, 60, 90)]
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.001]

    Raises:
        ValueError: a boundary below 0; a factor that is not finite or below 0.

    Source: deck B, row 36. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    """
    return piecewise_constant_schedule(init_value, dict.fromkeys(boundaries, factor))


def piecewise_constant_schedule(
    init_value: ArrayLike, boundaries_and_scales: Mapping[int, ArrayLike] | None = None
) -> Schedule:
    """α₀, times the scale of each boundary from that step on; as optax's of this name.

    >>> rate = piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.1})
    >>> [round(float(rate(t)), 6) for t in (9, 10, 19, 20)]
    [1.0, 0.5, 0.5, 0.05]

    Raises:
        ValueError: a boundary below 0; a scale that is not finite or below 0.
    """
    value = number("init_value", init_value)
    scales = {
        whole_number("a boundary", step, low=0): number(f"the scale at step {step}", scale, low=0)
        for step, scale in (boundaries_and_scales or {}).items()
    }

    def schedule(t):
        rate = jnp.full_like(t, value)
        for step, scale in scales.items():
            rate = jnp.where(t < step, rate, rate * scale)
        return rate

    return of_steps(schedule)


def polynomial_schedule(
    init_value: ArrayLike,
    end_value: ArrayLike,
    power: ArrayLike,
    transition_steps: int,
    transition_begin: int = 0,
) -> Schedule:
    """end + (init − end) (1 − t/T)ᵖ, as `optax.polynomial_schedule`.

    t counts from `transition_begin`, T are the `transition_steps`; `init_value` before, `end_value`
    after. Steps below 1 are an error, where optax takes the constant `init_value`.

    >>> rate = polynomial_schedule(1.0, 0.0, 2, 10)
    >>> [round(float(rate(t)), 6) for t in (0, 5, 10, 11)]
    [1.0, 0.25, 0.0, 0.0]

    Raises:
        ValueError: transition_steps below 1, transition_begin below 0, a number that is not finite.
    """
    first, last = number("init_value", init_value), number("end_value", end_value)
    power = number("power", power, low=0)
    steps = whole_number("transition_steps", transition_steps, low=1)
    begin = whole_number("transition_begin", transition_begin, low=0)

    def schedule(t):
        # 0 at the end to the bit: compiled, t/T may be 1.0000001, whose power is NaN or too large
        left = jnp.where(t - begin < steps, 1 - jnp.maximum(t - begin, 0) / steps, 0)
        return last + (first - last) * left**power

    return of_steps(schedule)


def linear_schedule(
    init_value: ArrayLike, end_value: ArrayLike, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From init to end in equal steps, as `optax.linear_schedule`: `polynomial_schedule`, power 1.

    The deck's α₀ (1 − t/T) is `linear_schedule(α₀, 0, T)`.

    >>> rate = linear_schedule(1.0, 0.0, 10)
    >>> [round(float(rate(t)), 6) for t in (0, 1, 5, 10, 11)]
    [1.0, 0.9, 0.5, 0.0, 0.0]

    Raises: as `polynomial_schedule`.

    Source: deck B, row 36. Devlin et al., "BERT", 2018.
    """
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def cosine_decay_schedule(
    init_value: ArrayLike, decay_steps: int, alpha: ArrayLike = 0.0, exponent: ArrayLike = 1.0
) -> Schedule:
    """α₀ ((1 − a) (½ (1 + cos(tπ/T)))ᵖ + a), as `optax.cosine_decay_schedule`.

    T are the `decay_steps`, a is `alpha`: the share of α₀ that is left, from step T on. With the
    defaults the deck's ½ α₀ (1 + cos(tπ/T)). With warm restarts: `sgdr_schedule`.

    >>> rate = cosine_decay_schedule(1.0, 12)
    >>> [round(float(rate(t)), 6) for t in (0, 4, 6, 8, 12, 13)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]

    Raises:
        ValueError: decay_steps below 1; a number that is not finite.

    Source: deck B, row 36. Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", ICLR 2017.
    """
    first, alpha = number("init_value", init_value), number("alpha", alpha)
    exponent = number("exponent", exponent, low=0)
    steps = whole_number("decay_steps", decay_steps, low=1)

    def schedule(t):
        cosine = 0.5 * (1 + jnp.cos(math.pi * (jnp.minimum(t, steps) / steps)))
        return first * ((1 - alpha) * cosine**exponent + alpha)

    return of_steps(schedule)


def inverse_sqrt_schedule(init_value: ArrayLike) -> Schedule:
    """The deck's α₀ / √t; α₀ in step 0, too. With warm-up: `warmup_inverse_sqrt_schedule`.

    >>> rate = inverse_sqrt_schedule(1.0)
    >>> [round(float(rate(t)), 6) for t in (0, 1, 4, 100)]
    [1.0, 1.0, 0.5, 0.1]

    Raises:
        ValueError: an init_value that is not finite.

    Source: deck B, row 36. Vaswani et al., "Attention is all you need", NIPS 2017.
    """
    first = number("init_value", init_value)
    return of_steps(lambda t: first / jnp.sqrt(jnp.maximum(t, 1)))


def exponential_decay(
    init_value: ArrayLike,
    transition_steps: int,
    decay_rate: ArrayLike,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: ArrayLike | None = None,
) -> Schedule:
    """α₀ r^(t/T), as `optax.exponential_decay`.

    t counts from `transition_begin`, with α₀ before; T are the `transition_steps`. Steps below 1
    and a rate of 0 are errors, where optax takes the constant `init_value`.

    Args:
        init_value: α₀.
        transition_steps: T, at least 1.
        decay_rate: r, above 0.
        transition_begin: at least 0.
        staircase: rounds t/T down, so that the rate falls every T steps.
        end_value: where the decay stops (for r above 1: the growth).

    >>> rate = exponential_decay(1.0, 10, 0.25)
    >>> [round(float(rate(t)), 6) for t in (0, 5, 10, 20)]
    [1.0, 0.5, 0.25, 0.0625]

    Raises:
        ValueError: transition_steps below 1, transition_begin below 0, a decay_rate not above 0.
    """
    first, rate = number("init_value", init_value), positive_number("decay_rate", decay_rate)
    steps = whole_number("transition_steps", transition_steps, low=1)
    begin = whole_number("transition_begin", transition_begin, low=0)
    last = None if end_value is None else number("end_value", end_value)

    def schedule(t):
        t = jnp.maximum(t - begin, 0)
        # //, for compiled, t/T may be below the whole number that it is, and its floor one less
        value = first * jnp.power(rate, t // steps if staircase else t / steps)
        if last is None:
            return value
        return jnp.where(rate < 1, jnp.maximum(value, last), jnp.minimum(value, last))

    return of_steps(schedule)
