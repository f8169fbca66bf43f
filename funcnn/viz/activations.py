"""Activation functions, with their derivatives."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.autodiff import grad
from funcnn.viz import style
from funcnn.viz.arrays import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def activation(
    fun: Callable[[Any], Any],
    ax: Any = None,
    *,
    derivative: Callable[[Any], Any] | None = None,
    interval: tuple[float, float] = (-5, 5),
    name: str | None = None,
) -> "Axes":
    """A function of one number and its derivative.

    Args:
      fun: of a scalar, differentiable by `funcnn.grad`; it is run under `jax.vmap`.
      ax: matplotlib's Axes; None makes a new figure.
      derivative: of a scalar too; None takes ``funcnn.grad(fun)``.
      interval: what to show.
      name: the title; None takes the function's name.

    Returns:
      The Axes.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: `fun` is no function.
      ValueError: `fun` takes no single number, as a softmax does not, or returns more than one for
        it; an interval that does not grow.

    >>> import jax
    >>> from funcnn import viz
    >>> ax = viz.activation(jax.nn.sigmoid)
    >>> fun, derivative, *_ = ax.lines
    >>> print(fun.get_ydata()[200], derivative.get_ydata()[200])
    0.5 0.25

    Source: row 12 (plot of each activation with its derivative).
    """
    if not callable(fun):
        raise TypeError(f"expected a function of one number, got {fun!r}")
    low, high = numbers("interval", interval, 2, finite=True).tolist()
    if low >= high:
        raise ValueError(f"expected an interval that grows, got {tuple(interval)}")
    try:
        jax.eval_shape(fun, jax.ShapeDtypeStruct((), jnp.float32))
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(
            "expected an elementwise function, which takes a single number too; of one, "
            f"{getattr(fun, '__name__', repr(fun))} says: {error}"
        ) from error
    ax = style.axes(ax, (4.6, 3.4))
    x = np.linspace(low, high, 401)

    @jax.jit
    def both(x: Any) -> Any:
        return jax.vmap(fun)(x), jax.vmap(derivative or grad(fun))(x)

    value, slope = both(jnp.asarray(x))
    for y, what, look in zip(
        (value, slope), ("function", "derivative"), style.looks(), strict=False
    ):
        y = numbers(f"the {what} of a number", y, len(x))
        ax.plot(x, y, look.dashes, color=look.color, lw=2.2, label=what)
    ax.axhline(0, color=style.GRAY, lw=0.8, zorder=1)
    ax.axvline(0, color=style.GRAY, lw=0.8, zorder=1)
    ax.set_xlim(low, high)
    style.label(ax, "x", title=name or getattr(fun, "__name__", None))
    style.plot_style(ax, legend=True, loc="upper left")
    return ax
