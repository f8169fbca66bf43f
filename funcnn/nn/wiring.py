"""A layer made of layers: what `serial`, `parallel`, `dag` and their kin have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax

from funcnn.nn.errors import at, describe, expect_entries, expect_key
from funcnn.nn.layer import Layer, as_layer, expect_no_params, shape_of, stateless

Entry = int | str
Run = Callable[[Any, Any], Any]


@dataclass(frozen=True, repr=False)
class shared:
    """In the place of a layer in a combinator: the parameters of another entry, used once more.

    `shared(entry)` is the layer of that entry again, with its parameters and its state: one set of
    weights for two inputs. `shared(entry, function)` calls `function(params, x)` with the
    parameters of that entry: the kernel of an embedding, say, as the last layer of a language
    model. Its own entry in `params` is `()`, so that nothing is stored, counted, regularized or
    updated twice, and the gradient of the one array is the sum over its uses.

    Args:
      entry: the position or name of an entry of the same combinator, in `serial` and its kin an
        earlier one. Nodes of a `dag` may stand in any order.
      function: `function(params, x) -> y`, or None for the layer itself.

    Source: Press and Wolf, "Using the Output Embedding to Improve Language Models", 2017; Bromley
    et al., "Signature Verification using a Siamese Time Delay Neural Network", 1993.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> autoencoder = nn.serial(
    ...     encode=nn.dense(3, use_bias=False),
    ...     decode=nn.shared("encode", lambda params, z: z @ params["kernel"].T),
    ... )
    >>> params, state = autoencoder.init(jax.random.key(0), jnp.ones((5, 8)))
    >>> jax.tree.map(jnp.shape, params)
    {'decode': (), 'encode': {'kernel': (8, 3)}}
    >>> autoencoder(params, jnp.ones((5, 8))).shape
    (5, 8)
    """

    entry: Entry
    function: Callable[[Any, Any], Any] | None = None

    def __repr__(self) -> str:
        function = getattr(self.function, "__name__", self.function)
        return f"shared({self.entry!r}{'' if self.function is None else f', {function}'})"


@dataclass(frozen=True)
class Part:
    """A layer of a combinator, and the entries that hold its params and its state."""

    layer: Layer
    params_of: Entry
    state_of: Entry


def add_part(parts: dict[Any, Part], entry: Entry, layer: Any) -> None:
    """Adds a layer, a plain function, or what is `shared` with one of the parts that are there."""
    with at(entry):
        if not isinstance(layer, shared):
            parts[entry] = Part(as_layer(layer), entry, entry)
            return
        source = parts.get(layer.entry)
        if source is None:
            raise ValueError(
                f"{layer}: expected the entry of a layer before it, one of {list(parts)}, "
                f"got {layer.entry!r}"
            )
        if layer.function is None:
            parts[entry] = replace(source, layer=replace(source.layer, name=f"{layer}"))
        else:
            again = stateless(lambda key, x: (), layer.function, f"{layer}")
            parts[entry] = Part(again, source.params_of, entry)


def parts_of(kind: str, layers: Sequence[Any], named: Mapping[str, Any]) -> dict[Any, Part]:
    """The parts of a combinator whose layers are given all by position or all by name."""
    if layers and named:
        raise TypeError(f"{kind} takes its layers either all by position or all by name")
    parts: dict[Any, Part] = {}
    for entry, layer in named.items() if named else enumerate(layers):
        add_part(parts, entry, layer)
    return parts


def pack(parts: Mapping[Any, Any], values: Mapping[Any, Any]) -> Any:
    """One value an entry, as a tuple or, where the entries are names, as a dict."""
    if any(isinstance(entry, str) for entry in parts):
        return {entry: values[entry] for entry in parts}
    return tuple(values[entry] for entry in parts)


def unpack(parts: Mapping[Any, Any], tree: Any) -> dict[Any, Any] | None:
    """The values that `pack` packed, by entry; None where the tree has other entries."""
    if any(isinstance(entry, str) for entry in parts):
        right = isinstance(tree, Mapping) and set(tree) == set(parts)
        return {entry: tree[entry] for entry in parts} if right else None
    right = isinstance(tree, tuple | list) and len(tree) == len(parts)
    return dict(enumerate(tree)) if right else None


def _unpacked(what: str, parts: Mapping[Any, Any], tree: Any) -> dict[Any, Any]:
    """`unpack` for params and state; ValueError for those of another model."""
    values = unpack(parts, tree)
    if values is not None:
        return values
    if any(isinstance(entry, str) for entry in parts):
        expect_entries(what, tree, *parts)
    raise ValueError(
        f"expected {what} with one entry for each of {len(parts)} layers, got "
        f"{describe(tree)}: use the {what} that this model's init returned"
    )


def combined(
    name: str,
    parts: Mapping[Any, Part],
    wiring: Callable[[Run, Any], Any],
    join: Callable[[Any], Any] | None = None,
) -> Layer:
    """The layer whose output is `join(wiring(run, x))`, or `wiring(run, x)` without `join`.

    Args:
      name: how the layer prints.
      parts: its layers, each with its entry in `params` and `state`.
      wiring: calls `run(entry, x) -> y` for each part, and does nothing else with what goes in and
        comes out than to hand it on: in `init` these are shapes.
      join: a function of arrays, applied to what `wiring` returns.
    """
    position = {entry: i for i, entry in enumerate(parts)}
    own_join = join

    def init(key: Any, x: Any) -> tuple[Any, Any]:
        expect_key(key)
        params: dict[Any, Any] = dict.fromkeys(parts, ())
        states: dict[Any, Any] = dict.fromkeys(parts, ())

        def run(entry: Any, x: Any) -> Any:
            part = parts[entry]
            with at(entry):
                if part.params_of == entry:
                    part_key = jax.random.fold_in(key, position[entry])
                    params[entry], states[entry] = part.layer.init(part_key, x)
                p, s = params[part.params_of], states[part.state_of]
                return jax.eval_shape(part.layer.apply, p, s, x)[0]

        outputs = wiring(run, shape_of(x))
        if join:
            jax.eval_shape(join, outputs)
        return pack(parts, params), pack(parts, states)

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        params = _unpacked("params", parts, params)
        # () is what a layer without state is called with, at any depth.
        no_state = isinstance(state, tuple) and not state
        states = dict.fromkeys(parts, ()) if no_state else _unpacked("state", parts, state)

        def run(entry: Any, x: Any) -> Any:
            part = parts[entry]
            with at(entry):
                if part.params_of != entry:
                    expect_no_params(part.layer.name, params[entry])
                use_key = key is not None and part.layer.uses_key
                y, states[part.state_of] = part.layer.apply(
                    params[part.params_of],
                    states[part.state_of],
                    x,
                    key=jax.random.fold_in(key, position[entry]) if use_key else None,
                    train=train,
                )
            return y

        outputs = wiring(run, x)
        return join(outputs) if join else outputs, pack(parts, states)

    def rebuild(layers: Sequence[Layer], join: Callable[[Any], Any] | None = None) -> Layer:
        pairs = zip(parts.items(), layers, strict=True)
        others = {entry: replace(part, layer=layer) for (entry, part), layer in pairs}
        return combined(name, others, wiring, join if own_join and join else own_join)

    layers = tuple((entry, part.layer) for entry, part in parts.items())
    uses_key = any(layer.uses_key for _, layer in layers)
    return Layer(init, apply, name, uses_key, layers, rebuild)


def described(kind: str, parts: Mapping[Any, Part]) -> str:
    """How a combinator prints: its kind, and its layers.

    >>> from funcnn import nn
    >>> described("serial", parts_of("serial", (nn.dense(3), nn.flatten), {}))
    'serial(dense(3), flatten)'
    """
    named = any(isinstance(entry, str) for entry in parts)
    each = (f"{entry}={part.layer}" if named else f"{part.layer}" for entry, part in parts.items())
    return f"{kind}({', '.join(each)})"
