"""Products summed over axes."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from .case import Variant, case, complex_normal, normal


def _dot(contract, batch=((), ()), **options):
    return lambda x, y: lax.dot_general(x, y, (contract, batch), **options)


case(
    "dot_general",
    matrices=(_dot(((1,), (0,))), normal(2, 3), normal(3, 4)),
    transposed=(_dot(((0,), (1,))), normal(3, 2), normal(4, 3)),
    vectors=(_dot(((0,), (0,))), normal(3), normal(3)),
    matrix_and_vector=(_dot(((1,), (0,))), normal(2, 3), normal(3)),
    vector_and_matrix=(_dot(((0,), (0,))), normal(3), normal(3, 2)),
    outer=(_dot(((), ())), normal(2), normal(3)),
    scalars=(_dot(((), ())), normal(), normal()),
    batch=(_dot(((2,), (1,)), ((0,), (0,))), normal(2, 3, 4), normal(2, 4, 5)),
    batch_elsewhere=(_dot(((0,), (2,)), ((2,), (1,))), normal(4, 3, 2), normal(5, 2, 4)),
    two_batch_axes=(
        _dot(((1,), (3,)), ((0, 2), (2, 0))),
        normal(2, 4, 3, 5),
        normal(3, 6, 2, 4),
    ),
    two_contracted=(_dot(((1, 2), (0, 1))), normal(2, 3, 4), normal(3, 4, 5)),
    two_contracted_crossed=(_dot(((1, 2), (1, 0))), normal(2, 3, 4), normal(4, 3, 5)),
    crossed_with_own_between=(_dot(((3, 0), (0, 2))), normal(2, 5, 3, 4), normal(4, 6, 2)),
    everything=(
        _dot(((3, 1), (0, 4)), ((2,), (2,))),
        normal(2, 3, 4, 5),
        normal(5, 2, 4, 6, 3),
    ),
    three_contracted=(_dot(((0, 1, 2), (2, 0, 1))), normal(2, 3, 4), normal(3, 4, 2)),
    empty_sum=(_dot(((1,), (0,))), normal(2, 0), normal(0, 3)),
    empty_rows=(_dot(((1,), (0,))), normal(0, 2), normal(2, 3)),
    twice=(lambda x: lax.dot_general(x, x, (((1,), (0,)), ((), ()))), normal(3, 3)),
    constant_left=(
        lambda y: lax.dot_general(np.ones((2, 3), y.dtype), y, (((1,), (0,)), ((), ()))),
        normal(3, 4),
    ),
    constant_right=(
        lambda x: lax.dot_general(x, np.ones((3, 2), x.dtype), (((1,), (0,)), ((), ()))),
        normal(4, 3),
    ),
    precise=(_dot(((1,), (0,)), precision="highest"), normal(2, 3), normal(3, 4)),
    two_precisions=(
        _dot(((1,), (0,)), precision=(lax.Precision.HIGHEST, lax.Precision.DEFAULT)),
        normal(2, 3),
        normal(3, 4),
    ),
    wider_result=Variant(
        lambda x, y: lax.dot_general(
            x.astype(jnp.bfloat16),
            y.astype(jnp.bfloat16),
            (((1,), (0,)), ((), ())),
            preferred_element_type=jnp.float32,
        ),
        (normal(2, 3), normal(3, 4)),
        False,
    ),
    complex=(_dot(((1,), (0,))), complex_normal(2, 3), complex_normal(3, 4)),
)
