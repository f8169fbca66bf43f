"""The protocol: a gradient transformation is a pair of pure functions, `init` and `update`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

PyTree = Any
Schedule = Callable[[jax.Array], ArrayLike]
"""From the number of updates done so far, int32 (), to the learning rate of the next one."""


class GradientTransformation(NamedTuple):
    """A pair of pure functions that turns gradients into updates; optax's protocol.

    The fields are those of `optax.GradientTransformation`, so optax's functions on
    transformations (`chain`, `masked`, `MultiSteps`, ...) take this one too.

    Attributes:
        init: `init(params) -> state`. The state is a pytree of arrays; its structure, shapes and
            dtypes never change, so `jax.lax.scan` can carry it and `jax.jit` compiles once.
        update: `update(updates, state, params=None, **extra_args) -> (updates, state)`. Further
            keyword arguments are accepted, as optax's optimizers accept them.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> params, gradients = {"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([4.0, -8.0])}
        >>> optimizer = optim.sgd(0.25)
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(gradients, state, params)
        >>> optim.apply_updates(params, updates)
        {'w': Array([0., 4.], dtype=float32)}
    """

    init: Callable[[PyTree], PyTree]
    update: Callable[..., tuple[PyTree, PyTree]]


class EmptyState(NamedTuple):
    """The state of a transformation that remembers nothing."""
