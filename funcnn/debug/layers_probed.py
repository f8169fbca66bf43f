"""The gradient at every layer of a model: zeros are added to what goes in and comes out of it.

The gradient with respect to such a zero is that of the value it was added to. In and out, the zeros
and what is measured travel with the layer's state, so that layers in a scan (`repeat`) and under a
checkpoint (`remat`) are probed like all others.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnn.debug.flow import Path
from funcnn.debug.measured import Gradients, Measured, measure
from funcnn.debug.objective import mean_loss
from funcnn.debug.slopes import could_be_elementwise
from funcnn.nn import Layer
from funcnn.nn.intermediates import Recorded, map_layers, recording
from funcnn.nn.summary import called_layers, without_axes


def flow_of_layers(
    model: Layer,
    loss: Callable[..., Any],
    params: Any,
    state: Any,
    key: jax.Array,
    args: tuple[Any, ...],
    grad: Callable[..., Any],
) -> tuple[jax.Array, Measured]:
    """The mean loss, and what is measured at each call of each layer that is no combinator."""
    _, noted = _noting(model).apply(params, state, args[0], key=key, train=True)
    probes = _map_layers_of(Recorded, lambda r: [(zeros(c.x), zeros(c.y)) for c in r.calls], noted)

    def of_probes(params: Any, probes: Any) -> Any:
        ready = _map_layers_of(
            Recorded, lambda r, zeros: _Probed(r.calls[0].state, zeros), noted, probes
        )
        return mean_loss(_adding(model), loss, params, ready, key, *args)

    value, (of_params, of_probed) = grad(of_probes, argnums=(0, 1))(params, probes)
    together = _map_layers_of(Recorded, lambda r, gs: Recorded((), (r.calls, gs)), noted, of_probed)
    return value, measure(list(_calls(model, of_params, together)), grad)


class _Probed(NamedTuple):
    """In the place of a layer's state: that state, and zeros for each call that is to come."""

    state: Any
    probes: Any


class _Call(NamedTuple):
    """A call of a layer. The marker has no entries: its axes but the last are those of `repeat`."""

    marker: jax.Array
    state: Any
    x: Any
    y: Any


def zeros(tree: Any) -> Any:
    """A zero for each entry that can have a gradient, None in the place of other arrays."""
    inexact = lambda a: jnp.issubdtype(a.dtype, jnp.inexact)
    return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype) if inexact(a) else None, tree)


def added(tree: Any, probe: Any) -> Any:
    """`tree` with its zeros added."""
    return jax.tree.map(
        lambda zero, a: a if zero is None else a + zero, probe, tree, is_leaf=lambda p: p is None
    )


def _noting(model: Layer) -> Layer:
    """The model, with `Recorded` calls in the place of its layers' states."""
    return recording(model, lambda params, state, x, y: _Call(jnp.zeros(0), state, x, y))


def _adding(model: Layer) -> Layer:
    """The model, with its probes added; they come in the place of its layers' states."""

    def probe(path: Any, leaf: Layer) -> Layer:
        def apply(params: Any, state: _Probed, x: Any, **options: Any) -> Any:
            at_x, at_y = state.probes[0]
            y, after = leaf.apply(params, state.state, added(x, at_x), **options)
            # a shared layer is called again with the state that it returns
            return added(y, at_y), state._replace(state=after, probes=state.probes[1:])

        return Layer(leaf.init, apply, leaf.name, leaf.uses_key)

    return map_layers(probe, model)


def _map_layers_of(kind: type, function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    return jax.tree.map(function, tree, *others, is_leaf=lambda node: isinstance(node, kind))


def _calls(model: Layer, of_params: Any, noted: Any) -> Iterator[Gradients]:
    scans = _scans(model)
    starts: dict[Path, int] = {}
    layers = called_layers(model, (), of_params, noted)
    for position, (path, leaf, by_params, (calls, gs)) in enumerate(layers):
        scan = next((scan for scan in scans if path[: len(scan)] == scan), None)
        start = position if scan is None else starts.setdefault(scan, position)
        for again, (call, (by_x, by_y)) in enumerate(zip(calls, gs, strict=True)):
            copies = call.marker.shape[:-1]
            shape = jax.tree.map(lambda a: a.shape, without_axes(len(copies), call.y))
            known = path, str(leaf), shape, (start, position), copies
            of_params = () if again else by_params
            yield Gradients(*known, by_x, by_y, of_params, _activation(leaf, by_params, call))


def _activation(leaf: Layer, params: Any, call: _Call) -> Any:
    """The layer as a function of its input, and that, where it may be an activation."""
    plain = not jax.tree.leaves((params, call.state)) and not leaf.uses_key
    if not plain or not could_be_elementwise(call.x, call.y):
        return None
    return lambda x: leaf.apply(params, call.state, x, train=True)[0], call.x


def _scans(layer: Layer, path: Path = ()) -> list[Path]:
    """The paths of `repeat`s that are in no other: their copies come one after another."""
    if layer.name.startswith("repeat("):
        return [path]
    inner = ((part, path if entry is None else (*path, entry)) for entry, part in layer.layers)
    return [scan for part, at in inner for scan in _scans(part, at)]
