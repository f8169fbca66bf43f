"""Layers that normalize: batch_norm, layer_norm, group_norm, rms_norm."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from funcnn.nn import functional
from funcnn.nn.errors import expect_entries, expect_inexact, expect_key
from funcnn.nn.layer import Layer, shape_of, stateless
from funcnn.nn.parameters import Initializer, expect_number, initialized


def batch_norm(
    *,
    momentum: float = 0.99,
    epsilon: float = 1e-5,
    use_scale: bool = True,
    use_bias: bool = True,
    scale_init: Initializer = initializers.ones,
    bias_init: Initializer = initializers.zeros,
) -> Layer:
    """Each channel normalized over the batch and all places, by `nn.functional.batch_norm`.

    In training with the mean and the variance of the batch, at inference with running means of
    them, which are `state`: {"mean": (channels,), "var": (channels,)}, in float32 at least. Each
    step of training moves them: running ← momentum · running + (1 − momentum) · batch. As in Flax
    the variance is the biased one, in both places; PyTorch's momentum is 1 − momentum here.

    x of shape (..., channels) gives y of the same shape. `params` is {"scale": (channels,),
    "bias": (channels,)} in the dtype of the x given to `init`.

    Args:
      momentum: how much of the running statistics stays in a step, in [0, 1].
      epsilon: added to the variance, so that nothing is divided by zero.
      use_scale, use_bias: whether to multiply by a scale γ and add a bias β for each channel.
      scale_init, bias_init: called as `init(key, shape, dtype)`.

    Raises:
      TypeError: x of integers.
      ValueError: momentum outside [0, 1]; in training, fewer than two values a channel (a batch of
        one); x of another width; `params` or `state` of another structure.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015; decks A, B and E, rows 18 and 44.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.array([[1.0], [3.0]])
    >>> layer = batch_norm(momentum=0.9)
    >>> params, state = layer.init(jax.random.key(0), x)
    >>> y, state = layer.apply(params, state, x, train=True)
    >>> print(y.round(3).ravel(), state["mean"].round(3), state["var"].round(3))
    [-1.  1.] [0.2] [1.]
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"batch_norm: momentum must be in [0, 1], got {momentum}")
    inits = _chosen(use_scale, use_bias, scale_init, bias_init)

    def init(key: Any, x: Any) -> Any:
        params = _init_channels("batch_norm", inits, key, x)
        x = shape_of(x)
        dtype = jnp.promote_types(x.dtype, jnp.float32)
        mean = jnp.zeros(x.shape[-1:], dtype)
        return params, {"mean": mean, "var": jnp.ones_like(mean.real)}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        given = _by_name(params, inits)
        mean, var = expect_entries("state", state, "mean", "var")
        if train:
            batch_mean, batch_var = functional.batch_moments(x)
            state = {
                "mean": (momentum * mean + (1 - momentum) * batch_mean).astype(mean.dtype),
                "var": (momentum * var + (1 - momentum) * batch_var).astype(var.dtype),
            }
            mean, var = batch_mean, batch_var
        return functional.batch_norm(x, mean, var, **given, epsilon=epsilon), state

    return Layer(init, apply, "batch_norm()", uses_key=False)


def layer_norm(
    *,
    epsilon: float = 1e-6,
    use_scale: bool = True,
    use_bias: bool = True,
    scale_init: Initializer = initializers.ones,
    bias_init: Initializer = initializers.zeros,
) -> Layer:
    """Each place normalized over its channels, by `nn.functional.layer_norm`.

    Args, params and errors as for `batch_norm`; x of shape (..., channels), also a single example.

    Source: Ba, Kiros and Hinton, "Layer Normalization", 2016.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.array([1.0, 3.0])
    >>> layer = layer_norm()
    >>> params, state = layer.init(jax.random.key(0), x)
    >>> print(layer(params, x).round(3))
    [-1.  1.]
    """
    inits = _chosen(use_scale, use_bias, scale_init, bias_init)
    function = partial(functional.layer_norm, epsilon=epsilon)
    return _over_channels("layer_norm", "layer_norm()", inits, function)


def group_norm(
    num_groups: int = 32,
    *,
    epsilon: float = 1e-6,
    use_scale: bool = True,
    use_bias: bool = True,
    scale_init: Initializer = initializers.ones,
    bias_init: Initializer = initializers.zeros,
) -> Layer:
    """Each example's groups of channels normalized over all places, by `nn.functional.group_norm`.

    Args, params and errors as for `batch_norm`; x of shape (n, ..., channels), the first axis is
    the batch; num_groups divides the channels (32 as in Flax).

    Source: Wu and He, "Group Normalization", 2018.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.array([[1.0, 3.0, 10.0, 14.0]])
    >>> layer = group_norm(2)
    >>> params, state = layer.init(jax.random.key(0), x)
    >>> print(layer(params, x).round(3))
    [[-1.  1. -1.  1.]]
    """
    num_groups = expect_number("group_norm", "num_groups", num_groups, "32")
    inits = _chosen(use_scale, use_bias, scale_init, bias_init)
    function = partial(functional.group_norm, num_groups=num_groups, epsilon=epsilon)
    return _over_channels("group_norm", f"group_norm({num_groups})", inits, function)


def rms_norm(
    *,
    epsilon: float = 1e-6,
    use_scale: bool = True,
    scale_init: Initializer = initializers.ones,
) -> Layer:
    """Each place divided by the root mean square of its channels, by `nn.functional.rms_norm`.

    Args, params ({"scale": (channels,)}) and errors as for `batch_norm`; x of shape (...,
    channels), also a single example.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.array([2.0, -2.0])
    >>> layer = rms_norm()
    >>> params, state = layer.init(jax.random.key(0), x)
    >>> print(layer(params, x).round(3))
    [ 1. -1.]
    """
    inits = _chosen(use_scale, False, scale_init, initializers.zeros)
    function = partial(functional.rms_norm, epsilon=epsilon)
    return _over_channels("rms_norm", "rms_norm()", inits, function)


Inits = dict[str, Initializer]


def _chosen(
    use_scale: bool, use_bias: bool, scale_init: Initializer, bias_init: Initializer
) -> Inits:
    """The parameters that a layer has, by name, with their initializers."""
    chosen = {"scale": (use_scale, scale_init), "bias": (use_bias, bias_init)}
    return {name: init for name, (used, init) in chosen.items() if used}


def _init_channels(name: str, inits: Inits, key: Any, x: Any) -> dict[str, jax.Array]:
    expect_key(key)
    x = shape_of(x)
    expect_inexact(name, x)
    if not x.shape or x.shape[-1] == 0:
        raise ValueError(
            f"{name}: expected x of shape (..., channels), channels at least 1, got {x.shape}"
        )
    keys = jax.random.split(key)
    each = zip(inits.items(), keys, strict=False)
    return {what: initialized(what, init, k, x.shape[-1:], x.dtype) for (what, init), k in each}


def _by_name(params: Any, inits: Inits) -> dict[str, jax.Array]:
    return dict(zip(inits, expect_entries("params", params, *inits), strict=True))


def _over_channels(name: str, shown: str, inits: Inits, function: Any) -> Layer:
    """A layer without state, with a scale and a bias for each channel."""
    return stateless(
        partial(_init_channels, name, inits),
        lambda params, x: function(x, **_by_name(params, inits)),
        shown,
    )
