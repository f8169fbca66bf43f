"""Losses weighted by class, and the weights that balance classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import funcnn
from funcnn import losses, nn, optim, train

SOFTMAX = losses.softmax_cross_entropy_with_integer_labels
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(12, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, 12)
WEIGHTS = np.array([0.25, 1.0, 5.0])


@pytest.mark.parametrize("loss", [SOFTMAX, losses.multiclass_hinge_loss])
def test_each_value_has_the_weight_of_its_class(loss):
    weighted = losses.class_weighted(loss, WEIGHTS)
    values = jax.jit(weighted)(LOGITS, LABELS)
    np.testing.assert_allclose(values, WEIGHTS[LABELS] * loss(LOGITS, LABELS), rtol=1e-6)

    def mean(logits):
        return weighted(logits, LABELS).mean()

    by_hand = jax.grad(lambda logits: (WEIGHTS[LABELS] * loss(logits, LABELS)).mean())(LOGITS)
    np.testing.assert_allclose(funcnn.grad(mean)(LOGITS), by_hand, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(jax.grad(mean)(LOGITS), by_hand, rtol=1e-5, atol=1e-7)


def test_dtypes_and_shapes():
    weighted = losses.class_weighted(SOFTMAX, [1, 2, 3])
    assert weighted(jnp.asarray(LOGITS, jnp.bfloat16), LABELS).dtype == jnp.bfloat16
    assert weighted(LOGITS.reshape(3, 4, 3), LABELS.reshape(3, 4)).shape == (3, 4)
    assert weighted(LOGITS[:0], LABELS[:0]).shape == (0,)
    with jax.enable_x64(True):
        assert weighted(jnp.asarray(LOGITS, jnp.float64), LABELS).dtype == jnp.float64


def test_a_weight_of_0_leaves_a_class_out():
    weighted = losses.class_weighted(SOFTMAX, [0.0, 1.0])
    logits = jnp.array([[jnp.nan, 0.0], [0.0, 0.0]])
    values, slopes = jax.value_and_grad(lambda s: weighted(s, jnp.array([0, 1])).sum())(logits)
    assert float(values) == pytest.approx(np.log(2))
    assert np.isfinite(weighted(logits, jnp.array([0, 1]))).all()
    np.testing.assert_allclose(slopes[1], [0.5, -0.5], rtol=1e-6)


def test_labels_without_a_weight():
    weighted = losses.class_weighted(SOFTMAX, [1.0, 2.0])  # but three classes
    with pytest.raises(ValueError, match=r"labels\[1\] is 2, expected 0..1 for 2 classes"):
        weighted(LOGITS[:2], np.array([0, 2]))
    with pytest.raises(ValueError, match=r"labels\[1\] is 2, expected 0..1 for 2 classes"):
        weighted.check(LOGITS[:2], np.array([0, 2]))
    with pytest.raises(ValueError, match=r"labels\[0\] is 3, expected 0..2 for 3 classes"):
        weighted.check(LOGITS[:1], np.array([3]))
    traced = jax.jit(weighted)(LOGITS[:3], np.array([0, 2, -1]))
    np.testing.assert_array_equal(np.isnan(traced), [False, True, True])


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (1.0, ValueError, r"of shape \(classes,\), got \(\)"),
        (np.ones((2, 2)), ValueError, r"of shape \(classes,\), got \(2, 2\)"),
        ([1.0, -1.0], ValueError, "finite and at least 0, got"),
        ([1.0, np.nan], ValueError, "finite and at least 0, got"),
        ([1j, 1], TypeError, "real numbers, got complex128"),
        (["a", "b"], TypeError, "real numbers, got <U1"),
    ],
)
def test_bad_weights(weights, error, message):
    with pytest.raises(error, match=message):
        losses.class_weighted(SOFTMAX, weights)


def test_balanced_weights_are_scikit_learns():
    labels = RNG.choice(4, p=[0.7, 0.1, 0.15, 0.05], size=200)
    weights = losses.balanced_class_weights(labels, 4)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights.dtype == np.float32
    assert weights[labels].mean() == pytest.approx(1, rel=1e-6)
    np.testing.assert_array_equal(losses.balanced_class_weights(jnp.asarray(labels), 4), weights)
    with pytest.raises(ValueError, match=r"no examples of the classes \[1, 3\]"):
        losses.balanced_class_weights([0, 2, 2], 4)
    with pytest.raises(ValueError, match=r"labels\[2\] is 4, expected 0..3"):
        losses.balanced_class_weights([0, 2, 4], 4)


def test_a_rare_class_is_learned_with_balanced_weights():
    """Nine of ten examples are of class 0, and the two overlap: without weights all become 0."""
    y = (np.arange(200) % 10 == 0).astype(np.int32)
    x = (y[:, None] + 0.8 * RNG.standard_normal((200, 1))).astype(np.float32)
    model, optimizer = nn.dense(2), optim.sgd(0.5)

    def recall(loss):
        objective = train.supervised(model, loss)
        state = train.init(jax.random.key(0), model, optimizer, x)
        epoch = train.make_epoch(train.make_step(objective, optimizer), 50)
        for _ in range(20):
            state, _ = epoch(state, (x, y))
        return float((model(state.params, x).argmax(-1) == 1)[y == 1].mean())

    weights = losses.balanced_class_weights(y, 2)
    assert recall(SOFTMAX) < 0.2 < 0.6 < recall(losses.class_weighted(SOFTMAX, weights))
