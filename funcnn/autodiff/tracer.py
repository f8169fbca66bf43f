"""The forward pass: a JAX trace that writes down, on a tape, what depends on the inputs.

While a function is differentiated, its inputs are `TapeTracer`s: a value and a slot, the number
under which its cotangent will be found. Every primitive that JAX binds comes to
`TapeTrace.process_primitive`. It is evaluated there and then, on the trace that was current before
(eager evaluation, `jit`'s, `vmap`'s, another gradient's), and if an input is tracked, one node is
written. So the tape is straight-line whatever Python control flow the function has.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.core import Trace, Tracer
from jax.extend.core import Primitive, set_current_trace, take_current_trace
from jax.extend.core.primitives import jit_p

from funcnn.autodiff import calls, jax_versions
from funcnn.autodiff.compiling import concrete
from funcnn.autodiff.rules.table import Recorded, rule_for
from funcnn.autodiff.source import current
from funcnn.autodiff.tangents import is_inexact
from funcnn.autodiff.without_rule import check_that_none_is_needed

Slot = int


class Node(NamedTuple):
    """One line of the tape: a primitive that was evaluated on tracked values."""

    primitive: Primitive
    params: dict[str, Any]
    inputs: tuple[Slot | None, ...]
    """for each operand its slot, None where it is not tracked"""
    outputs: tuple[Slot | None, ...]
    backward: Any
    """(saved, cotangents of the outputs) -> cotangents of the operands"""
    mesh: Any
    """the mesh that was set then"""
    source: Any
    """where in the user's program (`jax.extend.source_info_util.SourceInfo`)"""


def record(fun: Callable[[list[Any]], Any], values: Sequence[Any], tracked: Sequence[bool]) -> Any:
    """Runs `fun` on the values, those that are `tracked` as tracers.

    Returns:
      The pytree that `fun` returned, as values; the slots of its leaves, None where no input was
      used; and the tape. The slot of an input is its position.
    """
    with take_current_trace() as parent:
        trace = TapeTrace(parent, slots=len(values))
        inputs = [
            TapeTracer(trace, value, position) if is_tracked else value
            for position, (value, is_tracked) in enumerate(zip(values, tracked, strict=True))
        ]
        with set_current_trace(trace):
            out = fun(inputs)
        trace.invalidate()
    leaves, structure = jax.tree.flatten(out)
    out_values, slots = trace.untrack(leaves)
    return jax.tree.unflatten(structure, out_values), slots, trace.tape


class TapeTracer(Tracer):
    """A value that depends on an input: carries the slot of its cotangent."""

    __slots__ = ("slot", "value")

    def __init__(self, trace: "TapeTrace", value: Any, slot: Slot):
        super().__init__(trace, jax.typeof(value))
        self.value = value
        self.slot = slot

    def to_concrete_value(self):
        """The number behind it where there is one: Python control flow may then look at it."""
        return concrete(self.value)

    def _contents(self):
        """What it is made of; `jax.closure_convert` looks there for what may have a gradient."""
        return [("value", self.value), ("gradient", jax_versions.tracer_of_a_trace_that_ended())]


on_the_trace: dict[str, Callable[..., Any]] = {"custom_lin": calls.custom_lin}
"""Primitives that change what is tracked, by name: a function of the trace, the primitive, ..."""


class TapeTrace(Trace):
    """Evaluates primitives on `parent` and writes those on tracked values on its tape."""

    def __init__(self, parent: Trace, slots: int):
        super().__init__()
        # "hi" primitives come here as they are (programs/hi_primitives.py)
        self.requires_low = False
        self.parent = parent
        self.tape: list[tuple[Node, Any]] = []  # nodes, each with its residuals
        self.refs: dict[int, tuple[Any, Slot | None]] = {}  # see programs/references.py
        self._slots = slots  # given out so far
        self.of_tangents = calls.of_tangents.value

    def track(self, value: Any, slot: Slot | None) -> Any:
        """The value as a tracer, if it has a slot."""
        return value if slot is None else TapeTracer(self, value, slot)

    def untrack(self, tracers: Sequence[Any]) -> tuple[list[Any], tuple[Slot | None, ...]]:
        """The values, and the slots of those that this trace tracks."""
        mine = [isinstance(t, TapeTracer) and t._trace is self for t in tracers]
        values = [t.value if m else t for t, m in zip(tracers, mine, strict=True)]
        return values, tuple(t.slot if m else None for t, m in zip(tracers, mine, strict=True))

    def stage_value(self, val):
        [value], [slot] = self.untrack([val])
        value = self.parent.stage_value(value)
        return self.track(value, slot)

    def process_primitive(self, primitive, tracers, params, /):
        if primitive.name in on_the_trace:
            return on_the_trace[primitive.name](self, primitive, tracers, params)
        if self.refs and any(id(tracer) in self.refs for tracer in tracers):
            return on_the_trace["given references"](self, primitive, tracers, params)
        values, slots = self.untrack(tracers)
        tracked = tuple(slot is not None for slot in slots)
        rule = rule_for(primitive) if any(tracked) else None
        if (
            rule is not None
            and primitive is jit_p
            and (self.of_tangents or _is_better_open(params["jaxpr"], values))
        ):
            with set_current_trace(self):
                return jax_versions.eval_closed_jaxpr(params["jaxpr"], tracers)
        with set_current_trace(self.parent):
            if rule is None:
                if any(tracked):
                    check_that_none_is_needed(primitive, values, params)
                return primitive.bind(*values, **params)
            if calls.of_tangents.value == self.of_tangents:
                recorded = rule(primitive, values, tracked, params)
            else:
                with calls.of_tangents(self.of_tangents):
                    recorded = rule(primitive, values, tracked, params)
        outs = self.write(primitive, params, slots, recorded)
        return outs if primitive.multiple_results else outs[0]

    def write(self, primitive, params, inputs: tuple[Slot | None, ...], recorded: Recorded):
        """Writes a node; the outputs come back as tracers where a gradient can reach them."""
        outputs: list[Slot | None] = []
        for out, tracked in zip(recorded.outs, recorded.tracked, strict=True):
            reached = tracked and is_inexact(out)
            outputs.append(self._slots if reached else None)
            self._slots += reached
        if any(slot is not None for slot in outputs):
            where = jax.sharding.get_abstract_mesh(), current()
            node = Node(primitive, params, inputs, tuple(outputs), recorded.backward, *where)
            self.tape.append((node, recorded.saved))
        return [self.track(out, slot) for out, slot in zip(recorded.outs, outputs, strict=True)]

    process_call = calls.call
    process_custom_jvp_call = calls.custom_jvp_call
    process_custom_vjp_call = calls.custom_vjp_call
    process_shard_map = calls.shard_map


def _is_better_open(jaxpr: Any, values: Sequence[Any]) -> bool:
    """Should the equations of this inner `jit` go on the tape one by one?

    Not when values are concrete: then the inner program stays one compiled call. Where everything
    is being traced into a larger program anyway, keeping a small one apart only costs tracing time.
    A Python number stays outside of what was written for arrays.
    """
    if any(type(concrete(value)) in (float, complex) for value in values):
        return False
    return len(jaxpr.eqns) <= 1 or (
        len(jaxpr.eqns) <= _SMALL and any(concrete(value) is None for value in values)
    )


_SMALL = 10  # equations; jax.nn.log_softmax has 9. Measured: benchmarks/step_cost.py
