"""Tables and drawings: what is in them, and that nothing lies on anything else."""

import builtins
import functools
import itertools
import re
import xml.etree.ElementTree as ET

import jax
import jax.numpy as jnp
import pytest

from funcnn.graph import trace
from funcnn.graph.layout import FONT, layout, width_of
from tests.graph.test_folding import large_network
from tests.graph.test_steps import X, loops
from tests.graph.test_trace import ROW_22, sigmoid_of_sum

pytest.importorskip("igraph")
# above and below the edges
VALUES = "2.00 −1.00 −3.00 −2.00 −2.00 6.00 4.00 −3.00 1.00 −1.00 0.37 1.37 0.73"
GRADIENTS = "−0.20 0.39 −0.39 −0.59 0.20 0.20 0.20 0.20 0.20 −0.20 −0.53 −0.53 1.00"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def row_22():
    return trace(sigmoid_of_sum)(*ROW_22)


@pytest.fixture(scope="module")
def nested():
    graph = trace(loops)(jax.ShapeDtypeStruct(X.shape, X.dtype))  # no values: no time
    return graph.unfold("scan").unfold("scan 2")


def rectangles(placed):
    """What may not overlap: nodes, and the numbers at the lines."""
    found = [(box.x, box.y, box.width, box.height) for box in placed.nodes]
    for label in (*placed.labels, *placed.output_labels):
        wide = max(width_of(label.above), width_of(label.below))
        found.append((label.x, label.y, wide, 2 * FONT + 4))
    return found


def overlap(a, b):
    return all(abs(a[i] - b[i]) < (a[i + 2] + b[i + 2]) / 2 - 0.01 for i in (0, 1))


@pytest.fixture(scope="module")
def folded():
    return large_network()


@pytest.mark.parametrize("name", ["row_22", "nested", "folded"])
def test_nothing_overlaps(name, request):
    graph = request.getfixturevalue(name)
    placed = layout(graph)
    found = rectangles(placed)
    assert not [pair for pair in itertools.combinations(found, 2) if overlap(*pair)]
    for x, y, width, height in found:
        assert 0 <= x - width / 2 <= x + width / 2 <= placed.width
        assert 0 <= y - height / 2 <= y + height / 2 <= placed.height
    for edge, points in zip(graph.edges, placed.edges, strict=True):
        xs = [x for x, _ in points]
        assert xs == sorted(xs)  # left to right
        source, target = placed.nodes[edge.source], placed.nodes[edge.target]
        assert points[0] == (source.x + source.width / 2, source.y)
        assert abs(points[-1][1] - target.y) < target.height / 2
        # a line goes through no node
        for (x, y), (to_x, _) in itertools.pairwise(points[1:]):
            for box in placed.nodes:
                if box not in (source, target) and x < box.x < to_x:
                    assert abs(box.y - y) > box.height / 2


def test_a_box_holds_what_is_in_its_group_and_nothing_else(nested):
    placed = layout(nested)
    assert len(placed.groups) == 8
    for group, box in placed.groups:
        holds = lambda other, box=box: (
            abs(other.x - box.x) <= (box.width - other.width) / 2
            and abs(other.y - box.y) <= (box.height - other.height) / 2
        )
        within = {node.number for node in nested if holds(placed.nodes[node.number])}
        assert set(group.nodes) <= within
        strangers = [nested.nodes[n] for n in within - set(group.nodes)]
        assert all(node.kind in ("input", "constant") for node in strangers)


def texts(svg, kind):
    return [e.text for e in ET.fromstring(svg).iter(f"{SVG}text") if e.get("class") == kind]


def test_the_drawing_of_row_22_has_the_decks_numbers(row_22):
    svg = row_22.to_svg()
    assert sorted(texts(svg, "value")) == sorted(VALUES.split())
    assert sorted(texts(svg, "gradient")) == sorted(GRADIENTS.split())
    titles = [element.text for element in ET.fromstring(svg).iter(f"{SVG}title")]
    assert "upstream × local = downstream: −0.53 × 0.37 = −0.20" in titles
    said = next(title for title in titles if title.startswith("10: exp"))
    assert "return 1 / (1 + jnp.exp(" in said
    assert row_22._repr_svg_() == svg


def test_names_are_escaped():
    graph = trace(lambda p: jnp.exp(p['<b> & "c"']))({'<b> & "c"': 1.0})
    root = ET.fromstring(graph.to_svg())
    assert "p['<b> & \"c\"']" in [element.text for element in root.iter(f"{SVG}text")]
    assert "p['<b> & \\\"c\\\"']" in graph.to_dot()


def test_control_characters_are_no_part_of_a_drawing():
    def fun(p):
        return jnp.exp(p["\x00"])

    fun.__name__ = "f\x1b[0m"
    root = ET.fromstring(trace(fun)({"\x00": 1.0}).to_svg())
    assert "f\ufffd[0m" in [element.text for element in root.iter(f"{SVG}text")]


def test_a_long_line_has_points_where_it_bends():
    fun = lambda xs: functools.reduce(lambda total, x: total + x * x, xs, 0.0)
    graph = trace(fun)([1.0] * 40)
    lines = [*layout(graph).edges]
    assert max(points[-1][0] - points[0][0] for points in lines) > 3000  # over many columns
    assert sum(map(len, lines)) < 9 * len(lines)
    heights = [[y for _, y in points[2:-2]] for points in lines]
    for run in heights:  # never three at one height, but at the ends
        assert all(len(set(three)) > 1 for three in zip(run, run[1:], run[2:], strict=False))


def test_dot_has_nodes_edges_and_clusters(nested):
    text = nested.to_dot()
    assert text.count(" -> ") == len(nested.edges)
    assert len(re.findall(r"^ *n\d+ \[", text, re.M)) == len(nested)
    assert text.count("subgraph") == 8
    assert text.count("{") == text.count("}")
    assert 'subgraph "cluster scan/scan[1]"' in text


def test_the_table_has_a_row_for_each_node(row_22):
    rows = str(row_22).splitlines()
    assert rows[0].split() == ["#", "node", "from", "shape", "value", "gradient", "line"]
    assert rows[11].split()[:6] == ["10", "exp", "9", "scalar", "0.37", "-0.53"]
    line = sigmoid_of_sum.__code__.co_firstlineno + 1
    assert rows[11].endswith(f"test_trace.py:{line}")
    large = trace(lambda x: 2 * x)(jnp.full(9, 3.0))
    assert "‖9.00‖" in large.table()


def test_saved_by_the_files_ending(row_22, tmp_path):
    for ending, start in [(".svg", "<svg"), (".dot", "digraph"), (".txt", "#")]:
        row_22.save(tmp_path / f"graph{ending}")
        assert (tmp_path / f"graph{ending}").read_text(encoding="utf-8").startswith(start)
    with pytest.raises(ValueError, match=r"ending in .svg, .html, .dot, .txt, got 'graph.png'"):
        row_22.save(tmp_path / "graph.png")


def test_without_igraph_the_error_names_the_extra(row_22, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "igraph":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'funcnn\[graph\]'"):
        row_22.to_svg()


def test_what_is_handed_through_is_drawn():
    graph = trace(lambda x: (x, 2.0, x))(1.0)
    assert [node.label for node in graph] == ["x", "2"]
    assert graph.outputs == (0, 1, 0)
    assert {"x", "2"} <= set(texts(graph.to_svg(), None))
