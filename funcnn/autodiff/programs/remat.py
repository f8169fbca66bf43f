"""The rule for `checkpoint` (`remat`): on the way back, what was not kept is computed again.

It is the cut with other prices: operands cost nothing, what the user's policy allows to be kept
costs nothing either, and everything else may not be kept.
"""

import math

import jax
from jax import lax
from jax.extend.core.primitives import remat_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.calls import Calls, called, inlined
from funcnn.autodiff.programs.joint import evaluate, halve, joint, live, once, pull_back, read
from funcnn.autodiff.rules.table import Recorded, register


def remat_rule(primitive, values, tracked, params) -> Recorded:
    jaxpr, policy = params["jaxpr"], params["policy"]
    made = once(jaxpr, ("remat", tracked, policy), lambda: inlined(_calls(jaxpr, tracked, policy)))
    return called(made, values)


register(remat_p, remat_rule)


def _calls(jaxpr, tracked, policy):
    program = joint(jax_versions.closed(jaxpr), tracked, opened=True)
    answers = {
        v: policy(eqn.primitive, *(u.aval for u in eqn.invars), **eqn.params)
        for eqn in program.forward
        for v in eqn.outvars
        if policy is not None
    }
    kept_by = jax_versions.kept_by
    places = {v: ("operand", i) for i, v in enumerate(program.operands)}
    # what has an effect is not to have it twice, so what it gave is kept
    free = {*places, *(v for eqn in program.forward if eqn.effects for v in eqn.outvars)}
    halves = halve(
        program,
        cost=lambda v: 0 if v in free or kept_by(answers.get(v, False)) else math.inf,
        can_be_made_again=lambda eqn: not eqn.effects,
    )
    added = [v for v in halves.kept if v not in places]
    places |= {v: ("added", i) for i, v in enumerate(added)}
    memory = {v: jax_versions.offloaded_to(answers.get(v)) for v in halves.kept}
    eqns = live(program.forward, [*program.outputs, *added])

    def forward(*values):
        env = {**program.constants, **dict(zip(program.operands, values, strict=True))}
        evaluate(eqns, env)
        return [read(env, v) for v in program.outputs] + [_moved(env[v], memory[v]) for v in added]

    def backward(saved, gs):
        saved = [_moved(x, memory[v] and "device") for v, x in zip(halves.kept, saved, strict=True)]
        # The compiler would find that it knows the values already, and a program around this one
        # would take them for a part of its forward pass: so they are made to wait for a cotangent.
        saved, gs = lax.optimization_barrier((saved, gs))
        return pull_back(halves, dict(zip(halves.kept, saved, strict=True)), gs)

    return Calls(forward, backward, program.tracked, [places[v] for v in halves.kept])


def _moved(x, memory):
    return x if memory is None else jax.device_put(x, jax_versions.memory_space(memory))
