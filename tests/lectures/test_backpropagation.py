"""Backpropagation by hand, and the numerical gradient (rows 19, 20, 24 and 27).

The functions are those of examples/backprop_by_hand.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import nn


@pytest.fixture(scope="module")
def by_hand(example):
    return example("backprop_by_hand")


def test_row_19_the_numbers_of_deck_b(by_hand):
    """The loss 1.25347 goes to 1.25322, 1.25353 and 1.25347 with h = 0.0001: −2.5, 0.6 and 0."""
    weights = np.array([0.34, -1.11, 0.78])
    after = [1.25322, 1.25353, 1.25347]

    def loss(w):
        (moved,) = np.nonzero(w != weights)
        return after[moved[0]] if len(moved) else 1.25347

    gradient, evaluations = by_hand.forward_difference(loss, weights, h=1e-4)
    np.testing.assert_allclose(gradient, [-2.5, 0.6, 0], atol=1e-9)
    assert evaluations == 4


@pytest.mark.parametrize(
    ("name", "times"), [("forward", lambda n: n + 1), ("central", lambda n: 2 * n)]
)
def test_row_19_what_it_costs(by_hand, name, times):
    """Decks A and B: n + 1 evaluations (or 2n) where backpropagation passes the graph twice."""
    calls = []

    def f(x):
        calls.append(1)
        return float(np.sum(np.sin(x)) + x[0] * x[-1])

    x = np.linspace(-1, 2, 9)
    gradient, evaluations = getattr(by_hand, f"{name}_difference")(f, x)
    assert len(calls) == evaluations == times(9)
    exact = np.cos(x)
    exact[[0, -1]] += x[[-1, 0]]
    np.testing.assert_allclose(gradient, exact, atol={"forward": 1e-4, "central": 1e-8}[name])

    calls.clear()
    tape = funcnn.grad(lambda x: calls.append(1) or jnp.sum(jnp.sin(x)) + x[0] * x[-1])
    np.testing.assert_allclose(tape(jnp.asarray(x)), exact, rtol=1e-5)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "softplus", "linear"])
def test_row_20_the_delta_equations(by_hand, name):
    """Deck A: for any activation, per example and in matrices, equal to the tape and jax.grad."""
    rng = np.random.default_rng(0)
    f, f_prime = by_hand.ACTIVATIONS[name]
    with jax.enable_x64(True):
        z = jnp.asarray(rng.normal(size=50))
        np.testing.assert_allclose(jax.vmap(jax.grad(f))(z), f_prime(z), rtol=1e-12)
        params = by_hand.initial_params([4, 5, 3, 2], seed=1)
        x, y = jnp.asarray(rng.normal(size=(3, 4))), jnp.asarray(rng.normal(size=(3, 2)))
        all_of_them = jax.jit(by_hand.gradients, static_argnums=(3, 4))
        each, rows, by_funcnn, by_jax = all_of_them(params, x, y, f, f_prime)
        for result in (each, rows, by_funcnn):
            for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(by_jax), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_row_20_one_example_written_out(by_hand):
    """δ = (a − y) ⊙ f′(z), ∂W = δ aᵀ and ∂b = δ, of a single layer in numbers."""
    w, b, x, y = jnp.array([[1.0, -2.0]]), jnp.array([0.5]), jnp.array([2.0, 1.0]), jnp.array([1.0])
    ((dw, db),) = by_hand.backpropagate_one(
        [(w, b)], x, y, *by_hand.ACTIVATIONS["linear"]
    )  # z = a = 0.5
    assert db.tolist() == [-0.5]
    assert dw.tolist() == [[-1.0, -0.5]]


def test_row_24_flat_code(by_hand):
    """Deck B's lines: 0.73, and (0.4, −0.6, −0.2, −0.4, 0.2) by x₀, x₁, w₀, w₁, w₂."""
    at = by_hand.SIGMOID_AT
    assert at == {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}
    out, flat = by_hand.sigmoid_graph(**at)
    assert round(float(out), 2) == 0.73
    by_name = dict(zip(at, flat, strict=True))
    rounded = [round(float(by_name[name]), 1) for name in ("x0", "x1", "w0", "w1", "w2")]
    assert rounded == [0.4, -0.6, -0.2, -0.4, 0.2]
    graph = lambda w0, x0, w1, x1, w2: jax.nn.sigmoid(w0 * x0 + w1 * x1 + w2)
    for grad in (funcnn.grad, jax.grad):
        tape = grad(graph, argnums=range(5))(*at.values())
        np.testing.assert_allclose(tape, flat, rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "kernel"), [((3, 3), (2, 2)), ((5, 4), (2, 3)), ((4, 4), (1, 1))]
)
def test_row_27_convolution(by_hand, image, kernel):
    """Deck A: ∂L/∂F = conv(X, ∂L/∂O); ∂L/∂X = full conv of the rotated F with ∂L/∂O."""
    rng = np.random.default_rng(0)
    x, f = rng.normal(size=image), rng.normal(size=kernel)
    o = by_hand.convolve(x, f)
    upstream = rng.normal(size=o.shape)

    def conv(x, f):
        return nn.functional.conv(x[..., None], f[..., None, None], padding="VALID")[..., 0]

    x, f = jnp.asarray(x, jnp.float32), jnp.asarray(f, jnp.float32)
    for vjp in (funcnn.vjp, jax.vjp):
        value, pullback = vjp(conv, x, f)
        np.testing.assert_allclose(value, o, atol=1e-5)
        by_image, by_filter = pullback(jnp.asarray(upstream, jnp.float32))
        np.testing.assert_allclose(
            by_hand.gradient_of_image(np.asarray(f), upstream), by_image, atol=1e-5
        )
        np.testing.assert_allclose(
            by_hand.gradient_of_filter(np.asarray(x), upstream), by_filter, atol=1e-5
        )


def test_the_example_prints_both_tables(by_hand, monkeypatch, capsys):
    one = {"sigmoid": by_hand.ACTIVATIONS["sigmoid"]}  # the others take the test of row 20
    monkeypatch.setattr(by_hand, "ACTIVATIONS", one)
    monkeypatch.setattr("sys.argv", ["backprop_by_hand.py", "--quick"])
    by_hand.main()
    printed = capsys.readouterr().out
    rows = [line.rsplit(maxsplit=3) for line in printed.splitlines()]
    differences = [
        [float(cell) for cell in row[1:]]
        for row in rows
        if row and ("δ" in row[0] or "conv" in row[0])
    ]
    assert len(differences) == 4
    for size, by_funcnn, by_jax in differences:
        assert max(by_funcnn, by_jax) < 1e-13 < 1e-2 < size
    assert "8-6-4, sigmoid: 82 parameters" in printed
    forward, central = (
        next(line.split() for line in printed.splitlines() if f"{kind} difference" in line)
        for kind in ("forward", "central")
    )
    assert (forward[2], central[2]) == ("83", "164")
    assert float(central[-1]) < 1e-8 < float(forward[-1]) < 1e-4
