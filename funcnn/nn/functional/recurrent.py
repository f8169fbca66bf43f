"""Recurrent networks: the cells, and a cell over all time steps by `jax.lax.scan`.

Every network is x W + b for all time steps at once, and then a scan of what is left of a cell: one
product of large matrices instead of many small ones, in the gradient too.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from funcnn.nn.errors import expect_inexact
from funcnn.nn.functional.linear import dense

Carry = Any
Activation = Callable[[jax.Array], jax.Array]


def rnn_cell(
    h: jax.Array,
    x: ArrayLike,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    activation: Activation = jnp.tanh,
) -> jax.Array:
    """One step of Elman's network: h′ = tanh(x W + h U + b).

    Args:
      h: (..., features).
      x: (..., in), of a floating dtype.
      kernel: W, (in, features).
      recurrent_kernel: U, (features, features).
      bias: b, (features,), or None for none.
      activation: in the place of tanh.

    Returns:
      h′, (..., features), which is both the output and the next state.

    Source: Elman, "Finding Structure in Time", 1990.

    >>> import jax.numpy as jnp
    >>> h = rnn_cell(jnp.zeros(1), jnp.ones(2), jnp.ones((2, 1)), jnp.ones((1, 1)))
    >>> f"{float(h[0]):.4f}"
    '0.9640'
    """
    return rnn_step(h, dense(x, kernel, bias), recurrent_kernel, activation=activation)


def lstm_cell(
    carry: tuple[jax.Array, jax.Array],
    x: ArrayLike,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """One step of long short-term memory, with z = x W + h U + b in four parts i, f, g, o:

        c′ = σ(f) c + σ(i) tanh(g)
        h′ = σ(o) tanh(c′)

    The order of the parts is that of PyTorch and of Flax.

    Args:
      carry: (c, h), each (..., features).
      x: (..., in), of a floating dtype.
      kernel: W, (in, 4 features).
      recurrent_kernel: U, (features, 4 features).
      bias: b, (4 features,), or None for none.

    Returns:
      (c′, h′); h′ is the output.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Gers et al., "Learning to
    Forget", 2000.

    >>> import jax.numpy as jnp
    >>> one = jnp.ones(1)
    >>> c, h = lstm_cell((one, one), jnp.ones(2), jnp.ones((2, 4)), jnp.ones((1, 4)))
    >>> f"{float(c[0]):.4f}, {float(h[0]):.4f}"
    '1.9004, 0.9109'
    """
    return lstm_step(carry, dense(x, kernel, bias), recurrent_kernel)


def gru_cell(
    h: jax.Array,
    x: ArrayLike,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
) -> jax.Array:
    """One step of a gated recurrent unit, with x W + b in parts r, z, n and h U in r′, z′, n′:

        n″ = tanh(n + σ(r + r′) n′)
        h′ = (1 − σ(z + z′)) n″ + σ(z + z′) h

    The order of the parts is that of PyTorch and of Flax. Flax's cell is this one; PyTorch has a
    second bias, within the brackets of n′ too.

    Args:
      h: (..., features).
      x: (..., in), of a floating dtype.
      kernel: W, (in, 3 features).
      recurrent_kernel: U, (features, 3 features).
      bias: b, (3 features,), or None for none.

    Returns:
      h′, (..., features), which is both the output and the next state.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014.

    >>> import jax.numpy as jnp
    >>> h = gru_cell(jnp.ones(1), jnp.ones(2), jnp.ones((2, 3)), jnp.ones((1, 3)))
    >>> f"{float(h[0]):.4f}"
    '0.9997'
    """
    return gru_step(h, dense(x, kernel, bias), recurrent_kernel)


def rnn_step(
    h: jax.Array, z: jax.Array, recurrent_kernel: jax.Array, *, activation: Activation = jnp.tanh
) -> jax.Array:
    """`rnn_cell` from z = x W + b on."""
    return activation(z + h @ recurrent_kernel)


def lstm_step(
    carry: tuple[jax.Array, jax.Array], z: jax.Array, recurrent_kernel: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`lstm_cell` from z = x W + b on."""
    c, h = carry
    i, f, g, o = jnp.split(z + h @ recurrent_kernel, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


def gru_step(h: jax.Array, z: jax.Array, recurrent_kernel: jax.Array) -> jax.Array:
    """`gru_cell` from z = x W + b on."""
    (xr, xz, xn), (hr, hz, hn) = (jnp.split(a, 3, axis=-1) for a in (z, h @ recurrent_kernel))
    keep = jax.nn.sigmoid(xz + hz)
    return (1 - keep) * jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn) + keep * h


def rnn(
    x: ArrayLike,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    activation: Activation = jnp.tanh,
    initial_carry: jax.Array | None = None,
    mask: ArrayLike | None = None,
    reverse: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`rnn_cell` at each time step.

    Args:
      x: (..., time, in), any number of leading axes, of a floating dtype.
      kernel, recurrent_kernel, bias, activation: as in `rnn_cell`.
      initial_carry: the state before the first step, zeros if None.
      mask: bool (..., time), None if all is valid. A step that is False hands the state on as it
        is, and its output is 0. For lengths, `length_mask`.
      reverse: from the last step to the first. Outputs stay in the places of their inputs.

    Returns:
      (carry, outputs): the state after the last step taken, and (..., time, features).

    Raises:
      TypeError: x of integers; a mask that is not of bool.
      ValueError: shapes that do not match; the message shows them.

    >>> import jax.numpy as jnp
    >>> h, y = rnn(jnp.ones((5, 3, 2)), jnp.ones((2, 4)), jnp.eye(4))
    >>> h.shape, y.shape, bool((y[:, -1] == h).all())
    ((5, 4), (5, 3, 4), True)
    """
    step = partial(rnn_step, activation=activation)
    return _over_time(
        "rnn", step, 1, x, kernel, recurrent_kernel, bias, initial_carry, mask, reverse
    )


def lstm(
    x: ArrayLike,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    initial_carry: tuple[jax.Array, jax.Array] | None = None,
    mask: ArrayLike | None = None,
    reverse: bool = False,
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """`lstm_cell` at each time step; arguments and errors as in `rnn`, the carry is (c, h).

    >>> import jax.numpy as jnp
    >>> (c, h), y = lstm(jnp.ones((5, 3, 2)), jnp.ones((2, 16)), jnp.ones((4, 16)))
    >>> c.shape, y.shape, bool((y[:, -1] == h).all())
    ((5, 4), (5, 3, 4), True)
    """
    return _over_time(
        "lstm", lstm_step, 4, x, kernel, recurrent_kernel, bias, initial_carry, mask, reverse
    )


def gru(
    x: ArrayLike,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    initial_carry: jax.Array | None = None,
    mask: ArrayLike | None = None,
    reverse: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """`gru_cell` at each time step; arguments and errors as in `rnn`.

    >>> import jax.numpy as jnp
    >>> h, y = gru(jnp.ones((5, 3, 2)), jnp.ones((2, 12)), jnp.ones((4, 12)))
    >>> h.shape, y.shape
    ((5, 4), (5, 3, 4))
    """
    return _over_time(
        "gru", gru_step, 3, x, kernel, recurrent_kernel, bias, initial_carry, mask, reverse
    )


def length_mask(lengths: ArrayLike, time: int) -> jax.Array:
    """Which of `time` steps are within sequences of these lengths: (...) to bool (..., time).

    >>> import jax.numpy as jnp
    >>> length_mask(jnp.array([1, 3]), 3)
    Array([[ True, False, False],
           [ True,  True,  True]], dtype=bool)
    """
    return jnp.arange(time) < jnp.asarray(lengths)[..., None]


def _over_time(
    name: str,
    step: Callable[[Carry, jax.Array, jax.Array], Carry],
    parts: int,
    x: ArrayLike,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array | None,
    carry: Carry,
    mask: ArrayLike | None,
    reverse: bool,
) -> tuple[Carry, jax.Array]:
    """The scan of `step`, whose carry is h or a tuple with h as the last."""
    x = _checked(name, parts, x, kernel, recurrent_kernel)
    z = dense(jnp.moveaxis(x, -2, 0), kernel, bias)  # x is what is narrower
    carry = _initial(name, z, recurrent_kernel, carry)
    if mask is not None:
        mask = jnp.moveaxis(_checked_mask(name, mask, x), -1, 0)[..., None]

    def one(carry: Carry, now: Any) -> tuple[Carry, jax.Array]:
        z, valid = now
        after = step(carry, z, recurrent_kernel)
        h = jax.tree.leaves(after)[-1]
        if valid is None:
            return after, h
        kept = jax.tree.map(lambda new, old: jnp.where(valid, new, old), after, carry)
        return kept, jnp.where(valid, h, 0)

    carry, outputs = lax.scan(one, carry, (z, mask), reverse=reverse)
    return carry, jnp.moveaxis(outputs, 0, -2)


def _checked(
    name: str, parts: int, x: ArrayLike, kernel: jax.Array, recurrent_kernel: jax.Array
) -> jax.Array:
    x = jnp.asarray(x)
    expect_inexact(name, x)
    features = recurrent_kernel.shape[0]
    if recurrent_kernel.shape != (features, parts * features):
        raise ValueError(
            f"{name}: expected a recurrent_kernel of shape (features, {parts} * features), got "
            f"{recurrent_kernel.shape}"
        )
    if x.ndim < 2 or kernel.shape != (x.shape[-1], parts * features):
        raise ValueError(
            f"{name}: expected x of shape (..., time, in) and a kernel of shape (in, "
            f"{parts * features}) to match recurrent_kernel {recurrent_kernel.shape}, got "
            f"{x.shape} and {kernel.shape}"
        )
    return x


def _initial(name: str, z: jax.Array, recurrent_kernel: jax.Array, carry: Carry) -> Carry:
    """The state before the first step, in the dtype of the computation."""
    zeros = jnp.zeros(
        (*z.shape[1:-1], recurrent_kernel.shape[0]), jnp.result_type(z, recurrent_kernel)
    )
    like = (zeros, zeros) if name == "lstm" else zeros
    if carry is None:
        return like
    if jax.tree.map(jnp.shape, carry) != jax.tree.map(jnp.shape, like):
        parts = "(c, h), each" if name == "lstm" else "h"
        raise ValueError(
            f"{name}: expected initial_carry {parts} of shape {zeros.shape}, got "
            f"{jax.tree.map(jnp.shape, carry)}"
        )
    return jax.tree.map(lambda given: jnp.asarray(given, zeros.dtype), carry)


def _checked_mask(name: str, mask: ArrayLike, x: jax.Array) -> jax.Array:
    mask = jnp.asarray(mask)
    if mask.dtype != jnp.bool_:
        raise TypeError(f"{name}: expected a mask of bool, got {mask.dtype}: True is a valid step")
    if mask.shape != x.shape[:-1]:
        raise ValueError(
            f"{name}: expected a mask of shape {x.shape[:-1]} to match x {x.shape}, got "
            f"{mask.shape}"
        )
    return mask
