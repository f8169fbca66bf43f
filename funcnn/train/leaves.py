"""The arrays of a pytree by their path, for what is written to the disk and compared again."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn import paths


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves by path, in the order of `jax.tree.leaves`; ValueError where two have the same.

    >>> named_leaves(({"kernel": 1.0}, {"kernel": 2.0}))
    {'0/kernel': 1.0, '1/kernel': 2.0}
    """
    names = paths.names(tree)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two leaves have the path {twice!r}: leave / out of the names of entries")
    return dict(zip(names, jax.tree.leaves(tree), strict=True))


def is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def described(leaf: Any) -> str:
    """Dtype and shape in words.

    >>> described(jnp.zeros((2, 3), jnp.bfloat16)), described(jax.random.key(0))
    ('bfloat16 (2, 3)', 'key of threefry2x32 ()')
    """
    kind = f"key of {jax.random.key_impl(leaf)}" if is_key(leaf) else str(leaf.dtype)
    return f"{kind} {tuple(leaf.shape)}"


def expect_same(what: str, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """ValueError for the first name that the two describe differently.

    >>> expect_same("the file differs", {"w": "float32 (3,)"}, {"w": "float32 (4,)"})
    Traceback (most recent call last):
    ValueError: the file differs: w: expected float32 (3,), found float32 (4,)
    """
    names = dict.fromkeys((*expected, *found))
    differing = [name for name in names if expected.get(name) != found.get(name)]
    if differing:
        name, more = differing[0], len(differing) - 1
        raise ValueError(
            f"{what}: {name}: expected {expected.get(name, 'no such leaf')}, found "
            + found.get(name, "no such leaf")
            + (f" (and {more} more differ)" if more else "")
        )


def bits_of(leaf: jax.Array) -> jax.Array:
    """What can be written of a leaf: a key's words, and all else as it is."""
    return jax.random.key_data(leaf) if is_key(leaf) else leaf


def from_bits(bits: jax.Array, leaf: jax.Array) -> jax.Array:
    """`bits` as `leaf` has them: as a key, and no more bound to its device than `leaf` is."""
    if not leaf.committed:
        bits = jnp.array(np.asarray(bits))
    if is_key(leaf):
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))
    return bits
