"""Between distributions over classes, from probabilities or their logarithms."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.labels import is_class
from funcnn.losses.arguments import at_least_float32, rows_of_classes, same_shape
from funcnn.losses.binary import times_log
from funcnn.losses.softmax import check_classes, labels_of_rows, take_class


def cross_entropy(probabilities: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Cross-entropy −Σ_k y_k log h_k of one-hot labels and predicted probabilities.

    Summed over the examples, or their mean: deck A has both. With logits at hand,
    `softmax_cross_entropy` keeps more digits and never overflows.

    Where h_k = 0 and y_k = 0 the term is 0, and so is its gradient; where y_k > 0 it is infinite.

    Args:
      probabilities: h, (..., classes). They are not checked: a negative one gives NaN.
      labels: y, one-hot or other probabilities, of the same shape and any dtype.

    Returns:
      The loss of each example, (...).

    Raises:
      TypeError: probabilities of integers.
      ValueError: labels of another shape; class numbers go to `negative_log_likelihood`.

    Source: decks A and E, rows 13 and 15.

    >>> import jax.numpy as jnp
    >>> h = jnp.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    >>> [f"{loss:.3f}" for loss in cross_entropy(h, jnp.array([[1, 0, 0], [0, 0, 1]]))]
    ['0.357', '0.693']
    """
    probabilities = rows_of_classes("probabilities", probabilities)
    advice = ": class numbers are for negative_log_likelihood"
    class_numbers_given = jnp.shape(labels) == probabilities.shape[:-1]
    labels = same_shape(
        "probabilities", probabilities, "labels", labels, advice * class_numbers_given
    )
    terms = times_log(labels, at_least_float32(probabilities))
    return -jnp.sum(terms, axis=-1).astype(jnp.result_type(probabilities, labels))


def negative_log_likelihood(log_probabilities: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Negative log-likelihood −log p_y of class number y, from log-probabilities.

    With `jax.nn.log_softmax` before it, it is `softmax_cross_entropy_with_integer_labels`.

    Args:
      log_probabilities: log p, (..., classes).
      labels: class numbers y in 0..classes−1, of an integer dtype, (...).

    Returns:
      The loss of each example, (...).

    Raises:
      TypeError: log-probabilities of integers, labels that are not integers.
      ValueError: labels of another shape than log-probabilities without their last axis; concrete
        labels outside 0..classes−1. Where they are traced, their loss and gradient are NaN.

    Source: decks C and E, row 13.

    >>> import jax.numpy as jnp
    >>> p = jnp.array([[0.4, 0.6], [0.8, 0.2], [0.9, 0.1], [0.3, 0.7]])
    >>> [f"{loss:.2f}" for loss in negative_log_likelihood(jnp.log(p), jnp.array([1, 1, 1, 1]))]
    ['0.51', '1.61', '2.30', '0.36']
    """
    log_p = rows_of_classes("log-probabilities", log_probabilities)
    labels = labels_of_rows("log-probabilities", log_p, labels)
    return -take_class(nan_where_no_class(log_p, labels), labels)


negative_log_likelihood.check = check_classes  # type: ignore[attr-defined]


def nan_where_no_class(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Scores (..., classes); the rows whose label is no class are NaN, and so is their gradient."""
    # A product, and of the input: the gradient of a `where` would be 0 there, and 0 · NaN is NaN.
    factor = jnp.where(is_class(labels, scores.shape[-1]), 1, jnp.nan)
    return scores * factor[..., None].astype(scores.dtype)


def kl_divergence(log_predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Kullback-Leibler divergence Σ_k t_k (log t_k − log q_k) of predictions q from targets t.

    A term with t_k = 0 is 0, also where q_k = 0, and so is its gradient.

    Args:
      log_predictions: log q, (..., classes), as from `jax.nn.log_softmax`.
      targets: t, of the same shape.

    Returns:
      The divergence of each example, (...).

    Raises:
      TypeError: log_predictions of integers.
      ValueError: targets of another shape.

    Equal to optax.kl_divergence. Source: Kullback and Leibler, On Information and Sufficiency,
    1951.

    >>> import jax.numpy as jnp
    >>> q, t = jnp.array([0.25, 0.25, 0.5]), jnp.array([0.5, 0.5, 0.0])
    >>> print(kl_divergence(jnp.log(q), t).round(4))  # log 2
    0.6931
    """
    log_q = rows_of_classes("log_predictions", log_predictions)
    targets = same_shape("log_predictions", log_q, "targets", targets)
    dtype = jnp.result_type(log_q, targets)
    log_q, t = at_least_float32(log_q), at_least_float32(targets.astype(dtype))
    terms = times_log(t, t) - t * jnp.where((t == 0) & (log_q == -jnp.inf), 0, log_q)
    return jnp.sum(terms, axis=-1).astype(dtype)
