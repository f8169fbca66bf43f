"""RMSProp: "leaky AdaGrad", which forgets old gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .adam_direction import squared_modulus
from .hyperparameters import number
from .lift import lift
from .transformation import GradientTransformation, PyTree, Schedule


class RMSPropState(NamedTuple):
    """The state of `rmsprop`.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        nu: a pytree like the params: the running mean of |g|². Real, also for complex params.
        mu: a pytree like the params: the running mean of g; None unless centered.
        velocity: a pytree like the params: the running sum of the steps; None without momentum.
        count: int32, (). Updates so far; None unless a schedule or the bias correction needs it.
    """

    learning_rate: jax.Array
    nu: PyTree
    mu: PyTree = None
    velocity: PyTree = None
    count: Any = None  # Any, because a tuple has a method of this name


def rmsprop(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    initial_scale: ArrayLike = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: ArrayLike | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """RMSProp; signature and results are those of `optax.rmsprop`.

    With gradient g, learning rate α and decay β, each step is

        s ← β s + (1 − β) |g|²
        x ← x − α g / √(s + eps)          eps_in_sqrt=True, as in optax
        x ← x − α g / (√s + eps)          eps_in_sqrt=False, as in deck B and in PyTorch

    Deck B's lines are `rmsprop(α, β, eps=1e-7, eps_in_sqrt=False)`.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        decay: β, in [0, 1). Typically 0.9 or 0.99.
        eps: at least 0.
        initial_scale: s at first, at least 0. Deck B: 0. TensorFlow: 1.
        eps_in_sqrt: adds eps under the root, else to it.
        centered: takes |m|² from s, with m the running mean of g: s is then the variance.
        momentum: ρ, at least 0: the step u above is summed, v ← ρv + u, x ← x + v. None: x ← x + u.
        nesterov: with momentum, x ← x + u + ρv.
        bias_correction: divides s (and m) by 1 − βᵗ, since both start too small.

    Returns:
        The `GradientTransformation`, with an `RMSPropState`.

    Raises:
        ValueError: a number that is NaN, infinite or outside its range; nesterov without momentum.
        TypeError: something that is not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.rmsprop(1.0, 0.75, eps=1e-7, eps_in_sqrt=False)
        >>> g = jnp.array([4.0, -0.25])
        >>> update, state = optimizer.update(g, optimizer.init(g))
        >>> print(state.nu, update.round(4))  # g / √((1 − β) g²) = ±1/√(1 − β)
        [4.       0.015625] [-2.  2.]

    Source: deck B, row 34. Tieleman and Hinton, "Lecture 6.5: RMSProp", Coursera 2012.
    """
    beta, eps = number("decay", decay, low=0, below=1), number("eps", eps, low=0)
    first = number("initial_scale", initial_scale, low=0)
    rho = None if momentum is None else number("momentum", momentum, low=0)
    if nesterov and rho is None:
        raise ValueError("nesterov=True needs a momentum, for example momentum=0.9")

    def algorithm(g, s, *memory, rate, c=None):
        corrected = lambda mean: mean if c is None else mean / c
        s = beta * s + (1 - beta) * squared_modulus(g)
        variance, new = corrected(s), [s]
        if centered:
            m = beta * memory[0] + (1 - beta) * g
            # rounded, the difference may be below 0
            variance = jnp.maximum(variance - squared_modulus(corrected(m)), 0)
            new.append(m)
        scale = jax.lax.rsqrt(variance + eps) if eps_in_sqrt else 1 / (jnp.sqrt(variance) + eps)
        step = -rate * (scale * g)
        if rho is not None:
            v = rho * memory[-1] + step
            step = rho * v + step if nesterov else v
            new.append(v)
        return step, *new

    slots = {"nu": lambda x: jnp.full_like(x.real, first)}
    slots |= {"mu": jnp.zeros_like} if centered else {}
    slots |= {"velocity": jnp.zeros_like} if rho is not None else {}
    divisor = (lambda t: {"c": 1 - beta**t}) if bias_correction else None
    return lift(algorithm, RMSPropState, slots=slots, learning_rate=learning_rate, scalars=divisor)
