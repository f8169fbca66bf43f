"""transformer_block: attention and a small network for each step, with residual connections."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from funcnn.nn.attention import multi_head_attention
from funcnn.nn.combinators import serial
from funcnn.nn.dag import dag
from funcnn.nn.dropout import dropout
from funcnn.nn.layer import Layer
from funcnn.nn.linear import dense
from funcnn.nn.normalization import layer_norm


def transformer_block(
    features: int,
    num_heads: int,
    *,
    mlp_features: int | None = None,
    is_causal: bool = False,
    masked: bool = False,
    dropout_rate: float = 0.0,
    positions: Callable[[jax.Array], jax.Array] | None = None,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.gelu,
    norm: Callable[[], Layer] = layer_norm,
) -> Layer:
    """h = x + attention(norm(x)); y = h + mlp(norm(h)), with a norm before each part.

    x and y have the shape (batch, time, features), so that blocks can be stacked by `serial` or
    `repeat`. With `masked`, the input is a tuple (x, mask), mask as for `multi_head_attention`, and
    the output is (y, mask).

    Args:
      features: those of x.
      num_heads: divides `features`.
      mlp_features: the width of the small network's one hidden layer, 4 features if None.
      is_causal: a step sees only steps at its own place and before.
      masked: whether a mask comes with x.
      dropout_rate: in training, the probability that an attention weight, or a number that is
        added to x or h, is dropped.
      positions: for queries and keys, see `multi_head_attention`.
      activation: that of the small network.
      norm: makes a layer that normalizes: `nn.layer_norm` or `nn.rms_norm`.

    Raises:
      As `dense` and `multi_head_attention`.

    Source: Vaswani et al., "Attention Is All You Need", 2017; with the norms of Xiong et al., "On
    Layer Normalization in the Transformer Architecture", 2020.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> block = transformer_block(8, num_heads=2, is_causal=True)
    >>> x, key = jnp.ones((2, 5, 8)), jax.random.key(0)
    >>> params, state = jax.eval_shape(block.init, key, x)
    >>> jax.eval_shape(block, params, x).shape
    (2, 5, 8)
    >>> params, state = jax.eval_shape(nn.repeat(block, 3).init, key, x)
    >>> params["attention"]["query"]["kernel"].shape
    (3, 8, 2, 4)
    """
    attention = multi_head_attention(
        num_heads, is_causal=is_causal, dropout_rate=dropout_rate, positions=positions
    )
    mlp = serial(
        expand=dense(4 * features if mlp_features is None else mlp_features),
        activation=activation,
        contract=dense(features),
        dropout=dropout(dropout_rate),
    )
    seen = ("norm_1", "norm_1", "mask") if masked else ("norm_1",)
    nodes: dict[str, tuple[Any, ...]] = {
        "norm_1": (norm(), "x"),
        "attention": (attention, *seen),
        "dropout": (dropout(dropout_rate), "attention"),
        "h": (jnp.add, "x", "dropout"),
        "norm_2": (norm(), "h"),
        "mlp": (mlp, "norm_2"),
        "y": (jnp.add, "h", "mlp"),
    }
    return dag(("x", "mask"), outputs=("y", "mask"), **nodes) if masked else dag("x", **nodes)
