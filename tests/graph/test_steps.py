"""Both passes, step by step: what they say is what the gradient is."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import funcnn
from funcnn import nn
from funcnn.graph.opened import calls_in
from funcnn.graph.places import place_of
from funcnn.graph.steps import Call, steps

X = jnp.array([0.5, 1.5, 2.5])


def loops(x):
    carried, ys = lax.scan(lambda c, x: (jnp.sqrt(c) * x, c + x), x.sum(), x, reverse=True)
    again = lax.fori_loop(0, 3, lambda i, c: c * c / 8, carried)
    until = lax.while_loop(lambda c: jnp.abs(c) < 20, lambda c: c * x[0] * 3, again + 3)
    return until + ys.sum()


def rows_leave_a_loop(x):
    one = lambda x: lax.while_loop(lambda c: c < 9, lambda c: c * 2 + x, x)
    return jax.vmap(one)(x).sum()


def branches(x):
    y = lax.cond(x[0] > 2, jnp.sin, lambda x: jnp.linalg.norm(x) * x, x)
    return jax.jit(lambda y: jax.nn.log_softmax(y)[0])(jax.checkpoint(jnp.tanh)(y))


def shared(x):
    y = x * x
    return (y * y + jax.nn.relu(y) + jnp.where(y > 1, x, y)).sum()


def carry_used_late(x):
    """The carry's gradient is absent in the last iterations, and there in the first."""
    step = lambda c, x: ((c[0] * x, c[0]), None)
    return lax.scan(step, (x[0], x[1]), x)[0][1]


def program(fun):
    return Call("fun", lambda values: [fun(*values)], (X,), (True,))


def held_together(call):
    """The steps' gradients add up, and each step that is a program agrees with its own steps."""
    found = steps(call)
    for step in found.steps:
        parts = calls_in(step, found.values)
        for part in parts:
            inner = held_together(part)
            outs = [inner.values[number] for number in inner.outputs]
            jax.tree.map(
                functools.partial(np.testing.assert_allclose, rtol=1e-5), outs, [*part.outputs]
            )
            for number, g in zip(inner.inputs, part.downstream, strict=True):
                whole = inner.gradients.get(number)
                if inner.inputs.count(number) == 1 and g is not None:
                    np.testing.assert_allclose(
                        0 if whole is None else whole, g, rtol=1e-5, atol=1e-6
                    )
    return found


@pytest.mark.parametrize("fun", [loops, rows_leave_a_loop, branches, shared, carry_used_late])
def test_the_steps_add_up_to_the_gradient(fun):
    found = held_together(program(fun))
    [number] = found.inputs
    np.testing.assert_allclose(found.gradients[number], jax.jit(funcnn.grad(fun))(X), rtol=1e-5)
    [out] = found.outputs
    np.testing.assert_allclose(found.values[out], jax.jit(fun)(X), rtol=1e-6)


def test_results_may_be_in_another_order_than_on_the_tape():
    corner = lambda a: jnp.linalg.svd(a)[0][0, 1]
    a = jnp.diag(X) + 0.1
    found = steps(Call("corner", lambda values: [corner(*values)], (a,), (True,)))
    [number] = found.inputs
    expected = jax.jit(funcnn.grad(corner))(a)
    assert found.gradients[number].shape == (3, 3)
    np.testing.assert_allclose(found.gradients[number], expected, rtol=1e-4, atol=1e-6)


def test_iterations_have_their_numbers_and_values():
    found = steps(program(lambda x: lax.scan(lambda c, x: (c * x, c), 1.0, x, reverse=True)[0]))
    [scan] = [step for step in found.steps if step.primitive.name == "scan"]
    parts = calls_in(scan, found.values)
    assert [part.name for part in parts] == ["scan[2]", "scan[1]", "scan[0]"]
    np.testing.assert_allclose([part.values[0] for part in parts], [1, 2.5, 3.75])
    np.testing.assert_allclose([part.upstream[0] for part in parts], [0.75, 0.5, 1])
    np.testing.assert_allclose(
        [part.downstream[1] for part in parts], [0.75, 1.25, 3.75]
    )  # upstream times carry


def test_upstream_times_local_is_downstream():
    """Deck B, row 22: -0.53 x 0.37 = -0.20."""
    f = lambda values: [1 / (1 + jnp.exp(-values[0]))]
    found = steps(Call("sigmoid", f, (jnp.array(1.0),), (True,)))
    [exp] = [step for step in found.steps if step.params.get("name") == "exp"]
    [local] = exp.pull_back([jnp.array(1.0)])
    numbers = exp.upstream[0], local, exp.downstream[0]
    assert [f"{number:.2f}" for number in numbers] == ["-0.53", "0.37", "-0.20"]


def test_operations_know_their_line_and_their_scope():
    def fun(x):
        with jax.named_scope("outer"):
            y = jnp.sin(x)
        return jnp.cos(y)

    found = steps(program(fun))
    sin, cos = (place_of(step.source) for step in found.steps)
    first = fun.__code__.co_firstlineno
    assert (sin.file, sin.line, sin.scope) == (__file__, first + 2, ("outer",))
    assert (cos.line, cos.scope) == (first + 3, ())


def test_a_line_in_a_program_of_jax_is_the_line_that_called_it():
    jnp.linalg.norm(X)  # JAX traces it once, here or before
    found = steps(program(lambda x: jnp.linalg.norm(x)))
    [norm] = found.steps
    [part] = calls_in(norm, found.values)
    lines = {place_of(step.source).line for step in steps(part).steps}
    assert lines == {place_of(norm.source).line}


def test_layers_are_scopes():
    model = nn.serial(nn.dense(2), nn.residual(nn.serial(a=nn.dense(2), b=jax.nn.relu)))
    shapes, _ = jax.eval_shape(model.init, jax.random.key(0), X)
    leaves, structure = jax.tree.flatten(jax.tree.map(lambda a: np.ones(a.shape, a.dtype), shapes))
    fun = lambda leaves: [model(jax.tree.unflatten(structure, leaves), X).sum()]
    found = steps(Call("model", fun, tuple(leaves), (True,) * len(leaves)))
    scopes = {place_of(step.source).scope for step in found.steps}
    assert {("[0]",), ("[1]", "['layer']", "['a']"), ("[1]", "['layer']", "['b']")} <= scopes
    # the line is the user's, and the layer's own is there as well
    place = next(place for step in found.steps if (place := place_of(step.source)).scope)
    assert place.file == __file__
    assert "linear.py" in place.via
