"""Class numbers: the checks that losses and metrics share.

A label outside 0..classes−1 is never taken for a class. Where labels are concrete it raises; where
they are traced, under `jit` or `vmap`, nobody can see them, and `is_class` tells which are none.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


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
    expect_integers(labels)
    outside = (labels < 0) | (labels >= num_classes)
    expect_none(outside, labels, f"0..{num_classes - 1} for {num_classes} classes")


def class_numbers(labels: Any, shape: tuple[int, ...], num_classes: int, rows: str) -> jax.Array:
    """`labels` as an array, checked: its dtype, its shape and, where concrete, its values.

    Args:
      labels: class numbers.
      shape: what they are to have.
      num_classes: the number of classes.
      rows: what there is one label for, for the message: "row of logits (5, 3)".
    """
    if not isinstance(labels, jax.Array):
        labels = np.asarray(labels)
    expect_integers(labels)
    if labels.shape != shape:
        raise ValueError(
            f"expected labels of shape {shape}, one for each {rows}, got {labels.shape}"
        )
    if is_concrete(labels):
        check_labels(labels, num_classes)
    return jnp.asarray(labels)


def is_class(labels: jax.Array, num_classes: int) -> jax.Array:
    """Which labels are in 0..num_classes−1, also where their dtype cannot hold num_classes.

    >>> print(is_class(jnp.array([0, 255], jnp.uint8), 300))
    [ True  True]
    """
    highest = min(num_classes - 1, jnp.iinfo(labels.dtype).max)
    return (labels >= 0) & (labels <= highest)


def is_concrete(x: Any) -> bool:
    """Whether the values can be looked at: not traced, and all of them on this host's devices."""
    return not isinstance(x, jax.core.Tracer) and getattr(x, "is_fully_addressable", True)


def expect_integers(labels: Any) -> None:
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"expected labels of an integer dtype (class numbers), got {labels.dtype} of shape "
            f"{labels.shape}: convert class numbers with labels.astype('int32'); one-hot labels "
            "and probabilities are for softmax_cross_entropy"
        )


def expect_none(outside: np.ndarray, values: np.ndarray, expected: str, name="labels") -> None:
    """ValueError where anything is `outside`: the first such value, and how many there are."""
    if outside.any():
        first = tuple(int(i) for i in np.argwhere(outside)[0])
        count = int(outside.sum())
        raise ValueError(
            f"{name}{list(first) if first else ''} is {values[first]}, expected {expected} "
            f"({count} of {values.size} {name} {'is' if count == 1 else 'are'} outside)"
        )
