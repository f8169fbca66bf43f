"""Attention as a function of arrays."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from funcnn.nn.errors import expect_inexact
from funcnn.nn.functional.dropout import dropout


def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    is_causal: bool = False,
    dropout_rate: float = 0.0,
    dropout_key: jax.Array | None = None,
) -> jax.Array:
    """softmax(Q Kᵀ / √head_dim) V in each head, by `jax.nn.dot_product_attention`.

    The softmax is computed in float32 at least. A query that may see no key at all gets the mean of
    the values: what is padding is to be masked in the loss.

    Args:
      query: Q, (batch, queries, heads, head_dim), of a floating dtype. One batch axis, or none.
      key: K, (batch, keys, heads, head_dim). Fewer heads, a divisor of the query's, serve several
        of its heads each.
      value: V, of the shape of K.
      mask: bool, broadcast against (batch, heads, queries, keys): True where a query sees a key.
      is_causal: a query sees only keys at its own place and before.
      dropout_rate: the probability that a weight is dropped, in [0, 1).
      dropout_key: for dropout, None for none.

    Returns:
      (batch, queries, heads, head_dim), in the dtype of the query.

    Raises:
      TypeError: arrays of integers; a mask that is not of bool.
      ValueError: shapes that do not match; the message shows them.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    >>> import jax.numpy as jnp
    >>> q, k = jnp.ones((1, 1, 2)), jnp.stack([jnp.ones((1, 2)), -jnp.ones((1, 2))])
    >>> print(attention(q, k, jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]])).round(4))
    [[[0.9442 0.0558]]]
    """
    q, k, v = _checked(query, key, value)
    if mask is not None:
        mask = _checked_mask(mask, (*q.shape[:-3], q.shape[-2], q.shape[-3], k.shape[-3]))
    if (dropout_key is None or dropout_rate == 0) and q.dtype != jnp.float64:
        return jax.nn.dot_product_attention(q, k, v, mask=mask, is_causal=is_causal)
    # JAX's function has no dropout, and no softmax in float64.
    weights = attention_weights(q, k, mask, is_causal=is_causal)
    if dropout_key is not None:
        weights = dropout(weights, dropout_rate, dropout_key)
    v = jnp.repeat(v, q.shape[-2] // v.shape[-2], axis=-2)
    return jnp.einsum("...hqk,...khd->...qhd", weights.astype(v.dtype), v)


def attention_weights(
    query: jax.Array, key: jax.Array, mask: jax.Array | None = None, *, is_causal: bool = False
) -> jax.Array:
    """softmax(Q Kᵀ / √head_dim), what each query takes of each value; arguments as in `attention`.

    Returns:
      (batch, heads, queries, keys), in float32 at least.

    >>> import jax.numpy as jnp
    >>> x = jnp.zeros((2, 1, 4))
    >>> print(attention_weights(x, x, is_causal=True))
    [[[1.  0. ]
      [0.5 0.5]]]
    """
    key = jnp.repeat(key, query.shape[-2] // key.shape[-2], axis=-2)
    wide = jnp.promote_types(query.dtype, jnp.float32)
    logits = jnp.einsum("...qhd,...khd->...hqk", query, key, preferred_element_type=wide)
    logits = logits / math.sqrt(query.shape[-1])
    if is_causal:
        causal = jnp.tril(jnp.ones(logits.shape[-2:], bool))
        mask = causal if mask is None else mask & causal
    if mask is not None:
        # finite, so that a query that sees nothing gives no NaN
        logits = jnp.where(mask, logits, 0.7 * float(jnp.finfo(jnp.float32).min))
    return jax.nn.softmax(logits)


def _checked(query: ArrayLike, key: ArrayLike, value: ArrayLike) -> list[jax.Array]:
    q, k, v = arrays = [jnp.asarray(a) for a in (query, key, value)]
    for a in arrays:
        expect_inexact("attention", a)
    right = q.ndim in (3, 4) and q.ndim == k.ndim and k.shape == v.shape
    if not right or q.shape[:-3] != k.shape[:-3] or q.shape[-1] != k.shape[-1]:
        raise ValueError(
            "attention: expected query (batch, queries, heads, head_dim), key and value (batch, "
            f"keys, heads, head_dim), got {q.shape}, {k.shape} and {v.shape}"
        )
    if q.shape[-2] % k.shape[-2]:
        raise ValueError(
            f"attention: expected heads of the key that divide those of the query, got "
            f"{k.shape[-2]} and {q.shape[-2]}"
        )
    dtype = jnp.result_type(*arrays)
    return [a.astype(dtype) for a in arrays]


def _checked_mask(mask: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    mask = jnp.asarray(mask)
    if mask.dtype != jnp.bool_:
        raise TypeError(f"attention: expected a mask of bool, got {mask.dtype}: True is to be seen")
    trailing = shape[len(shape) - mask.ndim :]
    if mask.ndim > len(shape) or any(
        a not in (1, b) for a, b in zip(mask.shape, trailing, strict=True)
    ):
        raise ValueError(
            "attention: expected a mask to broadcast against (batch, heads, queries, keys) = "
            f"{shape}, got {mask.shape}: for lengths, length_mask(...)[:, None, None, :]"
        )
    return mask
