"""JAX's "hi" primitives: those it has (`ldexp`, `frexp`, `custom_root`) and one's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import hijax

import funcnn
from funcnn.autodiff.calls import custom_rules

from .agreement import assert_agree
from .modes import long

X = np.float32(0.7)
XS = np.array([0.3, -1.7, 6.0], np.float32)
N = np.array([3, -2, 0], np.int32)


def of_bits(x):
    mantissa, exponent = jnp.frexp(x * x)
    return [
        jnp.ldexp(jnp.sin(x), N),
        mantissa,
        jnp.ldexp(x, exponent),
        jax.jit(lambda x: jnp.ldexp(long(x), N))(x),
        jnp.searchsorted(jnp.arange(3.0), x) * x,
        jnp.nonzero(x > 0, size=2)[0] * x[:2],
    ]


def weighted(fun):
    """The sum of all that `fun` gives out, no two values alike."""
    return lambda x: sum(
        jnp.sum(out * jnp.cos(i + jnp.arange(float(out.size)))) for i, out in enumerate(fun(x))
    )


def test_functions_of_bits():
    f = weighted(of_bits)
    for way in (lambda f: f, jax.jit):
        assert_agree(way(funcnn.grad(f))(XS), jax.grad(f)(XS), 1e-6)
    batched = lambda grad: jax.jit(jax.vmap(grad(f)))(np.stack([XS, XS[::-1]]))
    assert_agree(batched(funcnn.grad), batched(jax.grad), 1e-6)
    twice = lambda grad: jax.jit(grad(lambda x: jnp.sum(grad(f)(x) * XS)))(XS)
    assert_agree(twice(funcnn.grad), twice(jax.grad), 1e-6)


def test_to_bits_and_back():
    """JAX 0.12 adds float0s in the second derivative, ours is 2."""
    f = lambda x: jnp.ldexp(*jnp.frexp(x)) * x
    assert_agree(funcnn.grad(f)(X), jax.grad(f)(X), 1e-6)
    assert funcnn.grad(funcnn.grad(f))(X) == 2


def test_ldexp_where_the_power_of_two_alone_would_overflow():
    f = lambda x: jnp.ldexp(x, 150)
    small = np.float32(1e-30)
    assert_agree(funcnn.grad(f)(small), jax.grad(f)(small), 1e-6)


# --- lax.custom_root


def newton(f, start):
    def step(_, x):
        return jax.tree.map(lambda x, y: x - y / (2 * x), x, f(x))

    return lax.fori_loop(0, 20, step, start)


def scalar_root(a):
    """The square root of sin a: in a dict, to see that structure is kept."""
    f = lambda x: {"x": x["x"] * x["x"] - jnp.sin(a)}
    root = lax.custom_root(f, {"x": 1.0}, newton, lambda g, y: {"x": y["x"] / g({"x": 1.0})["x"]})
    return root["x"]


def vector_root(a):
    """x + a x^3 = b: solved and differentiated with the Jacobian matrix."""
    f = lambda x: x + a[0] * x**3 - a[1:]

    def solve(f, x):
        for _ in range(12):
            x = x - jnp.linalg.solve(jax.jacobian(f)(x), f(x))
        return x

    tangent_solve = lambda g, y: jnp.linalg.solve(jax.jacobian(g)(y), y)
    return lax.custom_root(f, jnp.zeros(2), solve, tangent_solve)


def with_aux(a):
    f = lambda x: x * x * (1 + a * a / 10) - a
    solve = lambda f, x: (newton(f, x), {"start": x, "steps": 20.0})
    root, aux = lax.custom_root(f, a + 1, solve, lambda g, y: y / g(1.0), has_aux=True)
    return root * a + lax.stop_gradient(aux["start"])


ROOTS = {"a dict": (scalar_root, X), "with aux": (with_aux, X)}


@pytest.mark.parametrize("name", ROOTS)
def test_a_root_moves_with_its_parameters(name):
    f, a = ROOTS[name]
    for way in (lambda f: f, jax.jit):
        assert_agree(way(funcnn.grad(f))(a), jax.grad(f)(a), 1e-6)
    batched = lambda grad: jax.vmap(grad(f))(np.array([0.3, 0.7, 1.1], np.float32))
    assert_agree(batched(funcnn.grad), batched(jax.grad), 1e-6)
    twice = lambda grad: grad(grad(f))(a)
    assert_agree(twice(funcnn.grad), twice(jax.grad), 3e-6)


def test_a_root_that_is_a_vector():
    a = np.array([0.4, 0.9, -0.3], np.float32)
    f = lambda a: jnp.sum(vector_root(a) * jnp.array([1.0, 3.0]))
    assert_agree(jax.jit(funcnn.grad(f))(a), jax.grad(f)(a), 1e-5)


def test_how_the_root_was_found_does_not_matter():
    """A solver that is a table look-up has no derivative of its own."""
    f = lambda a: lax.custom_root(
        lambda x: x * x - a, 1.0, lambda f, x: jnp.round(jnp.sqrt(a), 4), lambda g, y: y / g(1.0)
    )
    assert_agree(funcnn.grad(f)(np.float32(4)), np.float32(0.25), 1e-6)


# --- one's own

Base = getattr(hijax, "HiPrim", None) or hijax.VJPHiPrimitive


class Product(Base):
    """x * y of arrays of one type, given as a dict; `times` is a factor in its own derivative."""

    def __init__(self, like, times):
        self.in_avals = ({"x": like, "y": like},)
        self.out_aval = {"product": like}
        self.params = {"times": times}
        super().__init__()

    def expand(self, args):
        return {"product": args["x"] * args["y"]}


class ByVJP(Product):
    def vjp_fwd(self, nonzero, args):
        return self(args), args

    def vjp_bwd_retval(self, args, g):
        g = self.times * g["product"]
        return ({"x": g * args["y"], "y": g * args["x"]},)


class ByJVP(Product):
    def jvp(self, primals, tangents):
        [args], [dots] = primals, tangents
        terms = [dots[a] * args[b] for a, b in ("xy", "yx") if not isinstance(dots[a], hijax.Zero)]
        return self(args), {"product": self.times * functools.reduce(jnp.add, terms)}


class ByLinearization(Product):
    def lin(self, nonzero, args):
        return self(args), args

    def linearized(self, args, dots):
        return ByJVP.jvp(self, (args,), (dots,))[1]


class Opened(Product):
    pass


def multiplied(kind, times=1.0):
    def multiply(x, y):
        return kind(jax.typeof(x), times)({"x": x, "y": y})["product"]

    return multiply


@pytest.mark.parametrize("kind", [ByVJP, ByJVP, ByLinearization, Opened])
def test_one_s_own_by_the_derivative_it_brings(kind):
    f = lambda multiply: lambda x, y: multiply(jnp.sin(x), y) * x
    plain, x, y = f(lambda x, y: x * y), jnp.float32(0.7), jnp.float32(1.3)
    for argnums in (0, 1, (0, 1)):
        expected = jax.grad(plain, argnums)(x, y)
        assert_agree(funcnn.grad(f(multiplied(kind)), argnums)(x, y), expected, 1e-6)
        assert_agree(jax.jit(funcnn.grad(f(multiplied(kind)), argnums))(x, y), expected, 1e-6)
    twice = lambda grad, f: grad(lambda x: grad(f)(x, y))(x)
    assert_agree(twice(funcnn.grad, f(multiplied(kind))), twice(jax.grad, plain), 1e-6)


@pytest.mark.parametrize("kind", [ByVJP, ByJVP, ByLinearization])
def test_its_derivative_is_believed(kind):
    """Three times too much, as its class says."""
    for way in (lambda f: f, jax.jit):
        slopes = way(funcnn.grad(multiplied(kind, 3.0), (0, 1)))(jnp.float32(0.7), jnp.float32(2))
        assert_agree(slopes, (np.float32(6), np.float32(2.1)), 1e-6)


@pytest.mark.parametrize("kind", [ByVJP, ByJVP, ByLinearization])
def test_its_derivative_is_ignored_where_rules_are_to_be(kind):
    with custom_rules(False):
        slope = funcnn.grad(multiplied(kind, 3.0))(jnp.float32(0.7), jnp.float32(2))
    assert_agree(slope, np.float32(2), 1e-6)
