"""From an entry that is not finite back to the operation that made it so.

Back through the values, from what came out; or through the gradients, from what came to an input.
Where a program is met the walk goes through it, in the iteration that it was in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from funcnn.debug.blame import Index, bad, first_bad, is_bad, is_discrete, to_blame
from funcnn.debug.levels import (
    Level,
    Program,
    Trail,
    Within,
    into_operand,
    into_output,
    level_of,
    out_of_input,
    out_of_output,
    program_of,
)
from funcnn.graph.places import is_of_jax
from funcnn.graph.steps import Call, Number, Step, steps


@dataclass(frozen=True)
class Spot:
    """An entry of what a step gave.

    Attributes:
      level, step: the step.
      position: which output; of a gradient, which operand it is handed to.
      index: in that array.
      trail: the way to the level, outermost first.
      gradient: is it of the way back?
    """

    level: Level
    step: int
    position: int
    index: Index
    trail: Trail
    gradient: bool

    @property
    def of(self) -> Step:
        return self.level.found.steps[self.step]

    @property
    def array(self) -> Any:
        if self.gradient:
            return self.of.downstream[self.position]
        return self.level.found.values[self.of.outputs[self.position]]

    @property
    def entry(self) -> Any:
        return np.asarray(self.array)[self.index]

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts spots as they were reached in the forward pass."""
        return (*(n for within in self.trail for n in (within.step, within.at)), self.step)


class Origin(NamedTuple):
    """Where it arose, and where the infinity from there became NaN, if that was elsewhere."""

    spot: Spot
    became: Spot | None = None


class Way(NamedTuple):
    """How a walk came to an entry.

    Attributes:
      became: where the infinity became NaN.
      user: the step that takes it; None where nothing does.
      chosen: the last `where` or branch that the walk went through: its predicate chose this.
    """

    became: Spot | None = None
    user: Spot | None = None
    chosen: Spot | None = None


@dataclass(frozen=True)
class Given:
    """What was there before: an entry of an input of the program (of an output, for gradients).

    Attributes:
      position: which; None for a constant.
      index: in it.
      way: how the walk came to it.
      value: the entry.
    """

    position: int | None
    index: Index
    way: Way
    value: Any


class Walked(NamedTuple):
    origins: list[Origin]
    given: list[Given]


Work = list[tuple[Number, Index, Way]]
"""values or gradients to be explained: number, entry, and how the walk came to it"""

_OPENED = 64  # iterations of one loop that are looked into before it is given up

# each entry of the operands counts in all that they give, and replacing some proves nothing
_ALL_OF_IT = ("cholesky", "eig", "lu", "qr", "svd", "solve", "schur", "householder", "callback")


def values_back(level: Level, trail: Trail, work: Work) -> Walked:
    """Walks from values of a level, through the operations that made them.

    From entries that are not finite; or from numbers and truth values that something not finite
    may have decided, as it does where they are made of `isnan`.
    """
    origins: list[Origin] = []
    given: list[Given] = []
    inputs, seen = level.found.inputs, set()
    while work:
        number, index, way = work.pop()
        if (number, index) in seen:
            continue
        seen.add((number, index))
        entry = np.asarray(level.found.values[number])[index]
        if number not in level.made:
            position = inputs.index(number) if number in inputs else None
            given.append(Given(position, index, way, entry))
            continue
        s, output = level.made[number]
        step = level.found.steps[s]
        here = Spot(level, s, output, index, trail, gradient=False)
        program = program_of(level, step) or _body_of(level, step)
        if program is not None:
            start = into_output(program, output, index)
            walked = _loop_back(here, program, [(start[0], output, start[1], way)])
            if walked.origins or walked.given:
                origins += walked.origins
                given += _chosen_by(here, [g for g in walked.given if g.position is None])
                work += _numbers(step.inputs, walked.given)
                continue
        decided = is_discrete(entry)
        if decided and (program is not None or step.primitive.name == "while"):
            continue  # with other numbers it might never end
        values = [level.found.values[n] for n in step.inputs]
        causes = to_blame(_again(step), values, output, index, entry, _counts_all_of_it(step))
        if not causes and not decided:
            origins.append(Origin(here, way.became))
        for k, at in causes:
            turned = way.became or _turned(here, np.asarray(values[k])[at])
            is_choice = step.primitive.name == "select_n" and k > 0
            chosen = here if is_choice else way.chosen
            work.append((step.inputs[k], at, Way(turned, here, chosen)))
    return Walked(origins, given)


def _chosen_by(here: Spot, constants: list[Given]) -> list[Given]:
    """Constants of a branch were chosen by its predicate, unless a `where` in it chose them."""
    if "branches" not in here.of.params:
        return constants
    return [replace(g, way=g.way._replace(chosen=g.way.chosen or here)) for g in constants]


def past_choices(walked: Walked) -> Walked:
    """Goes on where something not finite chose a constant, as in ``where(isnan(x), nan, y)``.

    What made the predicate what it is takes the place of the constant.
    """
    origins, given = list(walked.origins), []
    for g in walked.given:
        behind = _behind_choice(g) if g.position is None and g.way.chosen is not None else None
        if behind is None:
            given.append(g)
        else:
            origins += behind.origins
            given += behind.given
    return Walked(origins, given)


def _behind_choice(constant: Given) -> Walked | None:
    """What is not finite and chose a constant; None where nothing is."""
    spot = constant.way.chosen
    assert spot is not None
    number = spot.of.inputs[0]
    index = spot.index if np.shape(spot.level.found.values[number]) else ()
    work: Work = [(number, index, Way(user=spot))]
    walked = climb(spot.trail, values_back(spot.level, spot.trail, work))
    origins, found = past_choices(walked)
    given = []
    for g in found:
        if np.isnan(g.value):
            given.append(g)
        elif g.position is not None and np.isinf(g.value):
            became = g.way.became or (spot if np.isnan(constant.value) else None)
            given.append(replace(g, way=g.way._replace(became=became)))
    return Walked(origins, given) if origins or given else None


def climb(trail: Trail, walked: Walked) -> Walked:
    """Goes on with what was given to a program within, in the levels around it."""
    while trail:
        within, trail = trail[-1], trail[:-1]
        step = within.level.found.steps[within.step]
        before, operands = [], []
        for g in walked.given:
            if g.position is None:
                continue
            in_call, position, index = out_of_input(within.program, within.at, g.position, g.index)
            if in_call:
                before.append((within.at - 1, position, index, g.way))
            else:
                operands.append(replace(g, position=position, index=index))
        constants = [g for g in walked.given if g.position is None]
        origins = walked.origins
        here = Spot(within.level, within.step, 0, (), trail, gradient=False)
        if before:
            inner = _loop_back(here, within.program, before)
            origins = origins + inner.origins
            constants += [g for g in inner.given if g.position is None]
            operands += [g for g in inner.given if g.position is not None]
        constants = _chosen_by(here, constants)
        outer = values_back(within.level, trail, _numbers(step.inputs, operands))
        walked = Walked(origins + outer.origins, constants + outer.given)
    return walked


def _numbers(numbers: Sequence[Number], given: Sequence[Given]) -> Work:
    """What was given to a program, by the numbers it has outside."""
    return [(numbers[g.position], g.index, g.way) for g in given if g.position is not None]


def _loop_back(here: Spot, program: Program, work: list[Any]) -> Walked:
    """Walks through the calls of a program, from outputs of theirs, to operands of the step."""
    origins: list[Origin] = []
    given: list[Given] = []
    levels: dict[int, Level] = {}
    seen = set()
    while work and len(levels) < _OPENED:
        at, position, index, way = work.pop()
        if program.order is not None and position < program.carried:
            at, index = _earliest(program, at, position, index)
        if (at, position, index) in seen:
            continue
        seen.add((at, position, index))
        inner = levels[at] if at in levels else level_of(program.calls[at])
        levels[at] = inner
        number = inner.found.outputs[position]
        entry = _still_there(inner.found.values[number], index)
        if entry is None:
            continue
        trail = (*here.trail, Within(here.level, here.step, program, at))
        walked = values_back(inner, trail, [(number, entry, way)])
        origins += walked.origins
        for g in walked.given:
            if g.position is None:
                given.append(g)
                continue
            in_call, p, i = out_of_input(program, at, g.position, g.index)
            if in_call:
                work.append((at - 1, p, i, g.way))
            else:
                given.append(replace(g, position=p, index=i))
    return Walked(origins, given)


def _earliest(program: Program, at: int, position: int, index: Index) -> tuple[int, Index]:
    """The iteration from which on what is carried was not finite, in the same way."""
    calls = program.calls
    entry = np.asarray(_known(calls[at].outputs)[position])[index]
    while at > 0:
        before = _same_kind(_known(calls[at - 1].outputs)[position], index, entry)
        if before is None:
            break
        at, index = at - 1, before
    return at, index


def gradients_back(level: Level, trail: Trail, work: Work) -> Walked:
    """Walks from gradients of values of a level, through the operations that handed them down."""
    origins: list[Origin] = []
    given: list[Given] = []
    upstream = level.call.upstream or ()
    seen = set()
    while work:
        number, index, way = work.pop()
        if (number, index) in seen:
            continue
        seen.add((number, index))
        for k, (out, g) in enumerate(zip(level.found.outputs, upstream, strict=False)):
            if out == number and g is not None and is_bad(g, index):
                given.append(Given(k, index, way, np.asarray(g)[index]))
        for s, operand in level.used.get(number, ()):
            g = level.found.steps[s].downstream[operand]
            if g is not None and is_bad(g, index):
                here = Spot(level, s, operand, index, trail, gradient=True)
                _through_a_step(here, way, origins, work)
    return Walked(origins, given)


def _through_a_step(here: Spot, way: Way, origins: list[Origin], work: Work) -> None:
    """One operation on the way: adds to origins, or to the work."""
    step = here.of
    program = program_of(here.level, step)
    if program is not None:
        walked = _loop_forth(here, program, way.became)
        if walked.origins or walked.given:
            origins += walked.origins
            work += _numbers(step.outputs, walked.given)
            return
    pull_back = lambda gs: step.pull_back(gs)
    counts = _counts_all_of_it(step)
    causes = to_blame(pull_back, step.upstream, here.position, here.index, here.entry, counts)
    if not causes:
        origins.append(Origin(here, way.became))
    for k, at in causes:
        turned = way.became or _turned(here, np.asarray(step.upstream[k])[at])
        work.append((step.outputs[k], at, Way(turned, here)))


def _loop_forth(here: Spot, program: Program, became: Spot | None) -> Walked:
    """Walks through the calls of a program, from the gradient of the step's operand."""
    origins: list[Origin] = []
    given: list[Given] = []
    if here.position < program.first:
        return Walked(origins, given)
    levels: dict[int, Level] = {}
    seen = set()
    start = into_operand(program, here.position, here.index, lambda g: bad(g) is not None)
    work: list[Any] = [(*start, Way(became))]
    while work and len(levels) < _OPENED:
        at, position, index, way = work.pop()
        if program.order is not None and 0 <= position - program.constants < program.carried:
            at, index = _latest(program, at, position, index)
        if (at, position, index) in seen:
            continue
        seen.add((at, position, index))
        inner = levels[at] if at in levels else level_of(program.calls[at])
        levels[at] = inner
        number = inner.found.inputs[position]
        entry = _still_there(inner.found.gradients.get(number), index)
        if entry is None:
            continue
        trail = (*here.trail, Within(here.level, here.step, program, at))
        walked = gradients_back(inner, trail, [(number, entry, way)])
        origins += walked.origins
        for g in walked.given:
            assert g.position is not None
            in_call, p, i = out_of_output(program, at, g.position, g.index)
            if in_call:
                work.append((at + 1, p, i, g.way))
            else:
                given.append(replace(g, position=p, index=i))
    return Walked(origins, given)


def _latest(program: Program, at: int, position: int, index: Index) -> tuple[int, Index]:
    """The iteration up to which the gradient of what is carried is not finite, in the same way."""
    calls, g = program.calls, _known(program.calls[at].downstream)[position]
    if g is None or not is_bad(g, index):
        return at, index
    entry = np.asarray(g)[index]
    while at + 1 < len(calls):
        after = _same_kind(_known(calls[at + 1].downstream)[position], index, entry)
        if after is None:
            break
        at, index = at + 1, after
    return at, index


def _known(found: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """What each iteration of a loop gave is known from having run it."""
    assert found is not None
    return found


def both_passes(step: Step) -> Callable[[list[Any]], list[Any]]:
    """A step as a program of its own: from its operands to the gradients that it hands down."""

    def passes(values: list[Any]) -> list[Any]:
        call = Call("", _again(step), tuple(values), step.tracked, step.upstream)
        return list(steps(call).steps[0].downstream)

    return passes


def _again(step: Step) -> Callable[[list[Any]], list[Any]]:
    """The operation itself, on other operands."""

    def operation(values: list[Any]) -> list[Any]:
        params = dict(step.params)
        if "subfuns" in params:
            del params["name"]
            for fun in params["subfuns"]:
                _forget_calls(fun)
        elif hasattr(step.primitive, "get_bind_params"):
            params = step.primitive.get_bind_params(params)
        outs = step.primitive.bind(*values, **params)
        return list(outs) if isinstance(outs, (list, tuple)) else [outs]

    return operation


def _body_of(level: Level, step: Step) -> Program | None:
    """The code behind a function with a rule of its own."""
    if "subfuns" not in step.params:
        return None
    fun = step.params["subfuns"][0]

    def body(values: list[Any]) -> list[Any]:
        _forget_calls(fun)
        return list(fun.call_wrapped(*values))

    values = tuple(level.found.values[n] for n in step.inputs)
    none = (None,) * len(step.outputs)
    untracked = (False,) * len(values)
    source = level.call.source or line_of_rule(step)
    call = Call(step.params["name"], body, values, untracked, none, source=source)
    return Program([call], 0, len(values))


def line_of_rule(step: Step) -> Any:
    """The source that stands for all in a function with a rule of its own, where that is JAX's.

    None where the user's code knows its own: done again, JAX's would know the line that asks.
    """
    return step.source if is_of_jax(step.params["subfuns"][0]) else None


def _forget_calls(fun: Any) -> None:
    """What JAX notes of a function's call, it notes once."""
    for store in getattr(fun, "stores", ()):
        if store is not None:
            store.reset()


def _counts_all_of_it(step: Step) -> bool:
    return any(name in step.primitive.name for name in _ALL_OF_IT)


def _turned(here: Spot, entry: Any) -> Spot | None:
    """Is this where infinity became NaN?"""
    return here if np.isnan(here.entry) and not np.isnan(entry) else None


def _same_kind(x: Any, index: Index, like: Any) -> Index | None:
    """The entry, or the first one, that is NaN (infinite) as another is; None where none is."""
    if is_discrete(like):
        return index if np.asarray(x)[index] == like else None
    if bad(x) is None:
        return None
    there = np.isnan(np.asarray(x)) if np.isnan(like) else np.isinf(np.asarray(x))
    if not there.any():
        return None
    return index if there[index] else tuple(int(i) for i in np.argwhere(there)[0])


def _still_there(x: Any, index: Index) -> Index | None:
    """A compiled program may round otherwise: the entry, or one that is not finite instead."""
    if x is None:
        return None
    return index if is_discrete(x) or is_bad(x, index) else first_bad(x)
