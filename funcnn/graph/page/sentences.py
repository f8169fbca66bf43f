"""The steps of both passes, each with its sentences: node by node, there and back."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from funcnn.graph.graph import Edge, Graph, Node
from funcnn.graph.page.arrays import is_written_out, text

Piece = tuple[str, str]
"""Text, and what it is: "value", "gradient", "local", "name", "rule" or "" for words."""


class Step(NamedTuple):
    """One step of a pass.

    Attributes:
      phase: "start", "forward" or "backward".
      node: the one whose step it is; None at the start.
      edges: places in `graph.edges` along which something goes now.
      sums: the results of `node` whose gradient is complete with this step.
      sentences: each a list of pieces.
    """

    phase: str
    node: int | None
    edges: tuple[int, ...]
    sums: tuple[int, ...]
    sentences: list[list[Piece]]


PATTERNS = {
    "add": "+ distributes: each operand gets the upstream gradient.",
    "add_any": "+ distributes: each operand gets the upstream gradient.",
    "sub": "− distributes, with the sign turned for what is subtracted.",
    "mul": "× swaps: the local gradient of one operand is the other operand.",
    "max": "max routes: the operand that won gets the gradient, the other gets 0.",
    "min": "min routes: the operand that won gets the gradient, the other gets 0.",
    "reduce_max": "max routes: the element that won gets the gradient, the others get 0.",
    "reduce_sum": "A sum distributes: each element gets the upstream gradient.",
    "select_n": "A choice routes: the chosen operand gets the gradient, the other gets 0.",
    "dot_general": "A matrix product swaps: upstream times the other operand, transposed.",
    "broadcast_in_dim": "What was copied to many places adds their gradients.",
}
"""The patterns in gradient flow (deck B, row 23), by primitive."""

_INFIX = {"add": "+", "add_any": "+", "sub": "−", "mul": "×", "div": "/", "pow": "^"}
_WITH_CONSTANT = frozenset({"neg", "gt", "lt", "ge", "le", "eq", "ne"})
_VARIABLE = re.compile(r"(?<![A-Za-z])x(?![A-Za-z])")
"""Where the operand stands in a label such as 1/x."""
_DIGITS, _SUBSCRIPTS = "0123456789", "₀₁₂₃₄₅₆₇₈₉"

_TO_SUBSCRIPTS = str.maketrans(_DIGITS, _SUBSCRIPTS)
_FROM_SUBSCRIPTS = str.maketrans(_SUBSCRIPTS, _DIGITS)


def names(graph: Graph) -> list[str]:
    """What each node is called: its label, numbered where others of the graph have the same."""
    labels = [node.label for node in graph.nodes]
    often, seen = Counter(labels), Counter[str]()
    called = []
    for node, label in zip(graph.nodes, labels, strict=True):
        seen[label] += 1
        numbered = often[label] > 1 and node.kind in ("operation", "group")
        called.append(label + (str(seen[label]).translate(_TO_SUBSCRIPTS) if numbered else ""))
    return called


def unnumbered(subscript: str) -> str:
    """Subscripts as digits, to be set lower by the page."""
    return subscript.translate(_FROM_SUBSCRIPTS)


def source_of(graph: Graph, edge: Edge, called: list[str]) -> str:
    """What the source of an edge is called: by the result where a node has several."""
    node = graph.nodes[edge.source]
    own = node.results[edge.result].name if len(node.results) > 1 else None
    return own if own and node.kind == "input" else called[edge.source]


def steps_of(graph: Graph) -> list[Step]:
    """All steps: the inputs, the forward pass, the backward pass."""
    called = names(graph)
    into: dict[int, list[int]] = {node.number: [] for node in graph.nodes}
    for at, edge in enumerate(graph.edges):
        into[edge.target].append(at)
    for edges in into.values():
        edges.sort(key=lambda at: graph.edges[at].position)
    operations = [node for node in graph.nodes if node.kind in ("operation", "group")]
    found = [_start(graph, called)]
    for node in operations:
        ways = tuple(into[node.number])
        sentence = _computed(graph, node, [graph.edges[at] for at in ways], called)
        found.append(Step("forward", node.number, ways, (), [sentence]))
    for node in reversed(graph.nodes):
        found += _branches_met(graph, node, called)
        if node in operations and any(r.gradient is not None for r in node.results):
            found.append(_handed_down(graph, node, tuple(into[node.number]), called))
    return found


def _start(graph: Graph, called: list[str]) -> Step:
    pieces: list[Piece] = []
    for node in (node for node in graph.nodes if node.kind == "input"):
        for result in node.results:
            name: Piece = (result.name or called[node.number], "name")
            pieces += [(", " if pieces else "Inputs: ", ""), name, (" = ", "")]
            pieces.append((_text(result.value, result.shape), "value"))
    return Step("start", None, (), (), [pieces])


def _text(array: Any, of_shape: tuple[int, ...] = ()) -> str:
    """An array in a sentence; its shape where only that is known."""
    return f"shape {of_shape}" if array is None else text(array)


def _computed(graph: Graph, node: Node, edges: list[Edge], called: list[str]) -> list[Piece]:
    """`+ of x and y: −2 + 5 = 3`, or the shapes where the arrays are large."""
    operands: list[Piece] = [(source_of(graph, edge, called), "name") for edge in edges]
    given = [graph.nodes[edge.source].results[edge.result] for edge in edges]
    values: list[Piece] = [(_text(r.value, r.shape), "value") for r in given]
    result = (", ".join(_text(r.value, r.shape) for r in node.results), "value")
    head: list[Piece] = [(called[node.number], "name")]
    if operands:
        head += [(" of ", ""), *_separated(operands, " and ")]
    if edges and all(r.value is not None and is_written_out(r.value) for r in given):
        return [*head, (": ", ""), *_applied(node, values), (" = ", ""), result]
    return [*head, (": ", ""), *_separated(values), (" → " if values else "", ""), result]


def _applied(node: Node, operands: list[Piece]) -> list[Piece]:
    """A node's operation as it is written: `3 + 4`, `1/3`, `3²`, `exp(3)`."""
    symbol = _INFIX.get(node.primitive or "")
    if symbol and len(operands) == 2:
        return [operands[0], (f" {symbol} ", ""), _in_brackets(operands[1])]
    if len(operands) == 1:
        [operand] = operands
        label = node.label.replace("-", "−")
        variable = _VARIABLE.search(label)
        if variable:
            before, after = label[: variable.start()], label[variable.end() :]
            closed = before == after == "|"
            return [(before, ""), operand if closed else _in_brackets(operand), (after, "")]
        if symbol or node.primitive in _WITH_CONSTANT:
            if label[-1] in "+×÷−":
                return [(f"{label[:-1]} {label[-1]} ", ""), _in_brackets(operand)]
            constant, _ = _in_brackets((label[1:].strip(), ""))
            return [operand, (f" {label[0]} {constant}", "")]
        if label.startswith("["):  # a row, an element
            return [operand, (label, "")]
        if node.primitive in ("max", "min") and " " in label:
            head, _, constant = label.partition(" ")
            return [(f"{head}({constant}, ", ""), operand, (")", "")]
    return [(f"{node.label}(", ""), *_separated(operands), (")", "")]


def _in_brackets(piece: Piece) -> Piece:
    text, kind = piece
    return (f"({text})", kind) if text.startswith("−") else piece


def _separated(pieces: list[Piece], last: str = ", ") -> list[Piece]:
    found = list(pieces[:1])
    for i, piece in enumerate(pieces[1:], 2):
        found += [(last if i == len(pieces) else ", ", ""), piece]
    return found


def result_of_output(graph: Graph, number: int, nth: int) -> int:
    """Which result of a node is an output, where it is so for the nth time."""
    named = [i for i, result in enumerate(graph.nodes[number].results) if result.name]
    return named[min(nth, len(named) - 1)] if named else 0


def own_gradient(graph: Graph, number: int, result: int) -> Any:
    """What the backward pass begins with at an output; None for what is none, or gets none."""
    times = graph.outputs.count(number)
    if result not in [result_of_output(graph, number, nth) for nth in range(times)]:
        return None
    whole = graph.nodes[number].results[result].gradient
    parts = [graph.edges[at].gradient for at in _ways_back(graph, number, result)]
    if whole is None or not parts:
        return whole
    with np.errstate(invalid="ignore", over="ignore"):  # infinities
        rest = np.asarray(whole) - sum(np.asarray(part) for part in parts)
        is_rounding = np.allclose(rest, 0, atol=1e-6 * np.max(np.abs(np.asarray(whole)), initial=0))
    return None if is_rounding else rest


def _ways_back(graph: Graph, number: int, result: int) -> list[int]:
    """The edges along which something comes back to a node's result."""
    return [
        at
        for at, edge in enumerate(graph.edges)
        if (edge.source, edge.result) == (number, result) and edge.gradient is not None
    ]


def _branches_met(graph: Graph, node: Node, called: list[str]) -> list[Step]:
    """The steps in which a gradient begins, at an output, or is the sum of several branches."""
    found = []
    name: Piece = (called[node.number], "name")
    for at, result in enumerate(node.results):
        own = own_gradient(graph, node.number, at)
        ways = _ways_back(graph, node.number, at)
        gs = [*([] if own is None else [own]), *(graph.edges[e].gradient for e in ways)]
        if own is None and len(ways) < 2:
            continue
        notes = _notes(graph, ways)
        total = _sum(gs, result.gradient, adds=not notes)
        sentence: list[Piece] = [name, (": ", ""), *total]
        if own is not None:
            named = node.kind != "input" and result.name not in (None, "output")
            whose = result.name if named else "the output"
            words = f"The backward pass begins with the gradient of {whose}, "
            sentence = [(words, ""), name, (": ", ""), (_text(own), "gradient")]
            if ways:
                sentence = [name, (", an output itself: ", ""), *total]
        found.append(Step("backward", node.number, tuple(ways), (at,), [sentence, *notes]))
    return found


def _notes(graph: Graph, ways: Iterable[int]) -> list[list[Piece]]:
    """What is to be said of the groups that something comes out of, on its way back."""
    edges = [graph.edges[at] for at in ways]
    leave = lambda group: any(
        edge.target in group.nodes and edge.source not in group.nodes for edge in edges
    )
    return [[(group.note, "rule")] for group in graph.groups if group.note and leave(group)]


def _sum(gs: list[Any], whole: Any, adds: bool) -> list[Piece]:
    """`0.2 + 0.1 = 0.3: copy adds`; with an arrow where that is not all."""
    pieces: list[Piece] = []
    for g in gs:
        piece: Piece = (_text(g), "gradient")
        pieces += [(" + ", ""), _in_brackets(piece)] if pieces else [piece]
    if not adds:
        return [*pieces, (" → ", ""), (_text(whole), "gradient")]
    return [*pieces, (" = ", ""), (_text(whole), "gradient"), (": copy adds", "")]


def _handed_down(graph: Graph, node: Node, edges: tuple[int, ...], called: list[str]) -> Step:
    """Upstream × local = downstream, for each operand that has a gradient."""
    upstream = [r.gradient for r in node.results if r.gradient is not None]
    used, sentences = [], []
    for at in edges:
        edge = graph.edges[at]
        if edge.gradient is None:
            continue
        used.append(at)
        way: list[Piece] = [
            (called[node.number], "name"),
            (" → ", ""),
            (source_of(graph, edge, called), "name"),
        ]
        sentences.append([*way, (": ", ""), *_downstream(upstream, edge)])
    if used:
        local = any(graph.edges[at].local is not None for at in used)
        first = "upstream × local = downstream" if local else "upstream → downstream"
        if local and any(np.ndim(graph.edges[at].gradient) for at in used):
            first += ", element by element"
        sentences.insert(0, [(first, "rule")])
    else:
        ends = "The gradient ends here: no operand needs it."
        sentences.append([(called[node.number], "name"), (": ", ""), (ends, "")])
    pattern = PATTERNS.get(node.primitive or "")
    if pattern and used:
        sentences.append([(pattern, "rule")])
    sentences += _notes(graph, used)
    return Step("backward", node.number, tuple(used), (), sentences)


def _downstream(upstream: list[Any], edge: Edge) -> list[Piece]:
    given = _separated([(_text(g), "gradient") for g in upstream])
    gives: Piece = (_text(edge.gradient), "gradient")
    if edge.local is None or len(upstream) != 1:
        return [*given, (" → ", ""), gives]
    return [*given, (" × ", ""), _in_brackets((_text(edge.local), "local")), (" = ", ""), gives]


def plain(sentence: list[Piece]) -> str:
    """A sentence as text."""
    return "".join(piece for piece, _ in sentence)
