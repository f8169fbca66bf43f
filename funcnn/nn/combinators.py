"""Layers made of layers: `serial`, and the outputs along the way."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from funcnn.nn.errors import at, describe, expect_entries, expect_key
from funcnn.nn.layer import Layer, as_layer, shape_of


def serial(*layers: Layer | Callable[[Any], Any], **named: Layer | Callable[[Any], Any]) -> Layer:
    """Layers one after another: the output of each is the input of the next.

    A plain function of one array is a layer without parameters. `params` and `state` are tuples
    with one entry a layer (`()` for a plain function) or, where layers are given by name, dicts
    with those names. A layer gets the key `jax.random.fold_in(key, position)`: in `init`, and in
    `apply` where a key is given and the layer could use it. `init` finds shapes by
    `jax.eval_shape`: it computes the parameters and nothing else.

    An error inside a layer names its path: `[2]['conv1']: expected NHWC input, ...`.

    Raises:
      TypeError: an entry that is neither a Layer nor a function; layers with and without names.
      ValueError: from `apply`, `params` or `state` of another structure than the model's.

    Source: the multilayer perceptron, decks A to E, row 9.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> model = nn.serial(nn.dense(30), jax.nn.sigmoid, nn.dense(10))
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

    def pack(values: list[Any]) -> Any:
        return dict(zip(named, values, strict=True)) if named else tuple(values)

    def unpack(what: str, tree: Any) -> Sequence[Any]:
        if named:
            return expect_entries(what, tree, *named)
        if isinstance(tree, tuple | list) and len(tree) == len(parts):
            return tree
        raise ValueError(
            f"expected {what} with one entry for each of {len(parts)} layers, got "
            f"{describe(tree)}: use the {what} that this model's init returned"
        )

    def init(key: Any, x: Any) -> tuple[Any, Any]:
        expect_key(key)
        params, states, x = [], [], shape_of(x)
        for position, (entry, layer) in enumerate(parts):
            with at(entry):
                p, s = layer.init(jax.random.fold_in(key, position), x)
                x, _ = jax.eval_shape(layer.apply, p, s, x)
            params.append(p)
            states.append(s)
        return pack(params), pack(states)

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        each = unpack("params", params)
        # () is what a layer without state is called with, at any depth.
        no_state = isinstance(state, tuple) and not state
        before = [()] * len(parts) if no_state else unpack("state", state)
        states = []
        for position, ((entry, layer), p, s) in enumerate(zip(parts, each, before, strict=True)):
            with at(entry):
                use_key = key is not None and layer.uses_key
                layer_key = jax.random.fold_in(key, position) if use_key else None
                x, s = layer.apply(p, s, x, key=layer_key, train=train)
            states.append(s)
        return x, pack(states)

    names = (f"{entry}={layer}" if named else f"{layer}" for entry, layer in parts)
    uses_key = any(layer.uses_key for _, layer in parts)
    return Layer(init, apply, f"serial({', '.join(names)})", uses_key, tuple(parts))


def intermediates(layer: Layer, params: Any, x: Any, state: Any = ()) -> Any:
    """The output of every layer of a `serial` at inference: all z and a of a multilayer perceptron.

    Returns them in the structure of `params`, with a layer's output in the place of its parameters:
    a tuple, or a dict where layers are named; a `serial` within gives a tuple or dict within.

    Args:
      layer: a `serial`. Of any other layer, the output is returned.
      params, state: as from `layer.init`; `state` may be left out where the layer has none.
      x: the input, as for `layer`.

    Source: decks A to E, row 9.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> model = nn.serial(z1=nn.dense(3), a1=jax.nn.sigmoid, z2=nn.dense(2))
    >>> params, state = model.init(jax.random.key(0), jnp.ones((5, 4)))
    >>> outputs = nn.intermediates(model, params, jnp.ones((5, 4)))
    >>> jax.tree.map(jnp.shape, outputs)
    {'a1': (5, 3), 'z1': (5, 3), 'z2': (5, 2)}
    """
    _, outputs = _recorded(layer).apply(params, state, x)
    return outputs


def _recorded(layer: Layer) -> Layer:
    """The layer with its output in the place of the state that it returns."""
    if layer.layers:
        entries, parts = zip(*layer.layers, strict=True)
        recorded = [_recorded(part) for part in parts]
        named = isinstance(entries[0], str)
        return serial(**dict(zip(entries, recorded, strict=True))) if named else serial(*recorded)

    def apply(params: Any, state: Any, x: Any, **options: Any) -> Any:
        y, _ = layer.apply(params, state, x, **options)
        return y, y

    return Layer(layer.init, apply, layer.name, layer.uses_key)
