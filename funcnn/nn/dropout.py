"""dropout and stochastic_depth: layers that drop at random in training and do nothing after."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

from funcnn.nn import functional
from funcnn.nn.functional.dropout import expect_rate
from funcnn.nn.layer import Layer, expect_no_params, expect_training_key


def dropout(rate: float, *, broadcast_dims: Sequence[int] = ()) -> Layer:
    """In training each number is dropped with probability `rate`, by `nn.functional.dropout`.

    What is kept is divided by 1 − rate, so that the mean stays. At inference, and where `rate` is
    0, y is x. x has any shape; there are neither params nor state.

    Args:
      rate: the probability of being dropped, in [0, 1).
      broadcast_dims: axes along which all is dropped together: (1, 2) drops whole channels of
        images.

    Raises:
      TypeError: a rate that is no number; in training, no key; x of integers.
      ValueError: rate outside [0, 1); broadcast_dims that x does not have.

    Source: Srivastava et al., "Dropout", 2014; decks A, B and E, row 18.

    >>> import jax, jax.numpy as jnp
    >>> layer = dropout(0.5)
    >>> y, state = layer.apply((), (), jnp.ones(100), key=jax.random.key(0), train=True)
    >>> set(y.tolist()) == {0.0, 2.0}
    True
    >>> layer((), jnp.ones(2))
    Array([1., 1.], dtype=float32)
    """
    drop = partial(functional.dropout, broadcast_dims=tuple(broadcast_dims))
    return _dropping("dropout", drop, rate)


def stochastic_depth(rate: float) -> Layer:
    """In training each example is dropped as a whole, by `nn.functional.stochastic_depth`.

    The last layer of a residual branch, so that the branch is skipped for the examples dropped:
    `nn.residual(nn.serial(..., nn.stochastic_depth(0.2)))`. What is kept is divided by 1 − rate.
    At inference, and where `rate` is 0, y is x. x of shape (n, ...), the first axis is the batch.

    Args:
      rate: the probability of being dropped, in [0, 1). The paper lets it grow with the depth.

    Raises:
      As `dropout`.

    Source: Huang et al., "Deep Networks with Stochastic Depth", 2016; deck B, row 18.

    >>> import jax, jax.numpy as jnp
    >>> layer = stochastic_depth(0.5)
    >>> y, state = layer.apply((), (), jnp.ones((9, 4)), key=jax.random.key(0), train=True)
    >>> bool(jnp.all(y == y[:, :1]))
    True
    """
    return _dropping("stochastic_depth", functional.stochastic_depth, rate)


def _dropping(name: str, drop: Callable[..., jax.Array], rate: float) -> Layer:
    expect_rate(name, rate)

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        expect_no_params(name, params)
        if not train or rate == 0:
            return x, state
        expect_training_key(name, key)
        return drop(x, rate, key), state

    return Layer(lambda key, x: ((), ()), apply, f"{name}({rate})", uses_key=rate > 0)
