"""What goes on inside of a layer made of layers: the outputs along the way."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from funcnn.nn.layer import Layer, as_layer


def intermediates(layer: Layer, params: Any, x: Any, state: Any = ()) -> Any:
    """The output of every layer at inference: all z and a of a multilayer perceptron, say.

    Returns them in the structure of `params`, with a layer's output in the place of its parameters:
    a tuple, or a dict where layers are named; a combinator within gives a tuple or dict within, and
    so on for combinators of every kind. In `repeat` they are stacked, as its parameters are. The
    outputs of a layer that is `shared` are a tuple in its one place, in the order of its uses.

    Args:
      layer: a combinator. Of any other layer, the output is returned.
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
    _, recorded = recording(layer, lambda params, state, x, y: y).apply(params, state, x)

    def outputs(leaf: Any) -> Any:
        if not isinstance(leaf, Recorded):
            return leaf
        return leaf.calls[0] if len(leaf.calls) == 1 else leaf.calls

    return jax.tree.map(outputs, recorded, is_leaf=lambda node: isinstance(node, Recorded))


class Recorded(NamedTuple):
    """A layer's state, and what was noted at each call of it."""

    state: Any
    calls: tuple[Any, ...]


def recording(layer: Layer, note: Callable[[Any, Any, Any, Any], Any]) -> Layer:
    """The layer with `Recorded` in the place of the state that each layer in it returns.

    What is noted leaves by the way that state has: that is pure, and the combinators that scan
    their layer or checkpoint it need not know of it.

    Args:
      note: `note(params, state, x, y)`, a pytree to be recorded at a call.
    """

    def record(path: Any, leaf: Layer) -> Layer:
        def apply(params: Any, state: Any, x: Any, **options: Any) -> Any:
            # called again, as an entry that others share
            before = state if isinstance(state, Recorded) else Recorded(state, ())
            y, after = leaf.apply(params, before.state, x, **options)
            noted = note(params, before.state, x, y)
            return y, Recorded(after, (*before.calls, noted))

        return Layer(leaf.init, apply, leaf.name, leaf.uses_key)

    return map_layers(record, as_layer(layer))


def map_layers(
    function: Callable[[tuple[int | str, ...], Layer], Layer],
    layer: Layer,
    path: tuple[int | str, ...] = (),
    **options: Any,
) -> Layer:
    """The layer with `function(path, leaf)` in the place of each layer that is no combinator.

    Args:
      path: the entries that lead to the layer.
      options: for `Layer.rebuild` of each combinator.
    """
    if layer.rebuild is None:
        return function(path, layer)
    parts = [
        map_layers(function, part, path if entry is None else (*path, entry), **options)
        for entry, part in layer.layers
    ]
    return layer.rebuild(parts, **options)
