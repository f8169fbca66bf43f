import re

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


@pytest.mark.parametrize(
    ("shape", "given", "expected"),
    [
        ((5, 24), (2, 3, 4), (5, 2, 3, 4)),
        ((5, 4, 6), (3, -1), (5, 3, 8)),
        ((0, 24), (-1, 4), (0, 6, 4)),
        ((5, 1), (), (5,)),
        ((5,), (1, -1), (5, 1, 1)),
        ((5, 0, 3), (2, -1), (5, 2, 0)),
        ((5, 0, 3), (0, 7), (5, 0, 7)),
    ],
)
def test_reshape_keeps_the_batch_and_the_order(shape, given, expected):
    x = np.arange(np.prod(shape)).reshape(shape)
    y = nn.reshape(*given)((), x)
    assert y.shape == expected
    np.testing.assert_array_equal(y, x.reshape(expected))


def test_reshape_as_a_layer():
    layer = nn.reshape(28, 28, -1)
    assert repr(layer) == "reshape(28, 28, -1)"
    assert not layer.uses_key
    message = re.escape(
        "[1]: reshape: expected x of shape (n, ...) whose examples fit into (28, 28"
    )
    with pytest.raises(ValueError, match=message):
        nn.serial(jnp.tanh, layer)(((), ()), jnp.ones((5, 785)))
    with pytest.raises(ValueError, match=re.escape("fit into (3,), got (5, 2)")):
        nn.reshape(3)((), jnp.ones((5, 2)))
    with pytest.raises(ValueError, match=re.escape("fit into (), got ()")):
        nn.reshape()((), 1.0)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((-1, -1), ValueError, "expected sizes and at most one -1, got (-1, -1)"),
        ((-2,), ValueError, "expected sizes and at most one -1, got (-2,)"),
        (((28, 28),), TypeError, "as in nn.reshape(28, 28, 1), got a tuple of 2"),
        ((2.0, None), TypeError, "got 2.0, None"),
    ],
)
def test_wrong_shapes(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        nn.reshape(*given)
