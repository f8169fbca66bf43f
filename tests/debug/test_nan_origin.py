"""`nan_origin`: the line that is to blame, and no line where none is."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import debug

from .healthy import HEALTHY
from .sick import SICK


@pytest.fixture(autouse=True, scope="module")
def quickly_compiled():
    """Nothing here is run twice."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


MODES = ("eager", "jitted")
BOTH_WAYS = [(name, MODES[i % 2]) for i, name in enumerate(SICK)]
BOTH_WAYS += [("in_the_rule_of_a_custom_jvp", mode) for mode in MODES]
BOTH_WAYS += [("in_the_forward_rule_of_a_custom_vjp", mode) for mode in MODES]
BOTH_WAYS = list(dict.fromkeys(BOTH_WAYS))


def test_there_are_enough_cases():
    of = lambda where: [case for case in SICK.values() if case.where == where]
    assert len(of("forward")) >= 25
    assert len(of("gradient")) >= 20
    assert len(HEALTHY) >= 40


@pytest.mark.parametrize(("name", "mode"), BOTH_WAYS)
def test_it_names_the_line(name, mode):
    case = SICK[name]
    fun, *args = case.make()
    origin = debug.nan_origin(jax.jit(fun) if mode == "jitted" else fun)(*args)
    assert origin is not None
    assert origin.place.file.endswith("sick.py")
    assert origin.place.line == case.line(mode == "jitted"), str(origin)
    assert (origin.where, origin.primitive) == (case.where, case.primitive)
    assert case.hint in origin.hint
    named = getattr(fun, "__name__", "")
    inside = [part for part in origin.inside if mode == "eager" or part != named]
    for what, expected in case.expected.items():
        if what in ("became", "mask"):
            assert getattr(origin, what) is not None
        elif what == "inside":
            assert inside == [*expected]
        else:
            assert getattr(origin, what) == expected
    assert f"{origin.place.file}:{origin.place.line}" in str(origin)
    assert origin.line in str(origin)
    assert "# HERE" in origin.line
    assert "funcnn/debug/" not in str(origin.place.via)


def finite(tree):
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in leaves]))


def pulled_back(fun, args):
    """The output and the gradients of JAX."""
    out, pull_back = jax.vjp(fun, *args)
    one = lambda x: jnp.ones_like(x) if jnp.issubdtype(x.dtype, jnp.inexact) else zero(x)
    zero = lambda x: np.zeros(x.shape, jax.dtypes.float0)
    return out, pull_back(jax.tree.map(one, out))


def test_jax_finds_the_same_cases_sick():
    """Each is what it says: a gradient that is not finite of a value that is, or a value."""
    with_gradient = {name: case for name, case in SICK.items() if "while" not in name}

    @jax.jit
    def verdicts():
        found = {}
        for name, case in with_gradient.items():
            fun, *args = case.make()
            if case.where == "gradient":
                out, gradients = pulled_back(fun, args)
                found[name] = finite(out), finite(gradients)
            else:
                found[name] = finite(fun(*args)), False
        return found

    for name, (value, gradient) in verdicts().items():
        assert bool(value) == (with_gradient[name].where == "gradient"), name
        assert not gradient, name


COMES_OUT = (
    "minus_infinity_comes_out_as_given",
    "sorted_infinities",
    "nan_that_chooses_infinity",
)


@functools.cache
def all_healthy():
    """All the cases as one function, so that one program is compiled.

    But those from which an infinity comes out: the walk back from there is operation by operation.
    """
    made = {name: make() for name, make in HEALTHY.items() if name not in COMES_OUT}
    args = {name: args for name, (_, *args) in made.items()}
    return jax.jit(lambda args: {name: made[name][0](*args[name]) for name in args}), args


def test_it_says_nothing_of_what_is_healthy():
    fun, args = all_healthy()
    origin = debug.nan_origin(fun)(args)
    assert origin is None, str(origin)


EAGER = ["nan_masked_by_isnan", "relu6_of_infinity"]


@pytest.mark.parametrize("name", [*COMES_OUT, *EAGER])
def test_it_says_nothing_of_what_is_healthy_operation_by_operation(name):
    fun, *args = HEALTHY[name]()
    origin = debug.nan_origin(fun)(*args)
    assert origin is None, str(origin)


def test_jax_finds_the_healthy_gradients_finite():
    _, args = all_healthy()
    # JAX has no reverse mode of while_loop
    args = {name: a for name, a in args.items() if name != "while_from_minus_infinity"}

    @jax.jit
    def verdicts(args):
        made = {name: HEALTHY[name]()[0] for name in args}
        return {name: finite(pulled_back(made[name], a)) for name, a in args.items()}

    for name, is_finite in verdicts(args).items():
        assert is_finite, name


def test_what_was_given():
    def fun(params, x, *, scale):
        return (params["w"] * x * scale).sum()

    of = debug.nan_origin(fun)
    params = {"w": jnp.array([1.0, jnp.nan])}
    origin = of(params, jnp.ones(2), scale=1.0)
    assert (origin.where, origin.source, origin.index) == ("given", "params['w']", (1,))
    assert str(origin).startswith("the output is nan\n  it was given: params['w'] at index (1,)")
    assert of({"w": jnp.ones(2)}, jnp.ones(2), scale=jnp.inf).source == "scale"
    assert of({"w": jnp.ones(2)}, jnp.ones(2), scale=1.0) is None
    by_zero = debug.nan_origin(lambda x, m: jnp.sum(x / m))(jnp.array([jnp.nan]), 0.0)
    assert (by_zero.where, by_zero.source) == ("given", "x")
    # of a plain number it is nan, not infinite
    assert debug.nan_origin(lambda x: jnp.arccosh(x))(jnp.inf).where == "given"
    upstream = debug.nan_origin(jnp.sin, cotangent=jnp.array([1.0, jnp.nan]))(jnp.ones(2))
    assert (upstream.source, upstream.what) == ("the cotangent", "the gradient of x")


def test_only_what_is_asked_for():
    fun = lambda x, y: (jnp.sqrt(x) * y, {"aux": jnp.log(y)})
    x, y = jnp.float32(0.0), jnp.float32(2.0)
    assert debug.nan_origin(fun, has_aux=True)(x, y).primitive == "sqrt"
    assert debug.nan_origin(fun, argnums=1, has_aux=True)(x, y) is None
    assert debug.nan_origin(fun, argnums=(), has_aux=True)(x, y) is None
    of_aux = debug.nan_origin(fun, argnums=1, has_aux=True)(x, -y)
    assert (of_aux.where, of_aux.what) == ("forward", "the auxiliary output['aux']")
    assert debug.nan_origin(lambda x: jnp.sqrt(x), cotangent=1.0)(jnp.float32(4.0)) is None
    by_keyword = lambda *, x: jnp.sqrt(x)
    assert debug.nan_origin(by_keyword)(x=x).what == "the gradient of x"
    assert debug.nan_origin(by_keyword, argnums=())(x=x) is None


def test_how_it_reads():
    fun, *args = SICK["in_a_reversed_scan_under_vmap_backwards"].make()
    origin = debug.nan_origin(fun)(*args)
    line = SICK["in_a_reversed_scan_under_vmap_backwards"].line(False)
    where = f"{origin.place.file}:{line} ({origin.place.function})"
    assert str(origin).splitlines()[:7] == [
        "the gradient of x at index (1, 1) is nan",
        "  it arose in the gradient of log",
        f"  at {where}",
        "      y = jnp.log(x)  # HERE",
        "  inside scan[1]",
        "  at index (1,) of shape (2,): operands 0; upstream 0; hands on nan",
        f"  its upstream gradient is 0: masked at {where.replace(str(line), str(line + 1))}",
    ]
    assert "the double where" in " ".join(str(origin).split())
    assert max(map(len, str(origin).splitlines()[7:])) <= 100


def test_what_it_refuses():
    with pytest.raises(TypeError, match=r"nan_origin: x is being traced\. It needs numbers"):
        jax.jit(lambda x: debug.nan_origin(lambda x: x)(x))(1.0)
    closing_over = lambda x: debug.nan_origin(lambda y: jnp.log(x * y))(2.0)
    for transformed in (jax.jit, jax.vmap):
        with pytest.raises(TypeError, match="nan_origin: what fun computes is being traced"):
            transformed(closing_over)(jnp.ones(1))
    shape = jax.ShapeDtypeStruct((2,), jnp.float32)
    with pytest.raises(TypeError, match="nan_origin: x is a shape without numbers"):
        debug.nan_origin(lambda x: jnp.log(x))(shape)
    with pytest.raises(TypeError, match=r"the output\[1\] is a shape without numbers"):
        debug.nan_origin(lambda x: (x, shape))(1.0)
    with pytest.raises(TypeError, match="the cotangent is a shape without numbers"):
        debug.nan_origin(jnp.sin, cotangent=shape)(jnp.ones(2))
    with pytest.raises(ValueError, match="expected a cotangent like the output"):
        debug.nan_origin(jnp.sin, cotangent=(1.0,))(1.0)
    with pytest.raises(ValueError, match=r"of the output's shapes \[\(2,\)\], got \[\(3,\)\]"):
        debug.nan_origin(jnp.sin, cotangent=jnp.ones(3))(jnp.ones(2))
    with pytest.raises(TypeError, match=r"must return a pair \(output, auxiliary data\)"):
        debug.nan_origin(jnp.sin, has_aux=True)(1.0)
    with pytest.raises(TypeError, match="argnums"):
        debug.nan_origin(jnp.sin, argnums=3)(1.0)
    with pytest.raises(TypeError, match="callable"):
        debug.nan_origin(3)
