"""perceptron and maxout: layers that are an activation with weights in it."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from funcnn.nn import functional
from funcnn.nn.errors import expect_entries, expect_key
from funcnn.nn.layer import Layer, stateless
from funcnn.nn.linear import dense
from funcnn.nn.parameters import Initializer, default_kernel_init, expect_number


def perceptron(
    features: int,
    *,
    kernel_init: Initializer = default_kernel_init,
    bias_init: Initializer = initializers.zeros,
) -> Layer:
    """Units that are 1 where w·x ≥ θ and else 0, the bias being −θ: `nn.functional.perceptron`.

    x of shape (..., in) gives y of shape (..., features). `params` is that of `nn.dense`:
    {"kernel": (in, features), "bias": (features,)}. No gradient goes through it.

    Args and errors as for `nn.dense`.

    Source: decks A, D and E, row 1.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> params = {"kernel": jnp.array([[20.0], [20.0]]), "bias": jnp.array([-10.0])}
    >>> perceptron(1)(params, x).ravel()  # OR
    Array([0., 1., 1., 1.], dtype=float32)
    """
    units = dense(features, kernel_init=kernel_init, bias_init=bias_init)
    return stateless(
        lambda key, x: units.init(key, x)[0],
        lambda params, x: functional.step(units(params, x)),
        f"perceptron({features})",
    )


def maxout(
    features: int,
    pieces: int = 2,
    *,
    kernel_init: Initializer = default_kernel_init,
    bias_init: Initializer = initializers.zeros,
    use_bias: bool = True,
) -> Layer:
    """The largest of several affine functions, unit by unit, by `nn.functional.maxout`.

    x of shape (..., in) gives y of shape (..., features). `params` is {"kernel": (pieces, in,
    features), "bias": (pieces, features)}: those of as many `nn.dense`, stacked.

    Args:
      features: the number of units, at least 1.
      pieces: of how many functions the largest is taken.
      kernel_init, bias_init, use_bias: as for `nn.dense`, for each piece.

    Raises:
      TypeError: sizes that are no integers; x of integers.
      ValueError: sizes below 1; x of another width; `params` of another structure or shape.

    Source: decks A, B and E, row 12; Goodfellow et al., "Maxout Networks", 2013.

    >>> import jax, jax.numpy as jnp
    >>> layer = maxout(5)
    >>> params, state = layer.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> jax.tree.map(jnp.shape, params)
    {'bias': (2, 5), 'kernel': (2, 3, 5)}
    >>> layer(params, jnp.ones((64, 3))).shape
    (64, 5)
    """
    features = expect_number("maxout", "features", features, "30")
    pieces = expect_number("maxout", "pieces", pieces, "30, 2")
    piece = dense(features, kernel_init=kernel_init, bias_init=bias_init, use_bias=use_bias)

    def init(key: Any, x: Any) -> Any:
        expect_key(key)
        each = [piece.init(k, x)[0] for k in jax.random.split(key, pieces)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    def apply(params: Any, x: Any) -> jax.Array:
        kernel, *bias = expect_entries("params", params, *["kernel", "bias"][: 1 + use_bias])
        if kernel.ndim != 3 or kernel.shape[::2] != (pieces, features):
            raise ValueError(
                f"maxout: expected a kernel of shape ({pieces}, in, {features}), got "
                f"{kernel.shape}: use the params that this model's init returned"
            )
        return functional.maxout(x, kernel, *bias)

    return stateless(init, apply, f"maxout({features}, {pieces})")
