"""Augmentation where training has a key: a loss of examples as they might also have been."""

from collections.abc import Callable
from typing import Any

import jax

from funcnn.train.objective import Loss

Augment = Callable[[jax.Array, Any], Any]
"""``augment(key, x) -> x``, those of `funcnn.data` for instance."""


def augmented(loss: Loss, augment: Augment) -> Loss:
    """A loss that in training, where it has a key, is that of augmented inputs.

    In evaluation, where the key is None, the inputs are taken as they are. Every step augments
    anew, within the compiled program, on the device.

    Args:
      loss: of batches ``(x, y)``, see `funcnn.train.Loss`.
      augment: ``augment(key, x) -> x``. For one that changes the targets too (`data.mixup`), see
        `augmented_batches`.

    Returns:
      A `Loss`, with the `check` of `loss`.

    Example:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import data, losses, nn, train
    >>> model = nn.serial(nn.flatten, nn.dense(10))
    >>> loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    >>> loss = train.augmented(loss, data.augment(data.random_flip(), data.random_shift(2)))
    >>> x, y = jnp.ones((4, 8, 8, 1)), jnp.zeros(4, jnp.int32)
    >>> params, state = model.init(jax.random.key(0), x)
    >>> value, _ = loss(params, state, (x, y), jax.random.key(1))
    >>> value.shape
    ()

    Source: decks A, B and E, row 18.
    """

    def augment_inputs(key, batch):
        if not isinstance(batch, (tuple, list)) or not len(batch):
            raise TypeError(
                f"augmented expects batches (x, y), got {jax.tree.structure(batch)}: for another "
                "kind, augmented_batches takes a function of the whole batch"
            )
        return (augment(key, batch[0]), *batch[1:])

    return augmented_batches(loss, augment_inputs)


def augmented_batches(loss: Loss, augment: Augment) -> Loss:
    """A loss that in training is that of augmented batches: inputs, targets and all.

    Args:
      loss: see `funcnn.train.Loss`.
      augment: ``augment(key, batch) -> batch``, as `data.mixup`.

    Returns:
      A `Loss`, with the `check` of `loss`.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import data, losses, nn, train
    >>> model = nn.serial(nn.flatten, nn.dense(10))
    >>> loss = train.supervised(model, losses.softmax_cross_entropy)
    >>> loss = train.augmented_batches(loss, data.mixup(0.2))
    """

    def objective(params, state, batch, key):
        if key is not None:
            key, augment_key = jax.random.split(key)
            batch = augment(augment_key, batch)
        return loss(params, state, batch, key)

    if hasattr(loss, "check"):
        objective.check = loss.check  # type: ignore[attr-defined]
    return objective
