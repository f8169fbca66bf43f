"""Sparse arrays against the same written as dense ones, and against JAX's own rules for them."""

import functools
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import sparse
from jax.experimental.sparse.linalg import spsolve

import funcnn

from .agreement import assert_agree

rng = np.random.default_rng(5)


def normal(*shape):
    return rng.normal(size=shape)


class Pattern(NamedTuple):
    """Where elements of a sparse array are stored, and its shape."""

    indices: np.ndarray
    shape: tuple

    @property
    def data(self):
        """Numbers for all that is stored, outside of the array, too."""
        n_batch, n_sparse = self.indices.ndim - 2, self.indices.shape[-1]
        stored = self.indices.shape[-2]
        return normal(*self.shape[:n_batch], stored, *self.shape[n_batch + n_sparse :])

    def bcoo(self, data):
        return sparse.BCOO((data, self.indices), shape=self.shape)

    def coo(self, data):
        return sparse.COO((data, *jnp.asarray(self.indices).T), shape=self.shape)

    def inside(self, once=False):
        """Where in the data, and where in the array, is what is stored inside of it."""
        n_batch, n_sparse = self.indices.ndim - 2, self.indices.shape[-1]
        sizes = self.shape[n_batch : n_batch + n_sparse]
        all_indices = np.broadcast_to(
            self.indices, (*self.shape[:n_batch], *self.indices.shape[n_batch:])
        )
        found: dict = {}
        for at in np.ndindex(all_indices.shape[:-1]):
            place = (*at[:-1], *all_indices[at].tolist())
            if all(i < n for i, n in zip(all_indices[at], sizes, strict=True)) and not (
                once and place in found.values()
            ):
                found[at] = place
        columns = lambda tuples, n: tuple(np.array(list(tuples), int).reshape(len(found), n).T)
        return columns(found, n_batch + 1), columns(found.values(), n_batch + n_sparse)

    def dense(self, data):
        """Without anything of jax.experimental.sparse."""
        n_batch = self.indices.ndim - 2
        data = jnp.broadcast_to(data, (*self.shape[:n_batch], *data.shape[n_batch:]))
        in_data, places = self.inside()
        if not places:
            return jnp.sum(data, axis=0)
        return jnp.zeros(self.shape, data.dtype).at[places].add(data[in_data])

    def extracted(self, x, once=False):
        in_data, places = self.inside(once)
        return jnp.zeros_like(self.data, dtype=x.dtype).at[in_data].set(x[places])


class Rows(NamedTuple):
    """The same by rows, as in BCSR and CSR: columns, and where each row begins and ends."""

    columns: np.ndarray
    ends: np.ndarray
    shape: tuple

    @property
    def pattern(self):
        n_batch, n_stored = self.columns.ndim - 1, self.columns.shape[-1]
        rows = np.empty_like(self.columns)
        for at in np.ndindex(*rows.shape[:n_batch]):
            rows[at] = np.searchsorted(self.ends[at], np.arange(n_stored), side="right") - 1
        return Pattern(np.stack([rows, self.columns], axis=-1), self.shape)

    def bcsr(self, data):
        return sparse.BCSR((data, self.columns, self.ends), shape=self.shape)

    def csr(self, data):
        columns, ends = jnp.asarray(self.columns), jnp.asarray(self.ends)
        return sparse.CSR((data, columns, ends), shape=self.shape)


def at(*places, shape):
    return Pattern(np.array(places, np.int32), shape)


def rows(columns, ends, shape):
    return Rows(np.array(columns, np.int32), np.array(ends, np.int32), shape)


# in each: an element stored twice, one outside of the array, a row without any
MATRIX = at((0, 1), (2, 0), (0, 1), (3, 4), (2, 3), shape=(3, 4))
SQUARE = at((0, 1), (2, 0), (0, 1), (3, 4), (2, 1), shape=(3, 3))
SORTED = rows([1, 1, 0, 3, 0], [0, 2, 2, 4], (3, 4))
PATTERNS = {
    "matrix": MATRIX,
    "vector": at((1,), (3,), (1,), (4,), shape=(4,)),
    "batch": at([(0, 1), (2, 0), (0, 1)], [(3, 4), (1, 2), (1, 1)], shape=(2, 3, 4)),
    "rows": at([(1,), (1,)], [(4,), (0,)], [(2,), (3,)], shape=(3, 4)),  # a batch of rows
    "dense axis": at((1,), (3,), (1,), (4,), shape=(4, 3)),
    "all kinds of axes": at(
        [[(1,), (3,)], [(1,), (4,)]], [[(0,), (2,)], [(3,), (3,)]], shape=(2, 2, 4, 3)
    ),
    "the same places": at([(0, 1), (2, 0), (3, 4)], shape=(2, 3, 4)),  # in both of the batch
    "nothing": Pattern(np.zeros((0, 2), np.int32), (3, 4)),
    "an empty array": Pattern(np.zeros((2, 2), np.int32), (0, 4)),
    "no sparse axes": Pattern(np.zeros((2, 3, 0), np.int32), (2, 4)),
    "one number": Pattern(np.zeros((2, 0), np.int32), ()),
    "cube": at((0, 1, 2), (1, 2, 0), (2, 3, 4), (1, 2, 0), shape=(2, 3, 4)),
    "six axes": at([[(1, 0), (0, 3)], [(2, 4), (2, 1)]], shape=(1, 2, 3, 4, 2, 3)),
}
SHARED = PATTERNS["the same places"]
LEFT = at([(0, 1), (2, 0), (0, 1)], [(3, 4), (1, 2), (1, 3)], shape=(2, 3, 4))
RIGHT = at([(1, 1), (0, 0)], [(2, 0), (3, 1)], shape=(2, 4, 2))
BY_ROWS = {
    "batch": rows([[1, 0, 0], [0, 1, 3]], [[0, 1, 1, 2], [0, 0, 2, 3]], (2, 3, 4)),
    "square": rows([1, 0, 2, 1], [0, 1, 2, 4], (3, 3)),
    "dense axis": rows([1, 1, 0, 3, 0], [0, 2, 2, 4], (3, 4, 2)),
}


class Case(NamedTuple):
    fun: Callable
    args: tuple
    dense: Callable | None = None
    """the same without sparse arrays, where JAX does not differentiate it, or not rightly"""
    under_vmap: bool = True
    """does JAX have it under vmap?"""


CASES: dict[str, Case] = {}


# --- to dense arrays and back, and their elements

for name in ("matrix", "all kinds of axes", "nothing", "an empty array", "no sparse axes"):
    p = PATTERNS[name]
    CASES[f"bcoo_todense, {name}"] = Case(
        lambda data, p=p: p.bcoo(data).todense(),
        (p.data,),
        p.dense if name == "an empty array" else None,
    )
CASES |= {
    "bcoo_todense, the same data": Case(
        lambda data: SHARED.bcoo(data).todense(), (SHARED.data[:1],), SHARED.dense
    ),
    "bcsr_todense": Case(
        lambda data: BY_ROWS["batch"].bcsr(data).todense(), (BY_ROWS["batch"].pattern.data,)
    ),
    # JAX gives to what is stored outside of the array what is at its border
    "coo_todense": Case(
        lambda data: MATRIX.coo(data).todense(), (MATRIX.data,), MATRIX.dense, under_vmap=False
    ),
    "csr_todense, square": Case(
        lambda data: BY_ROWS["square"].csr(data).todense(),
        (BY_ROWS["square"].pattern.data,),
        under_vmap=False,
    ),
    "csr_todense": Case(
        lambda data: SORTED.csr(data).todense(),
        (SORTED.pattern.data,),
        SORTED.pattern.dense,
        under_vmap=False,
    ),
}

X = np.where(rng.uniform(size=(2, 3, 4)) < 0.5, 0, normal(2, 3, 4))
X[-1, -1, -1] = 0.7  # the last one is stored, and has a gradient
there_and_back = lambda fromdense, **options: lambda x: fromdense(x, **options).todense()
where_not_zero = lambda x: jnp.where(x != 0, x, 0)
CASES |= {
    "bcoo_fromdense, too few": Case(
        lambda x: sparse.BCOO.fromdense(x, nse=2).data * np.arange(1.0, 3), (X,)
    ),
    "bcoo_fromdense, all kinds of axes": Case(
        there_and_back(sparse.BCOO.fromdense, nse=4, n_batch=1, n_dense=1), (X,)
    ),
    # JAX gives each of what is stored in a row the whole gradient
    "bcoo_fromdense, no sparse axes": Case(
        there_and_back(sparse.BCOO.fromdense, nse=2, n_batch=1), (X[0, 0],), where_not_zero
    ),
    "bcsr_fromdense": Case(there_and_back(sparse.BCSR.fromdense, nse=9, n_batch=1), (X,)),
    # JAX counts the first element again for each that fills up
    "coo_fromdense": Case(
        there_and_back(sparse.COO.fromdense, nse=12),
        (X[0] + np.eye(3, 4) + np.eye(3, 4, 1),),  # the first and the last are stored
        where_not_zero,
        under_vmap=False,
    ),
    "csr_fromdense": Case(
        there_and_back(sparse.CSR.fromdense, nse=12),
        (X[0] + np.eye(3, 4) + np.eye(3, 4, 1),),
        where_not_zero,
        under_vmap=False,
    ),
    "bcsr_extract": Case(
        lambda x: sparse.bcsr_extract(BY_ROWS["batch"].columns, BY_ROWS["batch"].ends, x),
        (normal(2, 3, 4),),
    ),
}
for name in ("matrix", "all kinds of axes", "the same places", "no sparse axes", "one number"):
    extract = lambda x, once, p: sparse.bcoo_extract(p.bcoo(p.data), x, assume_unique=not once)
    x, p = normal(*PATTERNS[name].shape), PATTERNS[name]
    CASES[f"bcoo_extract, {name}"] = Case(
        lambda x, p=p, extract=extract: extract(x, False, p).data, (x,)
    )
    if name in ("matrix", "all kinds of axes"):
        CASES[f"bcoo_extract, each once, {name}"] = Case(
            lambda x, p=p, extract=extract: extract(x, True, p).data,
            (x,),
            functools.partial(p.extracted, once=True),
            under_vmap=False,
        )


# --- the same array, stored in another way


def stored_as(name, change):
    def fun(data):
        data = change(PATTERNS[name].bcoo(data)).data
        return data * np.arange(1.0, data.size + 1).reshape(data.shape)

    return Case(fun, (PATTERNS[name].data,))


CASES |= {
    "bcoo_transpose": stored_as("matrix", lambda m: m.T),
    "bcoo_transpose, six axes": stored_as("six axes", lambda m: m.transpose((1, 0, 3, 2, 5, 4))),
    "bcoo_sort_indices": stored_as("batch", sparse.bcoo_sort_indices),
    "bcoo_sort_indices, no sparse axes": stored_as("no sparse axes", sparse.bcoo_sort_indices),
    "bcoo_sum_duplicates, too few": stored_as("matrix", lambda m: m.sum_duplicates(nse=2)),
    "bcoo_sum_duplicates, all kinds of axes": stored_as(
        "all kinds of axes", lambda m: m.sum_duplicates(nse=3)
    ),
    "bcoo_sum_duplicates, no sparse axes": stored_as(
        "no sparse axes", lambda m: m.sum_duplicates(nse=1)
    ),
}


# --- products


def product(p, rhs, contract, batch=((), ())):
    numbers = (contract, batch)
    places, matrix, dot_general = p, getattr(p, "bcoo", None), sparse.bcoo_dot_general
    if isinstance(p, Rows):
        places, matrix, dot_general = p.pattern, p.bcsr, sparse.bcsr_dot_general
    dense = lambda data, rhs: lax.dot_general(places.dense(data), rhs, numbers)
    return Case(
        lambda data, rhs: dot_general(matrix(data), rhs, dimension_numbers=numbers),
        (places.data, normal(*rhs)),
        dense,
    )


def sampled(p, x, y, contract, batch=((), ())):
    fun = functools.partial(sparse.bcoo_dot_general_sampled, dimension_numbers=(contract, batch))
    return Case(lambda x, y: fun(x, y, jnp.asarray(p.indices)), (normal(*x), normal(*y)))


FIRST_OF_BOTH = ((0,), (0,))
PRODUCTS = {
    "vector": product(PATTERNS["vector"], (4,), FIRST_OF_BOTH),
    "vector, outer": product(PATTERNS["vector"], (2,), ((), ())),
    "matrix": product(MATRIX, (2, 4), ((1,), (1,))),
    "matrix, transposed": product(MATRIX, (3, 2), FIRST_OF_BOTH),
    "square": product(SQUARE, (3, 3), ((1,), (0,))),
    "matrix, both axes": product(MATRIX, (4, 3), ((0, 1), (1, 0))),
    "cube, two axes": product(PATTERNS["cube"], (4, 5, 2), ((2, 0), (0, 2))),
    "batch, shared": product(PATTERNS["batch"], (4, 2, 5), ((2,), (0,)), ((0,), (1,))),
    "batch, kept": product(PATTERNS["batch"], (4, 5), ((2,), (0,))),
    "batch, summed over": product(PATTERNS["batch"], (2, 4), ((0, 2), (0, 1))),
    "rows": product(PATTERNS["rows"], (4, 2), ((1,), (0,))),
    "the same places": product(SHARED, (2, 4), ((2,), (1,)), FIRST_OF_BOTH),
    "nothing": product(PATTERNS["nothing"], (4, 2), ((1,), (0,))),
    "an empty array": product(PATTERNS["an empty array"], (4, 2), ((1,), (0,))),
    "no sparse axes": product(PATTERNS["no sparse axes"], (2, 3), ((), ()), FIRST_OF_BOTH),
    "dense axis": product(PATTERNS["dense axis"], (4, 2), FIRST_OF_BOTH),
    "all kinds of axes": product(
        PATTERNS["all kinds of axes"], (5, 4, 2), ((2,), (1,)), ((1,), (2,))
    ),
    "by rows, a batch": product(BY_ROWS["batch"], (4, 2, 5), ((2,), (0,)), ((0,), (1,))),
    "by rows, square": product(BY_ROWS["square"], (3, 3), ((1,), (1,))),
    "by rows, dense axis": product(BY_ROWS["dense axis"], (4, 3), ((1,), (0,))),
    "sampled, matrix": sampled(MATRIX, (3, 2), (2, 4), ((1,), (0,))),
    "sampled, square": sampled(SQUARE, (3, 3), (3, 3), ((0,), (0,))),
    "sampled, transposed": sampled(MATRIX, (2, 3), (4, 2), ((0,), (1,))),
    "sampled, outer": sampled(MATRIX, (3,), (4,), ((), ())),
    "sampled, rows": sampled(PATTERNS["rows"], (3, 2), (2, 4), ((1,), (0,))),
    "sampled, batch": sampled(PATTERNS["batch"], (2, 3, 5), (2, 5, 4), ((2,), (1,)), FIRST_OF_BOTH),
    "sampled, a sparse batch": sampled(
        PATTERNS["cube"], (2, 3, 5), (5, 2, 4), ((2,), (0,)), ((0,), (1,))
    ),
    "sampled, dense axis": sampled(PATTERNS["dense axis"], (4, 2), (2, 3), ((1,), (0,))),
    "on the right": Case(
        lambda y, data: y @ MATRIX.bcoo(data),
        (normal(2, 3), MATRIX.data),
        lambda y, data: y @ MATRIX.dense(data),
    ),
    # JAX has no reverse mode of it
    "sparse on both sides": Case(
        lambda x, y: (LEFT.bcoo(x) @ RIGHT.bcoo(y)).todense(),
        (LEFT.data, RIGHT.data),
        lambda x, y: jnp.matmul(LEFT.dense(x), RIGHT.dense(y)),
    ),
}
CASES |= PRODUCTS


def by_a_method(p, matrix, method, transpose, *rhs):
    """What is stored outside is zero: JAX has it in a transposed product."""
    return Case(
        lambda data, x: method(matrix(data), x, transpose=transpose),
        (p.data * (p.indices < p.shape).all(-1), normal(*rhs)),
        lambda data, x: (p.dense(data).T if transpose else p.dense(data)) @ x,
        under_vmap=False,
    )


BY_ROW = SORTED.pattern
CASES |= {
    "coo_matvec, transposed": by_a_method(MATRIX, MATRIX.coo, sparse.coo_matvec, True, 3),
    "coo_matmat": by_a_method(MATRIX, MATRIX.coo, sparse.coo_matmat, False, 4, 2),
    "coo_matmat, square": by_a_method(SQUARE, SQUARE.coo, sparse.coo_matmat, False, 3, 2),
    "csr_matvec, transposed": by_a_method(BY_ROW, SORTED.csr, sparse.csr_matvec, True, 3),
    "csr_matvec, square": by_a_method(
        BY_ROWS["square"].pattern, BY_ROWS["square"].csr, sparse.csr_matvec, False, 3
    ),
    "csr_matmat": by_a_method(BY_ROW, SORTED.csr, sparse.csr_matmat, False, 4, 2),
    "csr_matmat, square": by_a_method(
        BY_ROWS["square"].pattern, BY_ROWS["square"].csr, sparse.csr_matmat, False, 3, 2
    ),
}


def solved(r, dense=None):
    return Case(
        lambda data, b: spsolve(data, jnp.asarray(r.columns), jnp.asarray(r.ends), b),
        (np.array([2.0, 0.3, 1.5, 0.4, 1.0, 5.0])[: r.columns.size], normal(3)),
        dense,
        under_vmap=False,
    )


FILLED_UP = rows([0, 1, 1, 0, 2, 0], [0, 2, 3, 5], (3, 3))
CASES |= {
    "spsolve": solved(rows([0, 1, 1, 0, 2], [0, 2, 3, 5], (3, 3))),
    # JAX's gradient fails
    "spsolve, something stored outside": solved(
        FILLED_UP, lambda data, b: jnp.linalg.solve(FILLED_UP.pattern.dense(data), b)
    ),
}


# each program is compiled to be run once
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def pulled_back(vjp, fun, *args):
    out, pullback = vjp(fun, *args)
    return out, pullback(jnp.cos(out))


def second_order(vjp, fun, *args):
    def once(*args):
        return sum(jnp.sum(jnp.sin(g)) for g in pulled_back(vjp, fun, *args)[1])

    return vjp(once, *args)[1](1.0)


def of_two(vjp, fun, *args):
    return jax.vmap(functools.partial(pulled_back, vjp, fun))(
        *[jnp.stack([x, x * 1.5]) for x in args]
    )


@pytest.mark.parametrize("name", CASES)
def test_as_in_jax_or_as_dense(name):
    fun, args, dense, under_vmap = CASES[name]
    derivatives = [pulled_back]
    if len(args) > 1:  # the others are linear
        derivatives.append(second_order)
    if under_vmap:
        derivatives.append(of_two)
    all_of = lambda vjp, fun: jit(lambda *args: [d(vjp, fun, *args) for d in derivatives])(*args)
    with jax.enable_x64(True):
        assert_agree(all_of(funcnn.vjp, fun), all_of(jax.vjp, dense or fun), 1e-12)


IN_JAX = PRODUCTS.keys() - {  # of these it has that of one side, or none
    "an empty array",
    "no sparse axes",
    "dense axis",
    "all kinds of axes",
    "by rows, dense axis",
    "sparse on both sides",
}


def test_products_have_the_gradient_of_jax():
    """In float32, and once: JAX has no second one of some, nor all under vmap."""
    args = {name: [np.float32(x) for x in PRODUCTS[name].args] for name in sorted(IN_JAX)}
    each = lambda vjp: jit(
        lambda args: {name: pulled_back(vjp, PRODUCTS[name].fun, *args[name]) for name in args}
    )
    assert_agree(each(funcnn.vjp)(args), each(jax.vjp)(args), 1e-5)


# --- of functions of these


def composed(data, x):
    """Of whatever JAX makes of them."""
    m = MATRIX.bcoo(data)
    return [
        sparse.bcoo_reduce_sum(m, axes=(0,)).todense(),
        sparse.bcoo_multiply_dense(m, x),
        sparse.bcoo_multiply_sparse(m, MATRIX.bcoo(data * 2)).todense(),
        sparse.bcoo_reshape(m, new_sizes=(2, 6)).todense(),
        sparse.bcoo_slice(m, start_indices=(0, 1), limit_indices=(3, 4)).todense(),
        sparse.bcoo_dynamic_slice(m, (0, 1), (2, 2)).todense(),
        sparse.bcoo_concatenate([m, m], dimension=0).todense(),
        sparse.bcoo_broadcast_in_dim(m, shape=(2, 3, 4), broadcast_dimensions=(1, 2)).todense(),
        sparse.todense(m) * sparse.todense(x),
        sparse.todense(SORTED.bcsr(data)),
    ]


@sparse.sparsify
def sparsified(m, x):
    """Plain jax.numpy, of a sparse array."""
    hidden = (m * 2).T @ jnp.sin(x)
    step = lambda s, _: (jnp.tanh(s + m @ hidden), None)
    sums = lax.scan(step, jnp.zeros(3, x.dtype), None, length=2)[0]
    return jnp.sum(m, axis=1), jax.jit(lambda m: m @ hidden)(m), sums


FUNCTIONS = {
    "composed": (composed, normal(3, 4)),
    "sparsified": (lambda data, x: sparsified(MATRIX.bcoo(data), x), normal(3)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_as_in_jax(name):
    fun, x = FUNCTIONS[name]
    leaves = lambda data, x: jax.tree.map(
        lambda leaf: leaf.todense() if isinstance(leaf, sparse.JAXSparse) else leaf,
        fun(data, x),
        is_leaf=lambda leaf: isinstance(leaf, sparse.JAXSparse),
    )

    def loss(data, x):
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(leaves(data, x)))

    args = np.float32(MATRIX.data), np.float32(x)
    assert_agree(jit(funcnn.grad(loss, (0, 1)))(*args), jit(jax.grad(loss, (0, 1)))(*args), 1e-5)


def test_eagerly():
    """Then JAX may look at the indices."""
    data, x = np.float32(MATRIX.data), np.float32(normal(4, 2))

    def loss(data, x):
        m = MATRIX.bcoo(data)
        by_rows = sparse.BCSR.from_bcoo(m.sum_duplicates())
        return jnp.sum(jnp.sin(m.sum_duplicates() @ x + by_rows @ x + MATRIX.coo(data) @ x))

    dense = lambda data, x: jnp.sum(jnp.sin(3 * MATRIX.dense(data) @ x))
    ours = funcnn.value_and_grad(loss, (0, 1))(data, x)
    assert_agree(ours, jax.value_and_grad(dense, (0, 1))(data, x), 1e-5)


def test_constants_of_numpy():
    """That an inner program has."""
    indices, other = PATTERNS["vector"].indices, np.float32(PATTERNS["vector"].data)
    options = {
        "lhs_spinfo": PATTERNS["vector"].bcoo(other)._info,
        "rhs_spinfo": PATTERNS["vector"].bcoo(other)._info,
        "dimension_numbers": (FIRST_OF_BOTH, ((), ())),
        "preferred_element_type": None,
    }

    @jax.jit
    def inner(x):
        return sparse.bcoo_spdot_general_p.bind(jnp.sin(x), indices, other, indices, **options)[0]

    dense = lambda x: PATTERNS["vector"].dense(jnp.sin(x)) @ PATTERNS["vector"].dense(other)
    ours = funcnn.grad(lambda x: inner(x).sum())(other)
    assert_agree(ours, jax.grad(dense)(jnp.asarray(other)), 1e-6)


# --- cost, types, what JAX imports, errors

LARGE = at(*np.random.default_rng(0).integers(0, 1000, size=(50, 2)), shape=(1000, 1000))
LARGE_BY_ROWS = rows(np.arange(50), np.minimum(np.arange(1001), 50), (1000, 1000))
IN_EACH_ROW = at(*np.arange(1000).reshape(1000, 1, 1), shape=(1000, 1000))
sample = lambda x, y: sparse.bcoo_dot_general_sampled(
    x, y, jnp.asarray(LARGE.indices), dimension_numbers=(((1,), (1,)), ((), ()))
)
THIN = {
    "bcoo": lambda data, x: LARGE.bcoo(data[:50, 0]) @ x,
    "bcoo, batch": lambda data, x: IN_EACH_ROW.bcoo(data[:, :1]) @ x,
    "bcsr": lambda data, x: LARGE_BY_ROWS.bcsr(data[:50, 0]) @ x,
    "coo": lambda data, x: LARGE.coo(data[:50, 0]) @ x,
    "csr": lambda data, x: LARGE_BY_ROWS.csr(data[:50, 0]) @ x,
    "sampled": sample,
}


@pytest.mark.parametrize("name", THIN)
def test_nothing_becomes_dense(name):
    x = jnp.ones((1000, 2))
    loss = lambda data, x: jnp.sum(jnp.sin(THIN[name](data, x)))
    jaxpr = jax.make_jaxpr(funcnn.grad(loss, (0, 1)))(x, x)
    assert 2000 <= max(sizes_in(jaxpr)) < 20_000
    assert name.split(",")[0] in str(jaxpr)  # its own primitive: there are kernels for some


def sizes_in(program):
    """Of all arrays that a program makes, those inside of it, too."""
    if hasattr(program, "eqns"):
        for eqn in program.eqns:
            yield from (v.aval.size for v in eqn.outvars)
            yield from sizes_in(list(eqn.params.values()))
    elif hasattr(program, "jaxpr"):
        yield from sizes_in(program.jaxpr)
    elif isinstance(program, list | tuple):
        for part in program:
            yield from sizes_in(part)


def test_the_sizes_of_what_is_dense_would_be_found():
    dense = jax.jit(lambda data: jnp.sum(LARGE.bcoo(data).todense()))
    assert max(sizes_in(jax.make_jaxpr(dense)(jnp.ones(50)))) == 1000 * 1000


@pytest.mark.parametrize(
    ("left", "right", "wide"),
    [
        (jnp.bfloat16, jnp.bfloat16, jnp.float32),
        (jnp.float16, jnp.float16, None),
        (jnp.complex64, jnp.complex64, None),
        (jnp.float32, jnp.complex64, None),
    ],
)
def test_types_are_those_of_dense_products(left, right, wide):
    numbers = (((1,), (0,)), ((), ()))
    data, x = jnp.asarray(MATRIX.data, left), jnp.asarray(normal(4, 2), right)
    data, x = (a * (1 + 2j) if jnp.iscomplexobj(a) else a for a in (data, x))
    of = lambda vjp, multiply, matrix: vjp(
        lambda data, x: multiply(
            matrix(data), x, dimension_numbers=numbers, preferred_element_type=wide
        ),
        data,
        x,
    )
    out, ours = of(funcnn.vjp, sparse.bcoo_dot_general, MATRIX.bcoo)
    _, theirs = of(jax.vjp, lax.dot_general, MATRIX.dense)
    assert_agree(ours(out), theirs(out), 2e-2 if jnp.finfo(left).bits == 16 else 1e-5)


def test_indices_have_no_gradient():
    m = MATRIX.bcoo(np.float32(MATRIX.data))
    total = lambda m: jnp.sum(jnp.sin(m.todense()))
    with pytest.raises(TypeError, match="int32"):
        funcnn.grad(total)(m)
    found, expected = (g(total, allow_int=True)(m) for g in (funcnn.grad, jax.grad))
    assert_agree(found.data, expected.data, 1e-6)
    assert found.indices.dtype == expected.indices.dtype == jax.dtypes.float0


def test_funcnn_does_not_import_what_takes_long():
    program = "import sys, funcnn; print('jax.experimental.sparse' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert run.stdout.split() == [b"False"]
