"""A program as it can be looked into: its steps, in the blocks that they form.

A block is a scope (`jax.named_scope`, a layer) or a step that is a program itself. What is in a
program is found when somebody looks, and kept.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import jax

from funcnn.autodiff import jax_versions
from funcnn.graph.graph import Path
from funcnn.graph.meaning import meaning, name_of_program
from funcnn.graph.opened import body_of, calls_in, can_be_opened
from funcnn.graph.places import is_of_jax, place_of
from funcnn.graph.steps import Call, Step, steps

Key = tuple[Any, int]
"""A value: the program that it is of, and its number there."""


class Program:
    """A program at given values, with its blocks.

    Attributes:
      call: the program.
      path: of the blocks that it is in.
      found: its steps.
      parts: steps (by their place in `found`) and blocks, in their order.
    """

    def __init__(self, call: Call, path: Path):
        self.call, self.path = call, path
        self.found = steps(call)
        self.parts = self._parts(range(len(self.found.steps)), 0, path, Counter())

    def _scope(self, at: int) -> Path:
        if self.call.source is not None:  # a program of JAX has no scopes of its own
            return ()
        scope = place_of(self.found.steps[at].source).scope
        return tuple(name for entry in scope if (name := _untransformed(entry)))

    def _parts(self, places: Sequence[int], depth: int, path: Path, names: Counter) -> list["Part"]:
        parts: list[Part] = []
        # contiguous, so that a block that is folded waits for nothing that waits for it
        for name, run in itertools.groupby(places, lambda at: self._scope(at)[depth:][:1]):
            if name:
                own = (*path, _unique(name[0], names))
                kind = "layer" if name[0].startswith("[") else "scope"
                within = self._parts(list(run), depth + 1, own, Counter())
                parts.append(Scope(self, own, kind, within))
            else:
                parts += (self._part(at, path, names) for at in run)
        return parts

    def _part(self, at: int, path: Path, names: Counter) -> "Part":
        step = self.found.steps[at]
        if not can_be_opened(step):
            return at
        name = step.primitive.name
        if name == "jit" and meaning(step) is not None:
            return at
        return Inner(self, (*path, _unique(name_of_program(step), names)), name, at)

    def value(self, number: int) -> Any:
        return self.found.values[number]


def _untransformed(scope: str) -> str:
    """The name of a scope without what JAX's transforms make of it; some have none.

    >>> _untransformed("vmap(outer)"), _untransformed("vmap()"), _untransformed("['a']")
    ('outer', '', "['a']")
    """
    while (found := re.fullmatch(r"(?:vmap|jvp|transpose)\((.*)\)", scope)) is not None:
        scope = found[1]
    return scope


def _unique(name: str, names: Counter) -> str:
    names[name] += 1
    return name if names[name] == 1 else f"{name} {names[name]}"


class Scope:
    """A run of steps with the same scope.

    Attributes:
      of: the program that they are steps of.
      path, kind: as in `graph.Group`.
      parts: as in `Program`.
    """

    def __init__(self, of: Program, path: Path, kind: str, parts: "list[Part]"):
        self.of, self.path, self.kind, self.parts = of, path, kind, parts

    starts_open = True

    @cached_property
    def places(self) -> list[int]:
        """The places of all its steps."""
        found: list[int] = []
        for part in self.parts:
            if isinstance(part, Scope):
                found += part.places
            else:
                found.append(part if isinstance(part, int) else part.at)
        return found


class Inner:
    """A step that is a program: one block, or a loop of them.

    Attributes:
      of, path, kind: as in `Scope`.
      at: the step's place.
    """

    def __init__(self, of: Program, path: Path, kind: str, at: int):
        self.of, self.path, self.kind, self.at = of, path, kind, at

    @property
    def step(self) -> Step:
        return self.of.found.steps[self.at]

    @property
    def is_loop(self) -> bool:
        return self.kind in ("scan", "while")

    @property
    def has_rule(self) -> bool:
        return self.kind.startswith("custom")

    @property
    def starts_open(self) -> bool:
        """A user's function does; JAX's and those with a rule are single gates; loops are long."""
        if self.kind == "jit":
            return not is_of_jax(self.step.params["jaxpr"])
        return self.kind in ("cond", "checkpoint", "remat2") and not self._needs_values

    @property
    def _needs_values(self) -> bool:
        """Does what it does depend on values, where there are but shapes?"""
        given = (self.of.value(number) for number in self.step.inputs)
        return self.kind in ("cond", "while") and any(isinstance(v, jax.core.Tracer) for v in given)

    @cached_property
    def calls(self) -> list[Call]:
        if self._needs_values:
            raise ValueError(
                f"{'/'.join(self.path)}: what a {self.kind} does depends on values: give trace "
                "arrays, not jax.ShapeDtypeStructs, to look into it"
            )
        if self.has_rule:
            return [body_of(self.at, self.of.found, self.of.call)]
        return calls_in(self.step, self.of.found.values)

    @cached_property
    def whole(self) -> "Program":
        """What it is where it is no loop."""
        [call] = self.calls
        return Program(call, self.path)

    @cached_property
    def _opened(self) -> dict[int, Program]:
        return {}

    def iteration(self, nth: int) -> Program:
        """One iteration of a loop, counted in the order in which they are done."""
        if nth not in self._opened:
            self._opened[nth] = Program(self.calls[nth], self.iteration_path(nth))
        return self._opened[nth]

    def iteration_path(self, nth: int) -> Path:
        index = self.calls[nth].name.split("[")[1]
        return (*self.path, f"{self.path[-1]}[{index}")

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """How many operands of a loop come before the body's; are constant in it; are carried."""
        params = self.step.params
        if self.kind == "scan":
            return (0, *jax_versions.scan_counts(params))
        before, constants = params["cond_nconsts"], params["body_nconsts"]
        return before, constants, len(self.step.inputs) - before - constants


Block = Scope | Inner
Part = int | Scope | Inner


def index_of(call: Call) -> int:
    """Which iteration of a loop a call is."""
    return int(call.name.split("[")[1][:-1])


def blocks(parts: Sequence[Part]) -> Iterator[Block]:
    """All blocks that are known without looking into a program."""
    for part in parts:
        if not isinstance(part, int):
            yield part
            if isinstance(part, Scope):
                yield from blocks(part.parts)
