"""A program's operations in one list: with what is in the blocks that are open."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.graph.graph import Path
from funcnn.graph.meaning import Meaning, meaning, name_of_program
from funcnn.graph.places import Place, place_of
from funcnn.graph.program import Inner, Key, Part, Program, Scope, index_of
from funcnn.graph.steps import Call

_MOST_ITERATIONS = 6  # of a loop that are all shown


class View(NamedTuple):
    """What is open.

    Attributes:
      depth: blocks within more than so many others are folded; None for no such limit.
      chosen: of single blocks: False for folded, True for open; for a loop also the iterations.
      minor: are conversions and broadcasts shown?
      constants: are scalar constants nodes of their own?
    """

    depth: int | None = None
    chosen: Mapping[Path, Any] = {}
    minor: bool = False
    constants: bool = False

    def is_open(self, path: Path, starts_open: bool) -> bool:
        if path in self.chosen:
            return self.chosen[path] is not False
        asked = any(self.chosen.get(path[:n]) not in (None, False) for n in range(1, len(path)))
        return starts_open and (asked or self.depth is None or len(path) <= self.depth)


class Operation(NamedTuple):
    """A node to be.

    Attributes:
      kind, label, primitive, params, path: as in `graph.Node`.
      meaning: of a single operation; None for a block.
      inputs, outputs: values.
      places: where in the user's program.
      downstream: what it hands on to each input; None where that has no gradient.
      pull_back: from any upstream to its downstream; None where it is not one step.
      is_of_loop: takes a row for an iteration, or puts the iterations' rows together.
    """

    kind: str
    label: str
    primitive: str | None
    params: Mapping[str, Any]
    path: Path
    meaning: Meaning | None
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]
    places: tuple[Place, ...]
    downstream: tuple[Any, ...]
    pull_back: Callable[[Sequence[Any]], Sequence[Any]] | None = None
    is_of_loop: bool = False


class Flat:
    """The operations, and what is known of the values that they are given and give."""

    def __init__(self, view: View):
        self.view = view
        self.operations: list[Operation] = []
        self.blocks: list[tuple[Path, str, bool]] = []  # path, kind, whether it is folded
        self.differing: set[Path] = set()  # open blocks whose rule says other than their code
        self._same: dict[Key, Key] = {}
        self._made: dict[Key, tuple[Any, Any]] = {}

    def same(self, key: Key) -> Key:
        """The value that this one is in the innermost program that is open."""
        while key in self._same:
            key = self._same[key]
        return key

    def join(self, keys: Sequence[Key], others: Sequence[Key]) -> None:
        """The first are the same values as the others."""
        self._same.update((a, b) for a, b in zip(keys, others, strict=True) if a != b)

    def make(self, value: Any, gradient: Any) -> Key:
        """A value that is of none of the programs."""
        key = (None, len(self._made))
        self._made[key] = value, gradient
        return key

    def value(self, key: Key) -> Any:
        return self._made[key][0] if key[0] is None else key[0].value(key[1])

    def gradient(self, key: Key) -> Any:
        return self._made[key][1] if key[0] is None else key[0].found.gradients.get(key[1])

    def is_open(self, path: Path, kind: str, starts_open: bool) -> bool:
        is_open = self.view.is_open(path, starts_open)
        self.blocks.append((path, kind, not is_open))
        return is_open


def flatten(program: Program, view: View) -> Flat:
    """The operations of a program. A function that is one `jit` as a whole is opened."""
    flat = Flat(view)
    match program.parts:
        case [Inner(kind="jit", starts_open=True) as only]:
            only.path = ()
            _open(only, flat)
        case parts:
            _expand(program, parts, program.path, flat)
    return flat


def _expand(program: Program, parts: Sequence[Part], path: Path, flat: Flat) -> None:
    for part in parts:
        if isinstance(part, int):
            flat.operations.append(_single(program, part, path))
        elif isinstance(part, Scope):
            if _is_one(part):
                _expand_one(program, part, flat)
            elif flat.is_open(part.path, part.kind, part.starts_open):
                _expand(program, part.parts, part.path, flat)
            else:
                flat.operations.append(_folded_scope(part))
        elif not flat.is_open(part.path, part.kind, part.starts_open):
            flat.operations.append(_folded_program(part))
        elif part.is_loop:
            _open_loop(part, flat)
        elif part.has_rule and not part.whole.found.steps:  # its rule is all that there is to see
            flat.blocks[-1] = part.path, part.kind, True
            flat.operations.append(_folded_program(part))
        else:
            _open(part, flat)


def _expand_one(program: Program, scope: Scope, flat: Flat) -> None:
    """A scope of one operation is that operation, as long as there is no more to see in it."""
    before, place = len(flat.operations), len(flat.blocks)
    _expand(program, scope.parts, scope.path, flat)
    added = flat.operations[before:]
    is_one = sum(o.meaning is None or not o.meaning.minor for o in added) <= 1
    flat.blocks.insert(place, (scope.path, scope.kind, is_one))


def _open(inner: Inner, flat: Flat) -> None:
    whole, step = inner.whole, inner.step
    inputs, outputs = whole.found.inputs, whole.found.outputs
    given = step.inputs[len(step.inputs) - len(inputs) :]
    if inner.has_rule and _differs(inner):
        flat.differing.add(inner.path)
    flat.join(_keys(whole, inputs), _keys(inner.of, given))
    flat.join(_keys(inner.of, step.outputs), _keys(whole, outputs))
    _expand(whole, whole.parts, inner.path, flat)


def _differs(inner: Inner) -> bool:
    """Does the rule of a function hand on other than the code that it stands for?"""
    found, step = inner.whole.found, inner.step
    rule: dict[int, Any] = dict.fromkeys(step.inputs)  # for a value that is given twice: the sum
    code = dict(rule)
    for number, own, g in zip(step.inputs, found.inputs, step.downstream, strict=True):
        rule[number] = _sum(rule[number], g)
        code[number] = _sum(code[number], found.gradients.get(own))
    return not all(_is_near(rule[number], code[number]) for number in rule)


def _is_near(a: Any, b: Any) -> bool:
    if a is b or isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer):
        return True
    tolerance = 1e-2 if (b if a is None else a).dtype.itemsize < 4 else 1e-4
    a, b = (np.asarray(0 if g is None else g).astype(np.complex128) for g in (a, b))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance / 100, equal_nan=True))


def _keys(program: Program, numbers: Sequence[int]) -> tuple[Key, ...]:
    return tuple((program, number) for number in numbers)


# what is one node


def _single(program: Program, at: int, path: Path) -> Operation:
    step = program.found.steps[at]
    about = meaning(step)
    assert about is not None
    return Operation(
        "operation",
        "",
        about.primitive,
        about.params,
        path,
        about,
        _keys(program, step.inputs),
        _keys(program, step.outputs),
        (place_of(step.source),),
        tuple(step.downstream),
        step.pull_back,
    )


def _folded_program(inner: Inner) -> Operation:
    step = inner.step
    is_gate = not inner.starts_open and not inner.is_loop
    inputs = dict.fromkeys(step.inputs)

    def once(downstream: Sequence[Any]) -> tuple[Any, ...]:  # for a value that is given twice
        total: dict[int, Any] = dict.fromkeys(inputs)
        for number, g in zip(step.inputs, downstream, strict=True):
            total[number] = _sum(total[number], g)
        return tuple(total.values())

    return Operation(
        "operation" if is_gate else "group",
        name_of_program(step),
        step.primitive.name,
        step.params,
        inner.path,
        None,
        _keys(inner.of, list(inputs)),
        _keys(inner.of, step.outputs),
        (place_of(step.source),),
        once(step.downstream),
        lambda gs: once(step.pull_back(gs)),
    )


def _is_one(scope: Scope) -> bool:
    """Is there but one operation in it?"""
    found = scope.of.found.steps
    return sum((about := meaning(found[at])) is None or not about.minor for at in scope.places) <= 1


def _folded_scope(scope: Scope) -> Operation:
    found = scope.of.found
    within = set(scope.places)
    inside = [found.steps[at] for at in scope.places]
    made = dict.fromkeys(number for step in inside for number in step.outputs)
    used = {n for at, step in enumerate(found.steps) if at not in within for n in step.inputs}
    used.update(found.outputs)
    downstream: dict[int, Any] = {}
    for step in inside:
        for number, g in zip(step.inputs, step.downstream, strict=True):
            if number not in made:
                downstream[number] = _sum(downstream.get(number), g)
    outputs = [number for number in made if number in used] or list(inside[-1].outputs)
    places = tuple(dict.fromkeys(place_of(step.source) for step in inside))
    return Operation(
        "group",
        title(scope.path[-1], [place_of(step.source) for step in inside]),
        None,
        {},
        scope.path,
        None,
        _keys(scope.of, list(downstream)),
        _keys(scope.of, outputs),
        places,
        tuple(downstream.values()),
    )


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def title(name: str, places: Sequence[Place] = ()) -> str:
    """What a block is called in a drawing: a layer that has but a number by what it does as well.

    >>> title("['conv1']"), title("attention")
    ('conv1', 'attention')
    """
    if not name.startswith("["):
        return name
    if "'" in name:
        return name.replace("['", "").replace("']", "")
    functions = [place.via.split("(")[-1][:-1] for place in places if place.via]
    named = [f for f in functions if not f.startswith("_") and "<" not in f]
    return f"{name} {named[-1]}" if named else name


# loops


def _open_loop(inner: Inner, flat: Flat) -> None:
    """The iterations in the order in which they are done; each hands its state to the next."""
    step, program = inner.step, inner.of
    before, constants, carried = inner.counts
    given = _keys(program, step.inputs[before:])
    state = given[constants : constants + carried]
    gave: dict[Any, tuple[Key, ...]] = {}  # by index, or indices: what is not carried on
    for run in _runs(inner, flat.view):
        taken = given[:constants] + state + given[constants + carried :]
        if len(run) == 1 and not _is_left_out(run, inner, flat.view):
            path = inner.iteration_path(run[0])
            if flat.is_open(path, inner.kind, True):
                outs = _open_iteration(inner, run[0], taken, flat)
            else:
                outs = _folded_iterations(inner, run, taken, path, path[-1], flat)
        else:
            outs = _folded_iterations(inner, run, taken, inner.path, f"… {len(run)} more", flat)
        state = outs[:carried]
        indices = [index_of(inner.calls[nth]) for nth in run]
        gave[indices[0] if len(run) == 1 else tuple(sorted(indices))] = outs[carried:]
    outputs = _keys(program, step.outputs)
    flat.join(outputs[:carried], state)
    for i, output in enumerate(outputs[carried:]):
        _stack(inner, output, step.upstream[carried + i], {k: v[i] for k, v in gave.items()}, flat)


def _is_left_out(run: Sequence[int], inner: Inner, view: View) -> bool:
    return run[0] not in _shown(inner, view)


def _shown(inner: Inner, view: View) -> set[int]:
    """Which iterations are shown, counted in the order in which they are done."""
    n, asked = len(inner.calls), view.chosen.get(inner.path)
    if isinstance(asked, tuple):
        unknown = sorted(set(asked) - {index_of(call) for call in inner.calls})
        if unknown:
            raise ValueError(
                f"{inner.path[-1]}: iterations run from 0 to {n - 1}, got {unknown[0]}"
            )
        return {nth for nth in range(n) if index_of(inner.calls[nth]) in asked}
    return set(range(n)) if n <= _MOST_ITERATIONS else {0, n - 1}


def _runs(inner: Inner, view: View) -> list[list[int]]:
    """The iterations one by one where they are shown, the others in runs."""
    shown = _shown(inner, view)
    runs: list[list[int]] = []
    for nth in range(len(inner.calls)):
        if nth in shown or nth - 1 in shown or not runs:
            runs.append([nth])
        else:
            runs[-1].append(nth)
    return runs


def _open_iteration(inner: Inner, nth: int, taken: Sequence[Key], flat: Flat) -> tuple[Key, ...]:
    _, constants, carried = inner.counts
    program = inner.iteration(nth)
    call, keys = inner.calls[nth], list(taken)
    for i in range(constants + carried, len(taken)):
        g = None if call.downstream is None else call.downstream[i]
        keys[i] = flat.make(call.values[i], g)
        downstream = _into_rows(inner, i, [nth], flat)
        label = f"[{index_of(call)}]"
        row = _of_loop(inner, label, program.path, (taken[i],), keys[i], (downstream,))
        flat.operations.append(row)
    flat.join(_keys(program, program.found.inputs), keys)
    _expand(program, program.parts, program.path, flat)
    return _keys(program, program.found.outputs)


def _of_loop(
    inner: Inner, label: str, path: Path, taken: Sequence[Key], gives: Key, downstream: Any
) -> Operation:
    """An operation that a loop does between its iterations: takes a row, or stacks them."""
    about = Meaning(label, {}, (), False)
    places = (place_of(inner.step.source),)
    keys = tuple(taken), (gives,)
    return Operation(
        "operation", label, None, {}, path, about, *keys, places, downstream, None, True
    )


def _folded_iterations(
    inner: Inner, run: Sequence[int], taken: Sequence[Key], path: Path, label: str, flat: Flat
) -> tuple[Key, ...]:
    _, constants, carried = inner.counts
    calls = [inner.calls[nth] for nth in run]
    downstream: list[Any] = []
    for i in range(len(taken)):
        gs = [call.downstream[i] for call in calls if call.downstream is not None]
        if i < constants:
            total = None
            for g in gs:
                total = _sum(total, g)
            downstream.append(total)
        elif i < constants + carried:
            downstream.append(gs[0] if gs else None)
        else:
            downstream.append(_into_rows(inner, i, run, flat))
    outs = [
        flat.make(calls[-1].outputs[i], calls[-1].upstream[i])  # type: ignore[index]
        if i < carried
        else flat.make(*_rows(calls, i))
        for i in range(len(calls[-1].outputs or ()))
    ]
    flat.operations.append(
        Operation(
            "group",
            label,
            inner.kind,
            inner.step.params,
            path,
            None,
            tuple(taken),
            tuple(outs),
            (place_of(inner.step.source),),
            tuple(downstream),
        )
    )
    return tuple(outs)


def _rows(calls: Sequence[Call], i: int) -> tuple[Any, Any]:
    """What some iterations gave, and the gradients of that; of one, as it is."""
    ordered = sorted(calls, key=index_of)
    values = [call.outputs[i] for call in ordered if call.outputs is not None]
    gs = [call.upstream[i] for call in ordered if call.upstream is not None]
    if len(calls) == 1:
        return values[0], gs[0]
    return _stacked(values), None if gs[0] is None else _stacked(gs)


def _into_rows(inner: Inner, i: int, run: Sequence[int], flat: Flat) -> Any:
    """What some iterations hand on to the array that they take their rows of: zeros elsewhere."""
    calls = [inner.calls[nth] for nth in run]
    gs = [call.downstream[i] for call in calls if call.downstream is not None]
    if not gs or gs[0] is None:
        return None
    before, *_ = inner.counts
    whole = inner.of.value(inner.step.inputs[before + i])
    at = np.array([index_of(call) for call in calls])
    rows = _stacked(gs)
    if isinstance(rows, jax.core.Tracer):
        return jnp.zeros(np.shape(whole), rows.dtype).at[at].set(rows)
    filled = np.zeros(np.shape(whole), rows.dtype)
    filled[at] = rows
    return jnp.asarray(filled)


def _stacked(rows: Sequence[Any]) -> Any:
    """The rows as one array: NumPy's, as JAX compiles a program of so many operands for it."""
    is_traced = any(isinstance(row, jax.core.Tracer) for row in rows)
    if is_traced or jax.dtypes.issubdtype(rows[0].dtype, jax.dtypes.extended):
        return jnp.stack(rows)
    return jnp.asarray(np.stack(rows))


def _stack(inner: Inner, output: Key, upstream: Any, gave: Mapping[Any, Key], flat: Flat) -> None:
    """What the iterations gave beside their state, as the array that the loop gives."""
    indices = sorted(gave, key=lambda at: at if isinstance(at, int) else at[0])
    rows = [np.array(at) for at in indices]
    downstream = tuple(None if upstream is None else upstream[at] for at in rows)
    keys = [gave[at] for at in indices]
    flat.operations.append(_of_loop(inner, "stack", inner.path, keys, output, downstream))
