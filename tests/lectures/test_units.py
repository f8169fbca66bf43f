"""Units and small networks of the decks, with their numbers (rows 1 to 11)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import losses, nn

BINARY = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
AND, OR, NAND = ([20.0, 20.0], -30.0), ([20.0, 20.0], -10.0), ([-20.0, -20.0], 30.0)
GRID = jnp.stack(jnp.meshgrid(jnp.linspace(-10, 10, 100), jnp.linspace(-10, 10, 100)), axis=-1)


def units(*weights_and_biases):
    """Params of `nn.dense`, a unit a pair (w, b)."""
    ws, bs = zip(*weights_and_biases, strict=True)
    return {"kernel": jnp.array(ws).T, "bias": jnp.array(bs)}


def test_row_1_perceptron():
    """Decks A, D, E: 1 if w·x ≥ θ and else 0; the bias is −θ, and at the threshold it fires."""
    theta, w = 3.0, [2.0, 1.0]
    x = jnp.array([[1.0, 1.0], [1.0, 0.99], [0.0, 0.0], [5.0, -8.0]])
    assert nn.perceptron(1)(units((w, -theta)), x).ravel().tolist() == [1, 0, 0, 0]


def test_row_2_decision_boundary():
    """Deck A: w = (1, 1), b = −3 predicts 1 where x₁ + x₂ ≥ 3; the boundary is x₂ = 3 − x₁."""
    unit = nn.serial(nn.dense(1), jax.nn.sigmoid)
    params, _ = unit.init(jax.random.key(0), GRID)
    params = (units(([1.0, 1.0], -3.0)), *params[1:])
    x1 = jnp.linspace(-10, 10, 21)
    np.testing.assert_allclose(unit(params, jnp.stack([x1, 3 - x1], -1)), 0.5, atol=1e-6)
    points = jnp.array([[3.0, 1.0], [2.0, 2.0], [1.0, 1.0], [5.0, -3.0]])
    assert (unit(params, points)[:, 0] >= 0.5).tolist() == [True, True, False, False]


def test_row_3_three_logistic_units():
    """Deck A's code: the sigmoid of their sum always predicts 1, a fourth unit does not."""
    x1, x2 = np.asarray(GRID[..., 0], float), np.asarray(GRID[..., 1], float)
    with np.errstate(over="ignore"):
        sigmoid = lambda z: 1 / (1 + np.exp(-z))
        h1, h2 = sigmoid(10 * x1 + 10 * x2 - 30), sigmoid(10 * x1 - 10 * x2 - 30)
        h3 = sigmoid(-10 * x1 + x2 - 3)
        expected = sigmoid(10 * (h1 + h2 + h3) - 1)
    hidden = units(([10.0, 10.0], -30.0), ([10.0, -10.0], -30.0), ([-10.0, 1.0], -3.0))
    network = nn.serial(
        nn.dense(3), jax.nn.sigmoid, nn.dense(1), lambda z: jax.nn.sigmoid(z)[..., 0]
    )
    fourth = network((hidden, (), units(([10.0, 10.0, 10.0], -1.0)), ()), GRID)
    np.testing.assert_allclose(fourth, expected, atol=1e-4)
    of_sum = network((hidden, (), units(([1.0, 1.0, 1.0], 0.0)), ()), GRID)
    assert of_sum.min() >= 0.5
    assert 100 < (fourth < 0.5).sum() < 300  # a triangle between the three lines
    any_of_them = np.maximum(np.maximum(h1, h2), h3)
    clear = (any_of_them > 0.5) | (any_of_them < 0.03)
    np.testing.assert_array_equal((fourth >= 0.5)[clear], (any_of_them > 0.5)[clear])


@pytest.mark.parametrize(
    ("gate", "truth"), [(AND, [0, 0, 0, 1]), (OR, [0, 1, 1, 1]), (NAND, [1, 1, 1, 0])]
)
def test_row_4_gates(gate, truth):
    """Decks D and E: σ(−30 + 20x₁ + 20x₂) and so on; at 0 0, 0 1, 1 0 and 1 1."""
    assert nn.perceptron(1)(units(gate), BINARY).ravel().tolist() == truth
    z = nn.dense(1)(units(gate), BINARY).ravel()
    np.testing.assert_allclose(jax.nn.sigmoid(z), truth, atol=1e-4)
    if gate is AND:
        assert z.tolist() == [-30, -10, -10, 10]


@pytest.mark.parametrize("activation", [jax.nn.sigmoid, nn.step])
def test_row_4_xor(activation):
    """Deck D: XOR = AND(OR, NAND)."""
    network = nn.serial(nn.dense(2), activation, nn.dense(1), activation)
    xor = network((units(OR, NAND), (), units(AND), ()), BINARY).ravel()
    np.testing.assert_allclose(xor, [0, 1, 1, 0], atol=1e-3)


def test_row_5_universal_approximation():
    """Deck A: towers, each of two steep units and a weight, add up to any function of one number.

    The height is the output weight, width and place are where the units switch. Twice as many
    towers, half the error.
    """
    network = nn.serial(nn.dense(2), jax.nn.sigmoid, nn.dense(1))

    def tower(left, right, height, x, steep=1e5):
        params = (
            {"kernel": jnp.full((1, 2), steep), "bias": -steep * jnp.array([left, right])},
            (),
            {"kernel": height * jnp.array([[1.0], [-1.0]]), "bias": jnp.zeros(1)},
        )
        return network(params, x[:, None])[:, 0]

    x = jnp.linspace(0, 1, 7)
    np.testing.assert_allclose(tower(0.3, 0.6, 2.5, x), [0, 0, 2.5, 2.5, 0, 0, 0], atol=1e-5)

    def error(towers):
        """The largest, of sin 2πx, between the places where the units switch."""
        edges = jnp.linspace(0, 1, towers + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        x = (jnp.arange(1000) + 0.5) / 1000
        all_of_them = jax.vmap(tower, (0, 0, 0, None))(
            edges[:-1], edges[1:], jnp.sin(2 * jnp.pi * middles), x
        )
        return float(jnp.abs(all_of_them.sum(0) - jnp.sin(2 * jnp.pi * x)).max())

    few, many = error(20), error(40)
    assert few < 2 * np.pi / 40 + 1e-3  # slope times half a width
    assert many == pytest.approx(few / 2, rel=0.1)


def test_row_6_linear_models():
    """Decks A, B, C: scores are W x + b, and a row of W is what a class looks for."""
    rng = np.random.default_rng(0)
    w, b, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(20, 4))
    params = {"kernel": jnp.asarray(w.T), "bias": jnp.asarray(b)}
    scores = nn.dense(3)(params, x.astype(np.float32))
    np.testing.assert_allclose(scores, [w @ row + b for row in x], rtol=1e-4, atol=1e-5)
    templates = w / np.linalg.norm(w, axis=1, keepdims=True)
    best = nn.dense(3)(params, jnp.asarray(templates)) - params["bias"]
    assert np.linalg.norm(w, axis=1) == pytest.approx(np.diagonal(best), rel=1e-5)

    # linear regression: no slope at the least squares
    y = rng.normal(size=(20, 1))
    solution = np.linalg.lstsq(np.hstack([x, np.ones((20, 1))]), y, rcond=None)[0]
    fitted = {"kernel": jnp.asarray(solution[:4]), "bias": jnp.asarray(solution[4])}
    slope = funcnn.grad(lambda p: losses.quadratic(nn.dense(1)(p, jnp.asarray(x)), jnp.asarray(y)))(
        fitted
    )
    assert all(abs(g).max() < 1e-5 for g in jax.tree.leaves(slope))

    # logistic regression is softmax regression with two classes
    labels = rng.integers(0, 2, 20)
    two = losses.softmax_cross_entropy_with_integer_labels(scores[:, :2], labels)
    one = losses.sigmoid_binary_cross_entropy(scores[:, 1] - scores[:, 0], labels)
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_row_7_feature_maps():
    """Decks B, C, D: what a line cannot separate, it can after a map; a circle of radius r."""
    r, points = 4.0, GRID.reshape(-1, 2)
    radius = np.linalg.norm(points, axis=-1)
    points, outside = points[abs(radius - r) > 1e-3], (radius > r)[abs(radius - r) > 1e-3]
    # deck C: Φ(x) = (x₁², x₂²), W = [[1, 1], [0, 0]], b = (−r², 0); class 1 scores higher
    scores = nn.dense(2)(units(([1.0, 1.0], -(r**2)), ([0.0, 0.0], 0.0)), points**2)
    np.testing.assert_array_equal(scores[:, 0] > scores[:, 1], outside)
    # deck B: polar coordinates
    x1, x2 = points.T
    polar = jnp.stack([jnp.hypot(x1, x2), jnp.arctan2(x2, x1)], axis=-1)
    np.testing.assert_array_equal(nn.perceptron(1)(units(([1.0, 0.0], -r)), polar)[:, 0], outside)
    # deck D: (x₁, x₂, x₁² + x₂²)
    lifted = jnp.stack([x1, x2, x1**2 + x2**2], axis=-1)
    plane = units(([0.0, 0.0, 1.0], -(r**2)))
    np.testing.assert_array_equal(nn.perceptron(1)(plane, lifted)[:, 0], outside)


def test_row_8_a_circle_learned():
    """Deck D: z = (x₁ − w₁)² + (x₂ − w₂)² − w₀², ŷ = σ(z), by gradients over the whole batch."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-3, 3, (400, 2)), jnp.float32)
    y = jnp.hypot(x[:, 0] - 0.7, x[:, 1] + 0.4) > 1.6

    def loss(w):
        z = (x[:, 0] - w[1]) ** 2 + (x[:, 1] - w[2]) ** 2 - w[0] ** 2
        return losses.sigmoid_binary_cross_entropy(z, y).mean()

    @jax.jit
    def descend(w):
        return jax.lax.scan(lambda w, _: (w - 0.1 * funcnn.grad(loss)(w), loss(w)), w, None, 1000)

    start = jnp.array([1.0, 0.0, 0.0])
    w, curve = descend(start)
    assert curve[-1] < curve[0] / 2
    np.testing.assert_allclose(w, [1.6, 0.7, -0.4], atol=0.15)
    x1, x2 = x.T  # the derivatives that deck D asks for, by the chain rule
    z = (x1 - start[1]) ** 2 + (x2 - start[2]) ** 2 - start[0] ** 2
    upstream = (jax.nn.sigmoid(z) - y) / len(y)
    local = jnp.stack(
        [-2 * start[0] * jnp.ones_like(z), -2 * (x1 - start[1]), -2 * (x2 - start[2])]
    )
    np.testing.assert_allclose(funcnn.grad(loss)(start), local @ upstream, rtol=1e-4, atol=1e-6)


def test_row_9_multilayer_perceptron():
    """Deck B's code for columns, 3-4-4-1, and rows Z = X W + B; all z and a are there."""
    rng = np.random.default_rng(0)
    w1, w2, w3 = rng.normal(size=(4, 3)), rng.normal(size=(4, 4)), rng.normal(size=(1, 4))
    b1, b2, b3 = rng.normal(size=(4, 1)), rng.normal(size=(4, 1)), rng.normal(size=(1, 1))
    x = rng.normal(size=(3, 1))

    f = lambda x: 1.0 / (1.0 + np.exp(-x))
    h1 = f(np.dot(w1, x) + b1)
    h2 = f(np.dot(w2, h1) + b2)
    out = np.dot(w3, h2) + b3

    sigmoid = jax.nn.sigmoid
    model = nn.serial(z1=nn.dense(4), a1=sigmoid, z2=nn.dense(4), a2=sigmoid, z3=nn.dense(1))
    params, _ = model.init(jax.random.key(0), jnp.ones((1, 3)))
    for name, w, b in (("z1", w1, b1), ("z2", w2, b2), ("z3", w3, b3)):
        params[name] = {"kernel": jnp.asarray(w.T), "bias": jnp.asarray(b[:, 0])}
    rows = jnp.asarray(x.T)
    np.testing.assert_allclose(model(params, rows), out.T, rtol=1e-5)
    within = nn.intermediates(model, params, rows)
    assert set(within) == {"z1", "a1", "z2", "a2", "z3"}
    np.testing.assert_allclose(within["a1"], h1.T, rtol=1e-5)
    np.testing.assert_allclose(within["z2"], (np.dot(w2, h1) + b2).T, rtol=1e-5)
    np.testing.assert_allclose(within["a2"], h2.T, rtol=1e-5)


def test_row_10_any_directed_acyclic_graph():
    """Decks B and C: computed node by node; wired at random, it works too."""
    rng = np.random.default_rng(0)
    names = ["x", *(f"n{i}" for i in range(8))]
    sources = {
        name: [names[j] for j in rng.choice(i, size=min(i, rng.integers(1, 4)), replace=False)]
        for i, name in enumerate(names)
        if i
    }
    loose = [n for n in names[1:] if not any(n in taken for taken in sources.values())]
    nodes = {name: (lambda *xs: jnp.tanh(sum(xs)), *taken) for name, taken in sources.items()}
    nodes["y"] = (lambda *xs: sum(xs), *loose)
    if not any("x" in taken for taken in sources.values()):
        nodes["y"] = (*nodes["y"], "x")
    shuffled = [*nodes]
    rng.shuffle(shuffled)
    model = nn.dag("x", outputs="y", **{name: nodes[name] for name in shuffled})
    x = jnp.asarray(rng.normal(size=5), jnp.float32)
    params, _ = model.init(jax.random.key(0), x)
    values = {"x": x}
    for name, (function, *taken) in nodes.items():
        values[name] = function(*(values[t] for t in taken))
    np.testing.assert_allclose(model(params, x), values["y"], rtol=1e-6)


def test_row_11_model_size():
    """Deck A: 784-30-30-10 has 30×784 + 30×30 + 10×30 + 30 + 30 + 10 = 24,790 parameters."""
    model = nn.serial(nn.dense(30), jax.nn.sigmoid, nn.dense(30), jax.nn.sigmoid, nn.dense(10))
    params, _ = model.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 784), jnp.float32))
    assert nn.count_parameters(params) == 24_790
    rows = nn.summary(model, jax.ShapeDtypeStruct((1, 784), jnp.float32))
    assert "24,790" in str(rows)
