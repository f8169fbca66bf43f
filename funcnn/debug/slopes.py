"""The local derivative of an activation: how steep it is, and which of its units are flat."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

FLAT = 0.01
"""less than this share of the largest |f'| is flat: the sigmoid's is beyond |z| = 6, tanh's 3"""

# The largest slope is looked for on [-2, 2], where normalized units are; the ends say whether f is
# flat far out. Farther than that, the slope of z² or exp z is no measure for those near 0.
_NEAR = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 1.5, -1.5)
_ENDS = (20.0, -20.0)


class Slopes(NamedTuple):
    """Of f at a batch of z: scalars.

    Attributes:
      elementwise: whether f is a function of each entry by itself; else the rest means nothing.
      curved: whether its slope changes, or is 0 throughout.
      largest: its largest |f'|.
      saturated: the share of entries where it is flat and not off.
      has_off: whether f is a function that can be off: flat on one side, or exactly 0 there.
      dead: the share of units that are off at every example and place.
    """

    elementwise: jax.Array
    curved: jax.Array
    largest: jax.Array
    saturated: jax.Array
    has_off: jax.Array
    dead: jax.Array


def could_be_elementwise(z: Any, y: Any) -> bool:
    """By their shapes: one array of floating point numbers in, and one like it out."""
    return _is_floating(z) and _is_floating(y) and z.shape == y.shape and z.size > 1


def _is_floating(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)


def slopes(f: Callable[[Any], Any], z: jax.Array, *, grad: Callable[..., Any]) -> Slopes:
    """How steep f is at z.

    No list of activations is kept: a function is elementwise where its Jacobian is diagonal, which
    is where Jᵀu = u ⊙ Jᵀ1, and that is tried with a u that no function will have been made for.
    """
    here, mixed, u, value, slope = _derivatives(f, z, grad)
    expected = u * here
    close = jnp.abs(mixed - expected) <= 0.02 * jnp.max(jnp.abs(expected))
    near, ends = jnp.split(slope, [len(_NEAR)])
    largest = jnp.max(jnp.where(jnp.isfinite(near), near, 0))
    largest = jnp.where(largest > 0, largest, jnp.max(jnp.abs(here)))
    flat_right, flat_left = ends < FLAT * largest
    exact = jnp.any((slope == 0)[1 : len(_NEAR)] & (value == 0)[1 : len(_NEAR)])
    flat = jnp.abs(here) < FLAT * largest
    # flat on one side only, that side is off; ReLU6 is flat on both, and off where it is 0
    off = flat & jnp.where(flat_left & flat_right, exact & (here == 0) & (f(z) == 0), True)
    return Slopes(
        jnp.all(close),
        jnp.any(near < 0.99 * largest) | (largest == 0),
        largest,
        jnp.mean(flat & ~off),
        (flat_left ^ flat_right) | exact,
        jnp.mean(jnp.all(off.reshape(-1, z.shape[-1]), axis=0)),
    )


def _derivatives(f: Callable[[Any], Any], z: jax.Array, grad: Callable[..., Any]) -> Any:
    """Jᵀ1 and Jᵀu at z, u, and at `_NEAR` and `_ENDS` f and |f'|. One gradient gives all."""
    places = jnp.array(_NEAR + _ENDS, z.dtype)
    # f may take z in no other shape
    at = jnp.resize(places, (-(-places.size // z.size), *z.shape))
    # anything irregular: multiples of the golden ratio, modulo 1
    turns = lax.iota(jnp.uint32, z.size) * jnp.uint32(2654435769)
    u = (0.5 + turns.astype(jnp.float32) / 2.0**32).reshape(z.shape)
    weights = jnp.concatenate([jnp.ones_like(u)[None], u[None], jnp.ones(at.shape)])

    def weighted(zs: jax.Array) -> Any:
        ys = jax.vmap(f)(zs)
        return jnp.sum(ys.astype(jnp.float32) * weights), ys

    (_, ys), gs = grad(weighted, has_aux=True)(jnp.concatenate([z[None], z[None], at]))
    gs = gs.astype(jnp.float32)
    of_places = lambda values: values[2:].ravel()[: places.size]
    return gs[0], gs[1], u, of_places(ys), jnp.abs(of_places(gs))
