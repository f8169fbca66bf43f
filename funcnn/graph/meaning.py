"""What an operation is called in a drawing: JAX's names as the signs people write."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from funcnn.autodiff import jax_versions
from funcnn.graph.numbers import short
from funcnn.graph.places import is_of_jax
from funcnn.graph.steps import Step

minor = frozenset({"convert_element_type", "broadcast_in_dim", "squeeze", "expand_dims", "copy"})
"""Primitives that change an array's form alone: they are not drawn unless asked for."""


class Fixed(NamedTuple):
    """An operand that is written in the program itself."""

    value: Any


Operand = int | Fixed | None
"""The operand of an equation: which of the step's it is, a constant, or something computed."""


class Meaning(NamedTuple):
    """What one step is about.

    Attributes:
      primitive: the name of the one that does the work.
      params: its parameters.
      operands: what it is given, as a step's operands.
      minor: whether only the form of an array changes.
    """

    primitive: str
    params: Mapping[str, Any]
    operands: tuple[Operand, ...]
    minor: bool


def meaning(step: Step) -> Meaning | None:
    """What a step is about: None where it is a program of several operations.

    JAX's own functions come as programs (`multiply`, `true_divide`), in which conversions stand
    before the one operation that counts.
    """
    name = step.primitive.name
    given = tuple(range(len(step.inputs)))
    if name != "jit":
        return Meaning(name, step.params, given, name in minor)
    if not is_of_jax(step.params["jaxpr"]):
        return None
    work, _ = _work_in(step.params["jaxpr"], given)
    if not work:
        return Meaning("convert_element_type", {}, given, len(step.inputs) == 1)
    return work[0] if len(work) == 1 else None


def _work_in(jaxpr: Any, given: Sequence[Operand]) -> tuple[list[Meaning], list[Operand]]:
    """The operations in a program that are not minor, and what its outputs are."""
    program = jax_versions.open_jaxpr(jaxpr)
    consts = map(Fixed, getattr(jaxpr, "consts", ()))
    known: dict[Any, Operand] = dict(zip(program.invars, given, strict=True))
    known.update(zip(program.constvars, consts, strict=False))
    read = lambda v: Fixed(v.val) if hasattr(v, "val") else known.get(v)
    work: list[Meaning] = []
    for equation in program.eqns:
        operands = tuple(map(read, equation.invars))
        name = equation.primitive.name
        if name in minor:
            known[equation.outvars[0]] = operands[0]
        elif name == "jit":
            inner, outs = _work_in(equation.params["jaxpr"], operands)
            work += inner
            known.update(zip(equation.outvars, outs, strict=True))
        else:
            work.append(Meaning(name, equation.params, operands, False))
    return work, list(map(read, program.outvars))


def label(of: Meaning, constants: Mapping[int, Any]) -> str:
    """What stands in a node: with the constants that an operation of two operands was given.

    Args:
      constants: scalars, by the number of the step's operand.
    """
    if of.primitive in _of_params:
        return _of_params[of.primitive](of.params)
    sign = _signs.get(of.primitive, of.primitive.replace("_", " "))
    fixed = [_constant(operand, constants) for operand in of.operands]
    if (
        of.primitive in _with_constant
        and len(fixed) == 2
        and (fixed[0] is None) != (fixed[1] is None)
    ):
        before, after = _with_constant[of.primitive]
        form, text = (after, fixed[1]) if fixed[0] is None else (before, fixed[0])
        return form.format(text)
    return sign


def takes_constant(of: Meaning, constants: Mapping[int, Any]) -> bool:
    """Does the label say the constant, so that no node is needed for it?"""
    fixed = [_constant(operand, constants) for operand in of.operands]
    return of.primitive in _with_constant and len(fixed) == 2 and fixed.count(None) == 1


def _constant(operand: Operand, constants: Mapping[int, Any]) -> str | None:
    value = operand.value if isinstance(operand, Fixed) else constants.get(operand)  # type: ignore[arg-type]
    if value is None or isinstance(value, jax.core.Tracer) or np.shape(value) != ():
        return None
    return short(value, 3)


def name_of_program(step: Step) -> str:
    """What a program is called: the function's name, as in the user's code.

    >>> _plain("_reduce_sum"), _plain("<lambda>"), _plain("model.<locals>.loss")
    ('sum', 'λ', 'loss')
    """
    name = step.primitive.name
    if name == "jit" or ("name" in step.params and name.startswith("custom")):
        return _plain(str(step.params["name"]))
    return {"remat2": "checkpoint"}.get(name, name.replace("_p", ""))


def _plain(name: str) -> str:
    last = name.split(".")[-1].removeprefix("_").removeprefix("reduce_")
    return {"<lambda>": "λ", "convolved": "conv"}.get(last, last)  # the latter is funcnn.nn.conv's


def _power(y: Any) -> str:
    if y == -1:
        return "1/x"
    if y == 0.5:
        return "√x"
    return "x" + str(y).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


_of_params: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "integer_pow": lambda params: _power(params["y"]),
    "custom_jvp_call": lambda params: _plain(str(params.get("name", "custom_jvp"))),
    "custom_vjp_call": lambda params: _plain(str(params.get("name", "custom_vjp"))),
}

_signs = {
    "add": "+",
    "add_any": "+",
    "sub": "−",
    "mul": "×",
    "div": "÷",
    "neg": "×−1",
    "pow": "xʸ",
    "square": "x²",
    "sqrt": "√x",
    "rsqrt": "1/√x",
    "cbrt": "∛x",
    "abs": "|x|",
    "logistic": "sigmoid",
    "dot_general": "matmul",
    "conv_general_dilated": "conv",
    "select_n": "where",
    "gt": ">",
    "lt": "<",
    "ge": "≥",
    "le": "≤",
    "eq": "=",
    "ne": "≠",
    "and": "and",
    "convert_element_type": "convert",
    "broadcast_in_dim": "broadcast",
    "reduce_sum": "sum",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_prod": "product",
    "reduce_and": "all",
    "reduce_or": "any",
    "reduce_window_max": "max pool",
    "reduce_window_sum": "sum pool",
    "reduce_window_min": "min pool",
    "concatenate": "concat",
    "dynamic_slice": "slice",
    "gather": "index",
    "scatter-add": "add at",
    "scatter_add": "add at",
    "remat2": "checkpoint",
}

_with_constant = {
    # with the constant in the first place, in the second
    "add": ("+{}", "+{}"),
    "sub": ("{}−x", "−{}"),
    "mul": ("×{}", "×{}"),
    "div": ("{}/x", "÷{}"),
    "pow": ("{}ˣ", "x^{}"),
    "max": ("max {}", "max {}"),
    "min": ("min {}", "min {}"),
    "gt": ("{} >", "> {}"),
    "lt": ("{} <", "< {}"),
    "ge": ("{} ≥", "≥ {}"),
    "le": ("{} ≤", "≤ {}"),
    "eq": ("= {}", "= {}"),
    "ne": ("≠ {}", "≠ {}"),
}
