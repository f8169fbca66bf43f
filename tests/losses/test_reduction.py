"""The mean over what a mask keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import losses


def test_the_weighted_mean_is_numpys():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(5, 3)).astype(np.float32), rng.uniform(size=(5, 3))
    assert float(losses.mean(values)) == pytest.approx(values.mean(), rel=1e-5)
    for w in (weights, weights > 0.5, (4 * weights).astype(int)):
        expected = np.average(values, weights=w)
        assert float(losses.mean(values, w)) == pytest.approx(expected, rel=1e-5)
    by_example = np.average(values.mean(-1), weights=weights[:, 0])
    assert float(losses.mean(values, weights[:, 0])) == pytest.approx(by_example, rel=1e-5)
    assert float(losses.mean(values, 2.0)) == pytest.approx(values.mean(), rel=1e-5)


@pytest.mark.parametrize("grad", [jax.grad, funcnn.grad])
def test_what_is_left_out_leaves_no_trace(grad):
    values, mask = jnp.array([1.0, jnp.nan, 3.0, jnp.inf]), jnp.array([1, 0, 1, 0])
    assert losses.mean(values, mask) == 2
    np.testing.assert_array_equal(grad(losses.mean)(values, mask), [0.5, 0, 0.5, 0])


def test_an_empty_mask():
    values, mask = jnp.array([1.0, jnp.nan]), jnp.zeros(2, bool)
    assert losses.mean(values, mask) == 0
    np.testing.assert_array_equal(jax.grad(losses.mean)(values, mask), [0, 0])
    assert losses.mean(jnp.zeros((0, 3))) == 0


def test_dtypes():
    ones = jnp.ones(3001, jnp.bfloat16)
    assert losses.mean(ones) == 1  # counted in bfloat16, 3001 ones are 256
    assert losses.mean(ones).dtype == jnp.bfloat16
    assert losses.mean(jnp.ones(3), np.ones(3)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert losses.mean(jnp.ones(3, jnp.float64), jnp.ones(3)).dtype == jnp.float64
        assert losses.mean(jnp.ones(3, jnp.float32), jnp.ones(3)).dtype == jnp.float32


def test_bad_weights():
    with pytest.raises(ValueError, match=r"of values, \(5, 3\), or of its first axes, got \(3,\)"):
        losses.mean(jnp.ones((5, 3)), jnp.ones(3))
    with pytest.raises(TypeError, match="expected values of a floating dtype, got int32"):
        losses.mean(jnp.ones(3, int))


def test_weights_of_classes():
    rng = np.random.default_rng(0)
    logits, labels = jnp.asarray(rng.normal(size=(6, 3)), jnp.float32), rng.integers(0, 3, 6)
    class_weights = jnp.array([0.2, 1.0, 5.0])
    terms = losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    w = np.asarray(class_weights)[labels]
    assert float(losses.mean(terms, class_weights[labels])) == pytest.approx(
        (w * np.asarray(terms)).sum() / w.sum(), rel=1e-6
    )
