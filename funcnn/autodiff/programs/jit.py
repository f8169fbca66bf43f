"""The rule for `jit`: the inner program stays one compiled call, there and back."""

from collections.abc import Sequence
from typing import Any

from jax.extend.core.primitives import jit_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.calls import Calls, called, inlined, named
from funcnn.autodiff.programs.cut import bytes_of, is_cheap
from funcnn.autodiff.programs.joint import (
    evaluate,
    halve,
    joint,
    live,
    once,
    places_of,
    pull_back,
    read,
)
from funcnn.autodiff.rules.table import Recorded, register


def jit_rule(primitive, values, tracked, params) -> Recorded:
    inline = jax_versions.is_inlined(params)
    return as_one_call(params["jaxpr"], tracked, values, params["name"], inline)


register(jit_p, jit_rule)


def as_one_call(
    jaxpr: Any, tracked: tuple[bool, ...], values: Sequence[Any], name: str, inline: bool
) -> Recorded:
    """Evaluates a closed jaxpr as one compiled call, and its backward pass as another."""
    made = once(
        jaxpr,
        ("jit", name, inline, tracked),
        lambda: inlined(calls(jaxpr, tracked)) if inline else named(calls(jaxpr, tracked), name),
    )
    return called(made, values)


def calls(jaxpr: Any, tracked: tuple[bool, ...]) -> Calls:
    """Cuts a closed jaxpr in two. Operands and outputs are there anyway, so they cost nothing."""
    program = joint(jaxpr, tracked)
    places = {v: ("output", i) for v, i in places_of(program.outputs).items()}
    places |= {v: ("operand", i) for i, v in enumerate(program.operands)}
    halves = halve(program, lambda v: 0 if v in places else bytes_of(v), is_cheap)
    added = [v for v in halves.kept if v not in places]
    places |= {v: ("added", i) for i, v in enumerate(added)}
    wanted = [*program.outputs, *added]
    eqns = live(program.forward, wanted)

    def forward(*values):
        env = {**program.constants, **dict(zip(program.operands, values, strict=True))}
        evaluate(eqns, env)
        return [read(env, v) for v in wanted]

    def backward(saved, gs):
        return pull_back(halves, dict(zip(halves.kept, saved, strict=True)), gs)

    return Calls(forward, backward, program.tracked, [places[v] for v in halves.kept])
