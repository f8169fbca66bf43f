"""Normalization: subtract a mean, divide by a standard deviation, scale and shift.

They differ in what the mean is over: in `batch_norm` one channel of all examples, in `layer_norm`
the channels of one place, in `group_norm` some channels of all places of one example. Means and
variances are computed in float32 at least, in two passes (exact where the mean is large).
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from funcnn.nn.errors import expect_inexact
from funcnn.nn.parameters import expect_number


def batch_norm(
    x: ArrayLike,
    mean: jax.Array,
    var: jax.Array,
    scale: jax.Array | None = None,
    bias: jax.Array | None = None,
    *,
    epsilon: float = 1e-5,
) -> jax.Array:
    """y = γ (x − μ) / √(σ² + ε) + β, with statistics that are given.

    In training they are those of the batch, `batch_moments(x)`; at inference running means of them.

    Args:
      x: (..., channels), any number of leading axes; a floating dtype.
      mean, var: μ and σ², (channels,).
      scale, bias: γ and β, (channels,), or None for one and zero.
      epsilon: ε.

    Returns:
      y, of x's shape, and of the dtype of x, scale and bias.

    Raises:
      TypeError: x of integers.
      ValueError: x without channels; mean, var, scale or bias of another shape.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015; decks A and B, row 18.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1.0], [3.0]])
    >>> print(batch_norm(x, *batch_moments(x)).round(3).ravel())
    [-1.  1.]
    """
    x = jnp.asarray(x)
    _expect_channels("batch_norm", x, scale, bias)
    if not mean.shape == var.shape == x.shape[-1:]:
        raise ValueError(
            f"batch_norm: expected mean and var of shape {x.shape[-1:]} to match x of shape "
            f"{x.shape}, got {mean.shape} and {var.shape}"
        )
    return _scaled((_widened(x) - mean) * lax.rsqrt(var + epsilon), x, scale, bias)


def batch_moments(x: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Mean and (biased) variance of each channel over all other axes, in float32 at least.

    Args:
      x: (..., channels).

    Returns:
      mean and variance, (channels,) each.

    Raises:
      TypeError: x of integers.
      ValueError: fewer than two values a channel, which have no variance.

    >>> import jax.numpy as jnp
    >>> mean, var = batch_moments(jnp.array([[1.0], [3.0]]))
    >>> float(mean[0]), float(var[0])
    (2.0, 1.0)
    """
    x = jnp.asarray(x)
    _expect_channels("batch_norm", x)
    if math.prod(x.shape[:-1]) < 2:
        raise ValueError(
            "batch_norm: training needs at least two values for each channel to normalize by, got "
            f"x of shape {x.shape}: use a larger batch, or layer_norm or group_norm"
        )
    mean, var = _moments(x, range(x.ndim - 1))
    return mean.reshape(-1), var.reshape(-1)


def layer_norm(
    x: ArrayLike,
    scale: jax.Array | None = None,
    bias: jax.Array | None = None,
    *,
    epsilon: float = 1e-6,
) -> jax.Array:
    """y = γ (x − μ) / √(σ² + ε) + β, with mean and variance over the last axis.

    Args:
      x: (..., channels), any number of leading axes, also none; a floating dtype.
      scale, bias: γ and β, (channels,), or None for one and zero.
      epsilon: ε.

    Returns:
      y, of x's shape, and of the dtype of x, scale and bias.

    Raises:
      TypeError: x of integers.
      ValueError: x without channels; scale or bias of another shape.

    Source: Ba, Kiros and Hinton, "Layer Normalization", 2016.

    >>> import jax.numpy as jnp
    >>> print(layer_norm(jnp.array([1.0, 3.0])).round(3))
    [-1.  1.]
    """
    x = jnp.asarray(x)
    _expect_channels("layer_norm", x, scale, bias)
    return _scaled(_standardized(x, (-1,), epsilon), x, scale, bias)


def group_norm(
    x: ArrayLike,
    num_groups: int,
    scale: jax.Array | None = None,
    bias: jax.Array | None = None,
    *,
    epsilon: float = 1e-6,
) -> jax.Array:
    """y = γ (x − μ) / √(σ² + ε) + β, with statistics of each example and group of channels.

    Args:
      x: (n, ..., channels), where the first axis is the batch; a floating dtype.
      num_groups: how many groups of neighbouring channels there are. Divides `channels`; 1 is a
        layer_norm over all places, `channels` is instance normalization.
      scale, bias: γ and β, (channels,), or None for one and zero.
      epsilon: ε.

    Returns:
      y, of x's shape, and of the dtype of x, scale and bias.

    Raises:
      TypeError: x of integers; num_groups that is no integer.
      ValueError: x without a batch axis or channels; num_groups that does not divide them; scale
        or bias of another shape.

    Source: Wu and He, "Group Normalization", 2018.

    >>> import jax.numpy as jnp
    >>> print(group_norm(jnp.array([[1.0, 3.0, 10.0, 14.0]]), 2).round(3))
    [[-1.  1. -1.  1.]]
    """
    x = jnp.asarray(x)
    _expect_channels("group_norm", x, scale, bias)
    num_groups = expect_number("group_norm", "num_groups", num_groups, "32")
    if x.ndim < 2 or x.shape[-1] % num_groups:
        raise ValueError(
            f"group_norm: expected x of shape (n, ..., channels) with channels in {num_groups} "
            f"groups of the same size, got {x.shape}"
        )
    grouped = x.reshape(*x.shape[:-1], num_groups, x.shape[-1] // num_groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    return _scaled(_standardized(grouped, axes, epsilon).reshape(x.shape), x, scale, bias)


def rms_norm(x: ArrayLike, scale: jax.Array | None = None, *, epsilon: float = 1e-6) -> jax.Array:
    """y = γ x / √(mean(x²) + ε), with the mean over the last axis.

    Args:
      x: (..., channels), any number of leading axes, also none; a floating dtype.
      scale: γ, (channels,), or None for one.
      epsilon: ε.

    Returns:
      y, of x's shape, and of the dtype of x and scale.

    Raises:
      TypeError: x of integers.
      ValueError: x without channels; scale of another shape.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.

    >>> import jax.numpy as jnp
    >>> print(rms_norm(jnp.array([2.0, -2.0])).round(3))
    [ 1. -1.]
    """
    x = jnp.asarray(x)
    _expect_channels("rms_norm", x, scale)
    wide = _widened(x)
    mean_square = jnp.mean(_squared(wide), axis=-1, keepdims=True)
    return _scaled(wide * lax.rsqrt(mean_square + epsilon), x, scale)


def _expect_channels(name: str, x: jax.Array, *scale_and_bias: jax.Array | None) -> None:
    expect_inexact(name, x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(
            f"{name}: expected x of shape (..., channels), channels at least 1, got {x.shape}"
        )
    for array in scale_and_bias:
        if array is not None and array.shape != x.shape[-1:]:
            raise ValueError(
                f"{name}: expected x of shape (..., {array.shape[-1] if array.ndim else 1}) to "
                f"match scale and bias of shape {array.shape}, got {x.shape}"
            )


def _widened(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _squared(x: jax.Array) -> jax.Array:
    return jnp.real(x * jnp.conj(x))


def _moments(x: jax.Array, axes: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    wide = _widened(x)
    mean = jnp.mean(wide, axis=tuple(axes), keepdims=True)
    return mean, jnp.mean(_squared(wide - mean), axis=tuple(axes), keepdims=True)


def _standardized(x: jax.Array, axes: Sequence[int], epsilon: float) -> jax.Array:
    mean, var = _moments(x, axes)
    return (_widened(x) - mean) * lax.rsqrt(var + epsilon)


def _scaled(
    y: jax.Array, x: jax.Array, scale: jax.Array | None = None, bias: jax.Array | None = None
) -> jax.Array:
    """γ y + β, rounded once, to the dtype that x and the parameters have together."""
    given = [array for array in (scale, bias) if array is not None]
    y = y if scale is None else y * scale
    y = y if bias is None else y + bias
    return y.astype(jnp.result_type(x, *given))
