import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcnn import data


@settings(deadline=None)
@given(data_=st.data(), length=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_each_example_goes_to_one_part(data_, length, seed):
    validation = data_.draw(st.integers(0, length - 1))
    test = data_.draw(st.integers(0, length - 1 - validation))
    y = np.arange(length)
    x = np.stack([y, y * 2], axis=1).astype(np.float32)
    splits = data.split({"x": x, "y": y}, validation=validation, test=test, seed=seed)
    assert [len(part["y"]) for part in splits] == [length - validation - test, validation, test]
    together = np.concatenate([part["y"] for part in splits])
    np.testing.assert_array_equal(np.sort(together), y)
    for part in splits:  # x and y of an example stay together, dtypes and trailing axes stay
        np.testing.assert_array_equal(part["x"], x[part["y"]], strict=True)


def test_shuffled_by_the_seed_alone():
    y = np.arange(100)
    first, again, other = (data.split(y, seed=seed) for seed in (1, 1, 2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(first.train, other.train)
    for part in first:
        assert not np.array_equal(part, np.sort(part))


def test_the_test_set_does_not_depend_on_the_validation_set():
    y = np.arange(100)
    small, large = (data.split(y, validation=size, test=20) for size in (5, 50))
    np.testing.assert_array_equal(small.test, large.test)
    assert set(small.validation) < set(large.validation)


def test_defaults_are_a_tenth_each():
    assert [len(part) for part in data.split(np.arange(200))] == [160, 20, 20]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        *((0, 0), (3, 3), (np.int64(7), 7)),
        *((0.0, 0), (0.25, 25), (0.254, 25), (0.256, 26), (0.99, 99), (np.float32(0.5), 50)),
    ],
)
def test_sizes(size, expected):
    splits = data.split(np.arange(100), validation=size, test=0)
    assert [len(part) for part in splits] == [100 - expected, expected, 0]


def test_a_fraction_of_less_than_one_example():
    with pytest.raises(ValueError, match=r"validation=0\.004 of 100 examples is less than one"):
        data.split(np.arange(100), validation=0.004)


def test_empty_parts_keep_their_shape():
    splits = data.split((np.zeros((4, 8, 8, 1), np.float32), np.zeros(4, np.int32)), 0, 0)
    x, y = splits.test
    assert x.shape == (0, 8, 8, 1)
    assert y.shape == (0,)
    assert len(splits.train[0]) == 4


def test_gives_numpy_copies_of_any_arrays():
    x = np.zeros(10)
    splits = data.split((x, jnp.arange(10)), validation=2, test=2)
    leaves = jax.tree.leaves(splits)
    assert len(leaves) == 6
    assert all(type(leaf) is np.ndarray for leaf in leaves)
    splits.train[0][:] = 1
    assert not x.any()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((), "arrays has no leaves"),
        (None, "arrays has no leaves"),
        ((np.zeros((0, 3)), np.zeros(0)), "no examples"),
        ((np.zeros(3), np.zeros(4)), r"arrays\[0\] has 3, arrays\[1\] has 4"),
        ({"x": np.zeros(3), "y": 1.0}, r"arrays\['y'\] is a scalar"),
        ([[1, 2], [3, 4]], r"arrays\[0\]\[0\] is a scalar.*make it an array"),
    ],
)
def test_wrong_arrays(arrays, message):
    with pytest.raises(ValueError, match=message):
        data.split(arrays)


@pytest.mark.parametrize(
    ("validation", "test", "error", "message"),
    [
        (6, 4, ValueError, "6 for validation and 4 for test leave no training.* 10 in all"),
        (11, 0, ValueError, "leave no training"),
        (0.5, 0.5, ValueError, "leave no training"),
        (-1, 0, ValueError, "validation=-1: expected at least 0"),
        (0, -0.1, ValueError, r"test=-0.1: expected a fraction in \[0, 1\)"),
        (1.0, 0, ValueError, r"validation=1.0: expected a fraction in \[0, 1\), or an int"),
        (float("nan"), 0, ValueError, "validation=nan"),
        (0, float("inf"), ValueError, "test=inf"),
        ("2", 0, TypeError, "validation='2'.*int.*float"),
        (True, 0, TypeError, "validation=True"),
        (np.True_, 0, TypeError, "validation=.*True"),
        (None, 0, TypeError, "validation=None"),
    ],
)
def test_wrong_sizes(validation, test, error, message):
    with pytest.raises(error, match=message):
        data.split(np.arange(10), validation=validation, test=test)


def test_wrong_seed():
    with pytest.raises(ValueError, match="non-negative"):
        data.split(np.arange(10), seed=-1)
