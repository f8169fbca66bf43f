"""Special functions: the error function's family, the gamma function's, Bessel's, and polynomials.

Where a function has no derivative in one of its arguments that could be written down, asking for it
is an error that says so; the other arguments' are unaffected.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import Recorded, elementwise, register, unbroadcast
from funcnn.autodiff.tangents import constant as _c


def _none_in(argument: str):
    """The entry of an argument without a derivative: an error, once a cotangent reaches it."""

    def refuse(g):
        raise NotImplementedError(
            f"{argument}: no formula for this derivative is known that could be computed. Where no "
            "gradient is meant to flow, keep that argument out with jax.lax.stop_gradient."
        )

    return refuse


# error functions
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def _bell(x):
    return lax.mul(_c(_TWO_OVER_ROOT_PI, x), lax.exp(lax.neg(lax.square(x))))


elementwise(lax.erf_p, "x", x=lambda x: _bell(x))
elementwise(lax.erfc_p, "x", x=lambda x: lax.neg(_bell(x)))
elementwise(
    lax.erf_inv_p,
    "x",
    x=lambda out: lax.mul(_c(1 / _TWO_OVER_ROOT_PI, out), lax.exp(lax.square(out))),
)

# the gamma function and its logarithmic derivatives
elementwise(lax.lgamma_p, "x", x=lambda x: lax.digamma(x))
elementwise(lax.digamma_p, "x", x=lambda x: lax.polygamma(lax.full_like(x, 1), x))
elementwise(
    lax.polygamma_p,
    "m x",
    m=_none_in("polygamma's order m"),
    x=lambda m, x: lax.polygamma(lax.add(m, _c(1, m)), x),
)
elementwise(
    lax.zeta_p,
    "s q",
    s=_none_in("zeta's exponent, the first argument"),
    # each term (k + q)^-s falls as s (k + q)^-(s + 1)
    q=lambda s, q: lax.neg(lax.mul(s, lax.zeta(lax.add(s, _c(1, s)), q))),
)


# incomplete integrals: the derivative in the upper limit is the integrand there
def _gamma_density(a, x):
    exponent = lax.sub(lax.mul(lax.sub(a, _c(1, a)), lax.log(x)), x)
    return lax.exp(lax.sub(exponent, lax.lgamma(a)))


elementwise(
    lax.igamma_p,
    "a x",
    a=lambda a, x: lax.igamma_grad_a(a, x),
    x=lambda a, x: _gamma_density(a, x),
)
elementwise(
    lax.igammac_p,
    "a x",
    a=lambda a, x: lax.neg(lax.igamma_grad_a(a, x)),
    x=lambda a, x: lax.neg(_gamma_density(a, x)),
)
elementwise(
    lax.igamma_grad_a_p,
    "a x",
    a=_none_in("the second derivative of igamma in its first argument a"),
    # in the other order: the density's derivative in a
    x=lambda a, x: lax.mul(_gamma_density(a, x), lax.sub(lax.log(x), lax.digamma(a))),
)


def _beta_density(a, b, x):
    log_beta = lax.sub(lax.add(lax.lgamma(a), lax.lgamma(b)), lax.lgamma(lax.add(a, b)))
    to_a = lax.mul(lax.sub(a, _c(1, a)), lax.log(x))
    to_b = lax.mul(lax.sub(b, _c(1, b)), lax.log1p(lax.neg(x)))
    return lax.exp(lax.sub(lax.add(to_b, to_a), log_beta))


elementwise(
    lax.regularized_incomplete_beta_p,
    "a b x",
    a=_none_in("betainc's first argument a"),
    b=_none_in("betainc's second argument b"),
    x=_beta_density,
)


# modified Bessel functions, scaled by exp(-|x|)
elementwise(
    lax.bessel_i0e_p,
    "x",
    x=lambda out, x: lax.sub(lax.bessel_i1e(x), lax.mul(lax.sign(x), out)),
)


def _bessel_i1e_slope(out, x):
    """i0e(x) - i1e(x) (sign(x) + 1 / x), which tends to 1/2 at 0."""
    near_zero = lax.le(lax.abs(x), _c(jnp.finfo(x.dtype).eps, x))
    away = lax.select(near_zero, lax.full_like(x, 1), x)
    factor = lax.add(lax.sign(away), lax.div(_c(1, x), away))
    slope = lax.sub(lax.bessel_i0e(away), lax.mul(out, factor))
    return lax.select(near_zero, lax.full_like(x, 0.5), slope)


elementwise(lax.bessel_i1e_p, "x", x=_bessel_i1e_slope)


# a gamma distributed sample moves with the shape parameter, the random numbers staying the same
def _gamma_sample_in_shape(out, a, log_space):
    if not log_space:
        return lax.random_gamma_grad(a, out)
    sample = lax.exp(out)
    # a sample too small for its type is taken for the smallest number instead
    tiny = lax.full_like(sample, jnp.finfo(sample.dtype).tiny)
    sample = lax.select(lax.eq(sample, _c(0, sample)), tiny, sample)
    return lax.div(lax.random_gamma_grad(a, sample), sample)


elementwise(primitive("random_gamma_p"), "key a", a=_gamma_sample_in_shape)


# polynomials: operands x, and the coefficients from the constant one up
def _polynomial_rule(polynomial, values, tracked, params):
    out = polynomial.bind(*values, **params)
    avals = [jax.typeof(value) for value in values]
    x, *coefficients = values

    def backward(saved, gs):
        x, coefficients = saved
        [g] = gs
        cotangents = [None] * len(values)
        if tracked[0]:
            scaled = [lax.mul(_c(k, c), c) for k, c in enumerate(coefficients, 1)]
            slope = polynomial.bind(x, *scaled, **params) if len(scaled) > 1 else scaled[0]
            cotangents[0] = unbroadcast(lax.mul(g, slope), avals[0])
        for k, is_tracked in enumerate(tracked[1:], 1):
            cotangents[k] = unbroadcast(g, avals[k]) if is_tracked else None
            # the next coefficient stands at one more factor x
            g = lax.mul(g, x) if any(tracked[k + 1 :]) else g
        return cotangents

    saved = x if any(tracked[2:]) or tracked[0] else None, coefficients[1:] if tracked[0] else []
    return Recorded([out], [True], saved, backward)


register("polynomial", _polynomial_rule)
