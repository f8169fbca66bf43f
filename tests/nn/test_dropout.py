"""dropout and stochastic_depth: layers and functions."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from funcnn import nn
from funcnn.testing import check_grads

from .against import KEY, quick_jit, x_of

MAKERS = [nn.dropout, nn.stochastic_depth]


def in_training(layer, x, key=KEY):
    return layer.apply((), (), x, key=key, train=True)[0]


def test_the_same_numbers_are_dropped_as_in_flax():
    x = x_of(20, 30)
    module = nnx.Dropout(0.3, deterministic=False)
    np.testing.assert_allclose(in_training(nn.dropout(0.3), x), module(x, rngs=KEY), rtol=1e-6)
    images = x_of(4, 2, 2, 30)
    module = nnx.Dropout(0.3, broadcast_dims=(1, -2), deterministic=False)
    y = in_training(nn.dropout(0.3, broadcast_dims=(1, -2)), images)
    np.testing.assert_allclose(y, module(images, rngs=KEY), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_counted_and_the_mean_stays(rate):
    n = 40_000
    y = np.asarray(in_training(nn.dropout(rate), np.full(n, 3.0, np.float32)))
    deviation = (rate * (1 - rate) / n) ** 0.5
    assert abs((y == 0).mean() - rate) < 4 * deviation
    np.testing.assert_allclose(y[y != 0], 3 / (1 - rate), rtol=1e-6)
    assert abs(y.mean() - 3) < 4 * deviation * 3 / (1 - rate)


@pytest.mark.parametrize("make", MAKERS)
def test_off_at_inference_and_at_rate_0(make):
    x = x_of(5, 4)
    assert make(0.5).apply((), (), x)[0] is x
    assert make(0.5).apply((), (), x, key=KEY)[0] is x
    assert make(0.0).apply((), (), x, train=True)[0] is x
    assert make(0.5)((), x) is x
    assert make(0.5).uses_key
    assert not make(0).uses_key
    assert make(0.5).init(KEY, x) == ((), ())
    assert repr(make(0.5)) == f"{make.__name__}(0.5)"


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_key_drops_the_same(make):
    x, layer = jnp.ones((64, 3)), make(0.5)
    run = quick_jit(partial(in_training, layer))
    y = run(x, KEY)
    np.testing.assert_array_equal(y, in_training(layer, x))
    assert not np.array_equal(y, run(x, jax.random.key(1)))
    model = nn.serial(layer, layer)  # each layer of a model draws numbers of its own
    twice, _ = model.apply(((), ()), (), x, key=KEY, train=True)
    assert set(twice.ravel().tolist()) == {0.0, 4.0}
    assert (twice != 0).sum() < (y != 0).sum()


def test_stochastic_depth_drops_whole_examples():
    y = np.asarray(in_training(nn.stochastic_depth(0.25), jnp.ones((4000, 2, 3))))
    by_example = y.reshape(4000, -1)
    assert (by_example == by_example[:, :1]).all()
    dropped = by_example[:, 0] == 0
    assert abs(dropped.mean() - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5
    np.testing.assert_allclose(by_example[~dropped], 4 / 3, rtol=1e-6)


def test_stochastic_depth_skips_the_branch_of_a_residual():
    model = nn.residual(nn.serial(lambda x: 10 * x, nn.stochastic_depth(0.5)))
    x = jnp.ones((64, 2))
    params, state = model.init(KEY, x)
    y, _ = model.apply(params, state, x, key=KEY, train=True)
    assert set(y.ravel().tolist()) == {1.0, 21.0}
    np.testing.assert_array_equal(model(params, x), 11 * x)


def test_the_gradient_goes_through_what_is_kept():
    key = jax.random.key(0, impl="rbg")  # compiles quickly

    def both(x):
        return in_training(nn.dropout(0.5), x, key) + in_training(nn.stochastic_depth(0.5), x, key)

    check_grads(both, (x_of(5, 4),))


@pytest.mark.parametrize("make", MAKERS)
def test_dtypes_and_empty_batches(make):
    with jax.enable_x64(True):
        for dtype in (jnp.float16, jnp.bfloat16, jnp.float64, jnp.complex64):
            x = jax.ShapeDtypeStruct((0, 4), dtype)
            y = jax.eval_shape(lambda x: in_training(make(0.3), x), x)
            assert (y.shape, y.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("make", MAKERS)
def test_training_without_a_key(make):
    model = nn.serial(drop=make(0.5))
    message = f"['drop']: {make.__name__} needs a key in training, for its random numbers: call app"
    with pytest.raises(TypeError, match=re.escape(message)):
        model.apply({"drop": ()}, (), jnp.ones((2, 3)), train=True)
    with pytest.raises(TypeError, match=r"expected a key, as from jax\.random\.key\(0\), got 0"):
        in_training(make(0.5), jnp.ones((2, 3)), key=0)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (1, ValueError, ", the probability of being dropped, must be in [0, 1), got 1"),
        (-0.1, ValueError, "must be in [0, 1), got -0.1"),
        (float("nan"), ValueError, "must be in [0, 1), got nan"),
        ("0.5", TypeError, " must be a number in [0, 1), got '0.5'"),
        (True, TypeError, " must be a number in [0, 1), got True"),
        (jnp.ones((64, 3)), TypeError, "got an array of shape (64, 3)"),  # without brackets
    ],
)
def test_wrong_rates(make, rate, error, message):
    with pytest.raises(error, match=f"^{make.__name__}: rate.*" + re.escape(message)):
        make(rate)
    with pytest.raises(error, match=re.escape(message)):
        getattr(nn.functional, make.__name__)(jnp.ones((2, 3)), rate, KEY)


def test_rates_of_any_kind_of_number():
    assert nn.dropout(np.float32(0.5)).uses_key
    x = x_of(5, 4)
    for drop in (nn.functional.dropout, nn.functional.stochastic_depth):
        np.testing.assert_array_equal(drop(x, 0, KEY), x)


@pytest.mark.parametrize("make", MAKERS)
def test_x_of_integers_and_params(make):
    with pytest.raises(TypeError, match=": expected floating x, got uint8 of shape"):
        in_training(make(0.5), np.ones((2, 3), np.uint8))
    with pytest.raises(ValueError, match=re.escape(f"{make.__name__} has no params, got {{'a'}}")):
        make(0.5)({"a": 1.0}, jnp.ones(3))


def test_axes_that_x_does_not_have():
    message = re.escape("expected x with the axes broadcast_dims=(1, 2), got (5, 4)")
    with pytest.raises(ValueError, match=message):
        in_training(nn.dropout(0.5, broadcast_dims=(1, 2)), x_of(5, 4))
    with pytest.raises(ValueError, match=r"^stochastic_depth: .* got a scalar"):
        in_training(nn.stochastic_depth(0.5), jnp.float32(1))
