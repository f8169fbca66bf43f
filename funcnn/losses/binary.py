"""Labels between 0 and 1, each for itself: two classes, or several labels that may hold at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from funcnn.labels import expect_none, is_concrete
from funcnn.losses.arguments import at_least_float32, expect_number, floating, same_shape


def sigmoid_binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Binary cross-entropy −[y log σ(s) + (1 − y) log(1 − σ(s))] from logits, entry by entry.

    Two classes: one logit an example. Multi-label classification, where several labels may hold at
    once: one sigmoid an output, and the sum (or mean) over the last axis is an example's loss.
    Finite for every finite logit, and so is the gradient, σ(s) − y.

    Args:
      logits: s, any shape.
      labels: y in [0, 1], of the same shape: 0 and 1 of any dtype, or probabilities.

    Returns:
      An array of the shape of `logits`.

    Raises:
      TypeError: logits of integers.
      ValueError: labels of another shape; concrete labels outside [0, 1] (−1 and 1 are for
        `hinge_loss`). Where they are traced, their loss and gradient are NaN.

    Equal to optax.sigmoid_binary_cross_entropy for labels in [0, 1]. Source: decks A, D and E, rows
    13 and 16.

    >>> import jax.numpy as jnp
    >>> print(sigmoid_binary_cross_entropy(jnp.array([0.0, 100.0]), jnp.array([1, 0])).round(2))
    [  0.69 100.  ]
    """
    logits = floating("logits", logits)
    labels = _zero_to_one("logits", logits, labels)
    loss = _from_logits(at_least_float32(logits), at_least_float32(labels))
    return loss.astype(labels.dtype)


def _from_logits(s: jax.Array, y: jax.Array) -> jax.Array:
    # softplus(−s) = −log σ(s): no digits are lost where the sigmoid is next to 0 or 1
    return y * jax.nn.softplus(-s) + (1 - y) * jax.nn.softplus(s)


def binary_cross_entropy(probabilities: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Binary cross-entropy −[y log h + (1 − y) log(1 − h)] from probabilities, entry by entry.

    Its sum over the last axis is deck A's cross-entropy with both terms, where all outputs count
    and not only that of the right class. With logits at hand, `sigmoid_binary_cross_entropy` keeps
    more digits and never overflows.

    At h = 0 and 1, by 0 log 0 = 0: where h is y the loss is 0 and its gradient finite (1 at 0, −1
    at 1); where h is the opposite both are infinite, as in the formula.

    Args:
      probabilities: h, any shape. A value outside [0, 1] gives NaN, or a negative loss where it is
        above 1 by rounding and y is 1.
      labels: y in [0, 1], of the same shape: 0 and 1 of any dtype, or probabilities.

    Returns:
      An array of the shape of `probabilities`.

    Raises:
      TypeError: probabilities of integers.
      ValueError: labels of another shape; concrete labels outside [0, 1]. Where they are traced,
        their loss and gradient are NaN.

    Source: decks A, D and E, rows 13 and 15.

    >>> import jax.numpy as jnp
    >>> h, y = jnp.array([0.8, 0.7, 0.1]), jnp.array([1, 1, 0])
    >>> [f"{loss:.3f}" for loss in binary_cross_entropy(h, y)]  # −ln 0.8, −ln 0.7, −ln 0.9
    ['0.223', '0.357', '0.105']
    """
    probabilities = floating("probabilities", probabilities)
    labels = _zero_to_one("probabilities", probabilities, labels)
    h, y = at_least_float32(probabilities), at_least_float32(labels)
    loss = -times_log(y, h) - (1 - y) * jnp.log1p(-jnp.where((y == 1) & (h >= 1), 0, h))
    return loss.astype(labels.dtype)


def sigmoid_focal_loss(
    logits: ArrayLike, labels: ArrayLike, *, alpha: ArrayLike | None = None, gamma: ArrayLike = 2.0
) -> jax.Array:
    """Focal loss (1 − p)^γ times the binary cross-entropy, where p is the label's probability.

    What is already right counts less: for many easy negatives and few positives. Finite for every
    finite logit, and so is the gradient.

    Args:
      logits: s, any shape.
      labels: y in [0, 1], of the same shape.
      alpha: weight of the label 1, where 1 − α is that of the label 0; None for no weights.
      gamma: γ ≥ 0; 0 is the binary cross-entropy.

    Returns:
      An array of the shape of `logits`.

    Raises:
      As `sigmoid_binary_cross_entropy`; ValueError for alpha outside [0, 1], gamma below 0.

    Equal to optax.sigmoid_focal_loss. Source: Lin et al., Focal Loss for Dense Object Detection,
    2017.

    >>> import jax.numpy as jnp
    >>> [f"{loss:.5f}" for loss in sigmoid_focal_loss(jnp.array([0.0, 3.0]), jnp.array([1, 1]))]
    ['0.17329', '0.00011']
    """
    if alpha is not None:
        expect_number("alpha", alpha, "in [0, 1]", lambda alpha: (alpha >= 0) & (alpha <= 1))
    expect_number("gamma", gamma, "of at least 0", lambda gamma: gamma >= 0)
    logits = floating("logits", logits)
    labels = _zero_to_one("logits", logits, labels)
    s, y = at_least_float32(logits), at_least_float32(labels)
    # log(1 − p), so that the power has a gradient where 1 − p is 0 in floating point
    log_sigmoids = jnp.stack([jax.nn.log_sigmoid(s), jax.nn.log_sigmoid(-s)], axis=-1)
    log_wrong = jax.nn.logsumexp(log_sigmoids, axis=-1, b=jnp.stack([1 - y, y], axis=-1))
    weight = jnp.exp(gamma * log_wrong)
    if alpha is not None:
        weight = weight * (alpha * y + (1 - alpha) * (1 - y))
    return (weight * _from_logits(s, y)).astype(labels.dtype)


def times_log(y: jax.Array, p: jax.Array) -> jax.Array:
    """y log p where 0 log 0 is 0, and so is its gradient."""
    nothing = (y == 0) & (p < jnp.finfo(p.dtype).tiny) & (p >= 0)
    return y * jnp.log(jnp.where(nothing, 1, p))


def check_zero_to_one(outputs: Any, labels: Any) -> None:
    """ValueError where labels are not in [0, 1]: what `train.fit` looks at before it starts."""
    labels = np.asarray(labels)
    outside = ~((labels >= 0) & (labels <= 1))
    expect_none(outside, labels, "a label from 0 to 1")


sigmoid_binary_cross_entropy.check = check_zero_to_one  # type: ignore[attr-defined]
binary_cross_entropy.check = check_zero_to_one  # type: ignore[attr-defined]
sigmoid_focal_loss.check = check_zero_to_one  # type: ignore[attr-defined]


def _zero_to_one(name: str, x: jax.Array, labels: ArrayLike) -> jax.Array:
    """Labels of the shape of x, and of the loss's dtype; outside [0, 1] an error where concrete and
    NaN where traced."""
    labels = same_shape(name, x, "labels", labels)
    if is_concrete(labels):
        check_zero_to_one(None, labels)
    labels = labels.astype(jnp.result_type(x, labels))
    return jnp.where((labels >= 0) & (labels <= 1), labels, jnp.nan)
