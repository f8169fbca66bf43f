"""Pytrees of params, and gradients for them, for the tests of this folder."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st


def every_kind() -> dict:
    """One leaf of each kind that an optimizer may meet, in nested containers."""
    return {
        "layer": {"kernel": jnp.ones((3, 4)), "bias": jnp.zeros(4)},
        "pair": (jnp.float32(2.0), [jnp.full((2, 2), -0.5, jnp.bfloat16)]),
        "none": None,
        "empty": jnp.zeros((0, 5)),
        "complex": jnp.array([1 + 2j, -3j], jnp.complex64),
    }


def gradients_for(params, steps: int, seed: int = 0):
    """Random gradients, with a leading axis of `steps`; each leaf at a scale of its own."""
    rng = np.random.default_rng(seed)

    def draw(x):
        shape, scale = (steps, *x.shape), 10.0 ** rng.uniform(-3, 2)
        real = rng.normal(size=shape) * scale
        imaginary = rng.normal(size=shape) * scale * 1j if jnp.iscomplexobj(x) else 0
        return jnp.asarray(np.asarray(real + imaginary), dtype=x.dtype)

    return jax.tree.map(draw, params)


_shapes = st.sampled_from([(), (1,), (3,), (2, 3), (0,), (2, 0)])
_dtypes = st.sampled_from([jnp.float32, jnp.float32, jnp.bfloat16, jnp.complex64])
_leaves = st.none() | st.builds(jnp.ones, _shapes, _dtypes)
trees = st.recursive(
    _leaves,
    lambda children: (
        st.dictionaries(st.sampled_from("abcd"), children, max_size=3)
        | st.lists(children, max_size=3)
        | st.lists(children, max_size=3).map(tuple)
    ),
    max_leaves=6,
)
