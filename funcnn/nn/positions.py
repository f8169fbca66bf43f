"""Layers that tell a sequence where its steps are."""

from typing import Any

import jax
from jax.nn import initializers

from funcnn.nn import functional
from funcnn.nn.errors import expect_entries, expect_inexact, expect_key
from funcnn.nn.layer import Layer, shape_of, stateless, without_params
from funcnn.nn.parameters import Initializer, expect_number, initialized

# that of GPT-2
default_position_init: Initializer = initializers.normal(0.02)


def sinusoidal_positions(*, base: float = 10000.0) -> Layer:
    """y = x + PE, by `nn.functional.sinusoidal_positions`: x and y (..., time, features).

    Raises:
      TypeError: x of integers.
      ValueError: x of fewer than two axes, or with an odd number of features.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    >>> import jax.numpy as jnp, numpy as np
    >>> print(np.asarray(sinusoidal_positions()((), jnp.ones((5, 2, 4)))[0]).round(3))
    [[1.    2.    1.    2.   ]
     [1.841 1.54  1.01  2.   ]]
    """

    def function(x: Any) -> jax.Array:
        x = _sequences("sinusoidal_positions", x)
        return x + functional.sinusoidal_positions(*x.shape[-2:], base=base, dtype=x.dtype)

    return without_params(function, "sinusoidal_positions")


def learned_positions(
    max_length: int, *, embedding_init: Initializer = default_position_init
) -> Layer:
    """y = x + P[:time], where P is learned: x and y (..., time, features).

    `params` is {"embedding": (max_length, features)} in the dtype of the x given to `init`.

    Args:
      max_length: the longest sequence.
      embedding_init: called as `init(key, shape, dtype)`. The default is that of GPT-2.

    Raises:
      TypeError: x of integers.
      ValueError: x of fewer than two axes, or longer than `max_length`.

    Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.

    >>> import jax, jax.numpy as jnp
    >>> layer = learned_positions(8)
    >>> params, state = layer.init(jax.random.key(0), jnp.ones((5, 2, 4)))
    >>> params["embedding"].shape, layer(params, jnp.ones((5, 2, 4))).shape
    ((8, 4), (5, 2, 4))
    """
    max_length = expect_number("learned_positions", "max_length", max_length, "128")

    def init(key: Any, x: Any) -> Any:
        expect_key(key)
        x = _sequences("learned_positions", shape_of(x))
        shape = max_length, x.shape[-1]
        return {"embedding": initialized("embedding", embedding_init, key, shape, x.dtype)}

    def apply(params: Any, x: Any) -> jax.Array:
        (embedding,) = expect_entries("params", params, "embedding")
        x = _sequences("learned_positions", x)
        if x.shape[-2] > len(embedding) or x.shape[-1] != embedding.shape[-1]:
            raise ValueError(
                f"learned_positions: expected x of shape (..., time, {embedding.shape[-1]}), time "
                f"at most {len(embedding)}, got {x.shape}"
            )
        return x + embedding[: x.shape[-2]]

    return stateless(init, apply, f"learned_positions({max_length})")


def _sequences(name: str, x: Any) -> Any:
    expect_inexact(name, x)
    if len(x.shape) < 2:
        raise ValueError(f"{name}: expected x of shape (..., time, features), got {x.shape}")
    return x
