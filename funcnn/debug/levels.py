"""A program's steps, and the way into and out of the programs within: by value, by gradient."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from funcnn.autodiff import jax_versions
from funcnn.debug.blame import Index
from funcnn.graph.opened import calls_in
from funcnn.graph.places import is_of_jax
from funcnn.graph.steps import Call, Number, Step, Steps, steps


class Level(NamedTuple):
    """The steps of one program.

    Attributes:
      call: the program.
      found: its steps.
      made: by value, the step that made it and as which output. Inputs and constants have none.
      used: by value, the steps that take it, and as which operand.
    """

    call: Call
    found: Steps
    made: dict[Number, tuple[int, int]]
    used: dict[Number, list[tuple[int, int]]]


class Program(NamedTuple):
    """What a step consists of.

    Attributes:
      calls: one, or those of a loop in the order in which they were run.
      first: how many operands the step has before those of the calls.
      constants, carried: of a call's values: what is the same in all, and what goes from one to
        the next.
      order: the numbers of a loop's iterations; None where it is no loop.
    """

    calls: list[Call]
    first: int
    constants: int
    carried: int = 0
    order: Sequence[int] | None = None


class Within(NamedTuple):
    """One step down: which call of which step of the level above."""

    level: Level
    step: int
    program: Program
    at: int

    @property
    def call(self) -> Call:
        return self.program.calls[self.at]


Trail = tuple[Within, ...]


def level_of(call: Call) -> Level:
    """Runs a program, both passes, and notes what came from where."""
    found = steps(call)
    made: dict[Number, tuple[int, int]] = {}
    used: dict[Number, list[tuple[int, int]]] = {}
    for s, step in enumerate(found.steps):
        for position, number in enumerate(step.outputs):
            if number not in found.inputs:
                made.setdefault(number, (s, position))
        for position, number in enumerate(step.inputs):
            used.setdefault(number, []).append((s, position))
    return Level(call, found, made, used)


def program_of(level: Level, step: Step) -> Program | None:
    """What a step consists of; None where it is no program, or one that cannot be looked into."""
    body = step.params.get("body_jaxpr") or step.params.get("jaxpr")
    calls = calls_in(step, level.found.values) if body or "branches" in step.params else []
    if not calls:
        return None
    if level.call.source is not None and body and is_of_jax(body):
        calls = [call._replace(source=level.call.source) for call in calls]
    size, name = len(calls[0].values), step.primitive.name
    first = len(step.inputs) - size
    if name == "scan":
        constants, carried = jax_versions.scan_counts(step.params)
    elif name == "while":
        constants = step.params["body_nconsts"]
        carried = size - constants
    else:
        return Program(calls, first, size)
    order = range(len(calls))
    return Program(
        calls, first, constants, carried, order[::-1] if step.params.get("reverse") else order
    )


def into_output(program: Program, position: int, index: Index) -> tuple[int, Index]:
    """The call that an entry of a step's output comes from, and the index there."""
    if program.order is None or position < program.carried:
        return len(program.calls) - 1, index
    return program.order.index(index[0]), index[1:]


def out_of_input(program: Program, at: int, position: int, index: Index) -> tuple[bool, int, Index]:
    """Where an input of a call comes from.

    Returns:
      ``(True, which output of the call before, index)``, or ``(False, which operand of the step,
      index)``.
    """
    if program.order is not None and position >= program.constants:
        if position >= program.constants + program.carried:
            return False, program.first + position, (program.order[at], *index)
        if at > 0:
            return True, position - program.constants, index
    return False, program.first + position, index


def into_operand(
    program: Program, operand: int, index: Index, is_bad: Any
) -> tuple[int, int, Index]:
    """The call that an entry of an operand's gradient comes from, which of its inputs, the index.

    Args:
      is_bad: whether the gradient that a call has for this is not finite; of an operand that all
        calls have in common it is the last such one, which is the first on the way back.
    """
    position = operand - program.first
    if program.order is None:
        return 0, position, index
    if position < program.constants:
        there = [
            t
            for t, call in enumerate(program.calls)
            if call.downstream is not None and is_bad(call.downstream[position])
        ]
        return (there[-1] if there else 0), position, index
    if position < program.constants + program.carried:
        return 0, position, index
    return program.order.index(index[0]), position, index[1:]


def out_of_output(
    program: Program, at: int, position: int, index: Index
) -> tuple[bool, int, Index]:
    """Where the gradient of an output of a call comes from.

    Returns:
      ``(True, which input of the call after, index)``, or ``(False, which output of the step,
      index)``.
    """
    if program.order is not None:
        if position >= program.carried:
            return False, position, (program.order[at], *index)
        if at + 1 < len(program.calls):
            return True, program.constants + position, index
    return False, position, index
