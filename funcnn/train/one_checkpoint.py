"""One checkpoint on the disk: a folder with the arrays, as orbax writes them, and a manifest.

The manifest has what the arrays are (name, dtype and shape of each), how far the run was, and a
digest of each file, by which damage is found before orbax reads any of it. The folder gets its name
last, when all of it is there: what was cut short never counts as a checkpoint.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnn.train.exclusive import everywhere
from funcnn.train.leaves import bits_of, described, expect_same, from_bits, named_leaves
from funcnn.train.state import TrainState

ARRAYS = "arrays"
MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"


class Saved(NamedTuple):
    """All that `fit` goes on from.

    Attributes:
      state: with the step that the checkpoint is named by.
      kept: the best state so far, as of `fit(keep=...)`; None before there is one.
      progress: what else there is to know, as JSON has it: "history" (rows), ...
    """

    state: TrainState
    kept: TrainState | None
    progress: dict[str, Any]


def is_one(path: Path) -> bool:
    """Whether this is a checkpoint, be it a damaged one, and not something else of that name."""
    return (path / MANIFEST).exists() or (path / ARRAYS).exists()


class Damaged(Exception):
    """What is wrong with a checkpoint."""


def write(path: Path, saved: Saved) -> None:
    """Writes a checkpoint, in the place of one that is there. All processes write together.

    Raises:
      OSError: it could not be written.
      ValueError: two leaves have the same path.
    """
    leaves = named_leaves(_tree(saved.state, saved.kept))
    arrays = {name: bits_of(leaf) for name, leaf in leaves.items() if leaf.size}  # as orbax asks
    unfinished = path.with_name(path.name + UNFINISHED)
    if jax.process_index() == 0:
        shutil.rmtree(unfinished, ignore_errors=True)  # of a save that failed
        unfinished.mkdir()
    everywhere(True)
    with _orbax() as (orbax, checkpointer):
        try:
            checkpointer.save(unfinished / ARRAYS, args=orbax.args.StandardSave(arrays))
        except ValueError as error:  # tensorstore's errors of the file system
            raise OSError(str(error)) from error
    if jax.process_index() == 0:
        files = sorted(file for file in unfinished.rglob("*") if file.is_file())
        manifest = {
            "leaves": {name: described(leaf) for name, leaf in leaves.items()},
            "progress": saved.progress,
            "files": {file.relative_to(unfinished).as_posix(): _digest(file) for file in files},
        }
        with (unfinished / MANIFEST).open("w", encoding="utf-8") as file:
            json.dump({"sha256": _digest_of_json(manifest), **manifest}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            remove(path)
        unfinished.rename(path)
    everywhere(True)


def read(path: Path, manifest: dict[str, Any], like: TrainState) -> Saved:
    """The checkpoint of this manifest; ValueError names a leaf that is not as in `like`."""
    found = manifest["leaves"]
    has_kept = any(name.startswith("kept/") for name in found)
    tree = _tree(like, like if has_kept else None)
    expected = named_leaves(tree)
    expect_same(
        f"{path} is of another model, optimizer or kind of key",
        {name: described(leaf) for name, leaf in expected.items()},
        found,
    )
    bits = {name: bits_of(leaf) for name, leaf in expected.items()}
    wanted = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        for name, leaf in bits.items()
        if leaf.size
    }
    with _orbax() as (orbax, checkpointer):
        bits |= checkpointer.restore(path / ARRAYS, args=orbax.args.StandardRestore(wanted))
    leaves = [from_bits(bits[name], leaf) for name, leaf in expected.items()]
    restored = jax.tree.unflatten(jax.tree.structure(tree), leaves)
    return Saved(restored["state"], restored.get("kept"), manifest["progress"])


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, as it was written; or `Damaged`."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        whole = manifest.pop("sha256") == _digest_of_json(manifest)
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise Damaged(f"{MANIFEST} cannot be read: {type(error).__name__}: {error}") from error
    if not whole:
        raise Damaged(f"{MANIFEST} is not as it was written")
    return manifest


def check_files(path: Path, manifest: dict[str, Any]) -> None:
    """`Damaged` for the first file that is not as it was written."""
    for name, digest in manifest["files"].items():
        try:
            same = _digest(path / name) == digest
        except OSError as error:
            raise Damaged(f"{name} cannot be read: {error.strerror}") from error
        if not same:
            raise Damaged(f"{name} is not as it was written")


def remove(path: Path) -> None:
    """Removes a checkpoint; one that is removed by half is an unfinished one."""
    unfinished = path.with_name(f"{path.name}.removed{UNFINISHED}")
    path.rename(unfinished)
    shutil.rmtree(unfinished)


def libraries() -> tuple[Any, Any]:
    try:
        import filelock
        import orbax.checkpoint
    except ImportError as error:
        raise ImportError(
            f"{error.name}, which checkpoints need, is missing: pip install 'funcnn[checkpoints]'"
        ) from error
    return orbax.checkpoint, filelock


def _tree(state: TrainState, kept: TrainState | None) -> dict[str, TrainState]:
    """What is written: under names like "state/params/1/kernel"."""
    tree = {"state": state} if kept is None else {"state": state, "kept": kept}
    return jax.tree.map(jnp.asarray, tree)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def _orbax() -> Iterator[tuple[Any, Any]]:
    """orbax and a checkpointer of it, that does not log each error before it raises it."""
    orbax, _ = libraries()

    def told_once(record: logging.LogRecord) -> bool:
        return "_SignalingThread.run() raised an exception" not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(told_once)
    try:
        with orbax.Checkpointer(orbax.StandardCheckpointHandler()) as checkpointer:
            yield orbax, checkpointer
    finally:
        logger.removeFilter(told_once)
