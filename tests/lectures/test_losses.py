"""Activations, losses and regularizers of the decks, with their numbers (rows 12 to 18)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import losses, nn

Z = np.array([-3.0, -0.5, 0.25, 2.0])
EXP = np.exp(Z)


@pytest.mark.parametrize(
    ("activation", "value", "slope"),
    [
        (jax.nn.sigmoid, 1 / (1 + 1 / EXP), EXP / (1 + EXP) ** 2),
        (jnp.tanh, np.tanh(Z), 1 - np.tanh(Z) ** 2),
        (jax.nn.relu, np.maximum(0, Z), Z > 0),
        (nn.leaky_relu, np.maximum(0.1 * Z, Z), np.where(Z > 0, 1, 0.1)),
        (
            lambda z: jax.nn.elu(z, 0.7),
            np.where(Z >= 0, Z, 0.7 * (EXP - 1)),
            np.where(Z >= 0, 1, 0.7 * EXP),
        ),
        (nn.step, Z >= 0, np.zeros(4)),
    ],
    ids=["sigmoid", "tanh", "relu", "leaky_relu", "elu", "step"],
)
def test_row_12_activations(activation, value, slope):
    """Decks A, B, C and E: the formulas, and their derivatives by funcnn."""
    z = jnp.asarray(Z, jnp.float32)
    np.testing.assert_allclose(activation(z), value, rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(funcnn.grad(activation))(z), slope, rtol=1e-5)


def test_row_12_maxout_and_softmax():
    """Decks A, B, E: max(w₁·x + b₁, w₂·x + b₂); and e^z_i / Σ_j e^z_j."""
    w1, w2, x = np.array([1.0, -2.0]), np.array([0.5, 1.0]), np.array([3.0, 1.0])
    kernel, bias = jnp.array([w1, w2])[..., None], jnp.array([[-4.0], [0.5]])
    assert float(nn.functional.maxout(jnp.asarray(x), kernel, bias)[0]) == max(
        w1 @ x - 4, w2 @ x + 0.5
    )
    np.testing.assert_allclose(jax.nn.softmax(jnp.asarray(Z)), EXP / EXP.sum(), rtol=1e-5)


H = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
ONE_HOT = np.array([[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (losses.quadratic(H, ONE_HOT), ((H - ONE_HOT) ** 2).sum() / (2 * 2)),
        (losses.squared_error(H, ONE_HOT).sum(), ((H - ONE_HOT) ** 2).sum()),
        (losses.squared_error(H, ONE_HOT).mean(), ((H - ONE_HOT) ** 2).mean()),
        (losses.absolute_error(H, ONE_HOT).mean(), abs(H - ONE_HOT).mean()),
        (losses.cross_entropy(H, ONE_HOT).sum(), -np.log(0.7) - np.log(0.4)),
        (losses.cross_entropy(H, ONE_HOT).mean(), (-np.log(0.7) - np.log(0.4)) / 2),
        (
            losses.binary_cross_entropy(H, ONE_HOT).sum(-1).mean(),
            -(ONE_HOT * np.log(H) + (1 - ONE_HOT) * np.log(1 - H)).sum() / 2,
        ),
        (
            losses.negative_log_likelihood(np.log(H), np.array([0, 2])).sum(),
            -np.log(0.7) - np.log(0.4),
        ),
        (
            losses.softmax_cross_entropy(np.log(2 * H), ONE_HOT).sum(),
            -np.log(0.7) - np.log(0.4),
        ),
    ],
    ids=[
        "quadratic (A)",
        "squared (C)",
        "mean squared (E)",
        "mean absolute (C)",
        "cross-entropy, sum (A)",
        "cross-entropy, mean (A)",
        "cross-entropy with both terms (A)",
        "negative log-likelihood (C)",
        "softmax (A)",
    ],
)
def test_row_13_losses(loss, value):
    assert float(loss) == pytest.approx(value, rel=1e-5)


IMAGES = jnp.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])  # scores: cat, car, frog


def test_row_14_hinge_losses_of_deck_b():
    """A cat, a car and a frog: 2.9, 0 and 12.9; twice the W keeps the 0."""
    hinge = losses.multiclass_hinge_sum(IMAGES, jnp.array([0, 1, 2]))
    np.testing.assert_allclose(hinge, [2.9, 0, 12.9], rtol=1e-6)
    assert losses.multiclass_hinge_sum(2 * IMAGES, jnp.array([0, 1, 2]))[1] == 0


def test_row_14_hinge_against_softmax_in_deck_b():
    """Scores (−2.85, 0.86, 0.28), label 2: hinge 1.58, softmax loss 1.04."""
    scores, label = jnp.array([-2.85, 0.86, 0.28]), 2
    assert round(float(losses.multiclass_hinge_sum(scores, label)), 2) == 1.58
    softmax = losses.softmax_cross_entropy_with_integer_labels(scores, label)
    assert round(float(softmax), 2) == 1.04


def test_row_15_presents_in_boxes():
    """Deck E: p = (0.8, 0.7, 0.1), y = (1, 1, 0): −ln 0.8 − ln 0.7 − ln 0.9."""
    p, y = jnp.array([0.8, 0.7, 0.1]), jnp.array([1, 1, 0])
    expected = -np.log(0.8) - np.log(0.7) - np.log(0.9)
    assert float(losses.binary_cross_entropy(p, y).sum()) == pytest.approx(expected, rel=1e-6)
    logits = jnp.log(p) - jnp.log1p(-p)
    of_logits = losses.sigmoid_binary_cross_entropy(logits, y).sum()
    assert float(of_logits) == pytest.approx(expected, rel=1e-6)


def test_row_15_four_points():
    """Deck E: −ln 0.6 − ln 0.2 − ln 0.1 − ln 0.7 = 4.8, terms 0.51, 1.61, 2.3, 0.36."""
    # blue points (y = 1) at ŷ = 0.6 and 0.2, red ones at 1 − ŷ = 0.1 and 0.7
    terms = losses.binary_cross_entropy(jnp.array([0.6, 0.2, 0.9, 0.3]), jnp.array([1, 1, 0, 0]))
    np.testing.assert_allclose(terms, [0.51, 1.61, 2.3, 0.36], atol=0.005)
    assert round(float(terms.sum()), 1) == 4.8


def test_row_16_multi_label():
    """Deck A: one sigmoid an output (dog? black?), each its own binary cross-entropy."""
    logits, labels = jnp.array([[2.0, -1.0], [0.5, 3.0]]), jnp.array([[1, 0], [1, 1]])
    p = 1 / (1 + np.exp(-np.asarray(logits, float)))
    expected = -np.log(np.where(labels, p, 1 - p)).sum(-1)
    each = losses.sigmoid_binary_cross_entropy(logits, labels)
    np.testing.assert_allclose(each.sum(-1), expected, rtol=1e-5)
    alone = funcnn.grad(lambda z: losses.sigmoid_binary_cross_entropy(z, labels).sum())(logits)
    np.testing.assert_allclose(alone, p - labels, rtol=1e-4)  # one output does not touch the other


def test_row_17_which_weights_a_regularizer_prefers():
    """Deck B: x = 1, w = (1, 0, 0, 0) or (¼, ¼, ¼, ¼): the same score; L2 spreads the weights."""
    x, one, spread = jnp.ones(4), jnp.array([1.0, 0, 0, 0]), jnp.full(4, 0.25)
    assert x @ one == x @ spread == 1
    one, spread = {"kernel": one}, {"kernel": spread}
    assert (float(losses.l2(one)), float(losses.l2(spread))) == (1, 0.25)
    assert (float(losses.l1(one)), float(losses.l1(spread))) == (1, 1)  # no preference
    assert (float(losses.elastic_net(one, 2.0)), float(losses.elastic_net(spread, 2.0))) == (3, 1.5)


def test_row_17_both_scalings_on_weights_and_not_on_biases():
    """Decks B, C, E: λ Σ w²; deck A: λ/(2n) Σ W², which adds λ/n W to the gradient.

    (Deck A prints λ W, as if the regularizer were not divided by n.)
    """
    model = nn.serial(nn.dense(3), jnp.tanh, nn.dense(2))
    params, _ = model.init(jax.random.key(0), jnp.ones((1, 4)))
    params = jax.tree.map(lambda w: w + 1.0, params)
    kernels = [np.asarray(params[i]["kernel"], float) for i in (0, 2)]
    rate, n = 0.3, 50
    total = sum((w**2).sum() for w in kernels)
    assert float(rate * losses.l2(params)) == pytest.approx(rate * total, rel=1e-5)
    deck_a = lambda params: rate / (2 * n) * losses.l2(params)
    assert float(deck_a(params)) == pytest.approx(rate / (2 * n) * total, rel=1e-5)
    gradient = funcnn.grad(deck_a)(params)
    np.testing.assert_allclose(gradient[0]["kernel"], rate / n * kernels[0], rtol=1e-5)
    assert not gradient[0]["bias"].any()


def test_row_18_dropout_and_stochastic_depth_are_off_at_inference():
    """Decks A, B and E."""
    x, key = jnp.ones((1000, 4)), jax.random.key(0)
    for layer in (nn.dropout(0.25), nn.stochastic_depth(0.25)):
        np.testing.assert_array_equal(layer((), x), x)
        y, _ = layer.apply((), (), x, key=key, train=True)
        assert set(np.unique(y.round(4)).tolist()) == {0, np.float32(1.3333).item()}
        assert float(y.mean()) == pytest.approx(1, abs=0.1)
    whole = nn.stochastic_depth(0.25).apply((), (), x, key=key, train=True)[0]
    assert (whole == whole[:, :1]).all()  # an example as a whole


def test_row_18_batch_normalization():
    """Decks A and B: each feature of the batch to mean 0 and variance 1."""
    x = jnp.asarray(np.random.default_rng(0).normal(5, 3, (64, 4)), jnp.float32)
    layer = nn.batch_norm()
    params, state = layer.init(jax.random.key(0), x)
    y, after = layer.apply(params, state, x, train=True)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-4)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (after, state)), strict=True))
