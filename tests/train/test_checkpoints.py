"""Checkpoints come back bit for bit, or say by name what is wrong; damaged ones are passed over."""

import gc
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from funcnn import data, optim, train
from funcnn.train.checkpoints import Checkpoints, opened
from funcnn.train.one_checkpoint import Saved

from .test_epoch import bits

SGD = optim.sgd(0.1)


def assert_same_bits(a, b):
    for one, other in zip(bits(a), bits(b), strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


def row(step, **values):
    return {"epoch": step // 5, "step": step, **values}


def state_at(step, params=None, optimizer=SGD, impl=None):
    params = {"w": jnp.arange(6.0).reshape(2, 3) + step} if params is None else params
    key = jax.random.key(0, impl=impl)
    return train.TrainState(params, (), optimizer.init(params), key, jnp.int32(step))


def saved_at(step, kept=None, **values):
    return Saved(state_at(step), kept, {"history": [row(step, **values)]})


def save(folder, *steps, **options):
    with opened(Checkpoints(folder, **options), resume=True) as store:
        for step in steps:
            store.save(saved_at(step))


def restore(folder, like=None, **options):
    with opened(Checkpoints(folder, **options), resume=True) as store:
        return store.restore(state_at(0) if like is None else like)


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.name != ".lock")


# --- what comes back ----------------------------------------------------------------------------


def test_everything_comes_back_bit_for_bit(tmp_path):
    mesh = jax.make_mesh((4, 2), ("data", "model"))
    divided, whole = NamedSharding(mesh, P("data", "model")), NamedSharding(mesh, P())
    params = (
        {"kernel": jnp.array([1.5, -0.0, jnp.nan], jnp.bfloat16), "bias": jnp.zeros((0, 3))},
        (),
        {"divided": jax.device_put(jnp.arange(32.0).reshape(8, 4), divided)},
        [jax.device_put(jnp.arange(3, dtype=jnp.int8), whole), jnp.array([True, False])],
        jnp.array([[65504], [6e-8]], jnp.float16),
        {"complex": jnp.array([1 + 2j], jnp.complex64), "scalar": jnp.float32(0.1)},
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optim.adam(0.1), optax.scale_by_schedule(lambda n: 1.0)
    )
    floating = (params[0], params[2])
    state = train.TrainState(
        params,
        {"keys": jax.random.split(jax.random.key(3, impl="rbg"), 2), "count": jnp.uint32(2**31)},
        optimizer.init(floating),
        jax.device_put(jax.random.key(1), jax.devices()[5]),
        jnp.int32(7),
    )
    kept = state._replace(step=jnp.int32(4))
    progress = {"history": [{"step": 7, "loss": 0.1 + 0.2}], "position": {"sums": {"a": 1e-300}}}
    with opened(Checkpoints(tmp_path / "made" / "here"), resume=False) as store:
        assert store.restore(state) is None
        store.save(Saved(state, kept, progress))
    found = restore(tmp_path / "made" / "here", state)
    assert found.progress == progress
    for old, new in ((state, found.state), (kept, found.kept)):
        assert jax.tree.structure(old) == jax.tree.structure(new)
        assert_same_bits(old, new)
        for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True):
            assert (a.dtype, a.sharding, a.committed) == (b.dtype, b.sharding, b.committed)
            assert a is not b


def test_arrays_come_back_divided_in_another_way(tmp_path):
    state = state_at(5, {"w": jnp.arange(16.0)})
    with opened(Checkpoints(tmp_path), resume=False) as store:
        store.save(Saved(state, None, {}))
    divided = NamedSharding(jax.make_mesh((8,), ("data",)), P("data"))
    like = state_at(0, {"w": jax.device_put(jnp.zeros(16), divided)})
    found = restore(tmp_path, like).state.params["w"]
    assert found.sharding == divided
    np.testing.assert_array_equal(found, np.arange(16.0))


# --- which ones there are -----------------------------------------------------------------------


def test_the_newest_ones_stay_and_the_best_one(tmp_path):
    best = train.lowest("loss")
    losses = {5: np.nan, 10: 0.3, 15: 0.2, 20: 0.2, 25: 0.5, 30: 0.9}
    with opened(Checkpoints(tmp_path, keep=2, best=best), resume=False) as store:
        for step, loss in losses.items():
            store.save(saved_at(step, loss=loss))
    assert names(tmp_path) == ["step_15", "step_25", "step_30"]
    with opened(Checkpoints(tmp_path, keep=2, best=best), resume=True) as store:
        store.save(saved_at(35, loss=0.7))
        assert names(tmp_path) == ["step_15", "step_30", "step_35"]
        # within an epoch, which the last row of the history does not describe
        store.save(saved_at(38)._replace(progress={"history": [row(35, loss=0.1)]}))
        store.save(saved_at(40, loss=0.8))
        assert names(tmp_path) == ["step_15", "step_38", "step_40"]
    with opened(Checkpoints(tmp_path, keep=1, best=train.highest("loss")), resume=True) as store:
        store.save(saved_at(45, loss=0.1))
    assert names(tmp_path) == ["step_40", "step_45"]


def test_one_of_the_same_step_is_replaced(tmp_path):
    with opened(Checkpoints(tmp_path), resume=False) as store:
        store.save(saved_at(5)._replace(progress={"history": []}))
        store.save(saved_at(5, loss=1.0))
    assert restore(tmp_path).progress == {"history": [row(5, loss=1.0)]}


def test_a_best_one_by_what_was_not_measured(tmp_path):
    best = train.lowest("validation_loss")
    with (
        opened(Checkpoints(tmp_path, best=best), resume=False) as store,
        pytest.raises(ValueError, match="no column 'validation_loss': it has epoch, step, loss"),
    ):
        store.save(saved_at(5, loss=1.0))


def test_a_folder_with_checkpoints_is_not_taken_for_a_new_run(tmp_path):
    save(tmp_path, 5, 10)
    message = f"{tmp_path} has checkpoints already, the last of step 10: resume=True goes on"
    with pytest.raises(FileExistsError, match=message), opened(Checkpoints(tmp_path), False):
        pass


def test_what_is_not_ours_is_left_alone_and_what_a_killed_run_left_is_not(tmp_path):
    for folder in ("other/deep", "7", "step_x", "step_05", "step_3", "x.unfinished"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_text("mine")
    (tmp_path / "notes").write_text("mine")
    others = names(tmp_path)
    for unfinished in ("step_10.unfinished", "step_5.removed.unfinished"):
        (tmp_path / unfinished / "arrays").mkdir(parents=True)
    assert restore(tmp_path) is None
    assert names(tmp_path) == others
    save(tmp_path, 5, 10, 15, keep=1)
    assert names(tmp_path) == sorted([*others, "step_15"])
    assert (tmp_path / "other/deep/file").read_text() == "mine"


# --- damage -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with checkpoints of steps 5 and 10."""
    folder = tmp_path_factory.mktemp("two")
    params = {"w": jax.random.normal(jax.random.key(0), (40, 30)), "b": jnp.ones(3, jnp.bfloat16)}
    with opened(Checkpoints(folder), resume=False) as store:
        for step in (5, 10):
            state = state_at(step, params, optim.adam(0.1))
            store.save(Saved(state, None, {"history": [row(step)]}))
    return folder, state


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.stat().st_size)


def test_whatever_is_damaged_is_found(two, tmp_path):
    """Each file of the newest one in turn: taken away, cut off, with a bit flipped somewhere."""
    whole, state = two
    chance = random.Random(0)
    files = sorted(path for path in (whole / "step_10").rglob("*") if path.is_file())
    assert len(files) > 10
    for file in files:
        name = file.relative_to(whole / "step_10").as_posix()
        for how in ("taken away", "cut off", "a bit flipped"):
            shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
            data = bytearray(file.read_bytes())
            place = chance.randrange(len(data)) if data else 0
            if how == "taken away":
                (tmp_path / "step_10" / name).unlink()
            elif data:
                if how == "cut off":
                    del data[place:]
                else:
                    data[place] ^= 1 << chance.randrange(8)
                (tmp_path / "step_10" / name).write_bytes(data)
            else:
                continue
            message = rf"the checkpoint {tmp_path}/step_10 is damaged \({name} (is not|cannot).* 5"
            with pytest.warns(train.DamagedCheckpoint, match=message):
                found = restore(tmp_path, state)
            assert_same_bits(found.state, state._replace(step=jnp.int32(5)))
            assert found.progress == {"history": [row(5)]}
            assert names(tmp_path) == ["step_10.damaged", "step_5"]
            shutil.rmtree(tmp_path)


def damage(checkpoint):
    """Cuts off the file that holds the numbers. Its name, which orbax makes up."""
    files = (checkpoint / "arrays").rglob("*")
    file = max(files, key=lambda file: file.stat().st_size * file.is_file())
    file.write_bytes(file.read_bytes()[:-100])
    return file.relative_to(checkpoint).as_posix()


def test_the_damaged_one_is_kept_beside_and_its_step_saved_again(two, tmp_path):
    whole, state = two
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    for _ in range(2):
        damage(tmp_path / "step_10")
        with opened(Checkpoints(tmp_path), resume=True) as store:
            with pytest.warns(train.DamagedCheckpoint, match=rf"{tmp_path}/step_10 is damaged"):
                assert store.restore(state).state.step == 5
            store.save(Saved(state, None, {}))
            assert store.restore(state).state.step == 10
    assert names(tmp_path) == ["step_10", "step_10.damaged", "step_10.damaged~", "step_5"]


def test_a_damaged_one_is_an_error_where_that_is_asked_for(two, tmp_path):
    whole, state = two
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    file = damage(tmp_path / "step_10")
    message = f"{tmp_path}/step_10: {file} is not as it was written"
    with pytest.raises(ValueError, match=message) as caught:
        restore(tmp_path, state, damaged="error")
    assert "step_5" not in str(caught.value)
    assert names(tmp_path) == ["step_10", "step_5"]


def test_no_good_one_at_all_is_an_error(two, tmp_path):
    whole, state = two
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "step_10")
    (tmp_path / "step_5" / "manifest.json").unlink()
    message = rf"none to go on from:\n  {tmp_path}/step_10: .*\n  {tmp_path}/step_5: "
    with pytest.raises(ValueError, match=message):
        restore(tmp_path, state)
    assert names(tmp_path) == ["step_10", "step_5"]


# --- another model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (
            state_at(0, {"w": jnp.zeros((2, 4))}),
            r"state/params/w: expected float32 \(2, 4\), found float32 \(2, 3\)",
        ),
        (
            state_at(0, {"w": jnp.zeros((2, 3), jnp.bfloat16)}),
            r"state/params/w: expected bfloat16 \(2, 3\), found float32 \(2, 3\)",
        ),
        (
            state_at(0, {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}),
            r"state/params/b: expected float32 \(3,\), found no such leaf",
        ),
        (
            state_at(0, {}),
            r"state/params/w: expected no such leaf, found float32 \(2, 3\)",
        ),
        (
            state_at(0, optimizer=optim.adam(0.1)),
            r"state/opt_state/\S+: expected \S+ \(.*\), found no such leaf \(and \d more differ\)",
        ),
        (
            state_at(0, impl="rbg"),
            r"state/key: expected key of rbg \(\), found key of threefry2x32 \(\)",
        ),
    ],
)
def test_another_model_optimizer_or_key_is_an_error_that_names_the_leaf(tmp_path, like, message):
    save(tmp_path, 5)
    where = f"{tmp_path}/step_5 is of another model, optimizer or kind of key: "
    with pytest.raises(ValueError, match=where + message):
        restore(tmp_path, like)


def test_two_leaves_of_one_path(tmp_path):
    params = {"a/b": jnp.ones(1), "a": {"b": jnp.ones(1)}}
    with (
        opened(Checkpoints(tmp_path), resume=False) as store,
        pytest.raises(ValueError, match="two leaves have the path 'state/params/a/b'"),
    ):
        store.save(Saved(state_at(5, params), None, {}))


# --- the folder ---------------------------------------------------------------------------------


def test_a_second_run_is_refused_until_the_first_is_done(tmp_path):
    with opened(Checkpoints(tmp_path), resume=False):
        message = f"another run is writing its checkpoints to {tmp_path}: wait for it"
        with pytest.raises(BlockingIOError, match=message), opened(Checkpoints(tmp_path), True):
            pass
    save(tmp_path, 5)
    with pytest.raises(KeyError), opened(Checkpoints(tmp_path), True):
        raise KeyError("as a run that fails")
    save(tmp_path, 10)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB of its own, where mounting one is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


# of what tensorstore's threads are still at
@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_an_error_and_costs_no_checkpoint(small_disk):
    noise = lambda n: {"w": jax.random.normal(jax.random.key(0), (n,))}  # does not compress
    small, large = state_at(5, noise(1000)), state_at(10, noise(100_000))
    with opened(Checkpoints(small_disk), resume=False) as store:
        store.save(Saved(small, None, {}))
        message = rf"step_10 could not be written; the last good one is {small_disk}/step_5"
        with pytest.raises(OSError, match=message + r"(?s:.*)No space left on device"):
            store.save(Saved(large, None, {}))
    with opened(Checkpoints(small_disk), resume=True) as store:
        assert names(small_disk) == ["step_5"]
        assert_same_bits(store.restore(small).state, small)
        store.save(Saved(small._replace(step=jnp.int32(15)), None, {}))
    time.sleep(0.1)
    gc.collect()


def test_a_read_only_folder_is_an_error_before_training_starts(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for folder in (small_disk, small_disk / "inside"):
        message = rf"cannot be made or written \(Read-only file system\).*{folder}"
        with pytest.raises(OSError, match=message), opened(Checkpoints(folder), resume=False):
            pass


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder, kind in (("file", FileExistsError), ("file/inside", NotADirectoryError)):
        with (
            pytest.raises(kind, match=f"choose another one: '{tmp_path}/{folder}'"),
            opened(Checkpoints(tmp_path / folder), resume=False),
        ):
            pass


@pytest.mark.parametrize("library", ["filelock", "orbax.checkpoint"])
def test_without_the_libraries_the_error_names_the_extra(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    message = rf"{library}, which checkpoints need, is missing: pip install 'funcnn\[checkpoints\]'"
    with pytest.raises(ImportError, match=message), opened(Checkpoints(tmp_path), resume=False):
        pass


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "Checkpoints.every must be at least 1, got 0"),
        ({"steps": 1.5}, TypeError, "Checkpoints.steps must be an int, got 1.5"),
        ({"keep": None}, TypeError, "Checkpoints.keep must be an int, got None"),
        ({"minutes": 0}, ValueError, "Checkpoints.minutes must be more than 0, got 0"),
        ({"damaged": "ignore"}, ValueError, "must be 'previous' or 'error', got 'ignore'"),
    ],
)
def test_wrong_arguments(tmp_path, options, error, message):
    with (
        pytest.raises(error, match=message),
        opened(Checkpoints(tmp_path / "new", **options), resume=False),
    ):
        pass
    assert not (tmp_path / "new").exists()


def test_a_save_at_the_last_step_of_an_epoch_gets_the_epoch_s_row(problem, tmp_path):
    """`steps` divides the epoch: it is saved before it is measured, and once more after."""
    checkpoints = train.Checkpoints(tmp_path, steps=7, keep=1)
    source = data.batches(problem.data, 8)
    start, arguments = problem.state, {"epochs": 2, "checkpoints": checkpoints, "progress": False}
    train.fit(problem.loss, problem.optimizer, start, source, **arguments)
    with opened(checkpoints, resume=True) as store:
        saved = store.restore(start)
    assert [row["step"] for row in saved.progress["history"]] == [7, 14]
    assert saved.progress["position"]["batches"] == 0


@pytest.mark.parametrize("kind", ["sequence", "generator", "endless"])
def test_a_stream_goes_on_in_the_middle_of_an_epoch(problem, tmp_path, kind):
    """What was taken before is not taken again, whatever the batches are drawn from."""
    batches = data.batches(problem.data, 8)
    changes = {"epochs": 3, "progress": False}
    if kind == "endless":
        source = lambda: (batch for epoch in range(1, 9) for batch in batches(epoch))
        changes["steps_per_epoch"] = 5
    else:
        whole = batches if kind == "sequence" else lambda epoch: iter(batches(epoch))
        source = lambda: whole

    def run(source, **more):
        arguments = problem.loss, problem.optimizer, problem.state, source
        return train.fit(*arguments, **changes, **more)

    never_stopped, history = run(source())
    drawn = iter(range(100))

    def breaks(batch):
        if next(drawn) == 9:
            raise OSError("unplugged")
        return batch

    given = source()
    broken = (
        map(breaks, given)
        if kind == "endless"
        else lambda epoch: (breaks(batch) for batch in given(epoch))
    )
    with pytest.raises(train.TrainingFailed, match="unplugged"):
        run(broken, checkpoints=tmp_path)
    resumed, again = run(source(), checkpoints=tmp_path, resume=True)
    assert_same_bits(resumed, never_stopped)
    assert again["loss"].tolist() == history["loss"].tolist()
