"""conv and conv_transpose: layers that slide a kernel over images, sequences or volumes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.nn import initializers

from funcnn.nn import functional
from funcnn.nn.errors import expect_entries, expect_inexact
from funcnn.nn.functional.windows import (
    Padding,
    checked_padding,
    expect_one_axis,
    per_axis,
    window_shape,
)
from funcnn.nn.layer import Layer, Window, shape_of, stateless
from funcnn.nn.parameters import (
    Initializer,
    default_kernel_init,
    expect_number,
    kernel_and_bias,
)


def conv(
    features: int,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    *,
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
    kernel_init: Initializer = default_kernel_init,
    bias_init: Initializer = initializers.zeros,
    use_bias: bool = True,
) -> Layer:
    """A convolution over one to three spatial axes, by `nn.functional.conv`.

    x of shape (..., *spatial, in), images NHWC, any number of leading axes or none, gives y of
    shape (..., *spatial of the output, features). `params` is {"kernel": (*kernel_size, in /
    groups, features), "bias": (features,)}, without "bias" where `use_bias` is False; their dtype
    is that of the x given to `init`.

    Args:
      features: the number of kernels, channels of the output.
      kernel_size: one number for each spatial axis: (3, 3) for images. A number alone, as in Flax,
        is for one spatial axis: x of shape (n, length, in).
      strides: how far the kernel moves, one number for all axes or one for each.
      padding: "SAME", "VALID", a number, or for each axis a number or a pair (before, after).
      kernel_dilation: how far apart the places are that the kernel sees, 1 for neighbours.
      feature_group_count: groups of channels that do not see one another, a divisor of `in` and
        `features`.
      kernel_init, bias_init: called as `init(key, shape, dtype)`, see `nn.initializers`. The
        defaults are those of Flax: `lecun_normal` and zeros.
      use_bias: whether to add b.

    Raises:
      TypeError: sizes that are no integers; x of integers (images are to be scaled first).
      ValueError: sizes below 1; x of another rank or width; a kernel larger than the padded x;
        `params` of another structure or shape.

    Source: decks A and E, row 44; LeCun et al., "Gradient-Based Learning Applied to Document
    Recognition", 1998.

    >>> import jax, jax.numpy as jnp
    >>> layer = conv(8, (3, 3), strides=2)
    >>> params, state = layer.init(jax.random.key(0), jnp.ones((64, 28, 28, 1)))
    >>> jax.tree.map(jnp.shape, params)
    {'bias': (8,), 'kernel': (3, 3, 1, 8)}
    >>> layer(params, jnp.ones((64, 28, 28, 1))).shape
    (64, 14, 14, 8)
    """
    groups = expect_number("conv", "feature_group_count", feature_group_count, "8, (3, 3)")
    return _sliding(
        "conv",
        partial(functional.conv, feature_group_count=groups),
        features,
        kernel_size,
        strides,
        padding,
        kernel_dilation,
        kernel_init,
        bias_init if use_bias else None,
        groups,
    )


def conv_transpose(
    features: int,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    *,
    kernel_dilation: int | Sequence[int] = 1,
    kernel_init: Initializer = default_kernel_init,
    bias_init: Initializer = initializers.zeros,
    use_bias: bool = True,
) -> Layer:
    """A convolution that enlarges, by `nn.functional.conv_transpose`.

    Args, params and errors as for `conv`; `padding` as for `nn.functional.conv_transpose`.

    Source: Zeiler et al., "Deconvolutional Networks", 2010.

    >>> import jax, jax.numpy as jnp
    >>> layer = conv_transpose(8, (3, 3), strides=2)
    >>> params, state = layer.init(jax.random.key(0), jnp.ones((64, 7, 7, 16)))
    >>> layer(params, jnp.ones((64, 7, 7, 16))).shape
    (64, 14, 14, 8)
    """
    return _sliding(
        "conv_transpose",
        functional.conv_transpose,
        features,
        kernel_size,
        strides,
        padding,
        kernel_dilation,
        kernel_init,
        bias_init if use_bias else None,
    )


def _sliding(
    name: str,
    function: Callable[..., Any],
    features: int,
    kernel_size: Any,
    strides: Any,
    padding: Padding,
    kernel_dilation: Any,
    kernel_init: Initializer,
    bias_init: Initializer | None,
    groups: int = 1,
) -> Layer:
    features = expect_number(name, "features", features, "8, (3, 3)")
    size = window_shape(f"{name}: kernel_size", kernel_size)
    rank = len(size)
    if rank > 3:
        raise ValueError(f"{name}: kernel_size must have 1 to 3 numbers, got {size}")
    window = Window(
        size,
        per_axis(f"{name}: strides", strides, rank),
        per_axis(f"{name}: kernel_dilation", kernel_dilation, rank),
    )
    checked_padding(name, padding, rank)
    if features % groups:
        raise ValueError(f"{name}: feature_group_count {groups} must divide features {features}")

    def init(key: Any, x: Any) -> Any:
        x = shape_of(x)
        expect_inexact(name, x)
        expect_one_axis(f"{name}: kernel_size", kernel_size, x.ndim)
        if x.ndim <= rank or x.shape[-1] == 0 or x.shape[-1] % groups:
            divided = f" divided by feature_group_count {groups}" * (groups > 1)
            raise ValueError(
                f"{name}: expected x of shape (..., *spatial, in) with {rank} spatial axes for "
                f"kernel_size {size} and in at least 1{divided}, got {x.shape}"
            )
        shape = *size, x.shape[-1] // groups, features
        return kernel_and_bias(key, shape, x.dtype, kernel_init, bias_init)

    def apply(params: Any, x: Any) -> Any:
        names = ("kernel",) if bias_init is None else ("kernel", "bias")
        kernel, *bias = expect_entries("params", params, *names)
        if kernel.shape[:-2] != size or kernel.shape[-1] != features:
            sizes = ", ".join(map(str, size))
            raise ValueError(
                f"{name}: expected a kernel of shape ({sizes}, in, {features}), got "
                f"{kernel.shape}: use the params that this model's init returned"
            )
        expect_one_axis(f"{name}: kernel_size", kernel_size, jnp.ndim(x))
        return function(
            x,
            kernel,
            *bias,
            strides=window.strides,
            padding=padding,
            kernel_dilation=window.dilation,
        )

    return stateless(init, apply, f"{name}({features}, {size})", window)
