"""Lion: steps of one size, in the direction of the sign of momentum."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from .hyperparameters import number
from .lift import lift
from .masks import Mask
from .slots import zeros
from .transformation import GradientTransformation, PyTree, Schedule
from .weight_decay import constant_or_schedule, decayed


class LionState(NamedTuple):
    """The state of `lion`.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        mu: a pytree like the params: the running mean of g.
        count: int32, (). Updates so far.
    """

    learning_rate: jax.Array
    mu: PyTree
    count: Any  # Any, because a tuple has a method of this name


def lion(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.99,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ArrayLike | Schedule = 1e-3,
    mask: Mask | None = None,
) -> GradientTransformation:
    """Lion; signature and results are those of `optax.lion`.

    With gradient g, learning rate α and weight decay λ, each step is

        x ← x − α (sign(b1 m + (1 − b1) g) + λx)
        m ← b2 m + (1 − b2) g

    Every number moves by α, so α is 3 to 10 times smaller than for `adamw`, and λ as much larger.
    One array is remembered where Adam remembers two. sign(z) = z/|z| for complex z.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        b1: share of m in the step's direction, in [0, 1).
        b2: decay of m, in [0, 1).
        mu_dtype: dtype of m; None for that of each parameter.
        weight_decay: λ, a number of at least 0, or a schedule.
        mask: which params decay, as in `add_decayed_weights`: usually `"**/kernel"`. None: all.

    Returns:
        The `GradientTransformation`, with a `LionState`; `update` needs the params.

    Raises:
        ValueError: a number that is NaN, infinite or outside its range.
        TypeError: something that is not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> x = jnp.array([0.0, 2.0, 4.0])
        >>> optimizer = optim.lion(0.5, weight_decay=0.25)
        >>> print(optimizer.update(jnp.array([7.0, -0.001, 0.0]), optimizer.init(x), x)[0])
        [-0.5   0.25 -0.5 ]

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023.
    """
    b1, b2 = number("b1", b1, low=0, below=1), number("b2", b2, low=0, below=1)
    constant, decay_at = constant_or_schedule(weight_decay)

    def algorithm(g, m, *, x, rate, decay=constant):
        direction = jnp.sign(b1 * m + (1 - b1) * g)
        return -rate * decayed(direction, decay, x), b2 * m + (1 - b2) * g

    return lift(
        algorithm,
        LionState,
        slots={"mu": zeros("mu_dtype", mu_dtype)},
        learning_rate=learning_rate,
        scalars=decay_at,
        uses_params=True,
        masks={"decay": True if mask is None else mask},
    )
