"""IDX files for the tests, written from the format's description and not from `funcnn.data.idx`."""

import gzip
import struct
from pathlib import Path

import numpy as np

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def encode(array: np.ndarray) -> bytes:
    header = struct.pack(
        f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape
    )
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def arrays(train: int = 40, test: int = 10) -> dict[str, np.ndarray]:
    """What the four files hold, by name: random pixels, and labels in which every digit occurs."""
    rng = np.random.default_rng(0)
    result = {}
    for part, n in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (n, 28, 28), np.uint8)
        images[0, 0, :2] = 0, 255
        result[f"{part}-images-idx3-ubyte"] = images
        result[f"{part}-labels-idx1-ubyte"] = rng.permutation(n).astype(np.uint8) % 10
    return result


def zipped(contents: dict[str, np.ndarray]) -> dict[str, bytes]:
    """The files as a mirror has them, by name."""
    return {f"{name}.gz": gzip.compress(encode(array)) for name, array in contents.items()}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
