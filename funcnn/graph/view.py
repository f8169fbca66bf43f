"""From a flat list of operations to nodes and edges: what is drawn, and what is left out.

Left out, unless asked for: conversions and broadcasts, and scalar constants that an operation's
label can say ("+1").
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.graph.flat import Flat, Operation
from funcnn.graph.graph import Edge, Group, Node, Path, Result
from funcnn.graph.meaning import label, takes_constant
from funcnn.graph.numbers import shape_text, short
from funcnn.graph.program import Key

_MOST_LOCAL = 256  # elements of an array whose local gradient is kept


class Named(NamedTuple):
    """A leaf of the function's arguments.

    Attributes:
      name: `params[0]['kernel']`.
      parent: `params[0]`; None where the argument is the leaf itself.
    """

    name: str
    parent: str | None


class _Taken(NamedTuple):
    """What an operation takes: an edge to be."""

    source: Key
    position: int
    local: Any
    gradient: Any


class _Drawn:
    """What is drawn: the operations, what each takes, and where it comes from."""

    def __init__(self, flat: Flat, inputs: Sequence[Key], outputs: Sequence[Key]):
        self.flat = flat
        self.outputs = [flat.same(key) for key in outputs]
        self.inputs = [flat.same(key) for key in inputs]
        resolved = (_resolved(flat, operation) for operation in flat.operations)
        # a constant that is converted to what it is comes out as the same array
        operations = [o for o in resolved if not set(o.outputs) <= set(o.inputs)]
        self.minor = self._minor(operations)
        self.operations = [o for o in self._used(operations) if o.outputs[0] not in self.minor]
        made = {key for operation in self.operations for key in operation.outputs}
        self.known = made.union(self.inputs)

    def _minor(self, operations: Sequence[Operation]) -> dict[Key, Operation]:
        """Conversions and broadcasts that are left out, by what they give."""
        if self.flat.view.minor:
            return {}
        return {
            operation.outputs[0]: operation
            for operation in operations
            if operation.meaning is not None
            and operation.meaning.minor
            and len(operation.inputs) == 1
            and operation.outputs[0] not in self.outputs
        }

    def _used(self, operations: Sequence[Operation]) -> list[Operation]:
        """Without what a loop does for its iterations where nobody takes it."""
        used, kept = set(self.outputs), []
        for operation in reversed(operations):
            if not operation.is_of_loop or used.intersection(operation.outputs):
                used.update(operation.inputs)
                kept.append(operation)
        return kept[::-1]

    def source(self, key: Key) -> tuple[Key, list[Operation]]:
        """Where a value comes from, and the conversions on the way."""
        way: list[Operation] = []
        while key in self.minor:
            way.append(self.minor[key])
            [key] = self.minor[key].inputs
        return key, way[::-1]

    def is_scalar_constant(self, key: Key) -> bool:
        return key not in self.known and np.shape(self.flat.value(key)) == ()

    def constants_of(self, operation: Operation) -> dict[int, Any]:
        """The scalar constants that an operation is given, by position.

        For an operation, one that has a gradient is none: it is what a loop starts with.
        """
        sources = (self.source(key)[0] for key in operation.inputs)
        given = zip(sources, operation.downstream, strict=True)
        is_block = operation.meaning is None
        found = {i: key for i, (key, g) in enumerate(given) if g is None or is_block}
        return {i: self.flat.value(k) for i, k in found.items() if self.is_scalar_constant(k)}

    def label(self, operation: Operation) -> str:
        if operation.meaning is None or operation.is_of_loop:
            return operation.label
        shown = {} if self.flat.view.constants else self.constants_of(operation)
        return label(operation.meaning, shown)

    def taken(self, operation: Operation) -> list[_Taken]:
        """What an operation takes, without the constants that its label says."""
        constants = {} if self.flat.view.constants else self.constants_of(operation)
        about = operation.meaning
        if about is not None and not takes_constant(about, constants):
            constants = {}
        locals_ = _local_gradients(operation, self.flat)
        taken = []
        for i, key in enumerate(operation.inputs):
            if i in constants:
                continue
            source, way = self.source(key)
            same_shape = np.shape(self.flat.value(source)) == np.shape(self.flat.value(key))
            is_scalar = np.shape(self.flat.value(operation.outputs[0])) == ()
            local = _through(way, locals_[i]) if same_shape or is_scalar else None
            taken.append(_Taken(source, i, local, _through(way, operation.downstream[i])))
        return taken


def _resolved(flat: Flat, operation: Operation) -> Operation:
    inputs, outputs = (
        tuple(map(flat.same, keys)) for keys in (operation.inputs, operation.outputs)
    )
    return operation._replace(inputs=inputs, outputs=outputs)


def _through(way: Sequence[Operation], g: Any) -> Any:
    """A gradient carried back through conversions."""
    for operation in reversed(way):
        if g is None or operation.pull_back is None:
            return None
        [g] = operation.pull_back([g])
    return g


def _local_gradients(operation: Operation, flat: Flat) -> Sequence[Any]:
    """For each operand the derivative of the result by it, where that is one number an element.

    That is so where the result is a scalar, and where the derivative is diagonal: then it scales
    any upstream gradient, element by element.
    """
    none = [None] * len(operation.inputs)
    value = flat.value(operation.outputs[0])
    if (
        operation.pull_back is None
        or len(operation.outputs) != 1
        or all(g is None for g in operation.downstream)
        or isinstance(value, jax.core.Tracer)
        or np.size(value) > _MOST_LOCAL
    ):
        return none
    ones = np.ones(np.shape(value), value.dtype)  # NumPy has no program to compile for it
    found = operation.pull_back([jnp.asarray(ones)])
    if np.shape(value) == ():
        return [None if g is None or np.size(g) > _MOST_LOCAL else g for g in found]
    # numbers that are no multiples of one another
    numbers = np.sqrt(np.arange(1.0, np.size(value) + 1)).reshape(np.shape(value))
    probe = jnp.asarray(numbers, value.dtype)
    scaled = operation.pull_back([probe])
    return [g if _is_scaled(g, h, probe) else None for g, h in zip(found, scaled, strict=True)]


def _is_scaled(local: Any, downstream: Any, upstream: Any) -> bool:
    if local is None or np.shape(local) != np.shape(upstream):
        return False
    # an infinity times a number is no infinity where both are complex
    wide = np.complex128 if np.iscomplexobj(local) else np.float64
    a, b, c = (np.asarray(v).astype(wide) for v in (downstream, local, upstream))
    tolerance = 1e-2 if upstream.dtype.itemsize < 4 else 1e-4
    with np.errstate(invalid="ignore"):  # infinities
        return bool(np.allclose(a, b * c, rtol=tolerance, equal_nan=True))


# nodes and edges


class Parts(NamedTuple):
    """What a graph is made of."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    outputs: tuple[int, ...]
    groups: tuple[Group, ...]


class _Entry(NamedTuple):
    """A node that has no number yet, and the edges to it."""

    node: Node
    gives: tuple[Key, ...]
    takes: tuple[_Taken, ...]


def parts(
    flat: Flat,
    inputs: Sequence[tuple[Key, Named]],
    outputs: Sequence[tuple[Key, str]],
) -> Parts:
    """The nodes, edges and groups of a flat program whose inputs and outputs have these names."""
    drawn = _Drawn(flat, [key for key, _ in inputs], [key for key, _ in outputs])
    names = {flat.same(key): named for key, named in inputs}
    taken = [drawn.taken(operation) for operation in drawn.operations]
    of_outputs = _by_key((drawn.source(key)[0], name) for key, name in _resolve(flat, outputs))
    entries = _inputs(drawn, names, taken, of_outputs)
    nodes_of = dict[Key, Key]()  # of constants
    for operation, takes in zip(drawn.operations, taken, strict=True):
        settled = []
        for one in takes:
            source = one.source
            if source not in drawn.known and source not in nodes_of:
                source, entry = _constant(drawn, one.source, len(entries), operation.path)
                entries.append(entry)
                if source == one.source:
                    nodes_of[source] = source
            settled.append(one._replace(source=source))
        entries.append(_operation(drawn, operation, settled, of_outputs))
    given = []
    for key, _ in _resolve(flat, outputs):
        source = drawn.source(key)[0]
        if source not in drawn.known and source not in nodes_of:
            nodes_of[source], entry = _constant(drawn, source, len(entries), ())
            entries.append(entry)
        given.append(nodes_of.get(source, source))
    return _numbered(entries, given, flat)


def _resolve(flat: Flat, outputs: Sequence[tuple[Key, str]]) -> list[tuple[Key, str]]:
    return [(flat.same(key), name) for key, name in outputs]


def _by_key(pairs: Any) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for key, name in pairs:
        found[key] = f"{found[key]}, {name}" if key in found else name
    return found


def _result(flat: Flat, key: Key, name: str | None) -> Result:
    value, gradient = flat.value(key), flat.gradient(key)
    aval = jax.typeof(value)
    hidden = isinstance(value, jax.core.Tracer)
    if not isinstance(value, jax.Array):  # a number of Python's
        value = np.asarray(value, aval.dtype)
    if hidden or isinstance(gradient, jax.core.Tracer):
        gradient = None
    return Result(name, aval.shape, aval.dtype, None if hidden else value, gradient)


def _inputs(
    drawn: _Drawn, names: dict[Key, Named], taken: Sequence[Sequence[_Taken]], outputs: Any
) -> list[_Entry]:
    """A node for each input; one for several that all go to the same folded group alone."""
    takers: dict[Key, set[int]] = {key: {-1} for key in outputs}
    for i, (operation, takes) in enumerate(zip(drawn.operations, taken, strict=True)):
        for one in takes:
            takers.setdefault(one.source, set()).add(i if operation.kind == "group" else -1)
    together: dict[Any, list[Key]] = {}
    for key, named in names.items():
        to = takers.get(key, set())
        alone = len(to) != 1 or -1 in to or named.parent is None
        together.setdefault(key if alone else (named.parent, *to), []).append(key)
    entries = []
    for keys in together.values():
        name = names[keys[0]].name if len(keys) == 1 else names[keys[0]].parent
        results = tuple(_result(drawn.flat, key, names[key].name) for key in keys)
        node = Node(0, "input", str(name), name, None, {}, results, (), ())
        entries.append(_Entry(node, tuple(keys), ()))
    return entries


def _constant(drawn: _Drawn, key: Key, number: int, path: Path) -> tuple[Key, _Entry]:
    """A scalar's node is its taker's own; an array has one for all that take it."""
    result = _result(drawn.flat, key, None)
    is_scalar = result.shape == () and result.value is not None
    plain = is_scalar and not jax.dtypes.issubdtype(result.dtype, jax.dtypes.extended)
    text = short(result.value, 3) if plain else shape_text(result.shape)
    node = Node(0, "constant", text, None, None, {}, (result,), (), path if is_scalar else ())
    own = (None, -number - 1) if is_scalar else key
    return own, _Entry(node, (own,), ())


def _operation(
    drawn: _Drawn, operation: Operation, takes: Sequence[_Taken], outputs: dict[Key, str]
) -> _Entry:
    results = tuple(_result(drawn.flat, key, outputs.get(key)) for key in operation.outputs)
    name = next((result.name for result in results if result.name), None)
    node = Node(
        0,
        operation.kind,
        drawn.label(operation),
        name,
        operation.primitive,
        operation.params,
        results,
        operation.places,
        operation.path,
    )
    return _Entry(node, operation.outputs, tuple(takes))


def _numbered(entries: Sequence[_Entry], outputs: Sequence[Key], flat: Flat) -> Parts:
    nodes = tuple(entry.node._replace(number=i) for i, entry in enumerate(entries))
    givers = {key: (i, at) for i, entry in enumerate(entries) for at, key in enumerate(entry.gives)}
    edges = []
    for target, entry in enumerate(entries):
        for one in entry.takes:
            source, at = givers[one.source]
            value = nodes[source].results[at].value
            shown = [
                None if isinstance(v, jax.core.Tracer) else v for v in (one.local, one.gradient)
            ]
            edges.append(Edge(source, target, one.position, at, value, *shown))
    return Parts(
        nodes, tuple(edges), tuple(givers[key][0] for key in outputs), _groups(nodes, flat)
    )


def _groups(nodes: Sequence[Node], flat: Flat) -> tuple[Group, ...]:
    groups = []
    for path, kind, folded in flat.blocks:
        within = tuple(node.number for node in nodes if node.path[: len(path)] == path)
        if within:
            groups.append(Group(path, kind, folded, within, path in flat.differing))
    return tuple(groups)
