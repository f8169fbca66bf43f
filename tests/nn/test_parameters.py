import jax
import jax.numpy as jnp
import pytest

from funcnn import nn

X = jax.ShapeDtypeStruct((1, 784), jnp.float32)
DECK_A = nn.serial(nn.dense(30), jax.nn.sigmoid, nn.dense(30), jax.nn.sigmoid, nn.dense(10))


def test_784_30_30_10_has_24790_parameters():  # deck A, row 11
    params, _ = DECK_A.init(jax.random.key(0), X)
    assert nn.count_parameters(params) == 24_790


def test_shapes_are_enough_to_count():
    params, _ = jax.eval_shape(DECK_A.init, jax.random.key(0), X)
    assert nn.count_parameters(params) == 24_790


def test_scalars_and_nothing():
    assert nn.count_parameters({"a": jnp.ones(()), "b": jnp.ones((2, 0)), "c": ()}) == 1
    assert nn.count_parameters(()) == 0


def test_a_model_in_the_place_of_its_params():
    with pytest.raises(TypeError, match=r"expected a pytree of arrays, got dense\(30\) in it"):
        nn.count_parameters(nn.dense(30))
