"""Special functions where a case of test_rules.py does not say enough."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import funcnn

from .agreement import assert_agree

A = np.array([0.002, 0.4, 1.0, 3.5, 40.0], np.float32)
KEY = jax.random.key(3)


def test_samples_move_with_the_shape_as_in_jax():
    """One program, because each of them holds long loops."""

    def weighted(a):
        samples = jnp.stack(
            [
                jax.random.gamma(KEY, a),
                jax.random.gamma(KEY, a[3], a.shape),
                jax.random.loggamma(KEY, a),
                jax.random.dirichlet(KEY, a),
            ]
        )
        return jnp.sum(samples * jnp.cos(jnp.arange(samples.size).reshape(samples.shape)))

    quickly = {"xla_backend_optimization_level": 0}
    ours, theirs = (
        jax.jit(grad(weighted), compiler_options=quickly)(A) for grad in (funcnn.grad, jax.grad)
    )
    assert_agree(ours, theirs, 3e-6)


def test_no_samples():
    assert funcnn.grad(lambda a: jnp.sum(jax.random.gamma(KEY, a)))(A[:0]).shape == (0,)


@pytest.mark.parametrize("fun", [lax.bessel_i0e, lax.bessel_i1e])
def test_second_derivatives_at_the_kink_of_a_bessel_function(fun):
    ours, theirs = (m.grad(m.grad(fun))(np.float32(0)) for m in (funcnn, jax))
    assert_agree(ours, theirs, 1e-6)


NO_FORMULA = {
    "polygamma": lambda m: lax.polygamma(m, 1.5),
    "zeta": lambda s: lax.zeta(s, 1.5),
    "igamma_grad_a": lambda a: lax.igamma_grad_a(a, 1.5),
    "betainc's first": lambda a: lax.betainc(a, 1.2, 0.3),
    "betainc's second": lambda b: lax.betainc(1.2, b, 0.3),
}


@pytest.mark.parametrize("name", NO_FORMULA)
def test_an_argument_without_a_derivative_says_so(name):
    with pytest.raises(NotImplementedError, match=rf"(?s){name.split()[0][:6]}.*stop_gradient"):
        funcnn.grad(NO_FORMULA[name])(2.5)


def test_an_argument_without_a_derivative_may_be_there_if_it_gets_no_cotangent():
    f = lambda m: lax.polygamma(m, jnp.float32(1.5)) < 0
    assert funcnn.grad(lambda m: m * f(m))(2.0) == 1


@pytest.mark.parametrize(
    ("fun", "to_first"), [(lax.max, [1, 0, 0.5, 1]), (lax.min, [0, 1, 0.5, 0])]
)
def test_complex_numbers_are_compared_by_real_then_imaginary_part(fun, to_first):
    x, y = np.array([1 + 2j, 1 + 1j, 3j, 2], np.complex64), np.array([1 + 1j, 1 + 2j, 3j, 1 + 9j])
    _, pullback = funcnn.vjp(fun, x, y.astype(np.complex64))
    ours = pullback(np.ones(4, np.complex64))
    expected = np.array(to_first, np.complex64)
    assert_agree(ours, (expected, 1 - expected), 0)
