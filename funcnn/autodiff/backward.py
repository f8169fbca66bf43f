"""The backward pass: the tape, walked once from the output to the inputs.

Upstream gradient, times local gradient, is the downstream gradient; where a value was used twice
the gradients add (deck B, row 23). A cotangent that nothing has contributed to is absent: None,
never an array of zeros.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from jax import lax
from jax.extend import source_info_util

from funcnn.autodiff.tracer import Node, Slot


def backward(lines: Iterable[tuple[Node, Any]], cotangents: dict[Slot, Any]) -> dict[Slot, Any]:
    """Carries the outputs' cotangents back to the inputs.

    Args:
      lines: the tape's nodes with their residuals, last one first.
      cotangents: the output's cotangents by slot; it is used up.

    Returns:
      The cotangents by slot of the inputs. One that is absent is zero.
    """
    for node, saved in lines:
        gs = [None if slot is None else cotangents.pop(slot, None) for slot in node.outputs]
        if all(g is None for g in gs):
            continue
        with source_info_util.user_context(
            node.source.traceback, name_stack=node.source.name_stack
        ):
            downstream = node.backward(saved, gs)
            for slot, g in zip(node.inputs, downstream, strict=True):
                if slot is not None and g is not None:
                    cotangents[slot] = lax.add(cotangents[slot], g) if slot in cotangents else g
    return cotangents


def from_the_end(tape: list[tuple[Node, Any]]) -> Iterator[tuple[Node, Any]]:
    """The tape's lines from the last to the first; each is let go as soon as it has been used."""
    while tape:
        yield tape.pop()
