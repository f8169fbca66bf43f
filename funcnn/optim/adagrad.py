"""AdaGrad: a learning rate for each number, smaller where the gradients were large."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .adam_direction import squared_modulus
from .hyperparameters import number
from .lift import lift
from .transformation import GradientTransformation, PyTree, Schedule


class AdaGradState(NamedTuple):
    """The state of `adagrad`.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        sum_of_squares: a pytree like the params: the sum of |g|². Real, also for complex params.
        count: int32, (). Updates so far; None unless the learning rate is a schedule.
    """

    learning_rate: jax.Array
    sum_of_squares: PyTree
    count: Any = None  # Any, because a tuple has a method of this name


def adagrad(
    learning_rate: ArrayLike | Schedule,
    initial_accumulator_value: ArrayLike = 0.1,
    eps: ArrayLike = 1e-7,
    *,
    eps_in_sqrt: bool = True,
) -> GradientTransformation:
    """AdaGrad; signature and results are those of `optax.adagrad`, plus `eps_in_sqrt`.

    With gradient g and learning rate α, each step is

        s ← s + |g|²
        x ← x − α g / √(s + eps)          eps_in_sqrt=True, as in optax
        x ← x − α g / (√s + eps)          eps_in_sqrt=False, as in deck B

    Steep directions are damped, flat ones accelerated; s only grows, so the steps decay to zero.
    Deck B starts from s = 0: its lines are `adagrad(α, 0.0, 1e-7, eps_in_sqrt=False)`. optax starts
    from 0.1.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        initial_accumulator_value: s at first, at least 0.
        eps: at least 0.
        eps_in_sqrt: adds eps under the root, else to it. Where s is 0, so is the step (under the
            root); outside it, eps = 0 then gives NaN.

    Returns:
        The `GradientTransformation`, with an `AdaGradState`.

    Raises:
        ValueError: a number that is NaN, infinite or negative.
        TypeError: something that is not a real number.

    Example:
        The same gradient again and again: the steps are 1/√1, 1/√2, 1/√3, ...

        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.adagrad(1.0, 0.0, 1e-7, eps_in_sqrt=False)
        >>> g = jnp.array(4.0)
        >>> state = optimizer.init(g)
        >>> for _ in range(4):
        ...     update, state = optimizer.update(g, state)
        ...     print(update.round(3))
        -1.0
        -0.707
        -0.577
        -0.5

    Source: deck B, row 34. Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online
    Learning and Stochastic Optimization", JMLR 2011.
    """
    first = number("initial_accumulator_value", initial_accumulator_value, low=0)
    eps = number("eps", eps, low=0)

    def algorithm(g, s, *, rate):
        s = s + squared_modulus(g)
        if eps_in_sqrt:
            return -rate * (jnp.where(s > 0, jax.lax.rsqrt(s + eps), 0) * g), s
        return -rate * (g / (jnp.sqrt(s) + eps)), s

    slots = {"sum_of_squares": lambda x: jnp.full_like(x.real, first)}
    return lift(algorithm, AdaGradState, slots=slots, learning_rate=learning_rate)
