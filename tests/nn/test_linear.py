"""nn.dense and nn.functional.dense."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcnn import nn

KEY = jax.random.key(0)


def x_of(*shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)


@settings(max_examples=12, deadline=None)
@given(
    leading=st.sampled_from([(), (1,), (0,), (4,), (2, 3), (2, 0, 3)]),
    width=st.sampled_from([1, 6]),
    features=st.sampled_from([1, 5]),
    use_bias=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_dense_is_x_kernel_plus_bias_for_any_leading_axes(leading, width, features, use_bias, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(*leading, width)).astype(np.float32)
    layer = nn.dense(features, use_bias=use_bias)
    params, state = layer.init(jax.random.key(seed), x)
    if use_bias:
        params["bias"] = jnp.asarray(rng.normal(size=features), jnp.float32)
    expected = np.einsum("...i,io->...o", x.astype(np.float64), np.float64(params["kernel"]))
    expected = expected + np.float64(params["bias"]) if use_bias else expected
    y = layer(params, x)
    assert y.shape == (*leading, features)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(layer.apply(params, state, x, key=KEY, train=True)[0], y)
    assert layer.apply(params, state, x)[1] == state == ()


def test_the_default_kernel_is_lecun_normal_and_the_bias_zero():
    params, _ = nn.dense(300).init(KEY, x_of(784))
    kernel = np.asarray(params["kernel"])
    assert kernel.std() == pytest.approx(784**-0.5, rel=0.01)
    assert abs(kernel.mean()) < 3 * 784**-0.5 / kernel.size**0.5
    assert np.abs(kernel).max() < 2.3 * 784**-0.5  # truncated: a normal would reach 4.5
    assert not params["bias"].any()


def test_initializers_of_your_own():
    layer = nn.dense(2, kernel_init=nn.initializers.ones, bias_init=nn.initializers.constant(3.0))
    params, _ = layer.init(KEY, x_of(5))
    np.testing.assert_array_equal(layer(params, jnp.ones((1, 5))), [[8.0, 8.0]])
    random = nn.initializers.normal(1.0)
    params, _ = nn.dense(4, kernel_init=random, bias_init=random).init(KEY, x_of(1))
    assert not np.isin(params["bias"], params["kernel"]).any()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
def test_parameters_and_output_have_the_dtype_of_x(dtype):
    with jax.enable_x64(True):
        layer = nn.dense(3)
        params, _ = layer.init(KEY, jax.ShapeDtypeStruct((7,), dtype))
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
        assert layer(params, x_of(2, 7, dtype=dtype)).dtype == dtype


def test_numpy_float64_is_float32_without_x64():
    params, _ = nn.dense(3).init(KEY, np.ones((2, 7)))
    assert params["kernel"].dtype == jnp.float32


def test_init_is_a_function_of_the_key_and_of_the_shape():
    layer = nn.dense(3)
    array, struct = x_of(4, 7), jax.ShapeDtypeStruct((4, 7), jnp.float32)
    params, _ = layer.init(KEY, array)
    jax.tree.map(np.testing.assert_array_equal, layer.init(KEY, struct)[0], params)
    jitted, _ = jax.jit(layer.init)(KEY, array)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), jitted, params)
    other, _ = layer.init(jax.random.key(1), struct)
    assert not np.array_equal(other["kernel"], params["kernel"])
    raw, _ = layer.init(jax.random.PRNGKey(0), struct)
    np.testing.assert_array_equal(raw["kernel"], params["kernel"])


def test_one_matrix_product_and_one_addition():
    layer = nn.dense(3)
    params, _ = layer.init(KEY, x_of(4, 7))
    jaxpr = jax.make_jaxpr(layer)(params, x_of(4, 7))
    primitives = [equation.primitive.name for equation in jaxpr.eqns]
    assert primitives == ["dot_general", "broadcast_in_dim", "add"]


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (0, ValueError, "dense: features must be at least 1, got 0"),
        (-3, ValueError, "dense: features must be at least 1, got -3"),
        (2.5, TypeError, "dense: features must be an integer, as in nn.dense(30), got 2.5"),
        ((3, 4), TypeError, "got a tuple of 2"),
        (None, TypeError, "got None"),
    ],
)
def test_features_that_are_no_positive_integer(features, error, message):
    with pytest.raises(error, match=re.escape(message)):
        nn.dense(features)


def test_features_may_be_any_integer_type():
    assert repr(nn.dense(np.int64(3))) == "dense(3)"


PARAMS = {"kernel": np.ones((784, 30), np.float32), "bias": np.ones(30, np.float32)}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((64, 100), np.float32), "(..., 784) to match kernel (784, 30), got (64, 100)"),
        (np.float32(1), "(..., 784) to match kernel (784, 30), got ()"),
        (np.ones((64, 28, 28, 1), np.float32), "got (64, 28, 28, 1): put nn.flatten before it"),
        (np.ones((784, 1), np.float32), "got (784, 1)"),
    ],
)
def test_x_of_the_wrong_rank_or_width(x, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.dense(30)(PARAMS, x)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool])
def test_x_of_integers(dtype):
    message = f"dense: expected floating x, got {np.dtype(dtype)} of shape (64, 784): convert it"
    x = np.ones((64, 784), dtype)
    with pytest.raises(TypeError, match=re.escape(message)):
        nn.dense(30)(PARAMS, x)
    with pytest.raises(TypeError, match=re.escape(message)):
        nn.dense(30).init(KEY, x)


@pytest.mark.parametrize("shape", [(), (64, 0)])
def test_init_from_x_without_features(shape):
    with pytest.raises(ValueError, match=re.escape(f"in at least 1, got {shape}")):
        nn.dense(30).init(KEY, jax.ShapeDtypeStruct(shape, jnp.float32))


def test_init_from_something_that_is_no_array():
    with pytest.raises(TypeError, match="expected an array x, got a list of 2"):
        nn.dense(30).init(KEY, [1.0, 2.0])


@pytest.mark.parametrize("key", [0, None])
def test_init_without_a_key(key):
    message = re.escape(f"expected a key, as from jax.random.key(0), got {key}")
    with pytest.raises(TypeError, match=message):
        nn.dense(30).init(key, x_of(7))


def test_an_initializer_that_was_not_made():
    layer = nn.dense(30, kernel_init=nn.initializers.lecun_normal)
    with pytest.raises(ValueError, match=r"expected kernel_init.* shape \(7, 30\).*made like"):
        layer.init(KEY, x_of(7))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel": np.ones((784, 30))}, "expected params {'kernel', 'bias'}, got {'kernel'}"),
        ({**PARAMS, "scale": 1}, "got {'kernel', 'bias', 'scale'}"),
        ((), "expected params {'kernel', 'bias'}, got ()"),
        ((1, 2), "expected params {'kernel', 'bias'}, got a tuple of 2"),
        (None, "expected params {'kernel', 'bias'}, got None"),
        (PARAMS["kernel"], "got an array of shape (784, 30)"),
        ({**PARAMS, "kernel": np.ones((784, 20))}, "kernel of shape (in, 30), got (784, 20)"),
        ({**PARAMS, "kernel": np.ones(30)}, "kernel of shape (in, 30), got (30,)"),
        ({**PARAMS, "bias": np.ones(1)}, "bias of shape (30,) to match kernel (784, 30), got (1,)"),
    ],
)
def test_params_of_another_model(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.dense(30)(params, x_of(64, 784))


def test_a_bias_that_the_layer_does_not_have():
    with pytest.raises(ValueError, match=re.escape("expected params {'kernel'}, got {'kernel', ")):
        nn.dense(30, use_bias=False)(PARAMS, x_of(64, 784))


def test_the_function_alone():
    x, kernel = x_of(4, 7), x_of(7, 3)
    np.testing.assert_array_equal(nn.functional.dense(x, kernel), x @ kernel)
    with pytest.raises(ValueError, match=re.escape("kernel of shape (in, out), got (7,)")):
        nn.functional.dense(x, x_of(7))


def test_gradients_are_those_of_the_formula():
    x, params = x_of(4, 7), {"kernel": x_of(7, 3), "bias": x_of(3)}
    upstream = x_of(4, 3)
    _, vjp = jax.vjp(nn.dense(3), params, x)
    gradients, x_gradient = vjp(upstream)
    np.testing.assert_allclose(gradients["kernel"], x.T @ upstream, rtol=1e-5)
    np.testing.assert_allclose(gradients["bias"], upstream.sum(0), rtol=1e-5)
    np.testing.assert_allclose(x_gradient, upstream @ params["kernel"].T, rtol=1e-5)
