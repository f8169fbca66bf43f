"""A transformer's block, and attention with masks."""

import jax
import jax.numpy as jnp
import numpy as np

from zoo.program import Draw, Program, dense, layer_norm


def projections(draw: Draw, width: int) -> dict:
    """Kernels without biases (that of the keys would have a gradient of zero)."""
    names = ("query", "key", "value", "out")
    return {name: draw.normal(width, width, scale=width**-0.5) for name in names}


def attention(params: dict, x: jax.Array, heads: int, mask: jax.Array | None = None) -> jax.Array:
    """Multi-head self-attention; x: (batch, time, width), mask: (batch or 1, 1, time, time)."""

    def split(name):
        return (x @ params[name]).reshape(*x.shape[:2], heads, -1)

    query, key, value = map(split, ("query", "key", "value"))
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / key.shape[-1] ** 0.5
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, axis=-1), value)
    return mixed.reshape(x.shape) @ params["out"]


def transformer(batch: int, time: int, width: int, heads: int) -> Program:
    """One block, normalized before each half, with a gelu network four times as wide."""
    draw = Draw()
    norm = {"scale": np.ones(width, np.float32), "offset": np.zeros(width, np.float32)}
    params = {
        "norm1": norm,
        "attention": projections(draw, width),
        "norm2": dict(norm),
        "up": draw.dense(width, 4 * width),
        "down": draw.dense(4 * width, width),
    }

    def loss(params, x, target):
        x = x + attention(params["attention"], layer_norm(params["norm1"], x), heads)
        y = jax.nn.gelu(dense(params["up"], layer_norm(params["norm2"], x)))
        return jnp.mean((x + dense(params["down"], y) - target) ** 2)

    data = draw.normal(batch, time, width), draw.normal(batch, time, width)
    return Program(loss, (params, *data))


def masked_attention(batch: int, time: int, width: int, heads: int, vocabulary: int) -> Program:
    """Predicts the next token: embedding, attention to earlier tokens that are no padding, head."""
    draw = Draw()
    params = {
        "embedding": draw.normal(vocabulary, width),
        "attention": projections(draw, width),
        "head": draw.dense(width, vocabulary),
    }

    def loss(params, tokens, lengths):
        inputs, labels = tokens[:, :-1], tokens[:, 1:]
        steps = jnp.arange(inputs.shape[1])
        causal = steps[:, None] >= steps[None, :]
        real = steps < lengths[:, None]
        x = params["embedding"][inputs]
        x = x + attention(params["attention"], x, heads, causal & real[:, None, None, :])
        log_p = jax.nn.log_softmax(dense(params["head"], x))
        of_label = jnp.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]
        return -jnp.sum(jnp.where(real, of_label, 0)) / jnp.sum(real)

    tokens, lengths = draw.below(vocabulary, batch, time + 1), 1 + draw.below(time, batch)
    return Program(loss, (params, tokens, lengths))
