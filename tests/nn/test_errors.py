"""Errors name the path of the layer, and keep their type and traceback."""

import re
import traceback

import jax
import jax.numpy as jnp
import pytest

from funcnn import nn

KEY = jax.random.key(0)
X = jnp.ones((4, 8))


class TwoParts(Exception):
    pass


def raising(error):
    def layer_of_mine(x):
        raise error

    return layer_of_mine


def deep(layer):
    return nn.serial(
        nn.flatten, jnp.tanh, nn.serial(conv1=nn.serial(jnp.tanh, layer), act=jnp.tanh)
    )


PARAMS = ((), (), {"conv1": ((), ()), "act": ()})


def apply_plain(model):
    return model(PARAMS, X)


def apply_jit(model):
    return jax.jit(model)(PARAMS, X)


def apply_grad(model):
    return jax.grad(lambda x: model(PARAMS, x).sum())(X)


def apply_vmap(model):
    return jax.vmap(model, in_axes=(None, 0))(PARAMS, X)


def apply_scan(model):
    return jax.lax.scan(lambda carry, x: (carry, model(PARAMS, x)), 0, X)


def init(model):
    return model.init(KEY, X)


@pytest.mark.parametrize("run", [apply_plain, apply_jit, apply_grad, apply_vmap, apply_scan, init])
@pytest.mark.parametrize("kind", [ValueError, TypeError, NotImplementedError, RuntimeError])
def test_the_message_starts_with_the_path(run, kind):
    error = kind("expected NHWC input")
    with pytest.raises(kind) as caught:
        run(deep(raising(error)))
    assert caught.value is error
    assert str(error) == "[2]['conv1'][1]: expected NHWC input"
    assert error.layer_path == "[2]['conv1'][1]"
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames[-1] == "layer_of_mine"


@pytest.mark.parametrize("error", [KeyError("kernel"), TwoParts("a", 2), TwoParts()])
def test_an_error_without_a_plain_message_gets_a_note(error):
    text = str(error)
    with pytest.raises(type(error)):
        apply_plain(deep(raising(error)))
    assert str(error) == text
    assert error.__notes__[-1] == "in layer [2]['conv1'][1]"


def test_errors_of_jax_get_the_path_too():
    with pytest.raises(ValueError, match=r"^\[2\]\['conv1'\]\[1\]: Incompatible shapes"):
        apply_plain(deep(lambda x: x + jnp.ones(7)))
    with pytest.raises(jax.errors.TracerBoolConversionError, match=r"^\[2\]\['conv1'\]\[1\]: "):
        init(deep(lambda x: x if x.sum() > 0 else -x))


def test_an_interrupt_is_left_alone():
    error = KeyboardInterrupt("stop")
    with pytest.raises(KeyboardInterrupt):
        apply_plain(deep(raising(error)))
    assert str(error) == "stop"


def test_a_message_that_looks_like_a_path_is_kept():
    with pytest.raises(ValueError, match=re.escape("[2]['conv1'][1]: [1]: odd")):
        apply_plain(deep(raising(ValueError("[1]: odd"))))


def test_a_dense_in_a_serial_names_itself():
    model = nn.serial(nn.flatten, nn.serial(hidden=nn.dense(30), act=jnp.tanh, out=nn.dense(10)))
    params, _ = model.init(KEY, jnp.ones((64, 28, 28)))
    message = "[1]['hidden']: dense: expected x of shape (..., 784) to match kernel (784, 30), got"
    with pytest.raises(ValueError, match=re.escape(message + " (64, 100)")):
        model(params, jnp.ones((64, 10, 10)))
    params[1]["out"] = {"kernel": params[1]["out"]["kernel"]}
    message = "[1]['out']: expected params {'kernel', 'bias'}, got {'kernel'}: use the params that"
    with pytest.raises(ValueError, match=re.escape(message)):
        model(params, jnp.ones((64, 28, 28)))


def test_integer_images():
    model = nn.serial(nn.flatten, nn.dense(30))
    message = "[1]: dense: expected floating x, got uint8 of shape (64, 784): convert it, and scale"
    with pytest.raises(TypeError, match=re.escape(message)):
        model.init(KEY, jnp.ones((64, 28, 28), jnp.uint8))


def test_dense_without_brackets():
    model = nn.serial(nn.flatten, nn.dense)
    message = "[1]: dense: features must be an integer, as in nn.dense(30), got an array of shape"
    with pytest.raises(TypeError, match=re.escape(message + " (4, 8)")):
        model.init(KEY, X)
    with pytest.raises(TypeError, match=re.escape(message + " (4, 8)")):
        model(((), ()), X)
