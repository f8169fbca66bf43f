"""Nadam: Adam with Nesterov momentum."""

from jax.typing import ArrayLike, DTypeLike

from .adam import adam
from .transformation import GradientTransformation, Schedule


def nadam(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """`adam` that looks ahead by one step of m; signature and results are those of `optax.nadam`.

    Adam's m̂ is the mean of the gradients up to this one. Here it is the one that the next step
    would have if the same gradient came again:

        m̂ = b1 m / (1 − b1ᵗ⁺¹) + (1 − b1) g / (1 − b1ᵗ)

    Args, Returns and Raises: those of `adam`.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.nadam(1.0, b1=0.5)
        >>> g = jnp.array(4.0)  # m̂ = ½ · 2 / ¾ + ½ · 4 / ½ = 5 ⅓, and √v̂ = 4
        >>> print(optimizer.update(g, optimizer.init(g))[0].round(4))
        -1.3333

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016.
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=True)
