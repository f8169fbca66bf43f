"""A computational graph as data: nodes, edges, groups, and how to find them."""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from funcnn.graph.places import Place

if TYPE_CHECKING:
    from funcnn.graph.flat import View

Path = tuple[str, ...]


class Result(NamedTuple):
    """What a node gives: most nodes give one.

    Attributes:
      name: of an input or output of the function, as `params[0]['kernel']`; else None.
      shape, dtype: of the value.
      value: an array; None where the function was traced by shapes alone.
      gradient: of the outputs by it, summed over all ways; None where there is none.
    """

    name: str | None
    shape: tuple[int, ...]
    dtype: Any
    value: Any
    gradient: Any


class Node(NamedTuple):
    """An input, a constant, an operation, or a group that is folded.

    Attributes:
      number: its place in `graph.nodes`, which stand in the order in which they are done.
      kind: "input", "constant", "operation" or "group".
      label: short, for a drawing: "w0", "2.0", "×", "exp", "relu", "scan".
      name: of an input, or of an output of the function; else None.
      primitive: of JAX, by name; None for what is no operation.
      params: the primitive's.
      results: all that it gives.
      places: where in the user's program; of a folded group, of all that is in it; none for inputs
        and constants.
      path: the groups that it is in, outermost first: layers and scopes, opened programs. That of
        a folded group ends with its own name.
    """

    number: int
    kind: str
    label: str
    name: str | None
    primitive: str | None
    params: Mapping[str, Any]
    results: tuple[Result, ...]
    places: tuple[Place, ...]
    path: Path

    @property
    def place(self) -> Place | None:
        """Where in the user's program: of a folded group, where it begins."""
        return self.places[0] if self.places else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its first result."""
        return self.results[0].shape

    @property
    def dtype(self) -> Any:
        """Of its first result."""
        return self.results[0].dtype

    @property
    def value(self) -> Any:
        """Of its first result; None where the function was traced by shapes alone."""
        return self.results[0].value

    @property
    def gradient(self) -> Any:
        """Of its first result; None where there is none."""
        return self.results[0].gradient


class Edge(NamedTuple):
    """What a node takes from another.

    Attributes:
      source, target: numbers of nodes.
      position: the target's operand.
      result: which of the source's results.
      value: what goes forward.
      local: the derivative of the target's result by this operand, where it is one number for each
        element, and small; else None.
      gradient: what comes back: the target's gradient × local; None where nothing does.
    """

    source: int
    target: int
    position: int
    result: int
    value: Any
    local: Any
    gradient: Any


class Group(NamedTuple):
    """A part of the graph that is one node when it is folded.

    Attributes:
      path: its name and, before it, those of the groups that it is in.
      kind: "layer", "scope", or the primitive of a program: "jit", "scan", "custom_jvp_call", ...
      folded: whether it is one node now.
      nodes: numbers of the nodes in it: where it is folded, the one that it is.
      differs: of an open function with a rule of its own: whether the derivatives of its code,
        which are those of the nodes in it, are others here than what the rule says.
    """

    path: Path
    kind: str
    folded: bool
    nodes: tuple[int, ...]
    differs: bool = False

    @property
    def note(self) -> str | None:
        """What the numbers in it do not say by themselves."""
        if not self.differs:
            return None
        return (
            f"Inside {self.path[-1]} are the derivatives of its code. Its rule says others here: "
            "what it is given has its gradient by the rule."
        )


@dataclass(frozen=True, eq=False)
class Graph:
    """The computational graph of a function: `funcnn.graph.trace` makes one.

    It is data, and does not change: `fold` and `unfold` give other graphs of the same trace.

    Attributes:
      title: the function's name.
      nodes: in the order in which they are done. A backward pass goes through them from the end.
      edges: what each takes from the others.
      outputs: for each output of the function, the number of the node that gives it.
      groups: what can be folded and unfolded.

    >>> import jax.numpy as jnp
    >>> from funcnn.graph import trace
    >>> graph = trace(lambda x, y, z: (x + y) * z)(-2.0, 5.0, -4.0)  # deck B, row 21
    >>> print(graph.table(lines=False))
    #  node  from  shape   value  gradient
    0  x           scalar  -2     -4
    1  y           scalar  5      -4
    2  z           scalar  -4     3
    3  +     0 1   scalar  3      -4
    4  ×     3 2   scalar  -12    1
    >>> [float(edge.local) for edge in graph.into(4)]
    [-4.0, 3.0]
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    outputs: tuple[int, ...]
    groups: tuple[Group, ...]
    view: "View"
    _seen: "Callable[[View], Graph]" = field(repr=False)

    # as data

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, which: int | str) -> Node:
        """A node by its number, or by the name of an input or output.

        Of a node that gives several results, as the inputs of a folded layer are one, a name picks
        one: the node comes with that result alone. In `graph.nodes` it has them all.

        Raises:
          KeyError: a name that no node has, with those that there are.
        """
        if isinstance(which, int):
            return self.nodes[which]
        for node in self.nodes:
            picked = tuple(result for result in node.results if _is_called(result, which))
            if picked and picked != node.results:
                return node._replace(name=which, results=picked)
            if picked or which == node.name:
                return node
        names = [result.name for node in self.nodes for result in node.results if result.name]
        raise KeyError(f"no input or output {which!r}: the names are {', '.join(names)}")

    def filter(self, keep: Callable[[Node], bool]) -> list[Node]:
        """The nodes for which `keep` is true."""
        return [node for node in self.nodes if keep(node)]

    def into(self, number: int) -> list[Edge]:
        """The edges to a node, by its operands."""
        return [edge for edge in self.edges if edge.target == number]

    def out_of(self, number: int) -> list[Edge]:
        """The edges from a node."""
        return [edge for edge in self.edges if edge.source == number]

    def at_line(self, line: int, file: str | None = None) -> list[Node]:
        """The nodes that a line of the user's program made, a folded group of them too.

        Args:
          line: its number.
          file: the end of the file's path, where the function is written in several.

        Raises:
          ValueError: a line that made none, with those that did.
        """
        here = lambda place: place.line == line and place.file.endswith(file or "")
        found = [node for node in self.nodes if any(map(here, node.places))]
        if not found:
            places = {(place.file, place.line) for node in self.nodes for place in node.places}
            known = ", ".join(f"{pathlib.Path(f).name}:{n}" for f, n in sorted(places))
            raise ValueError(f"nothing is done in line {line}: the lines are {known or 'none'}")
        return found

    def at_path(self, path: str | Path) -> list[Node]:
        """The nodes in a group: a layer, a scope, an opened program.

        Args:
          path: the entries, or these joined: `("[1]", "['layer']")`, `"[1]['layer']"`, `"scan"`;
            the last ones are enough.

        Raises:
          ValueError: a path that there is not, with those that there are.
        """
        numbers = {n for group in self._groups_at(path) for n in group.nodes}
        return [self.nodes[n] for n in sorted(numbers)]

    def _groups_at(self, path: str | Path) -> list[Group]:
        found = [group for group in self.groups if _is_at(group.path, path)]
        if not found:
            known = ", ".join(dict.fromkeys("/".join(group.path) for group in self.groups))
            raise ValueError(
                f"there is no group {path!r}: the groups are {known or 'none'}. What is in a "
                "folded one is known when it is unfolded."
            )
        return found

    # folding

    def fold(self, path: str | Path | None = None, *, depth: int | None = None) -> "Graph":
        """The graph with a group as one node.

        Args:
          path: of the group, as in `at_path`; None for all, down to `depth`.
          depth: how many groups one within another stay open; 0 where it is not given.

        Raises:
          ValueError: a path that there is not; both a path and a depth.
        """
        if path is None:
            return self._seen(self.view._replace(depth=depth or 0, chosen={}))
        return self._choose(path, False, depth)

    def unfold(
        self,
        path: str | Path | None = None,
        *,
        depth: int | None = None,
        iterations: Iterable[int] | None = None,
    ) -> "Graph":
        """The graph with what is in a group: a layer, a scope, a function, a loop.

        Args:
          path: of the group, as in `at_path`. None for all layers, scopes and functions of the
            user's; functions of JAX, functions with a rule of their own and loops are opened one
            by one.
          depth: with no path: how many groups one within another are opened.
          iterations: which ones of a loop to show; all where there are few, else the first and the
            last.

        Raises:
          ValueError: a path that there is not; a program that cannot be looked into; `iterations`
            of what is no loop.
        """
        if path is None:
            return self._seen(self.view._replace(depth=depth, chosen={}))
        if iterations is None:
            return self._choose(path, True, depth)
        kinds = {group.kind for group in self._groups_at(path)}
        if not kinds <= {"scan", "while"}:
            raise ValueError(f"iterations are of a loop, and {path!r} is a {', '.join(kinds)}")
        return self._choose(path, tuple(iterations), depth)

    def _choose(self, path: str | Path, how: Any, depth: int | None) -> "Graph":
        if depth is not None:
            raise ValueError("give a path or a depth, not both")
        chosen = {group.path: how for group in self._groups_at(path)}
        return self._seen(self.view._replace(chosen={**self.view.chosen, **chosen}))

    def show(self, *, minor: bool | None = None, constants: bool | None = None) -> "Graph":
        """The graph with or without what is left out at first.

        Args:
          minor: conversions and broadcasts.
          constants: scalar constants as nodes of their own, not in the label ("+1") of what takes
            them.
        """
        asked = {"minor": minor, "constants": constants}
        return self._seen(
            self.view._replace(**{k: v for k, v in asked.items() if v is not None})  # type: ignore[arg-type]
        )

    # as text and as a drawing

    def table(self, *, lines: bool = True) -> str:
        """One row a node: number, label, inputs, shape, value, gradient, the user's line."""
        from funcnn.graph.table import table

        return table(self, lines)

    def __repr__(self) -> str:
        return self.table()

    def to_dot(self) -> str:
        """The graph in Graphviz's language."""
        from funcnn.graph.dot import to_dot

        return to_dot(self)

    def to_svg(self) -> str:
        """A drawing: values above the edges, gradients below. Needs `funcnn[graph]`.

        People read some dozens of nodes at once, and scroll through some hundreds: `fold` what is
        more. A thousand are drawn in a few seconds; twice as many take four times as long.
        """
        from funcnn.graph.svg import to_svg

        return to_svg(self)

    def _repr_svg_(self) -> str:  # notebooks show it
        return self.to_svg()

    def to_html(self) -> str:
        """A page on which both passes can be walked through. Needs `funcnn[graph]`.

        As large as a drawing can be: see `to_svg`.
        """
        from funcnn.graph.page import to_html

        return to_html(self)

    def save(self, path: str | pathlib.Path) -> None:
        """Writes a drawing or a page, as the file's ending says: .svg, .html, .dot, .txt.

        Raises:
          ValueError: another ending.
        """
        path = pathlib.Path(path)
        writers = {
            ".svg": self.to_svg,
            ".html": self.to_html,
            ".dot": self.to_dot,
            ".txt": self.table,
        }
        if path.suffix not in writers:
            raise ValueError(f"expected a file ending in {', '.join(writers)}, got {path.name!r}")
        path.write_text(writers[path.suffix](), encoding="utf-8")


def _is_called(result: Result, name: str) -> bool:
    """Has it this name? A value that is returned twice has two: "output[0], output[1]"."""
    return result.name is not None and name in (result.name, *result.name.split(", "))


def _is_at(path: Path, asked: str | Path) -> bool:
    """Is this the path asked for, or does it end with it?

    >>> _is_at(("[1]", "['layer']", "relu"), "['layer']/relu"), _is_at(("[11]",), "[1]")
    (True, False)
    """
    if isinstance(asked, tuple):
        return path[-len(asked) :] == asked
    ends = [path[i:] for i in range(len(path))]
    return any(asked in ("/".join(end), "".join(end)) for end in ends)
