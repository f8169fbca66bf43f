"""Networks without loops: dense and convolutional, with recomputed layers, with a choice inside."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.program import Draw, Program, cross_entropy, dense


def mlp(batch: int, widths: tuple[int, ...]) -> Program:
    draw = Draw()
    params = [draw.dense(i, o) for i, o in itertools.pairwise(widths)]

    def loss(params, x, labels):
        for layer in params[:-1]:
            x = jax.nn.relu(dense(layer, x))
        return cross_entropy(dense(params[-1], x), labels)

    data = draw.normal(batch, widths[0]), draw.below(widths[-1], batch)
    return Program(loss, (params, *data))


def remat_mlp(batch: int, width: int, depth: int) -> Program:
    """A deep network by a scan over its blocks; a block keeps its input and is computed again.

    By a scan, because in straight-line code XLA's CPU compiler removes the barriers around what is
    computed again, and then finds that it has been computed before.
    """
    draw = Draw()

    def stacked() -> dict[str, np.ndarray]:
        blocks = [draw.dense(width, width) for _ in range(depth)]
        return {name: np.stack([block[name] for block in blocks]) for name in blocks[0]}

    params = {"first": stacked(), "second": stacked()}

    @jax.checkpoint
    def block(x, params):
        y = jax.nn.silu(dense(params["first"], x))
        return x + jax.nn.silu(dense(params["second"], y)), None

    def loss(params, x, target, unroll=1):
        x, _ = lax.scan(block, x, params, unroll=unroll)
        return jnp.mean((x - target) ** 2)

    return Program(loss, (params, draw.normal(batch, width), draw.normal(batch, width)), depth)


def convolution(draw: Draw, size: int, inputs: int, outputs: int) -> np.ndarray:
    return draw.normal(size, size, inputs, outputs, scale=(2 / (size * size * inputs)) ** 0.5)


def normalization(channels: int) -> dict[str, np.ndarray]:
    return {"scale": np.ones(channels, np.float32), "offset": np.zeros(channels, np.float32)}


def conv(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def batch_norm(params: dict, x: jax.Array) -> jax.Array:
    mean = jnp.mean(x, axis=(0, 1, 2))
    variance = jnp.var(x, axis=(0, 1, 2))
    return (x - mean) * lax.rsqrt(variance + 1e-5) * params["scale"] + params["offset"]


def max_pool(x: jax.Array) -> jax.Array:
    window = (1, 2, 2, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def cnn(batch: int, size: int, channels: tuple[int, ...]) -> Program:
    """Convolution, batch normalization, relu and max pooling, over and over; then a dense layer."""
    draw = Draw()
    blocks = [
        {"kernel": convolution(draw, 3, i, o), "norm": normalization(o)}
        for i, o in itertools.pairwise((1, *channels))
    ]
    features = (size // 2 ** len(channels)) ** 2 * channels[-1]
    params = {"blocks": blocks, "head": draw.dense(features, 10)}

    def loss(params, x, labels):
        for block in params["blocks"]:
            x = max_pool(jax.nn.relu(batch_norm(block["norm"], conv(x, block["kernel"]))))
        return cross_entropy(dense(params["head"], x.reshape(len(x), -1)), labels)

    return Program(loss, (params, draw.normal(batch, size, size, 1), draw.below(10, batch)))


def residual_cnn(batch: int, size: int, channels: tuple[int, ...]) -> Program:
    """Residual blocks; each but the first halves the image and has a 1 by 1 projection."""
    draw = Draw()

    def block(i, o):
        params = {"norm1": normalization(i), "kernel1": convolution(draw, 3, i, o)}
        params |= {"norm2": normalization(o), "kernel2": convolution(draw, 3, o, o)}
        return params | ({"projection": convolution(draw, 1, i, o)} if i != o else {})

    params = {
        "stem": convolution(draw, 3, 3, channels[0]),
        "blocks": [block(i, o) for i, o in itertools.pairwise((channels[0], *channels))],
        "head": draw.dense(channels[-1], 10),
    }

    def residual(params, x):
        stride = 2 if "projection" in params else 1
        y = jax.nn.relu(batch_norm(params["norm1"], x))
        y = conv(y, params["kernel1"], stride)
        y = conv(jax.nn.relu(batch_norm(params["norm2"], y)), params["kernel2"])
        return y + (conv(x, params["projection"], stride) if "projection" in params else x)

    def loss(params, x, labels):
        x = conv(x, params["stem"])
        for block in params["blocks"]:
            x = residual(block, x)
        return cross_entropy(dense(params["head"], jnp.mean(x, axis=(1, 2))), labels)

    return Program(loss, (params, draw.normal(batch, size, size, 3), draw.below(10, batch)))


def mixture(batch: int, width: int, layers: int) -> Program:
    """In each layer a gate chooses, for all examples, between a deep and a shallow expert."""
    draw = Draw()
    params = [
        {
            "gate": draw.normal(width, scale=width**-0.5),
            "deep": [draw.dense(width, 2 * width), draw.dense(2 * width, width)],
            "shallow": draw.dense(width, width),
        }
        for _ in range(layers)
    ]

    def deep(params, x):
        return dense(params["deep"][1], jax.nn.silu(dense(params["deep"][0], x)))

    def shallow(params, x):
        return jnp.tanh(dense(params["shallow"], x))

    def loss(params, x, target):
        for layer in params:
            p = jax.nn.sigmoid(jnp.mean(x @ layer["gate"]))
            y = lax.cond(p > 0.5, deep, shallow, layer, x)
            x = x + jnp.maximum(p, 1 - p) * y
        return jnp.mean((x - target) ** 2)

    return Program(loss, (params, draw.normal(batch, width), draw.normal(batch, width)))
