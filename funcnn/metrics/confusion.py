"""The confusion matrix, from predictions; batches' matrices add up."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from funcnn.labels import check_labels, class_numbers, is_class, is_concrete


def confusion_matrix(
    predictions: ArrayLike,
    labels: ArrayLike,
    num_classes: int | None = None,
    weights: ArrayLike | None = None,
) -> jax.Array:
    """How often each class was taken for each: entry [i, j] counts label i predicted as j.

    Counts add up: the sum of the matrices of all batches is the matrix of all examples, and the
    metrics in `metrics.from_confusion` are functions of it. So the metrics of a data set, in one
    compiled loop:

        def add(matrix, batch):
            x, y = batch
            return matrix + metrics.confusion_matrix(model(params, x), y), None

        matrix, _ = jax.lax.scan(add, jnp.zeros((10, 10), int), batches)
        metrics.from_confusion.f1(matrix, average="macro")

    Args:
      predictions: scores of a floating dtype, (..., classes), where the largest is the prediction,
        the first of several equal ones; or predicted class numbers of an integer dtype, (...).
      labels: class numbers of an integer dtype, (...).
      num_classes: needed for predicted class numbers; for scores it is their last axis.
      weights: of each example, (...); bools are a mask. None counts each once.

    Returns:
      (classes, classes), int32 for None and bools, else float32.

    Raises:
      TypeError: labels that are not integers, predictions that are neither floating nor integers.
      ValueError: shapes that do not match; concrete labels or predicted numbers that are no class,
        concrete scores that are NaN. Where these are traced, the example is left out.

    Equal to sklearn.metrics.confusion_matrix with labels=range(classes). Source: deck E, row 41.

    >>> import jax.numpy as jnp
    >>> confusion_matrix(jnp.array([0, 1, 1, 0]), jnp.array([0, 1, 0, 0]), num_classes=2)
    Array([[2, 1],
           [0, 1]], dtype=int32)
    """
    predicted, num_classes, known = predicted_classes(predictions, num_classes)
    labels = class_numbers(labels, predicted.shape, num_classes, f"prediction {predicted.shape}")
    counts = _counts(weights, labels.shape)
    known &= is_class(labels, num_classes) & is_class(predicted, num_classes)
    # an index beyond the matrix is dropped; a negative one would count from its end
    row = jnp.where(known, labels.astype(jnp.int32), num_classes)
    matrix = jnp.zeros((num_classes, num_classes), counts.dtype)
    return matrix.at[row, predicted.astype(jnp.int32)].add(counts, mode="drop")


def predicted_classes(
    predictions: ArrayLike, num_classes: int | None
) -> tuple[jax.Array, int, jax.Array]:
    """Predicted class numbers, the number of classes, and which predictions predict anything."""
    predictions = jnp.asarray(predictions)
    if jnp.issubdtype(predictions.dtype, jnp.floating):
        if predictions.ndim == 0 or predictions.shape[-1] == 0:
            raise ValueError(f"expected scores (..., classes), got {predictions.shape}")
        if num_classes not in (None, predictions.shape[-1]):
            raise ValueError(
                f"expected scores (..., {num_classes}) of {num_classes} classes, got "
                f"{predictions.shape}"
            )
        known = ~jnp.isnan(predictions).any(axis=-1)
        if is_concrete(known) and not known.all():
            raise ValueError(
                f"expected scores without NaN, got {int(jnp.sum(~known))} of {known.size} rows "
                "with NaN"
            )
        return jnp.argmax(predictions, axis=-1), predictions.shape[-1], known
    if not jnp.issubdtype(predictions.dtype, jnp.integer):
        raise TypeError(
            "expected predictions of a floating dtype (scores) or an integer dtype (class "
            f"numbers), got {predictions.dtype} of shape {predictions.shape}"
        )
    if num_classes is None:
        raise ValueError("expected num_classes with predicted class numbers, got None")
    if is_concrete(predictions):
        try:
            check_labels(predictions, num_classes)
        except ValueError as error:
            raise ValueError(str(error).replace("labels", "predictions")) from None
    return predictions, num_classes, jnp.ones(predictions.shape, bool)


def _counts(weights: Any, shape: tuple[int, ...]) -> jax.Array:
    if weights is None:
        return jnp.ones(shape, jnp.int32)
    weights = weights if isinstance(weights, jax.Array) else jnp.asarray(np.asarray(weights))
    if weights.shape != shape:
        raise ValueError(f"expected weights of the shape of labels, {shape}, got {weights.shape}")
    return weights.astype(jnp.int32 if weights.dtype == bool else jnp.float32)
