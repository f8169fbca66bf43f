"""An inner program as two compiled calls, one there and one back."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from funcnn.autodiff.compiling import compiled
from funcnn.autodiff.rules.table import Recorded


class Calls(NamedTuple):
    """The halves of a program, to be called."""

    forward: Callable[..., list[Any]]
    """operands -> outputs, then what is kept and is neither operand nor output"""
    backward: Callable[..., Sequence[Any]]
    """residuals, cotangents of the outputs -> cotangents of the operands; absent ones are None"""
    tracked: Sequence[bool]
    """which outputs depend on a tracked operand"""
    residuals: Sequence[tuple[str, int]]
    """where each residual is found: an "operand", an "output", or a value "added" to them"""


def named(calls: Calls, name: str) -> Calls:
    """As two compiled calls with a name, which they also are in a larger program."""
    calls.forward.__name__, calls.backward.__name__ = name, f"{name}_backward"
    return calls._replace(forward=jax.jit(calls.forward), backward=jax.jit(calls.backward))


def inlined(calls: Calls) -> Calls:
    """As two compiled calls, which become part of a larger program where one is traced."""
    return calls._replace(forward=compiled(calls.forward), backward=compiled(calls.backward))


def called(calls: Calls, values: Sequence[Any]) -> Recorded:
    """Evaluates the forward call. What is kept and was there before is handed on, not copied."""
    found = calls.forward(*values)
    outs, added = found[: len(calls.tracked)], found[len(calls.tracked) :]
    at = {"operand": values, "output": outs, "added": added}
    saved = [at[place][i] for place, i in calls.residuals]
    return Recorded(outs, calls.tracked, saved, calls.backward)
