"""The backward pass: the tape, walked once from the output to the inputs.

Upstream gradient, times local gradient, is the downstream gradient; where a value was used twice
the gradients add (deck B, row 23). A cotangent that nothing has contributed to is absent: None,
never an array of zeros.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import jax
from jax import lax
from jax.extend import source_info_util

from funcnn.autodiff.tracer import Node, Slot


def backward(
    lines: Iterable[tuple[Node, Any]], outputs: Iterable[Slot | None], gs: Iterable[Any]
) -> dict[Slot, Any]:
    """Carries the outputs' cotangents back to the inputs.

    Args:
      lines: the tape's nodes with their residuals, last one first.
      outputs: the slots of the outputs; None for one that depends on no input.
      gs: their cotangents.

    Returns:
      The cotangents of the inputs, by slot. One that is absent is zero.
    """
    cotangents: dict[Slot, Any] = {}
    mesh, now = jax.sharding.get_abstract_mesh(), contextlib.nullcontext()
    _add(cotangents, outputs, gs)
    for node, saved in lines:
        upstream = [None if slot is None else cotangents.pop(slot, None) for slot in node.outputs]
        if all(g is None for g in upstream):
            continue
        traceback, names = node.source.traceback, node.source.name_stack
        on_mesh = now if node.mesh is mesh else jax.sharding.use_abstract_mesh(node.mesh)
        with source_info_util.user_context(traceback, name_stack=names), on_mesh:
            _add(cotangents, node.inputs, node.backward(saved, upstream))
    return cotangents


def _add(cotangents: dict[Slot, Any], slots: Iterable[Slot | None], gs: Iterable[Any]) -> None:
    for slot, g in zip(slots, gs, strict=True):
        if slot is not None and g is not None:
            cotangents[slot] = _sum(cotangents[slot], g) if slot in cotangents else g


def _sum(a: Any, b: Any) -> Any:
    """The sum on the mesh that both are on; it need not be that of the operation they came from."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or (theirs := jax.typeof(b).sharding.mesh).empty or theirs is mesh:
        return lax.add(a, b)
    with jax.sharding.use_abstract_mesh(theirs):
        return lax.add(a, b)


def from_the_end(tape: list[tuple[Node, Any]]) -> Iterator[tuple[Node, Any]]:
    """The tape's lines from the last to the first; each is let go as soon as it has been used."""
    while tape:
        yield tape.pop()
