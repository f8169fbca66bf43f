"""Our transforms within each other, within JAX's and around them.

In 64 bits, so that only a wrong derivative can show.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import funcnn

from .agreement import assert_agree
from .modes import COMPILED, EAGER, FORWARD, TRACED, assert_same_as_jax, long, traced

X = np.float64(0.7)
V = np.array([0.2, 0.5, 1.1])


@pytest.fixture(autouse=True)
def _wide():
    with jax.enable_x64(True):
        yield


def both(run, rtol=1e-11):
    ours = run(funcnn)
    assert_agree(ours, run(jax), rtol)
    return ours


# --- nesting


def smooth(x):
    return jnp.sin(x) * x**3 + jnp.tanh(x)


FUNCTIONS = {
    "straight": smooth,
    "jitted": jax.jit(smooth),
    "long jitted": jax.jit(long),
    "jit in jit in jit": jax.jit(lambda x: jax.jit(lambda y: jax.jit(long)(y) * y * x)(x) + x),
    "jit of two": lambda x: jax.jit(lambda x, y: long(x) * y)(x, x * x),
    "jit that closes over x": lambda x: jax.jit(lambda y: long(y) * x)(3.0 * x),
    "jit that only closes over x": lambda x: jax.jit(lambda: long(x))(),
}


@pytest.mark.parametrize("fun", FUNCTIONS.values(), ids=FUNCTIONS)
def test_in_every_mode(fun):
    assert_same_as_jax(funcnn, fun, X, EAGER | TRACED | FORWARD)


@pytest.mark.parametrize("name", ["straight", "jit in jit in jit", "jit that closes over x"])
def test_compiled(name):
    assert_same_as_jax(funcnn, FUNCTIONS[name], X, COMPILED)


@pytest.mark.parametrize("fun", FUNCTIONS.values(), ids=FUNCTIONS)
def test_third_order(fun):
    both(lambda m: traced(m.grad(m.grad(m.grad(fun))))(X))


def test_third_order_eagerly():
    fun = FUNCTIONS["jit that closes over x"]
    both(lambda m: m.grad(m.grad(m.grad(fun)))(X))


def test_mixed_orders():
    """Every sequence of three of our grad and JAX's."""
    fun = FUNCTIONS["jit in jit in jit"]
    expected = jax.grad(jax.grad(jax.grad(fun)))(X)
    for which in np.ndindex(2, 2, 2):
        f = fun
        for i in which:
            f = (funcnn.grad, jax.grad)[i](f)
        assert_agree(traced(f)(X), expected, 1e-11, f"{which} ")


def vector(x):
    return jnp.outer(jnp.sin(x), x) @ jax.jit(long)(x)


@pytest.mark.parametrize("of", [jax.jacfwd, jax.jacrev])
def test_jacobians_of_jax(of):
    scalar = lambda x: jnp.sum(vector(x) ** 2)
    both(lambda m: traced(of(m.grad(scalar)))(V))
    both(lambda m: traced(m.grad(lambda x: jnp.sum(of(vector)(x) ** 2)))(V))


def test_hessian_of_jax():
    both(lambda m: traced(m.grad(lambda x: jnp.sum(jax.hessian(smooth)(x))))(X))


def test_linearize_and_linear_transpose_of_jax():
    both(lambda m: jax.linearize(m.grad(jax.jit(long)), X)[1](X))
    both(lambda m: m.grad(lambda x: jax.linearize(jax.jit(long), x)[1](x))(X))
    linear = lambda x: jnp.cumsum(x) * 3.0
    both(lambda m: m.grad(lambda x: jnp.sum(jax.linear_transpose(linear, x)(x**2)[0]))(V))


def test_hessian_vector_products():
    f = lambda x: jnp.sum(vector(x) ** 2)
    expected = jax.hessian(f)(V) @ V
    forward_over_ours = jax.jvp(funcnn.grad(f), (V,), (V,))[1]
    ours_over_ours = funcnn.grad(lambda x: funcnn.grad(f)(x) @ V)(V)
    assert_agree(forward_over_ours, expected, 1e-11)
    assert_agree(ours_over_ours, expected, 1e-11)


def test_vmaps_within_vmaps():
    f = lambda a, b: jnp.sin(a) * jax.jit(long)(b)
    both(lambda m: jax.vmap(jax.vmap(m.grad(f, (0, 1)), (0, None)), (None, 0))(V, V))
    inner = lambda a: jnp.sum(jax.vmap(jax.jit(long))(a * V))
    both(lambda m: jax.jit(jax.vmap(m.grad(inner)))(V))
    both(lambda m: jax.vmap(m.grad(lambda a, b: a * b), in_axes=(None, 0), out_axes=0)(X, V))


def test_per_example_gradients():
    kernel = jnp.arange(6.0).reshape(3, 2) / 6
    xs = jnp.stack([V, V**2, -V])
    loss = lambda kernel, x: jnp.sum(jax.nn.softmax(x @ kernel) ** 2)
    both(lambda m: jax.vmap(m.grad(loss), in_axes=(None, 0))(kernel, xs))


# --- what an inner function sees of the outer one


def test_closures_over_outer_tracers():
    both(lambda m: m.grad(lambda a: m.grad(lambda b: jnp.sin(a * b) * a)(a))(X))
    both(lambda m: m.grad(lambda a: m.grad(jax.jit(lambda b: jnp.sin(a * b) + long(b)))(a))(X))
    both(lambda m: m.grad(lambda a: jax.jit(m.grad(lambda b: jnp.sin(a * b) + long(b)))(a))(X))
    both(lambda m: jax.jit(m.grad(lambda a: jax.jit(lambda b: jnp.sin(a * b) + long(b))(3.0)))(X))


def test_perturbations_are_not_confused():
    assert float(funcnn.grad(lambda x: x * funcnn.grad(lambda y: x + y)(1.0))(1.0)) == 1.0
    assert float(funcnn.grad(lambda x: x * jax.grad(lambda y: x * y)(1.0))(3.0)) == 6.0
    assert float(jax.grad(lambda x: x * funcnn.grad(lambda y: x * y)(1.0))(3.0)) == 6.0
    inner = lambda x: jax.jvp(lambda y: x * y, (1.0,), (1.0,))[1]
    assert float(funcnn.grad(lambda x: x * inner(x))(3.0)) == 6.0
    inner = lambda x: jax.jit(lambda z: x * long(z))
    both(lambda m: m.grad(lambda x: x * m.grad(lambda y: inner(x)(y))(1.0))(2.0))


def test_control_flow_of_python():
    def f(x):
        total = 0.0
        for i, v in enumerate(x):
            total = total + v**i if v > 0.3 else total - jnp.sin(v)
            while total < 0.1:
                total = total * total + 0.3 * v + 0.1
        return total * float(jnp.round(total))

    both(lambda m: m.value_and_grad(f)(V))
    both(lambda m: m.grad(m.grad(lambda x: x**3 if x > 0 else -x))(X))


def test_values_are_seen_by_python():
    """As truth values and integers, also through two levels."""
    seen = []

    def f(x):
        seen.append((bool(x), int(3 * x)))
        return x ** int(3 * x) if x else x

    both(lambda m: m.grad(m.grad(f))(X))
    assert set(seen) == {(True, 2)}


def test_control_flow_of_python_needs_values():
    f = lambda x: x if x > 0 else -x
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(funcnn.grad(f))(X)
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.vmap(funcnn.grad(f))(V)


def test_values_that_do_not_depend_on_the_input():
    """Loops, branches, randomness and callbacks may compute them, with or without a rule."""

    def f(x):
        key = jax.random.key(3)
        loop = lax.scan(lambda c, a: (c + a, c), 0.0, jnp.arange(3.0))[0]
        steps = lax.while_loop(lambda n: n < 5, lambda n: n + 1, 0)
        branch = lax.cond(steps > 3, lambda: 2.0, lambda: 3.0)
        sorted_ = jnp.sort(jax.random.normal(key, (3,)))
        called = jax.pure_callback(lambda: np.float64(4), jax.ShapeDtypeStruct((), np.float64))
        return jnp.sum(x * sorted_) * loop * branch * called

    both(lambda m: m.grad(f)(V))
    both(lambda m: jax.jit(m.grad(f))(V))


def test_integers_computed_from_the_input():
    """argmax, comparisons, rounding to an integer: no gradient flows there, and none is missed."""

    def f(x):
        largest = x[jnp.argmax(x)]
        order = jnp.where(x > 0.3, x, 0.0)
        return largest * jnp.sum(order) * x.astype(int)[-1] * jnp.sum(jnp.sign(x)) * len(x)

    both(lambda m: m.grad(f)(V))


def test_randomness():
    def f(x, key):
        keep = jax.random.bernoulli(key, 0.5, x.shape)
        noise = jax.random.normal(jax.random.split(key)[0], x.shape)
        return jnp.sum(jnp.where(keep, x / 0.5, 0.0) * long(x + noise))

    key = jax.random.key(1)
    both(lambda m: m.grad(f)(V, key))
    both(lambda m: jax.jit(m.grad(f))(V, key))
    both(lambda m: m.grad(jax.jit(f))(V, key))


def test_keys_through_an_inner_program():
    inner = jax.jit(lambda x, key: (long(x) * jax.random.normal(key), jax.random.split(key)[0]))

    def f(x, key):
        y, key = inner(x, key)
        return y * jax.random.normal(key)

    both(lambda m: m.grad(f)(X, jax.random.key(1)))
    both(lambda m: jax.jit(m.grad(f))(X, jax.random.key(1)))


@pytest.mark.parametrize("jitted", [False, True])
def test_effects_happen_once(jitted):
    seen = []

    def f(x):
        y = jax.jit(lambda x: (jax.debug.callback(seen.append, x), long(x))[1])(x)
        jax.debug.callback(seen.append, y)
        return y * x

    gradient = funcnn.grad(f)
    (jax.jit(gradient) if jitted else gradient)(X)
    jax.effects_barrier()
    assert_agree(sorted(map(float, seen)), sorted([float(X), float(long(X))]), 1e-12)


@pytest.mark.parametrize(
    "context",
    [
        jax.disable_jit,
        jax.checking_leaks,
        functools.partial(jax.debug_nans, True),
        functools.partial(jax.numpy_dtype_promotion, "strict"),
        functools.partial(jax.numpy_rank_promotion, "raise"),
        functools.partial(jax.default_matmul_precision, "highest"),
        functools.partial(jax.enable_x64, False),
    ],
    ids=["disable_jit", "checking_leaks", "debug_nans", "strict", "ranks", "precision", "narrow"],
)
def test_under_the_settings_of_jax(context):
    x = np.linspace(0.1, 1, 6).reshape(2, 3)

    def f(x):
        return jnp.sum(jax.nn.softmax(jnp.tanh(x @ x.T) @ jax.nn.relu(x)) * jax.jit(long)(x))

    with context():
        rtol = 1e-11 if jax.config.jax_enable_x64 else 1e-5
        both(lambda m: traced(m.grad(f))(x), rtol)
        both(lambda m: m.grad(lambda x: jnp.sum(jax.nn.relu(x) ** 2))(x), rtol)


def test_precision_changes_between_calls():
    """What is remembered of an inner program is not used where it does not fit."""
    f = jax.jit(lambda x: jnp.sum(long(x)))
    for wide in (False, True, False):
        with jax.enable_x64(wide):
            both(lambda m: m.grad(f)(V), 1e-11 if wide else 1e-5)


def test_what_was_traced_in_one_precision_serves_in_the_other():
    """Also of what a rule makes integers of: int64 in the one, which the other does not have."""

    @jax.custom_vjp
    def f(x):
        return jnp.sin(x)

    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x) * jnp.arange(x.size),))

    def program(x):
        return jnp.sum(lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0])

    x = np.float32(V)
    with jax.enable_x64(False):
        expected = jax.grad(program)(x)
        traced = jax.make_jaxpr(program)(x)
    run = lambda x: jax.core.eval_jaxpr(traced.jaxpr, traced.consts, x)[0]
    for wide in (True, False):
        with jax.enable_x64(wide):
            assert_agree(funcnn.grad(run)(x), expected, 1e-5)


# --- inner programs


def outputs(a, b, n):
    """A long program with outputs of every kind."""
    c, d = long(a), long(b)
    return {
        "of a": c,
        "of b": d,
        "of both": c * d,
        "integer": n + 1,
        "an input": a,
        "an integer input": n,
        "a literal": 2.0,
        "again": c,
        "a constant": jnp.arange(3.0),
        "of nothing tracked": long(0.3),
        "a comparison": a > b,
        "rounded": jnp.round(a),
    }


NAMES = list(jax.eval_shape(outputs, 0.7, 0.7, 3))
INNER = jax.jit(outputs)


@pytest.mark.parametrize("name", NAMES)
def test_one_of_several_outputs(name):
    used = lambda a, b: jnp.sum(INNER(a, b, 3)[name]) * b + a
    both(lambda m: m.value_and_grad(used, (0, 1))(X, X + 1))
    both(lambda m: traced(m.value_and_grad(used, (0, 1)))(X, X + 1))
    both(lambda m: traced(m.grad(lambda a: m.grad(used, 1)(a, a) * a))(X))


@pytest.mark.parametrize("name", NAMES)
def test_two_of_several_outputs(name):
    def used(other):
        def f(a, b):
            found = INNER(a, b, 3)
            return jnp.sum(found[name] * a) + jnp.sum(found[other] * b)

        return f

    for f in map(used, NAMES[: NAMES.index(name)]):
        both(lambda m, f=f: traced(m.grad(f, (0, 1)))(X, X + 1))


def test_all_of_several_outputs():
    def run(m):
        out, pullback = m.vjp(INNER, X, X + 1, 3)
        cotangent = lambda o: (
            jnp.ones_like(o)
            if jnp.issubdtype(o.dtype, jnp.inexact)
            else np.zeros(np.shape(o), jax.dtypes.float0)
        )
        return pullback(jax.tree.map(cotangent, out))

    both(run)


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: jax.jit(lambda x: (long(x), x))(x)[1] * x,
        lambda x: jax.jit(lambda x, n: (long(x), n))(x, 4)[1] * x,
        lambda x: jax.jit(lambda x: (long(x), lax.stop_gradient(long(x))))(x)[1] * x,
        lambda x: jax.jit(lambda c: long(c))(3.0) * x,
        lambda x: sum(jax.jit(lambda x: (long(x),) * 3)(x)),
        lambda x: jax.jit(lambda p: {"s": long(p["a"]) * p["b"]})({"a": x, "b": x, "n": None})["s"],
        lambda x: jnp.sum(jax.jit(lambda x: long(x) * np.arange(1000.0))(x)),
        lambda x: jnp.sum(jax.jit(lambda x: long(x) * V)(x)),
        lambda x: jax.jit(lambda x, flag: long(x) if flag else x, static_argnames="flag")(
            x, flag=True
        ),
        lambda x: jax.jit(long, inline=True)(x),
        lambda x: jax.jit(lambda x, unused: long(x), keep_unused=True)(x, x),
        lambda x: jnp.sum(jnp.abs(jax.jit(lambda z: long(z) * z)(x + 1j))),
        lambda x: jnp.sum(jax.jit(long)(jnp.full((0, 2), 1.0) * x)) + x,
        lambda x: jax.jit(lambda x: x)(x) * x,
        lambda x: jax.jit(lambda x: ())(x) or x,
    ],
)
def test_inner_programs_of_other_shapes(fun):
    assert_same_as_jax(funcnn, fun, X, EAGER | TRACED)


def test_the_inner_program_is_traced_once_and_stays_compiled():
    calls = []

    @jax.jit
    def inner(x):
        calls.append(1)
        return long(x)

    f = lambda x: inner(x) * inner(x + 1)
    for x in (0.1, 0.2, 0.3):
        funcnn.grad(f)(np.float64(x))
    assert len(calls) == 1

    bound = jax.make_jaxpr(lambda x: funcnn.grad(f)(x))(X)
    names = [eqn.params["name"] for eqn in bound.eqns if str(eqn.primitive) == "jit"]
    assert names == ["inner", "inner", "inner_backward", "inner_backward"]


def test_nothing_is_compiled_again():
    """The second gradient of the same function, with other numbers, compiles nothing."""
    inner = jax.jit(lambda x: (long(x), x * 2.0))
    gradient = funcnn.grad(lambda x: inner(jnp.sin(x))[0] * x)
    twice = funcnn.grad(gradient)
    other = X + 1
    gradient(X), twice(X)
    compiled = []
    listen = lambda event, duration, **_: compiled.append(event) if "compile" in event else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        gradient(other), twice(other)
        assert compiled == []
        jax.jit(lambda x: x + 17)(X)  # so that the listener is known to hear
        assert compiled != []
    finally:
        jax.monitoring.clear_event_listeners()


def test_an_output_that_depends_on_nothing_tracked_is_a_value():
    seen = []

    def f(x):
        first, second = jax.jit(lambda x, y: (long(x), long(y)))(x, 2.0)
        seen.extend(isinstance(y, jax.core.Tracer) for y in (first, second))
        return first * second

    both(lambda m: m.grad(f)(X))
    assert seen[:2] == [True, False]


def test_short_inner_programs_are_opened_while_tracing():
    short = jax.jit(lambda x: jnp.sin(x) * x)
    opened = jax.make_jaxpr(funcnn.grad(lambda x: short(x) * x))(X)
    assert "jit" not in {str(eqn.primitive) for eqn in opened.eqns}
    assert_same_as_jax(funcnn, lambda x: short(x) * x, X, EAGER | TRACED)


def test_an_inner_program_is_not_kept_alive():
    import gc
    import weakref

    def once():
        inner = jax.jit(lambda x: long(x))
        funcnn.grad(inner)(X)
        return weakref.ref(inner)

    reference = once()
    jax.clear_caches()
    gc.collect()
    assert reference() is None


# --- functions with a rule of their own


@jax.custom_jvp
def scaled(x, y):
    return jnp.sin(x) * y


@scaled.defjvp
def _(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    # twice the derivative, so that a rule that is ignored shows
    return scaled(x, y), 2 * jnp.cos(x) * y * dx + 3 * jnp.sin(x) * dy


@jax.custom_jvp
def by_operand(x, y):
    return jnp.sin(x) * y


by_operand.defjvps(
    lambda t, out, x, y: 2 * jnp.cos(x) * y * t, lambda t, out, x, y: 3 * out / y * t
)


@jax.custom_jvp
def half_known(x, y):
    return jnp.sin(x) * y


half_known.defjvps(lambda t, out, x, y: 2 * jnp.cos(x) * y * t, None)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 2))
def applied(f, x, n):
    return f(x) ** n


@applied.defjvp
def _(f, n, primals, tangents):
    [x], [dx] = primals, tangents
    return f(x) ** n, 3 * dx * jnp.cos(x) * n


def symbolic(is_zero):
    """A custom_jvp function whose rule looks which tangents are zeros."""

    @jax.custom_jvp
    def f(x, y):
        return jnp.sin(x) * y

    @functools.partial(f.defjvp, symbolic_zeros=True)
    def _(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        out, tangent = jnp.sin(x) * y, 0.0
        if not is_zero(dx):
            tangent = tangent + 5 * dx * y
        if not is_zero(dy):
            tangent = tangent + 7 * dy * x
        if isinstance(tangent, float):
            tangent = jax.custom_derivatives.SymbolicZero(jax.typeof(out).to_tangent_aval())
        return out, tangent

    return f


def is_symbolic_zero(t):
    return isinstance(t, jax.custom_derivatives.SymbolicZero)


with_zeros = symbolic(is_symbolic_zero)


@jax.custom_jvp
def in_a_tree(p, n):
    return {"s": jnp.sin(p["a"]) * p["b"], "n": n + 1}, p["a"]


@in_a_tree.defjvp
def _(primals, tangents):
    (p, n), (dp, _) = primals, tangents
    ds = 2 * jnp.cos(p["a"]) * dp["a"] * p["b"] + dp["b"]
    return in_a_tree(p, n), ({"s": ds, "n": np.zeros((), jax.dtypes.float0)}, 3 * dp["a"])


@jax.custom_jvp
def flat(x):
    return x**2


flat.defjvp(lambda primals, tangents: (primals[0] ** 2, jnp.zeros_like(primals[0])))


@jax.custom_jvp
def passing_on(x):
    return jnp.round(x)


passing_on.defjvp(lambda primals, tangents: (jnp.round(primals[0]), tangents[0]))


@jax.custom_jvp
def doubled(x):
    return 2 * x


doubled.defjvp(lambda primals, tangents: (2 * primals[0], 3 * tangents[0]))


@jax.custom_jvp
def with_rules_within(x):
    return jnp.sin(x)


@with_rules_within.defjvp
def _(primals, tangents):
    # to a tangent a function is what it does: another rule for it is not asked
    [x], [dx] = primals, tangents
    inner = jax.jit(lambda dx: long(x) * doubled(dx))
    return jnp.sin(x), jnp.cos(x) * doubled(dx) + inner(dx)


def entry(x):
    tree, again = in_a_tree({"a": x, "b": 2.0}, jnp.int32(3))
    return tree, again


CUSTOM_JVP = {
    "first": lambda x: scaled(x, 2.0),
    "second": lambda x: scaled(2.0, x),
    "both": lambda x: scaled(x, x),
    "by operand": lambda x: by_operand(x, x * x),
    "half": lambda x: half_known(x, x),
    "the half without": lambda x: half_known(2.0, x) * 1.0,
    "nondiff": lambda x: applied(jnp.sin, x, 3),
    "symbolic zeros, first": lambda x: with_zeros(x, 2.0),
    "symbolic zeros, second": lambda x: with_zeros(2.0, x),
    "symbolic zeros, both": lambda x: with_zeros(x, x),
    "tree": lambda x: entry(x)[0]["s"] * entry(x)[1] * entry(x)[0]["n"],
    "one leaf": lambda x: entry(x)[0]["s"],
    "integer leaf": lambda x: entry(x)[0]["n"] * x,
    "zero tangent": lambda x: flat(x) * x,
    "tangent passed on": lambda x: passing_on(x * x) * passing_on(x),
    "in itself": lambda x: scaled(scaled(x, x), scaled(x, 1.0)),
    "rules within a rule": with_rules_within,
    "long": lambda x: scaled(long(x), x),
    "relu": lambda x: jax.nn.relu(x) * jax.nn.relu(-x + 1),
}


@pytest.mark.parametrize("fun", CUSTOM_JVP.values(), ids=CUSTOM_JVP)
def test_custom_jvp(fun):
    assert_same_as_jax(funcnn, fun, X, EAGER | TRACED | FORWARD)


def test_custom_jvp_sees_which_tangents_are_zeros():
    seen = []

    def is_zero(t):
        seen.append(is_symbolic_zero(t))
        return seen[-1]

    f = symbolic(is_zero)
    funcnn.grad(lambda x: f(x, 2.0))(X)
    assert seen == [False, True]
    seen.clear()
    funcnn.grad(lambda x: f(2.0, x))(X)
    assert seen == [True, False]


@jax.custom_vjp
def product(x, y):
    return jnp.sin(x) * y


product.defvjp(
    lambda x, y: (jnp.sin(x) * y, (x, y)),
    lambda saved, g: (2 * g * jnp.cos(saved[0]) * saved[1], 3 * g * jnp.sin(saved[0])),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 2))
def applied_back(f, x, n):
    return f(x) ** n


applied_back.defvjp(
    lambda f, x, n: (f(x) ** n, (x,)), lambda f, n, saved, g: (3 * g * f(saved[0]) * n,)
)


@jax.custom_vjp
def without_second(x, y):
    return jnp.sin(x) * y


without_second.defvjp(lambda x, y: (jnp.sin(x) * y, (x, y)), lambda saved, g: (None, 2.0 * g))


@jax.custom_vjp
def with_integers(x, n):
    return jnp.sin(x) * n


with_integers.defvjp(
    lambda x, n: (jnp.sin(x) * n, (x, n, jnp.int32(4), None)),
    lambda saved, g: (g * saved[0] * saved[1] * saved[2], None),
)


@jax.custom_vjp
def with_float0(x, n):
    return jnp.sin(x) * n


with_float0.defvjp(
    lambda x, n: (jnp.sin(x) * n, (x, n)),
    lambda saved, g: (g * saved[0] * saved[1], np.zeros((), jax.dtypes.float0)),
)


def symbolic_back(notice):
    @jax.custom_vjp
    def f(x, y):
        return jnp.sin(x) * y, jnp.cos(x)

    def forward(x, y):
        notice("perturbed", (x.perturbed, y.perturbed))
        return (jnp.sin(x.value) * y.value, jnp.cos(x.value)), (x.value, y.value)

    def backward(saved, g):
        zeros = tuple(is_symbolic_zero(t) for t in g)
        notice("zeros", zeros)
        first, second = (0.0 if is_symbolic_zero(t) else t for t in g)
        total = first + 2 * second
        return total * saved[0], total * saved[1] * (2.0 if any(zeros) else 3.0)

    f.defvjp(forward, backward, symbolic_zeros=True)
    return f


two_outputs = symbolic_back(lambda what, which: None)


@jax.custom_vjp
def of_a_tree(p):
    return {"o": p["a"] * p["b"], "n": p["n"]}


of_a_tree.defvjp(
    lambda p: (of_a_tree(p), p),
    lambda p, g: ({"a": 2 * g["o"] * p["b"], "b": g["o"] * p["a"], "n": None},),
)


@jax.custom_vjp
def input_and_output_saved(x):
    return x, jnp.exp(x)


input_and_output_saved.defvjp(
    lambda x: ((x, jnp.exp(x)), (x, jnp.exp(x))),
    lambda saved, g: (2 * g[0] + g[1] * saved[1] * saved[0],),
)


@jax.custom_vjp
def clipped(x):
    return x


clipped.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -0.5, 0.5),))


def local(x):
    """A rule made anew in every call, closing over a concrete array."""
    scale = np.float64(3.0)

    @jax.custom_vjp
    def f(y):
        return y * scale

    f.defvjp(lambda y: (y * scale, (y, scale)), lambda saved, g: (g * saved[0] * saved[1],))
    return f(x) * x


CUSTOM_VJP = {
    "first": lambda x: product(x, 2.0),
    "second": lambda x: product(2.0, x),
    "both": lambda x: product(x, x),
    "nondiff": lambda x: applied_back(jnp.sin, x, 3),
    "None": lambda x: without_second(x, x),
    "None alone": lambda x: without_second(x, 2.0) + x,
    "integer residuals": lambda x: with_integers(x, 3),
    "float0": lambda x: with_float0(x, 3),
    "symbolic zeros, first output": lambda x: two_outputs(x, 2.0)[0],
    "symbolic zeros, second output": lambda x: two_outputs(x, x)[1],
    "symbolic zeros, both outputs": lambda x: two_outputs(x, x)[1] * two_outputs(3.0, x)[0],
    "tree": lambda x: of_a_tree({"a": x, "b": x * 2, "n": 3})["o"],
    "integer output": lambda x: of_a_tree({"a": x, "b": x * 2, "n": 3})["n"] * x,
    "first of two": lambda x: input_and_output_saved(x)[0],
    "second of two": lambda x: input_and_output_saved(x)[1],
    "both of two": lambda x: input_and_output_saved(x)[0] * input_and_output_saved(x)[1],
    "clipped": lambda x: jnp.sin(clipped(x * 3)),
    "closes over": local,
    "in itself": lambda x: product(product(x, x), product(x, 1.0)),
    "custom_gradient": lambda x: x * jax.custom_gradient(lambda x: (x**2, lambda g: 5 * g * x))(x),
    "long": lambda x: product(long(x), x),
    "with custom_jvp": lambda x: product(scaled(x, x), scaled(1.0, x)),
}


@pytest.mark.parametrize("fun", CUSTOM_VJP.values(), ids=CUSTOM_VJP)
def test_custom_vjp(fun):
    assert_same_as_jax(funcnn, fun, X, EAGER | TRACED)


def test_custom_vjp_may_give_float0_for_a_float():
    """JAX passes it on."""

    @jax.custom_vjp
    def f(x):
        return jnp.round(x)

    f.defvjp(lambda x: (f(x), None), lambda _, g: (np.zeros((), jax.dtypes.float0),))
    assert funcnn.grad(lambda x: f(x) + x)(X) == 1


def test_custom_vjp_sees_what_is_perturbed_and_which_cotangents_are_zeros():
    seen = []
    f = symbolic_back(lambda what, which: seen.append((what, which)))
    funcnn.grad(lambda x: f(x, 2.0)[0])(X)
    assert seen == [("perturbed", (True, False)), ("zeros", (False, True))]
    seen.clear()
    funcnn.grad(lambda x: f(2.0, x)[0] * f(x, x)[1])(X)
    assert set(seen) == {
        ("perturbed", (False, True)),
        ("perturbed", (True, True)),
        ("zeros", (False, True)),
        ("zeros", (True, False)),
    }


def test_custom_vjp_that_closes_over_an_outer_tracer():
    def f(c):
        def inner(x):
            @jax.custom_vjp
            def g(y):
                return y * c

            g.defvjp(lambda y: (y * c, (y, c)), lambda saved, ct: (ct * saved[0] * saved[1],))
            return g(x) * x

        return inner

    both(lambda m: m.grad(lambda c: m.grad(f(c))(2.0))(3.0))


def test_a_straight_through_estimator():
    rounded = lambda x: x + lax.stop_gradient(jnp.round(x) - x)
    assert_same_as_jax(funcnn, lambda x: rounded(x * 3) * x, X, EAGER | TRACED)


def test_a_jvp_rule_that_fails_leaves_the_next_one_its_own():
    @jax.custom_jvp
    def fails(x):
        return x

    @jax.custom_jvp
    def tripled(x):
        return jnp.sin(x)

    fails.defjvp(lambda primals, tangents: 1 / 0)
    tripled.defjvp(lambda primals, tangents: (jnp.sin(*primals), 3 * tangents[0]))

    def f(x):
        with pytest.raises(ZeroDivisionError):
            fails(x)
        return tripled(x)

    assert both(lambda m: m.grad(f)(X)) == 3


def test_custom_vjp_in_the_forward_mode_of_a_jvp_rule():
    """Its tangents are nobody's, but what goes back is what its own rule says."""

    @jax.custom_vjp
    def inner(x, y):
        return jnp.sin(x) * y, x

    # wrong factors, so that it shows whose rule it was
    inner.defvjp(
        lambda x, y: (inner(x, y), (x, y)),
        lambda kept, g: (7 * g[0] * kept[0] * kept[1] + g[1], 11 * g[0] * kept[0]),
    )

    @jax.custom_jvp
    def outer(x, y):
        return inner(x, y)

    outer.defjvp(lambda primals, tangents: jax.jvp(inner, primals, tangents))

    def f(x):
        first, second = outer(x, 2 * x)
        return first * second + outer(3.0, x)[0] + jax.jit(outer)(x, x)[0]

    def loop(x):
        return lax.scan(lambda c, _: (outer(c, x)[0], 0.0), x, None, length=3)[0]

    @jax.custom_jvp
    def with_a_loop(x):
        return lax.fori_loop(0, 3, lambda _, c: lax.cond(c > 0, inner, inner, c, x)[0], x)

    with_a_loop.defjvp(lambda primals, tangents: jax.jvp(with_a_loop.fun, primals, tangents))

    def beside(x):
        """What comes out of the inner loops of `y` has nothing of `x`, though `x` goes through."""

        def step(c, _):
            _, (xs, ys) = lax.scan(lambda _, z: (None, z), None, (c[0][None], c[1][None]))
            y = lax.cond(ys[0] > 0, lambda x, y: 2 * y, lambda x, y: y + 1, xs[0], ys[0])
            return (jnp.sin(xs[0]), y), jax.jvp(inner, (y, y), (y, y))[0][0]

        (x, _), ys = lax.scan(step, (x, 1.5), None, length=2)
        return x * jnp.sum(ys)

    for fun in (f, loop, with_a_loop, beside):
        both(lambda m, fun=fun: m.grad(fun)(X))
        both(lambda m, fun=fun: jax.jit(m.grad(m.grad(fun)))(X))
    with pytest.raises(NotImplementedError, match=r"'custom_lin'.* jax.custom_jvp rule"):
        funcnn.grad(lambda x: jax.jvp(inner, (x, x), (x, x))[1][0])(X)


@pytest.mark.parametrize("fun", [lambda c: 2.0, lambda c: np.arange(3.0)], ids=["one", "three"])
def test_a_loop_that_gives_out_what_it_does_not_compute(fun):
    def loop(x):
        end, ys = lax.scan(lambda c, _: (jnp.sin(c) * x, fun(c)), x, None, length=3)
        return end * jnp.sum(ys)

    both(lambda m: m.value_and_grad(loop)(X))


def test_what_a_rule_prints_on_the_way_back_is_printed_then(capfd):
    @jax.custom_vjp
    def f(x):
        return jnp.sin(x)

    def backward(x, g):
        jax.debug.print("back at {:.2f}", x, ordered=True)
        return (g * jnp.cos(x),)

    f.defvjp(lambda x: (jnp.sin(x), x), backward)

    def loop(x):
        return lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0]

    for fun in (jax.jit(f), loop):
        _, pullback = funcnn.vjp(fun, X)
        jax.effects_barrier()
        assert capfd.readouterr().out == ""
        pullback(1.0)
        jax.effects_barrier()
        assert capfd.readouterr().out.splitlines()[-1] == "back at 0.70"


# --- jax.nn

POINTS = np.array([-7.5, -3.2, -1.0, -0.3, 0.0, 0.4, 1.0, 2.9, 6.5, 8.0])
NAMES_OF_NN = """
    celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh identity leaky_relu log1mexp
    log_sigmoid log_softmax logsumexp mish relu relu6 selu sigmoid silu soft_sign softmax softplus
    sparse_plus sparse_sigmoid squareplus standardize swish tanh
"""
ACTIVATIONS = {name: getattr(jax.nn, name) for name in NAMES_OF_NN.split()} | {
    "gelu, exact": lambda x: jax.nn.gelu(x, approximate=False),
    "elu of 0.5": lambda x: jax.nn.elu(x, 0.5),
    "softmax along the first axis": lambda x: jax.nn.softmax(x.reshape(5, 2), axis=0),
    "softmax of some": lambda x: jax.nn.softmax(x, where=jnp.arange(10) % 3 > 0),
    "logsumexp with weights": lambda x: jax.nn.logsumexp(x, b=np.arange(10.0)),
    "one_hot": lambda x: jax.nn.one_hot(jnp.array([1, 2]), 10) @ x,
    "attention": lambda x: jax.nn.dot_product_attention(*[x.reshape(1, 5, 1, 2)] * 3),
}


@pytest.mark.parametrize("fun", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_functions_of_jax_nn(fun):
    """At their kinks and where they saturate, to second order."""
    domain = (lambda x: jnp.abs(x) + 0.1) if fun is jax.nn.log1mexp else (lambda x: x)

    def value(x):
        out = fun(domain(x))
        weights = jnp.cos(jnp.arange(out.size)).reshape(out.shape)
        return jnp.sum(out * weights) * jnp.cos(x[3])

    # attention is computed in 32 bits inside
    rtol = 1e-3 if fun is ACTIVATIONS["attention"] else 1e-10
    both(lambda m: traced(m.value_and_grad(value))(POINTS), rtol)
    both(lambda m: traced(m.grad(lambda x: jnp.sum(m.grad(value)(x) * x)))(POINTS), rtol)


def test_every_activation_of_jax_nn_is_here():
    """One that JAX adds is to be added above."""
    takes_one_array = set()
    for name in dir(jax.nn):
        fun = getattr(jax.nn, name)
        if name.startswith("_") or not callable(fun):
            continue
        try:
            out = jax.eval_shape(fun, POINTS)
        except (TypeError, ValueError):
            continue
        if jnp.issubdtype(out.dtype, jnp.inexact):
            takes_one_array.add(name)
    assert takes_one_array - set(ACTIVATIONS) - {"logmeanexp"} == set()
