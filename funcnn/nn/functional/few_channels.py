"""A convolution of one or two channels, as the first layer of a network of gray images has it.

XLA's CPU backend makes a matrix product of a convolution, and one with nine rows is slow: a sum of
shifted images is 2 to 7 times as fast (128 images of 28×28, a 3×3 kernel, 16 to 64 filters). The
gradients are those of the convolution, which are quick as they are; on other devices so is the
convolution.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

MOST_TERMS = 18  # 3×3 of two channels; of 25 and more the matrix product is as fast


def has_few_channels(x: jax.Array, kernel: jax.Array, window: dict[str, Any]) -> bool:
    """Whether `few_channels` is the way to convolve this, with lax's arguments in `window`."""
    return (
        1 <= math.prod(kernel.shape[:-1]) <= MOST_TERMS
        and x.dtype in (jnp.float32, jnp.float64)
        and all(step == 1 for step in (*window["window_strides"], *window["rhs_dilation"]))
        and window["feature_group_count"] == 1
    )


def few_channels(x: jax.Array, kernel: jax.Array, **window: Any) -> jax.Array:
    """`lax.conv_general_dilated(x, kernel, **window)`, where `has_few_channels` says so."""

    def plain(x, kernel):
        return lax.conv_general_dilated(x, kernel, **window)

    @jax.custom_jvp
    def convolved(x, kernel):
        shifted = lambda x, kernel: _sum_of_shifted(x, kernel, window["padding"])
        return lax.platform_dependent(x, kernel, cpu=shifted, default=plain)

    @convolved.defjvp
    def rule(primals, tangents):
        (x, kernel), (of_x, of_kernel) = primals, tangents
        return convolved(x, kernel), plain(of_x, kernel) + plain(x, of_kernel)

    return convolved(x, kernel)


def _sum_of_shifted(
    x: jax.Array, kernel: jax.Array, padding: Sequence[tuple[int, int]]
) -> jax.Array:
    zero = jnp.zeros((), x.dtype)
    x = lax.pad(x, zero, [(0, 0, 0), *((*around, 0) for around in padding), (0, 0, 0)])
    *reach, channels, _ = kernel.shape
    sizes = [size - k + 1 for size, k in zip(x.shape[1:-1], reach, strict=True)]
    total: Any = 0
    for *at, channel in itertools.product(*map(range, (*reach, channels))):
        places = tuple(slice(i, i + size) for i, size in zip(at, sizes, strict=True))
        total = total + x[(slice(None), *places, channel, None)] * kernel[(*at, channel)]
    return total
