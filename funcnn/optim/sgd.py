"""Stochastic gradient descent, with momentum and Nesterov momentum."""

from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike, DTypeLike

from .hyperparameters import number
from .lift import lift
from .slots import zeros
from .transformation import GradientTransformation, PyTree, Schedule


class SGDState(NamedTuple):
    """The state of `sgd`.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        velocity: a pytree like the params, the v of deck B; None without momentum.
        count: int32, (). Updates so far; None unless the learning rate is a schedule.
    """

    learning_rate: jax.Array
    velocity: PyTree = None
    count: Any = None  # Any, because a tuple has a method of this name


def sgd(
    learning_rate: ArrayLike | Schedule,
    momentum: ArrayLike | None = None,
    nesterov: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Stochastic gradient descent; signature and results are those of `optax.sgd`.

    With gradient g, learning rate α and momentum ρ, the updates of x are

        x ← x − αg                                     momentum=None (deck B, row 31)
        v ← ρv + g,   x ← x − αv                       momentum=ρ (deck B, row 32)
        v ← ρv + g,   x ← x − α(g + ρv)                momentum=ρ, nesterov=True (row 33)

    v starts at 0. The decks have other forms too. While the learning rate does not change, they
    give the same x:

    * Deck C's v ← γv − ηg, θ ← θ + v, which is also deck E's Δw ← η ∂E/∂w + γΔw and its sum
      step(n) + β step(n−1) + β² step(n−2) + …, keeps steps where this v keeps gradients: that
      v is −η times this one. When the rate changes, here it changes all of the step, and there
      only what the newest gradient adds.
    * Deck B's Nesterov momentum v ← ρv − αg, x̃ ← x̃ + v + ρ(v − v_before), g taken at x̃, is
      nesterov=True: x here is its x̃ = x + ρv, the point looked ahead to. So the params, and the
      loss reported for them, are those at x̃.

    Args:
        learning_rate: α, a number of at least 0, or a schedule: a function from the count of
            updates so far (int32, ()) to the rate.
        momentum: ρ (also called γ or β), at least 0, typically 0.9; None for no momentum.
        nesterov: looks ahead; needs momentum.
        accumulator_dtype: dtype of v; None for that of each parameter.

    Returns:
        The `GradientTransformation`, with an `SGDState`. Its errors are those of `lift`.

    Raises:
        ValueError: a learning rate or momentum that is negative, infinite or NaN; nesterov without
            momentum.
        TypeError: one of them is not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.sgd(0.5, momentum=0.5)
        >>> x = jnp.array(8.0)
        >>> state = optimizer.init(x)
        >>> for _ in range(3):  # on f(x) = x²/2, whose gradient is x
        ...     updates, state = optimizer.update(x, state, x)
        ...     x = optim.apply_updates(x, updates)
        ...     print(f"v = {state.velocity}, x = {x}")
        v = 8.0, x = 4.0
        v = 8.0, x = 0.0
        v = 4.0, x = -2.0

    Source: decks B, C, E, rows 31 to 33. Sutskever et al., "On the importance of initialization and
    momentum in deep learning", ICML 2013.
    """
    if momentum is None:
        if nesterov:
            raise ValueError("nesterov=True needs a momentum, for example momentum=0.9")
        return lift(lambda g, rate: -rate * g, SGDState, learning_rate=learning_rate)

    rho = number("momentum", momentum, low=0)

    def algorithm(g, v, *, rate):
        v = rho * v + g
        return -rate * (rho * v + g if nesterov else v), v

    slots = {"velocity": zeros("accumulator_dtype", accumulator_dtype)}
    return lift(algorithm, SGDState, slots=slots, learning_rate=learning_rate)
