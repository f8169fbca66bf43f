"""Compiled where there are values; part of the larger program where one is being traced."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer


def concrete(value: Any) -> Any:
    """The number behind a value; None where something is being traced and there is none yet."""
    return value.to_concrete_value() if isinstance(value, Tracer) else value


def compiled(fun: Callable, **options: Any) -> Callable:
    """`fun`, compiled as by `jax.jit` with these options, if it is called with values.

    Called while something is traced it leaves its operations there, one by one. This is what
    ``jax.jit(fun, inline=True)`` is meant to do, and no longer does in JAX 0.12.
    """
    as_one_call = jax.jit(fun, inline=True, **options)

    @functools.wraps(fun)
    def called(*args, **kwargs):
        traced = any(concrete(leaf) is None for leaf in jax.tree.leaves((args, kwargs)))
        return (fun if traced else as_one_call)(*args, **kwargs)

    return called
