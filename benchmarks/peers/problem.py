"""What every peer is given: the examples, the network's first parameters, the optimizer."""

import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

PIXELS, CLASSES = 784, 10
WIDTHS = (PIXELS, 30, 30, CLASSES)
LEARNING_RATES = {"sgd": 0.5, "adam": 1e-3}

Parameters = list[tuple[np.ndarray, np.ndarray]]  # a layer: kernel (in, out), bias (out,)


class Problem(NamedTuple):
    """784-30-30-10 with sigmoid hidden units, trained on softmax cross-entropy."""

    images: np.ndarray  # (n, 784) float32
    labels: np.ndarray  # (n,) int32 in 0..9
    parameters: Parameters  # float32, the same for each peer
    batch_size: int
    optimizer: str  # "sgd" (plain) or "adam" (b1 0.9, b2 0.999, eps 1e-8)
    learning_rate: float
    seed: int  # of the shuffle


def digits_or_noise(
    folder: str | None, examples: int, seed: int
) -> tuple[str, np.ndarray, np.ndarray]:
    """Says what the examples are, and gives them: real MNIST where a folder is named, else noise.

    The folder is `folder` or the environment variable `FUNCNN_DATA`; nothing is downloaded.
    """
    folder = folder or os.environ.get("FUNCNN_DATA")
    if not folder:
        what = "random images around ten random prototypes (for MNIST: --data or FUNCNN_DATA)"
        return what, *noisy_prototypes(examples, seed)
    from funcnn import data

    images, labels = data.mnist(Path(folder), validation=0).train
    if examples > len(images):
        raise SystemExit(f"--examples {examples}: MNIST has {len(images):,} training images")
    return "MNIST", images[:examples].reshape(examples, PIXELS), labels[:examples]


def noisy_prototypes(examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images in [0, 1], a fifth of the pixels lit as in MNIST, learned over some epochs."""
    rng = np.random.default_rng(seed)
    prototypes = rng.random((CLASSES, PIXELS), np.float32) < 0.2
    labels = rng.integers(0, CLASSES, examples, np.int32)
    from_prototype = rng.random((examples, PIXELS), np.float32) < 0.15
    noise = rng.random((examples, PIXELS), np.float32) < 0.2
    lit = np.where(from_prototype, prototypes[labels], noise)
    return lit * rng.random((examples, PIXELS), np.float32), labels


def first_parameters(seed: int) -> Parameters:
    """Glorot-uniform kernels and zero biases."""
    rng = np.random.default_rng(seed)

    def layer(inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
        bound = np.sqrt(6 / (inputs + outputs))
        kernel = rng.uniform(-bound, bound, (inputs, outputs))
        return kernel.astype(np.float32), np.zeros(outputs, np.float32)

    return [layer(*pair) for pair in itertools.pairwise(WIDTHS)]


def mean_loss(parameters: Parameters, images: np.ndarray, labels: np.ndarray) -> float:
    """The network's mean softmax cross-entropy, in float64 NumPy: one judge for all peers."""
    x = images.astype(np.float64)
    for kernel, bias in parameters[:-1]:
        x = 1 / (1 + np.exp(-(x @ kernel + bias)))
    kernel, bias = parameters[-1]
    logits = x @ kernel + bias
    logits -= logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -log_probabilities[np.arange(len(labels)), labels].mean()
