"""Custom rules looked past: wherever the call is, and without a trace left in any cache."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxpr_as_fun

import funcnn
from funcnn.autodiff.calls import custom_rules


@jax.custom_vjp
def sine(x):
    return jnp.sin(x)


sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (2 * g * jnp.cos(x),))


@jax.custom_jvp
def sine_jvp(x):
    return jnp.sin(x)


sine_jvp.defjvps(lambda t, out, x: 2 * t * jnp.cos(x))


def many(f):
    """A program too large to be opened: it is compiled, and kept by its jaxpr."""

    def inner(x):
        for _ in range(12):
            x = jnp.tanh(x) + 0.1
        return f(x)

    return jax.jit(inner)


def from_jaxpr(f):
    run = jaxpr_as_fun(jax.make_jaxpr(f)(0.7))
    return lambda x: run(x)[0]


def programs(f):
    return {
        "straight": f,
        "jit": jax.jit(lambda x: f(x) * x),
        "jit in jit": jax.jit(lambda x: jax.jit(lambda y: f(y) * y * y + jnp.exp(y))(x) * x),
        "scan": lambda x: jax.lax.scan(lambda c, _: (f(c) + 0.1, c), x, None, length=3)[0],
        "cond": jax.jit(lambda x: jax.lax.cond(x > 0, f, jnp.cos, x)),
        "vmap": lambda x: jax.vmap(f)(jnp.stack([x, 2 * x])).sum(),
        "a jaxpr that was there before": from_jaxpr(many(f)),
        "a gradient inside": lambda x: funcnn.grad(lambda y: jnp.exp(y) * f(x))(x),
    }


@pytest.mark.parametrize(
    ("name", "rule"),
    [*((name, sine) for name in programs(sine)), ("straight", sine_jvp), ("scan", sine_jvp)],
)
def test_the_code_behind_and_then_the_rule_again(name, rule):
    fun, plain = programs(rule)[name], programs(jnp.sin)[name]
    by_rule = float(jax.grad(fun)(0.7))
    behind = float(jax.grad(plain)(0.7))
    assert by_rule != pytest.approx(behind, rel=1e-2)
    for transform in (funcnn.grad, lambda f: jax.jit(funcnn.grad(f))):
        gradient = transform(fun)
        assert gradient(0.7) == pytest.approx(by_rule, rel=1e-5)
        with custom_rules(False):
            assert gradient(0.7) == pytest.approx(behind, rel=1e-5)
            second = funcnn.grad(funcnn.grad(fun))(0.7)
        assert second == pytest.approx(float(jax.grad(jax.grad(plain))(0.7)), rel=1e-4)
        assert gradient(0.7) == pytest.approx(by_rule, rel=1e-5)


def test_jax_follows_the_rule_in_any_case():
    with custom_rules(False):
        assert jax.grad(sine)(0.7) == pytest.approx(float(2 * jnp.cos(0.7)))


def test_autodiff_does_not_know_of_testing():
    for path in pathlib.Path(funcnn.autodiff.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("funcnn.testing"), path
