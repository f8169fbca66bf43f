"""check_grads finds every mistake that was planted, and calls nothing wrong that is right."""

import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from jax.test_util import check_grads as check_grads_of_jax

from funcnn.testing import WrongGradient, check_grads

from .correct import CORRECT
from .planted import PLANTED, with_rule


@pytest.mark.parametrize("case", PLANTED.values(), ids=PLANTED)
def test_finds_what_was_planted(case):
    with pytest.raises(AssertionError) as caught:
        check_grads(case.fun, case.args, order=case.order)
    assert case.where in str(caught.value).split("allowed")[0]
    if case.order == 2:
        check_grads(case.fun, case.args, order=1)


@pytest.mark.parametrize("case", CORRECT.values(), ids=CORRECT)
def test_passes_what_is_right(case):
    assert check_grads(case.fun, case.args, order=case.order).passed


def test_there_are_twenty_of_each():
    assert len(PLANTED) >= 20
    assert len(CORRECT) >= 20


def test_what_jax_s_checker_makes_of_them():
    """The reason to have this one. benchmarks/check_grads.py asks it about all of them."""
    for name in ("off by 1 + 1e-4", "only at one index", "dtype loss"):
        assert not objected(PLANTED[name]), name
    for name in ("x**2 at 1e4", "softmax at 1e3", "norm near 0", "float16", "a kink nearby"):
        assert objected(CORRECT[name]), name


def objected(case) -> bool:
    """Does JAX's checker, at its default settings, call it wrong?"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check_grads_of_jax(case.fun, case.args, order=case.order, modes=["rev"])
        except AssertionError:
            return True
    return False


# --- what it says


def test_the_message_says_where_what_and_who():
    wrong = with_rule(
        lambda p: jnp.sin(p["w"]) * p["b"],
        lambda args, g: (
            {
                "w": (g * args[0]["b"] * jnp.cos(args[0]["w"])).at[1, 2].multiply(1.5),
                "b": jnp.sum(g * jnp.sin(args[0]["w"]), 0),
            },
        ),
    )
    params = {"w": np.full((2, 3), 0.5, np.float32), "b": np.float32([1.0, 2.0, 4.0])}
    with pytest.raises(WrongGradient) as caught:
        check_grads(wrong, (params,))
    text = str(caught.value)
    for part in (
        "args[0]['w'][1, 2]",
        "args[0]['w']: float32[2, 3]",
        "computed in float64",
        "relative",
        "ulps",
        "±",
        "funcnn and jax agree; the code behind the custom rule and the differences agree",
        "the rule of `<lambda>` is not the derivative of the code it stands for",
        "looked at: 6; wrong: 1",
    ):
        assert part in text, f"{part!r} is not in\n{text}"
    [finding] = [f for f in caught.value.report.findings if f.verdict.wrong]
    values = finding.verdict.values
    assert values["funcnn"] == pytest.approx(1.5 * values["primal"])
    assert values["jax"] == pytest.approx(values["funcnn"])
    assert abs(values["differences"] - values["primal"]) < 5 * finding.verdict.error + 1e-12
    assert finding.verdict.error < 1e-9


def test_the_report_says_the_same_when_all_is_well():
    report = check_grads(lambda x, n: jnp.sum(x**2) * n, (np.float32([1.0, 3.0]), 2), order=2)
    assert {(f.order, f.computed_in) for f in report.findings} == {
        (order, computed_in) for order in (1, 2) for computed_in in ("float32", "float64")
    }
    for finding in report.findings:
        values = finding.verdict.values
        assert values["jax"] == pytest.approx(values["funcnn"])
        assert finding.verdict.wrong is None
    assert "is right" in str(report)
    assert "second order" in str(report)


def test_a_stop_gradient_is_told_apart_from_a_rule():
    with pytest.raises(AssertionError, match=r"(?s)funcnn and jax agree; not so.*stop_gradient"):
        check_grads(lambda x: x * jax.lax.stop_gradient(x), (2.0,))


def test_code_that_has_no_derivative_is_noted_and_measured():
    def callback(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    x = np.float32([0.3, 2.0])
    right = with_rule(callback, lambda args, g: (g * jnp.cos(args[0]),))
    assert any("pure_callback" in note for note in check_grads(right, (x,)).notes)
    wrong = with_rule(callback, lambda args, g: (g * jnp.cos(args[0]) * 1.001,))
    with pytest.raises(AssertionError, match="is not the derivative of the function"):
        check_grads(wrong, (x,))


def test_a_rule_that_chooses_at_a_kink_is_noted():
    relu = with_rule(lambda x: jnp.maximum(x, 0), lambda args, g: (jnp.where(args[0] > 0, g, 0.0),))
    report = check_grads(relu, (np.float32([0.0, 1.0, -1.0]),))
    assert any("at a kink" in note for note in report.notes)
    beyond = with_rule(
        lambda x: jnp.maximum(x, 0), lambda args, g: (jnp.where(args[0] >= 0, 1.1 * g, 0.0),)
    )
    with pytest.raises(AssertionError, match="a kink: slopes 0 and 1"):
        check_grads(beyond, (np.float32([0.0]),))


def test_what_jax_cannot_differentiate():
    def power(x):
        return jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, x))[1]

    report = check_grads(power, (1.5,), order=2)
    assert any("while_loop" in note for note in report.notes)
    assert "jax" not in report.findings[0].verdict.values


def test_nan_where_the_function_has_a_slope():
    with pytest.raises(AssertionError, match="the gradient is nan"):
        check_grads(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), (np.float32(-1.0),))
    with pytest.raises(AssertionError, match="nan in the function's own types"):
        check_grads(lambda x: 1 / (1 + jnp.exp(-x)), (np.float32(-100.0),))
    report = check_grads(jnp.sqrt, (0.0,))
    assert any("the gradient is inf" in note for note in report.notes)


# --- what it takes


def test_trees_integers_and_complex_numbers():
    def fun(p, key, n, z):
        noise = jax.random.normal(key, (3,), jnp.float32)
        return {"a": (p["w"] * noise).sum(), "b": [z**2 * n, jnp.abs(z)], "n": n + 1}

    z = np.complex64([1 + 2j, -0.5j])
    args = ({"w": np.float32([1, 2, 3]), "i": np.arange(3)}, jax.random.key(0), np.int32(3), z)
    report = check_grads(fun, args, order=2)
    paths = {finding.leaf.path for finding in report.findings}
    assert paths == {"args[0]['w']", "args[3]"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_types(dtype):
    x = jnp.asarray([0.5, -1.25, 3.0], dtype)
    check_grads(lambda x: x * jnp.tanh(x), (x,), order=2)
    wrong = with_rule(jnp.sin, lambda args, g: (g * jnp.cos(args[0]) * jnp.asarray(1.01, g.dtype),))
    with pytest.raises(AssertionError, match=r"1 \+ |0\.01"):
        check_grads(wrong, (x,))


def test_in_64_bits():
    with jax.enable_x64(True):
        report = check_grads(lambda x: jnp.sum(jnp.log(x)), (np.array([1e-3, 2.0]),), order=2)
        assert {finding.computed_in for finding in report.findings} == {"float64"}
        wrong = with_rule(jnp.exp, lambda args, g: (g * jnp.exp(args[0]) * (1 + 1e-5),))
        with pytest.raises(AssertionError, match="1e-05 relative"):
            check_grads(wrong, (np.array([0.3, 1.0]),))


def test_python_control_flow():
    def fun(x):
        return x**2 if x > 0 else -x

    check_grads(fun, (2.0,), order=2)
    wrong = with_rule(jnp.sin, lambda args, g: (g * jnp.sin(args[0]),))
    with pytest.raises(AssertionError, match="is not the derivative"):
        check_grads(lambda x: wrong(x) if x > 0 else x, (1.0,))


def test_a_function_that_wants_float32():
    """Neither it nor its rule runs in 64 bits."""

    def backward(args, g, factor=1.0):
        return (jax.lax.mul(g, jnp.float32(factor) * jnp.cos(args[0])),)

    def fun(x):
        return jax.lax.add(jnp.sin(x), jnp.ones(x.shape, jnp.float32))

    x = np.float32([0.5, 1.0])
    report = check_grads(with_rule(fun, backward), (x,))
    assert any("does not run in 64 bits" in note for note in report.notes)
    wrong = with_rule(fun, lambda args, g: backward(args, g, 1 + 1e-4))
    with pytest.raises(AssertionError, match="computed in float32"):
        check_grads(wrong, (x,))


def test_one_wrong_number_of_many_is_found_by_differences_alone():
    fun = with_rule(
        lambda x: jnp.sum(jnp.sin(x) ** 2),
        lambda args, g: ((g * jnp.sin(2 * args[0])).at[31, 77].multiply(1.01),),
    )
    x = np.random.default_rng(0).normal(size=(60, 100)).astype(np.float32)
    with pytest.raises(AssertionError, match=r"args\[0\]\[31, 77\]"):
        check_grads(fun, (x,), against=("jax", "differences"))


def test_empty_arrays_and_infinite_ones():
    report = check_grads(lambda x: jnp.sum(x, 0), (np.zeros((0, 2), np.float32),), order=2)
    assert any("empty" in note for note in report.notes)
    mask = np.float32([0.0, -np.inf, 0.0])
    check_grads(lambda x, mask: jax.nn.softmax(x + mask), (np.float32([1, 2, 3]), mask))


def test_a_rule_that_is_no_derivative_on_purpose():
    straight_through = with_rule(lambda x: jnp.round(x), lambda args, g: (g,))
    x = np.float32([0.2, 1.7])
    with pytest.raises(AssertionError, match="is not the derivative"):
        check_grads(straight_through, (x,))
    report = check_grads(straight_through, (x,), against=("jax",))
    assert set(report.findings[0].verdict.values) == {"funcnn", "jax"}


def test_forward_mode_too():
    @jax.custom_jvp
    def sine(x):
        return jnp.sin(x)

    sine.defjvps(lambda t, out, x: t * jnp.cos(x))
    check_grads(sine, (np.float32([0.5, 1.0]),), 2, ("fwd", "rev"))

    @jax.custom_jvp
    def scaled(x):
        return 2 * x

    # not linear: its transpose at zero is not what it does to a tangent
    scaled.defjvps(lambda t, out, x: jnp.sin(t) * 2)
    with pytest.raises(AssertionError, match=r"jax\.jvp says"):
        check_grads(scaled, (np.float32([0.5, 1.0]),), modes=("fwd", "rev"))


def test_tolerances_and_step():
    wrong = with_rule(jnp.sin, lambda args, g: (g * jnp.cos(args[0]) * 1.001,))
    x = np.float32([0.5, 1.0])
    for arguments in ({"rtol": 1e-4}, {"atol": 1e-5}, {"eps": 1e-2}):
        with pytest.raises(AssertionError):
            check_grads(wrong, (x,), 1, **arguments)
    for arguments in ({"rtol": 1e-2}, {"atol": 1e-2}):
        check_grads(wrong, (x,), 1, **arguments)
    check_grads(jnp.sin, (x,), eps=1e-2)


# --- what it refuses


def calls():
    calls.count = getattr(calls, "count", 0) + 1
    return calls.count


@pytest.mark.parametrize(
    ("fun", "args", "error", "says"),
    [
        (3, (1.0,), TypeError, "expected a function"),
        (jnp.sin, 1.0, TypeError, r"check_grads\(fun, \(x,\)\)"),
        (jnp.sin, (), ValueError, "nothing to differentiate.*no arguments"),
        (jnp.sin, (np.int32(1),), ValueError, r"nothing to differentiate.*args\[0\]: int32"),
        (jnp.sin, ("a",), TypeError, r"args\[0\] is not an array"),
        (
            jnp.sin,
            ({"w": [1.0, np.float32([1, np.nan])]},),
            ValueError,
            r"args\[0\]\['w'\]\[1\]\[1\]",
        ),
        (
            jnp.log,
            (np.float32([1.0, -1.0, -2.0]),),
            ValueError,
            r"the output\[1\] is nan, and 1 more",
        ),
        (lambda x: x > 0, (1.0,), ValueError, "nothing of floating point type"),
        (lambda x: (x, "a"), (1.0,), TypeError, r"the output\[1\] is not an array"),
        (lambda x: x * calls(), (1.0,), ValueError, "called twice"),
        (lambda x: jnp.ones(calls()) * x, (1.0,), ValueError, "numbers, then"),
    ],
)
def test_refuses(fun, args, error, says):
    with pytest.raises(error, match=says):
        check_grads(fun, args)


@pytest.mark.parametrize(
    "options", [{"order": 0}, {"order": 3}, {"modes": ("fwd",)}, {"against": ("torch",)}]
)
def test_refuses_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        check_grads(jnp.sin, (1.0,), **options)


def test_refuses_to_be_traced():
    with pytest.raises(TypeError, match="is being traced"):
        jax.jit(lambda x: check_grads(jnp.sin, (x,)))(1.0)


# --- in other people's tests


class VariantsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True)
    def test_right(self):
        fun = self.variant(lambda x, y: jnp.tanh(x) @ y)
        check_grads(fun, (np.ones((2, 3), np.float32), np.ones(3, np.float32)), order=2)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(0.9, 1.0001)
    def test_wrong(self, factor):
        wrong = with_rule(jnp.sin, lambda args, g: (g * jnp.cos(args[0]) * factor,))
        with pytest.raises(AssertionError, match="the rule of `sin`"):
            check_grads(self.variant(wrong), (np.float32([0.1, 0.2]),))
