"""The rule for `cond` and `switch`: the branch that was taken is the one that is gone back.

What the branches keep differs, but a branch must give out the same types as the others. So places
are shared: values of the same type of different branches, of which only one is ever there, are
handed over in the same one.
"""

import functools
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

from jax import lax

from funcnn.autodiff.compiling import concrete
from funcnn.autodiff.programs.calls import Calls, called, inlined
from funcnn.autodiff.programs.cut import bytes_of, is_cheap
from funcnn.autodiff.programs.jit import as_one_call
from funcnn.autodiff.programs.joint import (
    Halves,
    evaluate,
    halve,
    joint,
    live,
    once,
    places_of,
    present_after,
    pull_back,
    read,
)
from funcnn.autodiff.rules.table import Recorded, register
from funcnn.autodiff.tangents import zero_cotangent, zeros


class Branch(NamedTuple):
    halves: Halves
    operands: list[int]
    """which operands are needed on the way back"""
    outputs: list[tuple[int, Any]]
    """which outputs, with their variables"""
    places: list[tuple[int, Any]]
    """where else something is kept: the place, and the variable"""


def cond_rule(primitive, values, tracked, params) -> Recorded:
    index, *operands = values
    branches = params["branches"]
    platforms = params.get("branches_platforms")
    known = concrete(index)
    if known is not None and platforms is None:
        # nothing to decide at run time: it is the branch alone
        taken = as_one_call(branches[int(known)], tracked[1:], operands, "branch", inline=False)
        return taken._replace(backward=functools.partial(_and_none_for_the_index, taken.backward))
    made = once(
        branches[0],
        ("cond", tuple(map(weakref.ref, branches)), platforms, tracked),
        lambda: inlined(_switches(branches, platforms, tracked[1:])),
    )
    return called(made, values)


register(lax.cond_p, cond_rule)


def _and_none_for_the_index(backward, saved, gs):
    return [None, *backward(saved, gs)]


def _switches(branches, platforms, tracked):
    programs = [joint(branch, tracked) for branch in branches]
    cuts, types = _cut_branches(programs)
    tracked_out = [any(outs) for outs in zip(*(p.tracked for p in programs), strict=True)]
    kept_operands = sorted({i for branch in cuts for i in branch.operands})
    kept_outputs = sorted({i for branch in cuts for i, _ in branch.outputs})

    def forward(index, *operands):
        outs, added = _switch(index, [_there(b, types) for b in cuts], platforms, operands)
        return [*outs, *added]

    def backward(saved, gs):
        index, *saved = saved
        first, second = len(kept_operands), len(kept_operands) + len(kept_outputs)
        operands, outs, added = saved[:first], saved[first:second], saved[second:]
        present = [g is not None for g in gs]
        asked = [
            any(s) for s in zip(*(present_after(b.halves, present) for b in cuts), strict=True)
        ]
        operands = dict(zip(kept_operands, operands, strict=True))
        outs = dict(zip(kept_outputs, outs, strict=True))
        back = [_back(branch, asked) for branch in cuts]
        found = iter(_switch(index, back, platforms, (operands, outs, added, gs)))
        return [None, *(next(found) if is_asked else None for is_asked in asked)]

    residuals = [
        ("operand", 0),
        *(("operand", 1 + i) for i in kept_operands),
        *(("output", i) for i in kept_outputs),
        *(("added", i) for i in range(len(types))),
    ]
    return Calls(forward, backward, tracked_out, residuals)


def _cut_branches(programs) -> tuple[list[Branch], list[Any]]:
    """The branches, and the types of the places that they share."""
    types: list[Any] = []
    cuts = []
    for program in programs:
        outputs = places_of(program.outputs)
        operands = {v: i for i, v in enumerate(program.operands)}
        there = {*operands, *outputs}
        halves = halve(program, lambda v: 0 if v in there else bytes_of(v), is_cheap)  # noqa: B023
        branch = Branch(halves, [], [], [])
        free = list(range(len(types)))
        for v in halves.kept:
            if v in operands:
                branch.operands.append(operands[v])
            elif v in outputs:
                branch.outputs.append((outputs[v], v))
            else:
                place = next((i for i in free if types[i] == v.aval), None)
                if place is None:
                    place = len(types)
                    types.append(v.aval)
                else:
                    free.remove(place)
                branch.places.append((place, v))
        cuts.append(branch)
    return cuts, types


def _there(branch: Branch, types: Sequence[Any]):
    program = branch.halves.joint
    kept = dict(branch.places)
    eqns = live(program.forward, [*program.outputs, *kept.values()])

    def run(operands):
        env = {**program.constants, **dict(zip(program.operands, operands, strict=True))}
        evaluate(eqns, env)
        added = [env[kept[i]] if i in kept else zeros(aval) for i, aval in enumerate(types)]
        return [read(env, v) for v in program.outputs], added

    return run


def _back(branch: Branch, asked: Sequence[bool]):
    program = branch.halves.joint

    def run(saved):
        operands, outs, added, gs = saved
        values = {program.operands[i]: operands[i] for i in branch.operands}
        values |= {v: outs[i] for i, v in branch.outputs}
        values |= {v: added[place] for place, v in branch.places}
        found = pull_back(branch.halves, values, gs)
        return [
            zero_cotangent(v.aval.update(weak_type=False)) if g is None else g
            for g, v, is_asked in zip(found, program.operands, asked, strict=True)
            if is_asked
        ]

    return run


def _switch(index, branches, platforms, operand):
    if platforms is None:
        return lax.switch(index, branches, operand)
    # which branch is taken is known when the program is compiled, for one platform or another
    named = {
        name: run
        for names, run in zip(platforms, branches, strict=True)
        for name in (names or ("default",))
    }
    return lax.platform_dependent(operand, **named)
