"""What one compiled program measures of a gradient, and the rows made of it.

Layers of the same shapes are measured together, stacked: a deep network of equal layers compiles
almost as fast as one of them.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnn.debug.flow import FlowRow, Path
from funcnn.debug.slopes import Slopes, slopes


class Gradients(NamedTuple):
    """Of one call of one layer; with a first axis for copies in a scan.

    Attributes:
      path, layer, shape: see `FlowRow`.
      order: with the number of the copy, sorts the rows.
      copies: the axes that the gradients and z have in front.
      by_input, by_output, by_params: pytrees.
      activation: f and z, where f could be an activation; or None.
      optional: whether there is no row where it is none.
      sites: the numbers of the places in the program where it is.
      after: those that its input is made of; None where each row is taken to be of those before.
    """

    path: Path
    layer: str
    shape: Any
    order: tuple[int, int]
    copies: tuple[int, ...]
    by_input: Any
    by_output: Any
    by_params: Any
    activation: tuple[Callable[[Any], Any], Any] | None = None
    optional: bool = False
    sites: frozenset[int] = frozenset()
    after: frozenset[int] | None = None


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["sizes", "slopes"],
    meta_fields=["known", "sized", "sloped"],
)
@dataclass
class Measured:
    """What comes out of the program.

    Attributes:
      known: of each call: path, layer, shape, order, copies, sites, after, and whether it is
        optional.
      sizes: one a group of gradients of equal sizes, with a first axis for these and their copies.
      slopes: likewise, for activations.
      sized: which gradients are in each group: number of the call, and 0, 1 or 2 for that by its
        input, output or parameters.
      sloped: which calls are in each group.
    """

    known: tuple[Any, ...]
    sizes: list["_Sums"]
    slopes: list[Slopes]
    sized: tuple[tuple[tuple[int, int], ...], ...]
    sloped: tuple[tuple[int, ...], ...]


class Sizes(NamedTuple):
    """Norm, mean size and share of zeros of a gradient."""

    norm: Any
    mean: Any
    zeros: Any


class _Sums(NamedTuple):
    """Of a vector of sizes, all in one go. Squares of tiny and of huge numbers need a scale."""

    count: Any
    entries: Any
    not_zero: Any
    of_scaled: Any
    """squares of entries · 2⁶⁰"""
    of_squares: Any
    of_reduced: Any
    """squares of entries / 2⁶⁰"""


def measure(calls: Sequence[Gradients], grad: Callable[..., Any]) -> Measured:
    """To be called while a program is being traced."""
    of_calls = [(call.by_input, call.by_output, call.by_params) for call in calls]
    vectors = {
        (i, place): _vector(call.copies, tree)
        for i, (call, trees) in enumerate(zip(calls, of_calls, strict=True))
        for place, tree in enumerate(trees)
        if any(g.size for g in jax.tree.leaves(tree))
    }
    functions, zs, programs = {}, {}, {}
    for i, call in enumerate(calls):
        if call.activation is not None:
            f, z = call.activation
            traced = jax.make_jaxpr(f)(jax.ShapeDtypeStruct(z.shape[len(call.copies) :], z.dtype))
            if traced.eqns:  # else it is no more than another shape's name
                functions[i], zs[i] = f, _flat(call.copies, z)
                # one that closes over arrays is alone
                programs[i] = i if traced.consts else str(traced)
    sized = _groups({name: (v.shape[1], v.dtype) for name, v in vectors.items()})
    sloped = _groups(programs)
    return Measured(
        tuple((*call[:5], call.sites, call.after, call.optional) for call in calls),
        [_stacked(_sums, [vectors[name] for name in group]) for group in sized],
        [
            _stacked(partial(slopes, functions[group[0]], grad=grad), [zs[i] for i in group])
            for group in sloped
        ],
        sized,
        sloped,
    )


def rows_of(measured: Measured) -> tuple[tuple[FlowRow, ...], tuple[tuple[int, ...], ...]]:
    """The rows, in order, those of copies one after another; and of each, which are made of it."""
    counts = [int(np.prod(copies)) for *_, copies, _, _, _ in measured.known]
    sizes = _unstacked(measured.sizes, measured.sized, lambda name: counts[name[0]])
    slopes = _unstacked(measured.slopes, measured.sloped, lambda i: counts[i])
    rows = []
    for i, (path, layer, shape, order, copies, sites, after, optional) in enumerate(measured.known):
        for n, copy in enumerate(np.ndindex(copies)):
            each = (sizes[i, place][n] if (i, place) in sizes else None for place in range(3))
            before, at, parameters = (None if sums is None else _sizes(sums) for sums in each)
            name = layer + "".join(f" copy {c}" for c in copy)
            steep = slopes[i][n] if i in slopes else None
            if steep is not None and not (steep.elementwise and steep.curved):
                steep = None
            if optional and steep is None:
                continue
            row = _row(path, name, shape, before, at or _NONE, parameters, steep)
            rows.append(((order[0], copy, order[1]), row, sites, after))
    rows.sort(key=lambda entry: entry[0])
    return tuple(row for _, row, _, _ in rows), tuple(
        tuple(j for j in range(i + 1, len(rows)) if rows[j][3] is None or rows[j][3] & sites)
        for i, (_, _, sites, _) in enumerate(rows)
    )


_NONE = Sizes(0.0, 0.0, 1.0)  # of a layer whose output has no gradient: integers


def _row(
    path: Path,
    layer: str,
    shape: Any,
    before: Sizes | None,
    at: Sizes,
    parameters: Sizes | None,
    steep: Slopes | None,
) -> FlowRow:
    return FlowRow(
        path,
        layer,
        shape,
        at.norm,
        at.mean,
        at.zeros,
        before.norm / at.norm if before is not None and at.norm > 0 else None,
        None if parameters is None else parameters.norm,
        None if steep is None else float(steep.largest),
        None if steep is None else float(steep.saturated),
        None if steep is None or not steep.has_off else float(steep.dead),
    )


def _sums(x: jax.Array) -> _Sums:
    """Of a vector, piece by piece: a sum in float32 stands still after 2²⁴ equal terms."""
    pieces = jnp.pad(x, (0, -x.size % min(x.size, _PIECE))).reshape(-1, min(x.size, _PIECE))
    # the maximum, of what is not negative, keeps XLA from squaring before it scales
    scaled = (jnp.maximum(pieces * scale, 0) for scale in (2.0**60, 1.0, 2.0**-60))
    squares = map(jnp.square, scaled)
    each = (pieces, (pieces != 0).astype(x.dtype), *squares)
    add = lambda a, b: tuple(p + q for p, q in zip(a, b, strict=True))
    sums = lax.reduce(each, (jnp.zeros((), x.dtype),) * len(each), add, (1,))
    return _Sums(jnp.asarray(x.size, x.dtype), *map(jnp.sum, sums))


_PIECE = 4096


def _sizes(sums: _Sums) -> Sizes:
    zeros = 1 - float(sums.not_zero / sums.count)
    return Sizes(_norm(sums), float(sums.entries / sums.count), zeros)


def _norm(sums: _Sums) -> float:
    if 1e-20 < sums.of_squares < math.inf:
        return math.sqrt(sums.of_squares)
    if 0 < sums.of_scaled < math.inf:
        return math.sqrt(sums.of_scaled) / 2.0**60
    if 0 < sums.of_reduced < math.inf:
        return math.sqrt(sums.of_reduced) * 2.0**60
    return float(sums.of_squares)


def _vector(copies: tuple[int, ...], tree: Any) -> jax.Array:
    """The absolute values of all arrays together, (copies, entries)."""
    leaves = [jnp.abs(g) for g in jax.tree.leaves(tree) if g.size]
    dtype = jnp.result_type(jnp.float32, *leaves)  # squares of float16 are no float16
    count = int(np.prod(copies))
    return jnp.concatenate([g.astype(dtype).reshape(count, -1) for g in leaves], axis=1)


def _flat(copies: tuple[int, ...], z: jax.Array) -> jax.Array:
    """z with one axis in the place of those of the copies."""
    return jnp.reshape(z, (-1, *z.shape[len(copies) :]))


def _groups(keys: Mapping[Any, Hashable]) -> tuple[tuple[Any, ...], ...]:
    """The names that have the same key."""
    groups: dict[Hashable, list[Any]] = {}
    for name, key in keys.items():
        groups.setdefault(key, []).append(name)
    return tuple(map(tuple, groups.values()))


def _stacked(function: Callable[[Any], Any], arrays: Sequence[jax.Array]) -> Any:
    return jax.vmap(function)(jnp.concatenate(arrays))


def _unstacked(
    values: Sequence[Any], groups: Sequence[Sequence[Any]], count: Callable[[Any], int]
) -> dict[Any, list[Any]]:
    """For each name in a group a list, with one entry a copy."""
    found = {}
    for stacked, group in zip(values, groups, strict=True):
        stacked, at = jax.tree.map(np.asarray, stacked), 0
        for name in group:
            copies = range(at, at + count(name))
            found[name] = [jax.tree.map(lambda a, n=n: a[n], stacked) for n in copies]
            at = copies.stop
    return found
