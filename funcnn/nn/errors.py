"""What a layer says when its input is wrong, and where: the layer's path before the message."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp


class at:
    """An error that leaves this block says in which layer it was raised.

    The combinators open one block a layer. The error keeps its type and its traceback; its message
    grows from the inside out, with the entries that lead to the layer's part of `params`:

    >>> with at(2), at("conv1"):
    ...     raise ValueError("expected NHWC input, got shape (64, 784)")
    Traceback (most recent call last):
    ValueError: [2]['conv1']: expected NHWC input, got shape (64, 784)

    The path alone is in the error's attribute `layer_path`.

    It is a `jax.named_scope` too: profiles, compiled programs and `funcnn.graph` know the layer.
    """

    def __init__(self, entry: int | str):
        self.entry = entry
        self.scope = jax.named_scope(f"[{entry!r}]")

    def __enter__(self) -> None:
        self.scope.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.scope.__exit__(kind, error, traceback)
        if not isinstance(error, Exception):
            return
        inner = getattr(error, "layer_path", "")
        path = f"[{self.entry!r}]{inner}"
        error.layer_path = path  # type: ignore[attr-defined]
        # An error that makes its own text (KeyError, say) leaves no place for the path in it.
        if type(error).__str__ is BaseException.__str__ and [type(a) for a in error.args] == [str]:
            error.args = (f"{path}: {error.args[0].removeprefix(f'{inner}: ')}",)
        else:
            error.add_note(f"in layer {path}")


def expect_entries(what: str, tree: Any, *names: str) -> tuple[Any, ...]:
    """The values of a dict, in the order of `names`; ValueError for any other structure.

    >>> expect_entries("params", {"bias": 1, "kernel": 2}, "kernel", "bias")
    (2, 1)
    >>> expect_entries("params", {"kernel": 2}, "kernel", "bias")
    Traceback (most recent call last):
    ValueError: expected params {'kernel', 'bias'}, got {'kernel'}: ...
    """
    if isinstance(tree, Mapping) and set(tree) == set(names):
        return tuple(tree[name] for name in names)
    raise ValueError(
        f"expected {what} {_braced(names)}, got {describe(tree)}: use the {what} that this model's "
        f"init returned{', and apply(params, state, x)' if what == 'state' else ''}"
    )


def describe(tree: Any) -> str:
    """A few words on the outermost level of a pytree, for an error message."""
    if isinstance(tree, Mapping):
        return _braced(tree)
    if isinstance(tree, tuple | list):
        return f"a {type(tree).__name__} of {len(tree)}" if tree else repr(tree)
    if hasattr(tree, "shape"):
        return f"an array of shape {tree.shape}"
    return repr(tree)


def _braced(names: Any) -> str:
    return "{" + ", ".join(repr(name) for name in names) + "}"


def expect_inexact(what: str, x: Any) -> None:
    """TypeError where `x` holds integers: images come as uint8 and are to be scaled first."""
    if not hasattr(x, "dtype"):
        raise TypeError(f"{what}: expected an array x, got {describe(x)}")
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(
            f"{what}: expected floating x, got {x.dtype} of shape {x.shape}: convert it, "
            "and scale images to [0, 1], with x.astype(jnp.float32) / 255"
        )


def expect_key(key: Any) -> None:
    """TypeError where `key` is no key at all (a seed, None)."""
    if not hasattr(key, "dtype"):
        raise TypeError(f"expected a key, as from jax.random.key(0), got {key!r}")
