"""Matrix factorizations, and solves with matrices of known structure.

Papers pair a gradient G with a change dA as Re tr(Gᴴ dA), JAX a cotangent g as Re sum(g * dA): g
is the conjugate of G. So each formula here is the published one, conjugated: where that has Vᴴ G,
here stands Vᵀ g. Matrices are the last two axes, what stands before them is a batch. Where
eigenvalues or singular values coincide the vectors have no derivative: infinite or NaN, as in JAX.

Sources: Giles (2008), An extended collection of matrix derivative results; Murray (2016),
Differentiation of the Cholesky decomposition; Seeger et al. (2017), Auto-differentiating linear
algebra; Roberts & Roberts (2020), QR and LQ decomposition matrix backpropagation algorithms; Wan &
Zhang (2019), Automatic differentiation for complex valued SVD.
"""

import functools
import operator

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import linalg

from funcnn.autodiff.rules.table import (
    Recorded,
    defvjp,
    no_derivative,
    register,
    zero_derivative,
)


def _conj(x):
    return x if x is None or not jnp.iscomplexobj(x) else lax.conj(x)


def _T(x):
    return lax.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _H(x):
    return _conj(_T(x))


def _dot(x, y):
    """The matrix product, over a batch."""
    batch = tuple(range(x.ndim - 2))
    numbers = (((x.ndim - 1,), (x.ndim - 2,)), (batch, batch))
    return lax.dot_general(x, y, numbers, precision=lax.Precision.HIGHEST)


def _rows(v):
    """A number a row, as a column."""
    return lax.expand_dims(v, (v.ndim,))


def _columns(v):
    """A number a column, as a row."""
    return lax.expand_dims(v, (v.ndim - 1,))


def _eye_like(x, dtype=None):
    """The identity, over the batch of x; computed once, not for each matrix of it."""
    eye = jnp.eye(x.shape[-2], x.shape[-1], dtype=dtype or x.dtype)
    return lax.broadcast(eye, x.shape[:-2])


def _lower_mask(x):
    """Where it is below the diagonal."""
    row, column = (lax.broadcasted_iota(np.int32, x.shape[-2:], axis) for axis in (0, 1))
    return lax.broadcast(lax.gt(row, column), x.shape[:-2])


def _with_diagonal(x, diagonal):
    return x if diagonal is None else jnp.where(_eye_like(x, bool), diagonal, x)


def _add(*terms):
    """The sum of those that are there."""
    return functools.reduce(operator.add, [term for term in terms if term is not None])


def _half(x):
    """Φ: the lower triangle, with half the diagonal."""
    lower = jnp.tril(x)
    return _with_diagonal(lower, lower / 2)


def _mirrored(x):
    """The Hermitian matrix with the lower triangle of x."""
    mirrored = jnp.where(_lower_mask(x), x, _H(x))
    if not jnp.iscomplexobj(x):
        return mirrored
    return _with_diagonal(mirrored, lax.real(x).astype(x.dtype))


def _solve_triangular(a, b, *, left=True, lower=True, transpose=False, conjugate=False, unit=False):
    """A⁻¹ B, or B A⁻¹ if not `left`; of A, one triangle is read."""
    return linalg.triangular_solve(
        a,
        b,
        left_side=left,
        lower=lower,
        transpose_a=transpose,
        conjugate_a=conjugate,
        unit_diagonal=unit,
    )


def _take_rows(x, permutation):
    return jnp.take_along_axis(x, _rows(permutation), axis=-2, mode="promise_in_bounds")


def _put_rows(x, permutation):
    """Row i of x becomes row permutation[i]: only indices are scattered, the rows are gathered."""
    counted = lax.broadcasted_iota(permutation.dtype, permutation.shape, permutation.ndim - 1)
    inverse = jnp.put_along_axis(
        permutation, permutation, counted, axis=-1, inplace=False, mode="promise_in_bounds"
    )
    return _take_rows(x, inverse)


def _solve(a, b):
    """A⁻¹ B."""
    lu, _, permutation = linalg.lu(a)
    y = _solve_triangular(lu, _take_rows(b, permutation), unit=True)
    return _solve_triangular(lu, y, lower=False)


def _lower_product(factor, g):
    """The lower triangle of LᵀG for a lower triangular L, without most of what is not read."""
    n = factor.shape[-1]
    if n < 64:
        return _dot(_T(factor), g)
    h = n // 2
    upper = _dot(_T(factor[..., :h]), g[..., :h])
    corner = _T(factor[..., h:, h:])
    left = jnp.concatenate([upper, _dot(corner, g[..., h:, :h])], axis=-2)
    right = _dot(corner, g[..., h:, h:])
    above = jnp.zeros((*right.shape[:-2], h, n - h), right.dtype)
    return jnp.concatenate([left, jnp.concatenate([above, right], axis=-2)], axis=-1)


# A = L Lᴴ: dL = L Φ(L⁻¹ dA L⁻ᴴ). Only the lower triangle of A is read.
def _cholesky(g, out):
    factor = jnp.tril(out)
    inner = _mirrored(_lower_product(factor, g))
    inner = _solve_triangular(factor, inner, transpose=True)
    return _half(_solve_triangular(factor, inner, left=False, conjugate=True))


defvjp(linalg.cholesky_p, "a", a=_cholesky)
no_derivative(
    "JAX gives it none; jnp.linalg.cholesky(r.T @ r + jnp.outer(w, w)).T has one",
    linalg.cholesky_update_p,
)


# P A = L U: with dX = L⁻¹ P dA U⁻¹, dL = L strictly_lower(dX) and dU = upper(dX) U. Of a matrix
# that is not square, L or U is completed by columns or rows of the identity.
def _lu(gs, outs):
    g, lu, permutation = gs[0], outs[0], outs[2]
    m, n = lu.shape[-2:]
    k = min(m, n)
    square, g_square = lu[..., :k, :k], g[..., :k, :k]
    to_lower = _dot(_T(jnp.tril(square, -1)), g_square) + g_square
    to_upper = _dot(g_square, _T(jnp.triu(square)))
    if m > n:
        g_below = g[..., n:, :]
        to_upper = to_upper - _dot(_T(lu[..., n:, :]), g_below)
    if m < n:
        g_beside = g[..., m:]
        to_lower = to_lower - _dot(g_beside, _T(lu[..., m:]))
    inner = jnp.where(_lower_mask(to_lower), to_lower, to_upper)
    by_l = functools.partial(_solve_triangular, square, transpose=True, unit=True)
    by_u = functools.partial(_solve_triangular, square, transpose=True, lower=False, left=False)
    if m > n:
        rows = by_u(lax.concatenate([by_l(inner), g_below], g.ndim - 2))
    elif m < n:
        rows = by_l(lax.concatenate([by_u(inner), g_beside], g.ndim - 1))
    else:
        rows = by_u(by_l(inner))
    return _put_rows(rows, permutation)


defvjp(linalg.lu_p, "a", a=_lu)
zero_derivative(linalg.lu_pivots_to_permutation_p)


# A = Q R. A wide A = (A₁ A₂) is A₁ = Q R₁ and R₂ = Qᴴ A₂.
def _qr(gs, outs, full_matrices):
    (gq, gr), (q, r) = gs[:2], outs[:2]
    m, n = q.shape[-2], r.shape[-1]
    k = min(m, n)
    if full_matrices and m > n:
        gq = None if gq is None else _to_thin_q(gq, q, n)
        q, r = q[..., :n], r[..., :n, :]
        gr = None if gr is None else gr[..., :n, :]
    r1 = r[..., :k]
    by_r1 = functools.partial(_solve_triangular, r1, transpose=True, lower=False, left=False)
    # what reaches Q, as Qᵀ gq: from R₂ too
    to_q = None if gq is None else _dot(_T(q), gq)
    if n > k and gr is not None:
        to_q = _add(to_q, _H(_dot(gr[..., k:], _T(r[..., k:]))))
    to_r = None if gr is None else _dot(gr[..., :k], _T(r1))
    across = _H(_add(to_r, None if to_q is None else lax.neg(to_q)))
    if m > n and gq is not None:
        g = by_r1(gq + _dot(_conj(q), _mirrored(across)))
    else:
        # gq, if there is one, is in the space that Q spans, and joins the mirrored matrix: above
        # the diagonal only to_r is left, exactly: the last number on the diagonal of R may be zero
        below = _add(across, to_q)
        above = lax.full_like(below, 0) if to_r is None else to_r
        inner = jnp.where(_lower_mask(below), below, above)
        if jnp.iscomplexobj(q):
            phase = lax.full_like(lax.imag(below), 0) if to_q is None else lax.imag(to_q)
            inner = _with_diagonal(inner, lax.complex(lax.real(above), phase))
        inner = by_r1(inner)
        if n > k:
            rest = lax.full_like(r[..., k:], 0) if gr is None else gr[..., k:]
            inner = lax.concatenate([inner, rest], r.ndim - 1)
        g = _dot(_conj(q), inner)
    # the columns, if they were permuted
    return _T(_put_rows(_T(g), outs[2])) if len(outs) == 3 else g


def _to_thin_q(gq, q, n):
    """The cotangent of Q's first n columns: those added to them follow by Householder's choice.

    Source: arXiv 2409.13374, equations 32 and 33.
    """
    thin, added, g_added = q[..., :n], q[..., n:], gq[..., n:]
    upper, lower = thin[..., :n, :], thin[..., n:, :]
    z = _H(_solve(_H(upper - _eye_like(upper)), _H(lower)))
    g_lower = lax.neg(_conj(_dot(_T(g_added), thin + _dot(added, z))))
    g_upper = lax.neg(_dot(_T(z), g_lower))
    g_thin = lax.concatenate([g_upper, g_lower], q.ndim - 2)
    return gq[..., :n] + _dot(g_added, _conj(z)) + g_thin


defvjp(linalg.qr_p, "a", a=_qr)


def _inverse_gaps(gaps):
    """1 / gaps off the diagonal, zero on it."""
    eye = _eye_like(gaps)
    return lax.reciprocal(gaps + eye) - eye


# A V = V diag(w), V unitary
def _eigh(gs, outs, a_aval):
    (gv, gw), (v, w) = gs, outs
    gw = None if gw is None else gw.astype(v.dtype)
    if gv is None:
        return _dot(_conj(v), _rows(gw) * _T(v))
    _refuse_some_of("eigenvectors", v.shape[-1] < a_aval.shape[-1], "subset_by_index")
    gaps = _inverse_gaps(_columns(w) - _rows(w)).astype(v.dtype)
    inner = gaps * _dot(_T(v), gv)
    inner = _with_diagonal(inner, None if gw is None else _columns(gw))
    return _dot(_dot(_conj(v), inner), _T(v))


def _refuse_some_of(vectors, are_some, option):
    if are_some:
        raise NotImplementedError(
            f"The gradient reached {vectors} computed with {option}: these alone do not determine "
            f"their derivative. Compute them without {option}."
        )


defvjp(linalg.eigh_p, "a", a=_eigh)


# A = U diag(s) Vᴴ
def _svd(primitive, values, tracked, params):
    only_s = not params["compute_uv"]
    m, n = values[0].shape[-2:]
    if only_s:  # their derivative needs the vectors
        params = {**params, "compute_uv": True, "full_matrices": False}
    outs = primitive.bind(*values, **params)
    some = None
    if params["full_matrices"] and m != n:
        some = "full_matrices=True of a matrix that is not square"
    elif outs[0].shape[-1] < min(m, n):
        some = "subset_by_index"
    given = outs[:1] if only_s else outs
    return Recorded(given, [True] * len(given), outs, functools.partial(_from_svd, some))


def _from_svd(some, saved, gs):
    s, u, vt = saved
    gs, gu, gvt = [*gs, None, None][:3]
    k, m, n, dtype = s.shape[-1], u.shape[-2], vt.shape[-1], u.dtype
    gs = None if gs is None else gs.astype(dtype)
    if gu is None and gvt is None:
        u, vt = _conj(u[..., :k]), _conj(vt[..., :k, :])
        return [_dot(u * _columns(gs), vt) if m < n else _dot(u, _rows(gs) * vt)]
    _refuse_some_of("singular vectors", some is not None, some)
    gaps = (_columns(s) - _rows(s)) * (_columns(s) + _rows(s))
    gaps = _inverse_gaps(gaps).astype(dtype)
    along, down = _columns(s.astype(dtype)), _rows(s.astype(dtype))
    to_u = to_vt = from_u = from_vt = phase = None
    if gu is not None:
        to_u = _dot(_T(u), gu)
        turned = gaps * to_u
        from_u = (turned + _H(turned)) * along
        if jnp.iscomplexobj(u):
            none = lax.convert_element_type(s == 0, s.dtype)
            phase = lax.imag(to_u) * _columns(lax.reciprocal(s + none) - none)
            phase = lax.complex(lax.full_like(phase, 0), phase)
    if gvt is not None:
        to_vt = _dot(gvt, _T(vt))
        turned = gaps * _H(to_vt)
        from_vt = down * (turned + _H(turned))
    inner = _add(from_u, from_vt)
    if gs is not None or phase is not None:
        inner = _with_diagonal(inner, _add(None if gs is None else _columns(gs), phase))
    u, vt = _conj(u), _conj(vt)
    if m > n and gu is not None:  # gu may point out of the space that U spans
        return [_dot(_dot(u, inner - to_u / along) + gu / along, vt)]
    if m < n and gvt is not None:
        return [_dot(u, _dot(inner - to_vt / down, vt) + gvt / down)]
    return [_dot(u, _dot(inner, vt)) if m > n else _dot(_dot(u, inner), vt)]


register(linalg.svd_p, _svd)


# A V = V diag(w), each column of V of length 1, its largest number real. The left vectors are the
# right ones of Aᴴ, whose eigenvalues are the conjugates.
def _eig(primitive, values, tracked, params):
    [a] = values
    left, right = (params[f"compute_{side}_eigenvectors"] for side in ("left", "right"))
    if not (left or right):  # needed for the derivative, which does not depend on their phase
        params = {**params, "compute_right_eigenvectors": True, "enable_eigvec_derivs": True}
    outs = primitive.bind(*values, **params)
    given = outs if left or right else outs[:1]
    backward = functools.partial(
        _from_eig, left, params["enable_eigvec_derivs"], jnp.iscomplexobj(a)
    )
    return Recorded(given, [True] * len(given), outs, backward)


def _from_eig(left, with_vectors, is_complex, saved, gs):
    (w, *vectors), (gw, *gvectors) = saved, gs
    if any(g is not None for g in gvectors) and not with_vectors:
        raise NotImplementedError(
            "The gradient reached eigenvectors of a matrix that need not be symmetric. They have a "
            "derivative if all eigenvalues are distinct and no eigenvector has two components of "
            "the same, largest magnitude. Where that is so, call jax.lax.linalg.eig with "
            "enable_eigvec_derivs=True."
        )
    gvectors += [None] * (len(vectors) - len(gvectors))
    from_left = from_right = None
    if left:
        # the eigenvalues' gradient goes this way if there are no right vectors
        gw_left, gw = (None, gw) if len(vectors) == 2 else (_conj(gw), None)
        from_left = _to_matrix(lax.conj(w), vectors[0], gw_left, gvectors[0])
        from_left = None if from_left is None else _H(from_left)
    if len(vectors) > left:
        from_right = _to_matrix(w, vectors[-1], gw, gvectors[-1])
    g = _add(from_left, from_right)
    return [g if is_complex else lax.real(g)]


def _to_matrix(w, v, gw, gv):
    """The cotangent of the matrix with eigenvalues w and right eigenvectors v."""
    if gw is None and gv is None:
        return None
    if gv is None:
        return _solve(_T(v), _rows(gw) * _T(v))
    along = jnp.sum(v * gv, -2)
    largest = lax.argmax(lax.abs(v), v.ndim - 2, np.int32)
    largest = lax.broadcasted_iota(np.int32, v.shape, v.ndim - 2) == _columns(largest)
    zeros = lax.full_like(v, 0)
    real = jnp.sum(lax.real(jnp.where(largest, v, zeros)), -2)
    turn = lax.complex(lax.full_like(real, 0), lax.imag(along) / real)
    gv = gv - lax.conj(v) * _columns(lax.real(along).astype(v.dtype))
    gv = gv - jnp.where(largest, _columns(turn), zeros)
    inner = _inverse_gaps(_columns(w) - _rows(w)) * _dot(_T(v), gv)
    inner = _with_diagonal(inner, None if gw is None else _columns(gw))
    return _solve(_T(v), _dot(inner, _T(v)))


register(linalg.eig_p, _eig)


# op(A) X = B or X op(A) = B: what is solved with the transpose gives both cotangents
def _triangular_solve(primitive, values, tracked, params):
    a, b = values
    out = primitive.bind(a, b, **params)
    saved = (a, out if tracked[0] else None)
    backward = functools.partial(_from_triangular_solve, tracked, params)
    return Recorded([out], [True], saved, backward)


def _from_triangular_solve(tracked, params, saved, gs):
    (a, x), [g] = saved, gs
    transposed = {**params, "transpose_a": not params["transpose_a"]}
    solve = lambda rhs: linalg.triangular_solve(a, rhs, **transposed)
    across = lambda x, y: _dot(x, _T(y)) if params["left_side"] else _dot(_T(y), x)
    if not tracked[1] and a.size < g.size:  # the smaller one is solved for
        return [_triangle(solve(across(g, x)), params), None]
    gb = solve(g)
    return [_triangle(across(gb, x), params) if tracked[0] else None, gb]


def _triangle(g_op, params):
    """The cotangent of A from minus that of op(A)."""
    g = lax.neg(_T(g_op) if params["transpose_a"] else g_op)
    g = _conj(g) if params["conjugate_a"] else g
    skipped = int(params["unit_diagonal"])
    return jnp.tril(g, -skipped) if params["lower"] else jnp.triu(g, skipped)


register(linalg.triangular_solve_p, _triangular_solve)


# A X = B with the diagonals of A
def _tridiagonal_solve(primitive, values, tracked, params):
    dl, d, du, _ = values
    out = primitive.bind(*values, **params)
    saved = (dl, d, du, out if any(tracked[:3]) else None)
    backward = functools.partial(_from_tridiagonal_solve, tracked, params)
    return Recorded([out], [True], saved, backward)


def _from_tridiagonal_solve(tracked, params, saved, gs):
    (dl, d, du, x), [g] = saved, gs
    gb = linalg.tridiagonal_solve(_shift(du, 1, -1), d, _shift(dl, -1, -1), g, **params)
    on_diagonals = [
        lax.neg(jnp.sum(gb * _shift(x, by, -2), -1)) if is_tracked else None
        for by, is_tracked in zip((1, 0, -1), tracked[:3], strict=True)
    ]
    return [*on_diagonals, gb]


def _shift(x, by, axis):
    """Moves x along an axis; zeros come in."""
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (by, -by, 0)
    return lax.pad(x, np.zeros((), x.dtype), padding) if by else x


register(linalg.tridiagonal_solve_p, _tridiagonal_solve)


# α A Aᵀ + β C
defvjp(
    linalg.symmetric_product_p,
    "a c",
    a=lambda g, a, alpha: _dot(g + _T(g), a) * np.asarray(alpha, g.dtype),
    c=lambda g, beta: g * np.asarray(beta, g.dtype),
)


# Q = H₁ H₂ ... with Hᵢ = I - τᵢ vᵢ vᵢᴴ is I - V (I + D B)⁻¹ D Vᴴ: D = diag(τ), and B is what stands
# above the diagonal in Vᴴ V.
def _to_reflectors(g, c, a, taus):
    """The cotangents of the reflectors below the diagonal of `a`, and of taus, for Q C."""
    k = taus.shape[-1]
    v = jnp.tril(a[..., :k], -1)
    v = v + _eye_like(v)
    b = jnp.triu(_dot(_H(v), v), 1)
    m = _rows(taus) * b  # its unit diagonal is not read
    x = _dot(_H(v), c)
    y = _solve_triangular(m, _rows(taus) * x, lower=False, unit=True)
    z = _dot(_T(v), g)
    z = lax.neg(_solve_triangular(m, z, lower=False, unit=True, transpose=True))
    gm = lax.neg(_dot(z, _T(y)))
    g_taus = jnp.sum(b * gm, -1) + jnp.sum(x * z, -1)
    gb = jnp.triu(_rows(taus) * gm, 1)
    gv = _dot(_conj(v), gb + _H(gb)) + _conj(_dot(c, _T(_rows(taus) * z))) - _dot(g, _T(y))
    others = lax.full_like(a[..., k:], 0)
    return lax.concatenate([jnp.tril(gv, -1), others], a.ndim - 1), g_taus


def _to_ormqr(g, a, taus, c, left, transpose):
    """Re tr(Gᴴ op(C)) for the four products, each as Re tr(G'ᴴ Q C')."""
    if not left:  # C Q is (Qᴴ Cᴴ)ᴴ
        g, c, transpose = _H(g), _H(c), not transpose
    if transpose:
        g, c = _conj(c), _conj(g)
    return _to_reflectors(g, c, a, taus)


defvjp(
    linalg.ormqr_p,
    "a taus c",
    a=lambda g, a, taus, c, left, transpose: _to_ormqr(g, a, taus, c, left, transpose)[0],
    taus=lambda g, a, taus, c, left, transpose: _to_ormqr(g, a, taus, c, left, transpose)[1],
    c=lambda g, a, taus, left, transpose: _conj(
        linalg.ormqr(a, taus, _conj(g), left=left, transpose=not transpose)
    ),
)


def _to_householder(g, a, taus):
    return _to_reflectors(g, _eye_like(a), a, taus)


defvjp(
    linalg.householder_product_p,
    "a taus",
    a=lambda g, a, taus: _to_householder(g, a, taus)[0],
    taus=lambda g, a, taus: _to_householder(g, a, taus)[1],
)

no_derivative(
    "its outputs depend on how the algorithm chose among equivalent ones",
    linalg.schur_p,
    linalg.hessenberg_p,
    linalg.tridiagonal_p,
    "geqrf",
    "geqp3",
)
