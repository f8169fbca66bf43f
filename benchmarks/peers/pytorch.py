"""PyTorch: the eager loop over tensors in memory.

`index_select` of a minibatch was the fastest of: it, `images[batch]`, a shuffled copy split into
minibatches, a `DataLoader`; `foreach` and `fused` optimizers and `torch.compile` were slower.
"""

import itertools

import torch
from torch import nn

from peers import Peer
from peers.problem import WIDTHS, Problem

THREADS = 2
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def make(problem: Problem) -> Peer:
    torch.set_num_threads(THREADS)
    generator = torch.Generator().manual_seed(problem.seed)
    images = torch.from_numpy(problem.images)
    labels = torch.from_numpy(problem.labels).long()
    layers = [nn.Linear(n, m) for n, m in itertools.pairwise(WIDTHS)]
    with torch.no_grad():
        for layer, (kernel, bias) in zip(layers, problem.parameters, strict=True):
            layer.weight.copy_(torch.from_numpy(kernel.T))
            layer.bias.copy_(torch.from_numpy(bias))
    hidden = [module for layer in layers[:-1] for module in (layer, nn.Sigmoid())]
    model = nn.Sequential(*hidden, layers[-1])
    optimizer = OPTIMIZERS[problem.optimizer](model.parameters(), lr=problem.learning_rate)

    def epoch() -> float:
        order = torch.randperm(len(labels), generator=generator)
        steps = len(order) // problem.batch_size
        total = torch.zeros(())
        for batch in order[: steps * problem.batch_size].split(problem.batch_size):
            optimizer.zero_grad(set_to_none=True)
            logits = model(images.index_select(0, batch))
            loss = nn.functional.cross_entropy(logits, labels.index_select(0, batch))
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return total.item() / steps

    def parameters():
        return [
            (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
            for layer in layers
        ]

    return Peer(epoch, parameters)
