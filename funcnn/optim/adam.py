"""Adam: a step along the running mean of the gradient, scaled by its running size."""

from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike, DTypeLike

from .adam_direction import adam_direction
from .lift import lift
from .slots import real_zeros, zeros
from .transformation import GradientTransformation, PyTree, Schedule


class AdamState(NamedTuple):
    """The state of `adam`.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        mu: a pytree like the params, the first moment: the running mean of g.
        nu: a pytree like the params, the second moment: the running mean of |g|². Real, also for
            complex params.
        count: int32, (). Updates so far.
    """

    learning_rate: jax.Array
    mu: PyTree
    nu: PyTree
    count: Any  # Any, because a tuple has a method of this name


def adam(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    bias_correction: bool = True,
) -> GradientTransformation:
    """Adam; signature and results are those of `optax.adam`, plus `bias_correction`.

    With gradient g and learning rate α, step t = 1, 2, ... is

        m ← b1 m + (1 − b1) g
        v ← b2 v + (1 − b2) |g|²
        m̂ = m / (1 − b1ᵗ),   v̂ = v / (1 − b2ᵗ)
        x ← x − α m̂ / (√(v̂ + eps_root) + eps)

    m and v start at 0, and the third line undoes that they are too small at first. The options give
    the other forms:

    * "Adam (almost)" of deck B leaves the third line out and has 1e-7 outside the root. It is
      `adam(α, eps=1e-7, bias_correction=False)`.
    * `eps` is outside the root, as in the decks and in the paper; `eps_root` is inside, where it
      keeps the derivative of the step itself finite at v = 0.
    * `nesterov=True` is Nadam: m̂ = b1 m / (1 − b1ᵗ⁺¹) + (1 − b1) g / (1 − b1ᵗ), and without bias
      correction m̂ = b1 m + (1 − b1) g.

    Args:
        learning_rate: α, a number of at least 0, or a schedule: a function from the count of
            updates so far (int32, ()) to the rate.
        b1: decay of the first moment, in [0, 1). beta1 in deck B.
        b2: decay of the second moment, in [0, 1). beta2 in deck B.
        eps: added to the root, at least 0. In float16 1e-8 is 0, and a gradient of 0 then gives
            NaN: take 1e-4.
        eps_root: added under the root, at least 0.
        mu_dtype: dtype of m; None for that of each parameter.
        nesterov: looks ahead by one step of m.
        bias_correction: divides by 1 − b1ᵗ and 1 − b2ᵗ.

    Returns:
        The `GradientTransformation`, with an `AdamState`. Its errors are those of `lift`.

    Raises:
        ValueError: a number that is NaN, infinite or outside its range.
        TypeError: something that is not a real number.

    Example:
        The first step is one learning rate long, however large the gradient:

        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> x = jnp.array([3.0, -0.001])
        >>> optimizer = optim.adam(0.25)
        >>> updates, state = optimizer.update(x, optimizer.init(x), x)
        >>> print(updates.round(4), state.count)
        [-0.25  0.25] 1

    Source: decks B and E, row 35. Kingma and Ba, "Adam: A Method for Stochastic Optimization",
    ICLR 2015. Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016.
    """
    direction, divisors = adam_direction(
        b1, b2, eps, eps_root, nesterov=nesterov, bias_correction=bias_correction
    )

    def algorithm(g, m, v, *, rate, **divisors):
        d, m, v = direction(g, m, v, **divisors)
        return -rate * d, m, v

    slots = {"mu": zeros("mu_dtype", mu_dtype), "nu": real_zeros}
    return lift(algorithm, AdamState, slots=slots, learning_rate=learning_rate, scalars=divisors)
