import gzip
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from funcnn.data import idx

from .idx_files import CODES, encode

any_array = hnp.arrays(
    dtype=st.sampled_from(sorted(CODES)),
    shape=hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
)


def read(content: bytes) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file-under-test")
        path.write_bytes(content)
        return idx.read(path)


@settings(deadline=None)
@given(array=any_array, pack=st.sampled_from([bytes, gzip.compress]))
def test_reads_what_was_written(array, pack):
    found = read(pack(encode(array)))
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.dtype.isnative
    assert found.flags.writeable


def test_bytes_of_the_description():
    content = bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x01, 0x02, 0xFF, 0xFE])
    np.testing.assert_array_equal(read(content), np.array([[258, -2]], np.int16), strict=True)


def test_content_decides_whether_it_is_gzipped(tmp_path):
    labels = np.arange(5, dtype=np.uint8)
    (tmp_path / "plain.gz").write_bytes(encode(labels))
    (tmp_path / "zipped").write_bytes(gzip.compress(encode(labels)))
    np.testing.assert_array_equal(idx.read(str(tmp_path / "plain.gz")), labels)
    np.testing.assert_array_equal(idx.read(tmp_path / "zipped"), labels)


@settings(deadline=None)
@given(array=any_array, pack=st.sampled_from([bytes, gzip.compress]), data=st.data())
def test_truncated_anywhere(array, pack, data):
    content = pack(encode(array))
    end = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ValueError, match=r"file-under-test: (truncated|damaged gzip|not an IDX)"):
        read(content[:end])


def test_truncated_at_every_byte():
    for content in (encode(np.ones((2, 3), np.int16)), gzip.compress(encode(np.ones(4, np.int8)))):
        for end in range(len(content)):
            with pytest.raises(ValueError, match="file-under-test: "):
                read(content[:end])


@settings(deadline=None)
@given(array=any_array, extra=st.binary(min_size=1, max_size=9))
def test_bytes_after_the_end(array, extra):
    for content in (encode(array) + extra, gzip.compress(encode(array) + extra)):
        with pytest.raises(ValueError, match="file-under-test: bytes after the end"):
            read(content)


def test_bytes_after_the_gzip():
    content = gzip.compress(encode(np.ones(4, np.int8))) + b"more"
    with pytest.raises(ValueError, match="file-under-test: damaged gzip"):
        read(content)


@settings(deadline=None)
@given(array=any_array, data=st.data())
def test_one_damaged_byte_in_a_gzip_never_gives_other_values(array, data):
    content = bytearray(gzip.compress(encode(array)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:  # a few bytes of gzip's header, such as the time, change nothing
        np.testing.assert_array_equal(read(bytes(content)), array, strict=True)
    except ValueError as error:
        assert "file-under-test: " in str(error)  # noqa: PT017 (both outcomes are right)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html>", "<!DO"),
        (bytes([0, 0, 0x0A, 1, 0, 0, 0, 0]), r"\\n\\x01"),  # 0x0a is no type
        (bytes([1, 0, 0x08, 1, 0, 0, 0, 0]), r"\\x01\\x00"),
    ],
)
def test_not_an_idx_file(content, found):
    with pytest.raises(ValueError, match=f"file-under-test: not an IDX file.*{found}"):
        read(content)


def test_lengths_are_in_the_message():
    content = encode(np.zeros((3, 28, 28), np.uint8))
    size = 16 + 3 * 28 * 28
    with pytest.raises(
        ValueError, match=rf"uint8 of shape \(3, 28, 28\), {size} bytes in all, found {size - 1}"
    ):
        read(content[:-1])


@pytest.mark.parametrize("shape", [(1,) * 65, (0, 2**32 - 1, 2**32 - 1, 2**32 - 1)])
def test_shapes_that_numpy_does_not_have(shape):
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    with pytest.raises(ValueError, match="file-under-test: numpy has no array of shape"):
        read(header + bytes(math.prod(shape)))


def test_a_header_that_announces_more_than_memory_holds():
    with pytest.raises(ValueError, match="file-under-test: truncated"):
        read(bytes([0, 0, 8, 4]) + b"\xff" * 16)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        idx.read(tmp_path / "nowhere")
