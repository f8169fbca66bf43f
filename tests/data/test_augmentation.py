"""Known images moved by known amounts, and what chance draws."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import funcnn
from funcnn import data

KEY = jax.random.key(0)


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


def interpolated(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """SciPy's, bilinear, between zeros around the image too."""
    return ndimage.map_coordinates(image, [rows, columns], order=1, mode="grid-constant")


# every function of a key, with images of 6 by 8
RANDOM = {
    "shift": data.random_shift(2),
    "flip": data.random_flip(),
    "crop": data.random_crop((6, 8), padding=2),
    "resized crop": data.random_resized_crop((6, 8)),
    "rotation": data.random_rotation(30),
    "warp": data.random_warp(data.affine(scale=0.3, shear=0.3, shift=2), data.elastic(2.0, 1.0)),
    "cutout": data.cutout(3),
    "brightness": data.random_brightness(0.5),
    "contrast": data.random_contrast(0.5),
    "all": data.augment(data.random_flip(), data.random_rotation(10), data.random_contrast(0.5)),
}
ANY_DTYPE = ["shift", "flip", "crop", "cutout"]


@pytest.fixture(scope="module")
def drawn():
    """Each function of 40 times the same image: twice with a key, and with another one."""
    images = np.tile(numbered(1, 6, 8, 2), (40, 1, 1, 1))

    @jax.jit
    def draw(key, images):
        return {name: function(key, images) for name, function in RANDOM.items()}

    return images, draw(KEY, images), draw(KEY, images), draw(jax.random.key(1), images)


@pytest.mark.parametrize("name", RANDOM)
def test_same_key_same_images_and_each_image_another(drawn, name):
    images, first, again, other = (x if isinstance(x, np.ndarray) else x[name] for x in drawn)
    assert first.shape == images.shape
    assert first.dtype == images.dtype
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    different = {image.tobytes() for image in np.asarray(first)}
    least = 2 if name == "flip" else 15 if name in ANY_DTYPE else 40
    assert len(different) >= least


def test_dtypes():
    images = numbered(3, 6, 8)

    def dtypes(dtype, names):
        of = jax.ShapeDtypeStruct(images.shape, dtype)
        return {name: jax.eval_shape(RANDOM[name], KEY, of).dtype for name in names}

    for dtype in (jnp.bfloat16, jnp.float16):
        assert dtypes(dtype, RANDOM) == dict.fromkeys(RANDOM, jnp.dtype(dtype))
    with jax.enable_x64(True):
        assert dtypes(jnp.float64, RANDOM) == dict.fromkeys(RANDOM, jnp.dtype(jnp.float64))
    assert dtypes(np.uint8, ANY_DTYPE) == dict.fromkeys(ANY_DTYPE, np.dtype(np.uint8))
    every = data.augment(*(RANDOM[name] for name in ANY_DTYPE))  # exact in any dtype
    np.testing.assert_array_equal(every(KEY, images.astype(np.uint8)), every(KEY, images))


def test_they_can_be_scanned_vmapped_and_differentiated():
    images = jnp.asarray(numbered(2, 3, 4)) / 20
    distort = data.augment(data.random_rotation(30), data.cutout(1))

    def total(x, key):
        return jnp.sum(jnp.square(distort(key, x)))

    @jax.jit
    def in_all_ways(keys):
        _, scanned = jax.lax.scan(lambda c, key: (c, distort(key, images)), 0, keys)
        vmapped = jax.vmap(distort, in_axes=(0, None))(keys, images)
        return scanned, vmapped, jax.grad(total)(images, KEY), funcnn.grad(total)(images, KEY)

    scanned, vmapped, by_jax, ours = in_all_ways(jax.random.split(KEY, 2))
    np.testing.assert_allclose(scanned, vmapped, rtol=1e-5, atol=1e-6)
    assert (scanned[0] != scanned[1]).any()
    np.testing.assert_allclose(ours, by_jax, rtol=1e-5, atol=1e-6)
    assert (by_jax != 0).any()


def test_shifts_are_exact():
    by = np.array([(i, j) for i in (-7, -3, -2, 0, 1, 3, 4, 9) for j in (-8, -4, -1, 0, 2, 5)])
    images = numbered(len(by), 3, 4, channels=2)
    expected = np.stack([moved(x, *b) for x, b in zip(images, by, strict=True)])
    shifted = jax.jit(data.shifted)(images, by)
    assert shifted.dtype == np.float32
    np.testing.assert_array_equal(shifted, expected)

    once = data.shifted(images.astype(np.uint8), (1, -2))
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, [moved(x.astype(np.uint8), 1, -2) for x in images])


def equally_likely(counts: np.ndarray) -> bool:
    """By χ², of at most 24 degrees of freedom: wrongly no for one key in a thousand."""
    expected = counts.sum() / counts.size
    assert counts.size <= 25
    return bool(np.sum((counts - expected) ** 2 / expected) < 51.2)


def test_random_shifts_are_all_equally_likely():
    images = np.zeros((4000, 5, 5, 1), np.float32)
    images[:, 2, 2] = 1
    x = np.asarray(jax.jit(data.random_shift(1))(KEY, images))
    np.testing.assert_array_equal(x.sum((1, 2, 3)), 1)
    counts = x.sum((0, 3))
    assert counts[1:4, 1:4].sum() == 4000
    assert equally_likely(counts[1:4, 1:4])


def test_crops():
    images = numbered(30, 6, 8, 2)
    corners = np.random.default_rng(0).integers(0, (3, 5), (30, 2))
    expected = [x[i : i + 4, j : j + 4] for x, (i, j) in zip(images, corners, strict=True)]
    np.testing.assert_array_equal(data.cropped(images, corners, (4, 4)), expected)

    n = 4000
    first = np.zeros((n, 2, 2, 1), np.float32)
    first[:, 0, 0] = 1  # where it lies in the crop says where the corner was
    x = np.asarray(jax.jit(data.random_crop((2, 2), padding=1))(KEY, first)).sum((0, 3))
    # of the nine places, those with the pixel in the crop
    assert (np.abs(x - n / 9) < 4 * np.sqrt(n * 8 / 81)).all()
    x = jax.jit(data.random_crop((3, 3)))(KEY, numbered(1, 5, 5).repeat(n, 0))
    counts = np.unique(np.asarray(x)[:, 0, 0, 0], return_counts=True)[1]
    assert counts.size == 9
    assert equally_likely(counts)


def test_flips():
    images = numbered(4, 2, 3, 2)
    which = np.array([True, False, True, False])
    for axis in (1, 2):
        expected = np.where(which[:, None, None, None], np.flip(images, axis), images)
        np.testing.assert_array_equal(data.flipped(images, which, axis), expected)
    np.testing.assert_array_equal(data.flipped(images, True), images[:, :, ::-1])
    many = np.tile(images[:1], (2000, 1, 1, 1))
    share = (data.random_flip(0.3)(KEY, many) == many[:, :, ::-1]).all((1, 2, 3)).mean()
    assert abs(share - 0.3) < 0.04
    np.testing.assert_array_equal(data.random_flip(1, axis=1)(KEY, images), images[:, ::-1])


def test_warped():
    images = numbered(3, 4, 5, channels=2)
    draw = np.random.default_rng(0)
    moves = draw.uniform(-2, 2, (3, 4, 5, 2)).astype(np.float32)
    expected = np.zeros_like(images)
    i, j = np.indices((4, 5))
    for n, c in np.ndindex(3, 2):
        at = i + moves[n, ..., 0], j + moves[n, ..., 1]
        expected[n, :, :, c] = interpolated(images[n, :, :, c], *at)
    warp = jax.jit(data.warped)
    np.testing.assert_allclose(warp(images, moves), expected, rtol=1e-5, atol=1e-4)

    np.testing.assert_array_equal(warp(images, np.zeros_like(moves)), images)
    # what is moved down and to the right comes from above and from the left
    whole = np.broadcast_to(np.float32([-1, -2]), moves.shape)
    np.testing.assert_array_equal(warp(images, whole), data.shifted(images, (1, 2)))
    narrow = data.warped(jnp.asarray(images, jnp.bfloat16), moves)
    assert narrow.dtype == jnp.bfloat16
    np.testing.assert_allclose(narrow, expected, rtol=0.02, atol=0.5)


def test_rotation_against_scipy():
    """By an angle that is found from the displacements, the image is SciPy's rotated one."""
    shape = (6, 9, 9, 1)
    images = np.random.default_rng(0).random(shape, np.float32)
    key = jax.random.fold_in(KEY, 0)  # as random_warp gives it to its first displacement
    moves = np.asarray(data.affine(degrees=40)(key, shape))
    angles = np.rad2deg(np.arctan2(-moves[:, 5, 4, 1], 1 + moves[:, 5, 4, 0]))
    turned = data.random_rotation(40)(KEY, images)
    for image, by, result in zip(images[..., 0], angles, turned[..., 0], strict=True):
        turned_there = ndimage.rotate(image, by, reshape=False, order=1, mode="grid-constant")
        turned_back = ndimage.rotate(image, -by, reshape=False, order=1, mode="grid-constant")
        np.testing.assert_allclose(result, turned_there, atol=1e-4)
        assert np.abs(result - turned_back).max() > 0.1  # a test that tells one from the other


@pytest.fixture
def affine():
    """For each of 300 images of 5 by 9, where each pixel comes from, about the middle: A p + b."""

    def matrices_and_shifts(**limits):
        shape = 300, 5, 9, 1
        moves = np.asarray(data.affine(**limits)(KEY, shape), np.float64)
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


def test_elastic_displacements():
    shape, strength, smoothness = (400, 12, 16, 1), 1.5, 2.0
    moves = np.asarray(data.elastic(strength, smoothness)(KEY, shape))
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


def test_displacements_are_added_and_interpolated_once():
    images = np.random.default_rng(0).random((3, 6, 7, 1), np.float32)
    parts = data.affine(degrees=20), data.elastic(1.0)
    moves = sum(part(jax.random.fold_in(KEY, i), images.shape) for i, part in enumerate(parts))
    made = data.random_warp(*parts)(KEY, images)
    np.testing.assert_allclose(made, data.warped(images, moves), atol=1e-6)
    np.testing.assert_array_equal(data.random_warp()(KEY, images), images)


def test_resized_crops():
    """Of images that hold their own coordinates, so that a crop says where it was cut."""
    n, height, width = 500, 20, 30
    rows, columns = np.indices((height, width), dtype=np.float32)
    images = np.broadcast_to(np.stack([rows, columns], -1), (n, height, width, 2))
    crop = data.random_resized_crop((8, 12), area=(0.25, 0.5), ratio=1.5)
    x = np.asarray(jax.jit(crop)(KEY, images), np.float64)
    assert x.shape == (n, 8, 12, 2)
    # the middle pixels are never over the edge, and evenly apart
    down = x[:, 5, 6, 0] - x[:, 4, 6, 0]
    right = x[:, 4, 7, 1] - x[:, 4, 6, 1]
    area = (8 * down) * (12 * right) / (height * width)
    assert area.min() > 0.2499
    assert area.max() < 0.5001
    assert abs(area.mean() - 0.375) < 0.01
    ratio = (12 * right / width) / (8 * down / height)
    assert ratio.min() > 1 / 1.5001
    assert ratio.max() < 1.5001
    assert abs(np.log(ratio).mean()) < 0.03
    # in the image
    assert x[..., 0].min() >= 0
    assert x[..., 0].max() <= height - 1
    assert x[..., 1].max() <= width - 1

    # all of the image in half its size: the means of 2 by 2 pixels
    half = data.random_resized_crop((10, 15), area=(1.0, 1.0), ratio=1.0)(KEY, images[:1])
    means = images[:1].reshape(1, 10, 2, 15, 2, 2).mean((2, 4))
    np.testing.assert_allclose(half, means, atol=1e-4)


def test_cutout():
    images = numbered(3, 5, 6, 2)
    corners, sizes = np.array([[-1, 2], [3, 4], [1, 1]]), np.array([[2, 3], [9, 9], [0, 2]])
    expected = images.copy()
    expected[0, 0:1, 2:5] = 0
    expected[1, 3:, 4:] = 0
    np.testing.assert_array_equal(data.erased(images, corners, sizes), expected)

    many = np.ones((4000, 5, 5, 1), np.float32)
    x = np.asarray(jax.jit(data.cutout(1))(KEY, many))
    np.testing.assert_array_equal(x.sum((1, 2, 3)), 24)
    assert equally_likely((x == 0).sum((0, 3)))
    x = np.asarray(data.cutout(3)(KEY, many))
    hidden = 25 - x.sum((1, 2, 3))
    assert set(hidden.tolist()) == {4, 6, 9}  # in a corner, at an edge, inside
    np.testing.assert_array_equal(data.cutout(0)(KEY, many), many)


def test_brightness_and_contrast():
    images = np.random.default_rng(0).random((200, 4, 5, 3), np.float32)
    mean = images.mean((1, 2), keepdims=True)
    add, times = np.float32([0.25] * 200), np.linspace(0.5, 2, 200, dtype=np.float32)
    made = data.adjusted(images, add, times)
    expected = (images - mean) * times[:, None, None, None] + mean + 0.25
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)

    brighter = data.random_brightness(0.4)(KEY, images) - images
    np.testing.assert_allclose(brighter.std((1, 2, 3)), 0, atol=1e-6)
    assert spread(np.asarray(brighter[:, 0, 0, 0]), 0.4)
    made = data.random_contrast(0.4)(KEY, images)
    np.testing.assert_allclose(made.mean((1, 2)), images.mean((1, 2)), rtol=1e-5)
    share = np.asarray((made - mean)[:, 0, 0, 0] / (images - mean)[:, 0, 0, 0])
    assert spread(share - 1, 0.4)


def test_mixup():
    n = 400
    x, y = np.arange(n, dtype=np.float32), np.eye(n, dtype=np.float32)
    images = np.broadcast_to(x[:, None, None, None], (n, 2, 2, 1))
    images, labels = map(np.asarray, jax.jit(data.mixup(0.5))(KEY, (images, y)))
    mixed = images[:, 0, 0, 0]
    assert (images == images[:, :1, :1]).all()  # one share an example
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(labels @ x, mixed, rtol=1e-4, atol=1e-3)  # the same shares
    own = labels[np.arange(n), np.arange(n)]
    assert ((labels > 0).sum(-1) <= 2).all()
    other = labels - np.diag(own)
    assert ((other > 0).sum(0) <= 1).all()  # each is the partner of at most one
    # Beta(½, ½): mean ½, variance 1/8
    assert abs(own.mean() - 0.5) < 0.07
    assert abs(own.var() - 0.125) < 0.02


def test_cutmix():
    n, height, width = 300, 6, 8
    x = np.broadcast_to(np.arange(n)[:, None, None, None], (n, height, width, 1)).astype(np.int32)
    y = np.eye(n, dtype=np.float32)
    mixed, labels = (np.asarray(part) for part in jax.jit(data.cutmix())(KEY, (x, y)))
    shares = np.stack([(mixed == i).mean((1, 2, 3)) for i in range(n)], -1)
    np.testing.assert_allclose(labels, shares, atol=1e-6)  # by the pixels that one sees
    assert (shares > 0).sum(-1).max() == 2
    for image, i in zip(mixed[..., 0], range(n), strict=True):
        a, b = np.nonzero(image != i)
        if len(a):  # a rectangle
            block = image[a.min() : a.max() + 1, b.min() : b.max() + 1]
            assert (block == block[0, 0]).all()
            assert block.size == len(a)


def test_augment_is_one_after_the_other():
    images = numbered(5, 6, 6)
    first, second = data.random_shift(2), data.cutout(2)
    expected = second(jax.random.fold_in(KEY, 1), first(jax.random.fold_in(KEY, 0), images))
    np.testing.assert_array_equal(data.augment(first, second)(KEY, images), expected)
    np.testing.assert_array_equal(data.augment()(KEY, images), images)

    y = np.arange(5)
    x, same = data.on_inputs(first)(KEY, (images, y))
    np.testing.assert_array_equal(x, first(KEY, images))
    assert same is y


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.random_shift(-1), "expected most of at least 0 pixels, got -1"),
        (lambda: data.random_shift(1.5), "expected a whole number of pixels most, got 1.5"),
        (lambda: data.random_rotation(-3), "expected degrees in [0, inf), got -3"),
        (lambda: data.affine(scale=1), "expected scale in [0, 1), got 1"),
        (lambda: data.elastic(1.0, 0), "expected smoothness above 0"),
        (lambda: data.random_flip(2.0), "expected probability in [0, 1), got 2.0"),
        (lambda: data.flipped(numbered(1, 2, 2), True, axis=3), "expected axis 1 (vertical)"),
        (lambda: data.mixup(0), "expected alpha above 0, got 0"),
        (lambda: data.random_resized_crop((2, 2), area=(0.5, 2)), "two shares in (0, 1]"),
        (lambda: data.random_resized_crop((2, 2), ratio=0.5), "ratio of at least 1, got 0.5"),
        (lambda: data.augment(3), "augment takes functions (key, images) -> images, got 3"),
        (
            lambda: data.random_shift(1)(KEY, np.ones((3, 28, 28))),
            "shift: expected images (n, height, width, channels), got (3, 28, 28): add an axis",
        ),
        (
            lambda: data.random_rotation(1)(KEY, numbered(1, 2, 2, dtype=np.uint8)),
            "expected images of a floating dtype, got uint8: images.astype('float32') / 255",
        ),
        (lambda: data.shifted(numbered(2, 3, 3), np.ones((3, 2), int)), "of shape (2, 2) or (2,)"),
        (lambda: data.shifted(numbered(2, 3, 3), (0.5, 1.0)), "warped moves by fractions"),
        (
            lambda: data.random_crop((4, 2))(KEY, numbered(1, 3, 3)),
            "images of 3 by 3 have no part of (4, 2)",
        ),
        (
            lambda: data.warped(numbered(2, 3, 3), np.zeros((3, 3, 2))),
            "expected displacements (2, height, width, 2) for images of shape (2, 3, 3, 1)",
        ),
        (
            lambda: data.mixup(1.0)(KEY, (numbered(2, 3, 3), np.array([0, 1]))),
            "floating dtype, got int32 of shape (2,): class numbers are for jax.nn.one_hot",
        ),
        (lambda: data.mixup(1.0)(KEY, numbered(2, 3, 3)), "mixup expects batches (x, y)"),
        (
            lambda: data.cutmix()(KEY, (numbered(2, 3, 3), np.ones((3, 2)))),
            "x (2, 3, 3, 1) and y (3, 2) hold different numbers of examples",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()
