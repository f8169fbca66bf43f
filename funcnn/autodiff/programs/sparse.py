"""The rules for JAX's sparse arrays, `jax.experimental.sparse`: BCOO, BCSR, COO, CSR.

A sparse array is its stored elements, the data, and their indices; only the data has a gradient.
A product is a sum over the stored elements, of the element times the other operand where they
meet, each added to the output at its place. So the cotangent of the data is that of the output
times the other operand, at these two places; and that of the other operand is a sparse product
again. Nothing here becomes dense that JAX does not make dense itself.

An index outside of the array is padding: what is stored there counts for nothing.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from funcnn.autodiff.programs.opened import on_a_tape
from funcnn.autodiff.rules.contractions import of_type, swap, to_left
from funcnn.autodiff.rules.table import Recorded, defvjp, linear, register, unbroadcast


def _sparse():
    """Slow to import. Whoever comes here has met one of its primitives, so it is there already."""
    from jax.experimental import sparse

    return sparse


# --- between a dense array and what it has where elements are stored


def _where_stored(x, axes, indices):
    """(*batch, stored, ...): `x`, whose first axes are these `axes` of the sparse array.

    An axis is of length 1 where all along it have the same. Padding finds zeros.
    """
    n_batch = indices.ndim - 2
    if not axes:
        return lax.expand_dims(x, range(n_batch + 1))

    def along(axis, length):
        if axis >= n_batch:
            return indices[..., axis - n_batch]
        shape = [length if d == axis else 1 for d in range(n_batch + 1)]
        return lax.broadcasted_iota(jnp.int32, shape, axis)

    where = tuple(along(axis, length) for axis, length in zip(axes, x.shape, strict=False))
    if not x.size:
        shape = jnp.broadcast_shapes(*(index.shape for index in where))
        return jnp.zeros((*shape, *x.shape[len(axes) :]), x.dtype)
    return x.at[where].get(mode="fill", fill_value=0)


def _as_data(found, aval, n_batch):
    """What was found where elements are stored, in the shape of the data."""
    stored = [*found.shape[:n_batch], aval.shape[n_batch], *found.shape[n_batch + 1 :]]
    return of_type(unbroadcast(jnp.broadcast_to(found, stored), aval), aval)


def _extracted(g, indices, data_aval):
    n_batch, n_sparse = indices.ndim - 2, indices.shape[-1]
    return _as_data(_where_stored(g, range(n_batch + n_sparse), indices), data_aval, n_batch)


def _dense(g, indices, x_aval):
    return _sparse().BCOO((g, indices), shape=x_aval.shape).todense()


# --- products, on the left of which is the sparse array


def _to_data(g, rhs, indices, data_aval, dimension_numbers, ndim):
    """`g` times `rhs`, where an element meets them both."""
    (left, right), (left_batch, right_batch) = dimension_numbers
    n_batch, n_sparse = indices.ndim - 2, indices.shape[-1]
    kept = [d for d in range(n_batch + n_sparse) if d not in (*left, *left_batch)]
    own = [d for d in range(rhs.ndim) if d not in (*right, *right_batch)]
    in_g = _where_stored(g, [*left_batch, *kept], indices)
    rhs = lax.transpose(rhs, [*right_batch, *right, *own])
    in_rhs = _where_stored(rhs, [*left_batch, *left], indices)
    # the dense axes of the sparse array are in g only
    in_rhs = lax.expand_dims(in_rhs, range(n_batch + 1, ndim - n_sparse + 1))
    product = jnp.sum(in_g * in_rhs, axis=tuple(range(-len(own), 0)))
    return _as_data(product, data_aval, n_batch)


def _to_other(g, other, aval, dimension_numbers, preferred_element_type=None, *, g_first):
    """As of a dense product, where one of the two is sparse."""
    to_side = functools.partial(
        to_left,
        aval=aval,
        dimension_numbers=dimension_numbers,
        precision=None,
        preferred_element_type=preferred_element_type,
        g_first=g_first,
    )
    return _sparse().sparsify(to_side)(g, other)


def _without_dense_axes(matrix):
    """Over which a sparse product cannot sum: they become sparse."""
    return _sparse().bcoo_update_layout(matrix, n_dense=0, on_inefficient=None)


# --- BCOO: any axes, the first of which may be a batch of arrays, the last dense


def _to_data_of_bcoo(g, indices, rhs, data_aval, dimension_numbers, lhs_spinfo):
    return _to_data(g, rhs, indices, data_aval, dimension_numbers, len(lhs_spinfo.shape))


def _to_right_of_bcoo(
    g, data, indices, rhs_aval, dimension_numbers, preferred_element_type, lhs_spinfo
):
    if not g.size:  # JAX's product fails
        return jnp.zeros(rhs_aval.shape, rhs_aval.dtype)
    matrix = _without_dense_axes(_sparse().BCOO((data, indices), **lhs_spinfo._asdict()))
    numbers = swap(dimension_numbers)
    return _to_other(g, matrix, rhs_aval, numbers, preferred_element_type, g_first=False)


def _of_extracted(g, indices, x_aval, assume_unique):
    if not assume_unique:  # of elements stored at one place only the first gets what is there
        ones = jnp.ones(x_aval.shape, g.dtype)
        first = _sparse().bcoo_extract_p.bind(indices, ones, assume_unique=False)
        g = jnp.where(first != 0, g, 0)
    return _dense(g, indices, x_aval)


def _permuted_back(gs, indices_aval, permutation):
    n_batch, n_sparse = len(indices_aval.shape) - 2, indices_aval.shape[-1]
    dense = [d - n_sparse + 1 for d in permutation[n_batch + n_sparse :]]
    order = [*permutation[:n_batch], n_batch, *dense]
    return lax.transpose(gs[0], sorted(range(len(order)), key=order.__getitem__))


def _matrix_sampled(g, indices, x_aval, y_aval, dimension_numbers):
    """The cotangent of the product that was sampled."""
    product = functools.partial(lax.dot_general, dimension_numbers=dimension_numbers)
    matrix = _sparse().BCOO((g, indices), shape=jax.eval_shape(product, x_aval, y_aval).shape)
    if len(dimension_numbers[1][0]) > matrix.n_batch:
        return matrix.todense()  # as JAX does it: it has no sparse product that goes along
    return _without_dense_axes(matrix)


linear("bcoo_todense", "data indices", data=_extracted)
linear("bcoo_extract", "indices x", x=_of_extracted)
linear("bcoo_transpose", "data indices", data=_permuted_back)
linear("bcoo_dot_general", "data indices rhs", data=_to_data_of_bcoo, rhs=_to_right_of_bcoo)
linear(
    "bcoo_dot_general_sampled",
    "x y indices",
    x=lambda g, y, indices, x_aval, y_aval, dimension_numbers: _to_other(
        _matrix_sampled(g, indices, x_aval, y_aval, dimension_numbers),
        y,
        x_aval,
        dimension_numbers,
        g_first=True,
    ),
    y=lambda g, x, indices, x_aval, y_aval, dimension_numbers: _to_other(
        _matrix_sampled(g, indices, x_aval, y_aval, dimension_numbers),
        x,
        y_aval,
        swap(dimension_numbers),
        g_first=False,
    ),
)


def _by_its_program(primitive, values, tracked, params):
    """JAX evaluates it by a program that others can follow."""

    def program(values):
        out = primitive.impl(*map(jnp.asarray, values), **params)
        return out if primitive.multiple_results else [out]

    return on_a_tape(program, values, tracked)


for name in (
    "bcoo_fromdense",
    "bcoo_sort_indices",
    "bcoo_spdot_general",
    "bcoo_sum_duplicates",
    "bcsr_extract",
    "bcsr_fromdense",
    "bcsr_todense",
    "todense",
):
    register(name, _by_its_program)


# --- products of BCSR. On a CPU and a GPU the forward pass has kernels of its own


def _of_rows(indices, indptr, shape):
    """Indices as BCOO has them, from the columns and where each row begins and ends."""
    shape = shape[: indices.ndim + 1]
    # any array that has a number for each element may stand for the data
    return _sparse().BCSR((indices, indices, indptr), shape=shape).to_bcoo().indices


def _to_data_of_bcsr(g, indices, indptr, rhs, data_aval, dimension_numbers, lhs_spinfo):
    indices = _of_rows(indices, indptr, lhs_spinfo.shape)
    return _to_data_of_bcoo(g, indices, rhs, data_aval, dimension_numbers, lhs_spinfo)


def _to_right_of_bcsr(
    g, data, indices, indptr, rhs_aval, dimension_numbers, preferred_element_type, lhs_spinfo
):
    options = dimension_numbers, preferred_element_type, lhs_spinfo
    indices = _of_rows(indices, indptr, lhs_spinfo.shape)
    return _to_right_of_bcoo(g, data, indices, rhs_aval, *options)


linear("bcsr_dot_general", "data indices indptr rhs", data=_to_data_of_bcsr, rhs=_to_right_of_bcsr)


# --- COO and CSR: matrices. JAX has products with them, and with what they are transposed


def _of_pairs(row, col):
    return jnp.stack([row, col], axis=-1)


def _numbers(transpose):
    return ((int(not transpose),), (0,)), ((), ())


def _coo_transposed(primitive, g, data, row, col, spinfo, transpose):
    primitive = getattr(_sparse(), primitive)
    return primitive.bind(data, row, col, g, spinfo=spinfo, transpose=not transpose)


def _csr_transposed(primitive, g, data, indices, indptr, shape, transpose):
    primitive = getattr(_sparse(), primitive)
    return primitive.bind(data, indices, indptr, g, shape=shape, transpose=not transpose)


for product in ("matvec", "matmat"):
    linear(
        f"coo_{product}",
        "data row col x",
        data=lambda g, row, col, x, data_aval, transpose: _to_data(
            g, x, _of_pairs(row, col), data_aval, _numbers(transpose), 2
        ),
        x=functools.partial(_coo_transposed, f"coo_{product}_p"),
    )
    linear(
        f"csr_{product}",
        "data indices indptr x",
        data=lambda g, indices, indptr, x, data_aval, shape, transpose: _to_data(
            g, x, _of_rows(indices, indptr, shape), data_aval, _numbers(transpose), 2
        ),
        x=functools.partial(_csr_transposed, f"csr_{product}_p"),
    )

linear(
    "coo_todense",
    "data row col",
    data=lambda g, row, col, data_aval: _extracted(g, _of_pairs(row, col), data_aval),
)
linear(
    "csr_todense",
    "data indices indptr",
    data=lambda g, indices, indptr, data_aval, shape: _extracted(
        g, _of_rows(indices, indptr, shape), data_aval
    ),
)


def _of_stored(gs, outs, x_aval):
    data, row, col = outs
    # what is zero was not stored: it fills up, at indices of another element
    return _dense(jnp.where(data != 0, gs[0], 0), _of_pairs(row, col), x_aval)


defvjp("coo_fromdense", "x", x=_of_stored)
defvjp(
    "csr_fromdense",
    "x",
    x=lambda gs, outs, x_aval: _dense(gs[0], _of_rows(outs[1], outs[2], x_aval.shape), x_aval),
)


# --- the solution of a sparse system


def _spsolve(primitive, values, tracked, params):
    """For A x = b the cotangent of b solves Aᵀ λ = g, and that of A is -λ xᵀ where A is stored."""
    x = primitive.bind(*values, **params)

    def backward(saved, gs):
        (data, indices, indptr), x = saved
        size = gs[0].shape[0]
        found = _of_rows(indices, indptr, (size, size))
        row, col = found[:, 0], found[:, 1]
        swapped = _of_pairs(jnp.where(row < size, col, size), row)  # padding stays outside
        matrix = _sparse().BCOO((data, swapped), shape=(size, size))
        transposed = _sparse().BCSR.from_bcoo(matrix)
        solved = primitive.bind(
            transposed.data, transposed.indices, transposed.indptr, gs[0], **params
        )
        if x is None:
            return [None, None, None, solved]
        to_data = _to_data(lax.neg(solved), x, found, jax.typeof(data), _numbers(False), 2)
        return [to_data, None, None, solved]

    return Recorded([x], [True], (values[:3], x if tracked[0] else None), backward)


register("spsolve", _spsolve)
