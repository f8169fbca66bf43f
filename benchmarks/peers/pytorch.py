"""PyTorch: the eager loop over tensors in memory, on a GPU where there is one.

`index_select` of a minibatch was the fastest of: it, `images[batch]`, a shuffled copy split into
minibatches, a `DataLoader`. Images are channels-last in memory: PyTorch's fastest on a CPU.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from peers import LeftOut, Peer, networks
from peers.problem import Problem, channels_first

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def make(problem: Problem) -> Peer:
    return looped(problem, lambda network: network)


def make_compiled(problem: Problem) -> Peer:
    if any(isinstance(layer, networks.LSTM) for layer in problem.network.layers):
        raise LeftOut("torch.compile leaves nn.LSTM as it is")
    return looped(problem, torch.compile)


def looped(problem: Problem, compiled: Callable) -> Peer:
    """`compiled` is done to the loss as a function of a minibatch."""
    use_all_cores()
    problem = channels_first(problem)
    layers = map(layer_of, problem.network.layers, problem.parameters)
    model = nn.Sequential(*layers).to(DEVICE, memory_format=torch.channels_last)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # fused: one kernel for all parameters, the fastest on both kinds of devices
    optimizer = OPTIMIZERS[problem.optimizer](trained, problem.learning_rate, fused=True)
    images = torch.from_numpy(problem.images).to(DEVICE)
    if images.ndim == 4:
        images = images.to(memory_format=torch.channels_last)
    labels = torch.from_numpy(problem.labels).long().to(DEVICE)
    size, generator = problem.batch_size, torch.Generator(DEVICE).manual_seed(problem.seed)
    first = images[:size], labels[:size]

    @compiled
    def loss_of(x, y):
        return nn.functional.cross_entropy(model(x), y)

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def epoch() -> float:
        order = torch.randperm(len(labels), generator=generator, device=DEVICE)
        steps = len(order) // size
        total = torch.zeros((), device=DEVICE)
        for batch in order[: steps * size].split(size):
            total += step(images.index_select(0, batch), labels.index_select(0, batch))
        return total.item() / steps

    return Peer(epoch, lambda: step(*first).item())


def use_all_cores() -> None:
    affinity = getattr(os, "sched_getaffinity", None)
    torch.set_num_threads(len(affinity(0)) if affinity else os.cpu_count())


class LastOfLSTM(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[1][0][0]


class Positions(nn.Module):
    def __init__(self, embedding: np.ndarray):
        super().__init__()
        self.embedding = nn.Parameter(torch.tensor(embedding))

    def forward(self, x):
        return x + self.embedding


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=1)


def layer_of(layer: networks.Layer, given: dict[str, Any]) -> nn.Module:
    match layer:
        case networks.Dense(inputs, outputs):
            return filled(nn.Linear(inputs, outputs), linear(given))
        case networks.Conv(inputs, outputs):
            weight = given["kernel"].transpose(3, 2, 0, 1)
            conv = nn.Conv2d(inputs, outputs, 3, padding="same")
            return filled(conv, {"weight": weight, "bias": given["bias"]})
        case networks.Flatten():
            return nn.Flatten()
        case networks.LSTM(inputs, outputs):
            return lstm(inputs, outputs, given)
        case networks.Positions():
            return Positions(given["embedding"])
        case networks.Block(features, heads):
            return block(features, heads, given)
        case "sigmoid":
            return nn.Sigmoid()
        case "relu":
            return nn.ReLU()
        case "max pool":
            return nn.MaxPool2d(2)
        case "mean":
            return Mean()


def lstm(inputs: int, outputs: int, given: dict[str, Any]) -> nn.Module:
    """PyTorch adds two biases: the second stays 0, or both would be trained, twice as fast."""
    arrays = {
        "weight_ih_l0": given["kernel"].T,
        "weight_hh_l0": given["recurrent_kernel"].T,
        "bias_ih_l0": given["bias"],
        "bias_hh_l0": np.zeros_like(given["bias"]),
    }
    module = filled(LastOfLSTM(inputs, outputs, batch_first=True), arrays)
    module.bias_hh_l0.requires_grad_(False)
    return module


def block(features: int, heads: int, given: dict[str, Any]) -> nn.Module:
    into = [linear(given[name]) for name in ("query", "key", "value")]
    arrays = {f"self_attn.in_proj_{n}": np.concatenate([a[n] for a in into]) for n in into[0]}
    parts = {"self_attn.out_proj": "out", "linear1": "expand", "linear2": "contract"}
    for theirs, ours in parts.items():
        arrays |= {f"{theirs}.{name}": array for name, array in linear(given[ours]).items()}
    for theirs, ours in (("norm1", "norm_1"), ("norm2", "norm_2")):
        arrays |= {f"{theirs}.weight": given[ours]["scale"], f"{theirs}.bias": given[ours]["bias"]}
    options = {"dropout": 0.0, "layer_norm_eps": networks.NORM_EPSILON}
    module = nn.TransformerEncoderLayer(
        features, heads, 4 * features, batch_first=True, norm_first=True, **options
    )
    return filled(module, arrays)


def linear(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"weight": given["kernel"].T, "bias": given["bias"]}


def filled(module: nn.Module, arrays: dict[str, np.ndarray]) -> nn.Module:
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    module.load_state_dict(tensors)
    return module
