"""Two real processes, joined by jax.distributed over the loopback address, train one model."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from . import placed

PROCESSES = 2


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What came out in each process."""
    files = [tmp_path_factory.mktemp("hosts") / f"{process}.json" for process in range(PROCESSES)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [
        subprocess.Popen(
            [sys.executable, placed.__file__, *map(str, (port, process, PROCESSES, file))],
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process, file in enumerate(files)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], errors[0][-3000:]
    return [json.loads(file.read_text()) for file in files]


def test_two_processes_train_on_arrays_as_one_device_does(told):
    alone = placed.curve(*placed.trained())
    for found in told:
        np.testing.assert_allclose(found["fully sharded"], alone, rtol=2e-5)


def test_each_process_streams_its_part_of_the_batches(told):
    alone = placed.curve(*placed.streamed())
    for found in told:
        for way in ("data parallel", "tensor parallel"):
            np.testing.assert_allclose(found[way], alone, rtol=2e-5, err_msg=way)


def test_processes_that_differ_are_refused(told):
    for found in told:
        assert (
            "['kernel'] is not the same in process 0 and in process 1: each must" in found["seeds"]
        )


def test_a_part_that_the_devices_do_not_divide_is_refused(told):
    for process, found in enumerate(told):
        assert f"batch['x']: process {process} has 3 examples" in found["part"]
