"""AdamW: Adam with decoupled weight decay."""

from jax.typing import ArrayLike, DTypeLike

from .adam import AdamState
from .adam_direction import adam_direction
from .lift import lift
from .masks import Mask
from .slots import real_zeros, zeros
from .transformation import GradientTransformation, Schedule
from .weight_decay import constant_or_schedule, decayed


def adamw(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ArrayLike | Schedule = 1e-4,
    mask: Mask | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """AdamW; signature and results are those of `optax.adamw`.

    With d the direction of Adam's step, m̂ / (√(v̂ + eps_root) + eps) (see `adam`), step t is

        x ← x − α (d + λx)

    The decay λ is not in the gradient, so Adam does not divide it by the gradient's running size.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        b1, b2, eps, eps_root, mu_dtype, nesterov: as in `adam`.
        weight_decay: λ, a number of at least 0, or a schedule. α scales it too, as in PyTorch; in
            the paper only the schedule's relative change of α does.
        mask: which params decay, as in `add_decayed_weights`: usually `"**/kernel"`. None: all.

    Returns:
        The `GradientTransformation`, with an `AdamState`; `update` needs the params.

    Raises:
        ValueError: a number that is NaN, infinite or outside its range.
        TypeError: something that is not a real number.

    Example:
        Without a gradient only the decay is left: a step of α λ x.

        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> x = jnp.array([8.0, -4.0])
        >>> optimizer = optim.adamw(0.5, weight_decay=0.25)
        >>> print(optimizer.update(jnp.zeros(2), optimizer.init(x), x)[0])
        [-1.   0.5]

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """
    direction, divisors = adam_direction(b1, b2, eps, eps_root, nesterov=nesterov)
    constant, decay_at = constant_or_schedule(weight_decay)

    def algorithm(g, m, v, *, x, rate, decay=constant, **divisors):
        d, m, v = direction(g, m, v, **divisors)
        return -rate * decayed(d, decay, x), m, v

    return lift(
        algorithm,
        AdamState,
        slots={"mu": zeros("mu_dtype", mu_dtype), "nu": real_zeros},
        learning_rate=learning_rate,
        scalars=lambda t: divisors(t) | decay_at(t),
        uses_params=True,
        masks={"decay": True if mask is None else mask},
    )
