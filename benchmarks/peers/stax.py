"""stax: (init, apply) pairs, and the usual jitted step."""

from typing import Any

import jax.numpy as jnp
from jax.example_libraries import stax

from peers import LeftOut, Peer, jitted_step, networks
from peers.problem import Problem


def make(problem: Problem) -> Peer:
    _, apply = stax.serial(*map(layer_of, problem.network.layers))
    # a layer's parameters are a tuple
    params = [
        tuple(jnp.array(given[name]) for name in ("kernel", "bias") if name in given)
        for given in problem.parameters
    ]
    return jitted_step.looped(apply, params, problem)


def layer_of(layer: networks.Layer) -> Any:
    match layer:
        case networks.Dense(_, outputs):
            return stax.Dense(outputs)
        case networks.Conv(_, outputs):
            return stax.Conv(outputs, (3, 3), padding="SAME")
        case networks.Flatten():
            return stax.Flatten
        case "sigmoid":
            return stax.Sigmoid
        case "relu":
            return stax.Relu
        case "max pool":
            return stax.MaxPool((2, 2), strides=(2, 2))
        case _:
            raise LeftOut("stax has no recurrent layers and no attention")
