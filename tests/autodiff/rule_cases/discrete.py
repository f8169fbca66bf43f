"""Primitives that nothing flows back through, beside a path on which something does."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives

from .case import Variant, case, distinct


def _still(primitive, fun, smooth=True):
    """`fun` of an array; integers and booleans that it gives out become numbers."""

    def beside(x):
        return jnp.sum(jnp.asarray(fun(x), x.dtype)) * x

    case(primitive, matrix=Variant(beside, (distinct(2, 3) + 0.05,), smooth))


for _name in ("sign", "floor", "ceil", "round", "stop_gradient"):
    _fun = getattr(lax, _name)
    _still(_name, _fun, _name != "stop_gradient")
    case(_name, alone=Variant(_fun, (distinct(3) + 0.05,), _name != "stop_gradient"))
    case(_name, scalar=Variant(_fun, (distinct() + 0.05,), _name != "stop_gradient"))

_with_itself = lambda compare: lambda x: compare(x, x[::-1])
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _still(_name, _with_itself(getattr(lax, _name)))
_still("eq_to", _with_itself(primitives.eq_to_p.bind))
_still("lt_to", _with_itself(primitives.lt_to_p.bind))
_still("le_to", _with_itself(primitives.le_to_p.bind))
_still("is_finite", lax.is_finite)

_integers = lambda x: jnp.floor(x).astype(np.int32)
_positive = lambda x: x > 0.0
_still("and", lambda x: lax.bitwise_and(_integers(x), np.int32(5)))
_still("or", lambda x: lax.bitwise_or(_integers(x), np.int32(5)))
_still("xor", lambda x: lax.bitwise_xor(_integers(x), np.int32(5)))
_still("not", lambda x: lax.bitwise_not(_integers(x)))
_still("reduce_and", lambda x: lax.reduce_and(_positive(x), (0,)))
_still("reduce_or", lambda x: lax.reduce_or(_positive(x), (0,)))
_still("reduce_xor", lambda x: lax.reduce_xor(_positive(x), (0,)))
_still("argmax", lambda x: lax.argmax(x, 1, np.int32))
_still("argmin", lambda x: lax.argmin(x, 1, np.int32))
_still("shift_left", lambda x: lax.shift_left(_integers(x), np.int32(2)))
_still("shift_right_logical", lambda x: lax.shift_right_logical(_integers(x), np.int32(2)))
_still("shift_right_arithmetic", lambda x: lax.shift_right_arithmetic(_integers(x), np.int32(1)))
_still("population_count", lambda x: lax.population_count(_integers(x)))
_still("clz", lambda x: lax.clz(_integers(x)))
_still("mulhi", lambda x: lax.mulhi(_integers(x), _integers(x)))
_still("iota", lambda x: lax.iota(np.int32, 3) + _integers(x))
_still("after_all", lambda x: (lax.after_all(lax.create_token()), _integers(x))[1])
_still("create_token", lambda x: (lax.create_token(), _integers(x))[1])

# bits of a number, and a number of bits
_bits = lambda x: lax.bitcast_convert_type(x, np.dtype(f"int{x.dtype.itemsize * 8}"))
_still("bitcast_convert_type", lambda x: lax.bitcast_convert_type(_bits(x), x.dtype), False)

# random numbers with a seed that depends on the input
_seed = lambda x: jax.random.key(jnp.sum(_integers(x)))
_draw = lambda x, key: jax.random.uniform(key, x.shape, x.dtype)
_still("random_seed", lambda x: _draw(x, _seed(x)))
_still("random_bits", lambda x: jax.random.bits(_seed(x), x.shape, "uint8"))
_still("random_split", lambda x: _draw(x, jax.random.split(_seed(x))[1]))
_still("random_fold_in", lambda x: _draw(x, jax.random.fold_in(_seed(x), 3)))
_words = lambda x: _integers(x).astype(np.uint32).ravel()
_still(
    "threefry2x32",
    lambda x: primitives.threefry2x32_p.bind(*[_words(x)[i] for i in (0, 1, 2, 3)])[0] % 8,
)
# times 0, because a batch draws other numbers
_still("rng_bit_generator", lambda x: lax.rng_bit_generator(_words(x)[:4], (3,), np.uint8)[1] * 0)


_still(
    "empty2",
    lambda x: x * primitives.empty2_p.bind(dtype=x.dtype, memory_space=jax.memory.Space.Device),
    False,
)
