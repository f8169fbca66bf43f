"""Reductions."""

import numpy as np
from jax import lax

from .case import Variant, case, complex_normal, distinct, normal

for _name, _reduce, _draw in (
    ("reduce_sum", lax.reduce_sum, normal),
    ("reduce_max", lax.reduce_max, distinct),
    ("reduce_min", lax.reduce_min, distinct),
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
    case(_name, ties=Variant(_rows, (_tied,), False))
for _reverse in (False, True):
    _sum = lambda x, reverse=_reverse: lax.cumsum(x, axis=1, reverse=reverse)
    _way = "backwards" if _reverse else "forwards"
    case("cumsum", **{_way: (_sum, normal(2, 3, 2)), f"{_way}_empty": (_sum, normal(2, 0))})
