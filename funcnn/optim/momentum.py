"""Momentum, in the three forms in which the decks write it."""

from typing import Literal

import jax.numpy as jnp
from jax.typing import ArrayLike

from .hyperparameters import number
from .lift import lift
from .sgd import SGDState, sgd
from .transformation import GradientTransformation, Schedule


def momentum(
    learning_rate: ArrayLike | Schedule,
    momentum: ArrayLike = 0.9,
    form: Literal["gradients", "steps", "increments"] = "gradients",
) -> GradientTransformation:
    """Gradient descent with momentum; v starts at 0.

    With gradient g, learning rate α and momentum ρ, the form says what v is a running sum of:

        v ← ρv + g,     x ← x − αv      "gradients": deck B; sgd here, optax, PyTorch
        v ← ρv − αg,    x ← x + v       "steps": deck C (γ for ρ, η for α); TensorFlow
        v ← ρv + αg,    x ← x − v       "increments": deck E's Δw

    Written out, v of the last two is deck E's step(n) + ρ step(n−1) + ρ² step(n−2) + …, with minus
    signs or without. While α does not change, all three give the same x. When it changes, it
    changes all of the first form's step, and of the others' only what the newest gradient adds.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        momentum: ρ (also γ, β), at least 0, typically 0.9 or 0.99.
        form: "gradients", "steps" or "increments".

    Returns:
        The `GradientTransformation`, with an `SGDState`.

    Raises:
        ValueError: a number that is NaN, infinite or negative; an unknown form.
        TypeError: something that is not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> for form in ("gradients", "steps", "increments"):
        ...     optimizer = optim.momentum(0.5, 0.5, form)
        ...     x = jnp.array(8.0)
        ...     state = optimizer.init(x)
        ...     for _ in range(3):  # on f(x) = x²/2, whose gradient is x
        ...         updates, state = optimizer.update(x, state, x)
        ...         x = optim.apply_updates(x, updates)
        ...     print(f"v = {state.velocity}, x = {x}")
        v = 4.0, x = -2.0
        v = -2.0, x = -2.0
        v = 2.0, x = -2.0

    Source: decks B, C, E, row 32. Sutskever et al., "On the importance of initialization and
    momentum in deep learning", ICML 2013.
    """
    if form == "gradients":
        return sgd(learning_rate, momentum)
    if form not in ("steps", "increments"):
        raise ValueError(f"form must be 'gradients', 'steps' or 'increments', got {form!r}")
    rho = number("momentum", momentum, low=0)

    def steps(g, v, *, rate):
        v = rho * v - rate * g
        return v, v

    def increments(g, v, *, rate):
        v = rho * v + rate * g
        return -v, v

    return lift(
        steps if form == "steps" else increments,
        SGDState,
        slots={"velocity": jnp.zeros_like},
        learning_rate=learning_rate,
    )
