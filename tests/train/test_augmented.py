"""Augmentation before a loss, in training and not in evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import data, losses, nn, optim, train

IMAGES = np.arange(1, 65, dtype=np.float32).reshape(4, 4, 4, 1)
LABELS = np.array([0, 1, 2, 0])


def seen(params, state, batch, key):
    """A loss that reports what came in."""
    x, y = batch
    return jnp.sum(x), ((x, y, key), {})


def test_images_are_augmented_where_there_is_a_key():
    shift = data.random_shift(2)
    loss = train.augmented(seen, shift)
    key = jax.random.key(5)
    _, ((x, y, left), _) = loss((), (), (IMAGES, LABELS), key)
    again, augment_key = jax.random.split(key)
    np.testing.assert_array_equal(x, shift(augment_key, IMAGES))
    assert (x != IMAGES).any()
    np.testing.assert_array_equal(y, LABELS)
    assert (jax.random.key_data(left) == jax.random.key_data(again)).all()  # unused so far

    _, ((x, y, left), _) = loss((), (), (IMAGES, LABELS), None)
    np.testing.assert_array_equal(x, IMAGES)
    assert left is None


def test_labels_are_mixed_too():
    one_hot = np.eye(3, dtype=np.float32)[LABELS]
    loss = train.augmented_batches(seen, data.mixup(1.0))
    _, ((x, y, _), _) = loss((), (), (IMAGES, one_hot), jax.random.key(0))
    assert (x != IMAGES).any()
    assert (y != one_hot).any()
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)


def test_each_step_draws_anew_within_the_epoch():
    """What comes in is remembered in the model's state, step by step."""

    def remember(params, state, batch, key):
        return 0.0 * params, ((state[0].at[state[1]].set(batch[0]), state[1] + 1), {})

    optimizer = optim.sgd(0.0)
    w = jnp.float32(0)
    seen = jnp.zeros((4, 2, 4, 4, 1)), 0
    state = train.TrainState(w, seen, optimizer.init(w), jax.random.key(0), jnp.int32(0))
    loss = train.augmented(remember, data.random_rotation(20))
    epoch = train.make_epoch(train.make_step(loss, optimizer), 2, donate=False)
    same = np.tile(IMAGES[:1], (4, 1, 1, 1)), LABELS  # the order makes no difference
    state, _ = epoch(state, same)
    state, _ = epoch(state, same)
    seen = np.asarray(state.state[0]).reshape(8, -1)
    assert len(np.unique(seen, axis=0)) == 8


def test_the_check_of_the_loss_stays():
    model = nn.serial(nn.flatten, nn.dense(3))
    loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    params, state = model.init(jax.random.key(0), IMAGES)
    for objective in (train.augmented(loss, data.cutout(1)), train.augmented_batches(loss, None)):
        with pytest.raises(ValueError, match=r"labels\[0\] is 3"):
            objective.check(params, state, (IMAGES[:1], np.array([3])))
    assert not hasattr(train.augmented(seen, data.cutout(1)), "check")


def test_other_batches():
    loss = train.augmented(seen, data.random_shift(1))
    with pytest.raises(TypeError, match=r"augmented expects batches \(x, y\).*augmented_batches"):
        loss((), (), IMAGES, jax.random.key(0))
