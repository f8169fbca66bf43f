"""Losses, one value an example as in optax: the caller takes the mean.

Logits and predictions have a floating dtype, and so has the result. What sums does so in float32
at least: bfloat16 and float16 are rounded once, at the end. All of these work under `jit`, `vmap`
and `grad` (first and higher, reverse and forward).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike


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
    logits, labels = _scores(logits), jnp.asarray(labels)
    if labels.shape != logits.shape:
        class_numbers = labels.shape == logits.shape[:-1]
        raise ValueError(
            f"expected labels of the shape of logits, {logits.shape}, got {labels.shape}"
            + ": class numbers are for softmax_cross_entropy_with_integer_labels" * class_numbers
        )
    log_softmax = jax.nn.log_softmax(_at_least_float32(logits), axis=-1)
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
    logits = _scores(logits)
    return _softmax_loss(logits, _class_numbers(labels, logits))


# what `train.fit` looks at in all the labels before it starts
softmax_cross_entropy_with_integer_labels.check = (  # type: ignore[attr-defined]
    lambda logits, labels: check_labels(labels, logits.shape[-1])
)


@partial(jax.jit, inline=True)
def _softmax_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    dtype, logits = logits.dtype, _at_least_float32(logits)
    label_logit = _take_class(logits, labels)
    # A shift of all logits changes nothing, so this one, to keep exp in range, needs no gradient.
    # The NaN of a label that is no class reaches the gradient through `maximum`.
    shift = jnp.maximum(jnp.max(lax.stop_gradient(logits), axis=-1), lax.stop_gradient(label_logit))
    log_normalizer = jnp.log(jnp.sum(jnp.exp(logits - shift[..., None]), axis=-1))
    return (log_normalizer - (label_logit - shift)).astype(dtype)


def _take_class(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """logits[..., labels], NaN where a label is no class: (..., classes) and (...) to (...).

    By `lax.gather`, because indexing and `jnp.take_along_axis` count negative labels from the end.
    Measured against a product with one-hot labels: fewer flops, by XLA's count, and less memory.
    """
    last = logits.ndim - 1
    batch = tuple(range(last))
    one_a_row = lax.GatherDimensionNumbers(
        offset_dims=(),
        collapsed_slice_dims=(last,),
        start_index_map=(last,),
        operand_batching_dims=batch,
        start_indices_batching_dims=batch,
    )
    return lax.gather(
        logits,
        labels[..., None],
        one_a_row,
        slice_sizes=(1,) * logits.ndim,
        mode="fill",
        fill_value=jnp.nan,
        unique_indices=True,
    )


def check_labels(labels: Any, num_classes: int) -> None:
    """Raises where `labels` are not class numbers in 0..num_classes−1: a check before training.

    Args:
      labels: an array of any shape, of an integer dtype; not traced.
      num_classes: the number of classes.

    Raises:
      TypeError: labels that are not integers.
      ValueError: a label outside the range; the message names the first.

    >>> check_labels([3, 9, 0], num_classes=10)
    >>> check_labels([3, -1, 10], num_classes=10)
    Traceback (most recent call last):
    ValueError: labels[1] is -1, expected 0..9 for 10 classes (2 of 3 labels are outside)
    """
    labels = np.asarray(labels)
    _expect_integers(labels)
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        first = tuple(int(i) for i in np.argwhere(outside)[0])
        count = int(outside.sum())
        raise ValueError(
            f"labels{list(first) if first else ''} is {labels[first]}, expected "
            f"0..{num_classes - 1} for {num_classes} classes "
            f"({count} of {labels.size} labels {'is' if count == 1 else 'are'} outside)"
        )


def squared_error(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """Squared error (h − y)², element by element.

    Args:
      predictions: h, any shape.
      targets: y, of the same shape, or None for zeros.

    Returns:
      An array of the shape of `predictions`; its mean is the mean squared error.

    Raises:
      TypeError: predictions of integers.
      ValueError: targets of another shape than predictions.

    Equal to optax.squared_error. Source: decks B, D and E, row 13.

    >>> import jax.numpy as jnp
    >>> squared_error(jnp.array([1.0, 5.0]), jnp.array([3.0, 5.0]))
    Array([4., 0.], dtype=float32)
    """
    return jnp.square(_difference(predictions, targets))


def quadratic(predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Quadratic loss 1/(2n) Σ_i Σ_k (h_ik − y_ik)² of n examples: a scalar, not a value an example.

    Args:
      predictions: h, (n, ...): the first axis is the examples, n at least 1.
      targets: y, of the same shape.

    Returns:
      The loss, a scalar.

    Raises:
      TypeError: predictions of integers.
      ValueError: targets of another shape than predictions; no examples.

    Source: decks A and D, row 13.

    >>> import jax.numpy as jnp
    >>> quadratic(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[1.0, 0.0], [0.0, 4.0]]))
    Array(3.25, dtype=float32)
    """
    difference = _difference(predictions, targets)
    if difference.ndim == 0 or difference.shape[0] == 0:
        raise ValueError(
            f"expected predictions of n ≥ 1 examples, (n, ...), got {difference.shape}"
        )
    total = jnp.sum(jnp.square(_at_least_float32(difference)))
    return (total / (2 * difference.shape[0])).astype(difference.dtype)


def _floating(name: str, x: ArrayLike) -> jax.Array:
    """`x` as an array; TypeError where its dtype is not floating."""
    array = jnp.asarray(x)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"expected {name} of a floating dtype, got {array.dtype} of shape {array.shape}"
        )
    return array


def _at_least_float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _scores(logits: ArrayLike) -> jax.Array:
    logits = _floating("logits", logits)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"expected logits of shape (..., classes), got {logits.shape}")
    return logits


def _class_numbers(labels: Any, logits: jax.Array) -> jax.Array:
    """`labels` as an array, checked: its dtype, its shape and, where concrete, its values."""
    if not isinstance(labels, jax.Array):
        labels = np.asarray(labels)
    _expect_integers(labels)
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"expected labels of shape {logits.shape[:-1]}, one for each row of logits "
            f"{logits.shape}, got {labels.shape}"
        )
    traced = isinstance(labels, jax.core.Tracer)
    if not traced and getattr(labels, "is_fully_addressable", True):
        check_labels(labels, logits.shape[-1])
    return jnp.asarray(labels)


def _expect_integers(labels: Any) -> None:
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"expected labels of an integer dtype (class numbers), got {labels.dtype} of shape "
            f"{labels.shape}: convert class numbers with labels.astype('int32'); one-hot labels "
            "and probabilities are for softmax_cross_entropy"
        )


def _difference(predictions: ArrayLike, targets: ArrayLike | None) -> jax.Array:
    """predictions − targets, not broadcast: (n, 1) against (n,) would make (n, n) of them."""
    predictions = _floating("predictions", predictions)
    if targets is None:
        return predictions
    targets = jnp.asarray(targets)
    if targets.shape != predictions.shape:
        raise ValueError(
            f"expected targets of the shape of predictions, {predictions.shape}, "
            f"got {targets.shape}"
        )
    return predictions - targets
