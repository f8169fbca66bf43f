"""Weight decay: pulls the params to 0, in proportion to their size."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from .hyperparameters import number, scalar
from .lift import lift
from .masks import Mask
from .transformation import GradientTransformation, Schedule


class AddDecayedWeightsState(NamedTuple):
    """The state of `add_decayed_weights`.

    Attributes:
        count: int32, (). Updates so far.
    """

    count: Any  # Any, because a tuple has a method of this name


def add_decayed_weights(
    weight_decay: ArrayLike | Schedule = 0.0, mask: Mask | None = None
) -> GradientTransformation:
    """Adds λx to the updates, as `optax.add_decayed_weights` does: g ← g + λx.

    Before an optimizer in a chain this is the gradient of the regularizer λ/2 Σx². After one that
    still lacks its minus sign and its rate (as in `chain(optax.scale_by_adam(), this,
    scale(-0.1))`) it is decoupled weight decay; `adamw`, `lion` and `lamb` have that built in.

    Args:
        weight_decay: λ, a number of at least 0, or a schedule of it.
        mask: which params decay; usually `"**/kernel"`, for kernels without biases. A pytree of
            bools like the params or a prefix of one, a function from params to one, or a path
            pattern. None: all of them.

    Returns:
        The `GradientTransformation`, with an `AddDecayedWeightsState`; `update` needs the params.

    Raises:
        ValueError: a negative, infinite or NaN λ. TypeError: not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> params = {"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([3.0])}
        >>> gradients = {"kernel": jnp.zeros(2), "bias": jnp.zeros(1)}
        >>> decay = optim.add_decayed_weights(0.5, mask="kernel")
        >>> decay.update(gradients, decay.init(params), params)[0]
        {'bias': Array([0.], dtype=float32), 'kernel': Array([ 0.5, -1. ], dtype=float32)}

    Source: decks A, B, row 17. Krogh and Hertz, "A Simple Weight Decay Can Improve Generalization",
    NIPS 1991.
    """
    constant, decay_at = constant_or_schedule(weight_decay)
    return lift(
        lambda g, *, x, decay=constant: decayed(g, decay, x),
        AddDecayedWeightsState,
        scalars=decay_at,
        uses_params=True,
        masks={"decay": True if mask is None else mask},
    )


def decayed(direction: jax.Array, decay: ArrayLike | None, x: jax.Array) -> jax.Array:
    """direction + λx; only the direction where λ is None: masked out, or no weight decay at all."""
    return direction if decay is None else direction + decay * x


def constant_or_schedule(
    weight_decay: ArrayLike | Schedule,
) -> tuple[Any, Callable[[Any], dict[str, Any]]]:
    """λ for an algorithm that has the argument `decay=λ`, and what `lift` takes as `scalars`.

    A constant is the default of that argument (None for 0), so that it stays a Python number. A
    schedule's value is a scalar of that name, which depends on the step.
    """
    if callable(weight_decay):
        schedule = weight_decay
        name = "what the weight decay's schedule returned"
        return None, lambda t: {"decay": scalar(name, schedule(t - 1))}
    constant = number("weight_decay", weight_decay, low=0)
    return None if isinstance(constant, float) and not constant else constant, lambda t: {}
