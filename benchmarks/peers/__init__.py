"""The loops that are measured, one file a library.

Each file has a function `make(problem) -> Peer` (some have a second one), which builds the network
of `problem.Problem` with that library, starting from the given parameters, and trains it in the
library's own idiomatic way, written to be fast. What a library has no layer for, it leaves out.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from peers.problem import Problem


class Peer(NamedTuple):
    epoch: Callable[[], float]
    """Shuffles, takes a step for each full minibatch, waits for the end; the steps' mean loss."""

    step: Callable[[], float]
    """Takes a step on the first minibatch, waits for the end; the loss before it."""

    compile: Callable[[], Any] | None = None
    """The step as JAX's compiled program, for XLA's counts; None in PyTorch."""


class LeftOut(Exception):
    """Why this library does not run this network."""


class Entry(NamedTuple):
    file: str  # in this folder
    function: str  # in it
    library: str | None  # what the user imports, above JAX; None where JAX is all
    what: str
    epoch_program: bool = False  # the epoch is compiled as a whole, and the step for itself


PEERS = {  # in the order they are shown
    "funcnn": Entry(
        "funcnn", "make", "funcnn", "train.make_epoch over funcnn.value_and_grad", True
    ),
    "jax": Entry("handwritten_jax", "make", None, "hand-written, one scan an epoch", True),
    "jax-limit": Entry(
        "handwritten_jax", "make_limit", None, "the same, the fastest that was found", True
    ),
    "nnx": Entry("nnx", "make", "flax.nnx", "Flax NNX, nnx.jit step in a Python loop"),
    "nnx-partial": Entry("nnx", "make_partial", "flax.nnx", "the same by nnx.jit_partial"),
    "equinox": Entry("equinox", "make", "equinox", "eqx.filter_jit step in a Python loop"),
    "haiku": Entry("haiku", "make", "haiku", "jax.jit step in a Python loop"),
    "stax": Entry("stax", "make", None, "jax.jit step in a Python loop"),
    "torch": Entry("pytorch", "make", "torch", "PyTorch, eager loop over tensors in memory"),
    "torch-compile": Entry("pytorch", "make_compiled", "torch", "the same under torch.compile"),
}

Make = Callable[[Problem], Peer]


def installed(names: Iterable[str]) -> tuple[dict[str, Make], dict[str, str]]:
    """What makes each peer whose library is installed, and why the others are left out."""
    makes, left_out = {}, {}
    for name in names:
        try:
            module = importlib.import_module(f"peers.{PEERS[name].file}")
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in ("peers", "funcnn"):
                raise
            left_out[name] = f"no module named {error.name}; pip install 'funcnn[bench]'"
            continue
        makes[name] = getattr(module, PEERS[name].function)
    return makes, left_out
