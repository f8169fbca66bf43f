"""max_pool, avg_pool, fractional_max_pool: one value for each window or region."""

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from funcnn.nn import functional
from funcnn.nn.errors import describe
from funcnn.nn.functional.windows import (
    Padding,
    checked_padding,
    expect_one_axis,
    per_axis,
    spatial_sizes,
    window_shape,
)
from funcnn.nn.layer import (
    Layer,
    Window,
    expect_no_params,
    expect_training_key,
    without_params,
)


def max_pool(
    window: int | Sequence[int],
    strides: int | Sequence[int],
    padding: Padding = "VALID",
) -> Layer:
    """The largest value of each window, by `nn.functional.max_pool`.

    x of shape (..., *spatial, channels) gives y of shape (..., *spatial of the output, channels).

    Args:
      window: one number for each spatial axis: (2, 2) for images. A number alone is for one
        spatial axis: x of shape (n, length, channels).
      strides: how far the window moves, one number for all axes or one for each. There is no
        default, for libraries differ in it.
      padding: "VALID", "SAME", a number, or for each axis a number or a pair (before, after).

    Raises:
      TypeError: sizes that are no integers; x of integers.
      ValueError: sizes below 1; x of too few axes; a window larger than the padded x, or padding
        as large as the window.

    Source: decks A and E, row 44.

    >>> import jax.numpy as jnp
    >>> max_pool((2, 2), strides=2)((), jnp.ones((64, 28, 28, 8))).shape
    (64, 14, 14, 8)
    """
    return _pooling("max_pool", functional.max_pool, window, strides, padding)


def avg_pool(
    window: int | Sequence[int],
    strides: int | Sequence[int],
    padding: Padding = "VALID",
    *,
    count_include_pad: bool = True,
) -> Layer:
    """The mean of each window, by `nn.functional.avg_pool`.

    Args and errors as for `max_pool`, and:
      count_include_pad: whether the zeros of the padding count as values of a window.

    Source: decks A and E, row 44.

    >>> import jax.numpy as jnp
    >>> avg_pool((2, 2), strides=2)((), jnp.ones((64, 28, 28, 8))).shape
    (64, 14, 14, 8)
    """
    pool = partial(functional.avg_pool, count_include_pad=count_include_pad)
    return _pooling("avg_pool", pool, window, strides, padding)


def fractional_max_pool(
    ratio: float | Sequence[float], *, overlapping: bool = True, pseudorandom: bool = True
) -> Layer:
    """The largest value of each of random regions, by `nn.functional.fractional_max_pool`.

    x of shape (..., *spatial, channels) gives y of shape (..., *⌊spatial / ratio⌋, channels): an
    image shrinks by less than a half, √2 say, at regions one or two places wide. In training they
    are drawn anew for each call, the same for the whole batch; at inference they are spread evenly.

    Args:
      ratio: at least 1, one number for each spatial axis: (1.41, 1.41) for images. A number alone
        is for one spatial axis: x of shape (n, length, channels).
      overlapping: whether a region has the first place of the next too; better in the paper.
      pseudorandom: how regions are drawn, see `nn.functional.fractional_regions`.

    Raises:
      TypeError: in training, no key; x of integers; a ratio that is no number.
      ValueError: a ratio below 1, or that leaves nothing of an axis; x of too few axes.

    Source: Graham, "Fractional Max-Pooling", 2014; deck B, row 18.

    >>> import jax, jax.numpy as jnp
    >>> layer = fractional_max_pool((1.5, 1.5))
    >>> layer((), jnp.ones((64, 28, 28, 8))).shape
    (64, 18, 18, 8)
    """
    ratios = tuple(ratio) if isinstance(ratio, Sequence) else (ratio,)
    if any(not isinstance(r, Real) for r in ratios):
        raise TypeError(f"fractional_max_pool: ratio must be numbers, got {describe(ratio)}")
    if not ratios or any(not r >= 1 for r in ratios):
        raise ValueError(f"fractional_max_pool: ratio must be at least 1, got {ratio}")

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        expect_no_params("fractional_max_pool", params)
        expect_one_axis("fractional_max_pool: ratio", ratio, jnp.ndim(x))
        sizes = spatial_sizes("fractional_max_pool", jnp.shape(x), len(ratios))
        outs = [int(size / r) for size, r in zip(sizes, ratios, strict=True)]
        if min(outs) < 1:
            raise ValueError(
                f"fractional_max_pool: ratio {ratios} leaves nothing of x of shape {jnp.shape(x)}"
            )
        regions: list[ArrayLike]
        if train:
            expect_training_key("fractional_max_pool", key)
            keys = jax.random.split(key, len(ratios))
            draw = partial(functional.fractional_regions, pseudorandom=pseudorandom)
            regions = list(map(draw, keys, sizes, outs))
        else:
            regions = list(map(_even_regions, sizes, outs))
        return functional.fractional_max_pool(x, regions, overlapping=overlapping), state

    return Layer(lambda key, x: ((), ()), apply, f"fractional_max_pool({ratios})")


def _even_regions(size: int, out: int) -> np.ndarray:
    return np.arange(out + 1) * size // out


def _pooling(
    name: str, pool: Callable[..., Any], window: Any, strides: Any, padding: Padding
) -> Layer:
    size = window_shape(f"{name}: window", window)
    moves = per_axis(f"{name}: strides", strides, len(size))
    checked_padding(name, padding, len(size))
    return without_params(
        lambda x: pool(x, window, strides, padding),
        f"{name}({size}, {moves})",
        Window(size, moves, (1,) * len(size)),
    )
