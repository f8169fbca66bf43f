"""What loops have in common: a value that is carried takes part in all iterations or in none."""

from collections.abc import Sequence
from typing import Any

from jax import lax

from funcnn.autodiff.programs.joint import Halves, present_after, reached
from funcnn.autodiff.tangents import zero_cotangent


def tracked_in_any(
    body: Any, tracked: Sequence[bool], constants: int, carried: int
) -> tuple[bool, ...]:
    """`tracked` for the body's operands: what becomes so in an iteration is so from the first."""
    before = list(tracked)
    while True:
        outs = reached(body, before)
        after = list(before)
        for i in range(carried):
            after[constants + i] |= outs[i]
        if after == before:
            return tuple(before)
        before = after


def present_in_any(
    halves: Halves, gs_carried: Sequence[Any], gs_others: Sequence[Any], constants: int
) -> tuple[list[bool], list[bool]]:
    """Which cotangents are there in any iteration: of what is carried, and of the operands."""
    others = [g is not None for g in gs_others]
    there = [g is not None for g in gs_carried]
    while True:
        asked = present_after(halves, [*there, *others])
        grown = [a or b for a, b in zip(there, asked[constants:], strict=False)]
        if grown == there:
            return there, asked
        there = grown


def zeros_for_absent(gs: Sequence[Any], there: Sequence[bool], variables: Sequence[Any]) -> list:
    """`gs`, with zeros for those that are absent now and `there` in another iteration."""
    return [
        (zero_cotangent(v.aval) if g is None else g) if is_there else None
        for g, is_there, v in zip(gs, there, variables, strict=True)
    ]


def added(sums: Sequence[Any], gs: Sequence[Any]) -> list[Any]:
    """The running sums of cotangents of what is the same in all iterations."""
    return [s if g is None else lax.add(s, g) for s, g in zip(sums, gs, strict=True)]
