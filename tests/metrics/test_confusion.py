"""The confusion matrix and the metrics that are functions of it, held against scikit-learn."""

import re
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn

from funcnn import losses, metrics, nn, train

NAMES = ("precision", "recall", "fbeta", "specificity")


def expected(labels, predicted, classes, average, zero_division, weights=None):
    """Each of NAMES, by scikit-learn."""
    options = {} if average == "binary" else {"labels": range(classes)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, for a single label
        *three, _ = sklearn.precision_recall_fscore_support(
            *(labels, predicted),
            beta=0.5,
            average=average,
            zero_division=zero_division,
            sample_weight=weights,
            **options,
        )
        last = expected_specificity(labels, predicted, classes, average, zero_division, weights)
    return dict(zip(NAMES, (*three, last), strict=True))


def expected_specificity(labels, predicted, classes, average, zero_division, weights):
    """scikit-learn has none: from its counts of each class against the others."""
    counts = sklearn.multilabel_confusion_matrix(
        labels, predicted, labels=range(classes), sample_weight=weights
    ).astype(float)
    counts = {"micro": counts.sum(0, keepdims=True), "binary": counts[1:]}.get(average, counts)
    negatives, support = counts[:, 0].sum(-1), counts[:, 1].sum(-1)
    each = np.array(
        [tn / n if n else zero_division for tn, n in zip(counts[:, 0, 0], negatives, strict=True)]
    )
    if average is None:
        return each
    there = ~np.isnan(each)
    w = np.where(there, support if average == "weighted" else 1, 0)
    w = w if w.any() else there
    return np.average(each[there], weights=w[there]) if there.any() else np.nan


ZERO_DIVISIONS = (0.0, 1.0, np.nan)
OPTIONS = [
    (classes, average)
    for classes in (2, 5)
    for average in ("macro", "micro", "weighted", None, *["binary"] * (classes == 2))
]


@jax.jit
def computed(matrices):
    """The metrics for all options and ZERO_DIVISIONS, in one program."""

    def of(name, classes, average, zero_division):
        beta = [0.5] if name == "fbeta" else []
        metric = getattr(metrics.from_confusion, name)
        return metric(matrices[classes], *beta, average=average, zero_division=zero_division)

    return [
        {name: jax.vmap(partial(of, name, *options))(jnp.array(ZERO_DIVISIONS)) for name in NAMES}
        for options in OPTIONS
    ]


@pytest.mark.parametrize("n", [1, 4, 40])
@pytest.mark.parametrize("present", [1, 3, 5])
def test_as_scikit_learn(n, present):
    """Also for classes that never occur, that are never predicted, and for weighted examples."""
    rng = np.random.default_rng(n + present)
    weights = rng.integers(1, 5, n) / 2
    data = {c: rng.integers(0, min(present, c), (2, n)) for c in (2, 5)}
    matrices = {}
    for c, (labels, predicted) in data.items():
        matrices[c] = metrics.confusion_matrix(predicted, labels, c, weights)
        np.testing.assert_array_equal(
            matrices[c],
            sklearn.confusion_matrix(labels, predicted, labels=range(c), sample_weight=weights),
        )
    for (c, average), ours in zip(OPTIONS, computed(matrices), strict=True):
        for i, zero_division in enumerate(ZERO_DIVISIONS):
            theirs = expected(*data[c], c, average, zero_division, weights)
            for name, values in ours.items():
                assert values.dtype == jnp.float32
                message = f"{name} {c} {average} {zero_division}"
                np.testing.assert_allclose(values[i], theirs[name], atol=2e-6, err_msg=message)


def test_of_predictions_at_once():
    """The same, from scores: with many ties, where the first of equal ones is the prediction."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (30, 4)).astype(np.float32)
    labels, mask = rng.integers(0, 4, 30), rng.uniform(size=30) > 0.3
    predicted = scores.argmax(-1)
    masked = expected(labels[mask], predicted[mask], 4, "macro", 0.0)
    by_class = expected(labels, predicted, 4, None, 1.0)
    for name in NAMES:
        options = {"beta": 0.5} if name == "fbeta" else {}
        of_scores = getattr(metrics, name)(scores, labels, average="macro", weights=mask, **options)
        assert float(of_scores) == pytest.approx(masked[name], abs=1e-6)
        of_numbers = getattr(metrics, name)(
            predicted, labels, num_classes=4, average=None, zero_division=1.0, **options
        )
        np.testing.assert_allclose(of_numbers, by_class[name], atol=1e-6)
    f1 = sklearn.f1_score(labels, predicted, average="micro")
    assert float(metrics.f1(scores, labels, average="micro")) == pytest.approx(f1)
    matrix = metrics.confusion_matrix(scores, labels)
    accuracy = metrics.from_confusion.accuracy(matrix)
    assert accuracy == metrics.accuracy(scores, labels)
    assert metrics.from_confusion.error_rate(matrix) == metrics.error_rate(scores, labels)
    assert float(metrics.error_rate(scores, labels)) == pytest.approx(1 - float(accuracy))
    assert float(accuracy) == pytest.approx(sklearn.accuracy_score(labels, predicted))


def test_streamed_over_batches_in_a_compiled_loop():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(6, 10, 3)), rng.integers(0, 3, (6, 10))

    @jax.jit
    def total(scores, labels):
        def add(matrix, batch):
            return matrix + metrics.confusion_matrix(*batch), None

        matrix, _ = jax.lax.scan(add, jnp.zeros((3, 3), int), (scores, labels))
        return matrix, metrics.from_confusion.f1(matrix, average="macro")

    matrix, f1 = total(scores, labels)
    assert matrix.dtype == jnp.int32
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(scores, labels))
    flat = labels.ravel(), scores.reshape(60, 3).argmax(-1)
    assert float(f1) == pytest.approx(sklearn.f1_score(*flat, average="macro"), abs=1e-6)


def test_as_a_metric_of_train():
    model = nn.dense(2)
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        {"recall": metrics.recall, "error_rate": metrics.error_rate},
    )
    x, y = jnp.eye(2), jnp.array([0, 1])
    params = {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}
    _, (_, measured) = jax.jit(loss)(params, (), (x, y), None)
    assert {name: float(m) for name, m in measured.items()} == {"recall": 1, "error_rate": 0}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
def test_what_is_no_class_is_left_out_where_it_is_traced(dtype):
    labels = np.array([0, 1, 2, 200 if dtype == np.uint8 else -1], dtype)
    predicted = np.array([0, 3, 1, 0], dtype)
    count = jax.jit(metrics.confusion_matrix, static_argnums=2)
    np.testing.assert_array_equal(count(predicted, labels, 3), [[1, 0, 0], [0, 0, 0], [0, 1, 0]])
    assert count(predicted, labels, 300).sum() == (4 if dtype == np.uint8 else 3)
    scores = np.array([[0, np.nan], [0, 1]])
    assert jax.jit(metrics.confusion_matrix)(scores, np.array([1, 1])).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 1], [0, 3], 3), ValueError, "labels[1] is 3, expected 0..2 for 3 classes"),
        (([0, 3], [0, 1], 3), ValueError, "predictions[1] is 3, expected 0..2 for 3 classes"),
        (([0, 1], [0, 1]), ValueError, "expected num_classes with predicted class numbers"),
        ((np.ones((2, 3)), [0, 1], 4), ValueError, "expected scores (..., 4) of 4 classes, got"),
        ((np.ones((2, 0)), [0, 1]), ValueError, "expected scores (..., classes), got (2, 0)"),
        (([[0, np.nan]], [1]), ValueError, "without NaN, got 1 of 1 rows"),
        (([True, False], [0, 1], 2), TypeError, "got bool of shape (2,)"),
        (([0, 1], [0.0, 1.0], 2), TypeError, "expected labels of an integer dtype"),
        (([0, 1], [[0, 1]], 2), ValueError, "expected labels of shape (2,), one for each"),
        (([0, 1], [0, 1], 2, [1.0]), ValueError, "expected weights of the shape of labels, (2,)"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        metrics.confusion_matrix(*(np.array(a) if isinstance(a, list) else a for a in arguments))


def test_bad_options():
    with pytest.raises(ValueError, match="average='binary' is for 2 classes, got 3: choose 'macro"):
        metrics.precision(np.array([0]), np.array([0]), num_classes=3)
    with pytest.raises(ValueError, match=r"one of .*'weighted', None.*, got 'mean'"):
        metrics.from_confusion.f1(jnp.eye(2), average="mean")
    with pytest.raises(ValueError, match=r"a confusion matrix \(classes, classes\), got \(2, 3\)"):
        metrics.from_confusion.recall(jnp.ones((2, 3)))


def test_no_examples():
    assert np.isnan(metrics.from_confusion.accuracy(jnp.zeros((2, 2), int)))
    assert metrics.from_confusion.f1(jnp.zeros((2, 2), int)) == 0


def test_top_k_accuracy():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(40, 5)), np.arange(40) % 5
    ties = np.round(scores)
    for k in range(1, 5):
        theirs = sklearn.top_k_accuracy_score(labels, scores, k=k)
        assert float(metrics.top_k_accuracy(scores, labels, k)) == pytest.approx(theirs)
        # of equal scores scikit-learn takes the class of the highest number: count from the end
        reverse = sklearn.top_k_accuracy_score(4 - labels, ties[:, ::-1], k=k)
        assert float(metrics.top_k_accuracy(ties, labels, k)) == pytest.approx(reverse)
    assert metrics.top_k_accuracy(ties, labels, 1) == metrics.accuracy(ties, labels)
    assert metrics.top_k_accuracy(ties, labels, 5) == metrics.top_k_accuracy(ties, labels, 9) == 1
    scores[0] = np.nan
    labels[1:3] = -1, 5
    bad = jax.jit(metrics.top_k_accuracy, static_argnums=2)(scores, labels, 5)
    assert float(bad) == pytest.approx(37 / 40)
    for arguments, error, message in [
        ((scores, labels), ValueError, "labels[1] is -1"),
        ((scores, labels, 0), ValueError, "expected k of at least 1, got 0"),
        ((labels, labels), TypeError, "expected scores of a floating dtype"),
        ((scores[:0], labels[:0]), ValueError, "got (0, 5)"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            metrics.top_k_accuracy(*arguments)


def test_float32_also_where_64_bits_are_enabled():
    with jax.enable_x64(True):
        matrix = metrics.confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
        for name in ("accuracy", "error_rate", "f1"):
            assert getattr(metrics.from_confusion, name)(matrix).dtype == jnp.float32
