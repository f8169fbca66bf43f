"""Exponential moving averages: of the updates, and of the params for evaluation."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from .hyperparameters import number
from .lift import lift
from .slots import zeros
from .transformation import GradientTransformation, PyTree


class EmaState(NamedTuple):
    """The state of `ema`.

    Attributes:
        ema: a pytree like the params: the average, not yet debiased.
        count: int32, (). Updates so far.
    """

    ema: PyTree
    count: Any  # Any, because a tuple has a method of this name


class ParamsEmaState(NamedTuple):
    """The state of `params_ema`.

    Attributes:
        average: a pytree like the params, in float32 at least: what to evaluate with.
        count: int32, (). Updates so far.
    """

    average: PyTree
    count: Any  # Any, because a tuple has a method of this name


def ema(
    decay: ArrayLike, debias: bool = True, accumulator_dtype: DTypeLike | None = None
) -> GradientTransformation:
    """Replaces the updates by their running mean; signature and results are `optax.ema`'s.

    With updates u, step t = 1, 2, ... is

        m ← β m + (1 − β) u
        u ← m / (1 − βᵗ)            debias=True, else u ← m

    For the average of the params, as most users want it, see `params_ema`.

    Args:
        decay: β, in [0, 1).
        debias: divides by 1 − βᵗ, since m starts at 0.
        accumulator_dtype: dtype of m; None for that of each parameter.

    Returns:
        The `GradientTransformation`, with an `EmaState`.

    Raises:
        ValueError: β is NaN or outside its range. TypeError: not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> mean = optim.ema(0.5)
        >>> state = mean.init(jnp.zeros(()))
        >>> for u in (6.0, 12.0):
        ...     update, state = mean.update(jnp.array(u), state)
        ...     print(update)  # 6; (½ · 6 + 12) / (½ + 1)
        6.0
        10.0
    """
    beta = number("decay", decay, low=0, below=1)

    def algorithm(u, m, c=1.0):
        m = beta * m + (1 - beta) * u
        return m / c, m

    return lift(
        algorithm,
        EmaState,
        slots={"ema": zeros("accumulator_dtype", accumulator_dtype)},
        scalars=lambda t: {"c": 1 - beta**t} if debias else {},
    )


def params_ema(decay: ArrayLike, debias: bool = True) -> GradientTransformation:
    """Averages the params as they will be after the step; lets the updates through as they are.

    The last of a chain. With parameter x and update u, step t = 1, 2, ... is

        x_new = x + u
        a ← a + (1 − β) / (1 − βᵗ) (x_new − a)      debias=True: the mean of x₁ … x_t, the newest
                                                    with most weight; x₀ is not in it
        a ← a + (1 − β) (x_new − a)                 debias=False; a starts at x₀

    The average often generalizes better than the params, as a smaller learning rate at the end
    does. It is `state[-1].average` of the chain's state; cast it to the params' dtypes if they are
    narrower than float32, in which small steps would be lost.

    Args:
        decay: β, in [0, 1); 0.999, say, averages over about 1000 steps.
        debias: see above.

    Returns:
        The `GradientTransformation`, with a `ParamsEmaState`; `update` needs the params.

    Raises:
        ValueError: β is NaN or outside its range. TypeError: not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.chain(optim.sgd(1.0), optim.params_ema(0.5))
        >>> x = jnp.array(0.0)
        >>> state = optimizer.init(x)
        >>> for g in (-6.0, -6.0):
        ...     updates, state = optimizer.update(jnp.array(g), state, x)
        ...     x = optim.apply_updates(x, updates)
        ...     print(x, state[-1].average)
        6.0 6.0
        12.0 10.0

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J.
    Control and Optimization, 1992. The debiasing is that of Adam.
    """
    beta = number("decay", decay, low=0, below=1)

    def algorithm(u, average, *, x, weight):
        x_new = (x + u).astype(x.dtype)  # as apply_updates rounds it
        return u, average + weight * (x_new - average)

    return lift(
        algorithm,
        ParamsEmaState,
        # a copy, because params and state may be donated
        slots={"average": lambda x: jnp.array(x, jnp.promote_types(x.dtype, jnp.float32))},
        scalars=lambda t: {"weight": (1 - beta) / (1 - beta**t) if debias else 1 - beta},
        uses_params=True,
    )
