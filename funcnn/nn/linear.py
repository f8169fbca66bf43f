"""dense: the fully connected layer."""

from typing import Any

from jax.nn import initializers

from funcnn.nn import functional
from funcnn.nn.errors import expect_entries, expect_inexact
from funcnn.nn.layer import Layer, shape_of, stateless
from funcnn.nn.parameters import (
    Initializer,
    default_kernel_init,
    expect_number,
    kernel_and_bias,
)


def dense(
    features: int,
    *,
    kernel_init: Initializer = default_kernel_init,
    bias_init: Initializer = initializers.zeros,
    use_bias: bool = True,
) -> Layer:
    """A fully connected layer: y = x W + b, by `nn.functional.dense`.

    x of shape (..., in), any number of leading axes or none, gives y of shape (..., features).
    `params` is {"kernel": (in, features), "bias": (features,)}, without "bias" where `use_bias` is
    False; their dtype is that of the x given to `init`.

    Args:
      features: the number of units, at least 1.
      kernel_init, bias_init: called as `init(key, shape, dtype)`, see `nn.initializers`. The
        defaults are those of Flax: truncated normal of variance 1/in (`lecun_normal`) and zeros.
      use_bias: whether to add b.

    Raises:
      TypeError: `features` that is no integer; x of integers (images are to be scaled first).
      ValueError: `features` below 1; x of another width than the kernel's; `params` of another
        structure or shape.

    Source: Z = X W + B, decks A to E, row 9; LeCun et al., "Efficient BackProp", 1998.

    >>> import jax, jax.numpy as jnp
    >>> layer = dense(30)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((784,), jnp.float32))
    >>> jax.tree.map(jnp.shape, params)
    {'bias': (30,), 'kernel': (784, 30)}
    >>> layer(params, jnp.ones(784)).shape, layer(params, jnp.ones((64, 784))).shape
    ((30,), (64, 30))
    """
    features = expect_number("dense", "features", features, "30")
    names = ("kernel", "bias") if use_bias else ("kernel",)

    def init(key: Any, x: Any) -> Any:
        x = shape_of(x)
        expect_inexact("dense", x)
        if not x.shape or x.shape[-1] == 0:
            raise ValueError(f"dense: expected x of shape (..., in), in at least 1, got {x.shape}")
        shape = x.shape[-1], features
        return kernel_and_bias(key, shape, x.dtype, kernel_init, bias_init if use_bias else None)

    def apply(params: Any, x: Any) -> Any:
        kernel, *bias = expect_entries("params", params, *names)
        if kernel.ndim != 2 or kernel.shape[1] != features:
            raise ValueError(
                f"dense: expected a kernel of shape (in, {features}), got {kernel.shape}: "
                "use the params that this model's init returned"
            )
        return functional.dense(x, kernel, *bias)

    return stateless(init, apply, f"dense({features})")
