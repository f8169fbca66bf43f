"""Haiku: a transformed function, and the usual jitted step."""

import functools
from collections.abc import Callable
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from peers import Peer, jitted_step, networks
from peers.problem import Problem


def make(problem: Problem) -> Peer:
    def network(x):
        names = (f"layer_{i}" for i in range(len(problem.network.layers)))
        return hk.Sequential(list(map(layer_of, problem.network.layers, names)))(x)

    transformed = hk.without_apply_rng(hk.transform(network))
    params = {
        f"layer_{i}{name}": entries
        for i, (layer, given) in enumerate(
            zip(problem.network.layers, problem.parameters, strict=True)
        )
        for name, entries in modules_of(layer, given).items()
    }
    like = transformed.init(jax.random.key(0), problem.images[:1])
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, like)
    return jitted_step.looped(transformed.apply, jax.tree.map(jnp.array, params), problem)


def layer_of(layer: networks.Layer, name: str) -> Callable:
    match layer:
        case networks.Dense(_, outputs):
            return hk.Linear(outputs, name=name)
        case networks.Conv(_, outputs):
            return hk.Conv2D(outputs, 3, name=name)
        case networks.Flatten():
            return hk.Flatten()
        case networks.LSTM(_, outputs):
            return functools.partial(last_of_lstm, hk.LSTM(outputs, name=name))
        case networks.Positions(length, features):
            return Positions(length, features, name=name)
        case networks.Block(features, heads):
            return Block(features, heads, name=name)
        case "sigmoid":
            return jax.nn.sigmoid
        case "relu":
            return jax.nn.relu
        case "max pool":
            return hk.MaxPool((2, 2, 1), (2, 2, 1), "VALID")
        case "mean":
            return lambda x: x.mean(axis=1)


def last_of_lstm(core: hk.LSTM, x: jax.Array) -> jax.Array:
    state = core.initial_state(len(x))
    _, last = hk.dynamic_unroll(core, x.swapaxes(0, 1), state, return_all_states=False)
    return last.hidden


class Positions(hk.Module):
    def __init__(self, length: int, features: int, name: str):
        super().__init__(name)
        self.shape = length, features

    def __call__(self, x):
        return x + hk.get_parameter("embedding", self.shape, init=jnp.zeros)


class Block(hk.Module):
    def __init__(self, features: int, heads: int, name: str):
        super().__init__(name)
        self.features, self.heads = features, heads

    def __call__(self, x):
        def norm(name):
            return hk.LayerNorm(-1, True, True, eps=networks.NORM_EPSILON, name=name)

        size = self.features // self.heads
        attention = hk.MultiHeadAttention(
            self.heads, size, w_init=jnp.zeros, model_size=self.features, name="attention"
        )
        y = norm("norm_1")(x)
        h = x + attention(y, y, y)
        y = jax.nn.relu(hk.Linear(4 * self.features, name="expand")(norm("norm_2")(h)))
        return h + hk.Linear(self.features, name="contract")(y)


def modules_of(layer: networks.Layer, given: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of each of the layer's modules, by what its name adds to the layer's."""
    match layer:
        case networks.LSTM():
            stacked = np.concatenate([given["kernel"], given["recurrent_kernel"]])
            # Haiku's gates are i, g, f, o, and it adds 1 to f
            i, f, g, o = np.split(stacked, 4, axis=1)
            bias_i, bias_f, bias_g, bias_o = np.split(given["bias"], 4)
            kernel = np.concatenate([i, g, f, o], axis=1)
            bias = np.concatenate([bias_i, bias_g, bias_f - 1, bias_o])
            return {"/linear": {"w": kernel, "b": bias}}
        case networks.Positions():
            return {"": given}
        case networks.Block():
            attention = {"query": "query", "key": "key", "value": "value", "out": "linear"}
            norms = {
                f"/{name}": {"scale": given[name]["scale"], "offset": given[name]["bias"]}
                for name in ("norm_1", "norm_2")
            }
            linear = {f"/attention/{theirs}": given[ours] for ours, theirs in attention.items()}
            linear |= {f"/{name}": given[name] for name in ("expand", "contract")}
            return norms | {name: kernel_and_bias(part) for name, part in linear.items()}
        case _:
            return {"": kernel_and_bias(given)} if given else {}


def kernel_and_bias(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"w": given["kernel"], "b": given["bias"]}
