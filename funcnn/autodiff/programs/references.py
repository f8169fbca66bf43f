"""Mutable arrays (`jax.new_ref`): each write makes a new version of the contents.

A reference has the slot that its contents have at the time: a write gives it another. So the tape
stays a list of values that are made once, and the backward pass knows nothing of references.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import set_current_trace
from jax.extend.core.primitives import call_p, closed_call_p, get_p, jit_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.rules.table import Recorded
from funcnn.autodiff.source import users_line
from funcnn.autodiff.tangents import is_inexact
from funcnn.autodiff.tracer import TapeTrace, on_the_trace


def _new_ref(trace: TapeTrace, primitive, tracers, params):
    values, slots = trace.untrack(tracers)
    with set_current_trace(trace.parent):
        ref = primitive.bind(*values, **params)
    trace.refs[id(ref)] = ref, slots[0] if slots else None
    return ref


def _freeze(trace: TapeTrace, primitive, tracers, params):
    [ref] = tracers
    with set_current_trace(trace.parent):
        contents = primitive.bind(ref, **params)
    _, slot = trace.refs.pop(id(ref), (ref, None))
    return _followed(trace, contents, slot)


def _free(trace: TapeTrace, primitive, tracers, params):
    trace.refs.pop(id(tracers[0]), None)
    with set_current_trace(trace.parent):
        return primitive.bind(*tracers, **params)


def _get(trace: TapeTrace, get, tracers, params):
    [ref, *where], _ = trace.untrack(tracers)
    slot = _slot(trace, ref)
    with set_current_trace(trace.parent):
        out = get.bind(ref, *where, **params)
        like = jax.typeof(ref).inner_aval
    if slot is None or not _views(params, where):
        return _followed(trace, out, slot)

    def backward(where, gs):
        return [_placed(gs[0], like, where, params)]

    [out] = trace.write(get, params, (slot,), Recorded([out], [True], where, backward))
    return out


def _swap(trace: TapeTrace, swap, tracers, params):
    [ref, value, *where], [_, value_slot, *_] = trace.untrack(tracers)
    slot = _slot(trace, ref)
    with set_current_trace(trace.parent):
        old = swap.bind(ref, value, *where, **params)
        like, part = jax.typeof(ref).inner_aval, jax.typeof(old)
    if slot is None and value_slot is None:
        return old
    _check_made_here(trace, ref)
    if not _views(params, where):  # all of it
        trace.refs[id(ref)] = ref, value_slot
        return _followed(trace, old, slot)

    def backward(where, gs):
        g_old, g_new = gs
        if g_new is None:
            return [_placed(g_old, like, where, params), None]
        contents = jax.new_ref(g_new)
        left = _zeros_of(g_new, part.shape) if g_old is None else g_old
        g_value = swap.bind(contents, left, *where, **params)
        return [jax.freeze(contents), g_value]

    recorded = Recorded([old, ref], [slot is not None, True], where, backward)
    old, new = trace.write(swap, params, (slot, value_slot), recorded)
    trace.refs[id(ref)] = ref, new.slot
    return old


def _addupdate(trace: TapeTrace, addupdate, tracers, params):
    [ref, value, *where], [_, value_slot, *_] = trace.untrack(tracers)
    with set_current_trace(trace.parent):
        addupdate.bind(ref, value, *where, **params)
    if value_slot is None:
        return []
    _check_made_here(trace, ref)

    def backward(where, gs):
        return [gs[0], get_p.bind(jax.new_ref(gs[0]), *where, **params)]

    inputs = _slot(trace, ref), value_slot
    [new] = trace.write(addupdate, params, inputs, Recorded([ref], [True], where, backward))
    trace.refs[id(ref)] = ref, new.slot
    return []


def _of_references(trace: TapeTrace, primitive, tracers, params):
    """Another primitive that is given references made here: a program that reads or writes them."""
    values, slots = trace.untrack(tracers)
    program = params.get("jaxpr", params.get("call_jaxpr"))
    if primitive is jit_p or primitive in (call_p, closed_call_p):
        with set_current_trace(trace):
            return jax_versions.eval_closed_jaxpr(program, tracers)
    if all(slot is None for slot in (*slots, *(_slot(trace, value) for value in values))):
        with set_current_trace(trace.parent):
            return primitive.bind(*values, **params)
    if primitive not in _with_contents:
        raise NotImplementedError(
            f"the primitive '{primitive}', reached at {users_line()}, is given a reference (a "
            "mutable array, jax.new_ref) that was made outside of it, and funcnn does not follow "
            "references into it. Make it inside, or hand over the array instead."
        )
    refs = list({id(value): value for value in values if id(value) in trace.refs}.values())
    numbers = {id(ref): Held(number) for number, ref in enumerate(refs)}
    with set_current_trace(trace):
        operands = [numbers.get(id(tracer), tracer) for tracer in tracers]
        outs, contents = _with_contents[primitive](params, operands, [ref[...] for ref in refs])
        for ref, x in zip(refs, contents, strict=True):
            ref[...] = x
    return outs


# loops and branches carry the contents, and make references for themselves


class Held(NamedTuple):
    """Stands for an operand that is a reference: its contents are those of this number."""

    number: int


def _evaluate(program, operands, contents):
    """What a closed jaxpr gives out, and what the references hold after it."""
    refs = [jax.new_ref(x) for x in contents]
    values = [refs[x.number] if isinstance(x, Held) else x for x in operands]
    outs = jax_versions.eval_closed_jaxpr(program, values)
    return outs, [jax.freeze(ref) for ref in refs]


def _scan(params, operands, contents):
    num_consts, num_carry = jax_versions.scan_counts(params)
    constants, rest = operands[:num_consts], operands[num_consts:]

    def body(carry, x):
        carried, contents = carry
        outs, contents = _evaluate(params["jaxpr"], [*constants, *carried, *x], contents)
        return (outs[:num_carry], contents), outs[num_carry:]

    options = {name: params[name] for name in ("length", "reverse", "unroll")}
    init = rest[:num_carry], contents
    (carried, contents), ys = lax.scan(body, init, rest[num_carry:], **options)
    return [*carried, *ys], contents


def _while(params, operands, contents):
    for_cond = operands[: params["cond_nconsts"]]
    for_body = operands[len(for_cond) :][: params["body_nconsts"]]

    def goes_on(carry):
        state, contents = carry
        [going], _ = _evaluate(params["cond_jaxpr"], [*for_cond, *state], contents)
        return going

    def body(carry):
        state, contents = carry
        return _evaluate(params["body_jaxpr"], [*for_body, *state], contents)

    init = operands[len(for_cond) + len(for_body) :], contents
    return lax.while_loop(goes_on, body, init)


def _cond(params, operands, contents):
    index, *given = operands
    branches = [functools.partial(_evaluate, program, given) for program in params["branches"]]
    return lax.switch(index, branches, contents)


_with_contents = {lax.scan_p: _scan, lax.while_p: _while, lax.cond_p: _cond}


on_the_trace.update(
    **{"given references": _of_references},
    new_ref=_new_ref,
    empty_ref=_new_ref,
    freeze=_freeze,
    free_ref=_free,
    get=_get,
    swap=_swap,
    addupdate=_addupdate,
)


def _slot(trace, ref):
    return trace.refs.get(id(ref), (ref, None))[1]


def _followed(trace, value, slot):
    """A value with the slot of another that it equals."""
    return trace.track(value, slot if is_inexact(value) else None)


def _views(params: dict[str, Any], where: Sequence[Any]) -> tuple[Any, ...]:
    """How the part is found that is read or written: indexing, after indexing."""
    return tuple(jax.tree.unflatten(params["tree"], where))


def _placed(g, like, where, params):
    """`g` added to zeros at the place that it was read from."""
    contents = jax.new_ref(_zeros_of(g, like.shape))
    _addupdate_p().bind(contents, g, *where, **params)
    return jax.freeze(contents)


def _zeros_of(g, shape):
    """Zeros that depend on `g`: made on the way back as `g` is, and mapped over where `g` is."""
    total = lax.reduce_sum(g, range(g.ndim))
    is_nan = lax.convert_element_type(lax.ne(total, total), g.dtype)
    return lax.broadcast(lax.mul(is_nan, lax.full_like(total, 0)), shape)


@functools.cache
def _addupdate_p():
    """JAX has no public name for it."""
    traced = jax.make_jaxpr(lambda: jax.ref.addupdate(jax.new_ref(0.0), ..., 1.0))()
    return jax_versions.open_jaxpr(traced).eqns[-1].primitive


def _check_made_here(trace, ref):
    if id(ref) not in trace.refs:
        raise ValueError(
            "a value that is differentiated is written to a reference that was made outside of the "
            "differentiated function. Make it inside (jax.new_ref), or write "
            "jax.lax.stop_gradient of the value."
        )
