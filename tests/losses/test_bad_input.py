"""Labels that are none, shapes that would broadcast, integers in the place of scores."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import losses, nn, train

BINARY = ["sigmoid_binary_cross_entropy", "binary_cross_entropy", "sigmoid_focal_loss"]
CLASSES = ["multiclass_hinge_sum", "multiclass_hinge_loss", "negative_log_likelihood"]
SCORES = jnp.array([[-0.3, -1.5, -2.0]] * 3)


@pytest.mark.parametrize("name", BINARY)
def test_binary_labels_outside_0_to_1(name):
    loss = getattr(losses, name)
    for bad in (-1, 2, 1.5, np.nan):
        labels = np.array([0, bad, 1])
        message = f"labels[1] is {labels[1]}, expected a label from 0 to 1 (1 of 3 labels is outs"
        for check in (loss, loss.check):
            with pytest.raises(ValueError, match=re.escape(message)):
                check(np.full(3, 0.5), labels)
    labels = np.array([0, -1, 2, 1.5, np.nan, 1])
    value, gradient = nan_where_traced(loss, jnp.full(6, 0.5), labels)
    np.testing.assert_array_equal(value, [False, True, True, True, True, False])
    np.testing.assert_array_equal(gradient, value)


def nan_where_traced(loss, x, labels):
    """Where value and gradient are NaN, if nobody can see the labels."""
    both = jax.jit(lambda x, y: (loss(x, y), jax.grad(lambda x: loss(x, y).sum())(x)))
    return map(np.isnan, both(x, labels))


def test_hinge_targets_other_than_the_signs():
    x, labels = jnp.array([0.5, 3.0, 0.5, 3.0]), np.array([1, 0, -1, 2])
    with pytest.raises(ValueError, match=re.escape("targets[1] is 0, expected -1 or 1 (2 * y - 1")):
        losses.hinge_loss(x, labels)
    value, gradient = nan_where_traced(losses.hinge_loss, x, labels)
    np.testing.assert_array_equal(value, [False, True, False, True])
    np.testing.assert_array_equal(gradient, value)


@pytest.mark.parametrize("name", CLASSES)
def test_class_numbers_outside_the_range(name):
    loss = getattr(losses, name)
    with pytest.raises(ValueError, match=re.escape("labels[1] is 3, expected 0..2 for 3 classes")):
        loss(SCORES, jnp.array([0, 3, -1]))
    with pytest.raises(ValueError, match=re.escape("labels[0] is -1")):
        loss.check(SCORES, jnp.array([-1]))
    with pytest.raises(TypeError, match="expected labels of an integer dtype"):
        loss(SCORES, jnp.zeros(3))
    with pytest.raises(ValueError, match=r"expected labels of shape \(3,\), one for each row of"):
        loss(SCORES, jnp.zeros((3, 1), int))
    with pytest.raises(TypeError, match="of a floating dtype, got int32"):
        loss(SCORES.astype(int), jnp.zeros(3, int))
    value, gradient = nan_where_traced(loss, SCORES, jnp.array([0, 3, -1]))
    np.testing.assert_array_equal(value, [False, True, True])
    np.testing.assert_array_equal(gradient.all(-1), value)
    np.testing.assert_array_equal(gradient.any(-1), value)


@pytest.mark.parametrize("name", BINARY)
def test_binary_labels_are_not_broadcast(name):
    with pytest.raises(ValueError, match=r"\(3, 1\), got \(3,\)"):
        getattr(losses, name)(jnp.full((3, 1), 0.5), jnp.ones(3))
    with pytest.raises(TypeError, match="of a floating dtype, got int32"):
        getattr(losses, name)(jnp.ones(3, int), jnp.ones(3))


@pytest.mark.parametrize(
    "name", ["absolute_error", "l2_loss", "huber_loss", "log_cosh", "cosine_similarity"]
)
def test_targets_are_not_broadcast(name):
    message = "expected targets of the shape of predictions, (5, 1), got (5,)"
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(losses, name)(jnp.ones((5, 1)), jnp.ones(5))
    with pytest.raises(TypeError, match="expected predictions of a floating dtype, got int32"):
        getattr(losses, name)(jnp.ones((5, 2), int), jnp.ones((5, 2)))


def test_class_numbers_in_the_place_of_probabilities():
    with pytest.raises(ValueError, match=r"got \(3,\): class numbers are for negative_log_lik"):
        losses.cross_entropy(jnp.full((3, 3), 1 / 3), jnp.array([0, 1, 2]))
    with pytest.raises(TypeError, match=r"got int32 of shape \(3,\): jax\.nn\.one_hot"):
        losses.smooth_labels(jnp.array([0, 1, 2]), 0.1)
    with pytest.raises(ValueError, match="vectors"):
        losses.cosine_similarity(jnp.float32(1), jnp.float32(1))


def test_fit_checks_binary_labels_before_it_starts():
    """Traced in training, they would make NaN of the loss."""
    loss = train.supervised(nn.dense(1), losses.sigmoid_binary_cross_entropy)
    params, state = nn.dense(1).init(jax.random.key(0), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="expected a label from 0 to 1"):
        loss.check(params, state, (jnp.ones((2, 3)), jnp.array([[-1], [1]])))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda: losses.huber_loss(SCORES, delta=-1.0), "delta above 0, got -1.0"),
        (lambda: losses.huber_loss(SCORES, delta=jnp.zeros(3)), "delta above 0"),
        (lambda: losses.sigmoid_focal_loss(SCORES, SCORES * 0, gamma=-2), "gamma of at least 0, g"),
        (
            lambda: losses.sigmoid_focal_loss(SCORES, SCORES * 0, alpha=2),
            r"alpha in \[0, 1\], got 2",
        ),
        (lambda: losses.smooth_labels(jax.nn.one_hot(1, 3), 1.5), r"alpha in \[0, 1\], got 1.5"),
        (lambda: losses.smooth_labels(jax.nn.one_hot(1, 3), np.nan), r"alpha in .*, got nan"),
        (lambda: losses.elastic_net({"kernel": SCORES}, -0.5), "beta of at least 0, got -0.5"),
    ],
)
def test_numbers_outside_their_range(loss, message):
    with pytest.raises(ValueError, match=f"expected {message}"):
        loss()


def test_a_pattern_in_the_place_of_beta():
    with pytest.raises(TypeError, match=r"expected a number beta, got '\*\*/kernel'"):
        losses.elastic_net({"kernel": SCORES}, "**/kernel")


def test_traced_numbers_are_not_looked_at():
    deltas = jnp.array([0.5, 2.0])
    together = jax.vmap(lambda delta: losses.huber_loss(SCORES, delta=delta))(deltas)
    np.testing.assert_allclose(together[1], losses.huber_loss(SCORES, delta=2.0))
