"""dag: any directed acyclic graph of layers."""

import graphlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from funcnn.nn.errors import at, describe
from funcnn.nn.layer import Layer
from funcnn.nn.wiring import Part, Run, add_part, combined, shared

Node = tuple[Any, ...]


def dag(
    inputs: str | Sequence[str] = "x",
    /,
    *,
    outputs: str | Sequence[str] | None = None,
    **nodes: Node,
) -> Layer:
    """Layers in a directed acyclic graph, computed node by node.

    A node is a tuple: a layer, and the names of the nodes or inputs that it takes. A layer with
    several gets them as a tuple, a plain function as its arguments. The nodes may stand in any
    order. `params` and `state` are dicts with the nodes' names, keys are as in `serial`. A node
    that is `nn.shared("other")` uses the parameters of another one.

    Args:
      inputs: the name of the input; or the names of several: then x is a dict with these names, or
        a tuple in this order.
      outputs: the name of a node; or the names of several: then the output is a tuple of theirs.
        The last node without it.
      **nodes: the nodes, by name.

    Raises:
      TypeError: a node that is no such tuple.
      ValueError: a cycle (the message names its nodes); a node that takes what is not there; a node
        or an input that no output depends on; from `apply`, x without these inputs.

    Source: decks B and C, row 10.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> model = nn.dag(
    ...     left=(nn.dense(4), "x"),
    ...     right=(nn.serial(nn.dense(4), jax.nn.sigmoid), "x"),
    ...     gated=(jnp.multiply, "left", "right"),
    ...     y=(nn.dense(2), "gated"),
    ... )
    >>> params, state = model.init(jax.random.key(0), jnp.ones((5, 3)))
    >>> model(params, jnp.ones((5, 3))).shape
    (5, 2)
    >>> nn.dag(a=(jnp.add, "x", "b"), b=(jnp.tanh, "a"))
    Traceback (most recent call last):
    ValueError: dag: expected no cycle, got a -> b -> a
    """
    given = _as_tuple(inputs)
    takes = _names_taken(given, nodes)
    wanted = _as_tuple(next(reversed(nodes)) if outputs is None else outputs)
    order = _ordered(given, wanted, nodes, takes)
    found: dict[Any, Part] = {}
    for name in order:
        layer = nodes[name][0]
        add_part(found, name, _of_tuple(layer) if len(takes[name]) > 1 else layer)
    parts = {name: found[name] for name in nodes}

    def wiring(run: Run, x: Any) -> Any:
        values = {inputs: x} if isinstance(inputs, str) else _by_name(given, x)
        for name in order:
            taken = tuple(values[source] for source in takes[name])
            values[name] = run(name, taken if len(taken) > 1 else taken[0])
        results = tuple(values[name] for name in wanted)
        return results[0] if outputs is None or isinstance(outputs, str) else results

    listed = (f"{name}=({part.layer}, {', '.join(takes[name])})" for name, part in parts.items())
    return combined(f"dag({', '.join(listed)})", parts, wiring)


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _names_taken(given: tuple[str, ...], nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """What each node takes, by name; raises for nodes that are not of the right form."""
    if not nodes:
        raise TypeError("dag expects at least one node, as in y=(nn.dense(10), 'x')")
    known = [*given, *nodes]
    twice = [name for name in dict.fromkeys(known) if known.count(name) > 1]
    if twice:
        raise ValueError(f"dag: the name {twice[0]!r} is given twice")
    for name, node in nodes.items():
        with at(name):
            right = isinstance(node, tuple) and len(node) > 1
            if not right or not all(isinstance(source, str) for source in node[1:]):
                raise TypeError(
                    "dag: expected a node to be a tuple of a layer and the names of what it takes, "
                    f"as in (nn.dense(10), 'x'), got {node!r}"
                )
            for source in node[1:]:
                if source not in known:
                    raise ValueError(f"dag: no node or input {source!r}: there are {known}")
    return {name: node[1:] for name, node in nodes.items()}


def _ordered(
    given: tuple[str, ...],
    wanted: tuple[str, ...],
    nodes: Mapping[str, Node],
    takes: Mapping[str, tuple[str, ...]],
) -> list[str]:
    """The nodes, each after those that it depends on, and all of them of use."""
    for name in wanted:
        if name not in nodes and name not in given:
            raise ValueError(
                f"dag: no node or input {name!r} for an output: there are {[*given, *nodes]}"
            )
    needs = {name: [*takes[name], *_shared_with(nodes[name][0], nodes)] for name in nodes}
    try:
        order = [name for name in graphlib.TopologicalSorter(needs).static_order() if name in nodes]
    except graphlib.CycleError as error:
        raise ValueError(f"dag: expected no cycle, got {' -> '.join(error.args[1])}") from None
    used = set(wanted)
    for name in reversed(order):
        if name in used:
            used.update(needs[name])
    unused = [name for name in (*given, *nodes) if name not in used]
    if unused:
        raise ValueError(
            f"dag: no output depends on {', '.join(map(repr, unused))}: the outputs are "
            f"{list(wanted)}: name others with outputs=(...), or leave out what is of no use"
        )
    return order


def _shared_with(layer: Any, nodes: Mapping[str, Node]) -> list[Any]:
    """The node whose parameters this one uses, which is to be made before it."""
    return [layer.entry] if isinstance(layer, shared) and layer.entry in nodes else []


def _of_tuple(layer: Any) -> Any:
    """A plain function of several arguments as one of their tuple."""
    if isinstance(layer, Layer | shared | type) or not callable(layer):
        return layer
    function: Callable[..., Any] = layer

    def of_tuple(x: tuple[Any, ...]) -> Any:
        return function(*x)

    of_tuple.__name__ = getattr(function, "__name__", repr(function))
    return of_tuple


def _by_name(given: tuple[str, ...], x: Any) -> dict[str, Any]:
    """The inputs of the graph, from a dict or a tuple of them."""
    if isinstance(x, Mapping) and set(x) == set(given):
        return dict(x)
    if isinstance(x, tuple | list) and len(x) == len(given):
        return dict(zip(given, x, strict=True))
    raise ValueError(f"dag: expected x with the inputs {list(given)}, got {describe(x)}")
