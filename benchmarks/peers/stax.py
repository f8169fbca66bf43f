"""stax: (init, apply) pairs, and the usual jitted step."""

import jax
import jax.numpy as jnp
from jax.example_libraries import stax

from peers import Peer, jitted_step
from peers.problem import WIDTHS, Problem


def make(problem: Problem) -> Peer:
    hidden = [layer for width in WIDTHS[1:-1] for layer in (stax.Dense(width), stax.Sigmoid)]
    init, apply = stax.serial(*hidden, stax.Dense(WIDTHS[-1]))
    _, params = init(jax.random.key(problem.seed), (-1, WIDTHS[0]))
    given = iter(problem.parameters)
    # an activation's parameters are an empty tuple
    params = [tuple(map(jnp.array, next(given))) if layer else () for layer in params]

    def as_parameters(params):
        return [layer for layer in params if layer]

    return jitted_step.looped(apply, params, problem, as_parameters)
