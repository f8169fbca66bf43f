import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import nn


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 2, 3, 4), (5, 24)),
        ((5, 7), (5, 7)),
        ((5,), (5, 1)),
        ((0, 2, 3), (0, 6)),
        ((5, 0, 3), (5, 0)),
    ],
)
def test_flatten_keeps_the_batch_and_the_order(shape, expected):
    x = np.arange(np.prod(shape)).reshape(shape)
    y = nn.flatten(x)
    assert y.shape == expected
    np.testing.assert_array_equal(y, x.reshape(expected))


def test_flatten_of_a_scalar():
    with pytest.raises(ValueError, match="flatten: expected x of shape"):
        nn.flatten(1.0)


def test_ravel_is_flatten_for_a_single_example():
    x = jnp.arange(24.0).reshape(4, 3, 2)
    batched, single = nn.serial(nn.flatten, nn.dense(5)), nn.serial(jnp.ravel, nn.dense(5))
    params, _ = batched.init(jax.random.key(0), x)
    by_vmap = jax.vmap(single, in_axes=(None, 0))(params, x)
    np.testing.assert_allclose(by_vmap, batched(params, x), rtol=1e-5)
