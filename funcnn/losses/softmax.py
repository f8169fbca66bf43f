"""Classes that exclude one another, from scores: the softmax losses."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from funcnn.labels import check_labels, class_numbers
from funcnn.losses.arguments import (
    at_least_float32,
    expect_number,
    rows_of_classes,
    same_shape,
)


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Cross-entropy −Σ_k y_k log softmax(s)_k between probabilities and the softmax of scores.

    Finite for every finite logit, and so is the gradient, softmax(s) Σ_k y_k − y.

    Args:
      logits: scores s, (..., classes).
      labels: probabilities y, one-hot or not, of the same shape. They are not checked to sum to 1.

    Returns:
      The loss of each example, (...).

    Raises:
      TypeError: logits of integers.
      ValueError: labels of another shape than logits; class numbers go to
        `softmax_cross_entropy_with_integer_labels`.

    Equal to optax.softmax_cross_entropy, which broadcasts labels where this raises. Source: decks
    A, B and E, rows 13 to 15.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[-2.85, 0.86, 0.28]])
    >>> print(softmax_cross_entropy(logits, jnp.array([[0.0, 0.0, 1.0]])).round(2))
    [1.04]
    """
    logits = rows_of_classes("logits", logits)
    advice = ": class numbers are for softmax_cross_entropy_with_integer_labels"
    class_numbers_given = jnp.shape(labels) == logits.shape[:-1]
    labels = same_shape("logits", logits, "labels", labels, advice * class_numbers_given)
    log_softmax = jax.nn.log_softmax(at_least_float32(logits), axis=-1)
    return -jnp.sum(labels * log_softmax, axis=-1).astype(jnp.result_type(logits, labels))


def softmax_cross_entropy_with_integer_labels(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Softmax loss −log softmax(s)_y of scores s and class number y.

    Finite for every finite logit, and so is the gradient, softmax(s) − one_hot(y).

    A label outside 0..classes−1 is never taken for a class. Where labels are concrete (in eager
    code, or constants of a jitted function) it raises. Where they are traced, under `jit` or
    `vmap`, nobody can see them: there the example's loss and gradient are NaN. `check_labels`
    checks a whole data set beforehand.

    Args:
      logits: scores s, (..., classes).
      labels: class numbers y in 0..classes−1, of an integer dtype, (...).

    Returns:
      The loss of each example, (...).

    Raises:
      TypeError: logits of integers, labels that are not integers.
      ValueError: labels of another shape than logits without its last axis; concrete labels
        outside 0..classes−1.

    Equal to optax.softmax_cross_entropy_with_integer_labels for labels in the range; optax wraps
    negative ones. Source: deck B, row 14.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[-2.85, 0.86, 0.28]])
    >>> print(softmax_cross_entropy_with_integer_labels(logits, jnp.array([2])).round(2))
    [1.04]
    >>> softmax_cross_entropy_with_integer_labels(logits, jnp.array([3]))
    Traceback (most recent call last):
    ValueError: labels[0] is 3, expected 0..2 for 3 classes (1 of 1 labels is outside)
    """
    logits = rows_of_classes("logits", logits)
    return _softmax_loss(logits, labels_of_rows("logits", logits, labels))


def check_classes(outputs: Any, labels: Any) -> None:
    """What `train.fit` looks at in all the labels before it starts, for losses of class numbers."""
    check_labels(labels, outputs.shape[-1])


softmax_cross_entropy_with_integer_labels.check = check_classes  # type: ignore[attr-defined]


def labels_of_rows(name: str, scores: jax.Array, labels: Any) -> jax.Array:
    """Class numbers (...) for scores (..., classes), checked."""
    return class_numbers(
        labels, scores.shape[:-1], scores.shape[-1], f"row of {name} {scores.shape}"
    )


@partial(jax.jit, inline=True)
def _softmax_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    dtype, logits = logits.dtype, at_least_float32(logits)
    label_logit = take_class(logits, labels)
    # A shift of all logits changes nothing, so this one, to keep exp in range, needs no gradient.
    # The NaN of a label that is no class reaches the gradient through `maximum`.
    shift = jnp.maximum(jnp.max(lax.stop_gradient(logits), axis=-1), lax.stop_gradient(label_logit))
    log_normalizer = jnp.log(jnp.sum(jnp.exp(logits - shift[..., None]), axis=-1))
    return (log_normalizer - (label_logit - shift)).astype(dtype)


def take_class(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """scores[..., labels], NaN where a label is no class: (..., classes) and (...) to (...).

    By `lax.gather`, because indexing and `jnp.take_along_axis` count negative labels from the end.
    Measured against a product with one-hot labels: fewer flops, by XLA's count, and less memory.
    """
    last = scores.ndim - 1
    batch = tuple(range(last))
    one_a_row = lax.GatherDimensionNumbers(
        offset_dims=(),
        collapsed_slice_dims=(last,),
        start_index_map=(last,),
        operand_batching_dims=batch,
        start_indices_batching_dims=batch,
    )
    return lax.gather(
        scores,
        labels[..., None],
        one_a_row,
        slice_sizes=(1,) * scores.ndim,
        mode="fill",
        fill_value=jnp.nan,
        unique_indices=True,
    )


def smooth_labels(labels: ArrayLike, alpha: ArrayLike) -> jax.Array:
    """Label smoothing: (1 − α) y + α / K, for one-hot labels of K classes.

    With `softmax_cross_entropy`, the network is asked for 1 − α + α/K instead of certainty.

    Args:
      labels: one-hot labels y (or other probabilities) of a floating dtype, (..., classes).
      alpha: α in [0, 1], a scalar; 0 changes nothing.

    Returns:
      Smoothed labels, of the same shape.

    Raises:
      TypeError: labels of integers: `jax.nn.one_hot` makes one-hot labels of class numbers.
      ValueError: alpha outside [0, 1].

    Equal to optax.smooth_labels. Source: Szegedy et al., Rethinking the Inception Architecture for
    Computer Vision, 2016.

    >>> import jax
    >>> print(smooth_labels(jax.nn.one_hot(2, 4), 0.2))
    [0.05 0.05 0.85 0.05]
    """
    if not jnp.issubdtype(jnp.asarray(labels).dtype, jnp.floating):
        raise TypeError(
            f"expected one-hot labels of a floating dtype, got {jnp.asarray(labels).dtype} of "
            f"shape {jnp.shape(labels)}: jax.nn.one_hot(labels, classes) makes them of class "
            "numbers"
        )
    expect_number("alpha", alpha, "in [0, 1]", lambda alpha: (alpha >= 0) & (alpha <= 1))
    labels = rows_of_classes("labels", labels)
    alpha = jnp.asarray(alpha, labels.dtype)
    return (1 - alpha) * labels + alpha / labels.shape[-1]
