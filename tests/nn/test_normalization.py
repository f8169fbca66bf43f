"""batch_norm, layer_norm, group_norm, rms_norm: layers and functions."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import funcnn
from funcnn import nn
from funcnn.testing import check_grads

from .against import KEY, expect_same, params_of, quick_jit, with_flax, x_of


def test_norms_without_state_are_those_of_flax():
    x, images = x_of(4, 6), x_of(2, 4, 3, 6)
    expect_same(
        with_flax(nn.layer_norm(), lambda rngs: nnx.LayerNorm(6, rngs=rngs), images),
        with_flax(
            nn.layer_norm(epsilon=0.1, use_bias=False),
            lambda rngs: nnx.LayerNorm(6, epsilon=0.1, use_bias=False, rngs=rngs),
            x[0],
        ),
        with_flax(nn.rms_norm(), lambda rngs: nnx.RMSNorm(6, rngs=rngs), images),
        with_flax(
            nn.rms_norm(epsilon=0.1, use_scale=False),
            lambda rngs: nnx.RMSNorm(6, epsilon=0.1, use_scale=False, rngs=rngs),
            x,
        ),
        with_flax(nn.group_norm(3), lambda rngs: nnx.GroupNorm(6, 3, rngs=rngs), images),
        with_flax(
            nn.group_norm(2, epsilon=0.1, use_scale=False),
            lambda rngs: nnx.GroupNorm(6, 2, epsilon=0.1, use_scale=False, rngs=rngs),
            x,
        ),
        with_flax(nn.group_norm(6), lambda rngs: nnx.InstanceNorm(6, rngs=rngs), images),
    )


def test_batch_norm_is_that_of_flax_over_several_steps():
    layer = nn.batch_norm(momentum=0.8, epsilon=0.01)
    batches = 3.0 + 2.0 * x_of(4, 5, 2, 3)
    params, state = layer.init(KEY, batches[0])
    module = nnx.BatchNorm(3, momentum=0.8, epsilon=0.01, rngs=nnx.Rngs(0))
    initial = {"mean": module.mean[...], "var": module.var[...]}
    jax.tree.map(np.testing.assert_array_equal, state, initial)
    params = {"scale": x_of(3), "bias": x_of(3, seed=1)}
    module.scale[...], module.bias[...] = params["scale"], params["bias"]

    def step(state, x):
        def loss(params, x):
            y, after = layer.apply(params, state, x, train=True)
            return jnp.sum(y * jnp.cos(y)), (y, after)

        gradient, (y, after) = funcnn.grad(loss, (0, 1), has_aux=True)(params, x)
        return after, (y, gradient)

    @nnx.jit
    def flax_step(module, x):
        def loss(module, x):
            y = module(x)
            return jnp.sum(y * jnp.cos(y)), y

        gradient = nnx.grad(loss, argnums=(nnx.DiffState(0, nnx.Param), 1), has_aux=True)
        (of_params, of_x), y = gradient(module, x)
        return y, ({name: of_params[name][...] for name in ("scale", "bias")}, of_x)

    jitted = quick_jit(step)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    for x in batches:
        state, ours = jitted(state, x)
        jax.tree.map(close, ours, flax_step(module, x))
        jax.tree.map(close, state, {"mean": module.mean[...], "var": module.var[...]})
    module.eval()
    y, same = layer.apply(params, state, batches[0])
    close(y, module(batches[0]))
    assert same is state

    scanned, (y, _) = jax.lax.scan(step, layer.init(KEY, batches[0])[1], batches)
    jax.tree.map(close, scanned, state)
    close(y[-1], ours[0])


def test_batch_norm_normalizes():
    layer, x = nn.batch_norm(use_scale=False, use_bias=False), 5.0 + 3.0 * x_of(8, 4, 4, 3)
    params, state = layer.init(KEY, x)
    assert params == {}
    y = np.asarray(layer.apply(params, state, x, train=True)[0])
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.var((0, 1, 2)), 1, atol=1e-4)
    untouched, _ = layer.apply(params, state, x)  # the running statistics are still 0 and 1
    np.testing.assert_allclose(untouched, x, rtol=1e-4)


def test_a_large_mean_leaves_the_variance_exact():
    x = jnp.array([[4096.25, 4096.75, 4097.25, 4097.75]]).T  # mean 4097, variance 0.3125
    mean, var = nn.functional.batch_moments(x)
    assert (float(mean[0]), float(var[0])) == (4097.0, 0.3125)
    y = nn.functional.layer_norm(x.ravel(), epsilon=0.0)
    np.testing.assert_allclose(y, np.array([-3, -1, 1, 3]) / 5**0.5, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float64])
def test_dtypes(dtype):
    with jax.enable_x64(True):
        x = (10 + x_of(64, 4)).astype(dtype)
        exact = np.float64(x)
        by_row = (exact - exact.mean(-1, keepdims=True)) / exact.std(-1, keepdims=True)
        by_column = (exact - exact.mean(0)) / exact.std(0)
        tolerance = 4 * float(jnp.finfo(dtype).eps)  # rounded once: statistics are not in bfloat16
        f = nn.functional

        @quick_jit
        def norms(x):
            return (
                f.batch_norm(x, *f.batch_moments(x), epsilon=0.0),
                f.layer_norm(x, epsilon=0.0),
                f.group_norm(x, 1, epsilon=0.0),
                f.rms_norm(x, epsilon=0.0),
            )

        by_root_mean_square = exact / (exact**2).mean(-1, keepdims=True) ** 0.5
        expectations = by_column, by_row, by_row, by_root_mean_square
        for y, expected in zip(norms(x), expectations, strict=True):
            assert y.dtype == dtype
            np.testing.assert_allclose(np.float64(y), expected, rtol=tolerance, atol=1e-5)
        params, state = jax.eval_shape(nn.batch_norm().init, KEY, x)
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {x.dtype}
        wide = jnp.promote_types(dtype, jnp.float32)
        assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {wide}
        train = lambda *args: nn.batch_norm().apply(*args, train=True)
        y, after = jax.eval_shape(train, params, state, x)
        assert y.dtype == dtype
        assert after == state
        # in mixed precision the running statistics stay what they are
        float32 = jax.eval_shape(nn.batch_norm().init, KEY, x.astype(jnp.float32))[1]
        assert jax.eval_shape(train, params, float32, x)[1] == float32


def test_complex_numbers():
    x = x_of(8, 3) + 1j * x_of(8, 3, seed=1)
    layer = nn.batch_norm(epsilon=0.0)
    params, state = layer.init(KEY, x)
    y, after = quick_jit(partial(layer.apply, train=True))(params, state, x)
    np.testing.assert_allclose(y, (x - x.mean(0)) / x.std(0), rtol=1e-5, atol=1e-6)
    assert jax.tree.map(lambda a: a.dtype, after) == jax.tree.map(lambda a: a.dtype, state)


def test_constant_channels_are_finite():
    f = nn.functional

    @quick_jit
    def values_and_gradients(x):
        norms = (
            lambda x: f.batch_norm(x, *f.batch_moments(x)),
            f.layer_norm,
            lambda x: f.group_norm(x, 2),
            lambda x: f.rms_norm(0 * x),
        )
        return [jax.value_and_grad(lambda x, norm=norm: norm(x).sum())(x) for norm in norms]

    for value, gradient in values_and_gradients(jnp.ones((4, 6))):
        assert value == 0
        assert np.isfinite(gradient).all()


def test_check_grads():
    x = x_of(3, 4)
    layers = nn.layer_norm(), nn.group_norm(2), nn.rms_norm(use_scale=False)
    params = [params_of(layer, x) for layer in layers]
    batch, of_batch = nn.batch_norm(), {"scale": x_of(4), "bias": x_of(4)}
    state = {"mean": x_of(4), "var": x_of(4) ** 2}

    def all_of_them(params, of_batch, state, x):
        others = [layer(p, x) for layer, p in zip(layers, params, strict=True)]
        return others, batch.apply(of_batch, state, x, train=True)

    check_grads(all_of_them, (params, of_batch, state, x))


def test_what_the_layers_are():
    for layer, shown in (
        (nn.batch_norm(), "batch_norm()"),
        (nn.layer_norm(), "layer_norm()"),
        (nn.group_norm(2), "group_norm(2)"),
        (nn.rms_norm(), "rms_norm()"),
    ):
        assert repr(layer) == shown
        assert not layer.uses_key
        params, _ = layer.init(KEY, x_of(5, 4))
        expected = {"scale": jnp.ones(4), "bias": jnp.zeros(4)}
        if shown == "rms_norm()":
            del expected["bias"]
        jax.tree.map(np.testing.assert_array_equal, params, expected)
    init = nn.initializers.normal(1.0)
    params, _ = nn.layer_norm(scale_init=init, bias_init=init).init(KEY, x_of(5, 4))
    assert not np.isin(params["bias"], params["scale"]).any()


def test_empty_batches():
    x = x_of(0, 3, 4)
    for layer in (nn.layer_norm(), nn.group_norm(2), nn.rms_norm(), nn.batch_norm()):
        y, _ = quick_jit(layer.apply)(*layer.init(KEY, x), x)
        assert y.shape == (0, 3, 4)


@pytest.mark.parametrize("shape", [(1, 3), (3,), (0, 3), (1, 1, 1, 3)])
def test_a_batch_of_one_in_training(shape):
    model = nn.serial(jnp.tanh, norm := nn.batch_norm())
    params, state = model.init(KEY, jax.ShapeDtypeStruct(shape, jnp.float32))
    message = "[1]: batch_norm: training needs at least two values for each channel to normalize by"
    with pytest.raises(ValueError, match=re.escape(f"{message}, got x of shape {shape}: use a l")):
        model.apply(params, state, jnp.ones(shape), train=True)
    assert jax.eval_shape(model.apply, params, state, jnp.ones(shape))[0].shape == shape
    two_places = partial(norm.apply, train=True)
    assert jax.eval_shape(two_places, params[1], state[1], jnp.ones((1, 2, 3)))[0].shape


def test_batch_norm_without_its_state():
    layer = nn.batch_norm()
    params, _ = layer.init(KEY, x_of(5, 3))
    with pytest.raises(ValueError, match=re.escape("expected state {'mean', 'var'}, got (): use")):
        layer(params, x_of(5, 3))


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan")])
def test_wrong_momentum(momentum):
    message = re.escape(f"batch_norm: momentum must be in [0, 1], got {momentum}")
    with pytest.raises(ValueError, match=message):
        nn.batch_norm(momentum=momentum)


LAYERS = [nn.batch_norm(), nn.layer_norm(), nn.group_norm(2), nn.rms_norm()]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_wrong_input(layer):
    name = layer.name.partition("(")[0]
    params, state = layer.init(KEY, x_of(5, 4))
    with pytest.raises(ValueError, match=re.escape(f"{name}: expected x of shape (..., 4) to mat")):
        layer.apply(params, state, x_of(5, 6))
    with pytest.raises(ValueError, match=re.escape(f"{name}: expected x of shape (..., channels)")):
        layer.apply(params, state, jnp.float32(1))
    for shape in ((), (5, 0)):
        with pytest.raises(ValueError, match=f"channels at least 1, got {re.escape(str(shape))}"):
            layer.init(KEY, jax.ShapeDtypeStruct(shape, jnp.float32))
    integers = np.ones((5, 4), np.uint8)
    for run in (lambda: layer.init(KEY, integers), lambda: layer.apply(params, state, integers)):
        with pytest.raises(TypeError, match=f"{name}: expected floating x, got uint8 of shape"):
            run()
    with pytest.raises(ValueError, match=re.escape("expected params {'scale'")):
        layer.apply({"kernel": jnp.ones(4)}, state, x_of(5, 4))
    with pytest.raises(TypeError, match="expected a key"):
        layer.init(0, x_of(5, 4))


def test_state_of_another_width():
    params, _ = LAYERS[0].init(KEY, x_of(5, 4))
    _, state = LAYERS[0].init(KEY, x_of(5, 1))
    message = "batch_norm: expected mean and var of shape (4,) to match x of shape (5, 4), got (1,)"
    with pytest.raises(ValueError, match=re.escape(message)):
        LAYERS[0].apply(params, state, x_of(5, 4))


@pytest.mark.parametrize("groups", [4, 7])
def test_groups_that_do_not_divide(groups):
    message = re.escape(f"channels in {groups} groups of the same size, got (5, 6)")
    with pytest.raises(ValueError, match=message):
        nn.functional.group_norm(x_of(5, 6), groups)
    with pytest.raises(ValueError, match="group_norm: expected x of shape"):
        nn.functional.group_norm(x_of(6), 2)


def test_wrong_number_of_groups():
    with pytest.raises(ValueError, match="group_norm: num_groups must be at least 1, got 0"):
        nn.group_norm(0)
    with pytest.raises(TypeError, match=re.escape("as in nn.group_norm(32), got 1.5")):
        nn.group_norm(1.5)
    with pytest.raises(TypeError, match=r"group_norm: num_groups must be an integer, .* got 2\.0"):
        nn.functional.group_norm(x_of(5, 4), 2.0)
    with pytest.raises(TypeError, match=r"num_groups must be .* got an array of shape \(4,\)"):
        nn.functional.group_norm(x_of(5, 4), jnp.ones(4))
