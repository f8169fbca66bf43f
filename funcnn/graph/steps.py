"""Both passes of a function, one step at a time, with every value and every gradient.

The tape of `funcnn.autodiff` keeps what a gradient needs and no more. Here all that goes on is
kept: a trace that writes the same tape also notes what each operation was given and gave, and the
tape is walked back one line at a time.

An operation that is a program itself (`jit`, `scan`, `cond`, ...) is one step; `opened.py` looks
into it where somebody wants to see that.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import Primitive, set_current_trace, take_current_trace

from funcnn.autodiff.backward import backward
from funcnn.autodiff.calls import custom_rules
from funcnn.autodiff.source import current
from funcnn.autodiff.tracer import Node, Slot, TapeTrace

Number = int


class Call(NamedTuple):
    """A program at given values.

    Attributes:
      name: what it is called; "scan[3]" is the fourth iteration of a loop.
      function: takes the flat list of values, returns a flat list.
      values: the inputs: arrays.
      tracked: for each input, whether its gradient is wanted.
      upstream: the outputs' cotangents, each None where it is zero.
      outputs, downstream: what it gives, and the cotangents of its inputs; None where that is not
        known yet.
      source: stands for the source of all that is in it; None where that knows its own.
    """

    name: str
    function: Callable[[list[Any]], Sequence[Any]]
    values: tuple[Any, ...]
    tracked: tuple[bool, ...]
    upstream: tuple[Any, ...] | None = None
    outputs: tuple[Any, ...] | None = None
    downstream: tuple[Any, ...] | None = None
    source: Any = None


class Step(NamedTuple):
    """One operation: what it was given and what it gave, in both passes.

    Attributes:
      primitive: of JAX.
      params: the primitive's.
      inputs, outputs: numbers of values.
      tracked: for each input, whether a gradient is wanted of it.
      source: where in the program; `funcnn.graph.places.place_of` reads it.
      upstream: the cotangent of each output; None where none came.
      downstream: what it hands on to each input; None where that has no gradient. A value that is
        given twice to a program within (`jit`, `scan`) gets the sum in its first place.
      pull_back: from any `upstream` to its `downstream`: of ones, the local gradient of an
        elementwise operation.
    """

    primitive: Primitive
    params: dict[str, Any]
    inputs: tuple[Number, ...]
    outputs: tuple[Number, ...]
    tracked: tuple[bool, ...]
    source: Any
    upstream: tuple[Any, ...]
    downstream: tuple[Any, ...]
    pull_back: Callable[[Sequence[Any]], tuple[Any, ...]]


class Steps(NamedTuple):
    """A function's operations, in the order in which they were done.

    Attributes:
      steps: of the forward pass; the backward pass goes through them from the last to the first.
      inputs, outputs: numbers of values.
      values: by number.
      gradients: by number: the sum of all that came to it. Absent is zero.
    """

    steps: list[Step]
    inputs: tuple[Number, ...]
    outputs: tuple[Number, ...]
    values: dict[Number, Any]
    gradients: dict[Number, Any]


def steps(call: Call) -> Steps:
    """Runs both passes of a program and keeps all.

    Where an upstream gradient is not given, it is one for every output that has a gradient.
    """
    with take_current_trace() as parent:
        trace = _Watching(parent, len(call.values), call.source)
        asked = [i if tracked else None for i, tracked in enumerate(call.tracked)]
        inputs = list(map(trace.track, call.values, asked))
        numbers = tuple(map(trace.number, inputs))
        with set_current_trace(trace):
            outs = list(call.function(inputs))
        outputs = tuple(map(trace.number, outs))
        trace.invalidate()
    _, slots = trace.untrack(outs)
    ones = (
        None if slot is None else lax.full_like(trace.values[number], 1)
        for number, slot in zip(outputs, slots, strict=True)
    )
    gradients, done = _walk_back(trace, slots, ones if call.upstream is None else call.upstream)
    return Steps(done, numbers, outputs, trace.values, gradients)


class _Noted(NamedTuple):
    """A step of the forward pass, with the part of the tape that belongs to it."""

    primitive: Primitive
    params: dict[str, Any]
    inputs: list[Any]  # as the operation was given them: tracers, where they are tracked
    outputs: list[Any]
    source: Any
    tape: list[tuple[Node, Any]]


class _Watching(TapeTrace):
    """A tape that also notes all operations, their operands and their results."""

    def __init__(self, parent: Any, slots: int, source: Any):
        super().__init__(parent, slots)
        self.noted: list[_Noted] = []
        self.values: dict[Number, Any] = {}
        self.numbers: dict[tuple[bool, int], Number] = {}
        self._source = source
        self._inside = False

    def number(self, operand: Any) -> Number:
        """The number of a value: by its slot where it is tracked, else by the object itself."""
        [value], [slot] = self.untrack([operand])
        key = (True, slot) if slot is not None else (False, id(value))
        if key not in self.numbers:
            self.numbers[key] = len(self.values)
            self.values[len(self.values)] = value  # kept, so that no other object gets its id
        return self.numbers[key]

    def _note(self, primitive: Any, params: Any, tracers: Sequence[Any], do: Callable) -> Any:
        if self._inside:  # part of an operation that has been noted
            return do()
        self._inside, before = True, len(self.tape)
        try:
            outs = do()
        finally:
            self._inside = False
        flat = list(outs) if isinstance(outs, (list, tuple)) else [outs]
        source = self._source or current()
        done = _Noted(primitive, params, list(tracers), flat, source, self.tape[before:])
        for operand in (*done.inputs, *done.outputs):
            self.number(operand)
        self.noted.append(done)
        return outs

    def process_primitive(self, primitive, tracers, params, /):
        do = lambda: TapeTrace.process_primitive(self, primitive, tracers, params)
        return self._note(primitive, params, tracers, do)

    # a function with a rule of its own is one operation; without its rule, it is what it is made of
    def process_custom_jvp_call(self, primitive, fun, jvp, tracers, /, **params):
        do = lambda: TapeTrace.process_custom_jvp_call(self, primitive, fun, jvp, tracers, **params)
        name = {"name": fun.debug_info.func_name, "subfuns": (fun, jvp), **params}
        return self._note(primitive, name, tracers, do) if custom_rules.value else do()

    def process_custom_vjp_call(self, primitive, fun, fwd, bwd, tracers, /, **params):
        do = lambda: TapeTrace.process_custom_vjp_call(
            self, primitive, fun, fwd, bwd, tracers, **params
        )
        name = {"name": fun.debug_info.func_name, "subfuns": (fun, fwd, bwd), **params}
        return self._note(primitive, name, tracers, do) if custom_rules.value else do()


def _walk_back(
    trace: _Watching, slots: Sequence[Slot | None], upstream: Iterable[Any]
) -> tuple[dict[Number, Any], list[Step]]:
    """The gradients by number, and the steps with theirs."""
    cotangents: dict[Slot, Any] = {}
    gradients: dict[Number, Any] = {}
    _add(cotangents, slots, upstream)
    done = []
    for noted in reversed(trace.noted):
        _, given = trace.untrack(noted.outputs)
        gs = [None if slot is None else cotangents.pop(slot, None) for slot in given]
        outputs = tuple(map(trace.number, noted.outputs))
        gradients.update((n, g) for n, g in zip(outputs, gs, strict=True) if g is not None)
        pull_back = functools.partial(_handed_on, trace, noted)
        downstream = pull_back(gs)
        _, taken = trace.untrack(noted.inputs)
        _add(cotangents, taken, downstream)
        inputs = tuple(map(trace.number, noted.inputs))
        tracked = tuple(slot is not None for slot in taken)
        step = noted.primitive, noted.params, inputs, outputs, tracked, noted.source
        done.append(Step(*step, tuple(gs), downstream, pull_back))
    # what is left is the inputs'
    for slot, g in cotangents.items():
        gradients[trace.numbers[True, slot]] = g
    return gradients, done[::-1]


def _handed_on(trace: _Watching, noted: _Noted, gs: Sequence[Any]) -> tuple[Any, ...]:
    """The cotangent that a step gives each of its operands."""
    (_, taken), (_, given) = trace.untrack(noted.inputs), trace.untrack(noted.outputs)
    if all(g is None for g in gs):
        return (None,) * len(taken)
    lines = [(node.inputs, node.outputs) for node, _ in noted.tape]
    if lines == [(taken, given)]:  # of `svd` the tape's line has the results in another order
        [(node, saved)] = noted.tape
        with jax.sharding.use_abstract_mesh(node.mesh):
            return tuple(node.backward(saved, gs))
    found = backward(reversed(noted.tape), given, gs)
    # a value that is given twice gets the sum in its first place
    return tuple(None if slot is None else found.pop(slot, None) for slot in taken)


def _add(cotangents: dict[Slot, Any], slots: Sequence[Slot | None], gs: Iterable[Any]) -> None:
    for slot, g in zip(slots, gs, strict=True):
        if slot is not None and g is not None:
            cotangents[slot] = lax.add(cotangents[slot], g) if slot in cotangents else g
