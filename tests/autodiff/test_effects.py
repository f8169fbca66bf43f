"""What a program does besides computing: it does it once, in the forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import io_callback

import funcnn

from .modes import long

X = np.float32(0.5)


def noting(notes):
    """A function that notes its argument and goes on; and that it came by, in order."""

    def f(x):
        jax.debug.callback(lambda x: notes.append(("first", round(float(x), 3))), x)
        y = x * x
        jax.debug.callback(lambda y: notes.append(("second", round(float(y), 3))), y, ordered=True)
        return y * x

    return f


NOTES = [("first", 0.5), ("second", 0.25)]


def in_a_loop(f):
    return lambda x: lax.fori_loop(0, 1, lambda _, x: f(x), x)


def in_a_branch(f):
    return lambda x: lax.cond(x > 0, f, lambda x: x, x)


WAYS = {
    "eager": lambda f: funcnn.grad(f),
    "jit outside": lambda f: jax.jit(funcnn.grad(f)),
    "jit inside": lambda f: funcnn.grad(jax.jit(f)),
    "long jit inside": lambda f: funcnn.grad(jax.jit(lambda x: f(x) + 0 * long(x))),
    "vjp": lambda f: lambda x: funcnn.vjp(f, x)[1](1.0)[0],
    "loop": lambda f: funcnn.grad(in_a_loop(f)),
    "jit and loop": lambda f: jax.jit(funcnn.grad(in_a_loop(f))),
    "branch": lambda f: funcnn.grad(in_a_branch(f)),
    "jit and branch": lambda f: jax.jit(funcnn.grad(in_a_branch(f))),
    "twice": lambda f: lambda x: (funcnn.grad(funcnn.grad(f))(x), 3 * x * x)[1],
}


@pytest.mark.parametrize("way", WAYS)
def test_callbacks_run_once_and_in_order(way):
    notes = []
    slope = WAYS[way](noting(notes))(X)
    jax.effects_barrier()
    assert abs(slope - 0.75) < 1e-6
    assert sorted(notes) == NOTES


def test_a_loop_does_it_in_each_iteration():
    """Even where it is the same in all of them."""
    notes = []

    def f(x):
        def body(c, _):
            jax.debug.callback(lambda x: notes.append(float(x)), x)
            return jnp.sin(c) * x, None

        return lax.scan(body, x, None, length=3)[0]

    for way in (lambda f: f, jax.jit):
        notes.clear()
        way(funcnn.grad(f))(X)
        jax.effects_barrier()
        assert notes == [0.5] * 3


def test_debug_print(capfd):
    def f(x):
        jax.debug.print("x is {}", x)
        return x * x

    funcnn.grad(f)(X)
    jax.effects_barrier()
    assert capfd.readouterr().out.count("x is 0.5") == 1


def test_a_callback_on_the_way_back_runs_on_the_way_back():
    notes = []

    @jax.custom_vjp
    def watched(x):
        return x

    def backward(_, g):
        jax.debug.callback(lambda g: notes.append(("backward", float(g))), g)
        return (g,)

    watched.defvjp(lambda x: (x, None), backward)

    def f(x):
        x = watched(x)
        jax.debug.callback(lambda x: notes.append(("forward", float(x))), x)
        return 3 * x

    for way in (lambda f: f, jax.jit):
        notes.clear()
        way(funcnn.grad(f))(X)
        jax.effects_barrier()
        assert sorted(notes) == [("backward", 3.0), ("forward", 0.5)]


def test_a_call_outside_jax_is_refused_before_it_is_made():
    calls = []

    def outside(x):
        calls.append(x)
        return np.sin(x)

    like = jax.ShapeDtypeStruct((), np.float32)
    for call in (jax.pure_callback, io_callback):
        with pytest.raises(NotImplementedError, match="custom_vjp"):
            funcnn.grad(lambda x: call(outside, like, x))(X)  # noqa: B023
    jax.effects_barrier()
    assert calls == []


def test_a_call_outside_jax_with_a_rule_of_the_user_s():
    like = jax.ShapeDtypeStruct((), np.float32)

    @jax.custom_vjp
    def sine(x):
        return jax.pure_callback(np.sin, like, x, vmap_method="sequential")

    sine.defvjp(lambda x: (sine(x), x), lambda x, g: (g * jnp.cos(x),))
    for way in (lambda f: f, jax.jit):
        assert abs(way(funcnn.grad(sine))(X) - np.cos(0.5)) < 1e-6


def test_an_io_callback_that_nothing_flows_through_is_made_once():
    calls = []

    def outside(x):
        calls.append(float(x))
        return np.float32(7)

    def f(x):
        seven = io_callback(outside, jax.ShapeDtypeStruct((), np.float32), lax.stop_gradient(x))
        return seven * x

    for way in (lambda f: f, jax.jit):
        calls.clear()
        assert way(funcnn.grad(f))(X) == 7
        assert calls == [0.5]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("of", [jnp.sin, jnp.negative], ids=["with the operand", "alone"])
def test_what_a_callback_gave_within_a_checkpoint_is_kept(of, compiled):
    calls = []

    def slope(x):
        calls.append(float(x))
        return np.float32(3)

    @jax.checkpoint
    def f(x):
        return of(x) * io_callback(slope, jax.ShapeDtypeStruct((), np.float32), 2.0)

    gradient = jax.jit(funcnn.grad(f)) if compiled else funcnn.grad(f)
    assert float(gradient(X)) == pytest.approx(3 * float(jax.grad(of)(X)), rel=1e-6)
    assert calls == [2.0]
