"""A graph in the language of Graphviz."""

from collections.abc import Iterator
from html import escape

from funcnn.graph.graph import Graph, Node, Path
from funcnn.graph.layout import edge_texts, is_round, title_of
from funcnn.graph.numbers import decimals_of
from funcnn.graph.svg import GRADIENT, VALUE


def to_dot(graph: Graph) -> str:
    """The text of `Graph.to_dot`: groups that are open are clusters."""
    lines = [
        f"digraph {_quoted(graph.title)} {{",
        "  rankdir=LR;",
        '  node [fontname="Helvetica", shape=box, style=rounded];',
        '  edge [fontname="Helvetica", fontsize=10];',
        *_cluster(graph, (), "  "),
    ]
    texts = edge_texts(graph, decimals_of(graph))
    for edge, (above, below) in zip(graph.edges, texts, strict=True):
        lines.append(f"  n{edge.source} -> n{edge.target} [label=<{_label(above, below)}>];")
    return "\n".join([*lines, "}"]) + "\n"


def _cluster(graph: Graph, path: Path, indent: str) -> Iterator[str]:
    """The nodes right in a group, and the groups in it."""
    opened = [group for group in graph.groups if not group.folded]
    paths = [group.path for group in opened]
    for node in graph.nodes:
        if _innermost(node.path, paths) == path:
            yield f"{indent}n{node.number} [{_attributes(node)}];"
    for inner in opened:
        if _innermost(inner.path, [p for p in paths if p != inner.path]) == path:
            yield f"{indent}subgraph {_quoted('cluster ' + '/'.join(inner.path))} {{"
            yield f"{indent}  label={_quoted(title_of(graph, inner))};"
            yield from _cluster(graph, inner.path, indent + "  ")
            yield f"{indent}}}"


def _innermost(path: Path, groups: list[Path]) -> Path:
    """The innermost of these groups that something at this path is in."""
    return max((p for p in groups if path[: len(p)] == p), key=len, default=())


def _attributes(node: Node) -> str:
    shape = ", shape=circle" if is_round(node) else ""
    shape = ", shape=plaintext" if node.kind in ("input", "constant") else shape
    shape = ", peripheries=2" if node.kind == "group" else shape
    place = f", tooltip={_quoted(node.place.short)}" if node.place is not None else ""
    return f"label={_quoted(node.label)}{shape}{place}"


def _label(above: str, below: str) -> str:
    parts = [(above, VALUE), (below, GRADIENT)]
    return "<br/>".join(f'<font color="{c}">{escape(t)}</font>' for t, c in parts if t)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
