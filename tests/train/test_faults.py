"""Runs that are killed, for which there is no room on the disk, or that meet another run.

The kills are real: a process of its own trains, and gets SIGKILL at a random moment.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from funcnn import train
from funcnn.train.checkpoints import opened

from . import killed_run
from .killed_run import BATCHES, STEPS

KILLS = 10  # of each kind of run
ENDLESS = 10_000  # epochs: more than a run lives to see


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One device, and a cache of compiled programs, so that a new life starts sooner."""
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }


def started(environment, *arguments, **options):
    command = [sys.executable, "-W", "error", killed_run.__file__, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **options)


def wait_for(run, epoch):
    """Until the run has completed that epoch."""
    for line in run.stdout:
        if int(line) >= epoch:
            return
    raise AssertionError(run.stderr.read()[-3000:])


def whole_checkpoints(folder):
    """Their steps; and how many half-written ones are there."""
    names = [path.name for path in folder.glob("step_*")]
    half = [name for name in names if name.endswith(".unfinished")]
    return sorted(int(name.removeprefix("step_")) for name in {*names} - {*half}), len(half)


def logged_epochs(folder):
    """The epochs that the log says were completed; its last line may be cut off."""
    lines = (folder / "log.jsonl").read_text().splitlines(keepends=True)
    return [json.loads(line)["epoch"] for line in lines if line.endswith("\n")]


@pytest.mark.parametrize("kind", ["arrays", "stream"])
def test_a_run_that_is_killed_again_and_again_is_the_run_that_never_was(
    kind, tmp_path, environment
):
    folder = tmp_path / "checkpoints"
    moments = random.Random(kind)
    newest = half_written = 0
    for life in range(KILLS):
        run = started(environment, kind, folder, ENDLESS)
        try:
            wait_for(run, newest // BATCHES + 1)
            if life == 0:
                another = pytest.raises(
                    BlockingIOError, match=f"another run is writing .* {folder}"
                )
                with another, opened(train.Checkpoints(folder), resume=True):
                    pass
            time.sleep(moments.uniform(0, 0.4))
        finally:
            run.send_signal(signal.SIGKILL)
            run.communicate()
        assert run.returncode == -signal.SIGKILL
        steps, half = whole_checkpoints(folder)
        half_written += half
        epochs = logged_epochs(folder)
        assert epochs == list(range(1, len(epochs) + 1))
        # none of what came before is lost, and of this life no more than the interval: of the first
        # life that may be all, where the process was killed before the first one was written
        kept = max(steps, default=0)
        assert newest <= kept
        interval = BATCHES if kind == "arrays" else STEPS
        assert kept >= BATCHES * len(epochs) - interval
        newest = kept
    assert half_written, "some of the kills were to come while a checkpoint was written"
    last = newest // BATCHES + 2
    run = started(environment, kind, folder, last, tmp_path / "final.npz")
    told, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors[-3000:]
    assert errors == ""
    assert int(told.split()[0]) == newest // BATCHES  # it went on, and did not start anew
    found = dict(np.load(tmp_path / "final.npz"))
    names = {name.partition("_")[2] for name in found} - {"seconds"}
    assert {"0", "loss", "epoch", "step"} <= names
    for name in sorted(names):
        one, other = found[f"resumed_{name}"], found[f"whole_{name}"]
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes(), name
    assert logged_epochs(folder) == found["resumed_epoch"].tolist() == list(range(1, last + 1))
    assert whole_checkpoints(folder)[1] == 0


def test_no_room_on_the_disk_stops_training_and_keeps_what_was_saved(tmp_path, environment):
    """Files may not grow beyond a limit, as on a disk that is full; root is held to it too."""
    folder = tmp_path / "checkpoints"
    run = started(environment, "arrays", folder, ENDLESS)
    wait_for(run, 2)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (1500, 1500))
    errors = run.communicate(timeout=60)[1]
    assert run.returncode == 1
    assert "TrainingFailed" in errors
    steps, _ = whole_checkpoints(folder)
    assert f"the checkpoint {folder}/step_{steps[-1] + BATCHES} could not be written" in errors
    assert f"the last good one is {folder}/step_{steps[-1]}" in errors
    assert "File too large" in errors
    with opened(train.Checkpoints(folder), resume=True) as store:
        assert store.restore(killed_run.problem("arrays")[0][2]).state.step == steps[-1]
        assert whole_checkpoints(folder) == (steps, 0)
