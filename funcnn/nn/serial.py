"""serial: layers one after another, and the outputs along the way."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from funcnn.nn.errors import at, describe, expect_key, shape_of
from funcnn.nn.layer import Layer, as_layer


def serial(*layers: Layer | Callable[[Any], Any], **named: Layer | Callable[[Any], Any]) -> Layer:
    """Layers one after another: the output of each is the input of the next.

    A plain function of one array is a layer without parameters. `params` and `state` are tuples
    with one entry a layer (`()` for a plain function), or, for layers given by name, dicts with
    those names. Given a key, `init` and `apply` hand `jax.random.fold_in(key, position)` to each
    layer, and `apply` only to layers that could use one. `init` finds the shapes by
    `jax.eval_shape` and computes nothing but the parameters.

    An error inside a layer names its path: `[2]['conv1']: expected NHWC input, ...`.

    Raises:
      TypeError: an entry that is neither a Layer nor a function, or entries with and without names.
      ValueError: `params` or `state` of another structure than the model's.

    Source: the multilayer perceptron of decks A to E, row 9.

    >>> import jax, jax.numpy as jnp
    >>> model = serial(dense(30), jax.nn.sigmoid, dense(10))
    >>> model
    serial(dense(30), sigmoid, dense(10))
    >>> params, state = model.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 784), jnp.float32))
    >>> jax.tree.map(jnp.shape, params)
    ({'bias': (30,), 'kernel': (784, 30)}, (), {'bias': (10,), 'kernel': (30, 10)})
    >>> model(params, jnp.ones((64, 784))).shape
    (64, 10)
    >>> model(params, jnp.ones((64, 100)))
    Traceback (most recent call last):
    ValueError: [0]: dense: expected x of shape (..., 784) to match kernel (784, 30), got (64, 100)
    """
    if layers and named:
        raise TypeError("serial takes its layers either all by position or all by name")
    parts = []
    for entry, layer in named.items() if named else enumerate(layers):
        with at(entry):
            parts.append((entry, as_layer(layer)))

    def gather(values: list[Any]) -> Any:
        return dict(zip(named, values, strict=True)) if named else tuple(values)

    def init(key: Any, x: Any) -> tuple[Any, Any]:
        expect_key(key)
        params, states, x = [], [], shape_of(x)
        for position, (entry, layer) in enumerate(parts):
            with at(entry):
                layer_params, layer_state = layer.init(jax.random.fold_in(key, position), x)
                x, _ = jax.eval_shape(layer.apply, layer_params, layer_state, x)
            params.append(layer_params)
            states.append(layer_state)
        return gather(params), gather(states)

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        states = []
        for position, (layer_params, layer_state) in 
