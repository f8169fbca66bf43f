"""The networks and loops that are measured, one file a library.

Each file has a function `make(problem) -> Peer` (some have a second one), which builds the network
of `problem.Problem` with that library, starting from the given parameters, and trains it in the
library's own idiomatic way, written to be fast.
"""

from collections.abc import Callable
from typing import NamedTuple

from peers.problem import Parameters


class Peer(NamedTuple):
    epoch: Callable[[], float]
    """Shuffles, takes a step for each full minibatch, waits for the end; the steps' mean loss."""

    parameters: Callable[[], Parameters]
    """What is trained so far, as NumPy arrays."""


# name: (file in this folder, function in it, what it is); in the order they are shown
PEERS = {
    "funcnn": ("funcnn", "make", "train.make_epoch over funcnn.value_and_grad"),
    "jax": ("handwritten_jax", "make", "hand-written, one scan an epoch, kernels (in, out)"),
    "jax-limit": ("handwritten_jax", "make_limit", "the same with kernels (out, in): the fastest"),
    "nnx": ("nnx", "make", "Flax NNX, nnx.jit step in a Python loop"),
    "nnx-cached": ("nnx", "make_cached", "the same with nnx.cached_partial"),
    "equinox": ("equinox", "make", "eqx.filter_jit step in a Python loop"),
    "haiku": ("haiku", "make", "jax.jit step in a Python loop"),
    "stax": ("stax", "make", "jax.jit step in a Python loop"),
    "torch": ("pytorch", "make", "PyTorch, eager loop over tensors in memory, 2 threads"),
}
