"""AMSGrad: Adam whose step never grows again where the gradient was once large."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from .adam_direction import squared_modulus
from .hyperparameters import number
from .lift import lift
from .slots import real_zeros, zeros
from .transformation import GradientTransformation, PyTree, Schedule


class AMSGradState(NamedTuple):
    """The state of `amsgrad`: that of `adam`, and the largest v̂ so far.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        mu, nu: pytrees like the params, the moments, as in `AdamState`.
        nu_max: a pytree like nu, the largest v̂ so far.
        count: int32, (). Updates so far.
    """

    learning_rate: jax.Array
    mu: PyTree
    nu: PyTree
    nu_max: PyTree
    count: Any  # Any, because a tuple has a method of this name


def amsgrad(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """AMSGrad; signature and results are those of `optax.amsgrad`.

    With gradient g and learning rate α, step t = 1, 2, ... is

        m ← b1 m + (1 − b1) g,       m̂ = m / (1 − b1ᵗ)
        v ← b2 v + (1 − b2) |g|²,    v̂ = v / (1 − b2ᵗ)
        v_max ← max(v_max, v̂)
        x ← x − α m̂ / (√(v_max + eps_root) + eps)

    Adam forgets a rare large gradient, and its step grows again; this one remembers. The paper has
    no bias correction and takes the maximum of v: set both to False. PyTorch takes the maximum of v
    and corrects after that.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        b1, b2, eps, eps_root, mu_dtype: as in `adam`.
        bias_correction_mu, bias_correction_nu: divide by 1 − b1ᵗ, by 1 − b2ᵗ.

    Returns:
        The `GradientTransformation`, with an `AMSGradState`.

    Raises:
        ValueError: a number that is NaN, infinite or outside its range.
        TypeError: something that is not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.amsgrad(1.0, b1=0.0, b2=0.5)
        >>> state = optimizer.init(jnp.array(0.0))
        >>> for g in (8.0, 1.0, 1.0):
        ...     update, state = optimizer.update(jnp.array(g), state)
        ...     print(update.round(4), state.nu_max)
        -1.0 64.0
        -0.125 64.0
        -0.125 64.0

    Source: Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond", ICLR 2018.
    """
    b1, b2 = number("b1", b1, low=0, below=1), number("b2", b2, low=0, below=1)
    eps, eps_root = number("eps", eps, low=0), number("eps_root", eps_root, low=0)

    def divisors(t):
        c1 = {"c1": 1 - b1**t} if bias_correction_mu else {}
        return c1 | ({"c2": 1 - b2**t} if bias_correction_nu else {})

    def algorithm(g, m, v, v_max, *, rate, c1=1.0, c2=1.0):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * squared_modulus(g)
        v_max = jnp.maximum(v_max, v / c2)
        return -rate * (m / c1 / (jnp.sqrt(v_max + eps_root) + eps)), m, v, v_max

    slots = {"mu": zeros("mu_dtype", mu_dtype), "nu": real_zeros, "nu_max": real_zeros}
    return lift(algorithm, AMSGradState, slots=slots, learning_rate=learning_rate, scalars=divisors)
