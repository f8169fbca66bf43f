"""The activations of row 12, the perceptron of row 1, maxout."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import nn
from funcnn.testing import check_grads

from .against import KEY, params_of, quick_jit, x_of


def logistic(x):
    return 1 / (1 + math.exp(-x))


ROW_12 = [  # values at -2, 0 and 1, gradients at -2 and 1
    (
        jax.nn.sigmoid,
        [logistic(-2), 0.5, logistic(1)],
        [logistic(-2) * logistic(2), logistic(1) * logistic(-1)],
    ),
    (jnp.tanh, [math.tanh(-2), 0, math.tanh(1)], [1 - math.tanh(2) ** 2, 1 - math.tanh(1) ** 2]),
    (jax.nn.relu, [0, 0, 1], [0, 1]),
    (nn.leaky_relu, [-0.2, 0, 1], [0.1, 1]),
    (jax.nn.elu, [math.exp(-2) - 1, 0, 1], [math.exp(-2), 1]),
    (lambda x: jax.nn.elu(x, 0.5), [(math.exp(-2) - 1) / 2, 0, 1], [math.exp(-2) / 2, 1]),
    (nn.step, [0, 1, 1], [0, 0]),
]


def test_row_12():
    @quick_jit
    def run(x):
        results = []
        for activation, _, _ in ROW_12:
            grads = [
                grad(lambda x, f=activation: f(x).sum())(x) for grad in (funcnn.grad, jax.grad)
            ]
            results.append((activation(x), *grads))
        return results

    for (_, values, gradients), result in zip(
        ROW_12, run(jnp.array([-2.0, 0.0, 1.0])), strict=True
    ):
        y, gradient, by_jax = result
        np.testing.assert_allclose(y, values, rtol=1e-6)
        np.testing.assert_allclose(gradient[::2], gradients, rtol=1e-6)
        np.testing.assert_allclose(gradient, by_jax, rtol=1e-6)


def test_softmax():  # row 12; scores of deck B, row 14
    y = jax.nn.softmax(jnp.array([-2.85, 0.86, 0.28]))
    scores = np.exp([-2.85, 0.86, 0.28])
    np.testing.assert_allclose(y, scores / scores.sum(), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float64])
def test_dtypes(dtype):
    with jax.enable_x64(True):
        x = jnp.array([-1.0, 2.0], dtype)
        for activation in (nn.leaky_relu, nn.step):
            assert activation(x).dtype == dtype
        for make in (nn.perceptron, nn.maxout):
            layer = make(3)
            params, _ = jax.eval_shape(layer.init, KEY, x)
            assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
            assert jax.eval_shape(layer, params, x).dtype == dtype


def test_step_of_nan_and_of_zeros():
    y = nn.step(jnp.array([jnp.nan, -0.0, -jnp.inf, jnp.inf]))
    np.testing.assert_array_equal(y, [jnp.nan, 1, 0, 1])


X = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.0, [1, 1, 1, 1]), (1.0, [0, 1, 1, 1]), (2.0, [0, 0, 0, 1])]
)
def test_a_perceptron_fires_from_its_threshold_on(threshold, expected):  # row 1
    params = {"kernel": jnp.ones((2, 1)), "bias": jnp.array([-threshold])}
    np.testing.assert_array_equal(nn.perceptron(1)(params, X).ravel(), expected)
    alone = nn.functional.perceptron(X, params["kernel"], params["bias"])
    np.testing.assert_array_equal(alone.ravel(), expected)


def test_no_gradient_goes_through_a_perceptron():
    layer = nn.perceptron(3)
    assert repr(layer) == "perceptron(3)"
    params = params_of(layer, X)
    assert jax.tree.map(jnp.shape, params) == {"kernel": (2, 3), "bias": (3,)}
    gradient = funcnn.grad(lambda params: layer(params, X).sum())(params)
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient))
    with pytest.raises(ValueError, match=re.escape("expected params {'kernel', 'bias'}, got ()")):
        layer((), X)


@pytest.mark.parametrize("use_bias", [True, False])
def test_maxout_is_the_largest_of_its_pieces(use_bias):
    layer, x = nn.maxout(5, 3, use_bias=use_bias), x_of(4, 2)
    params = params_of(layer, x)
    kernel, bias = params["kernel"], params.get("bias", np.zeros((3, 5)))
    expected = np.max([x @ w + b for w, b in zip(kernel, bias, strict=True)], axis=0)
    run = quick_jit(lambda params, x: (layer(params, x), layer(params, x[0]), layer(params, x[:0])))
    y, single, empty = run(params, x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(single, expected[0], rtol=1e-5, atol=1e-6)
    assert empty.shape == (0, 5)
    assert repr(layer) == "maxout(5, 3)"


def test_maxout_of_the_decks_is_relu_and_leaky_relu():
    x = x_of(20, 1)
    for slope, activation in ((0.0, jax.nn.relu), (0.1, nn.leaky_relu)):
        params = {"kernel": jnp.array([[[1.0]], [[slope]]]), "bias": jnp.zeros((2, 1))}
        np.testing.assert_allclose(nn.maxout(1)(params, x), activation(x), rtol=1e-6)


def test_pieces_of_maxout_begin_as_dense_layers():
    params, state = nn.maxout(200).init(KEY, jax.ShapeDtypeStruct((300,), jnp.float32))
    assert jax.tree.map(jnp.shape, params) == {"kernel": (2, 300, 200), "bias": (2, 200)}
    np.testing.assert_allclose(params["kernel"].std((1, 2)), 300**-0.5, rtol=0.02)
    assert not np.array_equal(*params["kernel"])
    assert state == ()


def test_check_grads():
    layer, x = nn.maxout(2), x_of(3, 2)
    check_grads(lambda params, x: nn.leaky_relu(layer(params, x)), (params_of(layer, x), x))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel": x_of(2, 3, 5)}, "expected params {'kernel', 'bias'}, got {'kernel'}"),
        ({"kernel": x_of(3, 3, 5), "bias": x_of(3, 5)}, "of shape (2, in, 5), got (3, 3, 5): use"),
        ({"kernel": x_of(2, 3, 5), "bias": x_of(5)}, "bias of shape (2, 5) to match kernel (2, 3"),
        ({"kernel": x_of(2, 4, 5), "bias": x_of(2, 5)}, "dense: expected x of shape (..., 4) to m"),
    ],
)
def test_params_of_another_model(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.maxout(5)(params, x_of(2, 3))


def test_wrong_sizes():
    with pytest.raises(ValueError, match="maxout: pieces must be at least 1, got 0"):
        nn.maxout(5, 0)
    with pytest.raises(TypeError, match=re.escape("as in nn.maxout(30, 2), got 1.5")):
        nn.maxout(5, 1.5)
    with pytest.raises(ValueError, match=re.escape("(pieces, in, units), got (3, 5)")):
        nn.functional.maxout(x_of(2, 3), x_of(3, 5))
    with pytest.raises(TypeError, match="expected a key"):
        nn.maxout(5).init(0, x_of(2, 3))
