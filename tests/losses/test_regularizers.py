"""Penalties on kernels, chosen by path."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import funcnn
from funcnn import losses, nn

MODEL = nn.serial(nn.dense(3), jax.nn.relu, nn.dense(2))
PARAMS, _ = MODEL.init(jax.random.key(0), jnp.ones((1, 4)))
PARAMS = jax.tree.map(lambda w: w + 0.5, PARAMS)
KERNELS = [PARAMS[0]["kernel"], PARAMS[2]["kernel"]]


def test_kernels_and_not_biases():
    assert float(losses.l2(PARAMS)) == pytest.approx(float(optax.tree.norm(KERNELS, squared=True)))
    assert float(losses.l1(PARAMS)) == pytest.approx(sum(float(abs(w).sum()) for w in KERNELS))
    elastic = sum(float((0.3 * w**2 + abs(w)).sum()) for w in KERNELS)
    assert float(losses.elastic_net(PARAMS, 0.3)) == pytest.approx(elastic)


def test_other_leaves_by_path():
    assert losses.l2(PARAMS, "2/*") == pytest.approx(
        float(optax.tree.norm(PARAMS[2], squared=True))
    )
    everything = float(optax.tree.norm(PARAMS, squared=True))
    assert losses.l2(PARAMS, "**") == pytest.approx(everything)
    assert losses.l2(jnp.array([3.0, 4.0]), "**") == 25  # an array is a tree, too
    with pytest.raises(ValueError, match=r"no leaf matches '\*\*/kernel': the paths are w"):
        losses.l2({"w": jnp.ones(3)})
    with pytest.raises(ValueError, match="no leaf matches 'head': the paths are 0/bias, 0/kernel"):
        losses.l1(PARAMS, "head")
    with pytest.raises(TypeError, match="expected the leaf kernel of a floating dtype, got int32"):
        losses.l2({"kernel": jnp.ones(3, int)})


@pytest.mark.parametrize("grad", [jax.grad, funcnn.grad])
def test_gradients(grad):
    n, rate = 50, 0.1
    for g, w in zip(
        jax.tree.leaves(grad(lambda p: rate / (2 * n) * losses.l2(p))(PARAMS)),
        jax.tree.leaves(PARAMS),
        strict=True,
    ):
        np.testing.assert_allclose(g, (w.ndim == 2) * rate / n * w, rtol=1e-6)
    w = {"kernel": jnp.array([2.0, 0.0, -3.0])}
    np.testing.assert_array_equal(grad(losses.l1)(w)["kernel"], [1, 0, -1])
    np.testing.assert_array_equal(grad(losses.elastic_net)(w, 0.5)["kernel"], [3, 0, -4])


def test_small_dtypes_are_summed_in_float32():
    total = losses.l2({"kernel": jnp.ones(3000, jnp.bfloat16)})
    assert total.dtype == jnp.bfloat16
    assert total == jnp.bfloat16(3000)
    assert losses.l2({"a/kernel": jnp.full(2, 300, jnp.float16), "kernel": jnp.ones(2)}, "**") == (
        2 * 300.0**2 + 2
    )
