"""Parameters in safetensors files: what is written is what the format's own library reads."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from funcnn import nn, train

from .test_epoch import assert_same_bits


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def params():
    model = nn.serial(nn.dense(3), jax.nn.relu, nn.dense(2))
    return model.init(jax.random.key(0), jnp.zeros((1, 4)))[0]


def test_the_library_of_the_format_reads_it_by_path(file, params):
    train.save_params(file, params)
    found = safetensors.numpy.load_file(file)
    assert sorted(found) == ["0/bias", "0/kernel", "2/bias", "2/kernel"]
    np.testing.assert_array_equal(found["2/kernel"], params[2]["kernel"])
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_all_dtypes_and_shapes_come_back_bit_for_bit(file):
    tree = {
        "bfloat16": jnp.array([1.5, -0.0, jnp.inf], jnp.bfloat16),
        "float16": jnp.array([[6e-8], [65504]], jnp.float16),
        "complex64": jnp.array([1 + 2j], jnp.complex64),
        "int8": jnp.array([-128, 127], jnp.int8),
        "uint32": jnp.array([2**32 - 1], jnp.uint32),
        "bool": jnp.array([True, False]),
        "scalar": jnp.float32(0.1),
        "none": jnp.zeros((0, 3)),
        "transposed": jnp.arange(6.0).reshape(2, 3).T,
        "numpy": np.arange(6, dtype=np.int32).reshape(2, 3).T,
        "empty": (),
    }
    train.save_params(file, tree)
    again = train.load_params(str(file), tree)
    assert jax.tree.structure(again) == jax.tree.structure(tree)
    assert_same_bits(again, tree)
    for old, new in zip(jax.tree.leaves(tree), jax.tree.leaves(again), strict=True):
        assert (new.dtype, new.shape, new.committed) == (old.dtype, old.shape, False)


def test_one_array_alone(file):
    train.save_params(file, jnp.ones(3))
    assert train.load_params(file, jnp.zeros(3)).sum() == 3


def test_shapes_will_do_in_the_place_of_arrays(file, params):
    train.save_params(file, params)
    assert_same_bits(train.load_params(file, jax.eval_shape(lambda: params)), params)


def test_arrays_divided_among_devices(file):
    mesh = jax.make_mesh((8,), ("data",))
    divided = NamedSharding(mesh, P("data"))
    tree = {"w": jax.device_put(jnp.arange(16.0), divided), "b": jnp.ones(3)}
    train.save_params(file, tree)
    again = train.load_params(file, tree)
    assert_same_bits(again, tree)
    assert again["w"].sharding == divided


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"w": np.zeros(3, np.float32)}, r"b: expected no such leaf, found float32 \(2,\)"),
        (
            {name: np.zeros(2, np.float32) for name in "bwx"},
            r"w: expected float32 \(2,\), found float32 \(3,\) \(and 1 more differ\)",
        ),
        (
            {"w": np.zeros(3, jnp.bfloat16), "b": np.zeros(2, np.float32)},
            r"w: expected bfloat16 \(3,\), found float32 \(3,\)",
        ),
    ],
)
def test_a_file_of_another_model(file, like, message):
    train.save_params(file, {"w": jnp.zeros(3), "b": jnp.zeros(2)})
    with pytest.raises(ValueError, match=f"{file} does not fit the model: {message}"):
        train.load_params(file, like)


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_file_that_was_cut_off(file, params, size):
    train.save_params(file, params)
    whole = file.read_bytes()
    file.write_bytes(whole[:size])
    with pytest.raises(ValueError, match=f"{file} is damaged, or no safetensors file"):
        train.load_params(file, params)


def test_a_file_that_is_not_there(file, params):
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        train.load_params(file, params)


def test_what_cannot_be_written_leaves_the_file_as_it_was(file, params):
    train.save_params(file, params)
    before = file.read_bytes()
    for bad, message in [
        (1.0, "w is 1.0, expected an array"),
        (jax.random.key(0), r"w has dtype key<fry>, which a safetensors file cannot hold"),
        (jnp.ones(2, jnp.float8_e4m3fn), r"w has dtype float8_e4m3fn"),
    ]:
        with pytest.raises(TypeError, match=message):
            train.save_params(file, {"w": bad})
    with pytest.raises(ValueError, match="two leaves have the path 'a/b'"):
        train.save_params(file, {"a/b": jnp.ones(1), "a": {"b": jnp.ones(1)}})
    with pytest.raises(OSError, match=r"model\.safetensors/inside"):
        train.save_params(file / "inside", params)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_without_the_library_the_error_names_the_extra(file, params, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install 'funcnn\[checkpoints\]'"):
        train.save_params(file, params)
    with pytest.raises(ImportError, match=r"pip install 'funcnn\[checkpoints\]'"):
        train.load_params(file, params)
