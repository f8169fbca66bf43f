"""Multiplication of the updates by a number."""

from jax.typing import ArrayLike

from .hyperparameters import number
from .lift import lift
from .transformation import EmptyState, GradientTransformation


def scale(step_size: ArrayLike) -> GradientTransformation:
    """Multiplies the updates by `step_size`, as `optax.scale` does.

    Args:
        step_size: a finite number; negative to descend.

    Returns:
        The `GradientTransformation`, with an `EmptyState`. Updates keep their dtypes.

    Raises:
        ValueError: NaN, infinite, or not a scalar.
        TypeError: not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> double = optim.scale(2.0)
        >>> double.update((jnp.array([1.0, -3.0]), None), double.init(None))
        ((Array([ 2., -6.], dtype=float32), None), EmptyState())
    """
    step_size = number("step_size", step_size)
    return lift(lambda g: step_size * g, EmptyState)
