"""A case for each primitive with a rule: functions that bind it, over shapes and parameters.

A case is a primitive's name and its variants: a function, and the arguments it is called with. The
floating point arguments are what is differentiated; integers and booleans (indices, predicates) are
passed along, and are mapped over under `vmap` like the others.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Variant(NamedTuple):
    fun: Callable
    args: tuple
    smooth: bool = True
    """is the derivative what central differences measure?"""
    in_jax: bool = True
    """does JAX differentiate it, and rightly?"""


CASES: dict[str, dict[str, Variant]] = {}
rng = np.random.default_rng(20240)


def case(primitive: str, **variants: Any) -> None:
    """Enters variants (fun, *args) of a primitive."""
    made = {
        name: v if isinstance(v, Variant) else Variant(v[0], tuple(v[1:]))
        for name, v in variants.items()
    }
    CASES.setdefault(primitive, {}).update(made)


@contextlib.contextmanager
def apart():
    """What is drawn within it changes nothing of what is drawn after it.

    For primitives that not every JAX has: the others get the same numbers with each.
    """
    state = rng.bit_generator.state
    yield
    rng.bit_generator.state = state


def normal(*shape):
    return rng.normal(size=shape)


def uniform(low, high):
    return lambda *shape: rng.uniform(low, high, size=shape)


def complex_normal(*shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def distinct(*shape):
    """Numbers that lie at least 0.1 apart, and that far from any integer: no ties, no kinks."""
    size = int(np.prod(shape))
    return (rng.permutation(size) - size / 2 + 0.3).reshape(shape) * 0.7 + 0.11


def indices(high, *shape):
    return rng.integers(0, high, size=shape).astype(np.int32)


def one(like, value=1.0):
    """A scalar constant of the dtype of `like`."""
    return np.asarray(value, like.dtype)


positive = uniform(0.4, 2.0)
inside = uniform(-0.9, 0.9)
above_one = uniform(1.1, 3.0)
