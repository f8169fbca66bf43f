"""Ragged products against the same written as dense ones, differentiated by JAX.

JAX itself differentiates one of the three kinds, and that only once.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import funcnn

from .agreement import assert_agree


def ragged(contract, batch, ragged, group, **options):
    numbers = lax.RaggedDotDimensionNumbers((contract, batch), [ragged], group)
    return lambda x, y, sizes: lax.ragged_dot_general(x, y, sizes, numbers, **options)


def in_group(sizes, length):
    """One row a group: 1 where an index belongs to it."""
    ends = jnp.cumsum(sizes)
    index = jnp.arange(length)
    return ((ends - sizes)[:, None] <= index) & (index < ends[:, None])


def dense(subscripts, axis):
    """einsum of `in_group` along `axis` of x, x and y."""
    return lambda x, y, sizes: jnp.einsum(
        subscripts, in_group(sizes, x.shape[axis]).astype(x.dtype), x, y, precision="highest"
    )


# each program is compiled to be run once
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

# ragged, dense, shapes of both sides, sizes of the groups
CASES = {
    "rows": (lax.ragged_dot, dense("gm,mk,gkn->mn", 0), (5, 3), (2, 3, 4), (2, 3)),
    "a group without rows, rows without a group": (
        lax.ragged_dot,
        dense("gm,mk,gkn->mn", 0),
        (5, 3),
        (3, 3, 4),
        (2, 0, 1),
    ),
    "no rows": (lax.ragged_dot, dense("gm,mk,gkn->mn", 0), (0, 3), (2, 3, 4), (0, 0)),
    "rows, a batch": (
        ragged(((3,), (2,)), ((1,), (1,)), 2, [0]),
        dense("gm,abmk,gbkn->bamn", 2),
        (3, 2, 4, 5),
        (2, 2, 5, 3),
        (1, 3),
    ),
    "rows, two axes summed in another order, groups last": (
        ragged(((0, 2), (2, 0)), ((), ()), 1, [3]),
        dense("gm,jmk,knjg->mn", 1),
        (2, 5, 3),
        (3, 4, 2, 2),
        (4, 1),
    ),
    "rows, two axes summed, named in the order of the right side": (
        ragged(((2, 0), (0, 2)), ((), ()), 1, [3]),
        dense("gm,jmk,knjg->mn", 1),
        (2, 5, 3),
        (3, 4, 2, 2),
        (4, 1),
    ),
    "sums": (
        ragged(((1,), (0,)), ((), ()), 1, []),
        dense("gk,mk,kn->gmn", 1),
        (3, 5),
        (5, 4),
        (2, 3),
    ),
    "sums, a batch": (
        ragged(((2,), (1,)), ((1,), (2,)), 2, []),
        dense("gk,mbk,nkb->gbmn", 2),
        (2, 3, 5),
        (4, 5, 3),
        (2, 2),
    ),
    "batches": (
        ragged(((2,), (1,)), ((0,), (0,)), 0, []),
        # every batch is in a group, so that groups do not matter
        lambda x, y, sizes: jnp.einsum("bmk,bkn->bmn", x, y, precision="highest"),
        (4, 2, 3),
        (4, 3, 2),
        (1, 3),
    ),
}


def drawn(name):
    _, _, x, y, sizes = CASES[name]
    rng = np.random.default_rng(7)
    return rng.normal(size=x), rng.normal(size=y), np.array(sizes, np.int32)


def pulled_back(vjp, fun, x, y, sizes):
    out, pullback = vjp(lambda x, y: fun(x, y, sizes), x, y)
    return out, pullback(jnp.cos(out))


def second_order(vjp, fun, x, y, sizes):
    def once(x, y):
        _, (to_x, to_y) = pulled_back(vjp, fun, x, y, sizes)
        return jnp.sum(jnp.sin(to_x)) + jnp.sum(jnp.sin(to_y))

    return vjp(once, x, y)[1](1.0)


@pytest.mark.parametrize("name", CASES)
def test_ragged_as_dense(name):
    ours, theirs = CASES[name][:2]
    with jax.enable_x64(True):
        args = drawn(name)
        for derivative in (pulled_back, second_order):
            found = jit(functools.partial(derivative, funcnn.vjp, ours))(*args)
            assert_agree(found, jit(functools.partial(derivative, jax.vjp, theirs))(*args), 1e-12)


def test_only_what_is_asked_for():
    x, y, sizes = drawn("rows")
    to_left = jax.make_jaxpr(
        lambda x: funcnn.vjp(lambda x: lax.ragged_dot(x, y, sizes), x)[1](x @ y[0])
    )
    products = [e for e in to_left(x).eqns if str(e.primitive) == "ragged_dot_general"]
    assert len(products) == 2  # the value, and the cotangent of the left side


@pytest.mark.parametrize("wide", [None, jnp.float32])
def test_dtypes_are_those_of_jax(wide):
    x, y, sizes = drawn("rows")
    f = functools.partial(lax.ragged_dot, preferred_element_type=wide, precision="highest")
    x, y = jnp.asarray(x, jnp.bfloat16), jnp.asarray(y, jnp.bfloat16)
    of = lambda vjp: vjp(lambda x, y: f(x, y, sizes), x, y)
    g = jnp.ones_like(of(jax.vjp)[0])
    assert_agree(of(funcnn.vjp)[1](g), of(jax.vjp)[1](g), 1e-2)
