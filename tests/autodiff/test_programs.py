"""The forward and the backward half of an inner `jit`, one at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from funcnn.autodiff.programs import jit
from funcnn.autodiff.tangents import zeros

from .agreement import assert_agree

X = np.float32(0.7)
Y = np.float32(-0.3)
M = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def halves_of(f, *args, tracked=None):
    jaxpr = jax.make_jaxpr(f)(*args)
    tracked = (True,) * len(jaxpr.in_avals) if tracked is None else tracked
    return jit.calls(jaxpr, tracked)


def run(made, *args):
    """Outputs, residuals in their order, and how many values the forward half gives in addition."""
    found = made.forward(*args)
    outs, kept = found[: len(made.tracked)], found[len(made.tracked) :]
    places = {"operand": args, "output": outs, "added": kept}
    return outs, [places[place][i] for place, i in made.residuals], len(kept)


def kinds(made):
    return [place for place, _ in made.residuals]


# --- what is handed over


def test_a_residual_that_is_an_operand_is_not_stored_again():
    made = halves_of(lambda x, y: x * y, X, Y)
    assert sorted(made.residuals) == [("operand", 0), ("operand", 1)]
    outs, residuals, kept = run(made, X, Y)
    assert kept == 0
    assert_agree(made.backward(residuals, [np.float32(2)]), [2 * Y, 2 * X], 1e-6)
    assert_agree(outs, [X * Y], 1e-6)


def test_an_operand_is_handed_on_rather_than_something_smaller_that_is_made_of_it():
    made = halves_of(lambda x: jnp.square(lax.slice_in_dim(x, 0, 1)), M)
    assert made.residuals == [("operand", 0)]


def test_a_residual_that_is_an_output_is_not_stored_again():
    made = halves_of(lambda x: jnp.exp(x), X)
    assert made.residuals == [("output", 0)]
    _, residuals, kept = run(made, X)
    assert kept == 0
    assert_agree(made.backward(residuals, [np.float32(3)]), [3 * np.exp(X)], 1e-6)


def test_an_output_that_is_an_operand_is_stored_as_operand():
    made = halves_of(lambda x: (x, x * x), X)
    assert set(made.residuals) == {("operand", 0)}
    assert run(made, X)[2] == 0


def test_a_value_in_between_is_kept_once():
    """exp's value is needed by its own rule and by that of the product: one residual."""

    def f(x, y):
        e = jnp.exp(x)
        return e * y * e

    made = halves_of(f, X, Y)
    assert len(set(made.residuals)) == len(made.residuals)
    _, residuals, kept = run(made, X, Y)
    assert kept == kinds(made).count("added")
    assert kept <= 2
    assert_agree(made.backward(residuals, [np.float32(1)]), list(jax.grad(f, (0, 1))(X, Y)), 1e-6)


def test_linear_programs_keep_nothing():
    made = halves_of(lambda x: 3.0 * jnp.sum(x.T, axis=0)[1:], M)
    assert made.residuals == []
    _, residuals, kept = run(made, M)
    assert (residuals, kept) == ([], 0)
    [ct] = made.backward([], [np.float32([5.0])])
    assert_agree(ct, np.float32([[0, 0, 0], [15, 15, 15]]), 1e-6)


def test_values_made_of_nothing_are_made_again():
    """A table of constants is not handed over: iota and broadcasts are cheaper than memory."""

    def f(x):
        table = lax.broadcast_in_dim(jnp.float32(2), (1000,), ()) * lax.iota(np.float32, 1000)
        return jnp.sum(table * x)

    made = halves_of(f, X)
    assert made.residuals == []
    [ct] = made.backward([], [np.float32(1)])
    assert_agree(ct, np.float32(2 * sum(range(1000))), 1e-5)


def test_values_made_of_constants_are_made_again():
    """A constant is there anyway: what is made of it is not handed over either."""
    table = jnp.arange(5.0)
    made = halves_of(lambda x: jnp.sum((1 - table) * x), X)
    assert made.residuals == []
    assert_agree(made.backward([], [np.float32(1)]), [np.float32(-5)], 1e-6)


def test_what_is_random_is_not_made_again():
    """Even where it is made of nothing: the way back needs the number of the way there."""
    made = halves_of(lambda x: x * lax.rng_uniform(np.float32(0), np.float32(1), ()), X)
    [out], residuals, _ = run(made, X)
    assert_agree(made.backward(residuals, [X]), [np.asarray(out)], 1e-6)


def test_what_is_costly_is_not_made_again():
    """A loop over what is made of nothing runs once, on the way there."""

    def f(x):
        table = lax.fori_loop(0, 50, lambda _, c: c @ c / 2, jnp.eye(3))
        return jnp.sum(x * table)

    made = halves_of(f, X)
    _, residuals, _ = run(made, X)
    way_back = jax.make_jaxpr(lambda g: made.backward(residuals, [g]))(X)
    assert {"scan", "while", "dot_general"}.isdisjoint(names(way_back.eqns))


def test_constants_are_part_of_both_halves():
    table = jnp.arange(5.0)
    made = halves_of(lambda x: jnp.sum(table * x * table), X)
    outs, residuals, _ = run(made, X)
    assert_agree(outs, [np.float32(30 * X)], 1e-6)
    assert_agree(made.backward(residuals, [np.float32(1)]), [np.float32(30)], 1e-6)


def test_only_what_is_asked_for_is_kept():
    """With respect to x alone, the product keeps y alone."""
    made = halves_of(lambda x, y: x * y, X, Y, tracked=(True, False))
    assert made.residuals == [("operand", 1)]
    assert made.backward([Y], [np.float32(1)])[1] is None
    assert_agree(made.backward([Y], [np.float32(1)])[0], Y, 1e-6)


# --- what depends on what


def test_which_outputs_are_tracked():
    made = halves_of(
        lambda x, y: (x * 2, y + 1, x > 0, jnp.float32(3), lax.stop_gradient(x)),
        X,
        Y,
        tracked=(True, False),
    )
    assert made.tracked == (True, False, False, False, False)


def test_an_operand_that_nothing_depends_on_gets_no_cotangent():
    made = halves_of(lambda x, y: (x * 2, lax.stop_gradient(y)), X, Y)
    [to_x, to_y] = made.backward(run(made, X, Y)[1], [np.float32(1), None])
    assert_agree(to_x, np.float32(2), 1e-6)
    assert to_y is None


def of_three(x, y):
    s = jnp.sin(x)
    return s * y, jnp.cos(y), s + x


def test_absent_cotangents_stay_absent():
    """Not an array of zeros: nothing is computed for an output that nobody used."""
    made = halves_of(of_three, X, Y)
    _, residuals, _ = run(made, X, Y)
    one = np.float32(1)
    assert made.backward(residuals, [None, None, None]) == [None, None]
    [to_x, to_y] = made.backward(residuals, [None, one, None])
    assert to_x is None
    assert_agree(to_y, -np.sin(Y), 1e-6)
    [to_x, to_y] = made.backward(residuals, [None, None, one])
    assert to_y is None
    assert_agree(to_x, np.cos(X) + 1, 1e-6)


@pytest.mark.parametrize("present", list(np.ndindex(2, 2, 2)))
def test_absent_cotangents_count_as_zeros(present):
    made = halves_of(of_three, X, Y)
    gs = [np.float32(i + 2) if there else None for i, there in enumerate(present)]
    cotangents = made.backward(run(made, X, Y)[1], gs)
    zeros = tuple(np.float32(0) if g is None else g for g in gs)
    expected = jax.vjp(of_three, X, Y)[1](zeros)
    for ct, want in zip(cotangents, expected, strict=True):
        assert_agree(np.float32(0) if ct is None else np.asarray(ct), np.asarray(want), 1e-6)


def test_nothing_is_added_for_an_absent_cotangent():
    """A sum with one absent term is the other term: no zeros are made for it."""

    def f(x):
        y = jnp.sin(x)
        return y * 2, y * 3

    made = halves_of(f, X)
    residuals = run(made, X)[1]
    way_back = lambda gs: jax.make_jaxpr(lambda gs: made.backward(residuals, gs))(gs).eqns
    assert sorted(names(way_back([X, X]))) == ["add", "mul", "mul", "mul"]
    assert names(way_back([X, None])) == ["mul", "mul"]
    assert names(way_back([None, X])) == ["mul", "mul"]


def test_absent_cotangents_of_an_inner_program_with_several():
    """Where a primitive takes several cotangents, zeros stand in for the absent ones."""
    inner = jax.jit(lambda x, y: (jnp.sin(x) * y, [x := jnp.tanh(x * y) for _ in range(12)][-1]))

    def f(x, y):
        a, b = inner(x, y)
        return a * 2, b * 3

    made = halves_of(f, X, Y)
    residuals = run(made, X, Y)[1]
    for gs in ([np.float32(1), None], [None, np.float32(1)]):
        zeros = tuple(np.float32(0) if g is None else g for g in gs)
        expected = jax.vjp(f, X, Y)[1](zeros)
        assert_agree(made.backward(residuals, gs), list(expected), 1e-6)


def test_absent_cotangents_of_a_checkpoint_stay_absent():
    made = halves_of(jax.checkpoint(lambda x, y: (jnp.sin(x), y * 2)), X, Y)
    residuals = run(made, X, Y)[1]
    to_x, to_y = made.backward(residuals, [np.float32(1), None])
    assert to_y is None
    assert_agree(to_x, np.cos(X), 1e-6)


# --- outputs and operands of every kind


def test_integers_pass_through():
    made = halves_of(lambda x, n: (x * n, n + 1, jnp.argmax(x)), M[0], 3, tracked=(True, False))
    outs, residuals, _ = run(made, M[0], 3)
    assert_agree(outs, [M[0] * 3, np.int32(4), np.int32(2)], 1e-6)
    to_x, to_n = made.backward(residuals, [np.ones(3, np.float32), None, None])
    assert to_n is None
    assert_agree(to_x, np.full(3, 3, np.float32), 1e-6)


def test_the_same_output_twice_and_literals():
    made = halves_of(lambda x: (x * 2, x * 2, 5.0), X)
    outs, residuals, _ = run(made, X)
    assert_agree(outs, [X * 2, X * 2, 5.0], 1e-6)
    one = np.float32(1)
    assert_agree(made.backward(residuals, [one, one, None]), [np.float32(4)], 1e-6)
    assert_agree(made.backward(residuals, [None, one, None]), [np.float32(2)], 1e-6)

    def same(x):
        y = x * 2
        return y, y

    made = halves_of(same, X)
    residuals = run(made, X)[1]
    assert_agree(made.backward(residuals, [one, 2 * one]), [np.float32(6)], 1e-6)
    assert_agree(made.backward(residuals, [one, None]), [np.float32(2)], 1e-6)


def test_no_operands_no_outputs():
    made = halves_of(lambda: jnp.float32(2))
    assert made.tracked == (False,)
    assert made.backward([], [None]) == []
    made = halves_of(lambda x: (), X)
    assert made.forward(X) == []
    assert made.backward([], []) == [None]


# --- the rule


def names(eqns):
    return [str(eqn.primitive) for eqn in eqns]


def test_halves_are_made_once_for_each_program_and_tracking(monkeypatch):
    made = []
    whole = jit.calls

    def counted(jaxpr, tracked):
        made.append(tuple(tracked))
        return whole(jaxpr, tracked)

    monkeypatch.setattr(jit, "calls", counted)
    from funcnn import grad

    @jax.jit
    def inner(x, y):
        for _ in range(6):
            x = jnp.sin(x) * y
        return x

    for _ in range(3):
        grad(inner)(X, Y)
        grad(inner, (0, 1))(X, Y)
        jax.jit(grad(inner))(X, Y)
    assert made == [(True, False), (True, True)]


def test_a_new_rule_empties_what_is_remembered(monkeypatch):
    """Halves are built from rules: when one is replaced they are made anew."""
    from funcnn import grad
    from funcnn.autodiff import elementwise
    from funcnn.autodiff.rules import table

    @jax.jit
    def inner(x):
        for _ in range(12):
            x = lax.sin(x)
        return x

    before = grad(inner)(X)
    original = table.rules[lax.sin_p]
    try:
        elementwise(lax.sin_p, "x", x=lambda x: lax.full_like(x, 2))
        assert_agree(grad(inner)(X), np.float32(2**12), 1e-6)
    finally:
        table.register(lax.sin_p, original)
    assert_agree(grad(inner)(X), before, 1e-6)


def test_zeros_of_a_weakly_typed_integer_are_as_wide():
    """What a branch keeps, the others give zeros of; a Python 0 would be of 64 bits."""
    with jax.enable_x64(True):
        weak = jax.core.ShapedArray((2,), np.dtype(np.int32), weak_type=True)
        assert zeros(weak).dtype == np.int32
