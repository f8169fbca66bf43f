"""A graph as a table of text: one row a node."""

import pathlib
from collections.abc import Sequence
from typing import Any

from funcnn.graph.graph import Graph, Node
from funcnn.graph.numbers import decimals_of, is_shown, norm_text, shape_text, shown


def table(graph: Graph, lines: bool = True) -> str:
    """The table of `Graph.table`.

    Of a value that is too large to be written out it has the norm: ‖3.21‖. Below it stand the
    notes on groups that are open.
    """
    decimals = decimals_of(graph)
    columns = ["#", "node", "from", "shape", "value", "gradient"]
    rows = [[*columns, "line"] if lines else columns]
    for node in graph.nodes:
        row = _row(graph, node, decimals)
        rows.append([*row, _line(node)] if lines else row)
    return "\n".join([aligned(rows), *(group.note for group in graph.groups if group.note)])


def _row(graph: Graph, node: Node, decimals: int) -> list[str]:
    sources = " ".join(str(edge.source) for edge in graph.into(node.number))
    shapes = ", ".join(shape_text(result.shape) for result in node.results)
    numbers = [
        ", ".join(_number(value, decimals) for value in values)
        for values in (
            [result.value for result in node.results],
            [result.gradient for result in node.results],
        )
    ]
    return [str(node.number), node.label, sources, shapes, *(n.strip(", ") for n in numbers)]


def _number(value: Any, decimals: int) -> str:
    return "" if value is None else shown(value, decimals) if is_shown(value) else norm_text(value)


def _line(node: Node) -> str:
    place = node.place
    return f"{pathlib.Path(place.file).name}:{place.line}" if place and place.file else ""


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width.

    >>> print(aligned([["a", "b"], ["long", "c"]]))
    a     b
    long  c
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
