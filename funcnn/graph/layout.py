"""Where everything is in a drawing: left to right, by igraph's Sugiyama layout.

Every edge has a place of its own for its numbers: in the layout they are vertices too, as are the
places where a long edge passes a column. So nothing lies on anything else.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from funcnn.graph.flat import title
from funcnn.graph.graph import Graph, Group, Node, Path, Result
from funcnn.graph.numbers import decimals_of, is_shown, norm_text, shape_text, shown

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle: its centre, width and height."""

    x: float
    y: float
    width: float
    height: float


class Label(NamedTuple):
    """The numbers of an edge: above the line at this point, and below it."""

    x: float
    y: float
    above: str
    below: str


class Layout(NamedTuple):
    """A drawing, in pixels.

    Attributes:
      nodes: by number.
      edges: points from the source's right side to the target's left side; between the second and
        the third, which are at one height, is the label. Where two points are at one height the
        line is straight, elsewhere it bends.
      labels: of the edges.
      outputs, output_labels: the same for the lines that leave the outputs.
      groups: those that are open: the group, and its box; outer ones first.
    """

    nodes: tuple[Box, ...]
    edges: tuple[tuple[Point, ...], ...]
    labels: tuple[Label, ...]
    outputs: tuple[tuple[Point, ...], ...]
    output_labels: tuple[Label, ...]
    groups: tuple[tuple[Group, Box], ...]
    width: float
    height: float


FONT = 13.0
_CHARACTER = 0.62 * FONT  # the width of one, on the generous side
_ROW = 66.0  # between the middles of two rows
_HEIGHT = 36.0  # of a node
_GAP = 22.0  # between columns, in which lines bend
_MARGIN = 20.0
_PADDING = 10.0  # of a group's box, and so much more for each that is within it
_TITLE = 18.0  # the height of a group's title


def layout(graph: Graph) -> Layout:
    """Places a graph's nodes, edges, their numbers, and the boxes of the groups that are open.

    Raises:
      ImportError: igraph is missing; the message says how to install it.
    """
    decimals = decimals_of(graph)
    texts = edge_texts(graph, decimals) + _output_texts(graph, decimals)
    net = _Net(graph, _columns(graph))
    rows = _rows(net)
    xs = _widths(graph, net, texts)
    top = (
        _MARGIN + 16 + (_TITLE + 4) * (max((len(group.path) for group in _open(graph)), default=0))
    )
    ys = [top + _HEIGHT / 2 + row * _ROW for row in rows]

    def box(node: Node) -> Box:
        n = node.number
        return Box(xs[net.layers[n]][0], ys[n], node_width(node), _HEIGHT)

    nodes = tuple(map(box, graph.nodes))
    ports = _ports(net, ys)
    edges, labels = [], []
    for way, text, port in zip(net.ways, texts, ports, strict=True):
        edges.append(_line(way, net, nodes, xs, ys, port))
        labels.append(Label(xs[net.layers[way[1]]][0], ys[way[1]], *text))
    n = len(graph.edges)
    groups = _boxes(graph, nodes, edges, labels)
    right = max(
        [x + width / 2 for x, width in xs.values()] + [b.x + b.width / 2 for _, b in groups]
    )
    low = max([*ys, *(b.y + b.height / 2 - _HEIGHT / 2 for _, b in groups)]) + _HEIGHT / 2
    return Layout(
        nodes,
        tuple(edges[:n]),
        tuple(labels[:n]),
        tuple(edges[n:]),
        tuple(labels[n:]),
        groups,
        right + _MARGIN,
        low + _MARGIN + 8,
    )


# texts and their widths


def width_of(text: str, size: float = FONT) -> float:
    """About how wide a text is, at most."""
    return len(text) * _CHARACTER * size / FONT


def node_width(node: Node) -> float:
    """Signs stand in circles."""
    return _HEIGHT if is_round(node) else max(_HEIGHT, width_of(node.label) + 20)


def is_round(node: Node) -> bool:
    return node.kind == "operation" and len(node.label) <= 3


Texts = list[tuple[str, str]]


def edge_texts(graph: Graph, decimals: int) -> Texts:
    """What stands above each edge, and below it."""
    return [
        (
            _value_text(graph.nodes[edge.source].results[edge.result], decimals),
            _gradient_text(edge.gradient, decimals),
        )
        for edge in graph.edges
    ]


def _output_texts(graph: Graph, decimals: int) -> Texts:
    """The same of the lines that leave the outputs."""
    results = [_output_of(graph.nodes[number]) for number in graph.outputs]
    return [(_value_text(r, decimals), _gradient_text(r.gradient, decimals)) for r in results]


def _output_of(node: Node) -> Result:
    return next((result for result in node.results if result.name), node.results[0])


def _value_text(result: Result, decimals: int) -> str:
    return shown(result.value, decimals) if is_shown(result.value) else shape_text(result.shape)


def _gradient_text(gradient: Any, decimals: int) -> str:
    """A small gradient as it is, a larger one by its norm."""
    if gradient is None:
        return ""
    if is_shown(gradient):
        return shown(gradient, decimals)
    return norm_text(gradient)


# columns: which layer a node is in


def _open(graph: Graph) -> list[Group]:
    return [group for group in graph.groups if not group.folded]


def _columns(graph: Graph) -> list[int]:
    """The column of each node: behind all that it takes; a group has its columns for itself.

    An input or a constant stands right before the first that takes it.
    """
    is_given = [node.kind in ("input", "constant") for node in graph.nodes]
    takes: dict[int, list[int]] = {node.number: [] for node in graph.nodes}
    for edge in graph.edges:
        takes[edge.target].append(edge.source)
    runs = _runs(graph)
    takers = Counter(m for run in runs for m in {m for n in run for m in takes[n]})
    columns: dict[int, int] = {}
    last = -1
    for run in runs:
        given = {m for n in run for m in takes[n] if is_given[m] and m not in columns}
        shared = {m for m in given if takers[m] > 1 and len(runs) > 1}
        floor = last + 1 + bool(shared) + bool(given - shared)
        for n in run:
            sources = [columns[m] for m in takes[n] if not is_given[m]]
            columns[n] = max([floor, *(c + 1 for c in sources)])
            for m in given.intersection(takes[n]) - shared:
                columns[m] = min(columns.get(m, columns[n]), columns[n] - 1)
        columns.update(dict.fromkeys(shared, last + 1))
        last = max(columns.values())
    return [columns.get(node.number, 0) for node in graph.nodes]


def _runs(graph: Graph) -> list[list[int]]:
    """The nodes that are done one after another in the same open groups."""
    opened = {group.path for group in _open(graph)}
    done = [node for node in graph.nodes if node.kind not in ("input", "constant")]
    groups = lambda node: [n for n in range(len(node.path)) if node.path[: n + 1] in opened]
    within = lambda node: tuple(node.path[: n + 1] for n in groups(node))
    return [[node.number for node in run] for _, run in itertools.groupby(done, within)]


class _Net:
    """What is handed to the layout: vertices in layers.

    A node's layer is even; the odd ones between are those of the labels.

    Attributes:
      layers: of each vertex: the nodes come first.
      ways: for each edge, then each output: its vertices; the second is the label's.
    """

    def __init__(self, graph: Graph, columns: Sequence[int]):
        self.layers = [2 * column for column in columns]
        self.ways = [self._way(edge.source, edge.target) for edge in graph.edges]
        for number in graph.outputs:
            self.ways.append([number, self._vertex(self.layers[number] + 1)])

    def _vertex(self, layer: int) -> int:
        self.layers.append(layer)
        return len(self.layers) - 1

    def _way(self, source: int, target: int) -> list[int]:
        between = range(self.layers[source] + 1, self.layers[target])
        return [source, *map(self._vertex, between), target]


def _rows(net: _Net) -> list[float]:
    """How far down each vertex is, in rows."""
    try:
        import igraph
    except ImportError as error:
        raise ImportError(
            "a drawing of a graph needs igraph: pip install 'funcnn[graph]'"
        ) from error
    edges = [pair for way in net.ways for pair in itertools.pairwise(way)]
    placed = igraph.Graph(len(net.layers), edges, directed=True).layout_sugiyama(
        layers=net.layers, maxiter=200
    )
    rows = [placed[i][0] for i in range(len(net.layers))]
    columns: dict[int, list[int]] = {layer: [] for layer in net.layers}
    for i, layer in enumerate(net.layers):
        columns[layer].append(i)
    for column in columns.values():
        _spread(rows, column)
    least = min(rows, default=0)
    return [row - least for row in rows]


def _spread(rows: list[float], column: list[int]) -> None:
    """Moves the vertices of a column apart to whole rows, each as little as can be.

    igraph lets them come nearer. This is the nearest placing in their order (least squares): those
    that would overlap move together, around the place where they would be on the average.

    >>> rows = [0.0, 0.5, 3.0]
    >>> _spread(rows, [0, 1, 2])
    >>> rows
    [-0.25, 0.75, 3.0]
    """
    column.sort(key=lambda i: rows[i])
    blocks: list[tuple[float, int]] = []  # the first row of each, how many are in it
    for i in column:
        start, size = rows[i], 1
        while blocks and blocks[-1][0] + blocks[-1][1] > start:
            before, n = blocks.pop()
            start = (before * n + (start - n) * size) / (n + size)
            size += n
        blocks.append((start, size))
    placed = [start + k for start, size in blocks for k in range(size)]
    for i, row in zip(column, placed, strict=True):
        rows[i] = row


def _widths(graph: Graph, net: _Net, texts: Texts) -> dict[int, tuple[float, float]]:
    """For each layer: the middle, and the width of the widest thing in it."""
    widths = dict.fromkeys(net.layers, 8.0)
    for node in graph.nodes:
        layer = net.layers[node.number]
        widths[layer] = max(widths[layer], node_width(node))
    for way, pair in zip(net.ways, texts, strict=True):
        layer = net.layers[way[1]]
        widths[layer] = max(widths[layer], *map(width_of, pair))
    found, at = {}, _MARGIN
    opened = _borders(graph, net)
    for layer in range(max(widths, default=0) + 1):
        width = widths.get(layer, 8.0)
        at += (_PADDING + 4) * opened.get(layer, 0)
        found[layer] = at + width / 2, width
        at += width + _GAP
    return found


def _borders(graph: Graph, net: _Net) -> dict[int, int]:
    """Before which layers how many boxes begin or end: room is left for that."""
    borders: dict[int, int] = {}
    for group in _open(graph):
        layers = [net.layers[n] for n in _members(graph, group)]
        for layer in (min(layers), max(layers) + 1):
            borders[layer] = borders.get(layer, 0) + 1
    return borders


# lines


def _ports(net: _Net, ys: Sequence[float]) -> list[float]:
    """How far from the middle of its target each line ends: several do not end in one point."""
    to: dict[int, list[int]] = {}
    for i, way in enumerate(net.ways):
        if len(way) > 2:
            to.setdefault(way[-1], []).append(i)
    ports = [0.0] * len(net.ways)
    for arriving in to.values():
        arriving.sort(key=lambda i: ys[net.ways[i][-2]])
        apart = min(9.0, (_HEIGHT - 12) / max(len(arriving) - 1, 1))
        for k, i in enumerate(arriving):
            ports[i] = (k - (len(arriving) - 1) / 2) * apart
    return ports


def _line(
    way: Sequence[int],
    net: _Net,
    nodes: Sequence[Box],
    xs: dict[int, tuple[float, float]],
    ys: Sequence[float],
    port: float,
) -> tuple[Point, ...]:
    source = nodes[way[0]]
    points = [(source.x + source.width / 2, source.y)]
    for vertex in way[1:]:
        if vertex < len(nodes):
            target = nodes[vertex]
            inset = _inset(target, port)
            points.append((target.x - target.width / 2 + inset, target.y + port))
        else:  # straight through the whole column
            x, width = xs[net.layers[vertex]]
            points += [(x - width / 2, ys[vertex]), (x + width / 2, ys[vertex])]
    return tuple(_bending(points))


def _bending(points: list[Point]) -> Iterator[Point]:
    """Without the places where a long line goes straight on.

    The label's place stays, and the end, which is moved where rows are set further apart.

    >>> [x for x, _ in _bending([(x, 0.0) for x in range(9)])]
    [0, 1, 2, 7, 8]
    """
    for i, point in enumerate(points):
        around = points[i - 1 : i + 2]
        if i < 3 or i > len(points) - 3 or any(abs(y - point[1]) > 0.05 for _, y in around):
            yield point


def _inset(box: Box, port: float) -> float:
    """How far a circle's side is behind that of its box at this height."""
    if box.width > box.height:
        return 0.0
    radius = box.width / 2
    return float(radius - (radius**2 - port**2) ** 0.5)


# groups


def _members(graph: Graph, group: Group) -> list[int]:
    """The nodes in a group's box: also the inputs that it alone takes."""
    within = set(group.nodes)
    takers: dict[int, set[int]] = {}
    for edge in graph.edges:
        takers.setdefault(edge.source, set()).add(edge.target)
    alone = [n for n, taking in takers.items() if taking <= within and n not in graph.outputs]
    given = [n for n in alone if graph.nodes[n].kind in ("input", "constant")]
    return [*within, *given]


def title_of(graph: Graph, group: Group) -> str:
    """What stands above an open group."""
    return title(group.path[-1], [p for n in group.nodes for p in graph.nodes[n].places])


def _boxes(
    graph: Graph, nodes: Sequence[Box], edges: Sequence[Sequence[Point]], labels: Sequence[Label]
) -> tuple[tuple[Group, Box], ...]:
    """The boxes of the groups that are open: around the nodes, and the edges between these."""
    found: dict[Path, tuple[Group, Box]] = {}
    opened = _open(graph)
    for group in sorted(opened, key=lambda group: -len(group.path)):  # inner ones first
        members = set(_members(graph, group))
        around = [nodes[n] for n in members]
        around += [box for path, (_, box) in found.items() if path[: len(group.path)] == group.path]
        for edge, points, label in zip(graph.edges, edges, labels, strict=False):
            if {edge.source, edge.target} <= members:
                wide = max(width_of(label.above), width_of(label.below))
                around += [Box(x, y, 0, 0) for x, y in points]
                around.append(Box(label.x, label.y, wide, 3 * FONT))
        found[group.path] = group, _around(around, title_of(graph, group))
    return tuple(found[group.path] for group in opened)


def _around(boxes: Sequence[Box], name: str) -> Box:
    """The box of a group with this name, around what is in it."""
    left = min(b.x - b.width / 2 for b in boxes) - _PADDING
    right = max(*(b.x + b.width / 2 + _PADDING for b in boxes), left + width_of(name) + 16)
    top = min(b.y - b.height / 2 for b in boxes) - _TITLE - 4
    low = max(b.y + b.height / 2 for b in boxes) + _PADDING
    return Box((left + right) / 2, (top + low) / 2, right - left, low - top)
