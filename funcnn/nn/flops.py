"""How many floating point operations a function takes, counted without running it."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun


def count_flops(function: Callable[..., Any], *args: Any) -> int:
    """The floating point operations of `function(*args)`, as XLA counts them before it optimizes.

    A sum or a product is one, a matrix product two for each pair that is multiplied; exp, tanh and
    their kin are none. Nothing is compiled or computed. XLA counts the body of a loop once: that of
    a `jax.lax.scan` is multiplied by its length here, that of a `while_loop`, whose length nobody
    knows, is not.

    Args:
      function: of arrays, as for `jax.jit`.
      args: its arguments: arrays, or a `jax.ShapeDtypeStruct` for each.

    >>> import jax.numpy as jnp
    >>> count_flops(jnp.matmul, jnp.ones((1, 784)), jnp.ones((784, 30)))
    47040
    """
    traced = jax.jit(function).trace(*args)
    counted = (traced.lower(lowering_platforms=("cpu",)).cost_analysis() or {}).get("flops", 0)
    return int(counted) + sum(map(_uncounted, _scans(traced.jaxpr)))


def _uncounted(scan: Any) -> int:
    """What XLA leaves out of a scan: all but one run of its body, and all scans within that one."""
    body = scan.params["jaxpr"]
    args = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in body.in_avals]
    once = count_flops(jaxpr_as_fun(body), *args)
    within = sum(map(_uncounted, _scans(body)))
    return scan.params["length"] * once - (once - within)


def _scans(jaxpr: Any) -> Iterator[Any]:
    """The scans in a program, within calls too but not within one another."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
            continue
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, "eqns"):
                    yield from _scans(inner)
