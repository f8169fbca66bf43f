"""One training step of a small convolutional network on MNIST, in JAX and in PyTorch.

3×3 convolution to 16 channels, relu, 2×2 max pooling, 3×3 convolution to 32, relu, pooling, dense
layer, softmax cross-entropy, plain gradient descent, float32.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from zoo.feedforward import conv, convolution, max_pool
from zoo.program import Draw, cross_entropy, dense

LEARNING_RATE = 0.1


def parameters() -> dict:
    draw = Draw()
    return {
        "conv1": {"kernel": convolution(draw, 3, 1, 16), "bias": np.zeros(16, np.float32)},
        "conv2": {"kernel": convolution(draw, 3, 16, 32), "bias": np.zeros(32, np.float32)},
        "head": draw.dense(7 * 7 * 32, 10),
    }


def loss(params, x, labels):
    for name in ("conv1", "conv2"):
        x = max_pool(jax.nn.relu(conv(x, params[name]["kernel"]) + params[name]["bias"]))
    return cross_entropy(dense(params["head"], x.reshape(len(x), -1)), labels)


def jax_step(value_and_grad: Callable, x: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """A function that takes a step each time it is called, and gives the loss before it."""

    def step(params, x, labels):
        value, grads = value_and_grad(loss)(params, x, labels)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, grads), value

    compiled = jax.jit(step, donate_argnums=0)
    params, x, labels = jax.tree.map(jnp.asarray, (parameters(), x, labels))

    def take() -> float:
        nonlocal params
        params, value = compiled(params, x, labels)
        jax.block_until_ready(params)
        return float(value)

    return take


def torch_step(x: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """The same in PyTorch, eager, in the layout that is its fastest on a CPU (channels last)."""
    import torch

    params = parameters()
    network = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 16, 3, padding="same"), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Conv2d(16, 32, 3, padding="same"), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Flatten(), torch.nn.Linear(7 * 7 * 32, 10)),
    ).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for layer, name in ((network[0], "conv1"), (network[3], "conv2")):
            layer.weight.copy_(torch.from_numpy(params[name]["kernel"].transpose(3, 2, 0, 1)))
            layer.bias.zero_()
        # flattened here with the channels first
        kernel = params["head"]["kernel"].reshape(7, 7, 32, 10).transpose(3, 2, 0, 1)
        network[7].weight.copy_(torch.from_numpy(kernel.reshape(10, -1)))
        network[7].bias.zero_()
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE)
    x = torch.from_numpy(x).permute(0, 3, 1, 2)  # what lies in memory stays as it is
    labels = torch.from_numpy(labels).long()

    def take() -> float:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(network(x), labels)
        value.backward()
        optimizer.step()
        return value.item()

    return take
