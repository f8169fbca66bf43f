"""The program beside the graph: the source of the functions whose lines were run."""

import ast
import linecache
import pathlib
from collections.abc import Iterable
from typing import Any

from funcnn.graph.places import Place

Data = dict[str, Any]


def listing(places: Iterable[Place]) -> list[Data]:
    """The functions that hold these places, file by file, in the order of their lines.

    Returns:
      for each file that can be read: file (its path), name, and lines: pairs of number and text;
      where two functions are apart, a pair of None and "" is between them.
    """
    of_file: dict[str, dict[int, str]] = {}
    for place in places:
        if place.file:
            of_file.setdefault(place.file, {})[place.line] = place.function
    found = []
    for file, lines in of_file.items():
        text = linecache.getlines(file)
        if text:
            shown = _cut(text, _shown("".join(text), lines, len(text)))
            found.append({"file": file, "name": pathlib.Path(file).name, "lines": shown})
    return found


def _shown(source: str, lines: dict[int, str], length: int) -> set[int]:
    """The numbers of the lines of the functions that hold `lines`."""
    try:
        tree: ast.Module | None = ast.parse(source)
    except (SyntaxError, ValueError):
        tree = None
    shown: set[int] = set()
    for line, function in lines.items():
        first, last = _around(tree, line, function)
        shown.update(range(max(first, 1), min(last, length) + 1))
    return shown


def _around(tree: ast.Module | None, line: int, function: str) -> tuple[int, int]:
    """The function that holds a line, or the statement where that is a lambda or no function."""
    holding = [
        node
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    functions = [n for n in holding if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    own = [n for n in functions if function.rsplit(".", 1)[-1] == n.name]
    among = own or holding
    if not among:
        return line - 2, line + 2
    smallest = min(among, key=lambda node: (node.end_lineno or node.lineno) - node.lineno)
    first = min([smallest.lineno, *(d.lineno for d in getattr(smallest, "decorator_list", []))])
    return first, smallest.end_lineno or smallest.lineno


def _cut(text: list[str], shown: set[int]) -> list[tuple[int | None, str]]:
    """The shown lines, without the margin that they share."""
    numbers = sorted(shown)
    written = [text[n - 1].rstrip("\n").expandtabs() for n in numbers]
    margin = min((len(t) - len(t.lstrip()) for t in written if t.strip()), default=0)
    lines: list[tuple[int | None, str]] = []
    for before, number, line in zip([None, *numbers], numbers, written, strict=False):
        if before is not None and number != before + 1:
            lines.append((None, ""))
        lines.append((number, line[margin:]))
    return lines
