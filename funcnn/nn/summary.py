"""summary: what a model consists of, as a table and as data."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.nn.flops import count_flops
from funcnn.nn.intermediates import Recorded, map_layers, recording
from funcnn.nn.layer import Layer, Window, as_layer, shape_of, without_params
from funcnn.nn.parameters import count_parameters

Path = tuple[int | str, ...]


class Row(NamedTuple):
    """A layer that is no combinator, or one call of it where others share it.

    Attributes:
      path: the entries that lead to it in `params`.
      layer: how it prints.
      shape: that of its output; a pytree of shapes where it gives several arrays.
      parameters: how many.
      flops: how many floating point operations its `apply` takes at inference, see
        `funcnn.nn.flops.count_flops`. With `repeat`, those of all the copies; the parameters too.
      receptive_field: how many pixels of the input an output of a convolution or of pooling sees
        along each axis; None for all other layers.
    """

    path: Path
    layer: str
    shape: Any
    parameters: int
    flops: int
    receptive_field: tuple[int, ...] | None


@dataclass(frozen=True, repr=False)
class Summary:
    """What `summary` returns: rows, and their sums. It prints as a table."""

    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def flops(self) -> int:
        return sum(row.flops for row in self.rows)

    def __repr__(self) -> str:
        header = ["path", "layer", "output", "parameters", "flops", "receptive field"]
        lines = [
            [
                "".join(f"[{entry!r}]" for entry in row.path),
                row.layer,
                _shown(row.shape),
                f"{row.parameters:,}",
                f"{row.flops:,}",
                "×".join(map(str, row.receptive_field or ())),
            ]
            for row in self.rows
        ]
        lines.append(["total", "", "", f"{self.parameters:,}", f"{self.flops:,}", ""])
        if not any(row.receptive_field for row in self.rows):
            header, lines = header[:-1], [line[:-1] for line in lines]
        return table(header, lines)


def summary(layer: Layer | Callable[[Any], Any], x: Any) -> Summary:
    """The layers of a model with their outputs, parameters and floating point operations.

    Nothing is computed: all is found from shapes, and by XLA for the CPU without compiling.

    Args:
      layer: a combinator, or any layer.
      x: an input, or the `jax.ShapeDtypeStruct` of one. Outputs and flops are for this batch.

    Raises:
      What `layer.init` raises for x.

    Source: deck A, row 11 (784-30-30-10 has 24,790 parameters); the receptive field: Araujo et al.,
    "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019, row 44.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> model = nn.serial(nn.dense(30), jax.nn.relu, nn.dense(30), jax.nn.relu, nn.dense(10))
    >>> nn.summary(model, jax.ShapeDtypeStruct((1, 784), jnp.float32))
    path   layer      output   parameters   flops
    -----  ---------  -------  ----------  ------
    [0]    dense(30)  (1, 30)      23,550  47,070
    [1]    relu       (1, 30)           0      30
    [2]    dense(30)  (1, 30)         930   1,830
    [3]    relu       (1, 30)           0      30
    [4]    dense(10)  (1, 10)         310     610
    total                          24,790  49,570
    """
    layer, x = as_layer(layer), shape_of(x)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, state = jax.eval_shape(layer.init, key, x)
    # by shapes alone; an axis before the marker's own is one of `repeat`
    note = lambda *call: (jnp.zeros(0), *call)
    _, recorded = jax.eval_shape(recording(layer, note).apply, params, state, x)
    leaves = list(called_layers(layer, (), params, recorded))
    fields = _receptive_fields(layer, {path: calls[0] for path, _, _, calls in leaves}, x)
    rows = []
    for path, leaf, made, calls in leaves:
        for again, (marker, *call) in enumerate(calls):
            copies = marker.shape[:-1]
            p, s, before, after = without_axes(len(copies), call)
            times = math.prod(copies)
            rows.append(
                Row(
                    path,
                    f"{times} × {leaf}" if copies else f"{leaf}",
                    jax.tree.map(lambda a: a.shape, after),
                    0 if again else count_parameters(made),
                    times * count_flops(leaf.apply, p, s, before),
                    fields.get(path),
                )
            )
    return Summary(tuple(rows))


def called_layers(layer: Layer, path: Path, params: Any, recorded: Any) -> Iterator[Any]:
    """(path, layer, its params, its calls) for each layer that is no combinator and is called."""
    if isinstance(recorded, Recorded):
        yield path, layer, params, recorded.calls
        return
    # what is shared is noted where its parameters are
    for entry, part in layer.layers if recorded != () else ():
        if entry is None:
            yield from called_layers(part, path, params, recorded)
        else:
            yield from called_layers(part, (*path, entry), params[entry], recorded[entry])


def without_axes(n: int, tree: Any) -> Any:
    """Shapes and dtypes, without the first n axes."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[n:], a.dtype), tree)


def _receptive_fields(
    layer: Layer, calls: Mapping[Path, Any], x: Any
) -> dict[Path, tuple[int, ...]]:
    """The receptive field of each layer that has a window, by its path.

    The model is run on other values: in the place of each array goes how many pixels of the input
    it sees, and how many lie between two neighbours. A layer goes on with the largest of those that
    it is given, and so do the places where outputs are joined.
    """
    windows: dict[Path, Window] = {}

    def through(path: Path, leaf: Layer) -> Layer:
        if leaf.window and path in calls:
            windows[path] = leaf.window

        def function(x: Any) -> Any:
            seen = _seen_through(leaf.window, _largest(x))
            return jax.tree.map(lambda y: seen, calls[path][-1] if path in calls else x)

        return without_params(function, leaf.name)

    model = map_layers(through, layer, join=_largest)
    if not windows:
        return {}
    axes = max(len(window.kernel_size) for window in windows.values())

    @jax.jit
    def run() -> Any:
        start = jax.tree.map(lambda a: jnp.ones((2, axes), jnp.int32), x)
        params, state = model.init(jax.random.key(0), start)
        noted = recording(model, lambda params, state, x, y: _largest(y))
        _, recorded = noted.apply(params, state, start)
        return {path: calls for path, _, _, calls in called_layers(layer, (), params, recorded)}

    fields = run()
    return {
        path: tuple(np.reshape(fields[path][0], (-1, 2, axes))[-1, 0].tolist()) for path in windows
    }


def _seen_through(window: Window | None, seen: jax.Array) -> jax.Array:
    """Field and jump after a window, which is of the first axes; (2, axes) as before it."""
    if window is None:
        return seen
    axes = seen.shape[1]
    kernel, stride, dilation = (jnp.asarray([*w, *[1] * axes][:axes]) for w in window)
    field, jump = seen
    return jnp.stack([field + (kernel - 1) * dilation * jump, jump * stride])


def _largest(tree: Any) -> jax.Array:
    return functools.reduce(jnp.maximum, jax.tree.leaves(tree))


def _shown(shapes: Any) -> str:
    leaves = jax.tree.leaves(shapes, is_leaf=_is_shape)
    return ", ".join(map(str, leaves))


def _is_shape(node: Any) -> bool:
    return isinstance(node, tuple) and all(isinstance(size, int) for size in node)


def table(header: Sequence[str], lines: Sequence[Sequence[str]], left: int = 3) -> str:
    """Text in columns, the first `left` of them at the left side, numbers at the right."""
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    sides = [str.ljust] * left + [str.rjust] * (len(header) - left)

    def aligned(line: Sequence[str]) -> str:
        cells = zip(sides, line, widths, strict=True)
        return "  ".join(side(cell, width) for side, cell, width in cells).rstrip()

    rule = ["-" * width for width in widths]
    return "\n".join(map(aligned, [header, rule, *lines]))
