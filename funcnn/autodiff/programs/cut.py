"""Which values of a forward pass are kept for the backward pass: a minimum cut over their bytes."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from jax.extend.core import Literal
from jax.extend.core.primitives import jit_p

from funcnn.autodiff import jax_versions


def minimum_cut(
    eqns: Sequence[Any],
    wanted: Collection[Any],
    cost: Callable[[Any], float],
    can_be_made_again: Callable[[Any], bool],
    at_hand: Collection[Any] = (),
) -> set[Any]:
    """The variables to keep so that all those `wanted` can be made from them, at the least cost.

    Every variable is an edge whose capacity is the cost of keeping it; a value flows on to what is
    made from it by an equation that may be evaluated again. What cannot be made again is fed by
    the source, what is wanted drains into the sink. A set of kept variables that suffices is then
    a cut, and the cheapest one is the minimum cut (Ford and Fulkerson 1956). Of several as cheap,
    it is the one nearest to the sink, which leaves the least to be made again.

    Args:
      eqns: the forward pass.
      wanted: variables that the backward pass reads: made by `eqns`, or operands.
      cost: of keeping a variable, 0 or more; infinite where it must not be kept.
      can_be_made_again: of an equation: may it be evaluated a second time?
      at_hand: variables that need not be kept, such as constants.

    Returns:
      The kept variables. Operands among them are those that are needed.
    """
    maker = {v: eqn for eqn in eqns for v in eqn.outvars}
    number: dict[Any, int] = {}
    edges: dict[tuple[int, int], float] = {}
    source, sink = 0, 1
    before, after = (lambda v: 2 * number[v]), (lambda v: 2 * number[v] + 1)

    open_ends = list(wanted)
    number.update((v, i) for i, v in enumerate(dict.fromkeys(open_ends), start=1))
    edges.update(((after(v), sink), np.inf) for v in open_ends)
    while open_ends:
        v = open_ends.pop()
        if (before(v), after(v)) in edges:
            continue
        edges[before(v), after(v)] = cost(v)
        if v in at_hand:
            continue
        eqn = maker.get(v)
        if eqn is None or not can_be_made_again(eqn):
            edges[source, before(v)] = np.inf
            continue
        for u in eqn.invars:
            if not isinstance(u, Literal):
                number.setdefault(u, len(number) + 1)
                edges[after(u), before(v)] = np.inf
                open_ends.append(u)
    if not any(start == source for start, _ in edges):
        return set()
    behind = _side_of_the_sink(edges, source, sink)
    return {v for v in number if after(v) in behind and before(v) not in behind}


def _side_of_the_sink(edges: dict[tuple[int, int], float], source: int, sink: int) -> set[int]:
    """The nodes from which the sink can still be reached when the flow is at its maximum.

    By shortest augmenting paths (Edmonds and Karp 1972). scipy has it too, and takes longer to
    import than to trace a small network.
    """
    # more than all finite edges together: no minimum cut goes through one of these
    infinite = 2 * sum(c for c in edges.values() if c < np.inf) + 1
    left: dict[int, dict[int, float]] = {}  # what can still flow, from node to node
    for (u, v), capacity in edges.items():
        left.setdefault(u, {})[v] = min(capacity, infinite)
        left.setdefault(v, {}).setdefault(u, 0)
    while path := _shortest_path(left, source, sink):
        flow = min(left[u][v] for u, v in path)
        for u, v in path:
            left[u][v] -= flow
            left[v][u] += flow
    found = {sink}
    queue = [sink]
    for v in queue:
        new = [u for u in left[v] if left[u][v] > 0 and u not in found]
        found.update(new)
        queue += new
    return found


def _shortest_path(
    left: dict[int, dict[int, float]], source: int, sink: int
) -> list[tuple[int, int]]:
    """The edges of a shortest path along which something can still flow; none if there is none."""
    came_from, queue = {source: source}, [source]
    for u in queue:
        if u == sink:
            break
        for v, capacity in left[u].items():
            if capacity > 0 and v not in came_from:
                came_from[v] = u
                queue.append(v)
    path, v = [], sink
    while v in came_from and v != source:
        path.append((came_from[v], v))
        v = came_from[v]
    return path


def bytes_of(v: Any) -> int:
    """How much memory a variable's value takes."""
    return v.aval.size * v.aval.dtype.itemsize


def is_cheap(eqn: Any) -> bool:
    """Is it arithmetic, or does it only move values: as fast as to read the result from memory?

    Nothing that is random is (it would be another value), nor what has an effect.
    """
    return _made_of(_CHEAP, eqn)


def is_elementwise(eqn: Any) -> bool:
    """Is it cheap, or a function of single elements? Worth its time where memory is what counts."""
    return _made_of(_ELEMENTWISE, eqn)


def _made_of(primitives: frozenset[Any], eqn: Any) -> bool:
    if eqn.primitive is jit_p:
        inner = jax_versions.open_jaxpr(eqn.params["jaxpr"])
        return all(_made_of(primitives, e) for e in inner.eqns)
    return eqn.primitive in primitives


def _of_lax(names: str) -> frozenset[Any]:
    found = (jax_versions.primitive(f"{name}_p") for name in names.split())
    return frozenset(p for p in found if p is not None)


_CHEAP = _of_lax(
    """
    add sub mul neg max min abs sign clamp square integer_pow one_minus_square add_jaxvals
    eq ne lt le gt ge and or not xor select_n is_finite floor ceil round
    real imag complex conj convert_element_type reduce_precision copy stop_gradient iota
    broadcast_in_dim reshape squeeze transpose rev slice pad concatenate split stack unstack tile
    shift_left shift_right_logical shift_right_arithmetic bitcast_convert_type
    """
)
_ELEMENTWISE = _CHEAP | _of_lax(
    """
    div rem sqrt rsqrt cbrt exp exp2 expm1 log log1p logistic pow nextafter
    sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc
    gather dynamic_slice
    """
)
