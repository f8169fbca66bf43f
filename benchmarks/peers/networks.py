"""The networks that are measured, as data: a tuple of layers each, and the first parameters.

Parameters are one dict a layer, empty for a layer that has none, with kernels (..., in, out):

    Dense     {"kernel", "bias"}
    Conv      {"kernel", "bias"}
    LSTM      {"kernel", "recurrent_kernel", "bias"}, gates in the order i, f, g, o
    Positions {"embedding"}
    Block     {"norm_1", "query", "key", "value", "out", "norm_2", "expand", "contract"}, each a
              dict: {"kernel", "bias"}, or {"scale", "bias"} of a normalization
"""

from typing import Any, NamedTuple

import numpy as np

CLASSES = 10
NORM_EPSILON = 1e-6


class Dense(NamedTuple):
    """x W + b, over the last axis."""

    inputs: int
    outputs: int


class Conv(NamedTuple):
    """3 × 3, stride 1, of as many outputs as inputs in height and width."""

    inputs: int
    outputs: int


class Flatten(NamedTuple):
    """(n, height, width, channels) to (n, height · width · channels)."""

    height: int
    width: int
    channels: int


class LSTM(NamedTuple):
    """(n, time, inputs) to the last state h, (n, outputs)."""

    inputs: int
    outputs: int


class Positions(NamedTuple):
    """Adds what is learned for each place of a sequence."""

    length: int
    features: int


class Block(NamedTuple):
    """A transformer block: x + attention(norm(x)), then h + mlp(norm(h)); relu, 4 × as wide."""

    features: int
    heads: int


# layers without parameters and sizes; "max pool" is 2 × 2, "mean" is over the places of a sequence
Layer = Dense | Conv | Flatten | LSTM | Positions | Block | str
Parameters = list[dict[str, Any]]


class Network(NamedTuple):
    what: str
    input_shape: tuple[int, ...]  # of one example: 784 pixels, NHWC images, or rows as a sequence
    layers: tuple[Layer, ...]
    batch_size: int
    examples: int  # in an epoch
    optimizer: str


NETWORKS = {
    "784-30-30-10": Network(
        "sigmoid",
        (784,),
        (Dense(784, 30), "sigmoid", Dense(30, 30), "sigmoid", Dense(30, CLASSES)),
        batch_size=32,
        examples=20_000,
        optimizer="sgd",
    ),
    "784-512-512-10": Network(
        "relu",
        (784,),
        (Dense(784, 512), "relu", Dense(512, 512), "relu", Dense(512, CLASSES)),
        batch_size=128,
        examples=12_800,
        optimizer="sgd",
    ),
    "cnn": Network(
        "3×3 conv to 16, relu, max pool, 3×3 conv to 32, relu, max pool, dense",
        (28, 28, 1),
        (
            *(Conv(1, 16), "relu", "max pool"),
            *(Conv(16, 32), "relu", "max pool"),
            *(Flatten(7, 7, 32), Dense(7 * 7 * 32, CLASSES)),
        ),
        batch_size=128,
        examples=6_400,
        optimizer="sgd",
    ),
    "lstm": Network(
        "28 rows of 28 pixels, 128 hidden units, the last to a dense layer",
        (28, 28),
        (LSTM(28, 128), Dense(128, CLASSES)),
        batch_size=128,
        examples=6_400,
        optimizer="adam",
    ),
    "transformer": Network(
        "28 rows of 28 pixels, 64 features, a block of 4 heads, mean, dense",
        (28, 28),
        (Dense(28, 64), Positions(28, 64), Block(64, 4), "mean", Dense(64, CLASSES)),
        batch_size=128,
        examples=6_400,
        optimizer="adam",
    ),
}


def first_parameters(network: Network, seed: int) -> Parameters:
    """Glorot-uniform kernels, zero biases, float32: the same for each peer."""
    rng = np.random.default_rng(seed)
    return [_parameters(layer, rng) for layer in network.layers]


def _parameters(layer: Layer, rng: np.random.Generator) -> dict[str, Any]:
    match layer:
        case Dense(inputs, outputs):
            return _kernel_and_bias(rng, inputs, outputs)
        case Conv(inputs, outputs):
            return _kernel_and_bias(rng, 3, 3, inputs, outputs)
        case LSTM(inputs, outputs):
            recurrent = _glorot(rng, outputs, 4 * outputs)
            return {**_kernel_and_bias(rng, inputs, 4 * outputs), "recurrent_kernel": recurrent}
        case Positions(length, features):
            return {"embedding": rng.normal(0, 0.02, (length, features)).astype(np.float32)}
        case Block(features):
            linear = dict.fromkeys(("query", "key", "value", "out"), (features, features))
            linear |= {"expand": (features, 4 * features), "contract": (4 * features, features)}
            norms = {
                name: {"scale": np.ones(features, np.float32), "bias": _zeros(features)}
                for name in ("norm_1", "norm_2")
            }
            return norms | {name: _kernel_and_bias(rng, *shape) for name, shape in linear.items()}
        case _:
            return {}


def _kernel_and_bias(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    return {"kernel": _glorot(rng, *shape), "bias": _zeros(shape[-1])}


def _glorot(rng: np.random.Generator, *shape: int) -> np.ndarray:
    places = int(np.prod(shape[:-2]))
    bound = np.sqrt(6 / (places * (shape[-2] + shape[-1])))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def _zeros(length: int) -> np.ndarray:
    return np.zeros(length, np.float32)
