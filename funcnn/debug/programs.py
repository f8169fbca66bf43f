"""A program's operations, sorted by where they come from: layer, scope or line."""

import functools
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
from jax.extend.core import Literal

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.joint import evaluate
from funcnn.graph.places import is_of_jax, place_of


class Part(NamedTuple):
    """Operations of one layer that stand in one program, one after another or not.

    Attributes:
      name: of the layer, the scope or the line.
      times: how often the program runs: more than once within a scan.
      run: a function of arrays that does these operations.
      inputs: what it takes, by shape and dtype.
      bytes: of what it takes, and of what others take from it.
    """

    name: str
    times: int
    run: Callable[..., list[Any]]
    inputs: list[jax.ShapeDtypeStruct]
    bytes: int


def with_lines(program: Any) -> Callable[..., list[Any]]:
    """What evaluates a jaxpr, every operation in a scope that says its line.

    An operation out of a function of JAX's own (`jnp.tanh`) stands in a program that JAX traced
    once and knows no line itself; scopes reach into that program, and into the backward pass.
    """
    jaxpr = jax_versions.open_jaxpr(program)

    def run(*values: Any) -> list[Any]:
        env = dict(zip(jaxpr.constvars, jax_versions.consts(program), strict=True))
        env.update(zip(jaxpr.invars, values, strict=True))
        read = lambda v: v.val if isinstance(v, Literal) else env[v]
        for eqn in jaxpr.eqns:
            place, body = place_of(eqn.source_info), eqn.params.get("jaxpr")
            with jax.named_scope(_LINE + _shown(place)) if place.file else nullcontext():
                if eqn.primitive.name in ("jit", "pjit") and not is_of_jax(body):
                    with jax.named_scope(str(eqn.source_info.name_stack)):
                        outputs = jax.jit(with_lines(body))(*map(read, eqn.invars))
                    env.update(zip(eqn.outvars, outputs, strict=True))
                else:
                    evaluate([eqn], env)
        return [read(v) for v in jaxpr.outvars]

    return run


_LINE = "line "


def _shown(place: Any) -> str:
    return f"{pathlib.PurePath(place.file).name}:{place.line}"


def parts_of(program: Any, wanted: Sequence[bool]) -> Iterator[Part]:
    """The operations of a jaxpr, those in calls and scans within it too, in their order.

    Those that no wanted output is made of are left out, as XLA leaves them out.
    """
    groups: dict[tuple[str, int, int], list[Any]] = {}
    bodies: dict[int, Any] = {}
    for name, times, body, eqn in _operations(program, wanted, _Place((), ""), 1):
        groups.setdefault((name, times, id(body)), []).append(eqn)
        bodies[id(body)] = body
    for (name, times, body_id), eqns in groups.items():
        free = _free(eqns)
        inputs = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in free]
        size = sum(map(size_of, [*free, *_handed_on(eqns, bodies[body_id])]))
        yield Part(name, times, functools.partial(_run, eqns, free), inputs, size)


def size_of(variable: Any) -> int:
    """Bytes."""
    return variable.aval.size * getattr(variable.aval.dtype, "itemsize", 0)


def inputs_needed(program: Any) -> list[bool]:
    """For each input of a jaxpr whether an output is made of it."""
    jaxpr = jax_versions.open_jaxpr(program)
    needed = _needed(jaxpr, [True] * len(jaxpr.outvars))
    return [v in needed for v in jaxpr.invars]


def made_by(program: Any) -> list[str | None]:
    """For each output of a jaxpr the name of the part that made it; None for what was given."""
    jaxpr = jax_versions.open_jaxpr(program)
    return _makers(program, [None] * len(jaxpr.invars), _Place((), ""))


class _Place(NamedTuple):
    """Where an operation comes from: scopes, outermost first, and the line."""

    scopes: tuple[str, ...]
    line: str

    @property
    def name(self) -> str:
        """A layer's path if it is in one, without the scopes of what the layer calls."""
        path = [scope for scope in self.scopes if scope.startswith("[")]
        return "".join(path) or "/".join(self.scopes) or self.line or "an unknown line"


def _operations(
    program: Any, wanted: Sequence[bool], around: _Place, times: int
) -> Iterator[tuple[str, int, Any, Any]]:
    """(name, how often, the program it stands in, the equation) for all that are no calls."""
    jaxpr = jax_versions.open_jaxpr(program)
    needed = _needed(jaxpr, wanted)
    before = around
    for eqn in jaxpr.eqns:
        before = _place(eqn, around, before)
        body, runs = _called(eqn)
        outputs = [v in needed for v in eqn.outvars]
        if not any(outputs) and not eqn.effects:
            continue
        if body is None:
            yield before.name, times, jaxpr, eqn
        else:
            # what a loop carries, its next turn may need
            outputs = [o or eqn.primitive.name == "scan" for o in outputs]
            yield from _operations(body, outputs, before, times * runs)


def _needed(jaxpr: Any, wanted: Sequence[bool]) -> set[Any]:
    """The variables that the wanted outputs are made of."""
    pairs = zip(jaxpr.outvars, wanted, strict=True)
    needed = {v for v, w in pairs if w and not isinstance(v, Literal)}
    for eqn in reversed(jaxpr.eqns):
        if eqn.effects or not needed.isdisjoint(eqn.outvars):
            needed.update(v for v in eqn.invars if not isinstance(v, Literal))
    return needed


def _makers(program: Any, given: Sequence[str | None], around: _Place) -> list[str | None]:
    jaxpr = jax_versions.open_jaxpr(program)
    made = dict(zip(jaxpr.invars, given, strict=True))
    of = lambda v: None if isinstance(v, Literal) else made.get(v)
    before = around
    for eqn in jaxpr.eqns:
        before = _place(eqn, around, before)
        body, _ = _called(eqn)
        makers: list[str | None] = [before.name] * len(eqn.outvars)
        if body is not None:
            makers = _makers(body, [of(v) for v in eqn.invars], before)
        made.update(zip(eqn.outvars, makers, strict=True))
    return [of(v) for v in jaxpr.outvars]


def _place(eqn: Any, around: _Place, before: _Place) -> _Place:
    """Where an equation is from; on the line of that before it, if it knows none."""
    inner = [_bare(scope) for scope in str(eqn.source_info.name_stack).split("/")]
    lines = [scope.removeprefix(_LINE) for scope in inner if scope.startswith(_LINE)]
    if not lines and (place := place_of(eqn.source_info)).file:
        lines = [_shown(place)]
    scopes = (scope for scope in inner if scope and not scope.startswith(_LINE))
    return _Place((*around.scopes, *scopes), lines[-1] if lines else before.line)


def _bare(scope: str) -> str:
    """The scope in "transpose(jvp(scope))": JAX's own transforms put their names around it."""
    while wrapped := re.fullmatch(
        r"(?:jvp|transpose|vmap|checkpoint|rematted_computation)\((.*)\)", scope
    ):
        scope = wrapped[1]
    return scope


def _called(eqn: Any) -> tuple[Any, int]:
    """The program that an equation runs, and how often; None for one that is no call."""
    name = eqn.primitive.name
    if name == "scan":
        return eqn.params["jaxpr"], eqn.params["length"]
    return (eqn.params["jaxpr"], 1) if name in CALLS else (None, 1)


CALLS = ("jit", "pjit", "closed_call", "checkpoint")
"""primitives that run a program once, with their own operands"""


def _free(eqns: Sequence[Any]) -> list[Any]:
    """The variables that equations read and do not make."""
    made: set[Any] = set()
    free: dict[Any, None] = {}
    for eqn in eqns:
        read = (v for v in eqn.invars if not isinstance(v, Literal) and v not in made)
        free.update(dict.fromkeys(read))
        made.update(eqn.outvars)
    return list(free)


def _handed_on(eqns: Sequence[Any], jaxpr: Any) -> list[Any]:
    """The variables that equations make and others of the program, or its caller, read."""
    mine = set(map(id, eqns))
    others = (eqn.invars for eqn in jaxpr.eqns if id(eqn) not in mine)
    read = {v for vs in (jaxpr.outvars, *others) for v in vs if not isinstance(v, Literal)}
    return [v for eqn in eqns for v in eqn.outvars if v in read]


def _run(eqns: Sequence[Any], free: Sequence[Any], *inputs: Any) -> list[Any]:
    env = dict(zip(free, inputs, strict=True))
    evaluate(eqns, env)
    return [env[v] for eqn in eqns for v in eqn.outvars]
