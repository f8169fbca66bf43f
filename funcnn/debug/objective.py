"""What a gradient is taken of: a plain function, or the mean loss of a model in training."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from funcnn.nn import Layer


def check_arguments(
    name: str, model: Any, args: tuple[Any, ...], loss: Any, state: Any, key: Any
) -> None:
    """TypeError for a layer without a loss, and for a function with what is for layers."""
    if isinstance(model, Layer):
        if loss is None or not args:
            raise TypeError(
                f"{name}: of a layer, expected x and a loss of its outputs, as in "
                f"{name}(model, params, x, y, loss=losses.squared_error), got "
                f"{len(args)} arguments after params and loss={loss!r}"
            )
        return
    if not callable(model):
        raise TypeError(
            f"{name}: expected a Layer or a function loss(params, *args), got {model!r}"
        )
    if loss is not None or key is not None or jax.tree.leaves(state):
        raise TypeError(
            f"{name}: loss, state and key are for a Layer; a function is called as "
            "loss(params, *args): give it what it needs there"
        )


def check_numbers(name: str, args: tuple[Any, ...] = (), **trees: Any) -> None:
    """TypeError for tracers and shapes and, except among `args`, for what is no array at all."""
    named = {**trees, **{f"argument {i}": arg for i, arg in enumerate(args, 1)}}
    for what, tree in named.items():
        for path, leaf in jax.tree.leaves_with_path(tree):
            where = what + jax.tree_util.keystr(path)
            if isinstance(leaf, jax.core.Tracer):
                raise TypeError(
                    f"{name}: {where} is being traced. It needs numbers: call it with arrays, "
                    "outside of jit, vmap and gradients (the function itself may be jitted)"
                )
            if isinstance(leaf, jax.ShapeDtypeStruct):
                raise TypeError(
                    f"{name}: expected an array as {where}, got a jax.ShapeDtypeStruct: it needs "
                    "numbers; costs and graph.trace do with shapes"
                )
            if what in trees and not hasattr(leaf, "dtype") and not isinstance(leaf, _NUMBERS):
                raise TypeError(
                    f"{name}: expected arrays in {what}, got {leaf!r} as {where}: what is none is "
                    "an argument, or what the function closes over"
                )


_NUMBERS = bool | int | float | complex


def mean_loss(
    model: Layer, loss: Callable[..., Any], params: Any, state: Any, key: Any, *args: Any
):
    """The mean of `loss(outputs, *targets)` in training, for args (x, *targets)."""
    x, *targets = args
    y, _ = model.apply(params, state, x, key=key, train=True)
    with jax.named_scope("loss"):
        return jnp.mean(loss(y, *targets))


def value_of(returned: Any) -> Any:
    """The scalar, of a function that returns it or a pair of it and anything else."""
    return returned[0] if isinstance(returned, tuple) else returned


def arrays_of(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves that have a shape, and what makes the tree of others in their place.

    What has none (a length, a name) is to be the function's own, not traced.
    """
    leaves, structure = jax.tree.flatten(tree)
    is_array = [hasattr(leaf, "shape") for leaf in leaves]

    def rebuilt(arrays: Sequence[Any]) -> Any:
        ahead = iter(arrays)
        pairs = zip(leaves, is_array, strict=True)
        return jax.tree.unflatten(structure, [next(ahead) if a else leaf for leaf, a in pairs])

    return [leaf for leaf, a in zip(leaves, is_array, strict=True) if a], rebuilt


def check_scalar(name: str, outputs: Sequence[Any]) -> None:
    """TypeError where a function has returned anything but a scalar; by shapes."""
    if len(outputs) != 1 or outputs[0].shape != ():
        got = [output.shape for output in outputs]
        raise TypeError(
            f"{name}: expected loss(params, *args) to return a scalar, or a tuple that begins with "
            f"one, got {f'an array of shape {got[0]}' if len(got) == 1 else f'{len(got)} arrays'}: "
            "take the mean of one"
        )
