"""Products summed over shared axes: matrix products of every kind, as lax's `dot_general`.

For Y = XW: the cotangent of X is G Wᵀ and that of W is Xᵀ G (deck B, row 26; deck D, row 20).
"""

from typing import NamedTuple

import jax
import numpy as np
from jax import lax

from funcnn.autodiff.rules.table import linear
from funcnn.autodiff.sharding import cotangent_sharding, of_axes


def of_type(product, aval):
    """In the type of the operand: of a complex product, one that is real gets the real part."""
    if product.dtype == aval.dtype:
        return product
    complex_product = jax.dtypes.issubdtype(product.dtype, np.complexfloating)
    if complex_product and not jax.dtypes.issubdtype(aval.dtype, np.complexfloating):
        product = lax.real(product)
    return lax.convert_element_type(product, aval.dtype)


def to_left(g, other, aval, dimension_numbers, precision, preferred_element_type, g_first):
    """The cotangent of one side: `g` contracted with `other` over the axes that are only other's.

    `dimension_numbers` are given as seen from this side: ((mine, other's) contracted,
    (mine, other's) batch). `g_first`: this side is the left one, so that its own axes stand before
    the other's in `g`.
    """
    (mine, others), (my_batch, other_batch) = dimension_numbers
    my_own = [d for d in range(len(aval.shape)) if d not in (*mine, *my_batch)]
    other_own = [d for d in range(other.ndim) if d not in (*others, *other_batch)]
    # the product's axes: batch, my own, and what was contracted, in the order it has in `other`
    contracted = [m for _, m in sorted(zip(others, mine, strict=True))]
    order = [*my_batch, *my_own, *contracted]
    batch = list(range(len(my_batch)))
    first = len(batch) + (len(my_own) if g_first else 0)
    other_in_g = list(range(first, first + len(other_own)))
    left, right = (g, other_in_g, batch), (other, other_own, list(other_batch))
    if len(order) > 2 and not g_first and order != sorted(order):
        # Xᵀ G rather than Gᵀ X: between an axis of X and two of G, nothing has to be moved
        left, right = right, left
        order = [*my_batch, *contracted, *my_own]
    product = lax.dot_general(
        left[0],
        right[0],
        ((left[1], right[1]), (left[2], right[2])),
        precision=precision,
        preferred_element_type=preferred_element_type,
        out_sharding=of_axes(cotangent_sharding(aval, beside=g), order),
    )
    if order == [1, 0] and product.shape[0] <= _FEW < _MANY <= product.shape[1]:
        product = lax.optimization_barrier(product)
    product = lax.transpose(product, sorted(range(len(order)), key=order.__getitem__))
    return of_type(product, aval)


# XLA's CPU backend is slow at tall products of few columns, as a kernel's gradient often is, and
# quick at the same product lying down, unless the transpose after it is folded into it again
_FEW, _MANY = 32, 256


def swap(dimension_numbers):
    (left, right), (left_batch, right_batch) = dimension_numbers
    return (right, left), (right_batch, left_batch)


linear(
    lax.dot_general_p,
    "lhs rhs",
    lhs=lambda g, rhs, lhs_aval, dimension_numbers, precision, preferred_element_type: to_left(
        g, rhs, lhs_aval, dimension_numbers, precision, preferred_element_type, True
    ),
    rhs=lambda g, lhs, rhs_aval, dimension_numbers, precision, preferred_element_type: to_left(
        g, lhs, rhs_aval, swap(dimension_numbers), precision, preferred_element_type, False
    ),
)


# Ragged products: one axis of the left side is cut into groups. If it stays, each group is
# multiplied by a matrix of its own; if it is summed over, each group gives a matrix of its own. The
# cotangents of one kind are products of the other.
class _Axes(NamedTuple):
    """Where things stand in both sides, and in `g`: group (if any), batch, left's, right's own."""

    contracted: tuple[tuple[int, ...], tuple[int, ...]]
    batch: tuple[tuple[int, ...], tuple[int, ...]]
    own: tuple[list[int], list[int]]
    ragged: int
    group: tuple[int, ...]
    summed: bool
    """is the ragged axis summed over, so that it is `g` that has an axis of groups?"""
    batch_in_g: list[int]
    own_in_g: tuple[list[int], list[int]]


def _axes(numbers, left_ndim, right_ndim):
    contracted, batch = numbers.dot_dimension_numbers
    [ragged], group = numbers.lhs_ragged_dimensions, numbers.rhs_group_dimensions
    left = [d for d in range(left_ndim) if d not in (*contracted[0], *batch[0])]
    right = [d for d in range(right_ndim) if d not in (*contracted[1], *batch[1], *group)]
    summed = ragged in contracted[0]
    place = iter(range(summed, summed + len(batch[0]) + len(left) + len(right)))
    batch_in_g, left_in_g, right_in_g = ([next(place) for _ in d] for d in (batch[0], left, right))
    own_in_g = (left_in_g, right_in_g)
    return _Axes(contracted, batch, (left, right), ragged, group, summed, batch_in_g, own_in_g)


def _ragged_dot(x, y, sizes, numbers, order, aval, precision, preferred_element_type):
    """A ragged product, with its axes put into `order`: which of the operand's each of them is."""
    product = lax.ragged_dot_general(
        x,
        y,
        sizes,
        lax.RaggedDotDimensionNumbers(*numbers),
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    if order == [1, 0] and product.shape[0] <= _FEW < _MANY <= product.shape[1]:
        product = lax.optimization_barrier(product)
    product = lax.transpose(product, sorted(range(len(order)), key=order.__getitem__))
    return of_type(product, aval)


def _paired(mine, others):
    """The axes `mine` in the order of the `others` they are contracted with."""
    return [m for _, m in sorted(zip(others, mine, strict=True))]


def _to_ragged_left(
    g, rhs, group_sizes, lhs_aval, ragged_dot_dimension_numbers, precision, preferred_element_type
):
    a = _axes(ragged_dot_dimension_numbers, len(lhs_aval.shape), rhs.ndim)
    (left, right), contracted = a.batch, _paired(*a.contracted)
    if a.summed:
        x, y = rhs, g
        ragged = dict(zip(*a.contracted, strict=True))[a.ragged]
        numbers = ((a.own[1], a.own_in_g[1]), (right, a.batch_in_g)), [ragged], [0]
        order = [*left, *contracted, *a.own[0]]
    else:
        x, y = g, rhs
        in_g = zip((*left, *a.own[0]), (*a.batch_in_g, *a.own_in_g[0]), strict=True)
        numbers = (
            ((a.own_in_g[1], a.own[1]), (a.batch_in_g, right)),
            [dict(in_g)[a.ragged]],
            a.group,
        )
        order = [*left, *a.own[0], *contracted]
    options = precision, preferred_element_type
    return _ragged_dot(x, y, group_sizes, numbers, order, lhs_aval, *options)


def _to_ragged_right(
    g, lhs, group_sizes, rhs_aval, ragged_dot_dimension_numbers, precision, preferred_element_type
):
    a = _axes(ragged_dot_dimension_numbers, lhs.ndim, len(rhs_aval.shape))
    numbers = (
        ((a.own[0], a.own_in_g[0]), (a.batch[0], a.batch_in_g)),
        [a.ragged],
        [0] if a.summed else [],
    )
    order = [*a.group, *a.batch[1], *_paired(*a.contracted[::-1]), *a.own[1]]
    options = precision, preferred_element_type
    return _ragged_dot(lhs, g, group_sizes, numbers, order, rhs_aval, *options)


linear("ragged_dot_general", "lhs rhs group_sizes", lhs=_to_ragged_left, rhs=_to_ragged_right)
