"""TrainState: all that a training run is, at one moment."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnn.nn import Layer, as_layer
from funcnn.optim import GradientTransformation


class TrainState(NamedTuple):
    """Parameters and all that the next steps depend on, as one pytree.

    Training is a function of it: the same state and the same data give the same parameters, bit
    for bit. `key` never changes; what is random in a step comes from `key` and `step`.

    Attributes:
      params: the pytree that is trained.
      state: the model's state that is not trained (running statistics); `()` without.
      opt_state: the optimizer's.
      key: a scalar of `jax.random.key`'s dtype.
      step: int32, (): how many steps were taken.
    """

    params: Any
    state: Any
    opt_state: Any
    key: jax.Array
    step: jax.Array


def init(key: jax.Array, model: Layer, optimizer: GradientTransformation, x: Any) -> TrainState:
    """The state at the start of training.

    Args:
      key: from `jax.random.key(seed)`.
      model: what is trained.
      optimizer: funcnn's or optax's.
      x: a batch of inputs, or the `jax.ShapeDtypeStruct` of one; only its shape and dtype are used.

    Example:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn, optim, train
    >>> model = nn.serial(nn.dense(30), jax.nn.sigmoid, nn.dense(30), jax.nn.sigmoid, nn.dense(10))
    >>> state = train.init(jax.random.key(0), model, optim.sgd(0.1), jnp.zeros((32, 784)))
    >>> nn.count_parameters(state.params), int(state.step)
    (24790, 0)

    Source: deck A, row 11 (784-30-30-10 has 24,790 parameters).
    """
    params_key, train_key = jax.random.split(key)
    params, model_state = as_layer(model).init(params_key, x)
    return TrainState(
        params, model_state, optimizer.init(params), train_key, jnp.zeros((), jnp.int32)
    )
