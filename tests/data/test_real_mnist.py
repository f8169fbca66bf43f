"""The published MNIST, where FUNCNN_DATA says it is: facts about it that are known elsewhere."""

import os

import numpy as np
import pytest

from funcnn import data


@pytest.fixture(scope="module")
def splits():
    folder = os.environ.get("FUNCNN_DATA")
    if not folder:
        pytest.skip("FUNCNN_DATA is not set: it names the folder that has MNIST's files")
    return data.mnist(folder)  # given as the folder, it is never downloaded


def test_shapes_and_scale(splits):
    assert [x.shape for x, _ in splits] == [(n, 28, 28, 1) for n in (50_000, 10_000, 10_000)]
    for x, y in splits:
        assert (x.dtype, y.dtype) == (np.float32, np.int32)
        assert (x.min(), x.max()) == (0, 1)


def test_how_often_each_digit_occurs(splits):
    train = np.concatenate([splits.train[1], splits.validation[1]])
    assert np.bincount(train).tolist() == [
        *(5923, 6742, 5958, 6131, 5842),
        *(5421, 5918, 6265, 5851, 5949),
    ]
    assert np.bincount(splits.test[1]).tolist() == [
        *(980, 1135, 1032, 1010, 982),
        *(892, 958, 1028, 974, 1009),
    ]


def test_first_labels(splits):
    assert splits.train[1][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert splits.test[1][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_mean_and_deviation_of_the_training_pixels(splits):
    x = np.concatenate([splits.train[0], splits.validation[0]]).astype(np.float64)
    assert x.mean() == pytest.approx(0.1307, abs=5e-5)
    assert x.std() == pytest.approx(0.3081, abs=5e-5)
