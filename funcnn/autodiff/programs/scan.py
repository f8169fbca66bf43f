"""The rule for `scan`: a loop there, a loop back in the other direction.

Of each iteration the backward loop needs the values that the cut has chosen. Those that are the
same in every iteration are computed once and handed over as they are; slices of the scanned inputs
and outputs are there already; what an iteration was given by the one before is made again from what
was kept of that one, where it can be; only what is left is stacked.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Literal

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.calls import Calls, called, inlined
from funcnn.autodiff.programs.cut import bytes_of, is_cheap, is_elementwise
from funcnn.autodiff.programs.joint import (
    Halves,
    evaluate,
    halve,
    inputs_of,
    joint,
    live,
    once,
    places_of,
    pull_back,
    read,
)
from funcnn.autodiff.programs.loops import added, present_in_any, tracked_in_any, zeros_for_absent
from funcnn.autodiff.rules.table import Recorded, register


class Loop(NamedTuple):
    """How a scan's body is cut, and where what is kept of it is found."""

    halves: Halves
    constants: list[Any]
    """the body's operands by kind, as variables"""
    carried: list[Any]
    scanned: list[Any]
    invariant: list[Any]
    """equations whose values are the same in all iterations, and needed on the way back"""
    same: list[Any]
    """variables that are kept, the same in all iterations: operands and values"""
    from_inputs: list[int]
    """which scanned inputs are needed on the way back"""
    from_outputs: list[int]
    """which stacked outputs are needed on the way back"""
    stacked: list[Any]
    """variables that are stacked in addition"""
    handed_on: list[int]
    """which carried values are made again from the iteration before"""
    again: list[Any]
    """equations that do so"""


def scan_rule(primitive, values, tracked, params) -> Recorded:
    jaxpr = params["jaxpr"]
    counts = jax_versions.scan_counts(params)
    options = {name: params[name] for name in ("length", "reverse", "unroll")}
    key = ("scan", tracked, counts, *options.values())
    made = once(jaxpr, key, lambda: inlined(_loops(jaxpr, tracked, *counts, options)))
    return called(made, values)


register(lax.scan_p, scan_rule)


def _loops(jaxpr, tracked, num_consts, num_carry, options):
    tracked = tracked_in_any(jaxpr, tracked, num_consts, num_carry)
    loop = _cut_body(joint(jaxpr, tracked), num_consts, num_carry)
    program = loop.halves.joint
    # what is carried is tracked if it is in any iteration
    tracked_out = [
        *tracked[num_consts : num_consts + num_carry],
        *program.tracked[num_carry:],
    ]

    places = {v: ("operand", i) for i, v in enumerate(loop.constants)}
    computed = [v for v in loop.same if v not in places]
    places |= {v: ("added", i) for i, v in enumerate(computed)}

    def forward(*values):
        constants, init, xs = _parts(values, num_consts, num_carry)
        outside = {**program.constants, **dict(zip(loop.constants, constants, strict=True))}
        evaluate(loop.invariant, outside)
        made = {v for eqn in loop.invariant for v in eqn.outvars}
        wanted = [*program.outputs, *loop.stacked]
        eqns = live(program.forward, wanted, made)

        def body(carry, x):
            inside = dict(zip((*loop.carried, *loop.scanned), (*carry, *x), strict=True))
            env = {**outside, **inside}
            evaluate(eqns, env)
            outs = [read(env, v) for v in wanted]
            return outs[:num_carry], outs[num_carry:]

        carry, stacked = lax.scan(body, init, xs, **options)
        count = len(program.outputs) - num_carry
        return [*carry, *stacked[:count], *(outside[v] for v in computed), *stacked[count:]]

    per_iteration = [
        *(loop.scanned[i] for i in loop.from_inputs),
        *(program.outputs[num_carry + i] for i in loop.from_outputs),
        *loop.stacked,
    ]
    of_the_one_before = inputs_of(loop.again, [program.outputs[i] for i in loop.handed_on])
    first, towards_first = (options["length"] - 1, 1) if options["reverse"] else (0, -1)

    def from_the_one_before(i, stacked, outside, init):
        """The carried values that iteration `i` was handed."""
        env = {**program.constants, **outside}
        before = jnp.clip(i + towards_first, 0, options["length"] - 1)
        for v, stack in zip(per_iteration, stacked, strict=True):
            if v in of_the_one_before:
                env[v] = lax.dynamic_index_in_dim(stack, before, keepdims=False)
        evaluate(loop.again, env)
        return {
            loop.carried[j]: lax.select(i == first, start, env[program.outputs[j]])
            for j, start in zip(loop.handed_on, init, strict=True)
        }

    def backward(saved, gs):
        same, stacked, init = _parts(saved, len(loop.same), len(per_iteration))
        outside = dict(zip(loop.same, same, strict=True))
        gs_carry, gs_stacked = gs[:num_carry], gs[num_carry:]
        has_carry, asked = present_in_any(loop.halves, gs_carry, gs_stacked, num_consts)
        g_carry = zeros_for_absent(gs_carry, has_carry, loop.carried)
        sums = zeros_for_absent([None] * num_consts, asked[:num_consts], loop.constants)

        def body(carry, x):
            g_carry, sums = carry
            i, kept, g_stacked = x
            env = {**outside, **dict(zip(per_iteration, kept, strict=True))}
            if loop.handed_on:
                env |= from_the_one_before(i, stacked, outside, init)
            found = pull_back(loop.halves, env, [*g_carry, *g_stacked])
            to_constants, to_carry, to_xs = _parts(found, num_consts, num_carry)
            g_carry = zeros_for_absent(to_carry, has_carry, loop.carried)
            return (g_carry, added(sums, to_constants)), to_xs

        backwards = {**options, "reverse": not options["reverse"]}
        numbers = np.arange(options["length"], dtype=np.int32)
        (g_carry, sums), to_xs = lax.scan(
            body, (g_carry, sums), (numbers, stacked, gs_stacked), **backwards
        )
        return [*sums, *g_carry, *to_xs]

    residuals = [
        *(places[v] for v in loop.same),
        *(("operand", num_consts + num_carry + i) for i in loop.from_inputs),
        *(("output", num_carry + i) for i in loop.from_outputs),
        *(("added", len(computed) + i) for i in range(len(loop.stacked))),
        *(("operand", num_consts + i) for i in loop.handed_on),
    ]
    return Calls(forward, backward, tracked_out, residuals)


def _cut_body(program, num_consts, num_carry) -> Loop:
    constants, carried, scanned = _parts(program.operands, num_consts, num_carry)
    same = {*constants, *program.constants}
    invariant = []
    for eqn in program.forward:
        inputs = [v for v in eqn.invars if not isinstance(v, Literal)]
        if inputs and not eqn.effects and same.issuperset(inputs):
            same.update(eqn.outvars)
            invariant.append(eqn)
    made_once = [v for eqn in invariant for v in eqn.outvars]
    ys = places_of(program.outputs[num_carry:])
    free = same.union(scanned, ys)
    halves = halve(
        program,
        lambda v: 0 if v in free else bytes_of(v),
        # what is the same in all iterations is not worth computing in each, unless it only moves
        lambda eqn: (is_cheap if same.issuperset(eqn.outvars) else is_elementwise)(eqn),
    )
    # what an iteration was handed, if the one before has kept all it takes to make it
    kept = list(halves.kept)
    handed_on: list[int] = []
    sources: set[Any] = set()
    for i, v in enumerate(carried):
        if v not in kept or v in sources:
            continue
        made_of = _made_of(program, program.outputs[i], {*kept, *same} - {v})
        if made_of is None:  # then of what is only there if it is handed over on purpose
            made_of = _made_of(program, program.outputs[i], {*kept, *free} - {v})
        if made_of is not None:
            kept.remove(v)
            handed_on.append(i)
            sources |= made_of
    needed = {*kept, *sources}
    outputs = {v: i for v, i in ys.items() if v in needed}
    kept_same = [v for v in (*constants, *made_once) if v in needed]
    return Loop(
        halves,
        constants,
        carried,
        scanned,
        invariant=live(invariant, kept_same),
        same=kept_same,
        from_inputs=[i for i, v in enumerate(scanned) if v in needed],
        from_outputs=list(outputs.values()),
        stacked=[v for v in kept if v not in same and v not in scanned and v not in outputs],
        handed_on=handed_on,
        again=live(program.forward, [program.outputs[i] for i in handed_on], needed),
    )


def _made_of(program, v, kept) -> set[Any] | None:
    """Which of `kept` suffice to make `v` again, element by element; None if they do not."""
    if isinstance(v, Literal):
        return None
    eqns = live([eqn for eqn in program.forward if not eqn.effects], [v], kept)
    needed = inputs_of(eqns, [v]) - program.constants.keys()
    return needed if needed <= kept and all(map(is_elementwise, eqns)) else None


def _parts(values: Sequence[Any], num_consts: int, num_carry: int):
    values = list(values)
    carry_end = num_consts + num_carry
    return values[:num_consts], values[num_consts:carry_end], values[carry_end:]
