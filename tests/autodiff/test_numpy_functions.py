"""Functions of jax.numpy that sort, reduce, run along an axis, read and write at places.

Each is made of several rules, and is differentiated as people write it, against `jax.grad`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn

from .agreement import assert_agree

rng = np.random.default_rng(7)
X = rng.normal(size=(5, 4))
X_TIED = np.array([[1.0, 3, 3, -2], [0, 0, 0, 0], [2, -1, 2, 5], [5, 5, -1, 2], [1, 2, 3, 4]])
X_ZEROS = np.where(rng.random((5, 4)) < 0.3, 0.0, X)
X_NAN = np.where(rng.random((5, 4)) < 0.3, np.nan, X)
X_NAN[0] = np.nan
V = rng.normal(size=7)
V_NAN = np.array([0.3, np.nan, -1.2, 2.0, np.nan, 0.7])
PLACES = np.array([0, 3, 3, -1, 9])  # one twice, one from the end, one beyond it
SEGMENTS = np.array([0, 2, 0, 0, 2, 3, 1])
MASK = X > -0.3

norm = functools.partial(functools.partial, jnp.linalg.norm)
logsumexp = jax.nn.logsumexp

FUNCTIONS = {
    "sorting": {
        "sort": (lambda x: jnp.sort(x, axis=0), X),
        "sort descending": (lambda x: jnp.sort(x, descending=True), X),
        "sort of all": (lambda x: jnp.sort(x, axis=None), X),
        "sort of ties": (lambda x: jnp.sort(x) ** 2, X_TIED),
        "argsort": (lambda x: x[jnp.argsort(x)] * jnp.arange(7.0), V),
        "take along argsort": (
            lambda x: jnp.take_along_axis(jnp.sin(x), jnp.argsort(x, axis=1), axis=1),
            X,
        ),
        "lexsort": (lambda x: x[jnp.lexsort((x, jnp.round(x)))] * jnp.arange(7.0), V),
        "partition": (lambda x: jnp.partition(x, 2, axis=1), X),
        "argpartition": (lambda x: x[jnp.argpartition(x, 3)] * jnp.arange(7.0), V),
        "median": (lambda x: jnp.median(x, axis=0), X),
        "median of an even number": (lambda x: jnp.median(x, axis=1), X),
        "nanmedian": (jnp.nanmedian, X_NAN),
        "percentile": (lambda x: jnp.percentile(x, jnp.array([10.0, 50, 93]), axis=0), X),
        "quantile midpoint": (lambda x: jnp.quantile(x, 0.3, method="midpoint"), X),
        "nanquantile": (lambda x: jnp.nanquantile(x, 0.3), V_NAN),
        "top_k": (lambda x: jax.lax.top_k(x, 2)[0], X),
        "sort_complex": (lambda x: jnp.sort(x[:3] + 1j * x[3:6]).imag, V),
        "unique of a fixed size": (lambda x: jnp.unique(x, size=7, fill_value=0), V),
        "interp": (lambda x: jnp.interp(jnp.array([0.1, 0.7]), jnp.sort(x), x), V),
        "digitized": (lambda x: x * jnp.searchsorted(jnp.sort(x), x), V),
    },
    "reductions": {
        "max": (lambda x: jnp.max(x, axis=1), X_TIED),
        "max where": (lambda x: jnp.max(x, axis=0, where=MASK, initial=-9.0), X),
        "nanmax": (jnp.nanmax, X_NAN),
        "nanmin by rows": (lambda x: jnp.nanmin(x, axis=1), X_NAN),
        "ptp": (lambda x: jnp.ptp(x, axis=0), X),
        "argmax": (lambda x: x[jnp.arange(5), jnp.argmax(x, axis=1)], X),
        "prod": (lambda x: jnp.prod(x, axis=1), X),
        "prod with zeros": (lambda x: jnp.prod(x, axis=0), X_ZEROS),
        "prod of all": (jnp.prod, X),
        "prod where": (lambda x: jnp.prod(x, axis=1, where=MASK), X),
        "nanprod": (lambda x: jnp.nanprod(x, axis=0), X_NAN),
        "var": (lambda x: jnp.var(x, axis=0, ddof=1), X),
        "nanstd": (lambda x: jnp.nanstd(x), V_NAN),
        "average": (lambda x, w: jnp.average(x, weights=jnp.exp(w), axis=0), X, X[:, 0]),
        "logsumexp": (lambda x: logsumexp(x, axis=0), X),
        "logsumexp where": (lambda x: logsumexp(x, axis=1, where=MASK), X),
        "logsumexp with b": (lambda x, b: logsumexp(x, b=b * b), X, X + 1),
        "logsumexp of nothing": (lambda x: logsumexp(jnp.where(x > 9, x, -jnp.inf), axis=0), X),
        "reduce": (lambda x: jax.lax.reduce(x, 1.0, lambda a, b: a * b * 1.0, (1,)), X),
        "ufunc reduce": (lambda x: jnp.multiply.reduce(x, axis=1), X),
        "count": (lambda x: x * jnp.count_nonzero(x > 0, axis=1, keepdims=True), X),
        "any": (lambda x: jnp.where(jnp.any(x > 1, axis=0), x, 2 * x), X),
    },
    "norms": {
        "2": (norm(), V),
        "1": (norm(ord=1), V),
        "inf": (norm(ord=jnp.inf), V),
        "-inf": (norm(ord=-jnp.inf), V),
        "3": (norm(ord=3), V),
        "0.5": (norm(ord=0.5, axis=1), X),
        "Frobenius": (norm(), X),
        "of columns": (norm(axis=0, keepdims=True), X),
        "matrix 1": (norm(ord=1), X),
        "matrix -1": (norm(ord=-1), X),
        "matrix inf": (norm(ord=jnp.inf), X),
        "complex": (lambda x: jnp.linalg.norm(x[:3] + 1j * x[3:6]), V),
    },
    "running": {
        "cumsum": (lambda x: jnp.cumsum(x, axis=0), X),
        "cumsum of all": (lambda x: jnp.cumsum(x) ** 2, X),
        "nancumsum": (lambda x: jnp.nancumsum(x, axis=0), X_NAN),
        "cumprod": (lambda x: jnp.cumprod(x, axis=1), X),
        "cumprod with zeros": (lambda x: jnp.cumprod(x, axis=0), X_ZEROS),
        "nancumprod": (jnp.nancumprod, V_NAN),
        "cummax of ties": (lambda x: jax.lax.cummax(x, axis=1) ** 2, X_TIED),
        "cummin backwards": (lambda x: jax.lax.cummin(x, axis=0, reverse=True), X_TIED),
        "cumlogsumexp": (lambda x: jax.lax.cumlogsumexp(x, axis=0), X),
        "ufunc accumulate": (lambda x: jnp.logaddexp.accumulate(x), V),
        "associative_scan": (lambda x: jax.lax.associative_scan(jnp.multiply, x, axis=1), X),
        "diff": (lambda x: jnp.diff(x, n=2, axis=0), X),
        "trapezoid": (lambda x: jnp.trapezoid(x * x, dx=0.3, axis=1), X),
    },
    "reading": {
        "take": (lambda x: jnp.take(x, PLACES, axis=0, mode="clip"), X),
        "take and fill": (lambda x: jnp.nan_to_num(jnp.take(x, PLACES, axis=0)), X),
        "take and wrap": (lambda x: jnp.take(x, PLACES, axis=1, mode="wrap"), X),
        "take_along_axis": (lambda x: jnp.take_along_axis(x, PLACES[:, None] % 4, axis=1), X),
        "choose": (lambda x: jnp.choose(PLACES[:4] % 3, [x[0], x[1], x[2]], mode="clip"), X),
        "rows and columns": (lambda x: x[PLACES[:3, None], jnp.array([1, 0])], X),
        "a row": (lambda x: x[jnp.asarray(2)] ** 2, X),
        "Boolean mask": (lambda x: x[MASK] ** 2, X),
        "backwards": (lambda x: x[::-2, 1:] ** 2, X),
        "get and fill": (lambda x: x.at[PLACES].get(mode="fill", fill_value=2.0) ** 2, X),
        "sorted unique": (
            lambda x: x.at[jnp.array([0, 2, 5])].get(indices_are_sorted=True, unique_indices=True),
            V,
        ),
        "dynamic_index": (lambda x: jax.lax.dynamic_index_in_dim(x, 3, axis=1), X),
        "roll": (lambda x: jnp.roll(x, 2, axis=0) * x, X),
    },
    "writing": {
        "set": (lambda x, u: x.at[PLACES].set(u), X, X * 2),
        "set a row": (lambda x, u: x.at[2].set(u), X, X[0]),
        "set where": (lambda x, u: jnp.where(x > 0, x, u), X, X * 2),
        "set a slice": (lambda x, u: x.at[1:3, ::2].set(u), X, X[:2, :2]),
        "set a scalar": (lambda x, u: x.at[PLACES, 1].set(u), X, X[0, 0]),
        "set Boolean": (lambda x: x.at[MASK].set(3.0) ** 2, X),
        "add": (lambda x, u: x.at[PLACES].add(u) ** 2, X, X * 2),
        "subtract": (lambda x, u: x.at[PLACES].subtract(u) ** 2, X, X * 2),
        "multiply": (
            lambda x, u: x.at[PLACES[1:]].multiply(u, unique_indices=True),
            X[:4],
            X[1:] * 2,
        ),
        "divide": (lambda x: x.at[PLACES].divide(3.0) ** 2, X),
        "power": (lambda x: x.at[PLACES[:2]].power(3.0) ** 2, X),
        "min": (lambda x, u: x.at[PLACES].min(u) ** 2, X, X_TIED),
        "max of ties": (lambda x, u: x.at[PLACES].max(u) ** 2, X_TIED, X_TIED[::-1] * 1.0),
        "segment_sum": (lambda x: jax.ops.segment_sum(x, SEGMENTS, 5) ** 2, V),
        "segment_max": (lambda x: jax.ops.segment_max(x, SEGMENTS, 4) ** 2, V),
        "segment_min of ties": (lambda x: jax.ops.segment_min(x, SEGMENTS, 4), np.round(V)),
        "put_along_axis": (
            lambda x, u: jnp.put_along_axis(x, PLACES[:, None] % 4, u, axis=1, inplace=False),
            X,
            X[:, :1] * 2,
        ),
        "fill_diagonal": (lambda x: jnp.fill_diagonal(x, 2.0, inplace=False) ** 2, X),
        "place by index_put": (lambda x, u: jnp.zeros(9).at[PLACES].set(u) * x[0, 0], X, X[:, 0]),
        "insert": (lambda x, u: jnp.insert(x, 2, u, axis=0), X, X[0]),
        "delete": (lambda x: jnp.delete(x, 1, axis=0) ** 2, X),
        "bincount": (lambda w: jnp.bincount(SEGMENTS, weights=w, length=4) ** 2, V),
        "histogram weights": (
            lambda w: jnp.histogram(jnp.arange(7.0), bins=3, weights=w)[0] ** 2,
            V,
        ),
        "dynamic_update": (lambda x, u: jax.lax.dynamic_update_slice(x, u, (3, 2)), X, X[:3, :3]),
    },
}


def gradients(grad, functions):
    """Of the squared outputs, weighted one by one, of all the functions in one compiled program."""

    def weighted(fun, *args):
        out = fun(*args)
        return jnp.sum(jnp.cos(jnp.arange(out.size)).reshape(out.shape) * out)

    def each(args):
        return {
            name: grad(functools.partial(weighted, fun), tuple(range(len(args[name]))))(*args[name])
            for name, (fun, *_) in functions.items()
        }

    args = {name: tuple(rest) for name, (_, *rest) in functions.items()}
    return jax.jit(each, compiler_options={"xla_backend_optimization_level": 0})(args)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_as_in_jax(kind):
    with jax.enable_x64(True):
        ours, theirs = (gradients(g, FUNCTIONS[kind]) for g in (funcnn.grad, jax.grad))
        assert_agree(ours, theirs, 1e-13)


def test_products_of_segments():
    """JAX has no gradient for them: against the products written out, to second order."""
    groups = [np.flatnonzero(i == SEGMENTS) for i in range(4)]
    by_hand = lambda x: jnp.stack([jnp.prod(x[group]) for group in groups])
    by_segments = lambda x: jax.ops.segment_prod(x, SEGMENTS, 4)

    def derivatives(jacobian, products):
        weighted = lambda x: jnp.vdot(jnp.array([1.0, 2.0, -0.5, 3.0]), jnp.sin(products(x)))
        return jax.jit(lambda x: (jacobian(products)(x), jacobian(jacobian(weighted))(x)))

    with jax.enable_x64(True):
        ours = derivatives(funcnn.jacrev, by_segments)
        theirs = derivatives(jax.jacrev, by_hand)
        for x in (V, [0.0, 2, 3, -1, 0, 0, 2], [0.0, 2, 0, -1, 0, 5, 0]):
            assert_agree(ours(np.array(x)), theirs(np.array(x)), 1e-13)


def test_initial_value_of_a_reduction():
    """JAX has no gradient for it."""
    reduced = lambda x, init: jax.lax.reduce(x, init, jnp.logaddexp, (0,))
    by_hand = lambda x, init: logsumexp(jnp.append(x, init))
    with jax.enable_x64(True):
        ours = funcnn.value_and_grad(reduced, (0, 1))(V, np.float64(0.3))
        theirs = jax.value_and_grad(by_hand, (0, 1))(V, np.float64(0.3))
        assert_agree(ours, theirs, 1e-14)


def test_apply_says_what_to_write_instead():
    with pytest.raises(NotImplementedError, match=r"x\.at\[i\]\.set\(f\(x\[i\]\)\)"):
        funcnn.grad(lambda x: x.at[jnp.array([0, 2])].apply(jnp.sin).sum())(V)
