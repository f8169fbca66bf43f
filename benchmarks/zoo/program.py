"""What a program of the zoo is, and what several of them are made of."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Program(NamedTuple):
    """A loss in plain jax.numpy, as one would write it without a thought for its gradient."""

    loss: Callable[..., jax.Array]
    """(params, *data) -> scalar; takes `unroll` where the program has a loop of known length"""
    arguments: tuple[Any, ...]
    """params, which the gradient is with respect to, and data: trees of NumPy arrays"""
    length: int | None = None
    """how often the loop's body runs"""
    for_jax: Callable[..., jax.Array] | None = None
    """the same with a loop of fixed length, where JAX has no gradient of `loss`"""


class Draw:
    """Random arrays, float32, the same each time."""

    def __init__(self, seed: int = 0):
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return np.float32(scale) * self.rng.standard_normal(shape, np.float32)

    def below(self, bound: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, bound, shape, np.int32)

    def dense(self, inputs: int, outputs: int) -> dict[str, np.ndarray]:
        kernel = self.normal(inputs, outputs, scale=inputs**-0.5)
        return {"kernel": kernel, "bias": np.zeros(outputs, np.float32)}


def dense(params: dict, x: jax.Array) -> jax.Array:
    return x @ params["kernel"] + params["bias"]


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over all axes but the last, which is the classes'."""
    log_p = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_p, labels[..., None], axis=-1).mean()


def layer_norm(params: dict, x: jax.Array) -> jax.Array:
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.var(x, axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * params["scale"] + params["offset"]
