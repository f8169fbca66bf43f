"""One case for each primitive with a rule: functions that bind it, over shapes and parameters.

A case is a primitive's name and its variants: a function, and the arguments it is called with. The
floating point arguments are what is differentiated; integers and booleans (indices, predicates) are
passed along, and are mapped over under `vmap` like the others.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives


class Variant(NamedTuple):
    fun: Callable
    args: tuple
    smooth: bool = True
    """is the derivative what central differences measure?"""
    in_jax: bool = True
    """does JAX differentiate it, and rightly?"""


CASES: dict[str, dict[str, Variant]] = {}
_rng = np.random.default_rng(20240)


def case(primitive: str, **variants: Any) -> None:
    """Enters variants (fun, *args) of a primitive."""
    made = {
        name: v if isinstance(v, Variant) else Variant(v[0], tuple(v[1:]))
        for name, v in variants.items()
    }
    CASES.setdefault(primitive, {}).update(made)


def normal(*shape):
    return _rng.normal(size=shape)


def uniform(low, high):
    return lambda *shape: _rng.uniform(low, high, size=shape)


def complex_normal(*shape):
    return _rng.normal(size=shape) + 1j * _rng.normal(size=shape)


def distinct(*shape):
    """Numbers that lie at least 0.1 apart, and that far from any integer: no ties, no kinks."""
    size = int(np.prod(shape))
    return (_rng.permutation(size) - size / 2 + 0.3).reshape(shape) * 0.7 + 0.11


def indices(high, *shape):
    return _rng.integers(0, high, size=shape).astype(np.int32)


def _one(like, value=1.0):
    """A scalar constant of the dtype of `like`."""
    return np.asarray(value, like.dtype)


positive = uniform(0.4, 2.0)
inside = uniform(-0.9, 0.9)
above_one = uniform(1.1, 3.0)


# --- one operand, elementwise


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
_unary("erf", lax.erf)
_unary("erfc", lax.erfc)
_unary("erf_inv", lax.erf_inv, inside)
_unary("lgamma", lax.lgamma, positive)
_unary("digamma", lax.digamma, positive)
_unary("polygamma", lambda x: lax.polygamma(_one(x, 2), x), positive)
case("polygamma", orders=(lambda x: lax.polygamma(np.arange(1, 4, dtype=x.dtype), x), positive(3)))
if hasattr(lax, "one_minus_square_p"):
    _unary("one_minus_square", lax.one_minus_square_p.bind, complex_draw=complex_normal)
_unary("abs", lax.abs, distinct, complex_normal)
_unary("real", lax.real, complex_normal)
_unary("imag", lax.imag, complex_normal)
_unary("conj", lax.conj, complex_normal)
_unary("copy", lambda x: jnp.array(x, copy=True), complex_draw=complex_normal)
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


# --- two and three operands, elementwise


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
)
case(
    "clamp",
    same=(lax.clamp, -positive(3, 4), distinct(3, 4), positive(3, 4)),
    scalars=Variant(lax.clamp, (np.float64(-1.05), distinct(3, 4), np.float64(0.95)), in_jax=False),
    constant_scalars=(lambda x: lax.clamp(_one(x, -1.05), x, _one(x, 0.95)), distinct(3, 4)),
    of_scalars=(lax.clamp, np.float64(-1), np.float64(0.5), np.float64(1)),
    low_wins=(lax.clamp, np.float64(2), np.float64(0.5), np.float64(3)),
    high_wins=(lax.clamp, np.float64(-2), np.float64(0.5), np.float64(-1)),
    # high is the value, yet JAX has no gradient go there
    low_above_high=Variant(lax.clamp, (np.float64(2), np.float64(0.5), np.float64(1)), False),
    empty=(lambda x: lax.clamp(_one(x, -1), x, _one(x, 1)), normal(0, 2)),
)


# --- moving, copying, cutting, joining

case(
    "broadcast_in_dim",
    new_axes=(lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (1,)), normal(3)),
    stretched=(lambda x: lax.broadcast_in_dim(x, (3, 4), (0, 1)), normal(3, 1)),
    single_kept=(lambda x: lax.broadcast_in_dim(x, (5, 1, 4), (1, 2)), normal(1, 4)),
    both=(lambda x: lax.broadcast_in_dim(x, (5, 3, 4), (1, 2)), normal(1, 4)),
    scalar=(lambda x: lax.broadcast_in_dim(x, (2, 3), ()), normal()),
    to_empty=(lambda x: lax.broadcast_in_dim(x, (0, 3), (1,)), normal(3)),
    complex=(lambda x: lax.broadcast_in_dim(x, (2, 3), (1,)), complex_normal(3)),
)
case(
    "reshape",
    flat=(lambda x: lax.reshape(x, (6,)), normal(2, 3)),
    to_scalar=(lambda x: lax.reshape(x, ()), normal(1, 1)),
    from_scalar=(lambda x: lax.reshape(x, (1, 1)), normal()),
    empty=(lambda x: lax.reshape(x, (3, 0)), normal(0, 2)),
    # its dimensions are put in another order first
    in_order=(lambda x: lax.reshape(x, (6,), (1, 0)), normal(2, 3)),
)
case(
    "squeeze",
    one=(lambda x: lax.squeeze(x, (1,)), normal(2, 1, 3)),
    all=(lambda x: lax.squeeze(x, (0, 1)), normal(1, 1)),
    negative=(lambda x: lax.squeeze(x, (-1,)), normal(2, 1)),
    empty=(lambda x: lax.squeeze(x, (0,)), normal(1, 0)),
)
case(
    "transpose",
    matrix=(lambda x: lax.transpose(x, (1, 0)), normal(2, 3)),
    cycle=(lambda x: lax.transpose(x, (1, 2, 0)), normal(2, 3, 4)),
    other_cycle=(lambda x: lax.transpose(x, (2, 0, 1)), normal(2, 3, 4)),
    empty=(lambda x: lax.transpose(x, (1, 2, 0)), normal(2, 0, 4)),
)
case(
    "rev",
    one=(lambda x: lax.rev(x, (1,)), normal(2, 3)),
    two=(lambda x: lax.rev(x, (0, 2)), normal(2, 3, 4)),
    none=(lambda x: lax.rev(x, ()), normal(3)),
    empty=(lambda x: lax.rev(x, (0,)), normal(0)),
)
case(
    "slice",
    plain=(lambda x: lax.slice(x, (1, 0), (3, 2)), normal(4, 3)),
    strided=(lambda x: lax.slice(x, (1,), (9,), (3,)), normal(10)),
    strided_to_the_end=(lambda x: lax.slice(x, (0, 1), (5, 6), (2, 3)), normal(5, 6)),
    one=(lambda x: lax.slice(x, (2,), (3,), (4,)), normal(5)),
    nothing=(lambda x: lax.slice(x, (2, 0), (2, 3)), normal(5, 3)),
    nothing_strided=(lambda x: lax.slice(x, (2,), (2,), (3,)), normal(5)),
    empty=(lambda x: lax.slice(x, (0, 1), (0, 2)), normal(0, 3)),
    scalar=(lambda x: lax.slice(x, (), ()), normal()),
)
for _name, _config in {
    "plain": ((1, 2, 0), (0, 1, 0)),
    "interior": ((1, 0, 2), (2, 1, 1)),
    "negative": ((-1, 0, 0), (0, -2, 0)),
    "negative_and_positive": ((-1, 2, 0), (3, -1, 0)),
    "negative_interior": ((-1, -2, 1), (-2, 1, 2)),
    "cut_into_the_interior": ((-2, 0, 2), (-1, -1, 1)),
    "all_cut": ((-2, -1, 0), (1, 1, 0)),
}.items():
    _pad = lambda x, value, config=_config: lax.pad(x, value, config)
    case("pad", **{_name: (_pad, normal(3, 4), normal())})
case(
    "pad",
    scalar=(lambda x, value: lax.pad(x, value, ()), normal(), normal()),
    empty=(lambda x, value: lax.pad(x, value, ((1, 2, 1),)), normal(0), normal()),
    only_padding=Variant(
        lambda value: lax.pad(np.ones((2,), value.dtype), value, ((1, 0, 1),)),
        (normal(),),
        in_jax=False,
    ),
    only_operand=(lambda x: lax.pad(x, _one(x), ((1, 0, 1),)), normal(3)),
)
case(
    "concatenate",
    two=(lambda x, y: lax.concatenate([x, y], 1), normal(2, 3), normal(2, 1)),
    three=(lambda x, y, z: lax.concatenate([x, y, z], 0), normal(2, 3), normal(0, 3), normal(1, 3)),
    same_shapes=(lambda x, y: lax.concatenate([x, y], 0), normal(2, 3), normal(2, 3)),
    one=(lambda x: lax.concatenate_p.bind(x, dimension=0), normal(3)),
    twice=(lambda x, y: lax.concatenate([x, y, x], 0), normal(2), normal(3)),
    constant_between=(
        lambda x, y: lax.concatenate([x, np.ones((2, 3), x.dtype), y], 0),
        normal(1, 3),
        normal(3, 3),
    ),
)
case(
    "split",
    all=(lambda x: lax.split(x, (2, 0, 1, 3), 1), normal(2, 6)),
    last_unused=(lambda x: lax.split(x, (2, 1, 3))[:2], normal(6)),
    only_middle=(lambda x: lax.split(x, (2, 1, 3))[1], normal(6, 2)),
    one=(lambda x: lax.split(x, (3,)), normal(3)),
)
case(
    "stack",
    first=(lambda x, y: lax.stack([x, y], 0), normal(2, 3), normal(2, 3)),
    last=(lambda x, y: lax.stack([x, y, x], 2), normal(2, 3), normal(2, 3)),
    scalars=(lambda x, y: lax.stack([x, y]), normal(), normal()),
    one=(lambda x: lax.stack([x], 1), normal(3)),
    constant_between=(
        lambda x, y: lax.stack([x, np.ones((3,), x.dtype), y], 1),
        normal(3),
        normal(3),
    ),
    empty=(lambda x, y: lax.stack([x, y], 1), normal(0, 2), normal(0, 2)),
)
case(
    "unstack",
    all=(lambda x: lax.unstack(x), normal(3, 2)),
    some=(lambda x: lax.unstack(x)[1], normal(3)),
    axis=(lambda x: lax.unstack(x, 1)[:2], normal(2, 3)),
    empty=(lambda x: lax.unstack(x, 1), normal(0, 2)),
)
case(
    "tile",
    one=(lambda x: lax.tile(x, (3,)), normal(2)),
    two=(lambda x: lax.tile(x, (2, 1, 3)), normal(2, 3, 1)),
    nothing=(lambda x: lax.tile(x, (0, 2)), normal(2, 3)),
    empty=(lambda x: lax.tile(x, (2, 2)), normal(0, 3)),
)
case(
    "select_n",
    boolean=(lax.select_n, indices(2, 3, 4).astype(bool), normal(3, 4), normal(3, 4)),
    scalar_predicate=(lax.select_n, np.bool_(True), normal(3, 4), normal(3, 4)),
    scalars=(lax.select_n, np.bool_(False), normal(), normal()),
    three=(lax.select_n, indices(3, 3, 4), normal(3, 4), normal(3, 4), normal(3, 4)),
    three_scalar=(lax.select_n, np.int32(2), normal(3), normal(3), normal(3)),
    one=(lax.select_n, indices(1, 3), normal(3)),
    constant=(
        lambda p, x: lax.select_n(p, x, np.ones((3, 4), x.dtype)),
        indices(2, 3, 4).astype(bool),
        normal(3, 4),
    ),
    twice=(lambda p, x: lax.select_n(p, x, x), indices(2, 3).astype(bool), normal(3)),
    empty=(lax.select_n, np.zeros((0, 2), bool), normal(0, 2), normal(0, 2)),
    complex=(lax.select_n, np.array([True, False, True]), complex_normal(3), complex_normal(3)),
)


# --- reductions

for _name, _reduce, _draw in (
    ("reduce_sum", lax.reduce_sum, normal),
    ("reduce_max", lax.reduce_max, distinct),
    ("reduce_min", lax.reduce_min, distinct),
):
    case(
        _name,
        one=(lambda x, reduce=_reduce: reduce(x, (1,)), _draw(2, 3)),
        first=(lambda x, reduce=_reduce: reduce(x, (0,)), _draw(4, 3)),
        two=(lambda x, reduce=_reduce: reduce(x, (0, 2)), _draw(2, 3, 4)),
        all=(lambda x, reduce=_reduce: reduce(x, (0, 1)), _draw(2, 3)),
        none=(lambda x, reduce=_reduce: reduce(x, ()), _draw(2, 3)),
        single=(lambda x, reduce=_reduce: reduce(x, (0,)), _draw(1, 3)),
        empty=(lambda x, reduce=_reduce: reduce(x, (1,)), _draw(0, 3)),
    )
case(
    "reduce_sum",
    over_nothing=(lambda x: lax.reduce_sum(x, (0,)), normal(0, 3)),
    complex=(lambda x: lax.reduce_sum(x, (0,)), complex_normal(2, 3)),
)
# several extreme values in a row share its cotangent
_tied = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, -1.0, 5.0]])
for _name, _reduce in (("reduce_max", lax.reduce_max), ("reduce_min", lax.reduce_min)):
    _rows = lambda x, reduce=_reduce: reduce(x, (1,))
    case(_name, ties=Variant(_rows, (_tied,), False))
for _reverse in (False, True):
    _sum = lambda x, reverse=_reverse: lax.cumsum(x, axis=1, reverse=reverse)
    _way = "backwards" if _reverse else "forwards"
    case("cumsum", **{_way: (_sum, normal(2, 3, 2)), f"{_way}_empty": (_sum, normal(2, 0))})


# --- products summed over axes


def _dot(contract, batch=((), ()), **options):
    return lambda x, y: lax.dot_general(x, y, (contract, batch), **options)


case(
    "dot_general",
    matrices=(_dot(((1,), (0,))), normal(2, 3), normal(3, 4)),
    transposed=(_dot(((0,), (1,))), normal(3, 2), normal(4, 3)),
    vectors=(_dot(((0,), (0,))), normal(3), normal(3)),
    matrix_and_vector=(_dot(((1,), (0,))), normal(2, 3), normal(3)),
    vector_and_matrix=(_dot(((0,), (0,))), normal(3), normal(3, 2)),
    outer=(_dot(((), ())), normal(2), normal(3)),
    scalars=(_dot(((), ())), normal(), normal()),
    batch=(_dot(((2,), (1,)), ((0,), (0,))), normal(2, 3, 4), normal(2, 4, 5)),
    batch_elsewhere=(_dot(((0,), (2,)), ((2,), (1,))), normal(4, 3, 2), normal(5, 2, 4)),
    two_batch_axes=(
        _dot(((1,), (3,)), ((0, 2), (2, 0))),
        normal(2, 4, 3, 5),
        normal(3, 6, 2, 4),
    ),
    two_contracted=(_dot(((1, 2), (0, 1))), normal(2, 3, 4), normal(3, 4, 5)),
    two_contracted_crossed=(_dot(((1, 2), (1, 0))), normal(2, 3, 4), normal(4, 3, 5)),
    crossed_with_own_between=(_dot(((3, 0), (0, 2))), normal(2, 5, 3, 4), normal(4, 6, 2)),
    everything=(
        _dot(((3, 1), (0, 4)), ((2,), (2,))),
        normal(2, 3, 4, 5),
        normal(5, 2, 4, 6, 3),
    ),
    three_contracted=(_dot(((0, 1, 2), (2, 0, 1))), normal(2, 3, 4), normal(3, 4, 2)),
    empty_sum=(_dot(((1,), (0,))), normal(2, 0), normal(0, 3)),
    empty_rows=(_dot(((1,), (0,))), normal(0, 2), normal(2, 3)),
    twice=(lambda x: lax.dot_general(x, x, (((1,), (0,)), ((), ()))), normal(3, 3)),
    constant_left=(
        lambda y: lax.dot_general(np.ones((2, 3), y.dtype), y, (((1,), (0,)), ((), ()))),
        normal(3, 4),
    ),
    constant_right=(
        lambda x: lax.dot_general(x, np.ones((3, 2), x.dtype), (((1,), (0,)), ((), ()))),
        normal(4, 3),
    ),
    precise=(_dot(((1,), (0,)), precision="highest"), normal(2, 3), normal(3, 4)),
    two_precisions=(
        _dot(((1,), (0,)), precision=(lax.Precision.HIGHEST, lax.Precision.DEFAULT)),
        normal(2, 3),
        normal(3, 4),
    ),
    wider_result=Variant(
        lambda x, y: lax.dot_general(
            x.astype(jnp.bfloat16),
            y.astype(jnp.bfloat16),
            (((1,), (0,)), ((), ())),
            preferred_element_type=jnp.float32,
        ),
        (normal(2, 3), normal(3, 4)),
        False,
    ),
    complex=(_dot(((1,), (0,))), complex_normal(2, 3), complex_normal(3, 4)),
)


# --- reading and writing at computed places


def _gather(offset, collapsed, start_map, sizes, mode=None, batch=((), ()), **options):
    numbers = lax.GatherDimensionNumbers(
        offset_dims=offset,
        collapsed_slice_dims=collapsed,
        start_index_map=start_map,
        operand_batching_dims=batch[0],
        start_indices_batching_dims=batch[1],
    )
    return lambda x, i: lax.gather(x, i, numbers, sizes, mode=mode, **options)


_MODES = {
    "clip": lax.GatherScatterMode.CLIP,
    "fill": lax.GatherScatterMode.FILL_OR_DROP,
    "promised": lax.GatherScatterMode.PROMISE_IN_BOUNDS,
}
# for rows of 5: 0 twice, and beyond both ends but where that is promised not to be
_FAR = np.array([[0], [4], [7], [0], [-3]], np.int32)
for _name, _mode in _MODES.items():
    _i = np.clip(_FAR, 0, 4) if _name == "promised" else _FAR
    case(
        "gather",
        **{
            # what is read from beyond the ends is NaN where the mode is to fill
            f"rows_{_name}": Variant(
                _gather((1,), (0,), (0,), (1, 3), _mode), (normal(5, 3), _i), _name != "fill"
            ),
            f"windows_{_name}": (_gather((1, 2), (), (0,), (2, 3), _mode), normal(5, 3), _i % 4),
        },
    )
case(
    "gather",
    points=(_gather((), (0, 1), (1, 0), (1, 1)), normal(5, 3), indices(3, 4, 2)),
    columns=(_gather((0,), (1,), (1,), (5, 1)), normal(5, 3), indices(3, 2, 4, 1)),
    one=(_gather((), (0,), (0,), (1,)), normal(5), indices(5, 1)),
    nothing=(_gather((1,), (0,), (0,), (1, 3)), normal(5, 3), indices(5, 0, 1)),
    batched=(
        _gather((1,), (1,), (1,), (1, 1, 2), batch=((0,), (0,))),
        normal(4, 5, 2),
        indices(5, 4, 1),
    ),
    filled=(
        _gather((1,), (0,), (0,), (1, 3), _MODES["fill"], fill_value=7.0),
        normal(5, 3),
        _FAR,
    ),
    sorted_and_unique=(
        _gather((1,), (0,), (0,), (1, 3), indices_are_sorted=True, unique_indices=True),
        normal(5, 3),
        np.array([[0], [2], [3]], np.int32),
    ),
    by_numpy=(lambda x, i: x[i, :, None, ::2], normal(4, 2, 3), indices(4, 3)),
    complex=(_gather((1,), (0,), (0,), (1, 3)), complex_normal(5, 3), indices(5, 2, 1)),
)


def _scatter_add(window, inserted, to_operand, mode=None, batch=((), ()), **options):
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=window,
        inserted_window_dims=inserted,
        scatter_dims_to_operand_dims=to_operand,
        operand_batching_dims=batch[0],
        scatter_indices_batching_dims=batch[1],
    )
    return lambda x, i, u: lax.scatter_add(x, i, u, numbers, mode=mode, **options)


for _name, _mode in _MODES.items():
    _i = np.clip(_FAR, 0, 4) if _name == "promised" else _FAR
    case(
        "scatter-add",
        **{
            f"rows_{_name}": (
                _scatter_add((1,), (0,), (0,), _mode),
                normal(5, 3),
                _i,
                normal(5, 3),
            ),
            f"windows_{_name}": (
                _scatter_add((1, 2), (), (0,), _mode),
                normal(5, 3),
                _i % 4,
                normal(5, 2, 3),
            ),
        },
    )
case(
    "scatter-add",
    points=(_scatter_add((), (0, 1), (1, 0)), normal(5, 3), indices(3, 4, 2), normal(4)),
    columns=(_scatter_add((0,), (1,), (1,)), normal(5, 3), indices(3, 2, 1), normal(5, 2)),
    nothing=(_scatter_add((1,), (0,), (0,)), normal(5, 3), indices(5, 0, 1), normal(0, 3)),
    batched=(
        _scatter_add((1,), (1,), (1,), batch=((0,), (0,))),
        normal(4, 5, 2),
        indices(5, 4, 1),
        normal(4, 2),
    ),
    only_updates=(
        lambda i, u: _scatter_add((1,), (0,), (0,))(np.zeros((5, 3), u.dtype), i, u),
        indices(5, 4, 1),
        normal(4, 3),
    ),
    only_operand=(
        lambda x, i: _scatter_add((1,), (0,), (0,))(x, i, np.ones((4, 3), x.dtype)),
        normal(5, 3),
        indices(5, 4, 1),
    ),
    by_numpy=(lambda x, u, i: x.at[i, 1:].add(u), normal(4, 3), normal(3, 2), indices(4, 3)),
)
case(
    "dynamic_slice",
    inside=(lambda x, i: lax.dynamic_slice(x, (i, np.int32(1)), (2, 2)), normal(4, 3), np.int32(1)),
    # a start that is too large or negative is moved so that the slice fits
    beyond=(lambda x, i: lax.dynamic_slice(x, (i,), (3,)), normal(5), np.int32(4)),
    before=(lambda x, i: lax.dynamic_slice(x, (i,), (3,)), normal(5), np.int32(-9)),
    nothing=(lambda x, i: lax.dynamic_slice(x, (i,), (0,)), normal(5), np.int32(2)),
    all=(lambda x, i: lax.dynamic_slice(x, (i, i), (2, 3)), normal(2, 3), np.int32(0)),
    scalar=(lambda x: lax.dynamic_slice_p.bind(x, slice_sizes=()), normal()),
)
case(
    "dynamic_update_slice",
    inside=(
        lambda x, u, i: lax.dynamic_update_slice(x, u, (i, np.int32(1))),
        normal(4, 3),
        normal(2, 2),
        np.int32(1),
    ),
    beyond=(
        lambda x, u, i: lax.dynamic_update_slice(x, u, (i,)),
        normal(5),
        normal(3),
        np.int32(4),
    ),
    only_update=(
        lambda u, i: lax.dynamic_update_slice(np.ones(5, u.dtype), u, (i,)),
        normal(3),
        np.int32(1),
    ),
    only_operand=(
        lambda x, i: lax.dynamic_update_slice(x, np.ones(2, x.dtype), (i,)),
        normal(5),
        np.int32(-1),
    ),
    all=(lambda x, u: lax.dynamic_update_slice(x, u, (0, 0)), normal(2, 3), normal(2, 3)),
)


# --- programs


def _long(x, y):
    """More equations than are opened while tracing: goes through `programs.halves`."""
    for _ in range(4):
        x, y = jnp.sin(x) * y, jnp.cos(y) + x
    return x, y


case(
    "jit",
    long=(jax.jit(_long), normal(3), normal(3)),
    one_operand=(lambda x: jax.jit(_long)(x, np.ones(3, x.dtype)), normal(3)),
    one_output=(lambda x, y: jax.jit(_long)(x, y)[1], normal(), normal()),
    nested=(jax.jit(lambda x, y: jax.jit(_long)(*jax.jit(_long)(x, y))), normal(3), normal(3)),
    short=(jax.jit(lambda x: jnp.sin(x) * x), normal(3)),
)

# --- no gradient flows through these

for _name, _fun in {
    "sign": lax.sign,
    "floor": lax.floor,
    "ceil": lax.ceil,
    "round": lax.round,
    "stop_gradient": lax.stop_gradient,
}.items():
    _through = lambda x, fun=_fun: fun(x) * x
    _smooth = _name != "stop_gradient"
    case(
        _name,
        matrix=Variant(_through, (distinct(2, 3) + 0.05,), _smooth),
        scalar=Variant(_through, (distinct() + 0.05,), _smooth),
        alone=Variant(_fun, (distinct(3) + 0.05,), _smooth),
    )
