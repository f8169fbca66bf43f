"""MNIST from real HTTP servers on the loopback address."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from funcnn import data
from funcnn.data.download import download

from .idx_files import arrays, encode, write, zipped

FILES = zipped(arrays())
FIRST = next(iter(FILES))


def checksums_of(files):
    return {
        name.removesuffix(".gz"): hashlib.sha256(content).hexdigest()
        for name, content in files.items()
    }


# answers of a server


def whole(content):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def cut(content, announce_length=True):
    """The connection ends in the middle of the body; without a length that looks like its end."""

    def answer(handler):
        handler.send_response(200)
        if announce_length:
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])

    return answer


def stalled(content):
    """Half of the body, then nothing until the server stops."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        handler.server.closing.wait()

    return answer


def corrupted(content):
    middle = len(content) // 2
    return whole(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("FUNCNN_DATA", raising=False)


@pytest.fixture
def server(start_server):
    return start_server()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def serve_all(server, files=FILES):
    server.answers = {f"/{name}": whole(content) for name, content in files.items()}


def mnist(cache, *mirrors):
    return data.mnist(None, 8, mirrors=mirrors, checksums=checksums_of(FILES), cache=cache)


def assert_right(splits):
    _, y = splits.test
    np.testing.assert_array_equal(y, arrays()["t10k-labels-idx1-ubyte"])
    assert [x.shape for x, _ in splits] == [(32, 28, 28, 1), (8, 28, 28, 1), (10, 28, 28, 1)]


def in_cache(cache):
    return {path.name: path.read_bytes() for path in (cache / "mnist").glob("*")}


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.01)


@pytest.mark.parametrize("slash", ["", "/"])
def test_downloaded_once(server, cache, slash):
    server.answers = {f"/pub/mnist/{name}": whole(content) for name, content in FILES.items()}
    assert_right(mnist(cache, f"{server.url}/pub/mnist{slash}"))
    assert server.requests == list(server.answers)
    assert in_cache(cache) == FILES
    server.stop()
    assert_right(mnist(cache, server.url))
    assert_right(mnist(cache))


def test_only_what_the_cache_lacks(server, cache):
    """Files of the user's own in the cache, here not zipped, are neither checked nor replaced."""
    serve_all(server)
    *rest, last = arrays()
    write(cache / "mnist", {name: encode(arrays()[name]) for name in rest})
    assert_right(mnist(cache, server.url))
    assert server.requests == [f"/{last}.gz"]
    assert sorted(in_cache(cache)) == sorted([*rest, f"{last}.gz"])


def test_nothing_is_downloaded_for_a_folder(server, cache, tmp_path):
    serve_all(server)
    with pytest.raises(FileNotFoundError):
        data.mnist(tmp_path, 8, mirrors=[server.url], checksums=checksums_of(FILES), cache=cache)
    assert server.requests == []


def test_files_for_other_data_do_not_stop_the_download(server, cache, tmp_path, monkeypatch):
    serve_all(server)
    (tmp_path / "other-data.csv").touch()
    monkeypatch.setenv("FUNCNN_DATA", str(tmp_path))
    assert_right(mnist(cache, server.url))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (cut, "IncompleteRead|broken"),
        (lambda content: cut(content, announce_length=False), "does not match the known hash"),
        (corrupted, "does not match the known hash"),
        (lambda content: lambda handler: handler.send_error(404), "404"),
        (lambda content: lambda handler: handler.send_error(503), "503"),
        (lambda content: lambda handler: None, "Connection aborted"),
        (lambda content: whole(b"<html>sign in</html>"), "does not match the known hash"),
    ],
    ids=["cut", "cut-no-length", "corrupted", "404", "503", "hung-up", "portal"],
)
def test_fault_of_a_mirror(server, start_server, cache, fault, message):
    other = start_server()
    serve_all(server)
    serve_all(other)
    server.answers[f"/{FIRST}"] = fault(FILES[FIRST])
    with pytest.raises(OSError, match=message) as caught:
        mnist(cache, server.url)
    assert f"could not download {FIRST}; mirrors tried: 1" in str(caught.value)
    assert f"{server.url}/{FIRST}: " in str(caught.value)
    assert in_cache(cache) == {}  # nothing half, under no name

    assert_right(mnist(cache, server.url, other.url))  # from the next mirror
    assert other.requests == [f"/{FIRST}"]
    assert in_cache(cache) == FILES


def test_retried_by_the_next_call(server, cache):
    serve_all(server)
    last = list(FILES)[-1]
    server.answers[f"/{last}"] = cut(FILES[last])
    with pytest.raises(OSError, match=last):
        mnist(cache, server.url)
    serve_all(server)
    server.requests.clear()
    assert_right(mnist(cache, server.url))
    assert server.requests == [f"/{last}"]


def test_all_mirrors_fail(start_server, cache, monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCNN_DATA", str(tmp_path))
    empty, other, gone = (start_server() for _ in range(3))
    other.answers[f"/{FIRST}"] = corrupted(FILES[FIRST])
    gone.stop()
    with pytest.raises(OSError, match="mirrors tried: 3") as caught:
        mnist(cache, empty.url, other.url, gone.url)
    message = str(caught.value)
    lines = message.splitlines()
    for line, url, reason in (
        (lines[1], empty.url, "404"),
        (lines[2], other.url, "does not match"),
        (lines[3], gone.url, "refused"),
    ):
        assert line.startswith(f"  {url}/{FIRST}: ")
        assert reason in line
    assert all(name in message for name in FILES)
    assert "put the files in a folder" in message
    assert f"FUNCNN_DATA to it (now: {tmp_path})" in message


def test_without_mirrors(cache):
    with pytest.raises(OSError, match="mirrors tried: 0"):
        mnist(cache)


def test_wrong_arguments(cache):
    with pytest.raises(TypeError, match="sequence of addresses, not one string"):
        data.mnist(mirrors="http://127.0.0.1", cache=cache)
    with pytest.raises(ValueError, match=r"checksums lacks train-images-.*; it has train-images$"):
        data.mnist(checksums={"train-images": "0"}, cache=cache)
    with pytest.raises(OSError, match="'ftpp'"):
        mnist(cache, "ftpp://127.0.0.1")


def test_a_file_that_another_process_brought_is_taken(server, tmp_path):
    write(tmp_path, {FIRST: FILES[FIRST]})
    registry = {FIRST: hashlib.sha256(FILES[FIRST]).hexdigest()}
    assert download(registry, [server.url], tmp_path) == {FIRST: tmp_path / FIRST}
    assert server.requests == []


def test_a_damaged_file_in_the_cache_says_so(cache):
    write(cache / "mnist", FILES | {FIRST: FILES[FIRST][:-20]})
    with pytest.raises(ValueError, match=f"{FIRST}: damaged gzip.*get the file again"):
        mnist(cache)


def test_content_is_checked_after_the_checksum(server, cache):
    """Checksums of something else than MNIST do not make it MNIST."""
    contents = arrays()
    contents["t10k-labels-idx1-ubyte"][3] = 12
    files = zipped(contents)
    serve_all(server, files)
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte.gz: .*found 12 at index 3"):
        data.mnist(None, 8, mirrors=[server.url], checksums=checksums_of(files), cache=cache)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT and SIGKILL for one process")
@pytest.mark.parametrize("sent", ["SIGINT", "SIGKILL"])
def test_interrupted_in_the_middle(server, cache, sent):
    """Ctrl-C leaves nothing; a killed process leaves nothing that counts as the file."""
    serve_all(server)
    server.answers[f"/{FIRST}"] = stalled(FILES[FIRST])
    script = f"""
        import pathlib, signal
        from funcnn.data.download import download
        signal.signal(signal.SIGINT, signal.default_int_handler)
        folder = pathlib.Path({str(cache / "mnist")!r})
        download({{{FIRST!r}: "0" * 64}}, [{server.url!r}], folder)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE
    )
    try:
        wait_for(
            lambda: any(in_cache(cache).values())  # half of the file is written
        )
        process.send_signal(getattr(signal, sent))
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0
    assert FIRST not in in_cache(cache)
    if sent == "SIGINT":
        assert b"KeyboardInterrupt" in stderr
        assert in_cache(cache) == {}
    serve_all(server)
    assert_right(mnist(cache, server.url))
