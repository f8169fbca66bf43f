"""nn.conv, nn.conv_transpose and the functions under them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from funcnn import nn
from funcnn.testing import check_grads

from .against import KEY, expect_same, params_of, quick_jit, with_flax, x_of


def conv_pair(shape, features, size, **options):
    def module(rngs):
        return nnx.Conv(shape[-1], features, size, rngs=rngs, **options)

    return with_flax(nn.conv(features, size, **options), module, x_of(*shape))


def test_conv_is_that_of_flax():
    expect_same(
        conv_pair((2, 7, 3), 4, 3),
        conv_pair((2, 7, 3), 4, (3,), strides=2, padding="VALID", use_bias=False),
        conv_pair((2, 6, 5, 3), 4, (3, 2), strides=(2, 1)),
        conv_pair((2, 6, 5, 3), 4, (3, 2), padding=2),
        conv_pair((2, 6, 5, 3), 4, (3, 2), padding=[(0, 2), 1], kernel_dilation=(1, 2)),
        conv_pair((2, 6, 5, 4), 6, (2, 2), feature_group_count=2, kernel_dilation=2),
        conv_pair((6, 5, 2), 2, (1, 1)),  # one image
        conv_pair((2, 3, 4, 4, 2), 3, (3, 3), padding="VALID"),  # two axes for the batch
        conv_pair((2, 3, 4, 3, 2), 3, (2, 2, 2), strides=(1, 2, 1)),
    )


def transpose_pair(shape, features, size, **options):
    def module(rngs):
        return nnx.ConvTranspose(shape[-1], features, size, rngs=rngs, **options)

    return with_flax(nn.conv_transpose(features, size, **options), module, x_of(*shape))


def test_conv_transpose_is_that_of_flax():
    expect_same(
        transpose_pair((2, 4, 3), 4, 3, strides=2),
        transpose_pair((2, 4, 3, 3), 2, (3, 2), strides=(2, 1), padding="VALID"),
        transpose_pair((2, 4, 3, 3), 2, (3, 2), strides=2, padding=[(1, 2), 2], use_bias=False),
        transpose_pair((4, 3, 3), 2, (2, 2), kernel_dilation=2),
        transpose_pair((2, 1, 2, 3, 2, 2), 2, (2, 2, 3), strides=2),
    )


def test_conv_transpose_is_the_transpose_of_conv():
    x, kernel, upstream = x_of(2, 8, 6, 3), x_of(3, 2, 3, 4), x_of(2, 4, 3, 4, seed=1)
    _, pull = jax.vjp(lambda x: nn.functional.conv(x, kernel, strides=2), x)
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    # SAME pads (0, 1) and (0, 0) here: its transpose, reach - 1 - before and what fills the axis up
    y = nn.functional.conv_transpose(upstream, turned, strides=2, padding=[(2, 1), (1, 1)])
    np.testing.assert_allclose(y, pull(upstream)[0], rtol=1e-5, atol=1e-5)


def by_loops(x, kernel, stride, dilation, before):
    """One image, by the formula in `conv`, one output at a time."""
    height, width, _ = x.shape
    rows = (height + 2 * before - (kernel.shape[0] - 1) * dilation - 1) // stride + 1
    columns = (width + 2 * before - (kernel.shape[1] - 1) * dilation - 1) // stride + 1
    y = np.zeros((rows, columns, kernel.shape[-1]))
    for r, c, i, j in np.ndindex(rows, columns, *kernel.shape[:2]):
        row = stride * r + dilation * i - before
        column = stride * c + dilation * j - before
        if 0 <= row < height and 0 <= column < width:
            y[r, c] += x[row, column] @ kernel[i, j]
    return y


def test_conv_is_the_formula():
    x, kernel, bias = x_of(6, 7, 2), x_of(3, 2, 2, 4), x_of(4)
    y = nn.functional.conv(x, kernel, bias, strides=2, padding=1, kernel_dilation=2)
    expected = by_loops(np.float64(x), np.float64(kernel), 2, 2, 1) + np.float64(bias)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_groups_do_not_see_one_another():
    x, kernel = x_of(2, 5, 4), x_of(3, 1, 4)
    depthwise = nn.functional.conv(x, kernel, feature_group_count=4)
    each = [nn.functional.conv(x[..., i : i + 1], kernel[..., i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(depthwise, jnp.concatenate(each, -1), rtol=1e-5, atol=1e-6)


def test_check_grads():
    down, up, x = nn.conv(2, 2, strides=2), nn.conv_transpose(2, 2, strides=2), x_of(2, 3, 2)
    params = params_of(down, x), params_of(up, x)
    check_grads(lambda params, x: up(params[1], down(params[0], x)), (params, x))


@pytest.mark.parametrize("make", [nn.conv, nn.conv_transpose])
def test_parameters_are_those_of_dense_for_each_kernel(make):
    layer = make(50, (3, 3))
    params, state = layer.init(KEY, jax.ShapeDtypeStruct((1, 8, 8, 20), jnp.float32))
    assert jax.tree.map(jnp.shape, params) == {"kernel": (3, 3, 20, 50), "bias": (50,)}
    assert np.asarray(params["kernel"]).std() == pytest.approx(180**-0.5, rel=0.03)
    assert not params["bias"].any()
    assert state == ()
    assert not layer.uses_key
    assert layer.window == nn.Window((3, 3), (1, 1), (1, 1))
    assert repr(layer) == f"{make.__name__}(50, (3, 3))"


def test_the_window_is_known():
    layer = nn.conv(5, 3, strides=2, kernel_dilation=4)
    assert layer.window == nn.Window((3,), (2,), (4,))
    assert nn.dense(3).window is None


@pytest.mark.parametrize("make", [nn.conv, nn.conv_transpose])
def test_dtypes(make):
    layer = make(2, (2,))
    with jax.enable_x64(True):
        for dtype in (jnp.float16, jnp.bfloat16, jnp.float64, jnp.complex64):
            x = jax.ShapeDtypeStruct((1, 3, 2), dtype)
            params, _ = jax.eval_shape(layer.init, KEY, x)
            assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
            assert jax.eval_shape(layer, params, x).dtype == dtype
        # float32 params and bfloat16 x promote, as in dense
        params, _ = jax.eval_shape(layer.init, KEY, jax.ShapeDtypeStruct((1, 3, 2), jnp.float32))
        x = jax.ShapeDtypeStruct((1, 3, 2), jnp.bfloat16)
        assert jax.eval_shape(layer, params, x).dtype == jnp.float32


def test_empty_batches():
    conv, transpose = nn.conv(5, (3, 3), strides=2), nn.conv_transpose(5, (3, 3), strides=2)
    params = params_of(conv, x_of(1, 8, 8, 3))
    run = quick_jit(lambda params, x, xs: (conv(params, x), conv(params, xs), transpose(params, x)))
    shapes = [y.shape for y in run(params, x_of(0, 8, 8, 3), x_of(2, 0, 8, 8, 3))]
    assert shapes == [(0, 4, 4, 5), (2, 0, 4, 4, 5), (0, 16, 16, 5)]


def test_vmap_is_a_batch():
    layer = nn.conv(2, (2, 2))
    x = x_of(5, 3, 4, 2)
    params = params_of(layer, x)
    by_vmap = jax.vmap(layer, in_axes=(None, 0))(params, x)
    np.testing.assert_allclose(by_vmap, layer(params, x), rtol=1e-5, atol=1e-6)


LAYER = nn.conv(8, (3, 3), padding="VALID")
PARAMS = {"kernel": np.ones((3, 3, 3, 8), np.float32), "bias": np.ones(8, np.float32)}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (64, 784),
            "conv: expected x of shape (..., height, width, 3) to match kernel (3, 3, 3, 8), "
            "got (64, 784)",
        ),
        ((64, 28, 28, 1), "to match kernel (3, 3, 3, 8), got (64, 28, 28, 1)"),
        ((28, 3), "got (28, 3)"),
        (
            (64, 2, 28, 3),
            "conv: the window (3, 3) is larger than x, (2, 28) in its spatial axes with padding "
            "[(0, 0), (0, 0)]: use a smaller window or padding='SAME'",
        ),
        ((64, 0, 28, 3), "the window (3, 3) is larger than x, (0, 28)"),
    ],
)
def test_x_of_the_wrong_shape(shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        LAYER(PARAMS, np.ones(shape, np.float32))
    with pytest.raises(ValueError, match=r"^\[0\]: conv: "):
        nn.serial(LAYER)((PARAMS,), np.ones(shape, np.float32))


def test_a_dilated_kernel_may_be_too_large():
    with pytest.raises(ValueError, match=re.escape("the window (5,) is larger than x, (4,)")):
        nn.functional.conv(x_of(4, 1), x_of(3, 1, 1), padding="VALID", kernel_dilation=2)


def test_one_number_is_for_sequences():
    params = {"kernel": np.ones((3, 3, 8), np.float32), "bias": np.ones(8, np.float32)}
    layer, x = nn.conv(8, 3), np.ones((64, 28, 28, 3), np.float32)
    message = re.escape("conv: kernel_size 3 is for one spatial axis, x of shape (n, length, chann")
    with pytest.raises(ValueError, match=message):
        layer(params, x)
    with pytest.raises(ValueError, match=message):
        layer.init(KEY, x)
    assert nn.conv(8, (3,))(params, x).shape == (64, 28, 28, 8)  # when said plainly


def test_x_of_integers():
    x = np.ones((64, 28, 28, 3), np.uint8)
    for make in (nn.conv, nn.conv_transpose):
        name = make.__name__
        with pytest.raises(TypeError, match=f"{name}: expected floating x, got uint8 of shape"):
            make(8, (3, 3))(PARAMS, x)
        with pytest.raises(TypeError, match=f"{name}: expected floating x, got uint8 of shape"):
            make(8, (3, 3)).init(KEY, x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"features": 0}, ValueError, "conv: features must be at least 1, got 0"),
        ({"features": 1.5}, TypeError, "an integer, as in nn.conv(8, (3, 3)), got 1.5"),
        ({"kernel_size": (3, 0)}, ValueError, "conv: kernel_size must be at least 1, got (3, 0)"),
        ({"kernel_size": (1, 1, 1, 1)}, ValueError, "kernel_size must have 1 to 3 numbers, got"),
        ({"kernel_size": ()}, ValueError, "kernel_size must have one number for each spatial axis"),
        ({"kernel_size": (3, "3")}, TypeError, "kernel_size must be integers, got (3, '3')"),
        ({"kernel_size": None}, TypeError, "kernel_size must be integers, got (None,)"),
        ({"strides": (1, 2, 3)}, ValueError, "strides must be one number or 2 numbers"),
        ({"strides": 0}, ValueError, "strides must be at least 1, got 0"),
        ({"kernel_dilation": 0}, ValueError, "kernel_dilation must be at least 1, got 0"),
        ({"padding": "same"}, ValueError, "padding must be 'SAME', 'VALID', a number, or for ea"),
        ({"padding": (1, 2, 3)}, ValueError, "for each of 2 spatial axes a number or a pair"),
        ({"padding": ((1, 2, 3), 1)}, ValueError, "got ((1, 2, 3), 1)"),
        ({"padding": None}, ValueError, "got None"),
        ({"feature_group_count": 3}, ValueError, "feature_group_count 3 must divide features 8"),
        ({"feature_group_count": 0}, ValueError, "feature_group_count must be at least 1, got 0"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        nn.conv(**{"features": 8, "kernel_size": (3, 3), **arguments})


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.conv(8, (3, 3)), (28, 3), "with 2 spatial axes for kernel_size (3, 3) and in at least"),
        (nn.conv(8, (3, 3)), (64, 28, 28, 0), "in at least 1, got (64, 28, 28, 0)"),
        (nn.conv(8, 3, feature_group_count=2), (5, 3), "divided by feature_group_count 2, got (5"),
        (nn.conv_transpose(8, 3), (3,), "conv_transpose: expected x of shape (..., *spatial, in)"),
    ],
)
def test_init_from_the_wrong_shape(layer, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.init(KEY, jax.ShapeDtypeStruct(shape, jnp.float32))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel": PARAMS["kernel"]}, "expected params {'kernel', 'bias'}, got {'kernel'}"),
        ((), "expected params {'kernel', 'bias'}, got ()"),
        (
            {**PARAMS, "kernel": np.ones((3, 3, 3, 9))},
            "conv: expected a kernel of shape (3, 3, in, 8), got (3, 3, 3, 9): use the params",
        ),
        ({**PARAMS, "kernel": np.ones((3, 3, 8))}, "got (3, 3, 8)"),
        ({**PARAMS, "bias": np.ones(1)}, "bias of shape (8,) to match kernel (3, 3, 3, 8), got"),
    ],
)
def test_params_of_another_model(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        LAYER(params, x_of(1, 5, 5, 3))


def test_the_function_alone_says_what_is_wrong():
    with pytest.raises(
        ValueError, match=re.escape("with a kernel_size of 1 to 3 numbers, got (3,")
    ):
        nn.functional.conv(x_of(1, 5, 3), x_of(3, 3))
    with pytest.raises(ValueError, match="feature_group_count 2 must divide the 3 features"):
        nn.functional.conv(x_of(1, 5, 2), x_of(3, 1, 3), feature_group_count=2)
    with pytest.raises(TypeError, match=r"expected a key, as from jax\.random\.key"):
        nn.conv(8, 3).init(0, x_of(5, 3))
    with pytest.raises(
        TypeError, match=r"conv: feature_group_count must be an integer, .* got 2\.0"
    ):
        nn.functional.conv(jnp.ones((5, 2)), jnp.ones((3, 1, 2)), feature_group_count=2.0)
