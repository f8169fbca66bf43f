"""embedding: a learned vector for each of a number of symbols."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from funcnn.nn import functional
from funcnn.nn.errors import expect_entries, expect_key
from funcnn.nn.functional.embedding import expect_ids
from funcnn.nn.layer import Layer, shape_of, stateless
from funcnn.nn.parameters import Initializer, expect_number, initialized

# the same as Flax's: normal of variance 1/features
default_embedding_init: Initializer = initializers.variance_scaling(
    1.0, "fan_in", "normal", out_axis=0
)


def embedding(
    num_embeddings: int,
    features: int,
    *,
    dtype: Any = jnp.float32,
    embedding_init: Initializer = default_embedding_init,
) -> Layer:
    """A vector for each symbol 0..num_embeddings−1, by `nn.functional.embedding`.

    x of integers, of any shape (...), gives y of shape (..., features). `params` is {"embedding":
    (num_embeddings, features)}.

    Args:
      num_embeddings: the number of symbols (characters, words), at least 1.
      features: the length of a vector, at least 1.
      dtype: of the parameters, for x of integers does not say.
      embedding_init: called as `init(key, shape, dtype)`, see `nn.initializers`. The default is
        that of Flax: normal of variance 1/features.

    Raises:
      TypeError: sizes that are no integers; x that is not of integers.
      ValueError: sizes below 1; x outside 0..num_embeddings−1 (under `jit` its vector is NaN);
        `params` of another structure or shape.

    Source: Bengio et al., "A Neural Probabilistic Language Model", 2003.

    >>> import jax, jax.numpy as jnp
    >>> layer = embedding(128, 16)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 50), jnp.int32))
    >>> layer(params, jnp.zeros((64, 50), jnp.int32)).shape
    (64, 50, 16)
    """
    rows = expect_number("embedding", "num_embeddings", num_embeddings, "128, 16")
    features = expect_number("embedding", "features", features, "128, 16")

    def init(key: Any, x: Any) -> Any:
        expect_key(key)
        expect_ids(shape_of(x))
        return {"embedding": initialized("embedding", embedding_init, key, (rows, features), dtype)}

    def apply(params: Any, x: Any) -> jax.Array:
        [table] = expect_entries("params", params, "embedding")
        if table.shape != (rows, features):
            raise ValueError(
                f"embedding: expected an embedding of shape {(rows, features)}, got {table.shape}: "
                "use the params that this model's init returned"
            )
        return functional.embedding(x, table)

    return stateless(init, apply, f"embedding({rows}, {features})")
