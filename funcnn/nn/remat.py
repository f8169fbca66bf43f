"""remat: less memory for the gradient, for some more arithmetic."""

from collections.abc import Callable
from typing import Any

import jax

from funcnn.nn.combinators import LayerLike
from funcnn.nn.layer import Layer, as_layer


def remat(layer: LayerLike, policy: Callable[..., bool] | None = None) -> Layer:
    """The layer, its inner values computed again in the backward pass instead of kept for it.

    Outputs, gradients and `params` are those of the layer; by `jax.checkpoint`. The usual place is
    within `repeat`: `nn.repeat(nn.remat(block), 12)` keeps the input of each block and no more.

    Args:
      layer: what is computed twice.
      policy: which values to keep nevertheless, one of `jax.checkpoint_policies`; None for none.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> layer = nn.remat(nn.serial(nn.dense(3), jnp.tanh))
    >>> params, state = layer.init(jax.random.key(0), jnp.ones((5, 4)))
    >>> layer(params, jnp.ones((5, 4))).shape
    (5, 3)
    """
    layer = as_layer(layer)

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        def run(params: Any, state: Any, x: Any, key: Any) -> Any:
            return layer.apply(params, state, x, key=key, train=train)

        return jax.checkpoint(run, policy=policy)(params, state, x, key)

    return Layer(
        layer.init,
        apply,
        f"remat({layer})",
        layer.uses_key,
        ((None, layer),),
        lambda layers, join=None: remat(layers[0], policy),
    )
