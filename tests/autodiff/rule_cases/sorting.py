"""Sorting."""

import numpy as np
from jax import lax

from funcnn.autodiff.jax_versions import primitive

from .case import Variant, case, complex_normal, distinct, indices, normal

_TIED = np.array([3.0, 1.0, 3.0, 2.0, 1.0, 3.0])

case(
    "sort",
    one=(lambda x: lax.sort(x), distinct(5)),
    several=(lambda x, y: lax.sort((x, y), dimension=0, num_keys=1), distinct(4, 3), normal(4, 3)),
    along_the_middle=(lambda x: lax.sort(x, dimension=1), distinct(2, 4, 2)),
    # integers go along; equal keys stay in order, or are ordered by a second key
    by_integers=(
        lambda i, x: lax.sort((i, x), num_keys=1, is_stable=True),
        indices(3, 7),
        distinct(7),
    ),
    two_keys=(
        lambda i, x, y: lax.sort((i, x, y), num_keys=2),
        indices(2, 3, 5),
        distinct(3, 5),
        normal(3, 5),
    ),
    unstable=(lambda x, i: lax.sort((x, i), is_stable=False), distinct(6), indices(9, 6)),
    ties=Variant(lambda x: lax.sort((x, x * x), num_keys=1), (_TIED,), False),
    only_values=(lambda y: lax.sort((np.arange(4)[::-1], y), num_keys=1)[1], normal(4)),
    only_keys=(lambda x: lax.sort((x, np.ones(4, x.dtype)))[0], distinct(4)),
    one_output=(lambda x, y: lax.sort((x, y))[1], distinct(4), normal(4)),
    complex=(lambda x: lax.sort(x), complex_normal(5)),
    single=(lambda x: lax.sort(x, dimension=0), distinct(1, 3)),
    empty=(lambda x: lax.sort(x, dimension=0), distinct(0, 3)),
    others_empty=(lambda x: lax.sort(x, dimension=1), distinct(0, 3)),
)
case(
    "top_k",
    rows=(lambda x: lax.top_k(x, 2), distinct(3, 5)),
    first_axis=(lambda x: lax.top_k(x, 3, axis=0), distinct(4, 2)),
    all=(lambda x: lax.top_k(x, 4), distinct(4)),
    ties=Variant(lambda x: lax.top_k(x, 2), (_TIED,), False),
    nothing=(lambda x: lax.top_k(x, 0), distinct(2, 3)),
    empty=(lambda x: lax.top_k(x, 2), distinct(0, 3)),
)
if primitive("approx_top_k_p") is not None:
    case(
        "approx_top_k",
        largest=(lambda x: lax.approx_max_k(x, 2), distinct(3, 5)),
        smallest=(lambda x: lax.approx_min_k(x, 2, reduction_dimension=0), distinct(5, 2)),
        all=(lambda x: lax.approx_max_k(x, 4), distinct(4)),
        not_gathered=(
            lambda x: lax.approx_max_k(x, 2, reduction_dimension=-1, aggregate_to_topk=False),
            distinct(4),
        ),
    )
