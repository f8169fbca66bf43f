"""Margins: hinge losses, for support vector machines of two and of several classes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from funcnn.labels import expect_none, is_concrete
from funcnn.losses.arguments import at_least_float32, floating, rows_of_classes, same_shape
from funcnn.losses.distributions import nan_where_no_class
from funcnn.losses.softmax import check_classes, labels_of_rows, take_class


def hinge_loss(predictor_outputs: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Hinge loss max(0, 1 − y s) of two classes, y = −1 and 1, entry by entry.

    Args:
      predictor_outputs: s, any shape: the class is its sign.
      targets: y, −1 or 1, of the same shape.

    Returns:
      An array of the shape of `predictor_outputs`. The gradient at y s = 1 is 0.

    Raises:
      TypeError: predictor_outputs of integers.
      ValueError: targets of another shape; concrete targets other than −1 and 1. Where they are
        traced, their loss and gradient are NaN.

    Equal to optax.hinge_loss. Source: Cortes and Vapnik, Support-Vector Networks, 1995.

    >>> import jax.numpy as jnp
    >>> print(hinge_loss(jnp.array([0.3, 2.0, -0.5]), jnp.array([1, 1, 1])))
    [0.7 0.  1.5]
    """
    s = floating("predictor_outputs", predictor_outputs)
    targets = same_shape("predictor_outputs", s, "targets", targets)
    if is_concrete(targets):
        check_signs(s, targets)
    y = targets.astype(jnp.result_type(s, targets))
    return jax.nn.relu(1 - jnp.where(jnp.abs(y) == 1, y, jnp.nan) * s)


def check_signs(outputs: Any, targets: Any) -> None:
    """ValueError where targets are not −1 or 1: what `train.fit` looks at before it starts."""
    targets = np.asarray(targets)
    expected = "-1 or 1 (2 * y - 1 makes them of labels 0 and 1)"
    expect_none((targets != 1) & (targets != -1), targets, expected, name="targets")


hinge_loss.check = check_signs  # type: ignore[attr-defined]


def multiclass_hinge_sum(scores: ArrayLike, labels: ArrayLike) -> jax.Array:
    """The lectures' multiclass hinge loss Σ_{j≠y} max(0, s_j − s_y + 1) of scores and class number.

    Each class that comes within 1 of the right one counts. `multiclass_hinge_loss`, as optax has
    it, counts only the worst of them.

    Args:
      scores: s, (..., classes).
      labels: class numbers y in 0..classes−1, of an integer dtype, (...).

    Returns:
      The loss of each example, (...). The gradient of a term at its kink is 0.

    Raises:
      TypeError: scores of integers, labels that are not integers.
      ValueError: labels of another shape than scores without its last axis; concrete labels
        outside 0..classes−1. Where they are traced, their loss and gradient are NaN.

    Source: deck B, rows 13 and 14; Weston and Watkins, Support Vector Machines for Multi-Class
    Pattern Recognition, 1999.

    >>> import jax.numpy as jnp
    >>> images = jnp.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
    >>> [f"{loss:.1f}" for loss in multiclass_hinge_sum(images, jnp.array([0, 1, 2]))]
    ['2.9', '0.0', '12.9']
    """
    violations, labels, dtype = _violations(scores, labels)
    others = _others(violations, labels)
    return jnp.sum(jax.nn.relu(violations), axis=-1, where=others).astype(dtype)


def multiclass_hinge_loss(scores: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Multiclass hinge loss max(0, max_{j≠y} s_j − s_y + 1): the worst class alone counts.

    The lectures sum over the classes: that is `multiclass_hinge_sum`.

    Args:
      scores: s, (..., classes).
      labels: class numbers y in 0..classes−1, of an integer dtype, (...).

    Returns:
      The loss of each example, (...).

    Raises:
      As `multiclass_hinge_sum`.

    Equal to optax.losses.multiclass_hinge_loss for labels in the range. Source: Crammer and Singer,
    On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines, 2001.

    >>> import jax.numpy as jnp
    >>> images = jnp.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
    >>> [f"{loss:.1f}" for loss in multiclass_hinge_loss(images, jnp.array([0, 1, 2]))]
    ['2.9', '0.0', '6.6']
    """
    violations, labels, dtype = _violations(scores, labels)
    others = _others(violations, labels)
    return jnp.max(violations, axis=-1, initial=0, where=others).astype(dtype)


multiclass_hinge_sum.check = check_classes  # type: ignore[attr-defined]
multiclass_hinge_loss.check = check_classes  # type: ignore[attr-defined]


def _violations(scores: ArrayLike, labels: ArrayLike) -> tuple[jax.Array, jax.Array, Any]:
    """s_j − s_y + 1 of every class j, the checked labels, and the dtype of the scores."""
    scores = rows_of_classes("scores", scores)
    labels = labels_of_rows("scores", scores, labels)
    s = nan_where_no_class(at_least_float32(scores), labels)
    return s - take_class(s, labels)[..., None] + 1, labels, scores.dtype


def _others(violations: jax.Array, labels: jax.Array) -> jax.Array:
    """The classes j ≠ y."""
    return jnp.arange(violations.shape[-1]) != labels[..., None]
