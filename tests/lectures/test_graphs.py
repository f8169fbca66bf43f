"""The decks' worked examples of backpropagation, with their numbers (rows 21 to 23, 25 and 26)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn


@pytest.mark.parametrize(
    ("at", "value", "gradient"),
    [((-2.0, 5.0, -4.0), -12.0, (-4.0, -4.0, 3.0)), ((2.0, 3.0, -2.0), -10.0, (-2.0, -2.0, 5.0))],
)
def test_row_21_sum_times_z(at, value, gradient):
    out, pullback = funcnn.vjp(lambda x, y, z: (x + y) * z, *at)
    assert float(out) == value
    assert tuple(map(float, pullback(1.0))) == gradient


def test_row_21_a_value_used_twice():
    """a = 4, b = 3, c = a + b, d = a c; c as an input of its own for the derivative by it."""
    value, gradient = funcnn.value_and_grad(lambda a, b: a * (a + b), argnums=(0, 1))(4.0, 3.0)
    assert float(value) == 28
    assert tuple(map(float, gradient)) == (11, 4)
    assert float(funcnn.grad(lambda c, a: a * c)(7.0, 4.0)) == 4


# row 22: x0, x1, w0, w1, w2, and what the deck writes below the edges on the way back
SIGMOID_AT = (-1.0, -2.0, 2.0, -3.0, -3.0)


def sigmoid_graph(x0, x1, w0, w1, w2, sigmoid=lambda z: 1 / (1 + jnp.exp(-z))):
    return sigmoid(w0 * x0 + w1 * x1 + w2)


@pytest.mark.parametrize(
    "sigmoid", [lambda z: 1 / (1 + jnp.exp(-z)), jax.nn.sigmoid], ids=["gates", "one gate"]
)
def test_row_22_sigmoid_graph(sigmoid):
    def f(*at):
        return sigmoid_graph(*at, sigmoid=sigmoid)

    value, gradient = funcnn.value_and_grad(f, argnums=(0, 1, 2, 3, 4))(*SIGMOID_AT)
    assert round(float(value), 2) == 0.73
    assert [round(float(g), 1) for g in gradient] == [0.4, -0.6, -0.2, -0.4, 0.2]


def test_row_22_along_the_way():
    """The gradients at 1/x, at + 1, at exp and at · −1: −0.53, −0.53, −0.20, 0.20."""

    def rest(after):
        """The graph from a value on, as a function of that value."""
        gates = [lambda z: -z, jnp.exp, lambda z: z + 1, lambda z: 1 / z]

        def of(value):
            for gate in gates[after:]:
                value = gate(value)
            return value

        return of

    x0, x1, w0, w1, w2 = SIGMOID_AT
    z = w0 * x0 + w1 * x1 + w2
    values = [z, -z, np.exp(-z), np.exp(-z) + 1]
    gradients = [float(funcnn.grad(rest(i))(value)) for i, value in enumerate(values)]
    assert [round(g, 2) for g in gradients[::-1]] == [-0.53, -0.53, -0.2, 0.2]


def test_row_23_patterns():
    """Addition distributes, multiplication swaps, copying adds, the maximum routes."""
    upstream = 2.0
    _, add = funcnn.vjp(lambda x, y: x + y, 3.0, 4.0)
    _, mul = funcnn.vjp(lambda x, y: x * y, 2.0, 3.0)
    _, copy = funcnn.vjp(lambda x: (x, x), 7.0)
    _, maximum = funcnn.vjp(jnp.maximum, 4.0, 5.0)
    assert tuple(map(float, add(upstream))) == (2, 2)
    assert tuple(map(float, mul(5.0))) == (5 * 3, 2 * 5)
    assert tuple(map(float, copy((4.0, 2.0)))) == (6,)
    assert tuple(map(float, maximum(9.0))) == (0, 9)


@pytest.mark.parametrize("relu", [jax.nn.relu, lambda x: jnp.maximum(x, 0.0)])
def test_row_25_relu_of_a_vector(relu):
    x, upstream = jnp.array([1.0, -2.0, 3.0, -1.0]), jnp.array([4.0, -1.0, 5.0, 9.0])
    _, pullback = funcnn.vjp(relu, x)
    assert pullback(upstream)[0].tolist() == [4, 0, 5, 0]


def test_row_25_no_jacobian_is_formed():
    """The backward pass of n entries holds nothing of n² entries."""
    n = 100
    traced = jax.make_jaxpr(lambda x, g: funcnn.vjp(jax.nn.relu, x)[1](g))(jnp.ones(n), jnp.ones(n))
    sizes = [v.aval.size for eqn in traced.jaxpr.eqns for v in eqn.outvars]
    assert max(sizes) == n


def jacobian(f, x):
    """One backward pass for each entry of the output."""
    out, pullback = funcnn.vjp(f, x)
    rows = jax.vmap(pullback)(jnp.eye(out.size).reshape(out.size, *out.shape))[0]
    return rows.reshape(*out.shape, *x.shape)


def test_row_26_jacobians():
    generator = np.random.default_rng(0)
    w, v = (
        jnp.asarray(generator.standard_normal((4, 3))),
        jnp.asarray(generator.standard_normal((2, 4))),
    )
    x = jnp.asarray(generator.standard_normal(3))
    np.testing.assert_allclose(jacobian(lambda x: w @ x, x), w, rtol=1e-6)
    np.testing.assert_allclose(jacobian(lambda x: v @ (w @ x), x), v @ w, rtol=1e-5)
    rows = jnp.asarray(generator.standard_normal((5, 4)))
    by_rows = jacobian(lambda rows: rows @ w, rows)  # (5, 3, 5, 4)
    expected = np.einsum("ab,ji->aibj", np.eye(5), w)
    np.testing.assert_allclose(by_rows, expected, rtol=1e-6)


def test_row_26_the_tensor_dy_dw():
    """dy_i / dW_kj is x_j where i = k and 0 elsewhere: of shape 4×4×3 for W 4×3 (the deck orders
    the axes 4×3×4)."""
    x = jnp.array([1.0, 2.0, 3.0])
    tensor = jacobian(lambda w: w @ x, jnp.ones((4, 3)))
    expected = np.zeros((4, 4, 3))
    for i in range(4):
        expected[i, i] = x
    np.testing.assert_array_equal(tensor, expected)
