"""Layer: a pair of pure functions, `init` and `apply`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from funcnn.nn.errors import describe, expect_key


class Window(NamedTuple):
    """What an output of a convolution or of pooling sees of the input, one number a spatial axis.

    Attributes:
      kernel_size: the number of places.
      strides: how far the window moves from one output to the next.
      dilation: how far apart the places are, 1 for neighbours.
    """

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Layer:
    """A layer is two pure functions:

        params, state = layer.init(key, x)
        y, state = layer.apply(params, state, x, key=None, train=False)

    `params` is the pytree that is trained, `state` the pytree that is not (running statistics);
    either may be empty, `()`. `init` reads the shapes and dtypes of `x`, not its values: it takes
    an array or a `jax.ShapeDtypeStruct`. `x` and `y` may be pytrees. A layer without state can be
    called as `y = layer(params, x)`, which is `apply` at inference.

    A layer of your own that has neither state nor randomness is shorter with `nn.stateless`.

    Attributes:
      init: `init(key, x) -> (params, state)`.
      apply: `apply(params, state, x, *, key=None, train=False) -> (y, state)`, where the returned
        state has the structure of the given one.
      name: how the layer prints.
      uses_key: False where `apply` never reads `key`, so that no key has to be made for it.
      layers: the layers of a combinator, each with its entry in `params` (a position or a name, or
        None where its params are the combinator's own).
      rebuild: `rebuild(layers, join=None)`: the same combinator of other layers, and with another
        way to join their outputs. None where the layer is no combinator.
      window: of a convolution or of pooling, what its receptive field is made of.

    >>> import jax, jax.numpy as jnp
    >>> def init(key, x):
    ...     return (), jnp.zeros((), jnp.int32)
    >>> def apply(params, count, x, *, key=None, train=False):
    ...     return x, count + train
    >>> counter = Layer(init, apply, name="counter")
    >>> params, state = counter.init(jax.random.key(0), jnp.ones(3))
    >>> y, state = counter.apply(params, state, jnp.ones(3), train=True)
    >>> int(state)
    1
    """

    init: Callable[..., tuple[Any, Any]]
    apply: Callable[..., tuple[Any, Any]]
    name: str = "layer"
    uses_key: bool = True
    layers: tuple[tuple[int | str | None, "Layer"], ...] = ()
    rebuild: Callable[..., "Layer"] | None = None
    window: Window | None = None

    def __call__(self, params: Any, x: Any) -> Any:
        """`apply` at inference, for a layer without state. ValueError for a layer that has one."""
        y, state = self.apply(params, (), x)
        if jax.tree.leaves(state):
            raise ValueError(
                f"{self.name} has state: call y, state = layer.apply(params, state, x) "
                "with the state that layer.init returned"
            )
        return y

    def __repr__(self) -> str:
        return self.name


def shape_of(x: Any) -> Any:
    """`x` with a jax.ShapeDtypeStruct for each array: its shape, and the dtype JAX gives it."""
    return jax.eval_shape(lambda x: x, x)


def stateless(
    init: Callable[[Any, Any], Any],
    function: Callable[[Any, Any], Any],
    name: str = "layer",
    window: Window | None = None,
) -> Layer:
    """A layer without state and randomness, the same in training and at inference.

    Args:
      init: `init(key, x) -> params`.
      function: `function(params, x) -> y`.
      name: how the layer prints.
      window: see `Layer`.

    >>> import jax, jax.numpy as jnp
    >>> scale = stateless(lambda key, x: jnp.ones(x.shape[-1]), lambda params, x: params * x)
    >>> params, state = scale.init(jax.random.key(0), jnp.ones((5, 2)))
    >>> scale(params, jnp.ones((5, 2))).shape
    (5, 2)
    """

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return function(params, x), state

    return Layer(lambda key, x: (init(key, x), ()), apply, name, uses_key=False, window=window)


def as_layer(layer: Any) -> Layer:
    """A `Layer` from a layer (itself) or from a plain function of one array (without parameters).

    Raises TypeError for anything else.

    >>> import jax, jax.numpy as jnp
    >>> as_layer(jnp.tanh)((), jnp.zeros(2))
    Array([0., 0.], dtype=float32)
    >>> as_layer(30)
    Traceback (most recent call last):
    TypeError: expected a Layer or a function of one array, got 30: for 30 units, nn.dense(30)
    """
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, type) or not callable(layer):
        hint = f": for {layer} units, nn.dense({layer})" if type(layer) is int else ""
        raise TypeError(f"expected a Layer or a function of one array, got {layer!r}{hint}")
    return without_params(layer, getattr(layer, "__name__", repr(layer)))


def without_params(
    function: Callable[[Any], Any], name: str, window: Window | None = None
) -> Layer:
    """A layer that is a function of one array and nothing else."""

    def apply(params: Any, x: Any) -> Any:
        expect_no_params(f"{name} is a plain function and", params)
        return function(x)

    return stateless(lambda key, x: (), apply, name, window)


def expect_no_params(what: str, params: Any) -> None:
    """ValueError where a layer without parameters is given some."""
    if jax.tree.leaves(params):
        raise ValueError(
            f"{what} has no params, got {describe(params)}: use the params that this model's init "
            "returned"
        )


def expect_training_key(name: str, key: Any) -> None:
    """TypeError where a layer that draws random numbers in training has no key for them."""
    if key is None:
        raise TypeError(
            f"{name} needs a key in training, for its random numbers: call "
            "apply(params, state, x, key=key, train=True), with another key for each step"
        )
    expect_key(key)
