"""The views of a page: from a graph that is folded to one that is open, each with its steps."""

from typing import Any

import numpy as np

from funcnn.graph.graph import Graph, Node
from funcnn.graph.page.arrays import Data, Shelf
from funcnn.graph.page.drawing import drawing
from funcnn.graph.page.sentences import Step, names, source_of, steps_of

_MOST_NODES = 120
"""A view with more nodes than that is not made where nobody asked for it."""
_FEW_NODES = 20
"""Up to so many, the gates are opened too: each is run once more for that."""


def views_of(graph: Graph) -> tuple[list[Graph], int]:
    """A graph from least to most detail, and the place of the graph itself among them."""
    opened = graph.unfold()
    deepest = max((len(group.path) for group in opened.groups if not group.folded), default=0)
    others = [graph.fold(depth=depth) for depth in range(deepest)]
    found = {_key(graph): graph}
    for other in (*others, opened):
        if len(other) <= _MOST_NODES:
            found.setdefault(_key(other), other)
    if len(opened) <= _FEW_NODES:
        gates = _gates_opened(opened)
        if len(gates) <= _MOST_NODES:
            found.setdefault(_key(gates), gates)
    views = sorted(found.values(), key=len)
    return views, next(i for i, shown in enumerate(views) if shown is graph)


def _key(graph: Graph) -> Any:
    return tuple((node.label, node.path) for node in graph)


def _gates_opened(graph: Graph) -> Graph:
    """With what is in the functions that are single gates at first, and in the loops."""
    for group in graph.groups:
        if group.folded:
            try:
                graph = graph.unfold(group.path)
            except ValueError:  # one that cannot be looked into
                continue
    return graph


def view(graph: Graph, title: str, files: list[Data], shelf: Shelf) -> Data:
    """One view, ready for JSON: the drawing, and the steps through it."""
    steps, called = steps_of(graph), names(graph)
    return {
        "title": title,
        "description": _described(graph),
        **drawing(graph, steps, shelf),
        "steps": [_step(graph, step, files, called, shelf) for step in steps],
    }


def _described(graph: Graph) -> str:
    inputs = [node.label for node in graph if node.kind == "input"]
    operations = [node.label for node in graph if node.kind in ("operation", "group")]
    return f"Inputs: {', '.join(inputs)}. Operations in their order: {', '.join(operations)}."


def _step(graph: Graph, step: Step, files: list[Data], called: list[str], shelf: Shelf) -> Data:
    node = None if step.node is None else graph.nodes[step.node]
    return {
        "phase": step.phase,
        "node": step.node,
        "key": "" if node is None else f"{'/'.join(node.path)}:{called[node.number]}",
        "edges": step.edges,
        "sentences": step.sentences,
        "arrays": _shown(graph, step, called, shelf),
        "lines": [] if node is None else _lines(node, files),
    }


def _lines(node: Node, files: list[Data]) -> list[tuple[int, int]]:
    """Where a node is in the programs that are shown: file and line."""
    of_file = {file["file"]: at for at, file in enumerate(files)}
    found = [(of_file[p.file], p.line) for p in node.places if p.file in of_file]
    return list(dict.fromkeys(found))


def _shown(graph: Graph, step: Step, called: list[str], shelf: Shelf) -> list[Data]:
    """The arrays that a step is about: heat maps beside its sentence."""
    edges = [graph.edges[at] for at in step.edges]
    node = None if step.node is None else graph.nodes[step.node]
    found: list[tuple[str, str, Any]] = []
    if node is None:
        inputs = [n for n in graph if n.kind == "input"]
        found = [(r.name or n.label, "value", r.value) for n in inputs for r in n.results]
    elif step.phase == "forward":
        found = [(source_of(graph, edge, called), "value", edge.value) for edge in edges]
        found += [(called[node.number], "value", r.value) for r in node.results]
    elif step.sums:
        found = [("from " + called[e.target], "gradient", e.gradient) for e in edges]
        found += [("gradient", "gradient", node.results[r].gradient) for r in step.sums]
    else:
        found = [("upstream", "gradient", r.gradient) for r in node.results]
        for edge in edges:
            if edge.local is not None:
                found.append(("local", "local", edge.local))
            to = source_of(graph, edge, called)
            found.append((f"downstream, to {to}", "gradient", edge.gradient))
    shown = [(what, kind, shelf.shown(array, 0)) for what, kind, array in found if np.shape(array)]
    return [{**array, "what": what, "kind": kind} for what, kind, array in shown if array]
