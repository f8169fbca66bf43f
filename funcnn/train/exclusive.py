"""A folder that one run at a time writes to, and what its processes agree on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np


@contextlib.contextmanager
def exclusive(folder: Path, filelock: Any) -> Iterator[None]:
    """The folder, made if need be, and locked by the first process for as long as it lives."""
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    free = True
    if jax.process_index() == 0:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            free = False
        except OSError as error:
            raise OSError(
                error.errno,
                f"the folder cannot be made or written ({error.strerror}): choose another one",
                str(folder),
            ) from error
    try:
        if not everywhere(free):
            raise BlockingIOError(
                f"another run is writing its checkpoints to {folder}: wait for it or stop it, or "
                "choose another folder"
            )
        yield
    finally:
        lock.release()


def everywhere(good: bool) -> bool:
    """Whether all processes say so. All of them must ask."""
    if jax.process_count() == 1:
        return good
    from jax.experimental import multihost_utils

    return bool(np.all(multihost_utils.process_allgather(np.asarray(good))))
