"""What a gradient is taken of: a plain function, or the mean loss of a model in training."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from funcnn.nn import Layer


def check_arguments(
    name: str, model: Any, args: tuple[Any, ...], loss: Any, state: Any, key: Any
) -> None:
    """TypeError for a layer without a loss, and for a function with what is for layers."""
    if isinstance(model, Layer):
        if loss is None or not args:
            raise TypeError(
                f"{name}: of a layer, expected x and a loss of its outputs, as in "
                f"{name}(model, params, x, y, loss=losses.squared_error), got "
                f"{len(args)} arguments after params and loss={loss!r}"
            )
        return
    if not callable(model):
        raise TypeError(
            f"{name}: expected a Layer or a function loss(params, *args), got {model!r}"
        )
    if loss is not None or key is not None or jax.tree.leaves(state):
        raise TypeError(
            f"{name}: loss, state and key are for a Layer; a function is called as "
            "loss(params, *args): give it what it needs there"
        )


def mean_loss(
    model: Layer, loss: Callable[..., Any], params: Any, state: Any, key: Any, *args: Any
):
    """The mean of `loss(outputs, *targets)` in training, for args (x, *targets)."""
    x, *targets = args
    y, _ = model.apply(params, state, x, key=key, train=True)
    with jax.named_scope("loss"):
        return jnp.mean(loss(y, *targets))


def value_of(returned: Any) -> Any:
    """The scalar, of a function that returns it or a pair of it and anything else."""
    return returned[0] if isinstance(returned, tuple) else returned
