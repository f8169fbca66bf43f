"""Damages of the rules: each changes one thing in what one rule carries back.

What is changed is the rule's backward function, from outside, so that no rule knows of it. Which
damages there are is found by watching the rule while its cases are traced: which operands get a
cotangent, what was kept for them, and by which operations the cotangents are made.
"""

import contextlib
import functools
import linecache
import pathlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Literal

import funcnn
from funcnn.autodiff import jax_versions, rules, tracer
from funcnn.autodiff.compiling import concrete
from funcnn.autodiff.programs import sparse
from funcnn.autodiff.programs.joint import evaluate, live, read
from funcnn.autodiff.rules import table

from ..rule_cases import CASES
from ..test_rules import Program, pull_back, random_like


class Call(NamedTuple):
    """One call of a rule's backward function."""

    backward: Callable[[Any, list[Any]], Any]
    saved: Any
    gs: list[Any]
    others: list[Any]
    """operands and outputs, which a rule might have used in place of what was kept"""


Damage = Callable[[Call], Any]
"""Gives the cotangents of the operands, one thing in them wrong."""


@contextlib.contextmanager
def done(name: str, damage: Damage) -> Iterator[None]:
    """Within this context the rule of the primitive called `name` is damaged."""

    def damaged(rule):
        def with_damage(primitive, values, tracked, params):
            recorded = rule(primitive, values, tracked, params)
            others = [*values, *recorded.outs]

            def backward(saved, gs):
                return damage(Call(recorded.backward, saved, gs, others))

            return recorded._replace(backward=backward)

        return with_damage

    def rule_for(primitive):
        rule = table.rule_for(primitive)
        return damaged(rule) if rule is not None and str(primitive) == name else rule

    forget()
    # operations are known by the line of the rule, so none is said to be the user's
    unnamed = types.SimpleNamespace(user_context=lambda *_, **__: contextlib.nullcontext())
    walk = sys.modules["funcnn.autodiff.backward"]
    with (
        mock.patch.object(tracer, "rule_for", rule_for),
        mock.patch.object(walk, "source_info_util", unnamed),
    ):
        yield
    forget()


def forget() -> None:
    """Empties what was remembered of rules."""
    for empty in table.on_change:
        empty()


def with_rules() -> set[str]:
    """The names of all primitives that have a rule."""
    without = (table.zero_derivative, table.no_derivative)
    by_name = {
        name
        for name, enter in table.unexported.items()
        if getattr(enter, "func", enter) not in without
    }
    return by_name | {str(primitive) for primitive in table.rules}


def damages_of(name: str, use: Callable[[], Any]) -> dict[str, Damage]:
    """The damages that change something where `use` reaches a primitive, by what they do."""
    found: dict[str, Damage] = {}

    def watch(call):
        cotangents = list(call.backward(call.saved, call.gs))
        found.update(_of_cotangents(cotangents))
        found.update(_of_residuals(call))
        found.update(_of_sums(call))
        found.update(_of_operations(call))
        return cotangents

    with done(name, watch):
        use()
    return found


def trace_cases(name: str) -> None:
    """Traces what test_rules.py computes of a primitive's cases."""
    with jax.enable_x64(True):
        program = Program(CASES[name], np.float64)
        args = program.floats, program.args, random_like(program.out, 0)
        jax.eval_shape(functools.partial(pull_back, funcnn.vjp, program), *args)


# --- of the cotangents that come out


def _of_cotangents(cotangents) -> Iterator[tuple[str, Damage]]:
    there = [i for i, g in enumerate(cotangents) if g is not None]
    for i in there:
        g = cotangents[i]
        yield f"cotangent {i} dropped", _on_cotangent(i, lambda g: None)
        if not g.size:
            continue
        yield f"cotangent {i} negated", _on_cotangent(i, lax.neg)
        yield f"cotangent {i} doubled", _on_cotangent(i, lambda g: g + g)
        yield f"cotangent {i} off by 1e-5", _on_cotangent(i, lambda g: g * (1 + 1e-5))
        yield f"cotangent {i} without its last element", _on_cotangent(i, _without_last)
        yield f"cotangent {i} of another dtype", _on_cotangent(i, _of_another_dtype)
        if g.dtype.kind == "c":
            yield f"cotangent {i} conjugated", _on_cotangent(i, jnp.conj)
        if g.ndim > 1 and g.shape[-1] == g.shape[-2] > 1:
            yield f"cotangent {i} transposed", _on_cotangent(i, _transposed)
        for j in there:
            if j > i and g is not cotangents[j] and _type(g) == _type(cotangents[j]):
                yield f"cotangents {i} and {j} swapped", _swapped(i, j)


def _on_cotangent(i, change) -> Damage:
    def damage(call):
        cotangents = list(call.backward(call.saved, call.gs))
        if cotangents[i] is not None:
            cotangents[i] = _do(change, cotangents[i])
        return cotangents

    return damage


def _swapped(i, j) -> Damage:
    def damage(call):
        cotangents = list(call.backward(call.saved, call.gs))
        a, b = cotangents[i], cotangents[j]
        if a is not None and b is not None and _type(a) == _type(b):
            cotangents[i], cotangents[j] = b, a
        return cotangents

    return damage


def _without_last(g):
    return jnp.asarray(g).at[(-1,) * g.ndim].set(0) if g.size else g


def _of_another_dtype(g):
    narrower = {
        np.dtype(np.complex128): np.complex64,
        np.dtype(np.complex64): np.float32,
        np.dtype(np.float64): np.float32,
        np.dtype(np.float32): jnp.bfloat16,
    }
    other = narrower.get(g.dtype, np.float32)
    return lax.convert_element_type(g.real if other is np.float32 else g, other)


def _transposed(g):
    square = g.ndim > 1 and g.shape[-1] == g.shape[-2]
    return jnp.swapaxes(g, -1, -2) if square else g


# --- of what was kept


def _of_residuals(call) -> Iterator[tuple[str, Damage]]:
    kept = jax.tree.leaves(call.saved)
    for i, x in enumerate(kept):
        if not _is_array(x) or not x.size:
            continue
        yield f"residual {i} lost", _on_residual(i, lambda x, call: _plain(x))
        for j in range(len(call.others)):
            if not _equal(_other(x, call, j), x):
                name = f"operand or output {j} in place of residual {i}"
                yield name, _on_residual(i, functools.partial(_other, j=j))


def _on_residual(i, change) -> Damage:
    def damage(call):
        kept, structure = jax.tree.flatten(call.saved)
        if i < len(kept) and _is_array(kept[i]):
            kept[i] = _do(change, kept[i], call)
        return call.backward(jax.tree.unflatten(structure, kept), call.gs)

    return damage


def _plain(x):
    """Ones in place of a factor, zeros in place of indices."""
    return lax.full_like(x, 1 if x.dtype.kind in "fcV" else 0)


def _other(x, call, j):
    """Another value of the same type as `x`, if the `j`-th is one."""
    if j >= len(call.others):
        return x
    other = call.others[j]
    return other if _is_array(other) and _type(other) == _type(x) else x


def _equal(x, y):
    """Is it known that one in place of the other changes nothing?"""
    if x is y:
        return True
    x, y = concrete(x), concrete(y)
    return x is not None and y is not None and np.array_equal(x, y, equal_nan=True)


# --- of the sums in it


def _of_sums(call) -> Iterator[tuple[str, Damage]]:
    summed = []

    def seen(x, axes):
        summed.extend(x.shape[axis] for axis in axes)
        return x

    with _sums_replaced(seen):
        call.backward(call.saved, call.gs)
    if any(n > 1 for n in summed):
        yield "sums missing", _without_sums


def _without_sums(call):
    def first(x, axes):
        for axis in axes:
            if x.shape[axis]:
                x = lax.slice_in_dim(x, 0, 1, axis=axis)
        return x

    with _sums_replaced(first):
        return call.backward(call.saved, call.gs)


@contextlib.contextmanager
def _sums_replaced(before):
    """Within this context `before` changes, or sees, what sums are given."""

    def replaced(whole, name):
        def of(x, *args, **options):
            axes = args[0] if args else options.get(name)
            axes = range(x.ndim) if axes is None else axes
            axes = (axes,) if isinstance(axes, int) else axes
            return whole(_do(before, x, [axis % x.ndim for axis in axes]), *args, **options)

        return of

    with (
        mock.patch.object(lax, "reduce_sum", replaced(lax.reduce_sum, "axes")),
        mock.patch.object(jnp, "sum", replaced(jnp.sum, "axis")),
    ):
        yield


# --- of the operations in it

_RULES = str(pathlib.Path(rules.__file__).parent), sparse.__file__


def _of_operations(call) -> Iterator[tuple[str, Damage]]:
    for name, _, places in _operations(_traced(call)[1]):
        for i in places:
            yield f"operand {i} in place of {name}", _on_operation(name, i)


def _on_operation(name, i) -> Damage:
    """An operation of a line is left out, and what it was given is passed on."""

    def damage(call):
        closed, program, structure = _traced(call)
        here = {id(eqn) for n, eqn, places in _operations(program) if n == name and i in places}
        if not here:
            return call.backward(call.saved, call.gs)
        env = dict(zip(program.constvars, jax_versions.consts(closed), strict=True))
        env.update(zip(program.invars, jax.tree.leaves((call.saved, call.gs)), strict=True))
        for eqn in program.eqns:
            if id(eqn) in here:
                env[eqn.outvars[0]] = read(env, eqn.invars[i])
            else:
                evaluate([eqn], env)
        return jax.tree.unflatten(structure, [read(env, v) for v in program.outvars])

    return damage


def _traced(call):
    closed, shapes = jax.make_jaxpr(call.backward, return_shape=True)(call.saved, call.gs)
    return closed, jax_versions.open_jaxpr(closed), jax.tree.structure(shapes)


def _operations(program) -> Iterator[tuple[str, Any, list[int]]]:
    """Those that stand in a rule, and which of their operands are of the type of their output."""
    for eqn in live(program.eqns, program.outvars):
        line = _line_of_a_rule(eqn)
        if line is None or _changes_nothing(eqn):
            continue
        out = eqn.outvars[0].aval
        places = [
            i
            for i, v in enumerate(eqn.invars)
            if out.size and _type(v.aval) == _type(out) and not isinstance(v, Literal)
        ]
        yield f"{eqn.primitive} in `{line}`", eqn, places


def _changes_nothing(eqn) -> bool:
    """Does it give out what it is given, where that is of the type of what it gives out?"""
    if str(eqn.primitive) == "pad":
        return all(low == high == 0 for low, high, _ in eqn.params["padding_config"])
    return str(eqn.primitive) in _SAME


_SAME = {"slice", "concatenate", "reshape", "broadcast_in_dim", "reduce_sum", "copy", "pvary"}


def _line_of_a_rule(eqn) -> str | None:
    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback else ():
        if frame.file_name.startswith(_RULES):
            return linecache.getline(frame.file_name, frame.line_num).strip()
    return None


# ---


def _do(change, *args):
    try:
        return change(*args)
    except Exception as error:
        pytest.exit(f"the damage {change} could not be done to {args}: {error!r}")


def _is_array(x):
    return hasattr(x, "dtype") and hasattr(x, "shape")


def _type(x):
    return x.shape, x.dtype
