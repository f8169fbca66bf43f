"""Pooling: layers and functions."""

import re

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import nn
from funcnn.testing import check_grads

from .against import KEY, Pair, expect_same, quick_jit, x_of


def pool_pair(kind, shape, *arguments, **options):
    """Our layer against Flax's function, whose arguments are the same."""
    theirs = getattr(flax.linen, kind)
    as_flax_has_them = arguments[0], (arguments[1],) * len(arguments[0]), *arguments[2:]
    return Pair(
        getattr(nn, kind)(*arguments, **options),
        lambda params, x: theirs(x, *as_flax_has_them, **options),
        (),
        x_of(*shape),
    )


def test_pooling_is_that_of_flax():
    uncounted = {"count_include_pad": False}
    expect_same(
        pool_pair("max_pool", (2, 6, 4, 3), (2, 2), 2),
        pool_pair("max_pool", (2, 7, 5, 3), (3, 2), 2, "SAME"),
        pool_pair("max_pool", (2, 7, 5, 3), (3, 2), 1, ((1, 2), (0, 1))),
        pool_pair("max_pool", (6, 5, 3), (3,), 2),
        pool_pair("max_pool", (7, 5, 4, 3), (3, 2, 2), 2),  # one volume
        pool_pair("max_pool", (2, 2, 7, 3), (3,), 2),  # two axes for the batch
        pool_pair("avg_pool", (2, 6, 4, 3), (2, 2), 2),
        pool_pair("avg_pool", (2, 7, 5, 3), (3, 2), 2, "SAME"),
        pool_pair("avg_pool", (2, 7, 5, 3), (3, 2), 2, "SAME", **uncounted),
        pool_pair("avg_pool", (2, 7, 5, 3), (3, 2), 2, ((1, 2), (0, 1)), **uncounted),
        pool_pair("avg_pool", (7, 5, 3), (3,), 1, "SAME", **uncounted),
    )


def test_strides_and_padding_one_for_each_axis():
    x = x_of(2, 6, 9, 3)
    y = nn.max_pool((2, 3), (2, 3))((), x)
    np.testing.assert_array_equal(y, x.reshape(2, 3, 2, 3, 3, 3).max((2, 4)))
    y = nn.avg_pool((2, 3), (2, 3))((), x)
    np.testing.assert_allclose(y, x.reshape(2, 3, 2, 3, 3, 3).mean((2, 4)), rtol=1e-5, atol=1e-6)
    y = nn.max_pool((2, 3), 1, padding=1)((), x)
    np.testing.assert_array_equal(y, nn.max_pool((2, 3), 1, padding=[1, (1, 1)])((), x))
    assert y.shape == (2, 7, 9, 3)


def test_global_pooling():
    x = x_of(2, 3, 4, 5)
    np.testing.assert_allclose(nn.global_avg_pool(x), x.mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(nn.global_max_pool(x), x.max((1, 2)))
    np.testing.assert_array_equal(nn.global_max_pool(x[:, 0]), x[:, 0].max(1))
    assert nn.global_avg_pool(x[:0]).shape == (0, 5)
    assert repr(nn.serial(nn.global_avg_pool)) == "serial(global_avg_pool)"


GLOBAL = nn.global_avg_pool, nn.global_max_pool


@pytest.mark.parametrize("pool", GLOBAL)
def test_global_pooling_of_the_wrong_shape(pool):
    for shape in ((2, 3), (2, 0, 3)):
        with pytest.raises(
            ValueError, match=r"expected x of shape \(n, \*spatial, channels\) with"
        ):
            pool(np.ones(shape, np.float32))
    with pytest.raises(TypeError, match="expected floating x, got uint8"):
        pool(np.ones((2, 3, 3, 1), np.uint8))


def test_check_grads():
    def all_of_them(x):
        return (
            nn.functional.max_pool(x, 2, 2),
            nn.functional.avg_pool(x, 2, 2, "SAME", count_include_pad=False),
            nn.functional.fractional_max_pool(x, [[0, 2, 3, 5]], overlapping=True),
            nn.global_avg_pool(x),
            nn.global_max_pool(x),
        )

    check_grads(all_of_them, (x_of(1, 5, 2),))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float64])
def test_dtypes(dtype):
    with jax.enable_x64(True):
        x = np.full((1, 4096, 1), 1 / 3, dtype)
        layers = nn.max_pool(4096, 1), nn.avg_pool(4096, 1), nn.fractional_max_pool(4096.0)
        run = quick_jit(lambda x: [f((), x) for f in map(nn.as_layer, (*layers, *GLOBAL))])
        for y in run(x):
            assert y.dtype == dtype
            assert y.ravel()[0] == x[0, 0, 0]  # a sum of 4096 thirds in bfloat16 stays at 85


def test_empty_batches():
    layers = nn.max_pool((2, 2), 2), nn.avg_pool((2, 2), 2), nn.fractional_max_pool((1.5, 2))
    run = quick_jit(lambda x: [layer((), x) for layer in layers])
    assert [y.shape for y in run(x_of(0, 6, 6, 3))] == [(0, 3, 3, 3), (0, 3, 3, 3), (0, 4, 3, 3)]


def test_layers_have_a_window_and_no_params():
    layer = nn.max_pool((3, 2), strides=2)
    assert layer.window == nn.Window((3, 2), (2, 2), (1, 1))
    assert repr(layer) == "max_pool((3, 2), (2, 2))"
    assert not layer.uses_key
    assert layer.init(KEY, x_of(1, 6, 6, 3)) == ((), ())
    with pytest.raises(ValueError, match=r"max_pool\(\(3, 2\), \(2, 2\)\) .* has no params, got {"):
        layer({"kernel": jnp.ones(2)}, x_of(1, 6, 6, 3))


@pytest.mark.parametrize("make", [nn.max_pool, nn.avg_pool])
@pytest.mark.parametrize(
    ("window", "options", "shape", "message"),
    [
        ((2, 2), {}, (64, 1, 28, 3), "the window (2, 2) is larger than x, (1, 28) in its spatial"),
        ((5, 2), {"padding": 1}, (64, 2, 28, 3), "with padding [(1, 1), (1, 1)]: use a smaller"),
        ((2, 2), {"padding": 2}, (64, 28, 28, 3), "must be at least 0 and smaller than window (2"),
        ((2, 2), {"padding": -1}, (64, 28, 28, 3), "padding [(-1, -1), (-1, -1)] must be at least"),
        ((2, 2), {"padding": "SAME"}, (64, 0, 28, 3), "larger than x, (0, 28)"),
        ((2, 2), {}, (64, 3), "(..., *spatial, channels) with 2 spatial axes, got (64, 3)"),
        (2, {}, (64, 28, 28, 3), "window 2 is for one spatial axis, x of shape (n, length, ch"),
    ],
)
def test_windows_that_do_not_fit(make, window, options, shape, message):
    layer, x = make(window, 2, **options), np.ones(shape, np.float32)
    with pytest.raises(ValueError, match=f"^{make.__name__}: .*" + re.escape(message)):
        layer((), x)
    with pytest.raises(ValueError, match=rf"^\[1\]: {make.__name__}: .*" + re.escape(message)):
        nn.serial(jnp.tanh, layer).init(KEY, x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((2, 0), 1), ValueError, "max_pool: window must be at least 1, got (2, 0)"),
        (((), 1), ValueError, "max_pool: window must have one number for each spatial axis"),
        (((2, 2), 0), ValueError, "max_pool: strides must be at least 1, got 0"),
        (((2, 2), None), TypeError, "max_pool: strides must be integers, got None"),
        (((2, 2), 2, "FULL"), ValueError, "max_pool: padding must be 'SAME', 'VALID', a number"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        nn.max_pool(*arguments)


def test_x_of_integers():
    x = np.ones((64, 28, 28, 3), np.uint8)
    for layer in (nn.max_pool((2, 2), 2), nn.avg_pool((2, 2), 2), nn.fractional_max_pool((2, 2))):
        with pytest.raises(TypeError, match="_pool: expected floating x, got uint8 of shape"):
            layer((), x)


def by_slices(x, regions, overlapping):
    """One image, one region at a time."""
    (rows, columns), (height, width, channels) = regions, x.shape
    y = np.zeros((len(rows) - 1, len(columns) - 1, channels), np.float32)
    for i, j in np.ndindex(*y.shape[:2]):
        bottom = min(rows[i + 1] + overlapping, height)
        right = min(columns[j + 1] + overlapping, width)
        y[i, j] = x[rows[i] : bottom, columns[j] : right].max((0, 1))
    return y


@pytest.mark.parametrize("overlapping", [False, True])
def test_fractional_max_pool_is_the_largest_of_each_region(overlapping):
    x, regions = x_of(2, 7, 5, 3), ([0, 1, 4, 5, 7], [0, 2, 3, 5])
    y = nn.functional.fractional_max_pool(x, regions, overlapping=overlapping)
    for image, expected in zip(y, x, strict=True):
        np.testing.assert_array_equal(image, by_slices(expected, regions, overlapping))


@pytest.mark.parametrize("pseudorandom", [False, True])
def test_regions_cover_the_axis(pseudorandom):
    def draw(size, out):
        keys = jax.random.split(KEY, 200)
        one = lambda key: nn.functional.fractional_regions(
            key, size, out, pseudorandom=pseudorandom
        )
        return np.asarray(quick_jit(jax.vmap(one))(keys))

    borders = draw(25, 17)
    assert borders.shape == (200, 18)
    assert (borders[:, 0] == 0).all()
    assert (borders[:, -1] == 25).all()
    widths = np.diff(borders)
    assert set(widths.ravel().tolist()) == {1, 2}
    # each region is wide as often as the ratio says: eight of seventeen
    assert np.abs((widths == 2).mean(0) - 8 / 17).max() < 0.12
    # the pseudorandom widths alternate as regularly as they can: no two wide ones in a row
    in_a_row = ((widths[:, 1:] == 2) & (widths[:, :-1] == 2)).any()
    assert in_a_row != pseudorandom
    different = len(np.unique(borders, axis=0))
    assert different == 17 if pseudorandom else different > 190


def test_regions_of_all_places_and_of_one():
    for out, expected in ((4, [0, 1, 2, 3, 4]), (1, [0, 4])):
        assert nn.functional.fractional_regions(KEY, 4, out).tolist() == expected


def test_fractional_max_pool_in_training_and_after():
    layer, x = nn.fractional_max_pool((1.5, 1.25)), x_of(4, 9, 10, 2)
    assert layer.uses_key
    run = quick_jit(lambda key: layer.apply((), (), x, key=key, train=True)[0])
    y = run(KEY)
    assert y.shape == (4, 6, 8, 2)
    assert np.array_equal(y, run(KEY))
    assert not all(np.array_equal(y, run(jax.random.key(i))) for i in range(1, 5))
    draw = nn.functional.fractional_regions
    rows, columns = jax.random.split(KEY, 2)
    regions = draw(rows, 9, 6).tolist(), draw(columns, 10, 8).tolist()
    np.testing.assert_array_equal(y[0], by_slices(x[0], regions, True))
    even = [0, 1, 3, 4, 6, 7, 9], [0, 1, 2, 3, 5, 6, 7, 8, 10]
    np.testing.assert_array_equal(layer((), x)[0], by_slices(x[0], even, True))


@pytest.mark.parametrize(
    ("ratio", "error", "message"),
    [
        (0.5, ValueError, "fractional_max_pool: ratio must be at least 1, got 0.5"),
        ((2, float("nan")), ValueError, "ratio must be at least 1"),
        ((), ValueError, "ratio must be at least 1"),
        ("2", TypeError, "ratio must be numbers"),
        (None, TypeError, "ratio must be numbers, got None"),
    ],
)
def test_wrong_ratios(ratio, error, message):
    with pytest.raises(error, match=re.escape(message)):
        nn.fractional_max_pool(ratio)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.fractional_max_pool(1.5),
            (2, 9, 9, 3),
            "ratio 1.5 is for one spatial axis, x of shape",
        ),
        (nn.fractional_max_pool((1.5, 1.5)), (9, 3), "with 2 spatial axes, got (9, 3)"),
        (nn.fractional_max_pool((2, 10)), (2, 9, 9, 3), "ratio (2, 10) leaves nothing of x of sha"),
    ],
)
def test_fractional_max_pool_of_the_wrong_shape(layer, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer((), np.ones(shape, np.float32))


def test_fractional_max_pool_without_a_key():
    model = nn.serial(pool=nn.fractional_max_pool((1.5, 1.5)))
    message = re.escape("['pool']: fractional_max_pool needs a key in training, for its random num")
    with pytest.raises(TypeError, match=message):
        model.apply({"pool": ()}, (), x_of(2, 9, 9, 3), train=True)


@pytest.mark.parametrize("borders", [[0, 2, 4], [1, 3, 5], [0, 3, 3, 5], [0], [0, 3, 2, 5]])
def test_regions_that_do_not_cover_the_axis(borders):
    message = re.escape("whose borders rise from 0 to 5, the size of the axis, got [")
    with pytest.raises(ValueError, match=message):
        nn.functional.fractional_max_pool(x_of(5, 2), [borders])


@pytest.mark.parametrize("out", [0, 7])
def test_more_regions_than_places(out):
    with pytest.raises(ValueError, match=f"expected between 1 and 6 regions .* size 6, got {out}"):
        nn.functional.fractional_regions(KEY, 6, out)
