"""Elementwise primitives."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives

from .case import (
    Variant,
    above_one,
    apart,
    case,
    complex_normal,
    distinct,
    indices,
    inside,
    normal,
    one,
    positive,
    uniform,
)


def _unary(primitive, fun, draw=normal, complex_draw=None):
    case(
        primitive,
        matrix=(fun, draw(2, 3)),
        scalar=(fun, draw()),
        empty=(fun, draw(0, 2)),
        single=(fun, draw(1, 1)),
    )
    if complex_draw is not None:
        case(primitive, complex=(fun, complex_draw(3)))


_unary("neg", lax.neg, complex_draw=complex_normal)
_unary("exp", lax.exp, complex_draw=complex_normal)
_unary("exp2", lax.exp2, complex_draw=complex_normal)
_unary("expm1", lax.expm1, complex_draw=complex_normal)
_unary("log", lax.log, positive, complex_normal)
_unary("log1p", lax.log1p, uniform(-0.6, 2.0), complex_normal)
_unary("log2", jnp.log2, positive, complex_normal)
_unary("logistic", lax.logistic, complex_draw=complex_normal)
_unary("sqrt", lax.sqrt, positive, complex_normal)
_unary("rsqrt", lax.rsqrt, positive, complex_normal)
_unary("cbrt", lax.cbrt, positive)
_unary("square", lax.square, complex_draw=complex_normal)
_unary("sin", lax.sin, complex_draw=complex_normal)
_unary("cos", lax.cos, complex_draw=complex_normal)
_unary("tan", lax.tan, inside, complex_normal)
_unary("asin", lax.asin, inside, complex_normal)
_unary("acos", lax.acos, inside, complex_normal)
_unary("atan", lax.atan, complex_draw=complex_normal)
_unary("sinh", lax.sinh, complex_draw=complex_normal)
_unary("cosh", lax.cosh, complex_draw=complex_normal)
_unary("tanh", lax.tanh, complex_draw=complex_normal)
_unary("asinh", lax.asinh, complex_draw=complex_normal)
_unary("acosh", lax.acosh, above_one)
# JAX's rule leaves the principal branch in the left half plane
case(
    "acosh",
    complex=(lax.acosh, complex_normal(3) + 3),
    complex_left=Variant(lax.acosh, (complex_normal(3) - 3,), in_jax=False),
)
_unary("atanh", lax.atanh, inside, complex_normal)
if hasattr(lax, "one_minus_square_p"):
    with apart():
        _unary("one_minus_square", lax.one_minus_square_p.bind, complex_draw=complex_normal)
_unary("abs", lax.abs, distinct, complex_normal)
case(
    "abs",
    zero=Variant(lax.abs, (np.array([0.0, -2.0]),), smooth=False),
    complex_zero=Variant(lax.abs, (np.array([0.0, 1 - 2j]),), smooth=False),
)
_unary("real", lax.real, complex_normal)
_unary("imag", lax.imag, complex_normal)
_unary("conj", lax.conj, complex_normal)
case("conj", real_input=(lambda x: lax.conj(x), normal(2, 3)))

for _power in (-3, -1, 0, 1, 2, 3, 7):
    _raise = lambda x, n=_power: lax.integer_pow(x, n)
    case("integer_pow", **{f"to the {_power}": (_raise, distinct(2, 3))})
case("integer_pow", scalar=(lambda x: lax.integer_pow(x, 3), normal()))
case("integer_pow", complex=(lambda x: lax.integer_pow(x, 3), complex_normal(3)))

case(
    "reduce_precision",
    # the values are exact in the narrow format, so that rounding them does not show
    cotangents_rounded=Variant(lambda x: lax.reduce_precision(x, 5, 10), (normal(2, 3),), False),
    scalar=Variant(lambda x: lax.reduce_precision(x, 8, 7), (normal(),), False),
)
case(
    "convert_element_type",
    to_half=Variant(lambda x: lax.convert_element_type(x, jnp.float16), (normal(2, 3),), False),
    to_bfloat=Variant(lambda x: lax.convert_element_type(x, jnp.bfloat16), (normal(3),), False),
    from_half=Variant(
        lambda x: lax.convert_element_type(lax.convert_element_type(x, jnp.float16), jnp.float32),
        (normal(2, 3),),
        False,
    ),
    to_complex=(
        lambda x: lax.convert_element_type(x, jnp.result_type(x, jnp.complex64)),
        normal(3),
    ),
    to_real=(
        lambda x: lax.convert_element_type_p.bind(
            x, new_dtype=x.real.dtype, weak_type=False, sharding=None
        ),
        complex_normal(3),
    ),
    complex_to_complex=Variant(
        lambda x: lax.convert_element_type_p.bind(
            x, new_dtype=np.dtype(np.complex64), weak_type=False, sharding=None
        ),
        (complex_normal(3),),
        False,
    ),
    from_integer=(lambda x, i: x * lax.convert_element_type(i, x.dtype), normal(3), indices(5, 3)),
)


def _pairs(primitive, fun, draw_x=normal, draw_y=None, complex_too=False):
    draw_y = draw_y or draw_x
    square = lambda x: lax.mul(x, x)
    case(
        primitive,
        same=(fun, draw_x(3, 4), draw_y(3, 4)),
        scalars=(fun, draw_x(), draw_y()),
        left_single=(fun, draw_x(3, 1), draw_y(3, 4)),
        right_single=(fun, draw_x(3, 4), draw_y(1, 4)),
        both_single=(fun, draw_x(3, 1), draw_y(1, 4)),
        empty=(fun, draw_x(0, 3), draw_y(1, 3)),
        scalar_left=(fun, draw_x(), draw_y(3, 4)),
        scalar_right=(fun, draw_x(3, 4), draw_y()),
        twice=(lambda x: fun(x, square(x)), draw_x(3)),
        python_left=(lambda x: fun(1.3, x), draw_y(2)),
        python_right=(lambda x: fun(x, 1.3), draw_x(2)),
    )
    if complex_too:
        case(
            primitive,
            complex=(fun, complex_normal(3, 4), complex_normal(3, 4)),
            complex_single=(fun, complex_normal(3, 1), complex_normal(3, 4)),
        )


_pairs("add", lax.add, complex_too=True)
_pairs("sub", lax.sub, complex_too=True)
_pairs("mul", lax.mul, complex_too=True)
_pairs("div", lax.div, normal, positive, complex_too=True)
_pairs("atan2", lax.atan2, positive)
_pairs("pow", lax.pow, positive, normal, complex_too=True)
_pairs("complex", lax.complex)
case(
    "add_any",
    same=(lambda x, y: primitives.add_jaxvals_p.bind(x, y), normal(3, 4), normal(3, 4)),
    twice=(lambda x: primitives.add_jaxvals_p.bind(x, x), normal()),
)


def _apart(low, high):
    """Two draws whose values never meet, the smaller one from the first."""
    return uniform(low, low + 0.8), uniform(high, high + 0.8)


for _name, _fun in (("max", lax.max), ("min", lax.min)):
    _pairs(_name, _fun, distinct, lambda *shape: distinct(*shape) + 0.33)
    _small, _large = _apart(-1, 1)
    case(
        _name,
        left_wins=(_fun, _large(3, 1), _small(3, 4)),
        right_wins=(_fun, _small(3, 4), _large(1, 4)),
    )
    # JAX 0.12 cannot differentiate the complex ones; equal real parts: test_special.py
    case(
        _name,
        tied=Variant(_fun, (np.array([1.0, 2, 3]), np.array([1.0, 3, 2])), smooth=False),
        complex=Variant(_fun, (complex_normal(3, 4), complex_normal(1, 4)), in_jax=False),
    )
for _x, _y in ((normal, positive), (lambda *s: 5 * normal(*s), lambda *s: -positive(*s))):
    _pairs("rem", lax.rem, _x, _y)

case(
    "pow",
    integer_exponent=(lax.pow, distinct(3, 4), indices(4, 3, 4)),
    negative_integer_exponent=(lambda x, n: lax.pow(x, n - 3), distinct(3, 4), indices(4, 3, 4)),
    integer_scalar=(lax.pow, distinct(3, 4), np.int32(3)),
    integer_zero=(lax.pow, distinct(3), np.int32(0)),
    integer_single=(lax.pow, distinct(3, 4), indices(4, 3, 1)),
    integer_full=(lax.pow, distinct(3, 1), indices(4, 3, 4)),
    integer_complex=(lax.pow, complex_normal(3), indices(4, 3)),
    python_integer=(lambda x: lax.pow(x, 3), distinct(3)),
    of_zero=Variant(lax.pow, (np.array([0.0, 0.0, 1.5]), np.array([2.5, 1.0, 0.5])), False),
    integer_of_zero=(lax.pow, np.array([0.0, 2.0, 0.0]), np.array([0, 0, 3], np.int32)),
)
case(
    "clamp",
    same=(lax.clamp, -positive(3, 4), distinct(3, 4), positive(3, 4)),
    scalars=Variant(lax.clamp, (np.float64(-1.05), distinct(3, 4), np.float64(0.95)), in_jax=False),
    constant_scalars=(lambda x: lax.clamp(one(x, -1.05), x, one(x, 0.95)), distinct(3, 4)),
    of_scalars=(lax.clamp, np.float64(-1), np.float64(0.5), np.float64(1)),
    low_wins=(lax.clamp, np.float64(2), np.float64(0.5), np.float64(3)),
    high_wins=(lax.clamp, np.float64(-2), np.float64(0.5), np.float64(-1)),
    # high is the value, yet JAX has no gradient go there
    low_above_high=Variant(lax.clamp, (np.float64(2), np.float64(0.5), np.float64(1)), False),
    empty=(lambda x: lax.clamp(one(x, -1), x, one(x, 1)), normal(0, 2)),
)
