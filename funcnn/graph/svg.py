"""A graph as an SVG drawing: values above the edges, gradients below, as the decks have it."""

import itertools
import linecache
import re
from collections.abc import Iterator, Sequence
from html import escape

from funcnn.graph.graph import Edge, Graph, Node
from funcnn.graph.layout import FONT, Box, Label, Layout, Point, is_round, layout, title_of
from funcnn.graph.numbers import decimals_of, is_shown, shape_text, shown

VALUE = "#005f99"
GRADIENT = "#b84a00"
"""Blue and vermilion: told apart by everyone, and readable on white."""

_STYLE = f"""
text {{ font: {FONT}px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1a1a1a; }}
.edge {{ fill: none; stroke: #767676; stroke-width: 1.3; }}
.box {{ fill: #fff; stroke: #333; stroke-width: 1.4; }}
.input .box {{ fill: #eef4f9; stroke: #8aa4b8; }}
.constant .box {{ fill: #f4f4f4; stroke: #999; stroke-dasharray: 3 2; }}
.folded .box {{ fill: #fdf3e3; stroke: #7a5b1e; }}
.scope {{ fill: #7a5b1e; fill-opacity: .06; stroke: #7a5b1e; stroke-opacity: .45; }}
.scope-title {{ font-size: 12px; fill: #6b4e16; }}
.title {{ font-size: 14px; font-weight: 600; }}
.value {{ fill: {VALUE}; }}
.gradient {{ fill: {GRADIENT}; }}
.value, .gradient, .scope-title {{ paint-order: stroke; stroke: #fff; stroke-width: 3px; }}
""".strip()

_ARROW = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0,1 L8,4 L0,7 z" fill="#767676"/></marker></defs>'
)


def to_svg(graph: Graph) -> str:
    """The drawing of `Graph.to_svg`: one file in itself, with tooltips that say what a node is.

    Raises:
      ImportError: igraph is missing.
    """
    placed = layout(graph)
    width, height = round(max(placed.width, 240)), round(placed.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{_described(graph)}">',
        f"<style>{_STYLE}</style>",
        _ARROW,
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="20" y="22">{_escaped(graph.title)}</text>',
        *_drawn(graph, placed),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _described(graph: Graph) -> str:
    labels = ", ".join(node.label for node in graph.nodes)
    return _escaped(f"computational graph of {graph.title}: {labels}")


def _drawn(graph: Graph, placed: Layout) -> Iterator[str]:
    decimals = decimals_of(graph)
    for _, box in placed.groups:
        yield _rectangle("scope", box, 8)
    for edge, points, label in zip(graph.edges, placed.edges, placed.labels, strict=True):
        yield f'<g class="wire"><title>{_escaped(_of_edge(graph, edge, decimals))}</title>'
        yield _wire(points) + _numbers(label) + "</g>"
    for points, label in zip(placed.outputs, placed.output_labels, strict=True):
        yield f'<g class="wire">{_wire(points)}{_numbers(label)}</g>'
    for group, box in placed.groups:
        x, y = box.x - box.width / 2 + 8, box.y - box.height / 2 + 14
        name = _escaped(title_of(graph, group))
        yield f'<text class="scope-title" x="{x:.1f}" y="{y:.1f}">{name}</text>'
    for node, box in zip(graph.nodes, placed.nodes, strict=True):
        yield _node(node, box)


def _rectangle(kind: str, box: Box, round_by: int) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{round_by}"/>'
    )


def _wire(points: Sequence[Point]) -> str:
    """A line that leaves and arrives level, straight where two points are at one height."""
    path = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        middle = (x + to_x) / 2
        bend = f"C{middle:.1f},{y:.1f} {middle:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"
        path.append(f"L{to_x:.1f},{to_y:.1f}" if abs(y - to_y) < 0.05 else bend)
    return f'<path class="edge" d="{" ".join(path)}" marker-end="url(#tip)"/>'


def _numbers(label: Label) -> str:
    above = _text("value", label.x, label.y - 5, label.above)
    return above + _text("gradient", label.x, label.y + 5 + FONT * 0.75, label.below)


def _text(kind: str, x: float, y: float, text: str) -> str:
    if not text:
        return ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">'
        f"{_escaped(_minus(text))}</text>"
    )


def _escaped(text: str) -> str:
    r"""As text of XML, which has no place for control characters, not even escaped.

    >>> _escaped("a < b"), _escaped("f\x1b[0m")
    ('a &lt; b', 'f�[0m')
    """
    return escape(_NOT_OF_XML.sub("\ufffd", text))


_NOT_OF_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _minus(text: str) -> str:
    return text.replace("e-", "e−").replace("-", "−")


def _node(node: Node, box: Box) -> str:
    kind = "folded" if node.kind == "group" else node.kind
    if is_round(node):
        shape = f'<circle class="box" cx="{box.x:.1f}" cy="{box.y:.1f}" r="{box.width / 2:.1f}"/>'
    else:
        shape = _rectangle("box", box, 18 if kind == "input" else 6)
    return (
        f'<g class="{kind}"><title>{_escaped(_of_node(node))}</title>{shape}'
        f'<text x="{box.x:.1f}" y="{box.y + FONT * 0.35:.1f}" text-anchor="middle">'
        f"{_escaped(node.label)}</text></g>"
    )


def _of_node(node: Node) -> str:
    """What is said of a node when it is pointed at."""
    said = [f"{node.number}: {node.name or node.label}"]
    if node.primitive:
        said.append(f"primitive {node.primitive}")
    said += [
        f"{result.name + ': ' if result.name else ''}{result.dtype} {shape_text(result.shape)}"
        for result in node.results
    ]
    if node.path:
        said.append("in " + " / ".join(node.path))
    if node.place is not None:
        said.append(node.place.short)
        said.append(linecache.getline(node.place.file, node.place.line).strip())
    return "\n".join(filter(None, said))


def _of_edge(graph: Graph, edge: Edge, decimals: int) -> str:
    """Upstream × local = downstream."""
    upstream = graph.nodes[edge.target].gradient
    numbers = [upstream, edge.local, edge.gradient]
    if not all(map(is_shown, numbers)):
        return f"{graph.nodes[edge.source].label} → {graph.nodes[edge.target].label}"
    texts = [_minus(shown(number, decimals)) for number in numbers]
    return f"upstream × local = downstream: {texts[0]} × {texts[1]} = {texts[2]}"
