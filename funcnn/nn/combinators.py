"""Layers one after another and side by side."""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from funcnn.nn.errors import describe
from funcnn.nn.layer import Layer
from funcnn.nn.wiring import Part, Run, combined, described, pack, parts_of, shared, unpack

LayerLike = Layer | Callable[[Any], Any] | shared


def serial(*layers: LayerLike, **named: LayerLike) -> Layer:
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
    parts = parts_of("serial", layers, named)

    def wiring(run: Run, x: Any) -> Any:
        for entry in parts:
            x = run(entry, x)
        return x

    return combined(described("serial", parts), parts, wiring)


def parallel(*layers: LayerLike, **named: LayerLike) -> Layer:
    """Layers side by side, each with an input of its own.

    The input is a tuple with one entry a layer, or a dict where the layers are given by name, and
    so is the output. `params`, `state` and keys are as in `serial`. For one input to all, see
    `branch`.

    Raises:
      TypeError: an entry that is neither a Layer nor a function; layers with and without names.
      ValueError: an input with other entries.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> towers = nn.parallel(pixels=nn.serial(nn.flatten, nn.dense(8)), age=nn.dense(2))
    >>> x = {"pixels": jnp.ones((5, 28, 28)), "age": jnp.ones((5, 1))}
    >>> params, state = jax.eval_shape(towers.init, jax.random.key(0), x)
    >>> y = jax.eval_shape(towers, params, x)
    >>> y["pixels"].shape, y["age"].shape
    ((5, 8), (5, 2))
    """
    parts = parts_of("parallel", layers, named)

    def wiring(run: Run, x: Any) -> Any:
        inputs = unpack(parts, x)
        if inputs is None:
            raise ValueError(
                f"parallel: expected x with one input for each of {list(parts)}, got "
                f"{describe(x)}: for one input to all of them, nn.branch"
            )
        return pack(parts, {entry: run(entry, inputs[entry]) for entry in parts})

    return combined(described("parallel", parts), parts, wiring)


def branch(*layers: LayerLike, **named: LayerLike) -> Layer:
    """Layers side by side, all with the same input; the output is a tuple or a dict of theirs.

    `params`, `state` and keys are as in `serial`. To join the outputs: `concatenate` and `add`.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> heads = nn.branch(digit=nn.dense(10), is_even=nn.dense(1))
    >>> params, state = jax.eval_shape(heads.init, jax.random.key(0), jnp.ones((5, 30)))
    >>> y = jax.eval_shape(heads, params, jnp.ones((5, 30)))
    >>> y["digit"].shape, y["is_even"].shape
    ((5, 10), (5, 1))
    """
    return _branches("branch", parts_of("branch", layers, named))


def concatenate(*layers: LayerLike, axis: int = -1, **named: LayerLike) -> Layer:
    """Layers side by side with the same input, their outputs concatenated along `axis`.

    Raises:
      TypeError: no layers; one that is neither a Layer nor a function; with and without names.
      ValueError: outputs that differ along another axis.

    Source: Szegedy et al., "Going Deeper with Convolutions", 2014; x beside its features, row 7.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> both_ways = nn.concatenate(lambda x: x, jnp.square)
    >>> both_ways(((), ()), jnp.array([[2.0, 3.0]]))
    Array([[2., 3., 4., 9.]], dtype=float32)
    """
    parts = parts_of("concatenate", layers, named)

    def join(outputs: Mapping[Any, jax.Array]) -> jax.Array:
        _expect_same("concatenate", outputs, lambda shape: shape[:axis] + shape[axis:][1:])
        return jnp.concatenate(list(outputs.values()), axis)

    return _branches("concatenate", parts, join)


def add(*layers: LayerLike, **named: LayerLike) -> Layer:
    """Layers side by side with the same input: the sum of their outputs.

    Raises:
      TypeError: no layers; one that is neither a Layer nor a function; with and without names.
      ValueError: outputs of different shapes.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> nn.add(jnp.sin, jnp.cos)(((), ()), jnp.zeros((2, 1)))
    Array([[1.],
           [1.]], dtype=float32)
    """
    parts = parts_of("add", layers, named)
    return _branches("add", parts, _sum("add"))


def residual(layer: LayerLike, shortcut: LayerLike | None = None) -> Layer:
    """y = x + f(x), or s(x) + f(x) with a shortcut s where the shapes of x and f(x) differ.

    `params` and `state` are {"layer": those of f, "shortcut": those of s, or ()}.

    Args:
      layer: f.
      shortcut: s, None for the identity: a `dense` or a 1 by 1 `conv` that projects x.

    Raises:
      ValueError: f(x) of another shape than x, or than s(x).

    Source: He et al., "Deep Residual Learning for Image Recognition", 2015; row 44.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> block = nn.residual(nn.serial(nn.dense(8), jax.nn.relu), shortcut=nn.dense(8))
    >>> params, state = jax.eval_shape(block.init, jax.random.key(0), jnp.ones((5, 3)))
    >>> jax.eval_shape(block, params, jnp.ones((5, 3))).shape
    (5, 8)
    >>> nn.residual(nn.dense(8)).init(jax.random.key(0), jnp.ones((5, 3)))
    Traceback (most recent call last):
    ValueError: residual: expected outputs of the same shape, got layer (5, 8), shortcut (5, 3): ...
    """
    named = {"layer": layer, "shortcut": identity if shortcut is None else shortcut}
    hint = ": make them equal by a shortcut that projects x, as in shortcut=nn.dense(8)"
    return _branches("residual", parts_of("residual", (), named), _sum("residual", hint))


def identity(x: Any) -> Any:
    return x


def _branches(
    kind: str, parts: Mapping[Any, Part], join: Callable[[Any], jax.Array] | None = None
) -> Layer:
    """One input to all parts. `join` takes their outputs as a dict; without it they are packed."""
    if not parts:
        raise TypeError(f"{kind} expects at least one layer")

    def wiring(run: Run, x: Any) -> Any:
        outputs = {entry: run(entry, x) for entry in parts}
        return outputs if join else pack(parts, outputs)

    return combined(described(kind, parts), parts, wiring, join)


def _sum(kind: str, hint: str = "") -> Callable[[Any], jax.Array]:
    def join(outputs: Mapping[Any, jax.Array]) -> jax.Array:
        _expect_same(kind, outputs, lambda shape: shape, hint)
        return functools.reduce(operator.add, outputs.values())

    return join


def _expect_same(
    kind: str, outputs: Mapping[Any, Any], part: Callable[[Any], Any], hint: str = ""
) -> None:
    """ValueError where `part` of the outputs' shapes differs."""
    if len({part(jnp.shape(y)) for y in outputs.values()}) > 1:
        shapes = ", ".join(f"{entry} {jnp.shape(y)}" for entry, y in outputs.items())
        raise ValueError(f"{kind}: expected outputs of the same shape, got {shapes}{hint}")
