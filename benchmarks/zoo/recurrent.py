"""Recurrent networks, by `lax.scan` over time."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.program import Draw, Program, cross_entropy, dense


def lstm(length: int, batch: int, inputs: int, units: int) -> Program:
    """A label at each step, as in a language model."""
    draw = Draw()
    params = {
        "input": draw.dense(inputs, 4 * units),
        "hidden": draw.normal(units, 4 * units, scale=units**-0.5),
        "head": draw.dense(units, 10),
    }

    def loss(params, xs, labels, unroll=1):
        def step(carry, x):
            h, c = carry
            gates = dense(params["input"], x) + h @ params["hidden"]
            i, f, g, o = jnp.split(gates, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((xs.shape[1], units), xs.dtype)
        _, hs = lax.scan(step, (zeros, zeros), xs, unroll=unroll)
        return cross_entropy(dense(params["head"], hs), labels)

    xs, labels = draw.normal(length, batch, inputs), draw.below(10, length, batch)
    return Program(loss, (params, xs, labels), length)


def gru(length: int, batch: int, inputs: int, units: int) -> Program:
    """A label for the whole sequence, read from the last state."""
    draw = Draw()
    params = {
        "input": draw.dense(inputs, 3 * units),
        "hidden": draw.normal(units, 3 * units, scale=units**-0.5),
        "hidden_bias": np.zeros(units, np.float32),
        "head": draw.dense(units, 10),
    }

    def loss(params, xs, labels, unroll=1):
        def step(h, x):
            of_input = jnp.split(dense(params["input"], x), 3, axis=-1)
            of_hidden = jnp.split(h @ params["hidden"], 3, axis=-1)
            r = jax.nn.sigmoid(of_input[0] + of_hidden[0])
            z = jax.nn.sigmoid(of_input[1] + of_hidden[1])
            n = jnp.tanh(of_input[2] + r * (of_hidden[2] + params["hidden_bias"]))
            return (1 - z) * n + z * h, None

        zeros = jnp.zeros((xs.shape[1], units), xs.dtype)
        h, _ = lax.scan(step, zeros, xs, unroll=unroll)
        return cross_entropy(dense(params["head"], h), labels)

    return Program(
        loss, (params, draw.normal(length, batch, inputs), draw.below(10, batch)), length
    )
