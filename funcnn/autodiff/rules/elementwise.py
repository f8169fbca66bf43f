"""Elementwise primitives: each states its local derivative, which multiplies the upstream gradient.

The first few are the decks' gates (deck B, row 23): addition distributes, multiplication swaps, the
maximum routes. Formulas are chosen to keep their digits where a function saturates, and to agree
with JAX where a derivative is a convention (ties, kinks).
"""

import math

import jax
import numpy as np
from jax import lax

from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import elementwise, unbroadcast
from funcnn.autodiff.tangents import constant as _c


def _keep(g, where):
    return lax.select(where, g, lax.full_like(g, 0))


# arithmetic
elementwise(lax.add_p, "x y", x=1, y=1)
elementwise(primitive("add_jaxvals_p"), "x y", x=1, y=1)
elementwise(lax.sub_p, "x y", x=1, y=-1)
elementwise(lax.neg_p, "x", x=-1)


def _product(g, other, like, out_dtype):
    """The factors may be of two dtypes if it is said which one the product has."""
    return lax.mul(g, other, out_dtype=None if out_dtype is None else like.dtype)


elementwise(
    lax.mul_p,
    "x y",
    x=lambda g, y, x_aval, out_dtype: _product(g, y, x_aval, out_dtype),
    y=lambda g, x, y_aval, out_dtype: _product(g, x, y_aval, out_dtype),
)


def _to_divisor(g, out, y, y_aval):
    """-g (x / y) / y: one that was broadcast gets the sum first, so that it alone is divided."""
    if g.shape == y.shape:
        return lax.neg(lax.mul(lax.div(g, y), out))
    return lax.neg(lax.div(unbroadcast(lax.mul(g, out), y_aval), y))


elementwise(lax.div_p, "x y", x=lambda g, y: lax.div(g, y), y=_to_divisor)


def _towards_zero(x):
    return lax.mul(lax.sign(x), lax.floor(lax.abs(x)))


elementwise(
    lax.rem_p,
    "x y",
    x=1,
    y=lambda g, x, y: lax.neg(lax.mul(g, _towards_zero(lax.div(x, y)))),
)


# the larger and the smaller: routed to where the value came from, halved at a tie
def _to_larger(g, x, y):
    return lax.select(_greater(x, y), g, _keep(lax.mul(g, _c(0.5, g)), lax.eq(x, y)))


def _greater(x, y):
    """Complex numbers are compared by their real parts, equal ones by their imaginary parts."""
    if not jax.dtypes.issubdtype(x.dtype, np.complexfloating):
        return lax.gt(x, y)
    equal_and_greater = lax.bitwise_and(
        lax.eq(lax.real(x), lax.real(y)), lax.gt(lax.imag(x), lax.imag(y))
    )
    return lax.bitwise_or(lax.gt(lax.real(x), lax.real(y)), equal_and_greater)


elementwise(
    lax.max_p,
    "x y",
    x=lambda g, x, y: _to_larger(g, x, y),
    y=lambda g, x, y: _to_larger(g, y, x),
)
elementwise(
    lax.min_p,
    "x y",
    x=lambda g, x, y: _to_larger(g, y, x),
    y=lambda g, x, y: _to_larger(g, x, y),
)
elementwise(
    lax.clamp_p,
    "low x high",
    low=lambda g, low, x, high: _keep(g, lax.bitwise_and(lax.gt(low, x), lax.lt(low, high))),
    x=lambda g, low, x, high: _keep(g, lax.bitwise_and(lax.gt(x, low), lax.lt(x, high))),
    high=lambda g, x, high: _keep(g, lax.gt(x, high)),
)


def _to_abs(g, x):
    if not jax.dtypes.issubdtype(x.dtype, np.complexfloating):
        return lax.select(lax.ge(x, _c(0, x)), g, lax.neg(g))
    size = lax.abs(x)
    size = lax.select(lax.eq(size, _c(0, size)), lax.full_like(size, 1), size)
    as_complex = lax.complex(lax.div(g, size), lax.full_like(g, 0))
    return lax.mul(as_complex, lax.conj(x))


elementwise(lax.abs_p, "x", x=_to_abs)

# exponentials and logarithms
elementwise(lax.exp_p, "x", x=lambda out: out)
elementwise(lax.exp2_p, "x", x=lambda out: lax.mul(out, _c(math.log(2), out)))
# exp(x), not out + 1, which has no digits left where out is nearly -1
elementwise(lax.expm1_p, "x", x=lambda x: lax.exp(x))
elementwise(lax.log_p, "x", x=lambda g, x: lax.div(g, x))
elementwise(primitive("log2_p"), "x", x=lambda g, x: lax.div(g, lax.mul(x, _c(math.log(2), x))))
elementwise(lax.log1p_p, "x", x=lambda g, x: lax.div(g, lax.add(x, _c(1, x))))
elementwise(lax.logistic_p, "x", x=lambda out: lax.mul(out, lax.sub(_c(1, out), out)))

# powers
elementwise(lax.sqrt_p, "x", x=lambda out: lax.div(_c(0.5, out), out))
elementwise(lax.rsqrt_p, "x", x=lambda out, x: lax.mul(_c(-0.5, x), lax.div(out, x)))
elementwise(lax.cbrt_p, "x", x=lambda out: lax.div(_c(1 / 3, out), lax.square(out)))
elementwise(lax.square_p, "x", x=lambda x: lax.mul(_c(2, x), x))


def _integer_power(x, y):
    if y == 0:
        return lax.full_like(x, 0)
    if y == 1:
        return lax.full_like(x, 1)
    return lax.mul(_c(y, x), x if y == 2 else lax.integer_pow(x, y - 1))


elementwise(lax.integer_pow_p, "x", x=_integer_power)


def _power_in_base(x, y):
    """y x^(y - 1); for an integer exponent of 0 it is 0, whatever the base."""
    integer = not jax.dtypes.issubdtype(y.dtype, np.inexact)
    y = lax.convert_element_type(y, x.dtype) if integer else y
    slope = lax.mul(y, lax.pow(x, lax.sub(y, _c(1, y))))
    if not integer:
        return slope
    flat = lax.eq(y, _c(0, y))
    flat = lax.broadcast_in_dim(flat, slope.shape, range(flat.ndim))
    return lax.select(flat, lax.full_like(slope, 0), slope)


def _power_in_exponent(out, x):
    """x^y log x, with 1 in place of a base of 0: there 0^y is flat."""
    base = lax.select(lax.eq(x, _c(0, x)), lax.full_like(x, 1), x)
    return lax.mul(lax.log(base), out)


elementwise(lax.pow_p, "x y", x=_power_in_base, y=_power_in_exponent)


# trigonometric and hyperbolic functions and their inverses
_one_minus_square_p = primitive("one_minus_square_p")
elementwise(_one_minus_square_p, "x", x=lambda x: lax.mul(_c(-2, x), x))


def _one_minus_square(x):
    """1 - x² as (1 + x)(1 - x): as x nears 1, the other form loses its digits."""
    if _one_minus_square_p is not None:
        return _one_minus_square_p.bind(x)
    return lax.mul(lax.add(_c(1, x), x), lax.sub(_c(1, x), x))


elementwise(lax.sin_p, "x", x=lambda x: lax.cos(x))
elementwise(lax.cos_p, "x", x=lambda g, x: lax.neg(lax.mul(g, lax.sin(x))))
elementwise(lax.tan_p, "x", x=lambda out: lax.add(_c(1, out), lax.square(out)))
elementwise(lax.asin_p, "x", x=lambda x: lax.rsqrt(_one_minus_square(x)))
elementwise(lax.acos_p, "x", x=lambda x: lax.neg(lax.rsqrt(_one_minus_square(x))))
elementwise(lax.atan_p, "x", x=lambda g, x: lax.div(g, lax.add(_c(1, x), lax.square(x))))
elementwise(
    lax.atan2_p,
    "x y",
    x=lambda x, y: lax.div(y, lax.add(lax.square(x), lax.square(y))),
    y=lambda x, y: lax.div(lax.neg(x), lax.add(lax.square(x), lax.square(y))),
)
elementwise(lax.sinh_p, "x", x=lambda x: lax.cosh(x))
elementwise(lax.cosh_p, "x", x=lambda x: lax.sinh(x))
elementwise(lax.tanh_p, "x", x=lambda out: _one_minus_square(out))
elementwise(lax.asinh_p, "x", x=lambda x: lax.rsqrt(lax.add(lax.square(x), _c(1, x))))
elementwise(
    lax.acosh_p,
    "x",
    # two roots and not the root of the product, which for complex x has another sign
    x=lambda x: lax.mul(lax.rsqrt(lax.sub(x, _c(1, x))), lax.rsqrt(lax.add(x, _c(1, x)))),
)
elementwise(lax.atanh_p, "x", x=lambda g, x: lax.div(g, _one_minus_square(x)))

# complex numbers, with JAX's convention: the cotangent of a + bi is ga - gb i
elementwise(lax.real_p, "x", x=lambda g: lax.complex(g, lax.full_like(g, 0)))
elementwise(lax.imag_p, "x", x=lambda g: lax.complex(lax.full_like(g, 0), lax.neg(g)))
elementwise(lax.complex_p, "x y", x=lambda g: lax.real(g), y=lambda g: lax.neg(lax.imag(g)))


def _to_conj(g, input_dtype):
    complex_input = jax.dtypes.issubdtype(input_dtype, np.complexfloating)
    return lax.conj(g) if complex_input else lax.real(g)


elementwise(lax.conj_p, "x", x=_to_conj)


# the neighbouring number, in the direction of y, moves with x
elementwise(lax.nextafter_p, "x y", x=1)


# from one type to another
def _to_dtype(g, x_aval, new_dtype, weak_type, sharding):
    if (x_aval.dtype, x_aval.weak_type) == (new_dtype, weak_type):
        return g
    was_complex = jax.dtypes.issubdtype(g.dtype, np.complexfloating)
    if was_complex and not jax.dtypes.issubdtype(x_aval.dtype, np.complexfloating):
        g = lax.real(g)
    # bound, because the function has no say in whether the type is weak
    return lax.convert_element_type_p.bind(
        g, new_dtype=x_aval.dtype, weak_type=x_aval.weak_type, sharding=sharding
    )


elementwise(lax.convert_element_type_p, "x", x=_to_dtype)
elementwise(
    lax.reduce_precision_p,
    "x",
    x=lambda g, exponent_bits, mantissa_bits: lax.reduce_precision(g, exponent_bits, mantissa_bits),
)
