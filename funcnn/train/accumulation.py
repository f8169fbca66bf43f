"""The gradient of a large batch from several small ones: less memory, the same number."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from funcnn.train.counting import count_examples, whole_number

Grad = Callable[..., Any]


@functools.lru_cache
def accumulated(grad: Grad, parts: int) -> Grad:
    """A gradient transform that goes through each batch in parts, one after another.

    Loss, metrics and gradient are the means over the parts, so that of a loss that is a mean over
    examples they are those of the whole batch, up to rounding; the activations in memory are those
    of one part. Batch normalization sees one part at a time. Each part gets a key of its own.

    Args:
      grad: `funcnn.value_and_grad` or `jax.value_and_grad`.
      parts: into how many equal parts a batch is cut. One that this number does not divide, such
        as a smaller last one, is cut into the next larger number of equal parts.

    Returns:
      What `make_step(grad=...)` and `fit(grad=...)` take. (`funcnn.optim.multi_steps` is the other
      way: it gathers the gradients of several steps.)

    Example:

    >>> import jax, jax.numpy as jnp, funcnn
    >>> from funcnn import train
    >>> def loss(w, state, batch, key):
    ...     return jnp.mean((w - batch) ** 2), (state, {})
    >>> grad = train.accumulated(funcnn.value_and_grad, 2)
    >>> _, gradient = grad(loss, has_aux=True)(1.0, (), jnp.array([0.0, 2.0, 4.0, 6.0]), None)
    >>> print(gradient)
    -4.0
    """
    parts = whole_number("parts", parts, least=1)

    def transform(loss: Callable, has_aux: bool = True) -> Callable:
        if not has_aux:
            raise ValueError("accumulated expects a loss that returns (loss, (state, metrics))")
        of_part = grad(loss, has_aux=True)

        def gradient(params: Any, state: Any, batch: Any, key: Any) -> Any:
            n = count_examples(batch)
            count = next(p for p in range(min(parts, n), n + 1) if n % p == 0)
            # every count-th example, so that each device's share of a batch gives to every part
            cut = lambda leaf: jnp.moveaxis(leaf.reshape(n // count, count, *leaf.shape[1:]), 1, 0)

            def add(carry, part):
                number, batch = part
                state, total = carry
                part_key = None if key is None else jax.random.fold_in(key, number)
                (value, (state, metrics)), gradients = of_part(params, state, batch, part_key)
                measured = value, metrics, gradients
                return (state, jax.tree.map(lambda t, m: t + _wide(m), total, measured)), None

            first = lambda leaf: jax.ShapeDtypeStruct((n // count, *leaf.shape[1:]), leaf.dtype)
            shapes = jax.eval_shape(of_part, params, state, jax.tree.map(first, batch), key)
            (value, (_, metrics)), gradients = shapes
            measured = value, metrics, gradients
            zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, _wide(s).dtype), measured)
            numbered = jnp.arange(count), jax.tree.map(cut, batch)
            (state, total), _ = lax.scan(add, (state, zeros), numbered)
            mean = jax.tree.map(lambda t, s: (t / count).astype(s.dtype), total, measured)
            value, metrics, gradients = mean
            return (value, (state, metrics)), gradients

        return gradient

    return transform


def _wide(x: Any) -> Any:
    """Sums in float32 at least: those of bfloat16 would lose what small parts add."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    return x.update(dtype=dtype) if isinstance(x, jax.ShapeDtypeStruct) else x.astype(dtype)
