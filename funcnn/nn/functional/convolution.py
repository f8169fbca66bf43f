"""Convolution in one to three dimensions, and its transpose."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from funcnn.nn.errors import expect_inexact
from funcnn.nn.functional.few_channels import few_channels, has_few_channels
from funcnn.nn.functional.windows import Padding, checked_padding, fitted_padding, per_axis
from funcnn.nn.parameters import expect_number

# the names of the spatial axes, and lax's letters for them
_AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}
_LETTERS = {1: "W", 2: "HW", 3: "DHW"}


def conv(
    x: ArrayLike,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
) -> jax.Array:
    """y[i] = Σ_k x[stride · i + dilation · k − before] K[k] + b, over one to three spatial axes.

    As all libraries have it, the kernel is not turned around (a cross-correlation).

    Args:
      x: (..., *spatial, in), images NHWC; any number of leading axes, also none; a floating dtype.
      kernel: K, (*kernel_size, in / groups, out). It says how many axes are spatial.
      bias: b, (out,), or None for none.
      strides: how far the kernel moves, one number for all axes or one for each.
      padding: of zeros. "SAME" for outputs of size ceil(size / stride), "VALID" for none, a number
        for each side, or for each axis a number or a pair (before, after).
      kernel_dilation: how far apart the places are that a kernel sees: 1 for neighbours.
      feature_group_count: groups of channels that do not see one another; as many as there are
        channels gives a depthwise convolution. Divides `in` and `out`.

    Returns:
      y, (..., *spatial of the output, out).

    Raises:
      TypeError: x of integers; strides and the like that are no integers.
      ValueError: shapes that do not match; a kernel that, dilated, is larger than the padded x.

    Source: decks A and E, row 44; its two gradients, row 27. Equal to Flax's `nnx.Conv`.

    >>> import jax.numpy as jnp
    >>> x = jnp.arange(5.0)[:, None]
    >>> conv(x, jnp.array([-1.0, 0.0, 1.0])[:, None, None], padding="VALID").ravel()
    Array([2., 2., 2.], dtype=float32)
    """
    groups = expect_number("conv", "feature_group_count", feature_group_count, "8, (3, 3)")
    x, rank = _expect_images("conv", x, kernel, bias, groups)
    strides = per_axis("conv: strides", strides, rank)
    dilation = per_axis("conv: kernel_dilation", kernel_dilation, rank)
    spatial = x.shape[-rank - 1 : -1]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    window: dict[str, Any] = {
        "window_strides": strides,
        "padding": fitted_padding("conv", padding, spatial, reach, strides),
        "rhs_dilation": dilation,
        "dimension_numbers": _dimension_numbers(rank),
        "feature_group_count": groups,
    }
    operands = _same_dtype(_with_one_batch_axis(x, rank), kernel)
    few = has_few_channels(*operands, window)
    y = (few_channels if few else lax.conv_general_dilated)(*operands, **window)
    y = y.reshape(*x.shape[: -rank - 1], *y.shape[1:])
    return y if bias is None else y + bias


def conv_transpose(
    x: ArrayLike,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    kernel_dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """A convolution that enlarges: stride − 1 zeros between the elements of x, then `conv`.

    Args:
      x: (..., *spatial, in), as for `conv`.
      kernel: (*kernel_size, in, out).
      bias: (out,), or None for none.
      strides: how many times larger the output is.
      padding: "SAME" for outputs of size · stride; "VALID" for (size − 1) · stride + reach or more,
        where reach = (kernel_size − 1) · dilation + 1, so that all of x is used; or numbers, as for
        `conv`, of zeros around x with the zeros between. PyTorch's `padding=p` is the number
        reach − 1 − p here.
      kernel_dilation: as for `conv`.

    Returns:
      y, (..., *spatial of the output, out).

    Raises:
      TypeError: x of integers.
      ValueError: shapes that do not match.

    Equal to `jax.lax.conv_transpose` and Flax's `nnx.ConvTranspose`: the kernel is not turned
    around, so that this is the transpose (the gradient) of `conv` with the kernel reversed in each
    spatial axis and `in` and `out` exchanged.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([1.0, 2.0])[:, None]
    >>> conv_transpose(x, jnp.ones((2, 1, 1)), strides=2).ravel()
    Array([1., 1., 2., 2.], dtype=float32)
    """
    x, rank = _expect_images("conv_transpose", x, kernel, bias, 1)
    strides = per_axis("conv_transpose: strides", strides, rank)
    dilation = per_axis("conv_transpose: kernel_dilation", kernel_dilation, rank)
    y = lax.conv_transpose(
        *_same_dtype(_with_one_batch_axis(x, rank), kernel),
        strides=strides,
        padding=checked_padding("conv_transpose", padding, rank),
        rhs_dilation=dilation,
        dimension_numbers=_dimension_numbers(rank),
    )
    y = y.reshape(*x.shape[: -rank - 1], *y.shape[1:])
    return y if bias is None else y + bias


def _expect_images(
    name: str, x: ArrayLike, kernel: jax.Array, bias: jax.Array | None, groups: int
) -> tuple[jax.Array, int]:
    """x as an array, and how many of its axes are spatial; errors where shapes do not match."""
    x = jnp.asarray(x)
    expect_inexact(name, x)
    rank = kernel.ndim - 2
    if rank not in _AXES:
        raise ValueError(
            f"{name}: expected a kernel of shape (*kernel_size, in, out) with a kernel_size of 1 "
            f"to 3 numbers, got {kernel.shape}"
        )
    channels, features = kernel.shape[-2] * groups, kernel.shape[-1]
    if x.ndim <= rank or x.shape[-1] != channels:
        raise ValueError(
            f"{name}: expected x of shape (..., {_AXES[rank]}, {channels}) to match kernel "
            f"{kernel.shape}, got {x.shape}"
        )
    if features % groups:
        raise ValueError(
            f"{name}: feature_group_count {groups} must divide the {features} features of kernel "
            f"{kernel.shape}"
        )
    if bias is not None and bias.shape != (features,):
        raise ValueError(
            f"{name}: expected a bias of shape {(features,)} to match kernel {kernel.shape}, "
            f"got {bias.shape}"
        )
    return x, rank


def _with_one_batch_axis(x: jax.Array, rank: int) -> jax.Array:
    return x.reshape(math.prod(x.shape[: -rank - 1]), *x.shape[-rank - 1 :])


def _same_dtype(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    dtype = jnp.result_type(x, kernel)
    return x.astype(dtype), kernel.astype(dtype)


def _dimension_numbers(rank: int) -> tuple[str, str, str]:
    """NHWC images and HWIO kernels, with as many spatial axes."""
    return f"N{_LETTERS[rank]}C", f"{_LETTERS[rank]}IO", f"N{_LETTERS[rank]}C"
