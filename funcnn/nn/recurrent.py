"""Recurrent layers: rnn, lstm, gru."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from funcnn.nn import functional
from funcnn.nn.errors import describe, expect_entries, expect_inexact, expect_key
from funcnn.nn.layer import Layer, shape_of, stateless
from funcnn.nn.parameters import Initializer, default_kernel_init, expect_number, initialized

NAMES = ("kernel", "recurrent_kernel", "bias")
RETURNS = ("outputs", "last", "outputs and carry")


def orthogonal(key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """`nn.initializers.orthogonal`, computed in float32 at least: XLA has no shorter QR."""
    wide = jnp.promote_types(dtype, jnp.float32)
    return initializers.orthogonal()(key, shape, wide).astype(dtype)


def rnn(
    features: int,
    *,
    activation: Callable[[jax.Array], jax.Array] = jnp.tanh,
    returns: str = "outputs",
    reverse: bool = False,
    kernel_init: Initializer = default_kernel_init,
    recurrent_kernel_init: Initializer = orthogonal,
    bias_init: Initializer = initializers.zeros,
) -> Layer:
    """Elman's recurrent network, h′ = tanh(x W + h U + b), by `nn.functional.rnn`.

    The input is x of shape (..., time, in); or a tuple (x, lengths) with the integers of shape
    (...) that say how many steps of each sequence are valid, or (x, mask) with a bool mask of shape
    (..., time); or (x, lengths or mask or None, initial carry). A step that is not valid hands the
    state on as it is, and its output is 0.

    `params` is {"kernel": (in, features), "recurrent_kernel": (features, features), "bias":
    (features,)}, in the dtype of the x given to `init`. Both ways over a sequence:
    `nn.concatenate(nn.rnn(8), nn.rnn(8, reverse=True))`.

    Args:
      features: the length of h, at least 1.
      activation: in the place of tanh.
      returns: "outputs", h after each step, (..., time, features); "last", h after the last valid
        step (the first, if `reverse`), (..., features); "outputs and carry", both in a tuple, the
        carry being what a later call takes as its initial carry.
      reverse: from the last step to the first. Outputs stay in the places of their inputs.
      kernel_init, recurrent_kernel_init, bias_init: called as `init(key, shape, dtype)`, once for
        each part of a kernel. The defaults are those of Flax.

    Raises:
      TypeError: `features` that is no integer; x of integers.
      ValueError: shapes that do not match; `params` of another structure or shape.

    Source: Elman, "Finding Structure in Time", 1990.

    >>> import jax, jax.numpy as jnp
    >>> layer = rnn(4, returns="last")
    >>> x, lengths = jnp.ones((5, 3, 2)), jnp.array([1, 2, 3, 3, 0])
    >>> params, state = jax.eval_shape(layer.init, jax.random.key(0), (x, lengths))
    >>> jax.eval_shape(layer, params, (x, lengths)).shape
    (5, 4)
    """
    run = partial(functional.rnn, activation=activation)
    inits = kernel_init, recurrent_kernel_init, bias_init
    return _recurrent("rnn", run, 1, features, returns, reverse, inits)


def lstm(
    features: int,
    *,
    returns: str = "outputs",
    reverse: bool = False,
    kernel_init: Initializer = default_kernel_init,
    recurrent_kernel_init: Initializer = orthogonal,
    bias_init: Initializer = initializers.zeros,
) -> Layer:
    """Long short-term memory, by `nn.functional.lstm`; input, arguments and errors as in `rnn`.

    `params` is {"kernel": (in, 4 features), "recurrent_kernel": (features, 4 features), "bias":
    (4 features,)}, the parts in the order i, f, g, o. The carry is (c, h).

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997.

    >>> import jax, jax.numpy as jnp
    >>> layer = lstm(4, returns="outputs and carry")
    >>> x = jnp.ones((5, 3, 2))
    >>> params, state = jax.eval_shape(layer.init, jax.random.key(0), x)
    >>> y, carry = jax.eval_shape(layer, params, x)
    >>> y, (c, h) = jax.eval_shape(layer, params, (x, None, carry))
    >>> y.shape, c.shape, h.shape
    ((5, 3, 4), (5, 4), (5, 4))
    """
    inits = kernel_init, recurrent_kernel_init, bias_init
    return _recurrent("lstm", functional.lstm, 4, features, returns, reverse, inits)


def gru(
    features: int,
    *,
    returns: str = "outputs",
    reverse: bool = False,
    kernel_init: Initializer = default_kernel_init,
    recurrent_kernel_init: Initializer = orthogonal,
    bias_init: Initializer = initializers.zeros,
) -> Layer:
    """Gated recurrent units, by `nn.functional.gru`; input, arguments and errors as in `rnn`.

    `params` is {"kernel": (in, 3 features), "recurrent_kernel": (features, 3 features), "bias":
    (3 features,)}, the parts in the order r, z, n.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014.

    >>> import jax, jax.numpy as jnp
    >>> layer, x = gru(4), jnp.ones((5, 3, 2))
    >>> params, state = jax.eval_shape(layer.init, jax.random.key(0), x)
    >>> jax.eval_shape(layer, params, x).shape
    (5, 3, 4)
    """
    inits = kernel_init, recurrent_kernel_init, bias_init
    return _recurrent("gru", functional.gru, 3, features, returns, reverse, inits)


def _recurrent(
    name: str,
    run: Callable[..., tuple[Any, jax.Array]],
    parts: int,
    features: int,
    returns: str,
    reverse: bool,
    inits: tuple[Initializer, Initializer, Initializer],
) -> Layer:
    features = expect_number(name, "features", features, "30")
    if returns not in RETURNS:
        raise ValueError(f"{name}: expected returns to be one of {RETURNS}, got {returns!r}")

    def init(key: Any, x: Any) -> Any:
        expect_key(key)
        x, _, _ = _inputs(name, shape_of(x))
        expect_inexact(name, x)
        if len(x.shape) < 2 or x.shape[-1] == 0:
            raise ValueError(f"{name}: expected x of shape (..., time, in), got {x.shape}")
        shapes = (x.shape[-1], features), (features, features), (features,)
        entries = zip(NAMES, inits, shapes, jax.random.split(key, 3), strict=True)
        return {
            entry: jnp.concatenate(
                [
                    initialized(entry, init, key, shape, x.dtype)
                    for key in jax.random.split(k, parts)
                ],
                axis=-1,
            )
            for entry, init, shape, k in entries
        }

    def apply(params: Any, x: Any) -> Any:
        x, valid, carry = _inputs(name, x)
        arrays = expect_entries("params", params, *NAMES)
        if valid is not None and jnp.issubdtype(jnp.result_type(valid), jnp.integer):
            valid = _mask_of(name, valid, x)
        carry, outputs = run(x, *arrays, initial_carry=carry, mask=valid, reverse=reverse)
        if returns == "last":
            return jax.tree.leaves(carry)[-1]
        return outputs if returns == "outputs" else (outputs, carry)

    return stateless(init, apply, f"{name}({features})")


def _inputs(name: str, x: Any) -> tuple[Any, Any, Any]:
    """The array, the lengths or mask, and the initial carry: what is not given is None."""
    if not isinstance(x, tuple | list):
        return x, None, None
    if not 1 < len(x) < 4:
        raise ValueError(
            f"{name}: expected x, (x, lengths or mask), or (x, lengths or mask or None, carry), "
            f"got {describe(x)}"
        )
    return (*x, None)[:3]


def _mask_of(name: str, lengths: Any, x: Any) -> jax.Array:
    if jnp.shape(lengths) != jnp.shape(x)[:-2]:
        raise ValueError(
            f"{name}: expected lengths of shape {jnp.shape(x)[:-2]} to match x {jnp.shape(x)}, "
            f"got {jnp.shape(lengths)}"
        )
    return functional.length_mask(lengths, jnp.shape(x)[-2])
