"""Adadelta: steps in the units of the parameter."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .adam_direction import squared_modulus
from .hyperparameters import number
from .lift import lift
from .masks import Mask
from .slots import real_zeros
from .transformation import GradientTransformation, PyTree, Schedule
from .weight_decay import constant_or_schedule, decayed


class AdadeltaState(NamedTuple):
    """The state of `adadelta`.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        e_g: a pytree like the params: the running mean of |g|².
        e_x: a pytree like the params: the running mean of |d|², d the steps at rate 1.
        count: int32, (). Updates so far.
    """

    learning_rate: jax.Array
    e_g: PyTree
    e_x: PyTree
    count: Any  # Any, because a tuple has a method of this name


def adadelta(
    learning_rate: ArrayLike | Schedule = 1.0,
    rho: ArrayLike = 0.9,
    eps: ArrayLike = 1e-6,
    weight_decay: ArrayLike | Schedule = 0.0,
    weight_decay_mask: Mask | None = None,
) -> GradientTransformation:
    """Adadelta; signature and results are those of `optax.adadelta`, but for two points.

    With gradient g and learning rate α, each step is

        g ← g + λx
        E_g ← ρ E_g + (1 − ρ) |g|²
        d = √(E_x + eps) / √(E_g + eps) · g
        E_x ← ρ E_x + (1 − ρ) |d|²
        x ← x − α d

    The paper has no α: it is 1, the default here. optax's default None leaves out the minus sign
    with the rate, and climbs. And where this takes |g|², optax squares complex g itself: its steps
    do not turn with the gradient, but stay along the real axis.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        rho: ρ, in [0, 1).
        eps: at least 0; sets the size of the first steps, √eps.
        weight_decay: λ, a number of at least 0, or a schedule; part of the gradient.
        weight_decay_mask: which params decay, as in `add_decayed_weights`. None: all.

    Returns:
        The `GradientTransformation`, with an `AdadeltaState`; `update` needs the params.

    Raises:
        ValueError: a number that is NaN, infinite or outside its range.
        TypeError: something that is not a real number.

    Example:
        Multiplying the loss by 1000 changes the steps by little:

        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.adadelta()
        >>> x = jnp.array([1.0, 1000.0])
        >>> print(optimizer.update(x, optimizer.init(x), x)[0].round(6))
        [-0.003162 -0.003162]

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", arXiv:1212.5701, 2012.
    """
    rho, eps = number("rho", rho, low=0, below=1), number("eps", eps, low=0)
    constant, decay_at = constant_or_schedule(weight_decay)

    def algorithm(g, e_g, e_x, *, x, rate, decay=constant):
        g = decayed(g, decay, x)
        e_g = rho * e_g + (1 - rho) * squared_modulus(g)
        d = jnp.sqrt(e_x + eps) / jnp.sqrt(e_g + eps) * g
        e_x = rho * e_x + (1 - rho) * squared_modulus(d)
        return -rate * d, e_g, e_x

    return lift(
        algorithm,
        AdadeltaState,
        slots={"e_g": real_zeros, "e_x": real_zeros},
        learning_rate=learning_rate,
        scalars=decay_at,
        uses_params=True,
        masks={"decay": True if weight_decay_mask is None else weight_decay_mask},
    )
