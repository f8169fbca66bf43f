"""Fourier transforms: linear, and nearly their own transposes.

The full transforms are symmetric: each is its own. Those between real values and half a spectrum
are each other's, up to a weight: a frequency that stands for its mirror image too counts twice.
"""

import math

import numpy as np
from jax import lax

from funcnn.autodiff.rules.table import linear


def _weights(length, dtype):
    """Along half a spectrum: 1 at frequency 0 and, for an even length, at the highest; else 2."""
    own_mirror = {0, length / 2}
    weights = [1 if k in own_mirror else 2 for k in range(length // 2 + 1)]
    return np.asarray(weights, dtype)


def _scaled(x, weights):
    return lax.mul(x, lax.broadcast_in_dim(weights.astype(x.dtype), x.shape, (x.ndim - 1,)))


def _transpose(g, fft_type, fft_lengths):
    size, last = math.prod(fft_lengths), fft_lengths[-1]
    if fft_type.name == "RFFT":
        return lax.fft(_scaled(lax.conj(g), size / _weights(last, float)), "IRFFT", fft_lengths)
    if fft_type.name == "IRFFT":
        return _scaled(lax.conj(lax.fft(g, "RFFT", fft_lengths)), _weights(last, float) / size)
    return lax.fft(g, fft_type, fft_lengths)


linear(lax.fft_p, "operand", operand=_transpose)
