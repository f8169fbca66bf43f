"""Clipping of the updates: number by number, array by array, or all of them together."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from .hyperparameters import number
from .lift import lift
from .matching import check_state, inexact_leaves
from .norms import global_norm, norm
from .transformation import EmptyState, GradientTransformation


def clip(max_delta: ArrayLike) -> GradientTransformation:
    """Clips each number to −max_delta .. max_delta, as `optax.clip`.

    This turns the gradient. `clip_by_global_norm` keeps its direction.

    Args:
        max_delta: at least 0.

    Returns:
        The `GradientTransformation`, with an `EmptyState`. Its `update` raises TypeError for
        complex updates, which have no order.

    Raises:
        ValueError: NaN, infinite or negative. TypeError: not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> clip = optim.clip(1.0)
        >>> print(clip.update(jnp.array([0.5, -3.0]), clip.init(None))[0])
        [ 0.5 -1. ]
    """
    most = number("max_delta", max_delta, low=0)

    def algorithm(g):
        if jnp.iscomplexobj(g):
            raise TypeError(
                f"clip cannot order {g.dtype} updates: take clip_by_norm or clip_by_global_norm"
            )
        return jnp.clip(g, -most, most)

    return lift(algorithm, EmptyState)


def clip_by_norm(max_norm: ArrayLike) -> GradientTransformation:
    """Scales each array down whose norm is above max_norm: g ← g · min(1, max_norm / ‖g‖).

    As TensorFlow's function of this name. optax has no such; its `clip_by_block_rms(c)` bounds the
    root of an array's mean square, not of its sum: it is `clip_by_norm(c √n)` for n numbers.

    Args:
        max_norm: at least 0.

    Returns:
        The `GradientTransformation`, with an `EmptyState`.

    Raises:
        ValueError: NaN, infinite or negative. TypeError: not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> clip = optim.clip_by_norm(1.0)
        >>> clip.update((jnp.array([3.0, 4.0]), jnp.array([0.3, 0.4])), clip.init(None))[0]
        (Array([0.6, 0.8], dtype=float32), Array([0.3, 0.4], dtype=float32))
    """
    most = number("max_norm", max_norm, low=0)
    return lift(lambda g: _times(g, _share(norm(g), most)), EmptyState)


def clip_by_global_norm(max_norm: ArrayLike) -> GradientTransformation:
    """Scales all of the updates down together, as `optax.clip_by_global_norm`.

    With n = √Σ|g|² over all arrays (`global_norm`): g ← g · min(1, max_norm / n). The direction
    stays. A NaN anywhere makes all of the updates NaN: see `skip_not_finite`.

    Args:
        max_norm: at least 0.

    Returns:
        The `GradientTransformation`, with an `EmptyState`.

    Raises:
        ValueError: NaN, infinite or negative. TypeError: not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> clip = optim.clip_by_global_norm(1.0)
        >>> clip.update({"a": jnp.array([3.0]), "b": jnp.array([4.0])}, clip.init(None))[0]
        {'a': Array([0.6], dtype=float32), 'b': Array([0.8], dtype=float32)}

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks",
    ICML 2013.
    """
    most = number("max_norm", max_norm, low=0)

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        check_state(state, EmptyState)
        arrays, structure = inexact_leaves("gradients", updates)
        share = _share(global_norm(updates), most)
        return structure.unflatten([_times(g, share) for g in arrays]), state

    return GradientTransformation(lambda params: EmptyState(), update)


def _share(length, most):
    """min(1, most / length), and 1 also where both are 0; NaN stays NaN."""
    short = length <= most
    return jnp.where(short, 1, most / jnp.where(short, 1, length))


def _times(g, share):
    """The share of g, and g itself, to the bit, where that is 1."""
    return (g * share.astype(g.real.dtype)).astype(g.dtype)
