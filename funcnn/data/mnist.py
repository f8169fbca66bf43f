"""MNIST: 70,000 handwritten digits of 28 by 28 pixels."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from funcnn.data import idx
from funcnn.data.download import cache_folder, download
from funcnn.data.split import Splits, counts

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
CHECKSUMS = {
    TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def mnist(
    folder: str | os.PathLike[str] | None = None,
    validation: float = 10_000,
    *,
    mirrors: Sequence[str] = MIRRORS,
    checksums: Mapping[str, str] = CHECKSUMS,
    cache: str | os.PathLike[str] | None = None,
) -> Splits:
    """MNIST (LeCun, Cortes and Burges), from a folder, a cache, or the network.

    The four files are looked for in `folder`; without one, in the folder that the environment
    variable `FUNCNN_DATA` names, then in `cache`; when they are in neither, they are downloaded
    into `cache`. In a folder they may lie directly or in its subfolder `mnist/`, gzipped or not,
    named `train-images-idx3-ubyte`, `train-images.idx3-ubyte` or either with `.gz`; the others are
    `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`. Downloads are
    held against checksums; files found in a folder are not, but their content has to be right.

        splits = data.mnist()                           # downloaded once (11 MB)
        x, y = splits.train                             # (50000, 28, 28, 1) and (50000,)
        splits = data.mnist("~/data", validation=0.1)   # from files of your own

    The test set is the published one. The validation set is the end of the published training set,
    so it is the same each time, and so is the training set.

    Args:
        folder: where the four files are. Nowhere else is looked, and nothing is downloaded.
        validation: the number of examples (int) at the end of the 60,000 training examples that
            become the validation set, or their fraction (float in [0, 1)).
        mirrors: http(s) addresses to download from, tried in this order. `()`: never download.
        checksums: the sha256 of each gzipped file, by its name without `.gz`. With other mirrors,
            checksums and cache, any data in MNIST's form, such as Fashion-MNIST.
        cache: the folder for downloads; without one, the user's cache folder of the operating
            system.

    Returns:
        `Splits(train, validation, test)`, each `(x, y)`: x (n, 28, 28, 1), float32 in [0, 1];
        y (n,), int32 in 0..9. 50,000, 10,000 and 10,000 examples unless asked otherwise.

    Raises:
        FileNotFoundError: `folder` lacks some of the files, or `FUNCNN_DATA` has only some or names
            no folder.
        ValueError: a file is damaged or is not what its name says (the message names the file), or
            `validation` leaves no training examples.
        OSError: the download failed; the message says what went wrong at each mirror.
        ImportError: pooch is needed and not installed.

    Lectures: decks A to E, row 42.
    """
    paths = locate(folder, mirrors, checksums, cache)
    images, labels = read_pair(paths[TRAIN_IMAGES], paths[TRAIN_LABELS])
    test_images, test_labels = read_pair(paths[TEST_IMAGES], paths[TEST_LABELS])
    if len(images) == 10_000 and len(test_images) == 60_000:
        raise ValueError(
            f"{paths[TRAIN_IMAGES]} has the 10,000 test images and {paths[TEST_IMAGES]} the 60,000 "
            "training images: the names of the training and test files are exchanged"
        )
    (held_out,) = counts(len(images), validation=validation)
    x, y = scale(images), labels.astype(np.int32)
    end = len(x) - held_out
    return Splits(
        train=(x[:end], y[:end]),
        validation=(x[end:], y[end:]),
        test=(scale(test_images), test_labels.astype(np.int32)),
    )


def locate(
    folder: str | os.PathLike[str] | None,
    mirrors: Sequence[str],
    checksums: Mapping[str, str],
    cache: str | os.PathLike[str] | None,
) -> dict[str, Path]:
    """The paths of the four files, by name."""
    if folder is not None:
        return find_all(Path(folder).expanduser())
    # no folder is a mistake in the name, some of the files one that something went wrong with; a
    # folder without any is one for other data
    if given := os.environ.get("FUNCNN_DATA"):
        named = Path(given).expanduser()
        if not named.is_dir() or find(named):
            return find_all(named)
    cache = cache_folder() if cache is None else Path(cache).expanduser()
    found = find(cache)
    missing = [name for name in NAMES if name not in found]
    if absent := [name for name in missing if name not in checksums]:
        raise ValueError(f"checksums lacks {', '.join(absent)}; it has {', '.join(checksums)}")
    if missing:
        registry = {f"{name}.gz": checksums[name] for name in missing}
        downloaded = download(registry, mirrors, cache / "mnist")
        found |= {name: downloaded[f"{name}.gz"] for name in missing}
    return found


def find(folder: Path) -> dict[str, Path]:
    """The paths of those of the four files that are in `folder`, or in its subfolder, by name."""

    def files_in(place: Path) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for name in NAMES:
            for path in (place / spelling for spelling in spellings(name)):
                if path.is_file():
                    found.setdefault(name, path)
        return found

    return max(files_in(folder), files_in(folder / "mnist"), key=len)


def find_all(folder: Path) -> dict[str, Path]:
    """The paths of the four files in `folder` or in its subfolder, by name."""
    found = find(folder)
    missing = [name for name in NAMES if name not in found]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)}: not found, looked in {folder} and {folder / 'mnist'}"
            + ("" if folder.is_dir() else f" ({folder} is not a folder)")
            + f"; such a file may also be named {', '.join(spellings(missing[0])[1:])}"
        )
    return found


def spellings(name: str) -> list[str]:
    dotted = name.replace("-idx", ".idx")
    return [name, f"{name}.gz", dotted, f"{dotted}.gz"]


def read_pair(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28) and labels (n,), uint8, that fit one another."""
    images, labels = read(images_path, "images", 3), read(labels_path, "labels", 1)
    if images.shape[1:] != (28, 28):
        raise ValueError(
            f"{images_path}: expected images of 28 by 28 pixels, found "
            f"{images.shape[1]} by {images.shape[2]}"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} has {len(images)} images, but {labels_path} has {len(labels)} labels: "
            "the two do not belong together"
        )
    if len(images) == 0:
        raise ValueError(f"{images_path}: has no images")
    if labels.max() > 9:
        first = int(np.argmax(labels > 9))
        raise ValueError(
            f"{labels_path}: expected labels in 0..9, found {labels[first]} at index {first}"
        )
    return images, labels


def read(path: Path, what: str, ndim: int) -> np.ndarray:
    array = idx.read(path)
    if array.dtype != np.uint8 or array.ndim != ndim:
        raise ValueError(
            f"{path}: expected {what} (uint8, {ndim}-dimensional), found {array.dtype} of shape "
            f"{array.shape}: is it another file under this name, images and labels exchanged?"
        )
    return array


def scale(images: np.ndarray) -> np.ndarray:
    """(n, 28, 28) uint8 to (n, 28, 28, 1) float32 in [0, 1]."""
    return np.divide(images[..., np.newaxis], 255, dtype=np.float32)
