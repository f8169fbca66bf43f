"""Towers of sigmoids, and their sum."""

import numpy as np
import pytest

from funcnn import viz


def test_towers_of_sigmoids():
    x = np.linspace(0, 1, 50)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    edges = np.linspace(0, 1, 5)
    towers = [
        h * (sigmoid(200 * (x - a)) - sigmoid(200 * (x - b)))
        for h, a, b in zip([1, 2, -1, 0.5], edges[:-1], edges[1:], strict=True)
    ]
    ax = viz.towers(x, np.sin(6 * x), towers)
    _, *each, target, total = ax.lines
    for line, tower in zip(each, towers, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([x, tower], 1))
    np.testing.assert_array_equal(target.get_ydata(), np.sin(6 * x))
    np.testing.assert_allclose(total.get_ydata(), np.sum(towers, axis=0))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "towers",
        "target",
        "sum of 4 towers",
    ]


@pytest.mark.parametrize(
    ("x", "target", "towers", "message"),
    [
        ([0, 1], [0, 1, 2], [[0, 1]], r"target of shape \(2,\), got \(3,\)"),
        ([0, 1], [0, 1], [0, 1], r"towers of shape \(towers, 2\), got \(2,\)"),
        ([1, 0], [0, 1], [[0, 1]], "expected x that grows"),
        ([0, 1], [0, np.nan], [[0, 1]], "expected finite target, got 1 of 2"),
    ],
)
def test_bad_input(x, target, towers, message):
    with pytest.raises(ValueError, match=message):
        viz.towers(x, target, towers)
