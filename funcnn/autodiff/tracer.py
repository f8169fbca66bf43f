"""The forward pass: a JAX trace that writes down, on a tape, what depends on the inputs.

While a function is differentiated, its inputs are `TapeTracer`s: a value and a slot, the number
under which its cotangent will be found. Every primitive that JAX binds comes to
`TapeTrace.process_primitive`. It is evaluated there and then, on the trace that was current before
(eager evaluation, `jit`'s, `vmap`'s, another gradient's), and if an input is tracked, one node is
written. So the tape is straight-line whatever Python control flow the function has.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Trace, Tracer
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive, set_current_trace, take_current_trace
from jax.extend.core.primitives import jit_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.compiling import concrete
from funcnn.autodiff.rules.table import Recorded, no_gradient, not_differentiable, rule_for
from funcnn.autodiff.source import current, users_line

Slot = int

custom_rules = jax.make_user_context(True)
"""Whether calls of `custom_jvp` and `custom_vjp` functions are differentiated by their rules.

Within ``with custom_rules(False):`` they are differentiated by the code that the rules stand for.
It is part of the keys of JAX's caches, and has to be part of those of ours that keep what was
recorded.
"""


class Node(NamedTuple):
    """One line of the tape: a primitive that was evaluated on tracked values."""

    primitive: Primitive
    params: dict[str, Any]
    inputs: tuple[Slot | None, ...]
    """for each operand its slot, None where it is not tracked"""
    outputs: tuple[Slot | None, ...]
    backward: Any
    """(saved, cotangents of the outputs) -> cotangents of the operands"""
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


on_the_trace: dict[str, Callable[..., Any]] = {}
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
        self._in_rule = False  # within a custom JVP rule

    def untrack(self, tracers: Sequence[Any]) -> tuple[list[Any], tuple[Slot | None, ...]]:
        """The values, and the slots of those that this trace tracks."""
        mine = [isinstance(t, TapeTracer) and t._trace is self for t in tracers]
        values = [t.value if m else t for t, m in zip(tracers, mine, strict=True)]
        return values, tuple(t.slot if m else None for t, m in zip(tracers, mine, strict=True))

    def stage_value(self, val):
        [value], [slot] = self.untrack([val])
        value = self.parent.stage_value(value)
        return value if slot is None else TapeTracer(self, value, slot)

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
            and (self._in_rule or _is_better_open(params["jaxpr"], values))
        ):
            with set_current_trace(self):
                return jax_versions.eval_closed_jaxpr(params["jaxpr"], tracers)
        with set_current_trace(self.parent):
            if rule is None:
                if any(tracked) and primitive not in no_gradient:
                    _check_not_differentiable(primitive, values, params)
                return primitive.bind(*values, **params)
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
            node = Node(primitive, params, inputs, tuple(outputs), recorded.backward, current())
            self.tape.append((node, recorded.saved))
        return [
            out if slot is None else TapeTracer(self, out, slot)
            for out, slot in zip(recorded.outs, outputs, strict=True)
        ]

    def process_shard_map(self, primitive, fun, tracers, /, **params):
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
        if any(isinstance(x, TapeTracer) and x._trace is self for x in inputs):
            found = self.process_primitive(primitive, inputs, eqn.params)
        else:
            with set_current_trace(self.parent):
                found = primitive.bind(*inputs, **primitive.get_bind_params(eqn.params))
        return outputs[0].update(found)

    def process_call(self, call_primitive, f, tracers, params, /):
        """A call (`jax.extend.core.primitives.call_p`): its body is evaluated on this tape."""
        with set_current_trace(self):
            return f.call_wrapped(*tracers)

    def process_custom_jvp_call(self, primitive, fun, jvp, tracers, /, *, symbolic_zeros):
        """The user's JVP rule, made reverse.

        The rule is linear in its tangents. So it is run with tangents of zero, tracked under the
        slots of the inputs they belong to: what it does with them goes on the tape, and walking
        that backwards is the rule's exact transpose. What is tracked within a rule is a tangent,
        and what is done to a tangent is linear: there the function itself goes on the tape.
        """
        values, slots = self.untrack(tracers)
        if all(slot is None for slot in slots):
            with set_current_trace(self.parent):
                return primitive.bind(*values, subfuns=(fun, jvp), symbolic_zeros=symbolic_zeros)
        if self._in_rule or not custom_rules.value:
            return self.process_call(primitive, fun, tracers, {})
        absent = symbolic_zero if symbolic_zeros else zero_tangent
        with set_current_trace(self.parent):
            avals = [jax.typeof(value) for value in values]
            tangents = [
                absent(aval) if slot is None else TapeTracer(self, zero_tangent(aval), slot)
                for aval, slot in zip(avals, slots, strict=True)
            ]
        self._in_rule = True
        with set_current_trace(self):
            outs = jvp.call_wrapped(*values, *tangents)
        self._in_rule = False
        primals_out, tangents_out = outs[: len(outs) // 2], outs[len(outs) // 2 :]
        primals_out, _ = self.untrack(primals_out)
        _, out_slots = self.untrack(tangents_out)
        return [
            out if slot is None else TapeTracer(self, out, slot)
            for out, slot in zip(primals_out, out_slots, strict=True)
        ]

    def process_custom_vjp_call(
        self, primitive, fun, fwd, bwd, tracers, /, *, out_trees, symbolic_zeros
    ):
        """The user's forward rule on the way there, the user's backward rule on the way back."""
        if not custom_rules.value:
            return self.process_call(primitive, fun, tracers, {})
        values, slots = self.untrack(tracers)
        params = {"out_trees": out_trees, "symbolic_zeros": symbolic_zeros}
        with set_current_trace(self.parent):
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
        return self.write(primitive, params, slots, recorded)


def _custom_vjp_backward(bwd, avals, symbolic_zeros, saved, gs):
    absent = symbolic_zero if symbolic_zeros else zero_tangent
    gs = [absent(aval) if g is None else g for g, aval in zip(gs, avals, strict=True)]
    cotangents = jax_versions.cotangents_of_custom_vjp(bwd.call_wrapped(*saved, *gs))
    return [ct if is_array(ct) and is_inexact(ct) else None for ct in cotangents]


def _is_better_open(jaxpr: Any, values: Sequence[Any]) -> bool:
    """Should the equations of this inner `jit` go on the tape one by one?

    Not when values are concrete: then the inner program stays one compiled call. Where everything
    is being traced into a larger program anyway, keeping a small one apart only costs tracing time.
    """
    return len(jaxpr.eqns) <= 1 or (
        len(jaxpr.eqns) <= _SMALL and any(concrete(value) is None for value in values)
    )


_SMALL = 10  # equations; jax.nn.log_softmax has 9. Measured: benchmarks/step_cost.py


def _check_not_differentiable(primitive: Primitive, values: Any, params: dict[str, Any]) -> None:
    """A primitive without a rule is right only if nothing it gives out could have a gradient.

    Asked before it is evaluated: it may be a call of the user's own that does something.
    """
    out = jax.eval_shape(functools.partial(primitive.bind, **params), *values)
    if any(is_inexact(o) for o in jax.tree.leaves(out)):
        if primitive in not_differentiable:
            raise NotImplementedError(
                f"The primitive '{primitive}', reached at {users_line()}, has no derivative: "
                f"{not_differentiable[primitive]}. Where no gradient is meant to flow, keep the "
                "input out with jax.lax.stop_gradient."
            )
        raise NotImplementedError(
            f"funcnn has no VJP rule for the primitive '{primitive}', reached at {users_line()}. "
            "Add one with funcnn.autodiff.defvjp (its docstring shows how), or, where no gradient "
            "is meant to flow, keep the input out with jax.lax.stop_gradient."
        )


def is_array(x: Any) -> bool:
    """Is this a value JAX computes with (and not one of its symbolic zeros)?"""
    return isinstance(x, (jax.Array, np.ndarray, np.generic, float, complex))


def is_inexact(x: Any) -> bool:
    """Is this a value that can have a gradient: of real or complex floating point type?"""
    return _is_inexact_dtype(x.dtype if hasattr(x, "dtype") else jax.typeof(x).dtype)


@functools.cache
def _is_inexact_dtype(dtype: Any) -> bool:
    return jax.dtypes.issubdtype(dtype, np.inexact)


def zero_tangent(aval: Any) -> Any:
    """Zeros of the type that tangents and cotangents of such a value have: float0 for integers."""
    return zeros(aval) if is_inexact(aval) else np.zeros(aval.shape, jax.dtypes.float0)


def zeros(aval: Any) -> Any:
    """Zeros of a type: shape, dtype, weak or not, the same or varying between devices."""
    # a Python number makes weakly typed zeros, an array strongly typed ones
    zero = np.zeros((), aval.dtype)
    made = jax.lax.full(aval.shape, zero.item() if aval.weak_type else zero)
    varying = tuple(aval.manual_axis_type.varying)
    return jax.lax.pcast(made, varying, to="varying") if varying else made


def symbolic_zero(aval: Any) -> SymbolicZero:
    """The zero that JAX hands to rules with `symbolic_zeros=True`."""
    return SymbolicZero(aval.to_tangent_aval())
