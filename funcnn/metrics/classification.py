"""Classification metrics of predictions at once; streamed, they are functions of counts.

`precision` and its kin are `metrics.from_confusion` of `confusion_matrix`: see there for what they
mean, for `average` and for `zero_division`. As metrics of `train.supervised` they are taken a batch
at a time and then averaged over batches, which is the metric of all examples for `accuracy`,
`error_rate`, `top_k_accuracy` and the "micro" averages of equal batches alone. For the others add
up the confusion matrices.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.labels import class_numbers, is_class
from funcnn.metrics import from_confusion
from funcnn.metrics.confusion import confusion_matrix


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> jax.Array:
    """The fraction of examples whose predicted class is the label.

    Args:
      predictions: scores (logits or probabilities) of a floating dtype, (..., classes), where the
        largest is the prediction, the first of several equal ones; or predicted class numbers of
        an integer dtype, (...). A row of scores with a NaN predicts nothing, so it is not correct.
      labels: class numbers of an integer dtype, (...). One outside the range of classes is never
        correct.

    Returns:
      The mean over all examples, a float32 scalar in [0, 1].

    Raises:
      TypeError: labels that are not integers, predictions that are neither floating nor integers.
      ValueError: shapes that do not match; no examples.

    Equal to sklearn.metrics.accuracy_score. Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> scores = jnp.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.5, 0.5]])
    >>> accuracy(scores, jnp.array([1, 0, 0, 0]))
    Array(0.75, dtype=float32)
    """
    predictions, labels = jnp.asarray(predictions), jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"accuracy: expected labels of an integer dtype (class numbers), got {labels.dtype} of "
            f"shape {labels.shape}: labels.astype('int32'), or labels.argmax(-1) for one-hot labels"
        )
    scores = jnp.issubdtype(predictions.dtype, jnp.floating)
    if not scores and not jnp.issubdtype(predictions.dtype, jnp.integer):
        raise TypeError(
            "accuracy: expected predictions of a floating dtype (scores) or an integer dtype "
            f"(class numbers), got {predictions.dtype} of shape {predictions.shape}"
        )
    if scores and (predictions.ndim == 0 or predictions.shape[-1] == 0):
        raise ValueError(f"accuracy: expected scores (..., classes), got {predictions.shape}")
    if labels.shape != (predictions.shape[:-1] if scores else predictions.shape):
        raise ValueError(
            f"accuracy: expected one label for each of the {'scores' if scores else 'predictions'} "
            f"{'(..., classes) = ' if scores else ''}{predictions.shape}, got labels {labels.shape}"
        )
    if labels.size == 0:
        raise ValueError(f"accuracy: expected at least one example, got labels {labels.shape}")
    if not scores:
        return jnp.mean(predictions == labels, dtype=jnp.float32)
    correct = jnp.argmax(predictions, axis=-1) == labels
    return jnp.mean(correct & ~jnp.isnan(predictions).any(axis=-1), dtype=jnp.float32)


def error_rate(predictions: ArrayLike, labels: ArrayLike) -> jax.Array:
    """The fraction of examples whose predicted class is not the label: 1 − accuracy.

    Arguments and errors as in `accuracy`. Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> error_rate(jnp.array([1, 0, 1, 0]), jnp.array([1, 0, 0, 0]))
    Array(0.25, dtype=float32)
    """
    return 1 - accuracy(predictions, labels)


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int = 5) -> jax.Array:
    """The fraction of examples whose label is among the k classes of the highest scores.

    Of equal scores the class of the lowest number comes first, as in `accuracy` and `jax.lax.top_k`
    (scikit-learn's highest number does); with k = 1 it is `accuracy`.

    Args:
      scores: of a floating dtype, (..., classes). A row with a NaN is never correct.
      labels: class numbers of an integer dtype, (...). Where they are traced, one outside the range
        is never correct.
      k: at least 1; with k = classes every label is among them.

    Returns:
      The mean over all examples, a float32 scalar in [0, 1].

    Raises:
      TypeError: scores that are not floating, labels that are not integers.
      ValueError: shapes that do not match; no examples; concrete labels outside the range; k < 1.

    Equal to sklearn.metrics.top_k_accuracy_score without ties. Source: deck C (ImageNet's top-5
    accuracy).

    >>> import jax.numpy as jnp
    >>> scores = jnp.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    >>> top_k_accuracy(scores, jnp.array([1, 2]), k=2)
    Array(0.5, dtype=float32)
    """
    scores = jnp.asarray(scores)
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        raise TypeError(f"top_k_accuracy: expected scores of a floating dtype, got {scores.dtype}")
    if scores.ndim == 0 or scores.size == 0:
        raise ValueError(f"top_k_accuracy: expected scores (..., classes), got {scores.shape}")
    if k < 1:
        raise ValueError(f"top_k_accuracy: expected k of at least 1, got {k}")
    classes = scores.shape[-1]
    labels = class_numbers(labels, scores.shape[:-1], classes, f"row of scores {scores.shape}")
    known = is_class(labels, classes) & ~jnp.isnan(scores).any(axis=-1)
    label = jnp.where(known, labels, 0).astype(jnp.int32)[..., None]
    of_label = jnp.take_along_axis(scores, label, axis=-1)
    before = (scores > of_label) | ((scores == of_label) & (jnp.arange(classes) < label))
    return jnp.mean(known & (before.sum(axis=-1) < k), dtype=jnp.float32)


def precision(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    num_classes: int | None = None,
    average: str | None = "binary",
    zero_division: float = 0.0,
    weights: ArrayLike | None = None,
) -> jax.Array:
    """TP / (TP + FP): what share of those predicted to be of a class is.

    Args:
      predictions, labels, num_classes, weights: as in `confusion_matrix`.
      average: "binary", "macro", "micro", "weighted" or None, see `metrics.from_confusion`.
      zero_division: what a class gets that is never predicted: 0, 1 or NaN.

    Returns:
      A float32 scalar; an array (classes,) for average=None.

    Raises:
      ValueError: "binary" for other than two classes; what `confusion_matrix` raises.

    Equal to sklearn.metrics.precision_score with labels=range(classes). Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> precision(jnp.array([0, 1, 1, 0]), jnp.array([0, 1, 0, 0]), num_classes=2)
    Array(0.5, dtype=float32)
    """
    matrix = confusion_matrix(predictions, labels, num_classes, weights)
    return from_confusion.precision(matrix, average=average, zero_division=zero_division)


def recall(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    num_classes: int | None = None,
    average: str | None = "binary",
    zero_division: float = 0.0,
    weights: ArrayLike | None = None,
) -> jax.Array:
    """TP / (TP + FN): what share of a class was found. Arguments as in `precision`.

    Equal to sklearn.metrics.recall_score with labels=range(classes). Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> recall(jnp.array([0, 1, 1, 0]), jnp.array([0, 1, 0, 1]), num_classes=2)
    Array(0.5, dtype=float32)
    """
    matrix = confusion_matrix(predictions, labels, num_classes, weights)
    return from_confusion.recall(matrix, average=average, zero_division=zero_division)


def specificity(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    num_classes: int | None = None,
    average: str | None = "binary",
    zero_division: float = 0.0,
    weights: ArrayLike | None = None,
) -> jax.Array:
    """TN / (TN + FP): what share of the others was predicted to be another. As in `precision`.

    Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> specificity(jnp.array([0, 1, 1, 0]), jnp.array([0, 1, 0, 1]), num_classes=2)
    Array(0.5, dtype=float32)
    """
    matrix = confusion_matrix(predictions, labels, num_classes, weights)
    return from_confusion.specificity(matrix, average=average, zero_division=zero_division)


def fbeta(
    predictions: ArrayLike,
    labels: ArrayLike,
    beta: float,
    *,
    num_classes: int | None = None,
    average: str | None = "binary",
    zero_division: float = 0.0,
    weights: ArrayLike | None = None,
) -> jax.Array:
    """(1 + β²) P R / (β² P + R) of precision and recall, where recall counts β times as much.

    Arguments as in `precision`. Equal to sklearn.metrics.fbeta_score with labels=range(classes).
    Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> fbeta(jnp.array([0, 1, 1, 0]), jnp.array([0, 1, 0, 0]), 2.0, num_classes=2)
    Array(0.8333333, dtype=float32)
    """
    matrix = confusion_matrix(predictions, labels, num_classes, weights)
    return from_confusion.fbeta(matrix, beta, average=average, zero_division=zero_division)


def f1(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    num_classes: int | None = None,
    average: str | None = "binary",
    zero_division: float = 0.0,
    weights: ArrayLike | None = None,
) -> jax.Array:
    """2 P R / (P + R), the harmonic mean of precision and recall. Arguments as in `precision`.

    Equal to sklearn.metrics.f1_score with labels=range(classes). Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> f1(jnp.array([0, 1, 1, 0]), jnp.array([0, 1, 0, 0]), num_classes=2)
    Array(0.6666667, dtype=float32)
    """
    matrix = confusion_matrix(predictions, labels, num_classes, weights)
    return from_confusion.f1(matrix, average=average, zero_division=zero_division)
