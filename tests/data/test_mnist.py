"""MNIST's files in folders; from a server: test_download.py; the real ones: test_real_mnist.py."""

import gzip
import shutil
import sys

import numpy as np
import pytest

from funcnn import data

from .idx_files import arrays, encode, write, zipped

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = arrays()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("FUNCNN_DATA", raising=False)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "files", zipped(arrays()))


def replace(folder, name, array):
    write(folder, zipped({name: array}))


def test_arrays(folder):
    given = arrays()
    train, validation, test = data.mnist(folder, validation=8)
    assert [part[0].shape for part in (train, validation, test)] == [
        (32, 28, 28, 1),
        (8, 28, 28, 1),
        (10, 28, 28, 1),
    ]
    x, y = (np.concatenate(pair) for pair in zip(train, validation, strict=True))
    for found, images in ((x, given[TRAIN_IMAGES]), (test[0], given[TEST_IMAGES])):
        expected = (images[..., None] / 255).astype(np.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-7, strict=True)
        assert (found.min(), found.max()) == (0, 1)
    for found, labels in ((y, given[TRAIN_LABELS]), (test[1], given[TEST_LABELS])):
        np.testing.assert_array_equal(found, labels.astype(np.int32), strict=True)


@pytest.mark.parametrize(("validation", "expected"), [(0, 0), (1, 1), (0.25, 10), (39, 39)])
def test_validation_sizes(folder, validation, expected):
    splits = data.mnist(folder, validation)
    assert [len(y) for _, y in splits] == [40 - expected, expected, 10]
    assert [x.shape[1:] for x, _ in splits] == [(28, 28, 1)] * 3


def test_validation_that_does_not_fit(folder):
    with pytest.raises(ValueError, match=r"10000 for validation leave no training .* 40 in all"):
        data.mnist(folder)


@pytest.mark.parametrize("subfolder", ["", "mnist"])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_places_and_spellings(tmp_path, subfolder, dotted, suffix):
    files = {}
    for name, array in arrays().items():
        spelled = name.replace("-idx", ".idx") if dotted else name
        files[spelled + suffix] = gzip.compress(encode(array)) if suffix else encode(array)
    write(tmp_path / subfolder, files)
    assert len(data.mnist(str(tmp_path), 8).train[1]) == 32


def test_a_file_in_two_spellings_is_read_once(folder):
    write(folder, {TEST_LABELS: encode(arrays()[TEST_LABELS][::-1])})
    _, y = data.mnist(folder, 8).test
    np.testing.assert_array_equal(y, arrays()[TEST_LABELS][::-1])


def test_home_is_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert len(data.mnist("~/files", 8).test[1]) == 10
    monkeypatch.setenv("FUNCNN_DATA", "~/files")
    assert len(data.mnist(None, 8).test[1]) == 10


def test_order_of_places(tmp_path, monkeypatch):
    folder, environment, cache = (
        write(tmp_path / name / "mnist", zipped(arrays(test=n))).parent
        for name, n in (("folder", 11), ("environment", 12), ("cache", 13))
    )

    def found(folder=None):
        return len(data.mnist(folder, 8, mirrors=(), cache=cache).test[1])

    assert found() == 13
    monkeypatch.setenv("FUNCNN_DATA", str(environment))
    assert found() == 12
    assert found(folder) == 11
    for elsewhere in ("", str(tmp_path)):
        monkeypatch.setenv("FUNCNN_DATA", elsewhere)
        assert found() == 13
    monkeypatch.setenv("FUNCNN_DATA", str(tmp_path / "mistyped"))
    with pytest.raises(FileNotFoundError, match="mistyped is not a folder"):
        found()


def test_the_cache_is_that_of_the_user(folder, tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    cache = pooch.os_cache("funcnn")
    assert tmp_path in cache.parents
    cache.parent.mkdir(parents=True)
    shutil.move(folder, cache)
    assert len(data.mnist(None, 8, mirrors=()).test[1]) == 10


def test_folder_without_the_files(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        data.mnist(tmp_path)
    message = str(caught.value)
    for part in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, "train-images.idx3-ubyte"):
        assert part in message
    assert f"{tmp_path} and {tmp_path / 'mnist'}" in message


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        data.mnist(tmp_path / "nowhere")


@pytest.mark.parametrize("by_environment", [False, True])
def test_folder_with_some_of_the_files(folder, monkeypatch, by_environment):
    (folder / f"{TEST_LABELS}.gz").unlink()
    if by_environment:
        monkeypatch.setenv("FUNCNN_DATA", str(folder))
    with pytest.raises(FileNotFoundError, match=f"^{TEST_LABELS}: not found, looked in"):
        data.mnist(None if by_environment else folder, 8)


# what a file may have wrong: each error names the file and the fault


@pytest.mark.parametrize("name", arrays())
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "truncated"),
        (lambda content: content + b"\0", "bytes after the end"),
        (lambda content: gzip.compress(content)[:-9], "damaged gzip"),
        (lambda content: b"<html>", "not an IDX file"),
        (lambda content: b"", "the file is empty"),
    ],
)
def test_damaged_file(folder, name, damage, message):
    path = folder / f"{name}.gz"
    path.write_bytes(damage(encode(arrays()[name])))
    with pytest.raises(ValueError, match=message) as caught:
        data.mnist(folder, 8)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_images_and_labels_exchanged(folder, part):
    images, labels = (folder / f"{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    images.rename(folder / "aside")
    labels.rename(images)
    (folder / "aside").rename(labels)
    with pytest.raises(ValueError, match=r"expected images .* of shape \(.*exchanged") as caught:
        data.mnist(folder, 8)
    assert str(caught.value).startswith(f"{images}: ")


def test_images_for_labels(folder):
    shutil.copy(folder / f"{TEST_IMAGES}.gz", folder / f"{TEST_LABELS}.gz")
    with pytest.raises(ValueError, match=f"{TEST_LABELS}.gz: expected labels .*exchanged"):
        data.mnist(folder, 8)


def test_training_and_test_labels_exchanged(folder):
    labels = arrays()
    replace(folder, TRAIN_LABELS, labels[TEST_LABELS])
    replace(folder, TEST_LABELS, labels[TRAIN_LABELS])
    with pytest.raises(ValueError, match=f"{TRAIN_IMAGES}.gz has 40 .*{TRAIN_LABELS}.gz has 10"):
        data.mnist(folder, 8)


def test_training_and_test_files_exchanged(tmp_path):
    blank = {
        f"{part}-{kind}-ubyte": np.zeros((n, *shape), np.uint8)
        for part, n in (("train", 10_000), ("t10k", 60_000))
        for kind, shape in (("images-idx3", (28, 28)), ("labels-idx1", ()))
    }
    write(tmp_path, {name: encode(array) for name, array in blank.items()})
    with pytest.raises(ValueError, match="names of the training and test files are exchanged"):
        data.mnist(tmp_path, 8)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (TRAIN_IMAGES, np.zeros((40, 28, 32), np.uint8), "28 by 28 pixels, found 28 by 32"),
        (TRAIN_IMAGES, np.zeros((40, 28, 28), np.float32), "expected images .* found float32"),
        (TEST_LABELS, np.zeros(10, np.int32), "expected labels .* found int32"),
        (TEST_LABELS, np.zeros(11, np.uint8), "10 images.*11 labels"),
        (TEST_LABELS, np.array([0] * 7 + [10, 9, 10], np.uint8), "0..9, found 10 at index 7"),
        (TRAIN_LABELS, np.full(40, 255, np.uint8), "0..9, found 255 at index 0"),
    ],
)
def test_wrong_content(folder, name, array, message):
    replace(folder, name, array)
    with pytest.raises(ValueError, match=message) as caught:
        data.mnist(folder, 8)
    assert str(folder / f"{name}.gz") in str(caught.value)


def test_no_examples(tmp_path):
    write(tmp_path, zipped({name: array[:0] for name, array in arrays().items()}))
    with pytest.raises(ValueError, match=f"{TRAIN_IMAGES}.gz: has no images"):
        data.mnist(tmp_path, 0)


def test_without_pooch(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    message = r"pooch.*pip install 'funcnn\[data\]'.*FUNCNN_DATA to it \(now: not set\)"
    with pytest.raises(ImportError, match=message):
        data.mnist()
    with pytest.raises(ImportError, match=message):
        data.mnist(cache=tmp_path / "cache")
    assert len(data.mnist(folder, 8).test[1]) == 10
    assert len(data.mnist(None, 8, cache=folder).test[1]) == 10
    monkeypatch.setenv("FUNCNN_DATA", str(folder))
    assert len(data.mnist(None, 8).test[1]) == 10
