"""multi_head_attention: what each step of a sequence takes from the steps of another."""

from collections.abc import Callable
from typing import Any

import jax
from jax.nn import initializers

from funcnn.nn import functional
from funcnn.nn.errors import at, describe, expect_entries, expect_inexact, expect_key
from funcnn.nn.functional.dropout import expect_rate
from funcnn.nn.layer import Layer, expect_training_key, shape_of
from funcnn.nn.parameters import Initializer, default_kernel_init, expect_number, kernel_and_bias

ENTRIES = ("query", "key", "value", "out")


def multi_head_attention(
    num_heads: int,
    *,
    qkv_features: int | None = None,
    out_features: int | None = None,
    is_causal: bool = False,
    dropout_rate: float = 0.0,
    positions: Callable[[jax.Array], jax.Array] | None = None,
    kernel_init: Initializer = default_kernel_init,
    bias_init: Initializer = initializers.zeros,
    use_bias: bool = True,
) -> Layer:
    """Attention in several heads, each on projections of its own, by `nn.functional.attention`.

    The input is x of shape (batch, time, features), or without the batch axis, for self-attention:
    each step sees the steps of x. Or it is a tuple (x, context): each step of x sees the steps of
    context, (batch, keys, features). Or a tuple (x, context, mask), where mask is bool and can be
    broadcast against (batch, heads, time, keys), True where a step is seen; self-attention with a
    mask is (x, x, mask). The output is (batch, time, out_features).

    `params` is {"query", "key", "value": {"kernel": (features, heads, head_dim), "bias": (heads,
    head_dim)}, "out": {"kernel": (heads, head_dim, out_features), "bias": (out_features,)}}, as in
    Flax, in the dtype of the x given to `init`.

    Args:
      num_heads: divides `qkv_features`.
      qkv_features: heads times head_dim, None for the features of x.
      out_features: None for the features of x.
      is_causal: a step sees only steps at its own place and before.
      dropout_rate: in training, the probability that a weight is dropped, in [0, 1).
      positions: what is done to queries and keys, (batch, time, heads, head_dim), before they
        meet: `nn.functional.rotary`, say.
      kernel_init, bias_init: called as `init(key, shape, dtype)`, with the heads in one axis.
      use_bias: whether the four projections add a bias.

    Raises:
      TypeError: sizes that are no integers; arrays of integers; in training with dropout, no key.
      ValueError: sizes that do not divide; shapes that do not match; `params` of another structure
        or shape.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    >>> import jax, jax.numpy as jnp
    >>> layer = multi_head_attention(4, is_causal=True)
    >>> x = jnp.ones((2, 5, 8))
    >>> params, state = jax.eval_shape(layer.init, jax.random.key(0), x)
    >>> params["query"]["kernel"].shape, params["out"]["kernel"].shape
    ((8, 4, 2), (4, 2, 8))
    >>> jax.eval_shape(layer, params, x).shape
    (2, 5, 8)
    """
    num_heads = expect_number("multi_head_attention", "num_heads", num_heads, "8")
    expect_rate("multi_head_attention", dropout_rate)

    names = ("kernel", "bias") if use_bias else ("kernel",)

    def init(key: Any, x: Any) -> tuple[Any, Any]:
        expect_key(key)
        x, context, _ = _inputs(shape_of(x))
        rows, width, out = x.shape[-1], qkv_features or x.shape[-1], out_features or x.shape[-1]
        if width % num_heads:
            raise ValueError(
                f"multi_head_attention: expected qkv_features that {num_heads} heads divide, "
                f"got {width}"
            )
        heads = num_heads, width // num_heads
        shapes = (rows, width), (context.shape[-1], width), (context.shape[-1], width), (width, out)
        params = {
            name: kernel_and_bias(k, shape, x.dtype, kernel_init, bias_init if use_bias else None)
            for name, k, shape in zip(ENTRIES, jax.random.split(key, 4), shapes, strict=True)
        }
        for name in ENTRIES[:3]:
            split = {entry: a.reshape(*a.shape[:-1], *heads) for entry, a in params[name].items()}
            params[name] = split
        params["out"]["kernel"] = params["out"]["kernel"].reshape(*heads, out)
        return params, ()

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        x, context, mask = _inputs(x)
        *into_heads, out = expect_entries("params", params, *ENTRIES)
        q, k, v = (
            _into_heads(entry, a, p, names, num_heads)
            for entry, a, p in zip(ENTRIES, (x, context, context), into_heads, strict=False)
        )
        if positions is not None:
            q, k = positions(q), positions(k)
        rate = dropout_rate if train else 0.0
        if rate:
            expect_training_key("multi_head_attention", key)
        y = functional.attention(
            q, k, v, mask, is_causal=is_causal, dropout_rate=rate, dropout_key=key if rate else None
        )
        with at("out"):
            kernel, *bias = expect_entries("params", out, *names)
            flat = y.reshape(*y.shape[:-2], -1)
            return functional.dense(flat, kernel.reshape(-1, kernel.shape[-1]), *bias), state

    name = f"multi_head_attention({num_heads})"
    return Layer(init, apply, name, uses_key=dropout_rate > 0)


def _inputs(x: Any) -> tuple[Any, Any, Any]:
    """What sees, what is seen, and the mask or None."""
    x, context, mask = (x, x, None) if not isinstance(x, tuple | list) else _three(x)
    for name, a in (("x", x), ("context", context)):
        expect_inexact("multi_head_attention", a)
        if len(a.shape) not in (2, 3):
            raise ValueError(
                f"multi_head_attention: expected {name} of shape (batch, time, features), "
                f"got {a.shape}"
            )
    return x, context, mask


def _three(x: Any) -> tuple[Any, Any, Any]:
    if len(x) not in (2, 3):
        raise ValueError(
            f"multi_head_attention: expected x, (x, context), or (x, context, mask), got "
            f"{describe(x)}"
        )
    return (*x, None)[:3]


def _into_heads(
    entry: str, x: jax.Array, params: Any, names: tuple[str, ...], num_heads: int
) -> jax.Array:
    """(..., time, features) to (..., time, heads, head_dim)."""
    with at(entry):
        arrays = expect_entries("params", params, *names)
        if arrays[0].ndim != 3 or arrays[0].shape[1] != num_heads:
            raise ValueError(
                f"multi_head_attention: expected a kernel of shape (in, {num_heads}, head_dim), "
                f"got {arrays[0].shape}: use the params that this model's init returned"
            )
        heads = arrays[0].shape[1:]
        flat = (a.reshape(*a.shape[:-2], -1) for a in arrays)
        return functional.dense(x, *flat).reshape(*x.shape[:-1], *heads)
