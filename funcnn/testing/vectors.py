"""Lists of arrays as one vector of real numbers, and back. A complex number is two of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Leaf(NamedTuple):
    """One array of a pytree, and where it lies in the vector."""

    path: str
    shape: tuple[int, ...]
    dtype: Any
    weak: bool
    """a Python number, or as good as one: it must stay one, for it does not widen others"""
    start: int

    @property
    def is_complex(self) -> bool:
        return jnp.issubdtype(self.dtype, jnp.complexfloating)

    @property
    def size(self) -> int:
        """real numbers in it"""
        return int(np.prod(self.shape)) * (2 if self.is_complex else 1)

    @property
    def unit(self) -> float:
        """the unit roundoff of its type"""
        return unit_of(self.dtype)

    @property
    def place(self) -> slice:
        return slice(self.start, self.start + self.size)

    def __str__(self) -> str:
        return f"{self.path}: {np.dtype(self.dtype).name}[{', '.join(map(str, self.shape))}]"

    def entry(self, i: int) -> str:
        """The name of the vector's number `i`, which lies in this leaf."""
        count = self.size // 2 if self.is_complex else self.size
        index = np.unravel_index((i - self.start) % count, self.shape)
        name = self.path + (f"[{', '.join(str(int(n)) for n in index)}]" if index else "")
        if not self.is_complex:
            return name
        return f"{name} ({'imaginary' if i - self.start >= count else 'real'} part)"


Space = list[Leaf]


def unit_of(dtype: Any) -> float:
    """The unit roundoff: the largest relative error of rounding to this type."""
    return float(jnp.finfo(dtype).eps) / 2


def space_of(named: Sequence[tuple[str, Any]]) -> Space:
    """The leaves, each with its place in the vector."""
    space: Space = []
    start = 0
    for path, value in named:
        aval = jax.typeof(value)
        leaf = Leaf(path, aval.shape, aval.dtype, aval.weak_type and not aval.shape, start)
        space.append(leaf)
        start += leaf.size
    return space


def size_of(space: Space) -> int:
    return sum(leaf.size for leaf in space)


def wide(space: Space) -> Space:
    """The same with numbers of 64 bits."""
    return [
        leaf._replace(dtype=np.dtype(np.complex128 if leaf.is_complex else np.float64))
        for leaf in space
    ]


def pack(values: Sequence[Any], dual: bool = False) -> np.ndarray:
    """One vector of the arrays' numbers.

    Args:
      dual: they are cotangents. With JAX's conventions the pairing of a cotangent with a value is
        the real part of their product, so that the imaginary part goes in with the other sign.
    """
    parts: list[np.ndarray] = [np.zeros(0)]
    for value in values:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            imaginary = array.imag.ravel()
            parts += [array.real.ravel(), -imaginary if dual else imaginary]
        else:
            parts.append(array.astype(np.float64).ravel())
    return np.concatenate(parts, dtype=np.float64)


def unpack(vector: np.ndarray, space: Space, dual: bool = False) -> list[Any]:
    """The arrays whose numbers are in `vector`, rounded to the leaves' types."""
    values = []
    for leaf in space:
        numbers = vector[leaf.place]
        if leaf.is_complex:
            real, imaginary = numbers.reshape(2, *leaf.shape)
            numbers = real + (-1j if dual else 1j) * imaginary
        numbers = numbers.reshape(leaf.shape)
        values.append(numbers.item() if leaf.weak else jnp.asarray(numbers.astype(leaf.dtype)))
    return values


def rounded(vector: np.ndarray, space: Space) -> np.ndarray:
    """The vector as it is after going through the leaves' types."""
    if all(leaf.dtype in (np.float64, np.complex128) for leaf in space):
        return vector
    kept = [
        vector[leaf.place].astype(jnp.finfo(leaf.dtype).dtype).astype(np.float64) for leaf in space
    ]
    return np.concatenate([np.zeros(0), *kept])
