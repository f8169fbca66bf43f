"""Normalized by the statistics of the training set."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from funcnn import data

RNG = np.random.default_rng(0)


def test_features_are_scikit_learns():
    train, test = RNG.normal(3, 5, (40, 4)), RNG.normal(size=(7, 4)).astype(np.float32)
    train[:, 2] = 0.1  # always the same
    scale, reference = data.normalization(train), StandardScaler().fit(train)
    np.testing.assert_allclose(scale.apply(test), reference.transform(test), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scale.undo(scale.apply(test)), test, rtol=1e-5, atol=1e-5)
    assert scale.std[2] == 1


def test_images_by_channel_by_pixel_and_as_one():
    x = (RNG.random((50, 4, 5, 3)) * [1, 10, 100]).astype(np.float32)
    for axis, shape in ((None, (1, 1, 3)), (0, (4, 5, 3)), ((0, 1, 2, -1), (1, 1, 1))):
        scale = data.normalization(x, axis)
        assert scale.mean.shape == scale.std.shape == shape
        made = np.asarray(jax.jit(lambda scale, x: scale.apply(x))(scale, x))
        axes = (0, 1, 2) if axis is None else axis
        np.testing.assert_allclose(made.mean(axes), 0, atol=1e-5)
        np.testing.assert_allclose(made.std(axes), 1, rtol=1e-4)


def test_dtypes():
    x = RNG.integers(0, 256, (50, 4, 4, 1)).astype(np.uint8)
    scale = data.normalization(x)
    assert scale.mean.dtype == np.float32
    assert scale.apply(x).dtype == jnp.float32
    np.testing.assert_allclose(scale.apply(x), (x - x.mean()) / x.std(), rtol=1e-5, atol=1e-6)
    assert scale.apply(jnp.asarray(x, jnp.bfloat16)).dtype == jnp.bfloat16
    with jax.enable_x64(True):
        assert scale.undo(jnp.zeros((1, 4, 4, 1), jnp.float64)).dtype == jnp.float64


def test_bad_input():
    for nothing in (np.zeros((0, 3)), 1.0):
        with pytest.raises(ValueError, match="at least one example"):
            data.normalization(nothing)
    with pytest.raises(ValueError, match="expected axis 0, of the examples, among the axes, got 1"):
        data.normalization(np.ones((3, 3)), axis=1)
