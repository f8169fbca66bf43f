"""The examples' augmentation: known images moved by known amounts, and what chance draws."""

import importlib
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
KEY = jax.random.key(0)


@pytest.fixture
def augmentation(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("augmentation")


def numbered(n: int, height: int, width: int, channels: int = 1, dtype=np.float32) -> np.ndarray:
    """Images whose pixels are all different, and none of them 0."""
    shape = n, height, width, channels
    return np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape)


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """The pixel at (i, j) put at (i + down, j + right), one by one."""
    result = np.zeros_like(image)
    for i, j in np.ndindex(image.shape[:2]):
        if 0 <= i + down < image.shape[0] and 0 <= j + right < image.shape[1]:
            result[i + down, j + right] = image[i, j]
    return result


def interpolated(image: np.ndarray, row: float, column: float) -> float:
    """Bilinear: the four pixels around, weighted by the areas opposite to them; 0 outside."""
    i, j = int(np.floor(row)), int(np.floor(column))
    total = 0.0
    for a, b in ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1)):
        if 0 <= a < image.shape[0] and 0 <= b < image.shape[1]:
            total += (1 - abs(row - a)) * (1 - abs(column - b)) * image[a, b]
    return total


def test_shifts_are_exact(augmentation):
    by = np.array([(i, j) for i in (-7, -3, -2, 0, 1, 3, 4, 9) for j in (-8, -4, -1, 0, 2, 5)])
    images = numbered(len(by), 3, 4, channels=2)
    expected = np.stack([moved(x, *b) for x, b in zip(images, by, strict=True)])
    shifted = jax.jit(augmentation.shifted)(images, by)
    assert shifted.dtype == np.float32
    np.testing.assert_array_equal(shifted, expected)

    once = augmentation.shifted(images.astype(np.uint8), (1, -2))
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, [moved(x.astype(np.uint8), 1, -2) for x in images])


def test_random_shifts_are_all_equally_likely(augmentation):
    n, most = 4000, 1
    images = np.zeros((n, 5, 5, 1), np.float32)
    images[:, 2, 2] = 1
    shift = jax.jit(partial(augmentation.random_shift, most=most))
    x = np.asarray(shift(KEY, images))
    np.testing.assert_array_equal(x.sum((1, 2, 3)), 1)
    counts = x.sum((0, 3))
    assert set(zip(*np.nonzero(counts), strict=True)) == set(np.ndindex(4, 4)) - {
        place for place in np.ndindex(4, 4) if 0 in place
    }
    expected = n / 9
    chi_square = np.sum((counts[1:4, 1:4] - expected) ** 2 / expected)
    assert chi_square < 26.1  # of 8 degrees of freedom: one key in a thousand

    np.testing.assert_array_equal(shift(KEY, images), x)
    assert (np.asarray(shift(jax.random.key(1), images)) != x).any()


def test_warped(augmentation):
    images = numbered(3, 4, 5, channels=2)
    draw = np.random.default_rng(0)
    moves = draw.uniform(-2, 2, (3, 4, 5, 2)).astype(np.float32)
    expected = np.zeros_like(images)
    for n, i, j, c in np.ndindex(images.shape):
        down, right = moves[n, i, j]
        expected[n, i, j, c] = interpolated(images[n, :, :, c], i + down, j + right)
    warp = jax.jit(augmentation.warped)
    np.testing.assert_allclose(warp(images, moves), expected, rtol=1e-5, atol=1e-4)

    np.testing.assert_array_equal(warp(images, np.zeros_like(moves)), images)
    # what is moved down and to the right comes from above and from the left
    whole = np.broadcast_to(np.float32([-1, -2]), moves.shape)
    np.testing.assert_array_equal(warp(images, whole), augmentation.shifted(images, (1, 2)))
    narrow = augmentation.warped(jnp.asarray(images, jnp.bfloat16), moves)
    assert narrow.dtype == jnp.bfloat16
    np.testing.assert_allclose(narrow, expected, rtol=0.02, atol=0.5)


@pytest.fixture
def affine(augmentation):
    """For each of 300 images of 5 by 9, where each pixel comes from, about the middle: A p + b."""

    def matrices_and_shifts(**limits):
        shape = 300, 5, 9, 1
        moves = np.asarray(augmentation.affine_displacements(KEY, shape, **limits), np.float64)
        assert moves.shape == (*shape[:3], 2)
        p = np.stack(np.meshgrid(np.arange(5) - 2, np.arange(9) - 4, indexing="ij"), -1)
        p = np.concatenate([p, np.ones((5, 9, 1))], -1).reshape(-1, 3)
        found, residual, *_ = np.linalg.lstsq(
            p, np.moveaxis(moves.reshape(300, -1, 2), 0, 1).reshape(45, -1)
        )
        assert residual.max() < 1e-8  # affine indeed
        found = found.reshape(3, 300, 2)
        return np.eye(2) + np.moveaxis(found[:2], 0, 2), found[2]

    return matrices_and_shifts


def spread(values: np.ndarray, limit: float) -> bool:
    """Uniform in ±limit, as far as 300 values tell."""
    low, high, mean = values.min(0), values.max(0), values.mean(0)
    return bool(
        (-limit * 1.0001 <= low).all()
        and (low < -0.95 * limit).all()
        and (0.95 * limit < high).all()
        and (high <= limit * 1.0001).all()
        and (np.abs(mean) < 0.12 * limit).all()
    )


def test_affine_displacements(affine):
    nothing, at_rest = affine()
    np.testing.assert_allclose(nothing - np.eye(2), 0, atol=1e-7)
    np.testing.assert_array_equal(at_rest, 0)

    turned, at_rest = affine(degrees=30)
    np.testing.assert_allclose(turned @ turned.mT, np.tile(np.eye(2), (300, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(turned), 1, rtol=1e-5)
    assert spread(np.rad2deg(np.arctan2(turned[:, 1, 0], turned[:, 0, 0])), 30)
    np.testing.assert_allclose(at_rest, 0, atol=1e-5)

    resized, at_rest = affine(scale=0.2)
    assert spread(resized[:, [0, 1], [0, 1]] - 1, 0.2)
    assert abs(np.corrcoef(resized[:, 0, 0], resized[:, 1, 1])[0, 1]) < 0.2
    np.testing.assert_allclose(resized[:, [0, 1], [1, 0]], 0, atol=1e-6)
    np.testing.assert_allclose(at_rest, 0, atol=1e-5)

    slanted, at_rest = affine(shear=0.3)
    assert spread(slanted[:, 1, 0], 0.3)  # columns, by a row's distance from the middle
    slanted[:, 1, 0] = 0
    np.testing.assert_allclose(slanted - np.eye(2), 0, atol=1e-6)
    np.testing.assert_allclose(at_rest, 0, atol=1e-5)

    slanted, shifted = affine(shear=0.3, shift=2.5)  # each by a chance of its own
    three = np.corrcoef([slanted[:, 1, 0], *shifted.T])
    np.testing.assert_allclose(three, np.eye(3), atol=0.2)

    kept, shifted = affine(shift=2.5)
    np.testing.assert_allclose(kept - np.eye(2), 0, atol=1e-6)
    assert spread(shifted, 2.5)


def test_elastic_displacements(augmentation):
    shape, strength, smoothness = (400, 12, 16, 1), 1.5, 2.0
    field = partial(augmentation.elastic_displacements, shape=shape, strength=strength)
    moves = np.asarray(field(KEY, smoothness=smoothness))
    assert moves.shape == (*shape[:3], 2)
    # as strong at the border as in the middle
    np.testing.assert_allclose(moves.std(0), strength, rtol=0.2)
    np.testing.assert_allclose(moves.std(), strength, rtol=0.02)
    assert abs(moves.mean()) < 0.05
    # white noise smoothed by a Gaussian: pixels at a distance d are correlated by exp(-d²/4s²)
    for d in (1, 2, 4):
        expected = np.exp(-(d**2) / (4 * smoothness**2))
        for one, other in (
            (moves[:, 4, 8], moves[:, 4 + d, 8]),
            (moves[:, 6, 6], moves[:, 6, 6 + d]),
        ):
            found = np.mean(one * other) / strength**2
            assert abs(found - expected) < 0.12
    assert abs(np.mean(moves[..., 0] * moves[..., 1])) < 0.1 * strength**2

    np.testing.assert_array_equal(field(KEY, smoothness=smoothness), moves)
    assert (np.asarray(field(jax.random.key(1), smoothness=smoothness)) != moves).any()
