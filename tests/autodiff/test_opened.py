"""Primitives that stand for a program, of which JAX has no reverse mode, no batching or no name."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import scheduling_groups

import funcnn

from .agreement import assert_agree

X = np.float32(0.7)
XS = np.array([0.7, -0.2, 1.4], np.float32)


def product(x, y):
    return jnp.sin(x) * y, y


# --- jax.custom_batching.custom_vmap, lax.composite: JAX differentiates neither in reverse


@jax.custom_batching.custom_vmap
def own_batching(x, y):
    return product(x, y)


@own_batching.def_vmap
def _(axis_size, in_batched, x, y):
    spread = lambda v, is_batched: v if is_batched else jnp.broadcast_to(v, (axis_size,))
    return product(spread(x, in_batched[0]), spread(y, in_batched[1])), (True, True)


OF_A_PRODUCT = {
    "custom_vmap": own_batching,
    "composite": lax.composite(product, name="test.product"),
    "xla_metadata": scheduling_groups.xla_metadata_call(product, kind="product"),
}


@pytest.mark.parametrize("fun", OF_A_PRODUCT.values(), ids=OF_A_PRODUCT)
@pytest.mark.parametrize("way", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_as_the_program_it_stands_for(fun, way):
    def weighted(f):
        return lambda x, y: f(x, y)[0] * 3 + math.prod(f(y, x)) * x

    ours = way(funcnn.grad(weighted(fun), (0, 1)))(X, X * 2)
    assert_agree(ours, jax.grad(weighted(product), (0, 1))(X, X * 2), 1e-6)
    twice = lambda grad, f: grad(lambda x: grad(weighted(f))(x, X))(X)
    assert_agree(twice(funcnn.grad, fun), twice(jax.grad, product), 1e-6)


def test_what_depends_on_nothing_tracked_is_a_value():
    half_constant = lax.composite(lambda x, n: (jnp.sin(x), n + 1), name="test.half_constant")

    def f(x):
        y, one = half_constant(x, np.float32(0))
        assert not isinstance(one, jax.core.Tracer)
        return y * one

    assert_agree(funcnn.grad(f)(X), np.cos(X), 1e-6)


def test_a_batching_rule_inside_and_outside():
    inside = lambda f: lambda xs: jnp.sum(jax.vmap(f, (0, None))(xs, X)[0])
    assert_agree(funcnn.grad(inside(own_batching))(XS), jax.grad(inside(product))(XS), 1e-6)
    outside = lambda grad, f: jax.vmap(grad(lambda x: f(x, X)[0]))(XS)
    assert_agree(outside(funcnn.grad, own_batching), outside(jax.grad, product), 1e-6)


def test_where_nothing_is_differentiated_the_batching_rule_is_used():
    called = []

    @jax.custom_batching.custom_vmap
    def f(x):
        return x

    @f.def_vmap
    def _(axis_size, in_batched, x):
        called.append(axis_size)
        return x, in_batched[0]

    beside = lambda x: x * jnp.sum(jax.vmap(f)(XS))
    assert_agree(funcnn.grad(beside)(X), np.float32(XS.sum()), 1e-6)
    assert called == [3]


# --- jax.custom_derivatives.linear_call: the user says what the transpose is


def divided(by, x, transpose=lambda by, g: (g[0] / by, g[1] / by)):
    divide = lambda by, x: (x[0] / by, x[1] / by)
    return jax.custom_derivatives.linear_call(divide, transpose, by, x)


def plainly_divided(by, x):
    return x[0] / by, x[1] / by


@pytest.mark.parametrize("way", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_linear_call(way):
    def f(divided):
        return lambda x, y: divided(2.0, (x * y, y))

    g = (np.float32(2), np.float32(3))
    pulled = lambda vjp, d: way(lambda x, y: vjp(f(d), x, y)[1](g))(X, X * 2)
    assert_agree(pulled(funcnn.vjp, divided), pulled(jax.vjp, plainly_divided), 1e-6)


def test_linear_call_by_the_transpose_that_was_given():
    """Three times too much, as the user said."""
    wrong = lambda by, g: (3 * g[0] / by, 3 * g[1] / by)
    assert funcnn.grad(lambda x: divided(2.0, (x, X), wrong)[0])(X) == 1.5


def test_linear_call_in_what_is_kept_for_the_transpose():
    """JAX has no derivative there."""
    f = lambda divided: lambda by, x: divided(by * by, (x, x))[1] + x
    ours = funcnn.grad(f(divided), (0, 1))(X, X * 2)
    assert_agree(ours, jax.grad(f(plainly_divided), (0, 1))(X, X * 2), 1e-6)
    # which is how it comes up: the second derivative in a factor
    twice = lambda grad, d: grad(lambda by: grad(lambda x: d(by, (x * x, x))[0] * 3)(X))(X)
    assert_agree(twice(funcnn.grad, divided), twice(jax.grad, plainly_divided), 1e-6)
