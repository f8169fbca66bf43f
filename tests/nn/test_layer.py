"""Layer, stateless, as_layer."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import nn

from .example_layers import running_mean

KEY = jax.random.key(0)


def test_a_layer_with_state_needs_it():
    layer, x = running_mean(), jnp.ones((5, 2))
    params, state = layer.init(KEY, x)
    _, state = layer.apply(params, state, x, train=True)
    np.testing.assert_allclose(state["mean"], [0.1, 0.1])
    y, _ = layer.apply(params, state, x)
    np.testing.assert_allclose(y, 0.9)
    message = "expected state {'mean'}, got (): use the state that this model's init returned"
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(params, x)


def test_a_layer_that_makes_state_of_nothing_is_not_called_without():
    def apply(params, state, x, *, key=None, train=False):
        return x, jnp.ones(3)

    layer = nn.Layer(lambda key, x: ((), jnp.zeros(3)), apply, name="mine")
    with pytest.raises(ValueError, match=r"mine has state: call y, state = layer\.apply"):
        layer((), jnp.ones(2))


def test_a_layer_is_an_opaque_hashable_constant():
    layer = nn.dense(3)
    assert layer == layer
    assert layer != nn.dense(3)
    assert jax.tree.leaves(layer) == [layer]
    params, _ = layer.init(KEY, jnp.ones(2))

    @functools.partial(jax.jit, static_argnums=0)
    def run(layer, params, x):
        return layer(params, x)

    run(layer, params, jnp.ones(2))
    run(layer, params, jnp.ones(2))
    assert run._cache_size() == 1
    with pytest.raises(AttributeError):
        layer.name = "another"


def test_x_and_y_may_be_pytrees():
    swap = nn.stateless(lambda key, x: (), lambda params, x: {"a": x["b"], "b": x["a"]})
    model = nn.serial(swap, lambda x: (x["b"], x["a"]), lambda x: x[1], nn.dense(3))
    x = {"a": jnp.ones((2, 5)), "b": jnp.ones((2, 7))}
    params, _ = model.init(KEY, x)
    assert params[3]["kernel"].shape == (7, 3)
    assert model(params, x).shape == (2, 3)


def test_a_plain_function_is_a_layer_without_parameters():
    layer = nn.as_layer(jnp.tanh)
    assert layer.init(None, None) == ((), ())
    y, state = layer.apply((), (), jnp.ones(2), key=KEY, train=True)
    np.testing.assert_array_equal(y, jnp.tanh(jnp.ones(2)))
    assert state == ()
    assert nn.as_layer(layer) is layer
    assert repr(nn.as_layer(jax.nn.relu)) == "relu"
    assert repr(nn.as_layer(functools.partial(jnp.sum, axis=0))).startswith("functools.partial")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (30, "expected a Layer or a function of one array, got 30: for 30 units, nn.dense(30)"),
        (None, "expected a Layer or a function of one array, got None"),
        ("relu", "got 'relu'"),
        (dict, "got <class 'dict'>"),
        ((lambda key, x: x, lambda params, x: x), "got (<function"),
    ],
)
def test_what_is_no_layer(wrong, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        nn.as_layer(wrong)


def test_params_for_a_plain_function():
    with pytest.raises(ValueError, match=r"tanh is a plain function and has no params, got \{'k"):
        nn.as_layer(jnp.tanh)({"kernel": jnp.ones(2)}, jnp.ones(2))
