"""Haiku: a transformed function, and the usual jitted step."""

import haiku as hk
import jax
import jax.numpy as jnp

from peers import Peer, jitted_step
from peers.problem import WIDTHS, Problem


def make(problem: Problem) -> Peer:
    network = hk.without_apply_rng(
        hk.transform(lambda x: hk.nets.MLP(WIDTHS[1:], activation=jax.nn.sigmoid)(x))
    )
    params = network.init(jax.random.key(problem.seed), jnp.zeros((1, WIDTHS[0])))
    names = sorted(params)  # mlp/~/linear_0, mlp/~/linear_1, ...
    params = {
        name: {"w": jnp.array(kernel), "b": jnp.array(bias)}
        for name, (kernel, bias) in zip(names, problem.parameters, strict=True)
    }

    def as_parameters(params):
        return [(params[name]["w"], params[name]["b"]) for name in names]

    return jitted_step.looped(network.apply, params, problem, as_parameters)
