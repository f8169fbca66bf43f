"""What is minimized: from a model and a loss of arrays to a loss of parameters."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from funcnn.losses import check_labels
from funcnn.nn import Layer

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
      metrics: by name, functions ``metric(outputs, y)`` whose mean is reported.

    Returns:
      A `Loss`. Its `check` raises ValueError for integer `y` outside the model's classes.

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
    metrics = dict(metrics or {})

    def objective(params, state, batch, key):
        x, y = _pair(batch)
        outputs, state = model.apply(params, state, x, key=key, train=key is not None)
        measured = {name: jnp.mean(metric(outputs, y)) for name, metric in metrics.items()}
        return jnp.mean(loss(outputs, y)), (state, measured)

    def check(params, state, data):
        x, y = _pair(data)
        outputs = jax.eval_shape(lambda x: model.apply(params, state, x)[0], x)
        # class numbers: integers, one for each row of scores
        if jnp.issubdtype(jnp.result_type(y), jnp.integer) and y.shape == outputs.shape[:-1]:
            check_labels(y, outputs.shape[-1])

    objective.check = check  # type: ignore[attr-defined]
    return objective


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"supervised expects batches (x, y), got {jax.tree.structure(batch)}")
    return batch[0], batch[1]
