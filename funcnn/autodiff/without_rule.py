"""A primitive without a rule: may it be passed over, and what is said if not."""

import functools
from typing import Any

import jax
from jax.extend.core import Primitive

from funcnn.autodiff.rules.table import no_gradient, not_differentiable
from funcnn.autodiff.source import users_line
from funcnn.autodiff.tangents import is_inexact


class NotDifferentiable(NotImplementedError, ValueError):
    """There is no derivative, and why. JAX raises the one or the other of its two kinds."""


def check_that_none_is_needed(primitive: Primitive, values: Any, params: dict[str, Any]) -> None:
    """A primitive without a rule is right only if nothing it gives out could have a gradient.

    Asked before it is evaluated: it may be a call of the user's own that does something.
    """
    if primitive in no_gradient:
        return
    out = jax.eval_shape(functools.partial(primitive.bind, **params), *values)
    if any(is_inexact(o) for o in jax.tree.leaves(out)):
        if primitive in not_differentiable:
            raise NotDifferentiable(
                f"The primitive '{primitive}', reached at {users_line()}, has no derivative: "
                f"{not_differentiable[primitive]}. Where no gradient is meant to flow, keep the "
                "input out with jax.lax.stop_gradient."
            )
        raise NotImplementedError(
            f"funcnn has no VJP rule for the primitive '{primitive}', reached at {users_line()}. "
            "Add one with funcnn.autodiff.defvjp (its docstring shows how), or, where no gradient "
            "is meant to flow, keep the input out with jax.lax.stop_gradient."
        )
