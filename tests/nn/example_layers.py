"""Layers with state and with randomness, of which the output shows what they were given."""

import jax
import jax.numpy as jnp

from funcnn import nn


def running_mean():
    """Subtracts the mean; in training that of the batch, which it also remembers."""

    def init(key, x):
        return (), {"mean": jnp.zeros(x.shape[-1:], x.dtype)}

    def apply(params, state, x, *, key=None, train=False):
        (mean,) = nn.errors.expect_entries("state", state, "mean")
        mean = 0.9 * mean + 0.1 * x.mean(0) if train else mean
        return x - mean.astype(x.dtype), {"mean": mean}

    return nn.Layer(init, apply, name="running_mean")


def noise():
    """Adds noise in training, so that its output shows the key it got."""

    def apply(params, state, x, *, key=None, train=False):
        return (x + jax.random.normal(key, x.shape) if train else x), state

    return nn.Layer(lambda key, x: ((), ()), apply, name="noise")
