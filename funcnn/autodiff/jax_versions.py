"""What has to be told apart between the JAX versions that funcnn supports. Nowhere else may ask."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend import core
from jax.extend.core import primitives


def primitive(name: str) -> core.Primitive | None:
    """The lax primitive of this name, or None where this JAX does not have it.

    >>> primitive("sin_p")
    sin
    >>> primitive("no_such_p") is None
    True
    """
    return getattr(primitives, name, None) or getattr(jax.lax, name, None)


def consts(jaxpr: Any) -> list[Any]:
    """The constants of a closed jaxpr. JAX 0.12 has one class for open and closed ones."""
    return jaxpr.consts


def open_jaxpr(jaxpr: Any) -> Any:
    """The jaxpr with equations and variables: in JAX 0.12 the closed one itself."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def eval_closed_jaxpr(jaxpr: Any, args: Sequence[Any]) -> list[Any]:
    """The outputs of a closed jaxpr, its equations bound on the current trace."""
    return jax.core.eval_jaxpr(open_jaxpr(jaxpr), consts(jaxpr), *args)


def cotangents_of_custom_vjp(returned: Any) -> list[Any]:
    """What a flattened `custom_vjp` backward rule returned. JAX 0.12 adds the rule's log."""
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], list):
        return returned[0]
    return list(returned)


def split_custom_vjp_forward(
    returned: Any, out_trees: tuple[Any, ...], values: list[Any]
) -> tuple[list[Any], list[Any]]:
    """Residuals and outputs from what a flattened `custom_vjp` forward rule returned.

    JAX leaves out residuals that are the function's own inputs, and says which input each is.
    """
    _, residual_tree, from_input = out_trees
    stored = residual_tree.num_leaves - sum(i is not None for i in from_input)
    kept = iter(returned[:stored])
    residuals = [next(kept) if i is None else values[i] for i in from_input]
    return residuals, list(returned[stored:])
