"""The direction of Adam's step, which adam, adamw and lamb go in."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike

from .hyperparameters import number


def adam_direction(
    b1: ArrayLike,
    b2: ArrayLike,
    eps: ArrayLike,
    eps_root: ArrayLike,
    *,
    nesterov: bool = False,
    bias_correction: bool = True,
) -> tuple[Callable[..., Any], Callable[[Any], dict[str, Any]]]:
    """m̂ / (√(v̂ + eps_root) + eps); the formula and its options are in the docstring of `adam`.

    Returns:
        `direction(g, m, v, **divisors) -> (the direction, m, v)`, and the function from the step t
        (1 at first) to the divisors of the bias correction.
    """
    b1, b2 = number("b1", b1, low=0, below=1), number("b2", b2, low=0, below=1)
    eps, eps_root = number("eps", eps, low=0), number("eps_root", eps_root, low=0)

    def divisors(t):
        if not bias_correction:
            return {}
        return {"c1": 1 - b1**t, "c1_next": 1 - b1 ** (t + 1), "c2": 1 - b2**t}

    def direction(g, m, v, c1=1.0, c1_next=1.0, c2=1.0):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * squared_modulus(g)
        m_hat = b1 * (m / c1_next) + (1 - b1) * (g / c1) if nesterov else m / c1
        return m_hat / (jnp.sqrt(v / c2 + eps_root) + eps), m, v

    return direction, divisors


def squared_modulus(g):
    """|g|², real also for complex g."""
    return g * g if jnp.isrealobj(g) else (g * g.conj()).real
