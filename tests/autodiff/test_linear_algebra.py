"""jnp.linalg and jax.scipy.linalg: funcnn.grad against jax.grad, and what JAX cannot do."""

import functools

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
import pytest
from jax.lax import linalg

import funcnn

from .agreement import assert_agree

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def positive(x):
    return x @ x.T + x.shape[0] * jnp.eye(x.shape[0])


def gaussian_process(x):
    """The log marginal likelihood of three observations under a squared exponential kernel."""
    points, (length, noise, *_), observed = x[0], jnp.exp(x[1]), x[2]
    distance = (points[:, None] - points) / length
    factor = jsl.cho_factor(jnp.exp(-(distance**2) / 2) + noise * jnp.eye(3), lower=True)
    return observed @ jsl.cho_solve(factor, observed) / 2 + jnp.sum(jnp.log(jnp.diag(factor[0])))


def condition(p):
    return lambda x: jnp.linalg.cond(x, p)


def norm(order, axis=None):
    return lambda x: jnp.linalg.norm(x, order, axis)


# each of a 3 x 3 matrix far from singular
FUNCTIONS = {
    "determinants": {
        "det": jnp.linalg.det,
        "det of two": lambda x: jnp.linalg.det(jnp.stack([x, x.T @ x])),
        "det of a singular matrix": lambda x: jnp.linalg.det(x.at[0].set(2 * x[1])),
        "slogdet": jnp.linalg.slogdet,
        "slogdet of complex": lambda x: jnp.linalg.slogdet(x + 1j * x.T),
        "scipy det": jsl.det,
        "trace": jnp.linalg.trace,
        "diagonal": jnp.linalg.diagonal,
        "matrix_rank": lambda x: x * jnp.linalg.matrix_rank(x),
    },
    "solves": {
        "inv": jnp.linalg.inv,
        "solve": lambda x: jnp.linalg.solve(x, x[:, :2] ** 2),
        "solve of a vector": lambda x: jnp.linalg.solve(x, x[0]),
        "solve of two": lambda x: jnp.linalg.solve(jnp.stack([x, x.T]), x[:, :1]),
        "solve of complex": lambda x: jnp.linalg.solve(x + 1j * x.T, x[:, 0]),
        "pinv": lambda x: jnp.linalg.pinv(x[:, :2]),
        "pinv, hermitian": lambda x: jnp.linalg.pinv(x + x.T, hermitian=True),
        "tensorsolve": lambda x: jnp.linalg.tensorsolve(x, x[0]),
        "tensorinv": lambda x: jnp.linalg.tensorinv(x, ind=1),
    },
    "solves of a known kind": {
        "lstsq": lambda x: jnp.linalg.lstsq(x[:, :2], x[:, 2])[0],
        "cho_solve": lambda x: jsl.cho_solve(jsl.cho_factor(positive(x)), x),
        "lu_solve": lambda x: [jsl.lu_solve(jsl.lu_factor(x), x[0], trans=i) for i in range(3)],
        "solve_triangular": lambda x: [
            jsl.solve_triangular(x, x[0], trans=t, lower=lower, unit_diagonal=unit)
            for t, lower, unit in ((0, True, False), (1, False, True), ("C", True, True))
        ],
        "positive": lambda x: jsl.solve(positive(x), x, assume_a="pos"),
        "a general one": lambda x: jsl.solve(x, x[:1].T),
        "tridiagonal_solve": lambda x: jax.lax.linalg.tridiagonal_solve(*x[:2], x[2], x),
        "likelihood of a Gaussian process": gaussian_process,
    },
    "norms": {
        **{f"norm {p} of a matrix": norm(p) for p in ("fro", "nuc", 1, -1, 2, -2, jnp.inf, None)},
        **{
            f"norm {p} of vectors": norm(p, 0)
            for p in (0, 1, 2, 3, -1, 0.5, jnp.inf, -jnp.inf, None)
        },
        "vector_norm": lambda x: jnp.linalg.vector_norm(x, axis=(0, 1), ord=3),
        "matrix_norm": lambda x: jnp.linalg.matrix_norm(jnp.stack([x, x.T]), ord="nuc"),
    },
    "condition numbers": {
        f"cond {p}": condition(p) for p in (None, 2, -2, 1, jnp.inf, "fro", "nuc")
    },
    "factorizations": {
        "cholesky": lambda x: jnp.linalg.cholesky(positive(x)),
        "cholesky, upper": lambda x: jnp.linalg.cholesky(positive(x), upper=True),
        "scipy cholesky": lambda x: jsl.cholesky(positive(x), lower=False),
        "cholesky of what is not symmetric": lambda x: jnp.linalg.cholesky(x + 9 * jnp.eye(3)),
        "lu": lambda x: jsl.lu(x[:, :2]),
        "lu, permuted": lambda x: jsl.lu(x, permute_l=True),
        "qr": lambda x: jnp.linalg.qr(x),
        "qr, complete": lambda x: jnp.linalg.qr(x[:, :1], mode="complete"),
        "qr, r": lambda x: jnp.linalg.qr(x, mode="r"),
        "scipy qr": lambda x: jsl.qr(x, pivoting=True),
        "svd": lambda x: jnp.linalg.svd(x[:, :2], full_matrices=False),
        "svd, hermitian": lambda x: jnp.linalg.svd(x + x.T, hermitian=True, compute_uv=False),
        "svdvals": jnp.linalg.svdvals,
        "polar": lambda x: jsl.polar(x, method="svd"),
    },
    "eigenvalues": {
        "eigh": lambda x: jnp.linalg.eigh(x),
        "eigh, upper": lambda x: jnp.linalg.eigh(x, UPLO="U"),
        "eigvalsh": jnp.linalg.eigvalsh,
        "eigvals": jnp.linalg.eigvals,
        "scipy eigh": lambda x: jsl.eigh(x, eigvals_only=True),
        "square root": lambda x: (lambda w, v: (v * jnp.sqrt(w)) @ v.T)(
            *jnp.linalg.eigh(positive(x))
        ),
    },
    "products": {
        "matrix_power": lambda x: [jnp.linalg.matrix_power(x, n) for n in (0, 3, -2)],
        "multi_dot": lambda x: jnp.linalg.multi_dot([x, x[:, :1], x[:1], x.T]),
        "cross": lambda x: jnp.linalg.cross(x, x[0]),
        "block_diag": lambda x: jsl.block_diag(x, x[:1], x[0, 0]),
        "toeplitz": lambda x: jsl.toeplitz(x[0], x[1]),
        "vecdot": lambda x: jnp.linalg.vecdot(x, x.T),
        "outer": lambda x: jnp.linalg.outer(x[0], x[1]),
        "tensordot": lambda x: jnp.linalg.tensordot(x, x, axes=((0,), (1,))),
    },
    "exponential": {"expm": jsl.expm},
}


def loss(f, x):
    """One number of all that f gives out; no two entries count alike."""
    leaves = [jnp.ravel(y) for y in jax.tree.leaves(f(x)) if jnp.issubdtype(y.dtype, jnp.inexact)]
    parts = [part for y in leaves for part in (jnp.real(y), jnp.imag(y))]
    return sum(jnp.sum(jnp.sin(part + jnp.arange(part.size))) for part in parts)


def gradients(grad, functions, x):
    found = {}
    for name, f in functions.items():
        try:
            found[name] = grad(functools.partial(loss, f))(x)
        except Exception as error:
            error.add_note(f"in {name}")
            raise
    return found


def matrix():
    return np.diag([3.0, -2.0, 4.0]) + np.random.default_rng(7).normal(size=(3, 3))


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_of_a_matrix(kind):
    with jax.enable_x64(True):
        ours, theirs = (
            jit(functools.partial(gradients, grad, FUNCTIONS[kind]))(matrix())
            for grad in (funcnn.grad, jax.grad)
        )
        assert_agree(ours, theirs, 1e-12)


def reflected(a, taus):
    """The product of reflections, one after the other."""
    q = jnp.eye(a.shape[0])
    for k in range(taus.shape[0]):
        v = jnp.where(jnp.arange(a.shape[0]) > k, a[:, k], jnp.arange(a.shape[0]) == k)
        q = q - taus[k] * jnp.outer(q @ v, v)
    return q


# what JAX has no derivative for, and the same in terms of what it can differentiate
BEYOND_JAX = {
    "householder_product": (
        lambda x: linalg.householder_product(x, x[0, :2]),
        lambda x: reflected(x, x[0, :2]),
    ),
    "ormqr": (
        lambda x: linalg.ormqr(x, x[1], x, left=False, transpose=True),
        lambda x: x @ reflected(x, x[1]).T,
    ),
    "symmetric_product": (
        lambda x: linalg.symmetric_product(x[:, :2], x, alpha=2.0, beta=0.5),
        lambda x: 2 * x[:, :2] @ x[:, :2].T + x / 2,
    ),
    "wide qr, pivoted": (
        lambda x: linalg.qr(x[:2], pivoting=True, full_matrices=False)[:2],
        lambda x: linalg.qr(x[:2, linalg.qr(x[:2], pivoting=True)[2]], full_matrices=False),
    ),
    "values beside full singular vectors": (
        lambda x: linalg.svd(x[:2])[1],
        lambda x: linalg.svd(x[:2], full_matrices=False)[1],
    ),
    "eigenvalues beside eigenvectors": (lambda x: linalg.eig(x)[0], jnp.linalg.eigvals),
    "cholesky, one triangle read": (
        lambda x: linalg.cholesky(x + 9 * jnp.eye(3), symmetrize_input=False),
        lambda x: linalg.cholesky(jnp.tril(x) + jnp.tril(x, -1).T + 9 * jnp.eye(3)),
    ),
}


def test_what_jax_does_not_differentiate():
    def second(grad, f):
        return lambda x: loss(lambda x: grad(functools.partial(loss, f))(x), x)

    def all_of(grad, which):
        pairs = {name: pair[which] for name, pair in BEYOND_JAX.items()}
        twice = {name: second(grad, f) for name, f in pairs.items() if "values" not in name}
        return jit(lambda x: (gradients(grad, pairs, x), gradients(grad, twice, x)))

    with jax.enable_x64(True):
        assert_agree(all_of(funcnn.grad, 0)(matrix()), all_of(jax.grad, 1)(matrix()), 1e-12)


@pytest.mark.parametrize("n", [64, 65])
def test_cholesky_of_a_large_matrix(n):
    """Then the product of two triangles is computed in parts."""
    with jax.enable_x64(True):
        x = np.random.default_rng(n).normal(size=(n, n)) / n
        f = lambda x: jnp.sum(jnp.sin(jnp.linalg.cholesky(positive(x))))
        assert_agree(jit(funcnn.grad(f))(x), jit(jax.grad(f))(x), 1e-12)


def test_second_derivative_of_eigenvalues():
    """JAX has none: the eigenvectors on the way have a phase, on which nothing here depends."""
    with jax.enable_x64(True):
        x, direction = matrix(), np.cos(np.arange(9.0)).reshape(3, 3)
        grad = jit(funcnn.grad(functools.partial(loss, jnp.linalg.eigvals)))
        ours = jit(funcnn.grad(lambda x: jnp.vdot(grad(x), direction)))(x)
        change = (grad(x + 1e-4 * direction) - grad(x - 1e-4 * direction)) / 2e-4
        # second derivatives are symmetric
        assert_agree(np.vdot(ours, direction), np.vdot(change, direction), 1e-6)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: linalg.svd(x[:2])[2], "full_matrices=True"),
        (lambda x: linalg.eig(x)[2], "enable_eigvec_derivs=True"),
        (lambda x: linalg.schur(x)[0], "'schur'.*has no derivative"),
        (lambda x: linalg.hessenberg(x)[0], "'hessenberg'.*has no derivative"),
        (lambda x: linalg.tridiagonal(x)[0], "'tridiagonal'.*has no derivative"),
        (lambda x: jnp.linalg.qr(x, mode="raw")[0], "'geqrf'.*has no derivative"),
        (lambda x: linalg.cholesky_update(x, x[0]), "'cholesky_update'.*has no derivative"),
    ],
)
def test_what_has_no_derivative_says_why(f, expected):
    with pytest.raises(NotImplementedError, match=expected):
        funcnn.grad(functools.partial(loss, f))(matrix().astype(np.float32))


@pytest.mark.parametrize("name", ["cholesky", "qr", "eigh", "svd", "solve", "inv"])
def test_bfloat16_is_refused_as_by_jax(name):
    """JAX has these for float32 and float64; the error is its own."""
    x = jnp.eye(2, dtype=jnp.bfloat16)
    f = functools.partial(getattr(jnp.linalg, name), *([x] if name == "solve" else []))

    def said(grad):
        with pytest.raises((TypeError, ValueError, NotImplementedError)) as raised:
            grad(lambda x: loss(f, x))(x)
        return str(raised.value)

    assert said(funcnn.grad) == said(jax.grad)


FACTORIZED = {
    "cholesky": lambda x: jnp.linalg.cholesky(x @ x.T + 99 * jnp.eye(24)),
    "lu": lambda x: linalg.lu(x)[0],
    "tall lu": lambda x: linalg.lu(x[:, :9])[0],
    "qr": lambda x: linalg.qr(x[:, :9], full_matrices=False),
    "complete qr": lambda x: linalg.qr(x[:, :9]),
    "eigh": jnp.linalg.eigh,
    "svd": lambda x: jnp.linalg.svd(x[:, :9], full_matrices=False),
    "eigvals": jnp.linalg.eigvals,
    "triangular_solve": lambda x: linalg.triangular_solve(x, x[:3], lower=True),
    "tridiagonal_solve": lambda x: linalg.tridiagonal_solve(x[0], x[1], x[2], x),
}


@pytest.mark.parametrize("name", FACTORIZED)
def test_cost(name, as_for_users):
    """No more floating point operations, and calls of LAPACK, than JAX's."""
    x = np.random.default_rng(3).normal(size=(24, 24)).astype(np.float32)

    def cost(grad):
        lowered = jax.jit(grad(functools.partial(loss, FACTORIZED[name]))).lower(x)
        compiled = lowered.compile(as_for_users)
        return compiled.cost_analysis()["flops"], compiled.as_text().count("custom_call_target=")

    (flops, calls), (flops_jax, calls_jax) = cost(funcnn.grad), cost(jax.grad)
    assert 0 < flops <= flops_jax
    assert 0 < calls <= calls_jax
