"""The IDX file format, in which MNIST is published.

Two zero bytes, one byte for the type, one for the number of dimensions, each dimension's length as
four bytes, then the values; all big-endian.
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads the array in an IDX file, gzipped or not, whatever the file's name.

    Args:
        path: of the file.

    Returns:
        An array of the file's shape, and of its type in the machine's byte order: uint8, int8,
        int16, int32, float32 or float64.

    Raises:
        ValueError: not an IDX file, truncated, with bytes after the end, or damaged inside its
            gzip. The message names the file.
        OSError: the file cannot be opened.

    Source: http://yann.lecun.com/exdb/mnist/, "The IDX file format".

    >>> import pathlib, tempfile
    >>> from funcnn.data import idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     idx.read(path)
    array([5, 0, 4], dtype=uint8)
    """
    content = read_unzipped(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES:
        raise ValueError(
            f"{path}: not an IDX file: expected two zero bytes, a type (one of "
            f"{', '.join(f'{code:#04x}' for code in DTYPES)}) and a number of dimensions, "
            + (f"found {content[:4]!r}" if content else "but the file is empty")
        )
    dtype, ndim = np.dtype(DTYPES[content[2]]), content[3]
    header = 4 + 4 * ndim
    if len(content) < header:
        raise ValueError(
            f"{path}: truncated: {ndim} dimensions take a header of {header} bytes, "
            f"found {len(content)}; get the file again"
        )
    shape = tuple(np.frombuffer(content, ">u4", ndim, offset=4).tolist())
    size = math.prod(shape)
    surplus = len(content) - (header + size * dtype.itemsize)
    if surplus:
        fault = "truncated" if surplus < 0 else "bytes after the end"
        raise ValueError(
            f"{path}: {fault}: its header announces {dtype.name} of shape {shape}, "
            f"{header + size * dtype.itemsize} bytes in all, found {len(content)}; "
            "get the file again"
        )
    values = np.frombuffer(content, dtype, size, offset=header)
    try:
        array = values.reshape(shape)
    except ValueError as error:  # more dimensions, or longer ones, than numpy has
        raise ValueError(f"{path}: numpy has no array of shape {shape}: {error}") from error
    return array.astype(dtype.newbyteorder("="))


def read_unzipped(path: str | os.PathLike[str]) -> bytes:
    content = Path(path).read_bytes()
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip: {error}; get the file again") from error
