"""An inner program's forward and backward pass as one joint jaxpr, cut in two.

Both passes are traced together. The equations that do not depend on a cotangent are the forward
pass, the others the backward pass; the values that the backward pass reads are kept, or made again
from others that are (cut.py). The two halves stay lists of equations, evaluated by Python
functions wherever a rule needs them, so that JAX traces them again: to read a jaxpr is stable over
JAX versions, to build one is not.
"""

import functools
import weakref
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jax.extend.core.primitives import add_jaxvals_p, jit_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.backward import backward, from_the_end
from funcnn.autodiff.calls import custom_rules, of_tangents
from funcnn.autodiff.programs.cut import minimum_cut
from funcnn.autodiff.rules.table import no_gradient, on_change
from funcnn.autodiff.tangents import is_inexact, zero_tangent
from funcnn.autodiff.tracer import record


class Joint(NamedTuple):
    """The forward and backward pass of a program. Variables are those of one jaxpr."""

    constants: dict[Any, Any]
    """values of the variables that are constants"""
    operands: list[Any]
    outputs: list[Any]
    tracked: tuple[bool, ...]
    """which outputs depend on a tracked operand"""
    forward: list[Any]
    """equations"""
    backward: list[Any]
    cotangents: list[Any]
    """of the outputs; None where the output has none (integers)"""
    late: frozenset[Any]
    """all variables that depend on a cotangent"""
    results: list[Any]
    """the cotangents of the operands; None where none comes back"""


class Halves(NamedTuple):
    """A joint program that has been cut: what is kept, and what is evaluated on either side."""

    joint: Joint
    kept: list[Any]
    """variables in the order in which they come to be"""
    backward: list[Any]
    """equations that make the cotangents of the operands, what is made again included"""


_TURN = "where the forward pass ends"

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
on_change.append(_known.clear)


def once(jaxpr: Any, key: Hashable, make: Callable[[], Any]) -> Any:
    """`make()`, for each jaxpr and key only once."""
    known = _known.setdefault(jaxpr, {})
    # what depends on the context: which rules to follow. The precision is none of it: what was
    # traced in one is evaluated in the other as it stands.
    key = (key, custom_rules.value, of_tangents.value)
    if key not in known:
        known[key] = make()
    return known[key]


def joint(jaxpr: Any, tracked: Sequence[bool], *, opened: bool = False) -> Joint:
    """Traces forward and backward pass of a closed jaxpr.

    Args:
      jaxpr: a closed jaxpr.
      tracked: which of its inputs cotangents are asked for.
      opened: put the equations of inner `jit`s among its own.
    """
    inner = jax_versions.open_jaxpr(jaxpr)
    tracked_out: tuple[bool, ...] = ()
    asked: tuple[bool, ...] = ()

    def both(values, gs):
        nonlocal tracked_out, asked
        run = _evaluate_opened if opened else jax_versions.eval_closed_jaxpr
        outs, slots, tape = record(functools.partial(run, jaxpr), values, tracked)
        checkpoint_name(0.0, _TURN)
        found = backward(from_the_end(tape), slots, gs)
        tracked_out = tuple(slot is not None for slot in slots)
        asked = tuple(i in found for i in range(len(values)))
        return outs, [found[i] for i, is_asked in enumerate(asked) if is_asked]

    in_types = [v.aval for v in inner.invars]
    gs = [v.aval if is_inexact(v.aval) else None for v in inner.outvars]
    traced = jax.make_jaxpr(both)(in_types, gs)
    program = jax_versions.open_jaxpr(traced)
    count = len(tracked_out)
    given = iter(program.invars[len(tracked) :])
    found = iter(program.outvars[count:])
    cotangents = [None if g is None else next(given) for g in gs]
    late = {v for v in cotangents if v is not None}
    forward, backwards = [], []
    turned = False
    for eqn in program.eqns:
        if eqn.params.get("name") is _TURN:
            turned = True
        # what a rule of the user's prints on the way back is to be printed then
        elif (turned and eqn.effects) or not late.isdisjoint(
            v for v in eqn.invars if not isinstance(v, Literal)
        ):
            backwards.append(eqn)
            late.update(eqn.outvars)
        else:
            forward.append(eqn)
    return Joint(
        constants=dict(zip(program.constvars, jax_versions.consts(traced), strict=True)),
        operands=program.invars[: len(tracked)],
        outputs=program.outvars[:count],
        tracked=tracked_out,
        forward=forward,
        backward=backwards,
        cotangents=cotangents,
        late=frozenset(late),
        results=[next(found) if is_asked else None for is_asked in asked],
    )


def reached(jaxpr: Any, tracked: Sequence[bool]) -> list[bool]:
    """Which outputs of a closed jaxpr depend on tracked inputs."""
    inner = jax_versions.open_jaxpr(jaxpr)
    if any(eqn.primitive is not jit_p and _has_program(eqn) for eqn in inner.eqns):
        return once(jaxpr, ("reached", tuple(tracked)), lambda: _reached_by_tracing(jaxpr, tracked))
    found = {v for v, is_tracked in zip(inner.invars, tracked, strict=True) if is_tracked}
    for eqn in inner.eqns:
        inputs = [not isinstance(v, Literal) and v in found for v in eqn.invars]
        if eqn.primitive in no_gradient or not any(inputs):
            continue
        there = [is_inexact(v.aval) for v in eqn.outvars]
        if eqn.primitive is jit_p:
            there = reached(eqn.params["jaxpr"], inputs)
        found.update(v for v, is_there in zip(eqn.outvars, there, strict=True) if is_there)
        # into references something may have been written
        found.update(v for v in eqn.invars if hasattr(v.aval, "inner_aval"))
    return [not isinstance(v, Literal) and v in found for v in inner.outvars]


def _has_program(eqn: Any) -> bool:
    held = (v if isinstance(v, tuple | list) else (v,) for v in eqn.params.values())
    return any(isinstance(v, Jaxpr | ClosedJaxpr) for several in held for v in several)


def _reached_by_tracing(jaxpr: Any, tracked: Sequence[bool]) -> list[bool]:
    """`reached`, as the rules for the programs in it have it."""
    reached_out: list[bool] = []

    def forward(values):
        run = functools.partial(jax_versions.eval_closed_jaxpr, jaxpr)
        outs, slots, _ = record(run, values, tracked)
        reached_out.extend(slot is not None for slot in slots)
        return outs

    jax.make_jaxpr(forward)([v.aval for v in jax_versions.open_jaxpr(jaxpr).invars])
    return reached_out


def halve(
    program: Joint,
    cost: Callable[[Any], float],
    can_be_made_again: Callable[[Any], bool],
    at_hand: Collection[Any] = (),
) -> Halves:
    """Cuts a joint program where it costs the least. The arguments are those of `minimum_cut`."""
    results = [v for v in program.results if v is not None]
    backwards = live(program.backward, results)
    at_hand = {*at_hand, *program.constants}
    wanted = inputs_of(backwards, results) - at_hand
    wanted -= {v for v in program.cotangents if v is not None}
    chosen = minimum_cut(program.forward, wanted, cost, can_be_made_again, at_hand)
    again = live([eqn for eqn in program.forward if not eqn.effects], wanted, chosen)
    kept = [
        v
        for v in (*program.operands, *(v for eqn in program.forward for v in eqn.outvars))
        if v in chosen
    ]
    return Halves(program, kept, again + backwards)


def pull_back(halves: Halves, values: dict[Any, Any], gs: Sequence[Any]) -> list[Any]:
    """The cotangents of the operands.

    Args:
      values: of the variables that were kept.
      gs: the cotangents of the outputs. One that is absent is None, here and in what is returned.
    """
    program = halves.joint
    given = {v: g for v, g in zip(program.cotangents, gs, strict=True) if v is not None}
    env = {**program.constants, **values, **given}
    evaluate(halves.backward, env, program.late)
    return [None if v is None else read(env, v) for v in program.results]


def present_after(halves: Halves, present: Sequence[bool]) -> list[bool]:
    """Which cotangents of the operands are there, when those of the outputs are as `present`."""
    program = halves.joint
    absent = {v for v, there in zip(program.cotangents, present, strict=True) if not there}
    for eqn in halves.backward:
        if eqn.primitive is lax.optimization_barrier_p:
            absent.update(o for v, o in zip(eqn.invars, eqn.outvars, strict=True) if v in absent)
            continue
        dependent = {v for v in eqn.invars if not isinstance(v, Literal) and v in program.late}
        if dependent and dependent <= absent:
            absent.update(eqn.outvars)
    return [v is not None and (isinstance(v, Literal) or v not in absent) for v in program.results]


def evaluate(eqns: Iterable[Any], env: dict[Any, Any], late: Collection[Any] = ()) -> None:
    """Evaluates equations in `env`, where the value of an absent cotangent is None.

    The backward program is linear in its cotangents (the variables `late`): an equation all of
    whose cotangents are absent gives absent ones, and a sum with one absent term is the other. Only
    where a primitive takes several, some present and some not, are zeros put in.
    """
    for eqn in eqns:
        inputs = [read(env, v) for v in eqn.invars]
        if late and any(x is None for x in inputs):
            if eqn.primitive is lax.optimization_barrier_p:  # of each operand by itself
                env.update(zip(eqn.outvars, lax.optimization_barrier(inputs), strict=True))
                continue
            present = [
                x
                for v, x in zip(eqn.invars, inputs, strict=True)
                if x is not None and not isinstance(v, Literal) and v in late
            ]
            if not present or eqn.primitive in _sums:
                env.update(dict.fromkeys(eqn.outvars, present[0] if present else None))
                continue
            inputs = [
                zero_tangent(v.aval) if x is None else x
                for v, x in zip(eqn.invars, inputs, strict=True)
            ]
        env.update(zip(eqn.outvars, _outputs(eqn, inputs), strict=True))


_sums = {lax.add_p, add_jaxvals_p}


def _outputs(eqn: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Evaluates one equation, as of the line of the user's that it came from."""
    params = eqn.primitive.get_bind_params(eqn.params)
    names = source_info_util.current_name_stack() + eqn.source_info.name_stack
    with (
        source_info_util.user_context(eqn.source_info.traceback, name_stack=names),
        eqn.ctx.manager,
    ):
        outs = eqn.primitive.bind(*inputs, **params)
    return outs if eqn.primitive.multiple_results else [outs]


def _evaluate_opened(jaxpr: Any, values: Sequence[Any]) -> list[Any]:
    inner = jax_versions.open_jaxpr(jaxpr)
    env = dict(zip(inner.constvars, jax_versions.consts(jaxpr), strict=True))
    env.update(zip(inner.invars, values, strict=True))
    for eqn in inner.eqns:
        inputs = [read(env, v) for v in eqn.invars]
        is_jit = eqn.primitive is jit_p
        outs = _evaluate_opened(eqn.params["jaxpr"], inputs) if is_jit else _outputs(eqn, inputs)
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(env, v) for v in inner.outvars]


def read(env: dict[Any, Any], atom: Any) -> Any:
    """The value of a variable, or of a literal."""
    return atom.val if isinstance(atom, Literal) else env[atom]


def places_of(atoms: Sequence[Any]) -> dict[Any, int]:
    """At which place each variable stands; literals are at hand anyway."""
    return {v: i for i, v in enumerate(atoms) if not isinstance(v, Literal)}


def live(eqns: Sequence[Any], wanted: Iterable[Any], at_hand: Collection[Any] = ()) -> list[Any]:
    """The equations that `wanted` needs, if `at_hand` is there already; and those with effects."""
    needed = {v for v in wanted if not isinstance(v, Literal) and v not in at_hand}
    found = []
    for eqn in reversed(eqns):
        if eqn.effects or any(v in needed for v in eqn.outvars):
            found.append(eqn)
            needed.update(v for v in eqn.invars if not isinstance(v, Literal) and v not in at_hand)
    return found[::-1]


def inputs_of(eqns: Iterable[Any], wanted: Iterable[Any] = ()) -> set[Any]:
    """The variables that `eqns` and `wanted` read and `eqns` do not make."""
    made = {v for eqn in eqns for v in eqn.outvars}
    read = {v for eqn in eqns for v in eqn.invars if not isinstance(v, Literal)}
    return (read | {v for v in wanted if not isinstance(v, Literal)}) - made
