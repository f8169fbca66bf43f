"""The mask behind an operation: what sets the gradient of one of its entries to 0."""

from typing import Any

import numpy as np

from funcnn.debug.walks import Spot
from funcnn.graph.places import Place, place_of
from funcnn.graph.steps import Step


def mask_behind(spot: Spot) -> tuple[Place, str] | None:
    """The line where the gradient that comes to a step became 0, and the name of what did it.

    None where it is not 0.

    Follows the step's result, entry by entry, to where its gradient is not 0 any more.
    """
    levels = [
        (spot.level, spot.of),
        *((w.level, w.level.found.steps[w.step]) for w in reversed(spot.trail)),
    ]
    index = spot.index
    for level, step in levels:
        number = step.outputs[0]
        while True:
            g = level.found.gradients.get(number)
            if g is None or not _is_zero(g, index):
                return None
            used = [
                level.found.steps[s]
                for s, operand in level.used.get(number, ())
                if level.found.steps[s].downstream[operand] is not None
            ]
            if len(used) != 1:
                break  # it came out of this program, or went several ways
            [user] = used
            above = user.upstream[0]
            if above is None or not _is_zero(above, index):
                return place_of(user.source), _name_of(user)
            number = user.outputs[0]
        if used:
            return None
    return None


def _name_of(step: Step) -> str:
    """JAX's functions come as programs with a name: `multiply`, `_where`."""
    return str(step.params.get("name", step.primitive.name)).lstrip("_")


def _is_zero(g: Any, index: tuple[int, ...]) -> bool:
    values = np.asarray(g)
    if len(index) != values.ndim or any(i >= n for i, n in zip(index, values.shape, strict=True)):
        return not values.any()
    return bool(values[index] == 0)
