"""Programs inside programs: the rule for `jit`.

The inner program stays one compiled call on the way there and one on the way back. Its forward and
backward pass are traced together into one joint jaxpr, which is then cut in two: equations that do
not depend on a cotangent are the forward program, the others the backward program, and the values
that cross the cut are the residuals. The halves are Python functions that evaluate their equations,
so that they are traced again, by JAX, wherever they are used.
"""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend import source_info_util
from jax.extend.core import Literal
from jax.extend.core.primitives import add_jaxvals_p, jit_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.backward import backward, from_the_end
from funcnn.autodiff.rules.table import Recorded, on_change, register
from funcnn.autodiff.tracer import is_inexact, record, zero_tangent


class Halves(NamedTuple):
    """A program's forward and backward half."""

    forward: Callable[..., list[Any]]
    """operands -> outputs, then the residuals that are neither operand nor output"""
    backward: Callable[..., list[Any]]
    """residuals, cotangents of the outputs -> cotangents of the operands"""
    tracked: tuple[bool, ...]
    """which outputs depend on a tracked operand"""
    residuals: tuple[tuple[str, int], ...]
    """where each residual is found: an "operand", an "output", or a value "kept" in addition"""


def jit_rule(primitive, values, tracked, params) -> Recorded:
    """The VJP rule of `jit`."""
    halves = _jitted_halves(params["jaxpr"], params["name"], params["inline"], tracked)
    found = halves.forward(*values)
    outs, kept = found[: len(halves.tracked)], found[len(halves.tracked) :]
    places = {"operand": values, "output": outs, "kept": kept}
    saved = [places[place][i] for place, i in halves.residuals]
    return Recorded(outs, halves.tracked, saved, halves.backward)


register(jit_p, jit_rule)

_cache: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
on_change.append(_cache.clear)


def _jitted_halves(jaxpr, name, inline, tracked) -> Halves:
    """`halves`, compiled, and made only once for each jaxpr."""
    known = _cache.setdefault(jaxpr, {})
    key = (name, inline, tracked)
    if key not in known:
        made = halves(jaxpr, tracked)
        made.forward.__name__ = name
        made.backward.__name__ = f"{name}_backward"
        known[key] = made._replace(
            forward=jax.jit(made.forward, inline=inline),
            backward=jax.jit(made.backward, inline=inline),
        )
    return known[key]


def halves(jaxpr: Any, tracked: Sequence[bool]) -> Halves:
    """Cuts the joint forward and backward pass of `jaxpr` in two.

    Args:
      jaxpr: a closed jaxpr.
      tracked: which of its inputs cotangents are asked for.
    """
    joint, tracked_out, asked = _joint(jaxpr, tracked)
    joint_open = jax_versions.open_jaxpr(joint)
    operands = joint_open.invars[: len(tracked)]
    outputs = joint_open.outvars[: len(tracked_out)]
    cotangents_in = joint_open.invars[len(tracked) :]
    cotangents_out = joint_open.outvars[len(tracked_out) :]
    constants = dict(zip(joint_open.constvars, jax_versions.consts(joint), strict=True))

    forward_eqns, backward_eqns, late = cut(joint_open.eqns, cotangents_in, cotangents_out)
    needed = _inputs_of(backward_eqns, cotangents_out) - set(cotangents_in) - set(constants)
    residuals = _in_order(needed, operands, forward_eqns)
    place = {v: ("output", i) for i, v in enumerate(outputs) if not isinstance(v, Literal)}
    place |= {v: ("operand", i) for i, v in enumerate(operands)}
    kept = [v for v in residuals if v not in place]
    place |= {v: ("kept", i) for i, v in enumerate(kept)}
    forward_eqns = _live(forward_eqns, [*outputs, *kept])

    def forward(*values):
        env = {**constants, **dict(zip(operands, values, strict=True))}
        _evaluate(forward_eqns, env)
        return [_read(env, v) for v in (*outputs, *kept)]

    def backward(saved, gs):
        env = {**constants, **dict(zip(residuals, saved, strict=True))}
        # an integer output has no cotangent, so the joint program takes none for it
        given = (g for g, v in zip(gs, outputs, strict=True) if is_inexact(v.aval))
        env |= dict(zip(cotangents_in, given, strict=True))
        _evaluate(backward_eqns, env, late)
        found = iter([_read(env, v) for v in cotangents_out])
        return [next(found) if is_asked else None for is_asked in asked]

    return Halves(forward, backward, tracked_out, tuple(place[v] for v in residuals))


def _joint(jaxpr, tracked):
    """One jaxpr for forward and backward pass: operands, cotangents -> outputs, cotangents.

    Also which outputs are tracked, and which operands a cotangent came back for.
    """
    inner = jax_versions.open_jaxpr(jaxpr)
    in_types = [_shape_of(v.aval) for v in inner.invars]
    out_types = [_shape_of(v.aval) for v in inner.outvars]
    tracked_out: tuple[bool, ...] = ()
    asked: tuple[bool, ...] = ()

    def joint(values, gs):
        nonlocal tracked_out, asked
        evaluate = functools.partial(jax_versions.eval_closed_jaxpr, jaxpr)
        outs, slots, tape = record(evaluate, values, tracked)
        cotangents = backward(from_the_end(tape), slots, gs)
        tracked_out = tuple(slot is not None for slot in slots)
        asked = tuple(i in cotangents for i in range(len(values)))
        return outs, [cotangents[i] for i, is_asked in enumerate(asked) if is_asked]

    gs = [t if is_inexact(t) else None for t in out_types]
    traced = jax.make_jaxpr(joint)(in_types, gs)
    return traced, tracked_out, asked


def cut(eqns, cotangents_in, cotangents_out):
    """Which equations are evaluated on the way there, and which on the way back.

    What depends on a cotangent is the backward program. What does not is the forward program, and
    its values are handed over; except those that are cheaply made of nothing (broadcast scalars,
    iotas), which are made again rather than kept. Also gives the variables that depend on a
    cotangent.
    """
    late, from_nothing = set(cotangents_in), set()
    forward_eqns, backward_eqns, cheap = [], [], []
    for eqn in eqns:
        inputs = [v for v in eqn.invars if not isinstance(v, Literal)]
        if any(v in late for v in inputs):
            late.update(eqn.outvars)
            backward_eqns.append(eqn)
            continue
        forward_eqns.append(eqn)
        if eqn.primitive in _CHEAP and all(v in from_nothing for v in inputs):
            from_nothing.update(eqn.outvars)
            cheap.append(eqn)
    return forward_eqns, _live([*cheap, *backward_eqns], cotangents_out), frozenset(late)


# not what is random (it would be another value), and not what takes time
_CHEAP = {
    *(lax.iota_p, lax.broadcast_in_dim_p, lax.convert_element_type_p, lax.reshape_p),
    *(lax.transpose_p, lax.select_n_p, lax.neg_p, lax.add_p, lax.sub_p, lax.mul_p),
    *(lax.eq_p, lax.ne_p, lax.lt_p, lax.le_p, lax.gt_p, lax.ge_p),
}


def _live(eqns, wanted):
    """The equations that `wanted` needs, and those with effects."""
    wanted = {v for v in wanted if not isinstance(v, Literal)}
    live = []
    for eqn in reversed(eqns):
        if eqn.effects or any(v in wanted for v in eqn.outvars):
            live.append(eqn)
            wanted.update(v for v in eqn.invars if not isinstance(v, Literal))
    return live[::-1]


def _inputs_of(eqns, wanted):
    """The variables that `eqns` and `wanted` read and `eqns` do not make."""
    made = {v for eqn in eqns for v in eqn.outvars}
    read = {v for eqn in eqns for v in eqn.invars if not isinstance(v, Literal)}
    return (read | {v for v in wanted if not isinstance(v, Literal)}) - made


def _in_order(variables, operands, eqns):
    """`variables` in the order in which they come to be (a set has none that can be relied on)."""
    return [v for v in (*operands, *(v for e in eqns for v in e.outvars)) if v in variables]


def _evaluate(eqns, env, late=frozenset()) -> None:
    """Evaluates equations in `env`, where the value of an absent cotangent is None.

    The backward program is linear in its cotangents (the variables `late`): an equation all of
    whose cotangents are absent gives absent ones, and a sum with one absent term is the other. Only
    where a primitive takes several, some present and some not, are zeros put in.
    """
    for eqn in eqns:
        inputs = [_read(env, v) for v in eqn.invars]
        if late and any(x is None for x in inputs):
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
        params = eqn.primitive.get_bind_params(eqn.params)
        names = source_info_util.current_name_stack() + eqn.source_info.name_stack
        with (
            source_info_util.user_context(eqn.source_info.traceback, name_stack=names),
            eqn.ctx.manager,
        ):
            outs = eqn.primitive.bind(*inputs, **params)
        env.update(
            zip(eqn.outvars, outs if eqn.primitive.multiple_results else [outs], strict=True)
        )


_sums = {lax.add_p, add_jaxvals_p}


def _read(env, atom):
    return atom.val if isinstance(atom, Literal) else env[atom]


def _shape_of(aval):
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)
