"""Metrics: what is reported but not differentiated."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


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
