"""Running products, extreme values and logarithms of sums."""

import numpy as np
from jax import lax

from .case import Variant, case, complex_normal, distinct, normal

_TIED = np.array([3.0, 0, 2, 2, 0, 3, 3, 1, 3, 3, 3, -1, 3, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5])
_ZEROS = np.array([2.0, 0, 3, -1, 0.5, 2, 0, 0, 1.5, 2, 1])
_INF = np.inf


def _along(run, axis, reverse):
    return lambda x: run(x, axis=axis, reverse=reverse)


for _name, _draw in (
    ("cumprod", normal),
    ("cummax", distinct),
    ("cummin", distinct),
    ("cumlogsumexp", normal),
):
    _run = getattr(lax, _name)
    case(
        _name,
        forwards=(_along(_run, 0, False), _draw(6)),
        backwards=(_along(_run, 1, True), _draw(2, 5)),
        single=(_along(_run, 0, False), _draw(1, 3)),
        empty=(_along(_run, 0, True), _draw(0, 3)),
        nan=Variant(_along(_run, 0, True), (np.array([1, 2, 0, np.nan, 3, -2, 4]),), False),
    )
# fours of fours, and up to three elements that are left
for _n in (2, 3, 4, 8, 23):
    case("cumprod", **{f"of_{_n}": (_along(lax.cumprod, 0, _n == 3), normal(_n))})
case(
    "cumprod",
    zeros=(_along(lax.cumprod, 0, False), _ZEROS),
    others_empty=(_along(lax.cumprod, 1, False), normal(0, 5)),
    complex=(_along(lax.cumprod, 0, False), complex_normal(6)),
)
for _name in ("cummax", "cummin"):
    _run = _along(getattr(lax, _name), 0, False)
    case(_name, ties=Variant(_run, (_TIED,), False), rising=(_run, np.arange(6) - 2.5))
_run = _along(lax.cumlogsumexp, 0, False)
case(
    "cumlogsumexp",
    infinite=Variant(_run, (np.array([1, -_INF, 2, _INF, 3, -2]),), False),
    nothing_first=Variant(_run, (np.array([-_INF, 1, 2, 0, -_INF, 2]),), False),
    complex=(_run, complex_normal(3)),
    fours=(_run, normal(11)),
)
