"""In which numbers a function is checked, and which custom rules are in it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from funcnn.autodiff.tangents import is_inexact
from funcnn.testing.arguments import Function
from funcnn.testing.problem import FUNCNN, JAX, PRIMAL, Problem, compiled
from funcnn.testing.vectors import pack, space_of, unit_of, unpack, wide


def problems(function: Function, notes: list[str]) -> tuple[list[Problem], str]:
    """The function in 64 bits, if that can be, and in its own types; its custom rules in words."""
    inside = look_inside(function.fun, unpack(function.x, function.inputs))
    rule = "one of the custom rules, if it has any," if inside is None else _in_words(inside.rules)
    units = [leaf.unit for leaf in (*function.inputs, *function.outputs)]
    unit = max([*units, *([inside.unit] if inside else [])])
    names = sorted({np.dtype(leaf.dtype).name for leaf in function.inputs})
    funs = dict.fromkeys((FUNCNN, JAX, PRIMAL), function.fun)
    own = Problem(" and ".join(names), False, function.inputs, function.outputs, unit, funs)
    if unit == unit_of(np.float64):
        return [own], rule
    inputs = wide(function.inputs)
    with jax.enable_x64(True):
        leaves = unpack(function.x, inputs)
        try:
            outs = compiled(function.fun)(*leaves)
        except Exception as error:
            notes.append(f"it does not run in 64 bits: {first_line(error)}")
            return [own], rule
        inside = look_inside(function.fun, leaves)
        value = pack(outs)
        outputs = space_of([(leaf.path, x) for leaf, x in zip(function.outputs, outs, strict=True)])
    units = [leaf.unit for leaf in outputs]
    unit = max([*units, *([inside.unit] if inside else [])])
    if unit > unit_of(np.float64):
        notes.append(
            "it computes in fewer than 64 bits whatever it is given: so do the differences"
        )
        return [own._replace(unit=max(own.unit, unit))], rule
    if np.isnan(value).any():
        notes.append("its value in 64 bits is nan: it is checked in its own types only")
        return [own], rule
    outputs = [leaf._replace(weak=False) for leaf in outputs]
    return [Problem("float64", True, inputs, outputs, unit, funs), own], rule


def _in_words(rules: list[str]) -> str:
    if not rules:
        return ""
    names = ", ".join(f"`{name}`" for name in rules)
    return f"the rule of {names}" if len(rules) == 1 else f"one of the rules of {names}"


def first_line(error: Exception) -> str:
    line = (str(error).strip() or "?").splitlines()[0]
    return f"{type(error).__name__}: {line[:197] + '...' if len(line) > 200 else line}"


class Inside(NamedTuple):
    """What a look into the traced function shows."""

    rules: list[str]
    """names of the functions with custom rules"""
    unit: float
    """the unit roundoff of the narrowest type that something depending on the arguments has"""


def look_inside(fun: Callable, leaves: Sequence[Any]) -> Inside | None:
    """None where the function cannot be traced as a whole."""
    try:
        jaxpr = jax.make_jaxpr(fun)(*leaves)
    except Exception:
        return None
    rules: list[str] = []
    units = [unit_of(jax.typeof(leaf).dtype) for leaf in leaves]

    def walk(jaxpr, depends: list[bool]):
        jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
        known = {v for v, d in zip(jaxpr.invars, depends, strict=True) if d}
        for eqn in jaxpr.eqns:
            arguments = [not hasattr(v, "val") and v in known for v in eqn.invars]
            if not any(arguments):
                continue
            known.update(eqn.outvars)
            units.extend(unit_of(v.aval.dtype) for v in eqn.outvars if is_inexact(v.aval))
            inner = [
                p
                for value in eqn.params.values()
                for p in (value if isinstance(value, (tuple, list)) else [value])
                if hasattr(p, "eqns")
            ]
            if eqn.primitive.name in ("custom_jvp_call", "custom_vjp_call"):
                for program in inner:
                    info = getattr(program, "jaxpr", program).debug_info
                    rules.append(getattr(info, "func_name", None) or "?")
            for program in inner:
                count = len(getattr(program, "jaxpr", program).invars)
                walk(program, arguments if count == len(arguments) else [True] * count)

    walk(jaxpr, [True] * len(leaves))
    return Inside(list(dict.fromkeys(rules)), max(units))
