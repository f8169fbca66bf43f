"""What every peer is given: the network with its first parameters, the examples, the optimizer."""

import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from peers.networks import CLASSES, NETWORKS, Dense, Flatten, Network, Parameters, first_parameters

PIXELS = 784
LEARNING_RATES = {"sgd": {"784-30-30-10": 0.5}, "adam": {}}
DEFAULT_RATES = {"sgd": 0.1, "adam": 1e-3}


class Problem(NamedTuple):
    """A network, trained on softmax cross-entropy."""

    network: Network
    images: np.ndarray  # (n, *network.input_shape) float32
    labels: np.ndarray  # (n,) int32 in 0..9
    parameters: Parameters  # float32, the same for each peer
    batch_size: int
    optimizer: str  # "sgd" (plain) or "adam" (b1 0.9, b2 0.999, eps 1e-8)
    learning_rate: float
    seed: int  # of the shuffle


def problem_of(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    batch_size: int | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
) -> Problem:
    """The network of that name on these images, in any shape; what is None is the network's own."""
    network = NETWORKS[name]
    optimizer = optimizer or network.optimizer
    usual = LEARNING_RATES[optimizer].get(name, DEFAULT_RATES[optimizer])
    return Problem(
        network=network,
        images=images.reshape(-1, *network.input_shape),
        labels=labels,
        parameters=first_parameters(network, seed),
        batch_size=batch_size or network.batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate or usual,
        seed=seed,
    )


def channels_first(problem: Problem) -> Problem:
    """The same for a library whose images are NCHW: the dense layer after flattening sees the
    channels first, so its kernel's rows are put in that order."""
    layers, parameters = problem.network.layers, list(problem.parameters)
    for i, (layer, after) in enumerate(itertools.pairwise(layers)):
        if isinstance(layer, Flatten) and isinstance(after, Dense):
            rows = np.arange(after.inputs).reshape(layer).transpose(2, 0, 1).ravel()
            kernel = parameters[i + 1]["kernel"][rows]
            parameters[i + 1] = {**parameters[i + 1], "kernel": kernel}
    images = problem.images.transpose(0, 3, 1, 2) if problem.images.ndim == 4 else problem.images
    return problem._replace(images=images, parameters=parameters)


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
