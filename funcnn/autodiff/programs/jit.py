"""The rule for `jit`: the inner program stays one compiled call, there and back."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend.core import Literal
from jax.extend.core.primitives import jit_p

from funcnn.autodiff.programs.cut import bytes_of, is_cheap
from funcnn.autodiff.programs.joint import evaluate, halve, joint, live, once, pull_back, read
from funcnn.autodiff.rules.table import Recorded, register


def compiled(
    jaxpr: Any, tracked: tuple[bool, ...], values: Sequence[Any], name: str, inline: bool
) -> Recorded:
    """Evaluates a closed jaxpr as one compiled call, and its backward pass as another."""
    forward, backward, tracked_out, places = once(
        jaxpr, ("jit", name, inline, tracked), lambda: _calls(jaxpr, tracked, name, inline)
    )
    found = forward(*values)
    outs, added = found[: len(tracked_out)], found[len(tracked_out) :]
    at = {"operand": values, "output": outs, "added": added}
    return Recorded(outs, tracked_out, [at[place][i] for place, i in places], backward)


def jit_rule(primitive, values, tracked, params) -> Recorded:
    return compiled(params["jaxpr"], tracked, values, params["name"], params["inline"])


register(jit_p, jit_rule)


def _calls(jaxpr, tracked, name, inline):
    """The compiled halves, and where each value that is kept is found.

    Operands and outputs are there anyway. What is kept besides is given out in addition.
    """
    program = joint(jaxpr, tracked)
    outputs = {v: i for i, v in enumerate(program.outputs) if not isinstance(v, Literal)}
    places = {v: ("output", i) for v, i in outputs.items()}
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

    forward.__name__ = name
    backward.__name__ = f"{name}_backward"
    return (
        jax.jit(forward, inline=inline),
        jax.jit(backward, inline=inline),
        program.tracked,
        [places[v] for v in halves.kept],
    )
