"""What is minimized: from a model and a loss of arrays to a loss of parameters."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from funcnn.nn import Layer, as_layer

Loss = Callable[[Any, Any, Any, Any], tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]]
"""``loss(params, state, batch, key) -> (scalar, (state, metrics))``.

This is all that the rest of `train` knows of a model. `key` is None in evaluation: then nothing is
random and statistics stay as they are. `metrics` is a dict of scalars, means over the batch. A loss
may have an attribute `check(params, state, data)`, which `fit` calls once with all the data, before
anything is compiled, to raise for data that the loss cannot mean.
"""


def supervised(
    model: Layer,
    loss: Callable[[Any, Any], jax.Array],
    metrics: Mapping[str, Callable[[Any, Any], jax.Array]] | None = None,
) -> Loss:
    """The mean loss of a model's outputs against targets, on batches ``(x, y)``.

    Args:
      model: a layer; its outputs are what `loss` and `metrics` take first.
      loss: ``loss(outputs, y)``, one value an example (or an entry), as those of `funcnn.losses`.
      metrics: by name, functions ``metric(outputs, y)``. What is reported is the mean over batches
        of their mean over the batch: right for means, not for a maximum.

    Returns:
      A `Loss`. Where `loss` has an attribute `check(outputs, y)`, as those of class numbers have,
      `fit` calls it with all of `y` (and the shape of `outputs`) before training.

    Example:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import losses, metrics, nn, train
    >>> model = nn.dense(3)
    >>> loss = train.supervised(
    ...     model,
    ...     losses.softmax_cross_entropy_with_integer_labels,
    ...     metrics={"accuracy": metrics.accuracy},
    ... )
    >>> x, y = jnp.ones((4, 2)), jnp.array([0, 1, 2, 2])
    >>> params, state = model.init(jax.random.key(0), x)
    >>> value, (state, measured) = loss(params, state, (x, y), None)
    >>> value.shape, sorted(measured)
    ((), ['accuracy'])
    """
    metrics, model = dict(metrics or {}), as_layer(model)

    def objective(params, state, batch, key):
        x, y = _pair(batch)
        outputs, state = model.apply(params, state, x, key=key, train=key is not None)
        value = jnp.mean(loss(outputs, y))
        return value, (state, {name: jnp.mean(m(outputs, y)) for name, m in metrics.items()})

    def check(params, state, data):
        x, y = _pair(data)
        outputs = jax.eval_shape(lambda x: model.apply(params, state, x)[0], x)
        loss.check(outputs, y)  # type: ignore[attr-defined]

    if hasattr(loss, "check"):
        objective.check = check  # type: ignore[attr-defined]
    return objective


def named(value: jax.Array, metrics: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """What is reported of a batch: the loss, and the metrics beside it."""
    if "loss" in metrics:
        raise ValueError('the metric "loss" is the loss itself: name yours otherwise')
    return {"loss": value, **metrics}


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"supervised expects batches (x, y), got {jax.tree.structure(batch)}")
    return batch[0], batch[1]
