import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from funcnn import data


def test_shapes_and_scale():
    splits = data.digits()
    assert [len(y) for _, y in splits] == [1297, 200, 300]
    for x, y in splits:
        assert x.shape == (len(y), 8, 8, 1)
        assert (x.dtype, y.dtype) == (np.float32, np.int32)
        assert (x.min(), x.max()) == (0, 1)
        assert set(y) == set(range(10))


def test_every_digit_of_scikit_learn_once_with_its_label():
    images, labels = load_digits(return_X_y=True)
    x, y = (np.concatenate(parts) for parts in zip(*data.digits(), strict=True))
    found = np.column_stack([x.reshape(-1, 64) * 16, y])
    expected = np.column_stack([images, labels])
    np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (found, expected)))


def test_seed_and_sizes():
    one, same, other = (data.digits(seed, validation=0.1, test=100) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.train[0], same.train[0])
    assert not np.array_equal(one.train[1], other.train[1])
    assert [len(y) for _, y in one] == [1517, 180, 100]


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="1797 in all"):
        data.digits(test=1797)


def test_without_scikit_learn(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"scikit-learn.*pip install 'funcnn\[data\]'"):
        data.digits()
