"""Reductions."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from .case import Variant, case, complex_normal, distinct, indices, normal, one, positive

_zeros = np.array([[2.0, 0.0, 3.0, -1.0], [0.0, 1.5, 0.0, 2.0], [0.0, 0.0, 1.0, 0.0]])
# first, as the second order is asked of the first variants
case(
    "reduce_prod",
    zeros=(lambda x: lax.reduce_prod(x, (1,)), _zeros),
    # more than one group of factors, the last one not full
    long=(lambda x: lax.reduce_prod(x, (0,)), positive(11, 2)),
)
for _name, _reduce, _draw in (
    ("reduce_sum", lax.reduce_sum, normal),
    ("reduce_max", lax.reduce_max, distinct),
    ("reduce_min", lax.reduce_min, distinct),
    ("reduce_prod", lax.reduce_prod, positive),
):
    case(
        _name,
        one=(lambda x, reduce=_reduce: reduce(x, (1,)), _draw(2, 3)),
        first=(lambda x, reduce=_reduce: reduce(x, (0,)), _draw(4, 3)),
        two=(lambda x, reduce=_reduce: reduce(x, (0, 2)), _draw(2, 3, 4)),
        all=(lambda x, reduce=_reduce: reduce(x, (0, 1)), _draw(2, 3)),
        none=(lambda x, reduce=_reduce: reduce(x, ()), _draw(2, 3)),
        single=(lambda x, reduce=_reduce: reduce(x, (0,)), _draw(1, 3)),
        empty=(lambda x, reduce=_reduce: reduce(x, (1,)), _draw(0, 3)),
    )
case(
    "reduce_sum",
    over_nothing=(lambda x: lax.reduce_sum(x, (0,)), normal(0, 3)),
    complex=(lambda x: lax.reduce_sum(x, (0,)), complex_normal(2, 3)),
)
# several extreme values in a row share its cotangent
_tied = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, -1.0, 5.0]])
for _name, _reduce in (("reduce_max", lax.reduce_max), ("reduce_min", lax.reduce_min)):
    _rows = lambda x, reduce=_reduce: reduce(x, (1,))
    case(
        _name,
        ties=Variant(_rows, (_tied,), False),
        complex=(_rows, complex_normal(2, 3)),
        nan=Variant(_rows, (np.array([[1.0, np.nan, 2.0], [3.0, 4.0, 4.0]]),), False),
    )
case(
    "reduce_prod",
    groups_of_groups=(lambda x: lax.reduce_prod(x, (0,)), positive(67)),
    several_axes=(lambda x: lax.reduce_prod(x, (0, 2)), positive(9, 2, 3)),
    over_nothing=(lambda x: lax.reduce_prod(x, (0,)), normal(0, 3)),
    complex=(lambda x: lax.reduce_prod(x, (0,)), complex_normal(3, 2)),
)


def _sum_of_exponents(axes):
    return lambda x: lax.reduce(x, one(x, -np.inf), jnp.logaddexp, axes)


def _larger_first(a, b):
    """The larger of the first values, and the second value that came with it."""
    larger = a[0] > b[0]
    return jnp.where(larger, a[0], b[0]), jnp.where(larger, a[1], b[1])


def _one_after_the_other(a, b):
    """Of two maps x -> slope * x + offset; the other order is another map."""
    return a[0] * b[0], a[1] * b[0] + b[1]


def _largest_and_partner(x, y):
    return lax.reduce((x, y), (one(x, -np.inf), one(y, 0)), _larger_first, (1,))


case(
    "reduce",
    rows=(_sum_of_exponents((1,)), normal(2, 3)),
    pair=(_largest_and_partner, distinct(3, 5), normal(3, 5)),
    in_order=(
        lambda x, y: lax.reduce((x, y), (one(x), one(y, 0)), _one_after_the_other, (0,)),
        normal(5),
        normal(5),
    ),
    two_axes=(_sum_of_exponents((0, 2)), normal(2, 3, 3)),
    all=(_sum_of_exponents((0, 1)), normal(4, 3)),
    none=(_sum_of_exponents(()), normal(4)),
    single=(_sum_of_exponents((0,)), normal(1, 2)),
    empty=(_sum_of_exponents((1,)), normal(0, 2)),
    over_nothing=Variant(_sum_of_exponents((0,)), (normal(0, 2),), False),
    # JAX has no derivative with respect to the initial value, and none beside integers
    initial=Variant(
        lambda x, y: lax.reduce(x, y, jnp.logaddexp, (0,)), (normal(3, 2), normal()), in_jax=False
    ),
    integers=Variant(_largest_and_partner, (distinct(3, 5), indices(9, 3, 5)), in_jax=False),
)
for _reverse in (False, True):
    _sum = lambda x, reverse=_reverse: lax.cumsum(x, axis=1, reverse=reverse)
    _way = "backwards" if _reverse else "forwards"
    case("cumsum", **{_way: (_sum, normal(2, 3, 2)), f"{_way}_empty": (_sum, normal(2, 0))})
