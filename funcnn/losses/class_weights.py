"""Classes that count more than others: weights by class number, and those that balance classes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from funcnn.labels import check_labels, class_numbers, is_class
from funcnn.losses.arguments import at_least_float32, floating

ClassLoss = Callable[[Any, Any], jax.Array]
"""``loss(outputs, labels)`` of class numbers, one value an example."""


def class_weighted(loss: ClassLoss, weights: ArrayLike) -> ClassLoss:
    """The loss of each example times the weight of its class, w_y ℓ.

    With weights whose mean over the examples is 1, as `balanced_class_weights` gives, losses and
    learning rates keep their size. (PyTorch's weighted mean, Σ w_y ℓ / Σ w_y over a minibatch, is
    `losses.mean(values, weights[labels])`.)

    Args:
      loss: of class numbers, one value an example: `softmax_cross_entropy_with_integer_labels`,
        `multiclass_hinge_loss` or so.
      weights: w, one for each class, at least 0, (classes,). With a weight of 0 a class is left
        out, also where its loss is not finite.

    Returns:
      ``loss(outputs, labels)``. Its `check`, which `train.fit` calls with all labels, is that of
      `loss`, and that each label has a weight.

    Raises:
      ValueError: weights of another shape than (classes,), negative or not finite; later, a label
        without a weight (where labels are traced, the value is NaN).
      TypeError: weights that are no real numbers; later, labels that are not integers.

    >>> import jax.numpy as jnp
    >>> from funcnn import losses
    >>> loss = class_weighted(losses.softmax_cross_entropy_with_integer_labels, [0.5, 3.0])
    >>> print(loss(jnp.zeros((3, 2)), jnp.array([0, 0, 1])) / jnp.log(2))
    [0.5 0.5 3. ]
    """
    table = checked_weights(weights)
    classes = len(table)

    def weighted(outputs, labels):
        values = floating("the values of the loss", loss(outputs, labels))
        labels = class_numbers(labels, values.shape, classes, f"value of the loss {values.shape}")
        wide = at_least_float32(values)
        of_each = jnp.asarray(table, wide.dtype)[labels]
        of_each = jnp.where(is_class(labels, classes), of_each, jnp.nan)
        return (of_each * jnp.where(of_each == 0, 0, wide)).astype(values.dtype)

    def check(outputs, labels):
        if hasattr(loss, "check"):
            loss.check(outputs, labels)
        check_labels(labels, classes)

    weighted.check = check  # type: ignore[attr-defined]
    return weighted


def balanced_class_weights(labels: Any, num_classes: int) -> np.ndarray:
    """Weights n / (K n_c) for which all K classes count the same.

    n_c of the n examples are of class c. The mean of the weights over the examples is 1.

    Args:
      labels: class numbers of the whole training set, any shape, of an integer dtype; not traced.
      num_classes: K.

    Returns:
      float32, (num_classes,).

    Raises:
      TypeError: labels that are not integers.
      ValueError: a label outside 0..num_classes−1; a class without examples, which no weight can
        make count.

    Equal to scikit-learn's compute_class_weight("balanced").

    >>> print(balanced_class_weights([0, 0, 0, 1], 2))
    [0.6666667 2.       ]
    """
    labels = np.asarray(labels)
    check_labels(labels, num_classes)
    counts = np.bincount(labels.ravel().astype(np.int64), minlength=num_classes)
    if absent := np.flatnonzero(counts == 0).tolist():
        raise ValueError(
            f"no examples of the classes {absent}: they cannot count the same as the others; "
            "number those that there are from 0, or give weights of your own"
        )
    return (labels.size / (num_classes * counts)).astype(np.float32)


def checked_weights(weights: ArrayLike) -> np.ndarray:
    table = np.asarray(weights)
    if not any(jnp.issubdtype(table.dtype, kind) for kind in (jnp.integer, jnp.floating)):
        raise TypeError(f"expected weights that are real numbers, got {table.dtype}")
    if table.ndim != 1 or not table.size:
        raise ValueError(f"expected weights of shape (classes,), got {table.shape}")
    table = table.astype(np.float64)
    if not (np.isfinite(table) & (table >= 0)).all():
        raise ValueError(f"expected weights that are finite and at least 0, got {table}")
    return table
