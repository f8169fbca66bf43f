"""Reading and writing at computed places. A read gives back a sum into zeros; a write, a read.

Places that are no two the same (one window, or the caller's promise) are written, not added to.
"""

import inspect
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnn.autodiff.rules.table import Recorded, defvjp, linear, register
from funcnn.autodiff.sharding import cotangent_sharding, zeros_for


class _Places(NamedTuple):
    """The windows of an array that `indices` point to, one for each update."""

    indices: Any
    updates_aval: Any
    dimension_numbers: Any
    indices_are_sorted: bool
    unique_indices: bool
    mode: lax.GatherScatterMode

    def are_distinct(self):
        batches = self.dimension_numbers.scatter_indices_batching_dims
        shape = self.indices.shape[:-1]
        return (
            self.unique_indices
            or math.prod(n for d, n in enumerate(shape) if d not in batches) == 1
        )

    def write(self, x, updates, how=lax.scatter):
        return how(
            x,
            self.indices,
            updates,
            self.dimension_numbers,
            indices_are_sorted=self.indices_are_sorted,
            unique_indices=self.are_distinct(),
            mode=self.mode,
        )

    def read(self, x, fill_value=0):
        """What `x` has at the places; `fill_value` for those that a write would drop."""
        if not x.size:
            sharding = cotangent_sharding(self.updates_aval)
            return lax.full(self.updates_aval.shape, fill_value, x.dtype, sharding=sharding)
        to = self.dimension_numbers
        numbers = lax.GatherDimensionNumbers(
            offset_dims=to.update_window_dims,
            collapsed_slice_dims=to.inserted_window_dims,
            start_index_map=to.scatter_dims_to_operand_dims,
            operand_batching_dims=to.operand_batching_dims,
            start_indices_batching_dims=to.scatter_indices_batching_dims,
        )
        return lax.gather(
            x,
            self.indices,
            numbers,
            self.sizes(x.ndim),
            indices_are_sorted=self.indices_are_sorted,
            unique_indices=self.are_distinct(),
            mode=self.mode,
            fill_value=fill_value,
        )

    def sizes(self, ndim):
        """The size of a window along each axis of the array."""
        windows = self.window_axes(ndim)
        return [self.updates_aval.shape[windows[d]] if d in windows else 1 for d in range(ndim)]

    def window_axes(self, ndim):
        """The axes of the array that windows extend along, with the updates' axis for each."""
        to = self.dimension_numbers
        single = (*to.inserted_window_dims, *to.operand_batching_dims)
        return dict(
            zip((d for d in range(ndim) if d not in single), to.update_window_dims, strict=True)
        )

    def winners(self, shape):
        """Where in an array of this shape anything is written, and which updates stay there.

        Each update is written under a number. Along an axis that every window spans, all elements
        fare alike: there, both answers have length 1.
        """
        windows = self.window_axes(len(shape))
        updates = list(self.updates_aval.shape)
        numbered = [1 if d in windows.values() else n for d, n in enumerate(updates)]
        shape = list(shape)
        for d, update_d in windows.items():
            if updates[update_d] == shape[d]:
                shape[d] = updates[update_d] = 1
        numbers = lax.iota(np.uint32, math.prod(numbered)) + np.uint32(1)
        numbers = jnp.broadcast_to(lax.reshape(numbers, numbered), updates)
        at = self._replace(updates_aval=jax.typeof(numbers))
        stay = at.write(lax.full(shape, 0, np.uint32), numbers)
        return stay != 0, at.read(stay) == numbers


def _with_places(function):
    """A rule in which `at` is where the primitive reads or writes."""
    names = [name for name in inspect.signature(function).parameters if name != "at"]
    needed = tuple(dict.fromkeys((*names, *_Places._fields)))

    def with_places(*values):
        known = dict(zip(needed, values, strict=True))
        at = _Places(*(known[name] for name in _Places._fields))
        return function(at=at, **{name: known[name] for name in names})

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in needed]
    rule: Any = with_places
    rule.__signature__ = inspect.Signature(parameters)
    return rule


def _undo_gather(
    g, operand_aval, indices, dimension_numbers, indices_are_sorted, unique_indices, mode
):
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=dimension_numbers.offset_dims,
        inserted_window_dims=dimension_numbers.collapsed_slice_dims,
        scatter_dims_to_operand_dims=dimension_numbers.start_index_map,
        operand_batching_dims=dimension_numbers.operand_batching_dims,
        scatter_indices_batching_dims=dimension_numbers.start_indices_batching_dims,
    )
    at = _Places(indices, jax.typeof(g), numbers, indices_are_sorted, unique_indices, mode)
    zeros = zeros_for(g, operand_aval)
    # places that are distinct may meet where they are clipped to the bounds
    may_meet = not at.are_distinct() or (unique_indices and mode is lax.GatherScatterMode.CLIP)
    return at.write(zeros, g, lax.scatter_add if may_meet else lax.scatter)


linear(lax.gather_p, "operand indices", operand=_undo_gather)
linear(
    lax.scatter_add_p,
    "operand indices updates",
    operand=lambda g: g,
    updates=_with_places(lambda g, at: at.read(g)),
)
linear(
    lax.scatter_sub_p,
    "operand indices updates",
    operand=lambda g: g,
    updates=_with_places(lambda g, at: lax.neg(at.read(g))),
)


# multiplication: an update's cotangent has the operand as a factor, and the updates that were
# written to the same place
def _other_factors(at, updates, shape):
    """For each update the product of all others at its place. Nothing is divided: one may be 0.

    The updates are sorted by their places; those of one place then follow one another, and the
    products of what comes before and what comes after are two running products.
    """
    numbers = lax.reshape(lax.iota(np.int32, math.prod(shape)), shape)
    places = lax.reshape(at.read(numbers, fill_value=-1), (updates.size,))
    places, order = lax.sort((places, lax.iota(np.int32, updates.size)), num_keys=1)
    factors = lax.reshape(updates, (updates.size,))[order]
    is_new = places[1:] != places[:-1]

    def combine(before, after):
        new, product = after
        return before[0] | new, jnp.where(new, product, before[1] * product)

    def running(new, factors):
        """The products of what comes before."""
        one = jnp.ones_like(factors[:1])
        _, products = lax.associative_scan(combine, (new, factors))
        return jnp.concatenate([one, jnp.where(new[1:], one, products[:-1])])

    edge = jnp.ones_like(places[:1], bool)
    before = running(jnp.concatenate([edge, is_new]), factors)
    after = running(jnp.concatenate([edge, is_new[::-1]]), factors[::-1])[::-1]
    others = before * after
    others = (
        jnp.zeros_like(others).at[order].set(others, unique_indices=True, mode="promise_in_bounds")
    )
    return lax.reshape(others, updates.shape)


def _to_factors(g, at, operand, updates):
    to_updates = lax.mul(at.read(g), at.read(operand))
    if at.are_distinct() or not updates.size:
        return to_updates
    return lax.mul(to_updates, _other_factors(at, updates, operand.shape))


defvjp(
    lax.scatter_mul_p,
    "operand indices updates",
    operand=_with_places(lambda g, at, updates: at.write(g, updates, lax.scatter_mul)),
    updates=_with_places(_to_factors),
)


# extreme values: those that are equal to the result have equal shares
def _weights(at, operand, updates, out):
    """At each update, the share of the operand's element there, and of the update."""
    there = at.read(out)
    one = np.ones((), there.dtype)
    won, stays = lax.eq(updates, there), lax.eq(at.read(operand), there)
    number = won.astype(there.dtype)
    if not at.are_distinct():
        number = at.read(at.write(lax.full_like(out, 0), number, lax.scatter_add))
    share = lax.div(one, number + stays.astype(there.dtype))
    return jnp.where(stays, share, 0), jnp.where(won, share, 0)


def _to_extreme_operand(g, at, operand, updates, out):
    share, _ = _weights(at, operand, updates, out)
    # updates of one place write the same value
    return at.write(g, lax.mul(at.read(g), share))


def _to_extreme_updates(g, at, operand, updates, out):
    _, share = _weights(at, operand, updates, out)
    return lax.mul(at.read(g), share)


for _primitive in (lax.scatter_min_p, lax.scatter_max_p):
    defvjp(
        _primitive,
        "operand indices updates",
        operand=_with_places(_to_extreme_operand),
        updates=_with_places(_to_extreme_updates),
    )


def _scatter(primitive, values, tracked, params):
    """Where several updates are written to one place, one stays: which, is not specified.

    So that value and gradient agree about it, it is found out first, and only what stays is
    written.
    """
    if params["update_jaxpr"] is not None:
        raise NotImplementedError(
            "lax.scatter_apply, and x.at[i].apply(f), have no derivative. Where no two indices are "
            "the same, x.at[i].set(f(x[i])) gives the same and has one."
        )
    operand, indices, updates = values
    updates_aval = jax.typeof(updates)
    options = [updates_aval, *(params[name] for name in _Places._fields[2:])]
    at = _Places(indices, *options)
    if at.are_distinct() or not tracked[2]:

        def backward(indices, gs):
            [g], at = gs, _Places(indices, *options)
            return [
                at.write(g, zeros_for(g, updates_aval)) if tracked[0] else None,
                None,
                at.read(g) if tracked[2] else None,
            ]

        return Recorded([primitive.bind(*values, **params)], [True], indices, backward)

    written, stays = at.winners(operand.shape)
    out = at.write(jnp.where(written, 0, operand), jnp.where(stays, updates, 0), lax.scatter_add)

    def backward_of_winners(saved, gs):
        [g], (indices, written, stays) = gs, saved
        at = _Places(indices, *options)
        return [
            jnp.where(written, 0, g) if tracked[0] else None,
            None,
            jnp.where(stays, at.read(g), 0),
        ]

    return Recorded([out], [True], (indices, written, stays), backward_of_winners)


register(lax.scatter_p, _scatter)


# The starts that a primitive gets are final: `allow_negative_indices` would count them from the end
# a second time.
def _placed(into, part, start):
    return lax.dynamic_update_slice(into, part, start, allow_negative_indices=False)


linear(
    lax.dynamic_slice_p,
    "operand *start",
    operand=lambda g, operand_aval, start: _placed(zeros_for(g, operand_aval), g, start),
)
linear(
    lax.dynamic_update_slice_p,
    "operand update *start",
    operand=lambda g, update_aval, start: _placed(g, zeros_for(g, update_aval), start),
    update=lambda g, update_aval, start: lax.dynamic_slice(
        g, start, update_aval.shape, allow_negative_indices=False
    ),
)
