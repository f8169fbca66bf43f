"""What is inside of a step that is a program: `jit`, `scan`, `while_loop`, `cond`, `checkpoint`.

A loop is one call for each iteration, with the values and the cotangents it had. They are found by
running the loop once more, forwards and backwards, its body compiled.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Trace
from jax.extend.core import set_current_trace, take_current_trace

from funcnn.autodiff import calls, jax_versions
from funcnn.autodiff.backward import backward, from_the_end
from funcnn.autodiff.programs.loops import tracked_in_any, zeros_for_absent
from funcnn.autodiff.tracer import record
from funcnn.graph.places import is_of_jax
from funcnn.graph.steps import Call, Number, Step, Steps

Function = Callable[[list[Any]], Sequence[Any]]


def can_be_opened(step: Step) -> bool:
    """Is a step a program that can be looked into?"""
    return step.primitive.name in _openers or step.primitive.name in _custom


def body_of(at: int, found: Steps, call: Call) -> Call:
    """The program of a step that is a function with a rule of its own (`custom_jvp`).

    Its steps have the derivatives of the code that the rule stands for.

    Args:
      at: the step's place in `found`.
      found: the steps of the program `call` that it is one of.
    """
    step = found.steps[at]
    nth = sum(s.primitive.name in _custom for s in found.steps[:at])
    with take_current_trace() as parent:
        trace = _Bodies(parent)
        with set_current_trace(trace):
            call.function([found.values[number] for number in found.inputs])
    given = tuple(found.values[number] for number in step.inputs)
    outputs = tuple(found.values[number] for number in step.outputs)
    name = str(step.params["name"])
    flat = step.tracked, step.upstream, outputs, step.downstream, call.source
    return Call(name, _evaluating(trace.bodies[nth]), given, *flat)


class _Bodies(Trace):
    """Evaluates a program, and keeps the bodies of the functions with rules that it calls."""

    def __init__(self, parent: Trace):
        super().__init__()
        self.requires_low = False
        self.parent = parent
        self.bodies: list[Any] = []

    def stage_value(self, val):
        return self.parent.stage_value(val)

    def process_primitive(self, primitive, tracers, params, /):
        with set_current_trace(self.parent):
            return primitive.bind(*tracers, **params)

    def process_custom_jvp_call(self, primitive, fun, jvp, tracers, /, **params):
        # a function may be called once: what it is made of is written down, and that is evaluated
        with set_current_trace(self.parent):
            body = jax.make_jaxpr(fun.call_wrapped)(*map(jax.typeof, tracers))
            self.bodies.append(body)
            return jax_versions.eval_closed_jaxpr(body, tracers)

    def process_custom_vjp_call(self, primitive, fun, fwd, bwd, tracers, /, **params):
        return self.process_custom_jvp_call(primitive, fun, fwd, tracers)

    process_call = calls.call

    def process_shard_map(self, primitive, fun, tracers, /, **params):
        with set_current_trace(self.parent):
            return primitive.bind(*tracers, subfuns=(fun,), **params)


_custom = ("custom_jvp_call", "custom_vjp_call")


def calls_in(step: Step, values: dict[Number, Any]) -> list[Call]:
    """The programs that a step consists of: one for each iteration of a loop, in their order.

    Empty where the step is no program, or one that cannot be looked into.

    Args:
      values: those of the `Steps` that the step is one of.
    """
    opener = _openers.get(step.primitive.name)
    if opener is None:
        return []
    given = [values[number] for number in step.inputs]
    return opener(step, given, tuple(values[number] for number in step.outputs))


def _evaluating(jaxpr: Any) -> Function:
    closed = jax_versions.closed(jaxpr)
    return lambda values: jax_versions.eval_closed_jaxpr(closed, values)


def _whole(name: str, jaxpr: Any, step: Step, values: Sequence[Any], outputs: Any) -> Call:
    """The one call that a step is, of its last operands where there are others before."""
    n = len(values)
    return Call(
        name,
        _evaluating(jaxpr),
        tuple(values),
        step.tracked[-n:] if n else (),
        step.upstream,
        outputs,
        step.downstream[-n:] if n else (),
        # JAX traces its own functions once: the lines these know are those of the first call
        step.source if is_of_jax(jaxpr) else None,
    )


def _jit(step: Step, values: list[Any], outputs: Any) -> list[Call]:
    return [_whole(step.params["name"], step.params["jaxpr"], step, values, outputs)]


def _checkpoint(step: Step, values: list[Any], outputs: Any) -> list[Call]:
    return [_whole("checkpoint", step.params["jaxpr"], step, values, outputs)]


def _cond(step: Step, values: list[Any], outputs: Any) -> list[Call]:
    taken = int(np.clip(values[0], 0, len(step.params["branches"]) - 1))
    branch = step.params["branches"][taken]
    return [_whole(f"branch {taken}", branch, step, values[1:], outputs)]


def _scan(step: Step, values: list[Any], outputs: Any) -> list[Call]:
    params, jaxpr = step.params, step.params["jaxpr"]
    constants, carried = jax_versions.scan_counts(params)
    order = range(params["length"])
    order = order[::-1] if params["reverse"] else order
    before, carry, scanned = np.split(np.arange(len(values)), [constants, constants + carried])
    of_loop = [values[i] for i in before]
    state = [values[i] for i in carry]
    function = _evaluating(jaxpr)
    body = jax.jit(function)
    given, gave = [], []
    for at in order:
        given.append([*of_loop, *state, *(jnp.asarray(values[i])[at] for i in scanned)])
        gave.append(body(given[-1]))
        state = gave[-1][:carried]
    stacked = step.upstream[carried:]
    gs = [[None if g is None else g[at] for g in stacked] for at in order]
    tracked = tracked_in_any(jaxpr, step.tracked, constants, carried)
    return _iterations(
        "scan", order, function, jaxpr, given, gave, tracked, constants, step.upstream[:carried], gs
    )


def _while(step: Step, values: list[Any], outputs: Any) -> list[Call]:
    params, jaxpr = step.params, step.params["body_jaxpr"]
    for_cond, for_body = params["cond_nconsts"], params["body_nconsts"]
    goes_on = jax.jit(_evaluating(params["cond_jaxpr"]))
    of_cond, of_body = values[:for_cond], values[for_cond : for_cond + for_body]
    state = values[for_cond + for_body :]
    function = _evaluating(jaxpr)
    if jax_versions.open_jaxpr(params["cond_jaxpr"]).outvars[0].aval.shape:
        function = _of_rows_that_go_on(
            function, _evaluating(params["cond_jaxpr"]), of_cond, for_body
        )
    body = jax.jit(function)
    given, gave = [], []
    while np.any(goes_on([*of_cond, *state])[0]):
        given.append([*of_body, *state])
        state = body(given[-1])
        gave.append(state)
    order = range(len(given))
    tracked = tracked_in_any(jaxpr, step.tracked[for_cond:], for_body, len(state))
    gs: list[list[Any]] = [[] for _ in order]
    return _iterations(
        "while", order, function, jaxpr, given, gave, tracked, for_body, step.upstream, gs
    )


def _of_rows_that_go_on(body: Function, goes_on: Function, of_cond: Any, for_body: int) -> Function:
    """The body of a loop under `vmap`: a row that is done stays as it is."""

    def function(values: list[Any]) -> list[Any]:
        state = values[for_body:]
        [going] = goes_on([*of_cond, *state])
        return [
            jnp.where(jnp.expand_dims(going, tuple(range(going.ndim, new.ndim))), new, old)
            for new, old in zip(body(values), state, strict=True)
        ]

    return function


def _iterations(
    name: str,
    order: Sequence[int],
    function: Function,
    jaxpr: Any,
    given: list[list[Any]],
    gave: list[Any],
    tracked: tuple[bool, ...],
    constants: int,
    last: Sequence[Any],
    others: list[list[Any]],
) -> list[Call]:
    """A call for each iteration.

    Args:
      order: what to call each.
      given, gave: the values that each was given, and gave: what is carried comes first.
      constants: how many of the values are the same in all.
      last: the cotangents of what the last one carried on.
      others: for each iteration, the cotangents of what else it gave.
    """
    carried = len(last)
    variables = jax_versions.open_jaxpr(jaxpr).invars[constants : constants + carried]

    @jax.jit
    def pulled_back(values: list[Any], gs: list[Any]) -> list[Any]:
        _, slots, tape = record(function, values, tracked)
        found = backward(from_the_end(tape), slots, gs)
        return [found.get(i) for i in range(len(values))]

    def walked_back(there: list[bool]) -> tuple[list[Any], list[Any], list[bool]]:
        gs, upstream, downstream = list(last), [], []
        for values, of_others in zip(reversed(given), reversed(others), strict=True):
            gs = zeros_for_absent(gs, there, variables)
            upstream.append((*gs, *of_others))
            downstream.append(pulled_back(values, [*gs, *of_others]))
            gs = downstream[-1][constants : constants + carried]
            there = [a or g is not None for a, g in zip(there, gs, strict=True)]
        return upstream[::-1], downstream[::-1], there

    # as the rule of a loop has it: what is there in an iteration, is in all, as zeros at first
    there = [g is not None for g in last]
    while True:
        upstream, downstream, grown = walked_back(there)
        if grown == there:
            break
        there = grown
    return [
        Call(f"{name}[{at}]", function, tuple(v), tracked, up, tuple(out), tuple(down))
        for at, v, out, up, down in zip(order, given, gave, upstream, downstream, strict=True)
    ]


_openers = {
    "jit": _jit,
    "checkpoint": _checkpoint,
    "remat2": _checkpoint,
    "cond": _cond,
    "scan": _scan,
    "while": _while,
}
