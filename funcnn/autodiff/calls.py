"""Functions that JAX hands to a trace whole, with the user's rule for them: what goes on the tape.

Each takes the `TapeTrace`, of which it is a method, and the arguments that JAX gives it.
"""

import functools

import jax
from jax.extend.core import set_current_trace

from funcnn.autodiff import jax_versions
from funcnn.autodiff.rules.table import Recorded
from funcnn.autodiff.source import users_line
from funcnn.autodiff.tangents import (
    is_array,
    is_inexact,
    symbolic_zero,
    zero_cotangent,
    zero_tangent,
)
from funcnn.autodiff.without_rule import NotDifferentiable

custom_rules = jax.make_user_context(True)
"""Whether calls of `custom_jvp` and `custom_vjp` functions are differentiated by their rules.

Within ``with custom_rules(False):`` they are differentiated by the code that the rules stand for.
It is part of the keys of JAX's caches, and has to be part of those of ours that keep what was
recorded.
"""

of_tangents = jax.make_user_context(False)
"""Whether all that a new trace tracks is tangents: in a JVP rule, and in the programs it calls.

What is done to tangents is linear. So a function with a rule goes on the tape itself. A trace has
an attribute of this name; the context hands it on to those that its rules make.
"""


def shard_map(trace, primitive, fun, tracers, /, **params):
    """Staged first, so that its rule finds a jaxpr, and what the function has closed over."""
    outputs = []

    def bound(*values):
        outputs.append(primitive.bind(*values, subfuns=(fun,), **params))
        return list(outputs[0])

    staged = jax.make_jaxpr(bound)(*map(jax.typeof, tracers))
    program = jax_versions.open_jaxpr(staged)
    env = dict(zip(program.invars, tracers, strict=True))
    env.update(zip(program.constvars, jax_versions.consts(staged), strict=True))
    [eqn] = program.eqns
    inputs = [env[v] for v in eqn.invars]
    _, slots = trace.untrack(inputs)
    if any(slot is not None for slot in slots):
        found = trace.process_primitive(primitive, inputs, eqn.params)
    else:
        with set_current_trace(trace.parent):
            found = primitive.bind(*inputs, **primitive.get_bind_params(eqn.params))
    return outputs[0].update(found)


def call(trace, call_primitive, f, tracers, params, /):
    """A call (`jax.extend.core.primitives.call_p`): its body is evaluated on this tape."""
    with set_current_trace(trace):
        return f.call_wrapped(*tracers)


def custom_jvp_call(trace, primitive, fun, jvp, tracers, /, *, symbolic_zeros):
    """The user's JVP rule, made reverse.

    The rule is linear in its tangents. So it is run with tangents of zero, tracked under the
    slots of the inputs they belong to: what it does with them goes on the tape, and walking
    that backwards is the rule's exact transpose.
    """
    values, slots = trace.untrack(tracers)
    if all(slot is None for slot in slots):
        with set_current_trace(trace.parent):
            return primitive.bind(*values, subfuns=(fun, jvp), symbolic_zeros=symbolic_zeros)
    if trace.of_tangents or not custom_rules.value:
        return call(trace, primitive, fun, tracers, {})
    absent = symbolic_zero if symbolic_zeros else zero_tangent
    with set_current_trace(trace.parent):
        avals = [jax.typeof(value) for value in values]
        tangents = [
            absent(aval) if slot is None else trace.track(zero_tangent(aval), slot)
            for aval, slot in zip(avals, slots, strict=True)
        ]
    trace.of_tangents = True
    try:
        with set_current_trace(trace):
            outs = jvp.call_wrapped(*values, *tangents)
    finally:
        trace.of_tangents = False
    primals_out, tangents_out = outs[: len(outs) // 2], outs[len(outs) // 2 :]
    primals_out, _ = trace.untrack(primals_out)
    _, out_slots = trace.untrack(tangents_out)
    return [trace.track(out, slot) for out, slot in zip(primals_out, out_slots, strict=True)]


def custom_vjp_call(trace, primitive, fun, fwd, bwd, tracers, /, *, out_trees, symbolic_zeros):
    """The user's forward rule on the way there, the user's backward rule on the way back."""
    if not custom_rules.value:
        return call(trace, primitive, fun, tracers, {})
    values, slots = trace.untrack(tracers)
    params = {"out_trees": out_trees, "symbolic_zeros": symbolic_zeros}
    with set_current_trace(trace.parent):
        if all(slot is None for slot in slots):
            return primitive.bind(*values, subfuns=(fun, fwd, bwd), **params)
        flat = [
            x for pair in zip(values, (s is not None for s in slots), strict=True) for x in pair
        ]
        saved_and_outs = fwd.call_wrapped(*flat)
    saved, outs = jax_versions.split_custom_vjp_forward(saved_and_outs, out_trees(), values)
    avals = [jax.typeof(out) for out in outs]
    backward = functools.partial(_custom_vjp_backward, bwd, avals, symbolic_zeros)
    recorded = Recorded(outs, [True] * len(outs), saved, backward)
    return trace.write(primitive, params, slots, recorded)


def custom_lin(trace, primitive, tracers, params, /):
    """The tangents of a `custom_vjp` function, in a JVP rule that takes `jax.jvp` of it.

    Nobody knows them, but they are not needed: in a rule only the way back is. There the user's
    backward rule has the word.
    """
    values, slots = trace.untrack(tracers)
    if all(slot is None for slot in slots):
        with set_current_trace(trace.parent):
            return primitive.bind(*values, **params)
    if not trace.of_tangents:
        raise NotDifferentiable(
            f"The primitive '{primitive}', reached at {users_line()}, has no derivative: it stands "
            "for the forward mode (jax.jvp) of a jax.custom_vjp function, whose rule only says how "
            "to go back. Give the function a jax.custom_jvp rule to use it in both."
        )
    with set_current_trace(trace.parent):
        outs = [zero_tangent(aval) for aval in params["out_avals"]]
    count, is_zero = params["num_res"], params["in_zeros"]
    backward = functools.partial(
        _custom_vjp_backward, params["bwd"], params["out_avals"], params["symbolic_zeros"]
    )

    def of_tangents(saved, gs):
        found = backward(saved, gs)
        there = [g for g, zero in zip(found, is_zero, strict=True) if not zero]
        return [*[None] * count, *there]

    recorded = Recorded(outs, [True] * len(outs), values[:count], of_tangents)
    return trace.write(primitive, params, slots, recorded)


def _custom_vjp_backward(bwd, avals, symbolic_zeros, saved, gs):
    absent = symbolic_zero if symbolic_zeros else zero_cotangent
    gs = [absent(aval) if g is None else g for g, aval in zip(gs, avals, strict=True)]
    cotangents = jax_versions.cotangents_of_custom_vjp(bwd.call_wrapped(*saved, *gs))
    return [ct if is_array(ct) and is_inexact(ct) else None for ct in cotangents]
