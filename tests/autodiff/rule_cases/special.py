"""Special functions."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .case import Variant, apart, case, inside, normal, one, positive, uniform


def _of_one(primitive, fun, draw=normal):
    case(
        primitive,
        matrix=(fun, draw(2, 3)),
        scalar=(fun, draw()),
        empty=(fun, draw(0, 2)),
        single=(fun, draw(1, 1)),
    )


_of_one("erf", lax.erf)
_of_one("erfc", lax.erfc)
_of_one("erf_inv", lax.erf_inv, inside)
_of_one("lgamma", lax.lgamma, positive)
_of_one("digamma", lax.digamma, positive)
_of_one("polygamma", lambda x: lax.polygamma(one(x, 2), x), positive)
case("polygamma", orders=(lambda x: lax.polygamma(np.arange(1, 4, dtype=x.dtype), x), positive(3)))
_of_one("bessel_i0e", lax.bessel_i0e)
_of_one("bessel_i1e", lax.bessel_i1e)
for _name, _fun in (("bessel_i0e", lax.bessel_i0e), ("bessel_i1e", lax.bessel_i1e)):
    case(
        _name,
        # a kink at 0; small arguments, where i1e(x) / x is the quotient of two small numbers
        at_zero=Variant(_fun, (np.array([0.0, -0.0]),), smooth=False),
        small=Variant(_fun, (np.array([1e-30, -1e-12, 1e-5]),), smooth=False),
        large=(_fun, np.array([30.0, -100.0])),
    )


def _without_jax(fun, *args):
    """JAX has no derivative of it, so it is only measured."""
    return Variant(fun, args, in_jax=False)


def _beside(fun):
    """A value that is not differentiated: the only way in which JAX takes these along."""
    return Variant(lambda x: fun(lax.stop_gradient(x)) * x, (positive(2),), smooth=False)


for _name, _fun in (("igamma", lax.igamma), ("igammac", lax.igammac)):
    # programs with long loops: few of them
    case(
        _name,
        in_x=(lambda x, fun=_fun: fun(one(x, 1.7), x), positive(2, 3)),
        broadcast=(lambda x, fun=_fun: fun(np.array([0.4, 2.0], x.dtype), x), positive(1)),
        empty=(lambda x, fun=_fun: fun(one(x, 1.7), x), positive(0, 3)),
        in_both=(_fun, positive(2, 1), positive(1, 3)),
    )
case(
    "igamma_grad_a",
    beside=_beside(lambda x: lax.igamma_grad_a(one(x, 1.7), x)),
    in_x=_without_jax(
        lambda x: lax.igamma_grad_a(np.array([[0.7], [1.7]], x.dtype), x), positive(1, 3)
    ),
)
case(
    "regularized_incomplete_beta",
    several=(
        lambda x: lax.betainc(
            np.array([[0.6], [3.0]], x.dtype), np.array([[0.4, 1.0, 2.5]], x.dtype), x
        ),
        uniform(0.1, 0.9)(2, 3),
    ),
    scalar=(lambda x: lax.betainc(one(x, 1.3), one(x, 2.1), x), uniform(0.1, 0.9)()),
    broadcast=(
        lambda x: lax.betainc(np.array([0.6, 3.0], x.dtype), one(x, 2.1), x),
        uniform(0.1, 0.9)(1),
    ),
    empty=(lambda x: lax.betainc(one(x, 1.3), one(x, 2.1), x), uniform(0.1, 0.9)(0, 2)),
)
case(
    "zeta",
    beside=_beside(lambda q: lax.zeta(one(q, 2.5), q)),
    several=_without_jax(lambda q: lax.zeta(np.array([[2.5], [4.0]], q.dtype), q), positive(2, 3)),
    scalar=_without_jax(lambda q: lax.zeta(one(q, 3.0), q), positive()),
    broadcast=_without_jax(lambda q: lax.zeta(np.array([2.5, 4.0], q.dtype), q), positive(1)),
    empty=_without_jax(lambda q: lax.zeta(one(q, 3.0), q), positive(0, 2)),
)
# its derivative is that of the distribution's quantiles: test_special.py
case("random_gamma", beside=_beside(lambda a: jax.random.gamma(jax.random.key(3), a)))
case(
    "nextafter",
    beside=_beside(lambda x: lax.nextafter(x, one(x, 9))),
    same=_without_jax(lax.nextafter, normal(2, 3), normal(2, 3)),
    broadcast=_without_jax(lax.nextafter, normal(), normal(3)),
    through=_without_jax(lambda x: jnp.nextafter(x, x + 1) * x, normal(3)),
)

if hasattr(lax, "polynomial"):
    _in_all = lambda x, *c: lax.polynomial(x, c)
    with apart():
        case(
            "polynomial",
            in_x=(lambda x: lax.polynomial(x, [1.0, 5.0, 2.0, -0.3]), normal(2, 3)),
            line=(lambda x: lax.polynomial(x, [1.0, 5.0]), normal()),
            in_coefficients=(lambda a, b, c: lax.polynomial(one(a, 0.7), [a, b, c]), *normal(3)),
            in_all=(_in_all, normal(2, 3), normal(), normal(), normal()),
            broadcast=(_in_all, normal(2, 1), normal(1, 3), normal(2, 3), normal(1, 1)),
            some=(lambda x, c: lax.polynomial(x, [c, 2.0, c, 1.0]), normal(3), normal()),
            a_loop=(lambda x: lax.polynomial(x, list(np.arange(1, 12) / 9.5), unroll=2), inside(3)),
            complex=(_in_all, normal(2) + 1j * normal(2), *(normal(3) + 1j * normal(3))),
            empty=(lambda x: lax.polynomial(x, [1.0, 5.0, 2.0]), normal(0, 2)),
        )
