"""What the page draws of a graph: boxes, lines, and numbers with the step in which they appear."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from funcnn.graph.flat import title
from funcnn.graph.graph import Graph, Node, Result
from funcnn.graph.layout import Box, Label, Point, is_round, layout
from funcnn.graph.page.arrays import Data, Shelf
from funcnn.graph.page.sentences import (
    Step,
    names,
    own_gradient,
    result_of_output,
    unnumbered,
)

_ROOMY = 1.55
"""Rows are so much further apart where heat maps stand between them."""


class Moments(NamedTuple):
    """In which step what is drawn appears.

    Attributes:
      values: of each node.
      gradients: of each edge that has one.
      sums: by node and result: of a gradient that is complete in a step of its own.
      complete: of each node: of its gradient.
    """

    values: list[int]
    gradients: dict[int, int]
    sums: dict[tuple[int, int], int]
    complete: list[int]


def drawing(graph: Graph, steps: list[Step], shelf: Shelf) -> Data:
    """Nodes, lines, numbers and boxes around groups, ready for JSON."""
    placed = layout(graph)
    roomy = _ROOMY if any(r.shape for node in graph for r in node.results) else 1.0
    boxes = [box._replace(y=roomy * box.y) for box in placed.nodes]
    moments, called = _moments(graph, steps), names(graph)
    lines = [
        _apart(points, roomy, placed.nodes[edge.target])
        for points, edge in zip(placed.edges, graph.edges, strict=True)
    ]
    lines += [_apart(points, roomy, None) for points in placed.outputs]
    labels = [
        *_on_edges(graph, placed.labels, moments, shelf),
        *_on_outputs(graph, placed.output_labels, moments, shelf),
    ]
    return {
        "width": placed.width,
        "height": roomy * placed.height,
        "nodes": [
            _node(node, box, called[node.number], moments, shelf)
            for node, box in zip(graph.nodes, boxes, strict=True)
        ],
        "lines": lines,
        "labels": [
            *({**label, "y": roomy * label["y"]} for label in labels),
            *_sums(graph, boxes, moments, shelf),
        ],
        "groups": [
            {
                "name": title(group.path[-1]),
                "x": box.x - box.width / 2,
                "y": roomy * (box.y - box.height / 2),
                "width": box.width,
                "height": roomy * box.height,
            }
            for group, box in placed.groups
        ],
    }


def _apart(points: Sequence[Point], roomy: float, target: Box | None) -> list[Point]:
    """A line between rows that are further apart; it ends where it did on its target's side."""
    found = [(x, roomy * y) for x, y in points]
    if target is not None:
        x, y = points[-1]
        found[-1] = (x, roomy * target.y + (y - target.y))
    return found


def _moments(graph: Graph, steps: list[Step]) -> Moments:
    values, gradients, sums = [0] * len(graph), {}, {}
    for at, step in enumerate(steps):
        if step.node is None:
            continue
        if step.phase == "forward":
            values[step.node] = at
        elif step.sums:
            sums.update({(step.node, result): at for result in step.sums})
        else:
            gradients.update(dict.fromkeys(step.edges, at))
    complete = [0] * len(graph)
    for at, moment in gradients.items():
        source = graph.edges[at].source
        complete[source] = max(complete[source], moment)
    for (node, _), moment in sums.items():
        complete[node] = moment
    return Moments(values, gradients, sums, complete)


def _node(node: Node, box: Box, called: str, moments: Moments, shelf: Shelf) -> Data:
    facts = [("what", node.primitive or node.kind)]
    facts += [(r.name or "gives", f"{r.dtype} {tuple(r.shape)}") for r in node.results]
    if node.path:
        facts.append(("in", " / ".join(map(title, node.path))))
    if node.place is not None and node.place.file:
        facts.append(("line", node.place.short))
        if node.place.via:
            facts.append(("by way of", node.place.via))
    return {
        "x": box.x,
        "y": box.y,
        "width": box.width,
        "height": box.height,
        "kind": node.kind,
        "round": is_round(node),
        "label": node.label,
        "sub": unnumbered(called.removeprefix(node.label)),
        "aria": f"{called}, {', '.join(' '.join(fact) for fact in facts)}",
        "tip": {"name": called, "facts": facts, "arrays": _of_results(node, moments, shelf)},
    }


def _of_results(node: Node, moments: Moments, shelf: Shelf) -> list[Data]:
    found = []
    for result in node.results:
        of = f" of {result.name}" if len(node.results) > 1 and result.name else ""
        for kind, array, at in (
            ("value", result.value, moments.values[node.number]),
            ("gradient", result.gradient, moments.complete[node.number]),
        ):
            shown = shelf.shown(array, at)
            if shown is not None:
                found.append({**shown, "what": kind + of, "kind": kind})
    return found


def _on_edges(graph: Graph, labels: Sequence[Label], moments: Moments, shelf: Shelf) -> list[Data]:
    found = []
    for at, (edge, label) in enumerate(zip(graph.edges, labels, strict=True)):
        source = graph.nodes[edge.source]
        # a constant says itself
        plain = source.kind == "constant" and np.ndim(source.value) == 0
        value = None if plain else edge.value
        came = moments.values[edge.source]
        found.append(
            {
                "x": label.x,
                "y": label.y,
                "value": shelf.shown(value, came) or _words("" if plain else label.above, came),
                "gradient": shelf.shown(edge.gradient, moments.gradients.get(at, 0)),
            }
        )
    return found


def _words(text: str, at: int) -> Data | None:
    """Where only a shape is known."""
    return {"text": text, "at": at} if text else None


def _on_outputs(
    graph: Graph, labels: Sequence[Label], moments: Moments, shelf: Shelf
) -> list[Data]:
    """Of the lines that leave the outputs: with the gradient that the backward pass begins with."""
    found = []
    for (n, result), label in zip(_outputs(graph), labels, strict=True):
        given: Result = graph.nodes[n].results[result]
        own = own_gradient(graph, n, result)
        at = moments.values[n]
        found.append(
            {
                "x": label.x,
                "y": label.y,
                "value": shelf.shown(given.value, at) or _words(label.above, at),
                "gradient": shelf.shown(own, moments.sums.get((n, result), 0)),
            }
        )
    return found


def _outputs(graph: Graph) -> list[tuple[int, int]]:
    """For each output its node, and which of the node's results."""
    return [
        (n, result_of_output(graph, n, graph.outputs[:at].count(n)))
        for at, n in enumerate(graph.outputs)
    ]


def _sums(graph: Graph, boxes: Sequence[Box], moments: Moments, shelf: Shelf) -> list[Data]:
    """Below a node the sum of what came back to it by several ways."""
    found = []
    outputs = _outputs(graph)
    for (n, result), at in moments.sums.items():
        ways = sum(e.source == n and e.gradient is not None for e in graph.edges)
        if ways + ((n, result) in outputs) > 1:
            gradient = shelf.shown(graph.nodes[n].results[result].gradient, at)
            box = boxes[n]
            label = {"x": box.x, "y": box.y + box.height / 2, "value": None, "gradient": gradient}
            found.append({**label, "sum": True})
    return found
