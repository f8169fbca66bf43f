"""What cannot be differentiated says so, with the user's line; and NaN appears where JAX has it."""

import inspect
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive

import funcnn

from .agreement import assert_agree
from .modes import long

# --- a primitive without a rule

without_rule = Primitive("without_rule")
without_rule.def_impl(lambda x: np.asarray(x) * 2)
without_rule.def_abstract_eval(lambda x: x)
jax.interpreters.mlir.register_lowering(
    without_rule, jax.interpreters.mlir.lower_fun(lambda x: x * 2, multiple_results=False)
)


def uses_it(x):
    return without_rule.bind(x)  # the line that the message names


LINE = inspect.getsourcelines(uses_it)[1] + 1


def ways():
    x = jnp.float32(0.5)
    return {
        "eager": lambda: funcnn.grad(uses_it)(x),
        "vjp": lambda: funcnn.vjp(uses_it, x),
        "jit outside": lambda: jax.jit(funcnn.grad(uses_it))(x),
        "short jit inside": lambda: funcnn.grad(jax.jit(uses_it))(x),
        "long jit inside": lambda: funcnn.grad(jax.jit(lambda x: uses_it(long(x))))(x),
        "long jit inside and jit outside": lambda: jax.jit(
            funcnn.grad(jax.jit(lambda x: uses_it(long(x))))
        )(x),
        "nested": lambda: funcnn.grad(funcnn.grad(lambda x: uses_it(x) * x))(x),
    }


@pytest.mark.parametrize("way", ways())
def test_the_message_names_primitive_and_line_and_says_what_to_do(way):
    with pytest.raises(NotImplementedError) as caught:
        ways()[way]()
    message = str(caught.value)
    assert "without_rule" in message
    assert f"{pathlib.Path(__file__).name}:{LINE}" in message
    assert "uses_it" in message
    assert "funcnn.autodiff.defvjp" in message
    assert "stop_gradient" in message


@pytest.mark.parametrize(
    "fun",
    [lambda x: lax.linalg.schur(x)[0][0, 0], lambda x: jax.scipy.linalg.sqrtm(x)[0, 0].real],
    ids=["lax", "scipy"],
)
def test_the_line_is_the_users_also_behind_functions_of_jax(fun):
    x = jnp.eye(2) * 0.5
    jax.eval_shape(fun, x)  # JAX has traced it before
    with pytest.raises(NotImplementedError, match=r"schur.*test_errors\.py:\d+.*no derivative"):
        funcnn.grad(fun)(x)


def test_it_may_be_used_where_no_gradient_goes():
    x = jnp.float32(0.5)
    ours = funcnn.grad(lambda x: x * without_rule.bind(lax.stop_gradient(x)))(x)
    assert_agree(ours, jnp.float32(1.0), 1e-6)
    assert_agree(funcnn.grad(lambda x: x * without_rule.bind(3.0))(x), jnp.float32(6.0), 1e-6)


def test_a_rule_for_ones_own_primitive():
    double = Primitive("double")
    double.def_impl(lambda x: np.asarray(x) * 2)
    double.def_abstract_eval(lambda x: x)
    funcnn.autodiff.linear(double, "x", x=lambda g: 2 * g)
    assert_agree(funcnn.grad(lambda x: double.bind(x) * x)(np.float32(3)), jnp.float32(12), 1e-6)


def test_a_rule_with_wrong_names_is_refused():
    p = Primitive("misnamed")
    with pytest.raises(ValueError, match=r"misnamed.*\['z'\].*\['x', 'y'\]"):
        funcnn.autodiff.defvjp(p, "x y", z=lambda g: g)
    with pytest.raises(ValueError, match=r"misnamed.*'x'.*linear"):
        funcnn.autodiff.linear(p, "x y", x=lambda g, x: g * x)


# --- kinks, poles, NaN: JAX's conventions

NAN, INF = np.nan, np.inf
POINTS = {
    "sqrt at 0": (jnp.sqrt, [0.0]),
    "sqrt below 0": (jnp.sqrt, [-1.0, NAN]),
    "rsqrt at 0": (lax.rsqrt, [0.0, -1.0]),
    "cbrt at 0": (lax.cbrt, [0.0]),
    "log at 0": (jnp.log, [0.0, -0.0, -1.0]),
    "log1p at -1": (jnp.log1p, [-1.0]),
    "abs at 0": (jnp.abs, [0.0, -0.0, NAN, INF, -INF]),
    "sign": (jnp.sign, [0.0, NAN, 2.0]),
    "relu at 0": (jax.nn.relu, [0.0, -0.0, NAN]),
    "relu6 at 6": (jax.nn.relu6, [0.0, 6.0]),
    "leaky_relu at 0": (jax.nn.leaky_relu, [0.0]),
    "elu at 0": (jax.nn.elu, [0.0, 100.0, -100.0]),
    "sigmoid far out": (jax.nn.sigmoid, [200.0, -200.0, INF, -INF, NAN]),
    "log_sigmoid far out": (jax.nn.log_sigmoid, [200.0, -200.0, INF, -INF]),
    "softplus far out": (jax.nn.softplus, [200.0, -200.0]),
    "tanh far out": (jnp.tanh, [50.0, -50.0, INF, NAN]),
    "exp overflows": (jnp.exp, [100.0, -200.0]),
    "square overflows": (jnp.square, [1e30]),
    "power 0 of 0": (lambda x: x**0.0, [0.0, 1.0]),
    "power of 0": (lambda x: x**1.5, [0.0]),
    "power below 1 of 0": (lambda x: x**0.5, [0.0]),
    "integer power of 0": (lambda x: x**2, [0.0]),
    "negative integer power of 0": (lambda x: x**-1, [0.0]),
    "exponent of base 0": (lambda x: jnp.float32(0) ** x, [0.0, 1.0]),
    "self power": (lambda x: x**x, [0.0, 1.0]),
    "division by 0": (lambda x: 1 / x, [0.0]),
    "0 by 0": (lambda x: x / x, [0.0]),
    "remainder": (lambda x: x % 1.5, [0.0, 1.5, -1.5, 3.1]),
    "asin at 1": (jnp.arcsin, [1.0, -1.0, 1.5]),
    "acosh at 1": (jnp.arccosh, [1.0, 0.5]),
    "atanh at 1": (jnp.arctanh, [1.0, -1.0]),
    "atan2 at the origin": (lambda x: jnp.arctan2(x, x), [0.0]),
    "maximum, tie": (lambda x: jnp.maximum(x, 1.0), [1.0, NAN, 0.5]),
    "minimum, tie": (lambda x: jnp.minimum(x, 1.0), [1.0, NAN, 1.5]),
    "maximum of itself": (lambda x: jnp.maximum(x, x), [1.0]),
    "clip at its ends": (lambda x: jnp.clip(x, -1, 1), [1.0, -1.0, NAN, 0.0, 3.0]),
    "where with a pole": (lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), [0.0, -1.0, 2.0]),
    "where, made safe": (
        lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0),
        [0.0, -1.0, 2.0],
    ),
    "floor": (jnp.floor, [0.0, 0.5, NAN]),
    "erf_inv at 1": (lax.erf_inv, [1.0, -1.0]),
    "xlogy at 0": (lambda x: jax.scipy.special.xlogy(x, x), [0.0]),
    "logaddexp at infinity": (lambda x: jnp.logaddexp(x, -INF), [-INF, 0.0]),
}


@pytest.mark.parametrize("name", POINTS)
def test_at_kinks_and_poles(name):
    fun, points = POINTS[name]
    ours, theirs = (
        jax.vmap(m.value_and_grad(fun))(np.asarray(points, np.float32)) for m in (funcnn, jax)
    )
    assert_agree(ours, theirs, 2e-6)


ROWS = {
    "max, ties": (jnp.max, [1.0, 3.0, 3.0, 3.0]),
    "max, NaN": (jnp.max, [1.0, NAN, 3.0]),
    "max, infinities": (jnp.max, [INF, 1.0, INF]),
    "max, -infinities": (jnp.max, [-INF, -INF]),
    "min, ties": (jnp.min, [1.0, 1.0, 3.0]),
    "min, NaN": (jnp.min, [1.0, NAN]),
    "maximum of two": (lambda x: jnp.sum(jnp.maximum(x, x[::-1]) * x), [1.0, 2.0, 1.0, 3.0]),
    "norm at 0": (jnp.linalg.norm, [0.0, 0.0]),
    "norm": (jnp.linalg.norm, [3.0, 4.0]),
    "std of equals": (jnp.std, [2.0, 2.0, 2.0]),
    "logsumexp of infinities": (jax.nn.logsumexp, [-INF, -INF]),
    "logsumexp with one": (jax.nn.logsumexp, [-INF, 1.0]),
    "logsumexp, far apart": (jax.nn.logsumexp, [1e4, -1e4]),
    "softmax, masked": (lambda x: jax.nn.softmax(x)[0], [1.0, -INF, 2.0]),
    "log_softmax, far apart": (lambda x: jax.nn.log_softmax(x)[0], [-1e4, 1e4]),
    "out of bounds, filled": (lambda x: jnp.nansum(x[jnp.array([0, 7])]), [1.0, 2.0]),
    "out of bounds, clipped": (
        lambda x: jnp.sum(jnp.take(x, jnp.array([0, 7]), mode="clip")),
        [1.0, 2.0],
    ),
    "argmax": (lambda x: x[jnp.argmax(x)], [2.0, 2.0, 1.0]),
    "nanmean": (jnp.nanmean, [1.0, NAN, 3.0]),
    "mean of nothing": (jnp.mean, []),
    "sum of nothing": (jnp.sum, []),
}


@pytest.mark.parametrize("name", ROWS)
def test_ties_and_infinities_in_a_row(name):
    fun, row = ROWS[name]
    ours, theirs = (m.value_and_grad(fun)(np.asarray(row, np.float32)) for m in (funcnn, jax))
    assert_agree(ours, theirs, 2e-6)


@pytest.mark.parametrize("name", ["sqrt below 0", "sqrt at 0", "0 by 0", "where with a pole"])
def test_debug_nans_stops_where_it_stops_in_jax(name):
    fun, [x, *_] = POINTS[name]

    def stops(m):
        with jax.debug_nans(True):
            try:
                m.grad(fun)(x)
            except FloatingPointError:
                return True
        return False

    assert stops(funcnn) == stops(jax)
