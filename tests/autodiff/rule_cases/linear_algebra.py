"""Factorizations and solves.

Where vectors are determined only up to a sign or a phase, which of them LAPACK gives may jump:
those variants are held against JAX alone (smooth=False), and beside them stand functions of the
vectors that do not depend on the choice.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jax.lax import linalg

from .case import Variant, case, complex_normal, normal


def _h(x):
    return jnp.conj(jnp.swapaxes(x, -1, -2))


def _shifted(x, by=4.0):
    """Far from singular; with its lower triangle alone: positive definite."""
    return x + by * jnp.eye(x.shape[-1], dtype=x.dtype)


def _hermitian(x):
    return x + _h(x)


case(
    "cholesky",
    complex=(lambda x: linalg.cholesky(_shifted(x)), complex_normal(3, 3)),
    batch=(lambda x: linalg.cholesky(_shifted(x, 6.0)), normal(2, 2, 4, 4)),
    empty=(linalg.cholesky, normal(0, 2, 2)),
    # what stands above the diagonal is not the factor
    upper_cotangents=(
        lambda x: jnp.tril(linalg.cholesky_p.bind(_shifted(_hermitian(x)))),
        normal(2, 2),
    ),
    # JAX 0.10 gives the derivative for symmetric changes of A
    lower_only=Variant(
        lambda x: linalg.cholesky(_shifted(x), symmetrize_input=False),
        (complex_normal(3, 3),),
        in_jax=False,
    ),
)


def _lu(x):
    return linalg.lu(x)[0]


case(
    "lu",
    tall=(_lu, complex_normal(5, 3)),
    wide=(_lu, complex_normal(3, 4)),
    square=(_lu, np.roll(np.eye(4), 1, 0) * 5 + normal(4, 4)),
    batch=(_lu, normal(2, 2, 3, 2)),
    no_rows=(_lu, normal(0, 2)),
)

case(
    "lu_pivots_to_permutation",
    permutation=(
        lambda x, pivots: x * linalg.lu_pivots_to_permutation(pivots, 4).astype(x.dtype),
        normal(4),
        np.array([2, 3, 3], np.int32),
    ),
)


def _qr(full_matrices=False, pivoting=False):
    return lambda x: linalg.qr(x, full_matrices=full_matrices, pivoting=pivoting)[:2]


case(
    "qr",
    tall=(_qr(), complex_normal(4, 2)),
    wide=(_qr(), complex_normal(2, 2, 3)),
    only_q=(lambda x: linalg.qr(x, full_matrices=False)[0], normal(3, 2)),
    full=(_qr(True), complex_normal(2, 3, 2)),
    only_r=(lambda x: linalg.qr(x, full_matrices=False)[1], complex_normal(3, 2)),
    only_q_wide=(lambda x: linalg.qr(x, full_matrices=False)[0], complex_normal(2, 3)),
    only_r_wide=(lambda x: linalg.qr(x, full_matrices=False)[1], complex_normal(2, 3)),
    # a permutation that is not its own inverse
    pivoting=(_qr(pivoting=True), normal(4, 3) * np.array([3.0, 1.0, 9.0])),
    # in JAX the columns that are not pivots are those of the matrix before it is permuted, and a
    # batch of permutations is an error
    pivoting_wide=Variant(_qr(True, True), (complex_normal(2, 2, 4),), in_jax=False),
    no_rows=(_qr(), normal(0, 2)),
    no_columns=(_qr(True), normal(2, 0)),
)


def _eigh(**options):
    return lambda x: linalg.eigh(_hermitian(x), symmetrize_input=False, **options)


def _tanh(x):
    """Of a matrix: knows no phases of eigenvectors."""
    apart = np.diag(np.linspace(-4, 4, x.shape[-1])).astype(x.dtype)
    v, w = linalg.eigh(_hermitian(x) + apart)
    return (v * jnp.tanh(w)[..., None, :].astype(v.dtype)) @ _h(v)


case(
    "eigh",
    complex=Variant(_eigh(), (complex_normal(3, 3),), False),
    tanh=(_tanh, complex_normal(3, 3)),
    only_values=(lambda x: linalg.eigh(x)[1], complex_normal(3, 3)),
    only_vectors=Variant(lambda x: linalg.eigh(x)[0], (normal(3, 3),), False),
    batch=Variant(
        _eigh(lower=False, sort_eigenvalues=False, subset_by_index=(0, 3)),
        (normal(2, 3, 3),),
        False,
    ),
    vectors_of_equal_values=Variant(
        lambda x: linalg.eigh(np.eye(2, dtype=x.dtype) + 0 * x), (normal(2, 2),), False
    ),
    empty=(_eigh(), normal(0, 0)),
)


def _svd(x):
    return linalg.svd(x, full_matrices=False)


def _polar(x):
    """The unitary factor, which knows no phases of singular vectors."""
    u, _, vt = linalg.svd(x, full_matrices=False)
    return u @ vt


def _shrunk(x):
    u, s, vt = linalg.svd(x, full_matrices=False)
    return (u * jnp.tanh(s)[..., None, :].astype(u.dtype)) @ vt


def _values(x):
    return linalg.svd(x, compute_uv=False)


case(
    "svd",
    tall=Variant(_svd, (complex_normal(3, 2),), False),
    wide=Variant(_svd, (complex_normal(2, 3),), False),
    values=(_values, complex_normal(3, 2)),
    square=Variant(lambda x: linalg.svd(x), (complex_normal(3, 3),), False),
    unitary_tall=(_polar, complex_normal(4, 2)),
    shrunk_wide=(_shrunk, complex_normal(2, 2, 3)),
    only_u=Variant(lambda x: _svd(x)[0], (normal(3, 2),), False),
    only_vt_wide=Variant(lambda x: _svd(x)[2], (normal(2, 3),), False),
    values_wide=(
        lambda x: linalg.svd(x, compute_uv=False, subset_by_index=(0, 2)),
        normal(2, 4),
    ),
    # JAX has no derivative of anything here
    values_of_full=Variant(lambda x: linalg.svd(x)[1], (normal(2, 4),), in_jax=False),
    equal_values=Variant(lambda x: _svd(np.eye(2, dtype=x.dtype) + 0 * x), (normal(2, 2),), False),
    complex_zero_value=Variant(_svd, (np.array([[1 + 1j, 0], [0, 0]]),), False),
    no_rows=(_svd, normal(0, 2)),
    values_of_empty=(_values, normal(3, 0)),
)


def _eig(left=False, right=False):
    return lambda x: linalg.eig(
        x,
        compute_left_eigenvectors=left,
        compute_right_eigenvectors=right,
        enable_eigvec_derivs=left or right,
    )


case(
    "eig",
    left_and_right=(_eig(True, True), complex_normal(3, 3)),
    left=(_eig(left=True), complex_normal(2, 2)),
    batch=(_eig(right=True), normal(2, 2, 2)),
    values=(_eig(), normal(3, 3)),
    values_and_unused=Variant(
        lambda x: linalg.eig(x, compute_left_eigenvectors=False)[0], (normal(2, 2),), in_jax=False
    ),
    empty=(_eig(), normal(0, 0)),
)


def _solve(**options):
    return lambda a, b: linalg.triangular_solve(_shifted(a, 3.0), b, **options)


case(
    "triangular_solve",
    right=(_solve(), normal(3, 3), normal(2, 3)),
    left_adjoint=(
        _solve(left_side=True, lower=True, transpose_a=True, conjugate_a=True),
        complex_normal(3, 3),
        complex_normal(3, 2),
    ),
    left=(_solve(left_side=True), normal(2, 2, 3, 3), normal(2, 2, 3, 1)),
    left_transposed=(_solve(left_side=True, transpose_a=True), normal(2, 2), normal(2, 3)),
    conjugated=(_solve(conjugate_a=True), complex_normal(3, 3), complex_normal(2, 3)),
    right_adjoint=(
        _solve(conjugate_a=True, transpose_a=True, unit_diagonal=True),
        complex_normal(2, 2),
        complex_normal(3, 2),
    ),
    left_lower_unit=(
        _solve(left_side=True, lower=True, unit_diagonal=True),
        normal(3, 3),
        normal(3, 2),
    ),
    only_a=(lambda a: _solve(left_side=True)(a, np.ones((3, 2), a.dtype)), normal(3, 3)),
    only_a_wide_b=(
        lambda a: _solve(left_side=True, lower=True)(a, np.ones((2, 4), a.dtype)),
        normal(2, 2),
    ),
    only_a_tall_b=(
        lambda a: _solve(transpose_a=True, conjugate_a=True)(a, np.ones((4, 2), a.dtype)),
        complex_normal(2, 2),
    ),
    only_b=(lambda b: _solve()(np.eye(3, dtype=b.dtype), b), normal(2, 3)),
    empty=(_solve(), normal(0, 0), normal(2, 0)),
    no_columns=(_solve(left_side=True), normal(2, 2), normal(2, 0)),
)


def _tridiagonal(dl, d, du, b, **options):
    return linalg.tridiagonal_solve(dl, d + 5 * np.ones((), d.dtype), du, b, **options)


case(
    "tridiagonal_solve",
    complex=(_tridiagonal, *[complex_normal(3) for _ in range(3)], complex_normal(3, 2)),
    only_b=(lambda b: _tridiagonal(*np.ones((3, 3), b.dtype), b), normal(3, 1)),
    only_one_diagonal=(
        lambda dl: _tridiagonal(dl, *np.ones((2, 3), dl.dtype), np.ones((3, 2), dl.dtype)),
        normal(3),
    ),
    batch=(_tridiagonal, *[normal(2, 4) for _ in range(3)], normal(2, 4, 2)),
    one=(_tridiagonal, *[normal(1) for _ in range(3)], normal(1, 2)),
    no_columns=(_tridiagonal, *[normal(3) for _ in range(3)], normal(3, 0)),
    perturbed=(
        functools.partial(_tridiagonal, perturb_singular=True),
        *[normal(3) for _ in range(3)],
        normal(3, 1),
    ),
)


def _symmetric(alpha, beta):
    return lambda a, c: linalg.symmetric_product(a, c, alpha=alpha, beta=beta)


case(
    "symmetric_product",
    constants=(
        lambda x: x * _symmetric(1.0, 0.0)(np.ones((2, 3), x.dtype), np.ones((2, 2), x.dtype)),
        normal(2, 2),
    ),
    batch=Variant(
        lambda a, c: _symmetric(1.5, -0.5)(a * a, c * c),
        (normal(2, 3, 2), normal(2, 3, 3)),
        in_jax=False,
    ),
)

case(
    "householder_product",
    constants=(
        lambda x: x * linalg.householder_product(np.ones((2, 2), x.dtype), np.ones(1, x.dtype)),
        normal(2, 2),
    ),
    tall=Variant(linalg.householder_product, (normal(4, 3), normal(2)), in_jax=False),
    complex=Variant(
        linalg.householder_product, (complex_normal(3, 2), complex_normal(2)), in_jax=False
    ),
    batch=Variant(linalg.householder_product, (normal(2, 3, 2), normal(2, 2)), in_jax=False),
)


def _ormqr(left, transpose):
    return lambda a, taus, c: linalg.ormqr(a, taus, c, left=left, transpose=transpose)


case(
    "ormqr",
    only_c=Variant(
        lambda c: _ormqr(True, False)(np.ones((3, 2), c.dtype), np.ones(2, c.dtype), c),
        (normal(3, 2),),
        in_jax=False,
    ),
    constants=(
        lambda x: x * _ormqr(True, False)(*(np.ones(n, x.dtype) for n in ((2, 1), 1, (2, 2)))),
        normal(2, 2),
    ),
    **{
        f"{'left' if left else 'right'}_{'adjoint' if adjoint else 'plain'}": Variant(
            _ormqr(left, adjoint),
            (complex_normal(3, 2), complex_normal(2), complex_normal(*(shape))),
            in_jax=False,
        )
        for left, shape in ((True, (3, 4)), (False, (2, 3)))
        for adjoint in (False, True)
    },
    real=Variant(
        _ormqr(True, True), (normal(2, 3, 3), normal(2, 2), normal(2, 3, 1)), in_jax=False
    ),
)
