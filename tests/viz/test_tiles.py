"""Images side by side: pixels, places, captions and colours."""

import numpy as np
import pytest

from funcnn import viz

INK, VERMILION = "#222222", "#D55E00"


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_images_are_placed_in_rows():
    pixels = np.random.default_rng(0).uniform(size=(5, 4, 3)).astype(np.float32)
    ax = viz.images(pixels, captions=["a", "b", "c", "d", "e"], columns=3)
    assert len(ax.images) == 5
    for drawn, expected in zip(ax.images, pixels, strict=True):
        np.testing.assert_array_equal(drawn.get_array(), expected)
        assert drawn.get_clim() == (0, 1)
        assert drawn.get_cmap().name == "gray_r"
    boxes = np.array([drawn.get_extent() for drawn in ax.images])  # left, right, bottom, top
    np.testing.assert_allclose(boxes[:, 1] - boxes[:, 0], 1)
    np.testing.assert_allclose(boxes[:, 0], [0, 1.2, 2.4, 0, 1.2])
    assert (boxes[:3, 3] == 0).all()
    assert (boxes[3:, 3] > boxes[0, 2]).all()
    for text, box in zip(ax.texts, boxes, strict=True):  # below its image, above the next
        x, y = text.get_position()
        assert x == pytest.approx((box[0] + box[1]) / 2)
        assert box[2] < y < boxes[3, 3] or box[2] < y < ax.get_ylim()[0]
    assert ax.get_xlim()[1] == pytest.approx(3.4)


def test_captions_do_not_overlap():
    figure, axes = viz.figure(1, 2, size=(9, 3))
    names = ["an aeroplane at last", "automobile"] * 4
    viz.images(np.zeros((8, 2, 2)), axes[0], [f"{name}\nsecond line" for name in names], columns=4)
    viz.images(np.zeros((3, 2, 2)), axes[1], names[:3], columns=3)
    figure.draw_without_rendering()
    for ax in axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        squares = [drawn.get_window_extent() for drawn in ax.images]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])
            assert not any(box.overlaps(square) for square in squares)


@pytest.mark.parametrize(
    ("pixels", "limits"),
    [
        (np.array([0, 200], np.uint8), (0, 255)),
        (np.array([0.0, 0.5]), (0, 1)),
        (np.array([-2.0, 3.0]), (-2, 3)),
    ],
)
def test_the_scale_of_gray(pixels, limits):
    ax = viz.images(pixels.reshape(1, 1, 2, 1))
    assert ax.images[0].get_clim() == limits
    assert ax.images[0].get_array().tolist() == [pixels.tolist()]


def test_images_in_colour():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    ax = viz.images(pixels)
    np.testing.assert_allclose(ax.images[1].get_array(), pixels[1] / 255)


def test_predictions():
    x, y = np.random.default_rng(0).uniform(size=(3, 8, 8, 1)), np.array([3, 9, 0])
    p = np.full((3, 10), 0.001)
    p[0, y[0]], p[1, (y[1] + 1) % 10], p[2, y[2]] = 0.991, 0.75, 0.5
    ax = viz.predictions(x, p, y)
    assert texts(ax) == [
        f"{y[0]} (>99%)",
        f"{(y[1] + 1) % 10} (75%)\ntrue: {y[1]}",
        f"{y[2]} (50%)",
    ]
    assert [text.get_color() for text in ax.texts] == [INK, VERMILION, INK]
    np.testing.assert_allclose(ax.images[2].get_array(), x[2, :, :, 0])


def test_mistakes_are_the_surest_first():
    images = np.arange(5)[:, None, None] * np.ones((5, 2, 2))
    p = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.3, 0.7]]
    ax = viz.mistakes(images, p, [0, 0, 0, 0, 0], most=2, names=["cat", "dog"])
    assert texts(ax) == ["dog (80%)\ntrue: cat", "dog (70%)\ntrue: cat"]
    assert [drawn.get_array()[0, 0] for drawn in ax.images] == [2, 4]
    assert ax.get_title() == "3 mistakes of 5, the 2 surest"
    assert viz.mistakes(images, p, [0, 1, 1, 0, 1]).get_title() == "0 mistakes of 5"


def test_templates():
    kernel = np.random.default_rng(0).normal(size=(6, 4))  # (in, out)
    ax = viz.templates(kernel.T, (2, 3), names=["a", "b", "c", "d"])
    for drawn, unit in zip(ax.images, kernel.T, strict=True):
        np.testing.assert_array_equal(drawn.get_array(), unit.reshape(2, 3))
    low, high = ax.images[0].get_clim()
    assert -low == high == np.quantile(np.abs(kernel), 0.97)
    red, _, blue, _ = np.transpose(ax.images[0].get_cmap()([0.1, 0.9]))
    assert red[0] > blue[0]  # negative
    assert blue[1] > red[1]  # positive
    assert texts(ax) == ["a", "b", "c", "d"]


def test_feature_maps():
    maps = np.abs(np.random.default_rng(0).normal(size=(3, 4, 5)))
    ax = viz.feature_maps(maps, columns=3)
    np.testing.assert_array_equal(ax.images[4].get_array(), maps[..., 4])
    assert {drawn.get_clim() for drawn in ax.images} == {(0, maps.max())}  # one scale for all
    assert {drawn.get_cmap().name for drawn in viz.feature_maps(-maps).images} == {"RdBu"}


X, P = np.zeros((2, 3, 3)), [[0.9, 0.1], [0.2, 0.8]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: viz.images(X[0]), ValueError, r"images of shape \(n, h, w\), got \(3, 3\)"),
        (lambda: viz.images(X[:0]), ValueError, "expected images with entries, got none"),
        (
            lambda: viz.images(X[..., None] * [0, 0]),
            ValueError,
            r"\(n, h, w, 1\), got \(2, 3, 3, 2\)",
        ),
        (lambda: viz.images(X * 1j), TypeError, "images of real numbers, got complex128"),
        (lambda: viz.images(X, captions=["a"]), ValueError, "captions for each of 2 images, got 1"),
        (lambda: viz.images(X, colors="red"), ValueError, "colors for each of 2 images, got 'red'"),
        (lambda: viz.images(X, columns=0), ValueError, "columns of at least 1, got 0"),
        (lambda: viz.predictions(X, P, [0]), ValueError, r"labels of shape \(2,\), got \(1,\)"),
        (lambda: viz.predictions(X, P, [0, 2]), ValueError, r"labels below 2 \(classes\), got 2"),
        (
            lambda: viz.predictions(X, P[:1], [0]),
            ValueError,
            "captions for each of 2 images, got 1",
        ),
        (lambda: viz.predictions(X, [0.1, 0.2], [0, 1]), ValueError, r"\(n, classes\), got \(2,\)"),
        (lambda: viz.mistakes(X, P[:1], [0]), ValueError, r"\(2, classes\), got \(1, 2\)"),
        (
            lambda: viz.templates(np.ones((4, 3)), (2, 2)),
            ValueError,
            r"\(4, 3\): of a kernel, kern",
        ),
        (lambda: viz.templates(np.ones((3, 5)), (2, 2)), ValueError, r"\(units, 4\), got \(3, 5\)"),
        (lambda: viz.templates(np.ones((3, 4)), (4,)), ValueError, r"expected shape \(h, w\), got"),
        (lambda: viz.feature_maps(X[0]), ValueError, r"\(h, w, channels\), got \(3, 3\)"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
