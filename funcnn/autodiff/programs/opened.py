"""Primitives that stand for a program: what they compute goes on a tape equation by equation.

Their own extras (a rule for `vmap`, a name for the compiler) concern the value; gradients follow
from the program.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core.primitives import call_p, closed_call_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.backward import backward as walk
from funcnn.autodiff.rules.table import Recorded, register
from funcnn.autodiff.tangents import zero_cotangent
from funcnn.autodiff.tracer import record


def on_a_tape(
    fun: Callable[[list[Any]], Sequence[Any]], values: Sequence[Any], tracked: Sequence[bool]
) -> Recorded:
    """Evaluates `fun`, a function of the list of `values`, on a tape of its own."""
    outs, slots, tape = record(fun, values, tracked)
    nodes = [node for node, _ in tape]

    def backward(saved, gs):
        found = walk(zip(reversed(nodes), reversed(saved), strict=True), slots, gs)
        return [found.get(position) for position in range(len(values))]

    is_tracked = [slot is not None for slot in slots]
    return Recorded(outs, is_tracked, [saved for _, saved in tape], backward)


def _opened(primitive, values, tracked, params):
    program = next(params[name] for name in ("call_jaxpr", "jaxpr", "call") if name in params)
    return on_a_tape(functools.partial(jax_versions.eval_closed_jaxpr, program), values, tracked)


register(call_p, _opened)
register(closed_call_p, _opened)
register("composite", _opened)
register("custom_vmap_call", _opened)
register("xla_metadata_call", _opened)


def _linear_call(linear_call, values, tracked, params):
    """`jax.custom_derivatives.linear_call`: the user says what the transpose is.

    It is linear in its last operands. A cotangent of the others, which are kept for the transpose,
    comes from the function itself.
    """
    first = params["num_callee_consts"] + params["num_res"]
    constants = values[: params["num_callee_consts"]]
    residuals = values[params["num_callee_consts"] : first]
    outs = linear_call.bind(*values, **params)
    types = [jax.typeof(out) for out in outs]

    def there_and_back():
        return params["callee"], constants

    def backward(saved, gs):
        values, residuals = saved
        cotangents: Sequence[Any] = [None] * len(values)
        if any(tracked[:first]):
            of_others = [*tracked[:first], *[False] * (len(values) - first)]
            evaluate = functools.partial(jax_versions.eval_closed_jaxpr, params["callee"])
            recorded = on_a_tape(evaluate, values, of_others)
            cotangents = recorded.backward(recorded.saved, gs)
        transpose, its_constants = params["transpose_thunk"]()
        gs = [zero_cotangent(t) if g is None else g for g, t in zip(gs, types, strict=True)]
        back = linear_call.bind(
            *its_constants,
            *residuals,
            *gs,
            callee=transpose,
            transpose_thunk=there_and_back,
            num_callee_consts=len(its_constants),
            num_res=len(residuals),
        )
        return [*cotangents[:first], *back]

    kept = values if any(tracked[:first]) else [None] * len(values)
    return Recorded(outs, [True] * len(outs), (kept, residuals), backward)


register("linear_call", _linear_call)
