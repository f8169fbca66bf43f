"""Regression metrics, held against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn

from funcnn import metrics

SCIKIT_LEARNS = {
    "mean_squared_error": sklearn.mean_squared_error,
    "mean_absolute_error": sklearn.mean_absolute_error,
    "r2": sklearn.r2_score,
}


@pytest.mark.parametrize("shape", [(2,), (30,), (30, 3)])
@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_as_scikit_learn(shape, far):
    rng = np.random.default_rng(0)
    y = (rng.normal(size=shape) + far).astype(np.float32)
    h = (y + 0.5 * rng.normal(size=shape)).astype(np.float32)
    for name, theirs in SCIKIT_LEARNS.items():
        ours = getattr(metrics, name)(h, y)
        assert ours.dtype == jnp.float32
        assert float(ours) == pytest.approx(theirs(y.astype(float), h.astype(float)), rel=1e-4)


def test_streamed_over_batches_in_a_compiled_loop():
    rng = np.random.default_rng(0)
    y = (rng.normal(size=(6, 10)) + 100).astype(np.float32)
    h = (y + 0.5 * rng.normal(size=(6, 10))).astype(np.float32)

    @jax.jit
    def total(h, y):
        def add(sums, batch):
            batchs = metrics.regression_sums(*batch, center=99.0)
            return jax.tree.map(jnp.add, sums, batchs), None

        start = jax.tree.map(jnp.zeros_like, metrics.regression_sums(h[0], y[0]))
        sums, _ = jax.lax.scan(add, start, (h, y))
        return {name: getattr(metrics, f"{name}_from_sums")(sums) for name in SCIKIT_LEARNS}

    for name, ours in total(h, y).items():
        assert float(ours) == pytest.approx(SCIKIT_LEARNS[name](y.ravel(), h.ravel()), rel=1e-4)


def test_targets_that_do_not_vary():
    y = np.full(7, 0.1, np.float32)  # whose mean is another number, for scikit-learn
    assert metrics.r2(y, y) == sklearn.r2_score(y + 0.4, y + 0.4) == 1
    assert metrics.r2(y + 0.5, y) == sklearn.r2_score(np.full(7, 0.5), np.ones(7)) == 0
    both = np.stack([y + 0.4, np.arange(7, dtype=np.float32)], axis=1)
    assert float(metrics.r2(both + 0.1, both)) == pytest.approx(
        sklearn.r2_score(both, both + 0.1), rel=1e-4
    )


def test_too_few_examples():
    assert np.isnan(metrics.r2(jnp.ones(1), jnp.ones(1)))
    assert np.isnan(metrics.r2(jnp.ones(0), jnp.ones(0)))
    assert np.isnan(metrics.mean_squared_error(jnp.ones(0), jnp.ones(0)))


def test_half_precision_is_summed_in_float32():
    h = jnp.ones(3001, jnp.bfloat16)
    assert metrics.mean_squared_error(h, jnp.zeros(3001, int)) == 1


def test_bad_input():
    with pytest.raises(ValueError, match=r"\(n, ...\), got \(3, 1\) and \(3,\)"):
        metrics.mean_squared_error(jnp.ones((3, 1)), jnp.ones(3))
    with pytest.raises(ValueError, match=r"got \(\) and \(\)"):
        metrics.r2(jnp.float32(1), jnp.float32(1))
    with pytest.raises(TypeError, match="expected predictions of a floating dtype, got int32"):
        metrics.mean_absolute_error(jnp.ones(3, int), jnp.ones(3, int))


def test_unsigned_targets_do_not_wrap_around():
    y = np.arange(2000, 0, -3).astype(np.uint32)
    h = y + np.sin(y).astype(np.float32)
    assert float(metrics.r2(h, y)) == pytest.approx(sklearn.r2_score(y, h), rel=1e-6)
