"""repeat: a deep network of equal layers, compiled as one of them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from funcnn.nn.combinators import LayerLike
from funcnn.nn.errors import expect_key
from funcnn.nn.layer import Layer, as_layer, shape_of
from funcnn.nn.parameters import expect_number


def repeat(layer: LayerLike, n: int) -> Layer:
    """n copies of a layer, one after another, each with parameters of its own.

    What `serial(layer, ..., layer)` computes, by `jax.lax.scan`: the program holds the layer once,
    so that a hundred of them compile as fast as one. Each array in `params` and `state` is that of
    the layer with an axis of length n before it.

    Args:
      layer: gives an output of the shape and dtype of its input.
      n: how many, at least 1.

    Raises:
      TypeError: n that is no integer.
      ValueError: n below 1; from `init`, a layer whose output differs from its input in shape or
        dtype; from `apply`, params or state that are not stacked n times.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> deep = nn.repeat(nn.residual(nn.serial(nn.dense(8), jnp.tanh)), 100)
    >>> x = jnp.ones((5, 8))
    >>> params, state = jax.eval_shape(deep.init, jax.random.key(0), x)
    >>> params["layer"][0]["kernel"].shape, jax.eval_shape(deep, params, x).shape
    ((100, 8, 8), (5, 8))
    """
    layer, n = as_layer(layer), expect_number("repeat", "n", n, "block, 12")

    def once(params: Any, state: Any, x: Any) -> Any:
        first = jax.tree.map(lambda leaf: leaf[0], (params, state))
        return layer.apply(*first, x)[0]

    def init(key: Any, x: Any) -> tuple[Any, Any]:
        expect_key(key)
        x = shape_of(x)
        params, state = jax.vmap(lambda key: layer.init(key, x))(jax.random.split(key, n))
        y = jax.eval_shape(once, params, state, x)
        if _types(y) != _types(x):
            raise ValueError(
                f"repeat: expected an output of the shape and dtype of x, {_types(x)}, "
                f"got {_types(y)}"
            )
        return params, state

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        for leaf in jax.tree.leaves((params, state)):
            if jnp.shape(leaf)[:1] != (n,):
                raise ValueError(
                    f"repeat: expected params and state with a first axis of length {n}, got an "
                    f"array of shape {jnp.shape(leaf)}: use those that this model's init returned"
                )

        def step(x: Any, each: Any) -> tuple[Any, Any]:
            params, state, key = each
            return layer.apply(params, state, x, key=key, train=train)

        keys = jax.random.split(key, n) if key is not None and layer.uses_key else None
        return lax.scan(step, x, (params, state, keys), length=n)

    name = f"repeat({layer}, {n})"
    return Layer(
        init,
        apply,
        name,
        layer.uses_key,
        ((None, layer),),
        lambda layers, join=None: repeat(layers[0], n),
    )


def _types(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", tree)
