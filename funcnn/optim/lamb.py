"""LAMB: Adam's direction, with a step in proportion to each array's own size."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from .adam import AdamState
from .adam_direction import adam_direction
from .lift import lift
from .masks import Mask
from .norms import norm
from .slots import real_zeros
from .transformation import GradientTransformation, Schedule
from .weight_decay import constant_or_schedule, decayed


def lamb(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-6,
    eps_root: ArrayLike = 0.0,
    weight_decay: ArrayLike | Schedule = 0.0,
    mask: Mask | None = None,
) -> GradientTransformation:
    """LAMB; signature and results are those of `optax.lamb`.

    With a the direction of Adam's step, m̂ / (√(v̂ + eps_root) + eps) (see `adam`), step t of each
    array x, a layer's kernel, say, is

        d = a + λx
        x ← x − α (‖x‖ / ‖d‖) d

    Each array changes by the share α of its norm, so that batches of ten thousands can be trained
    with large α. Where x or d is 0, the ratio of the norms is 1.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        b1, b2, eps, eps_root: as in `adam`.
        weight_decay: λ, a number of at least 0, or a schedule.
        mask: which params decay, as in `add_decayed_weights`: usually `"**/kernel"`. None: all.

    Returns:
        The `GradientTransformation`, with an `AdamState`; `update` needs the params.

    Raises:
        ValueError: a number that is NaN, infinite or outside its range.
        TypeError: something that is not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> x = jnp.array([30.0, -40.0])  # of norm 50: a step of 0.1 · 50 = 5
        >>> optimizer = optim.lamb(0.1)
        >>> print(optimizer.update(x, optimizer.init(x), x)[0].round(2))
        [-3.54  3.54]

    Source: You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
    ICLR 2020.
    """
    direction, divisors = adam_direction(b1, b2, eps, eps_root)
    constant, decay_at = constant_or_schedule(weight_decay)

    def algorithm(g, m, v, *, x, rate, decay=constant, **divisors):
        a, m, v = direction(g, m, v, **divisors)
        d = decayed(a, decay, x)
        size, length = norm(x), norm(d)
        none = (size == 0) | (length == 0)
        ratio = jnp.where(none, 1, size / jnp.where(none, 1, length))
        return -rate * (ratio.astype(g.real.dtype) * d), m, v

    return lift(
        algorithm,
        AdamState,
        slots={"mu": jnp.zeros_like, "nu": real_zeros},
        learning_rate=learning_rate,
        scalars=lambda t: divisors(t) | decay_at(t),
        uses_params=True,
        masks={"decay": True if mask is None else mask},
    )
