"""The confusion matrix and the ROC curve of what funcnn.metrics counts."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from funcnn import metrics, viz


def test_confusion_matrix_of_predictions():
    labels, predicted = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 1, 0])
    matrix = metrics.confusion_matrix(predicted, labels, 3)
    ax = viz.confusion_matrix(matrix, names=["cat", "dog", "frog"])
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "1", (1, 0): "1", (1, 1): "3", (0, 2): "1"}  # (predicted, label)
    assert ax.get_title() == "accuracy 66.67%"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "label")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog", "frog"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog", "frog"]


def test_what_is_right_is_blue_and_what_is_wrong_is_red():
    colors = viz.confusion_matrix([[99, 1], [10, 0]]).images[0].get_array()
    blue, vermilion = np.array(to_rgb("#0072B2")), np.array(to_rgb("#D55E00"))
    np.testing.assert_allclose(colors[0, 0], 1 - 0.85 * 0.99 * (1 - blue))
    np.testing.assert_allclose(colors[0, 1], 1 - np.sqrt(0.6 * 0.01) * (1 - vermilion))
    np.testing.assert_allclose(colors[1, 0], 1 - np.sqrt(0.6) * (1 - vermilion))
    np.testing.assert_array_equal(colors[1, 1], 1)


def test_a_class_without_examples_and_no_examples_at_all():
    assert viz.confusion_matrix([[2, 0], [0, 0]]).get_title() == "accuracy 100.00%"
    empty = viz.confusion_matrix(np.zeros((2, 2), int))
    assert (empty.get_title(), len(empty.texts)) == ("no examples", 0)


def test_counts_fit_into_their_cells():
    figure, (ax, _) = viz.figure(1, 2, size=(6, 3))
    viz.confusion_matrix(np.full((10, 10), 5432), ax)
    figure.draw_without_rendering()
    cell = ax.get_window_extent().width / 10
    assert max(text.get_window_extent().width for text in ax.texts) < cell


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        ([[1, 2, 3], [4, 5, 6]], None, r"a square matrix .*, got shape \(2, 3\)"),
        ([[1, -2], [0, 1]], None, "values from -2"),
        ([1, 2], None, r"matrix of shape \(classes, classes\), got \(2,\)"),
        ([[np.nan]], None, "expected finite matrix"),
        ([[1, 0], [0, 1]], ["cat"], "expected names for each of 2 classes, got 1"),
    ],
)
def test_bad_matrix(matrix, names, message):
    with pytest.raises(ValueError, match=message):
        viz.confusion_matrix(matrix, names=names)


def test_roc():
    fpr, tpr = jnp.array([0, 0, 0.5, 0.5, 1]), jnp.array([0, 0.5, 0.5, 1, 1])  # as of roc_curve's
    ax = viz.roc(fpr, tpr, label="unit")
    guessing, curve = ax.lines
    assert guessing.get_xydata().tolist() == [[0, 0], [1, 1]]
    np.testing.assert_array_equal(curve.get_xydata(), np.stack([fpr, tpr], axis=1))
    area = "unit: area 0.750"
    assert curve.get_label() == area

    assert viz.roc([0, 0, 1], [0, 1, 1], ax, area=0.9999, label="perfect") is ax
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "guessing: area 0.5",
        area,
        "perfect: area 1.000",
    ]
    assert len({line.get_color() for line in ax.lines}) == 3


@pytest.mark.parametrize(
    ("fpr", "tpr", "message"),
    [
        ([0, 1], [0, 0.5, 1], r"true_positive_rate of shape \(2,\), got \(3,\)"),
        ([0, np.nan], [0, 1], "from nan to nan: NaN stands for no positives, or no negatives"),
        ([0, 1], [0, 100], r"rates in \[0, 1\], got values from 0 to 100"),
    ],
)
def test_bad_rates(fpr, tpr, message):
    with pytest.raises(ValueError, match=message):
        viz.roc(fpr, tpr)
