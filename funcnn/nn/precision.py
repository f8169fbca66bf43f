"""mixed_precision: parameters in float32, computation in a shorter type."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from funcnn.nn.combinators import LayerLike
from funcnn.nn.layer import Layer, as_layer, shape_of


def mixed_precision(
    layer: LayerLike,
    compute_dtype: DTypeLike = jnp.bfloat16,
    *,
    param_dtype: DTypeLike = jnp.float32,
    output_dtype: DTypeLike | None = jnp.float32,
) -> Layer:
    """The layer, computed in `compute_dtype` with parameters that stay in `param_dtype`.

    Parameters and x are cast where they go in, the output where it comes out, so that optimizer,
    gradients and loss have float32, and the products are those of the shorter type. Integers are
    let be, and so is `state`: the norms keep their statistics in float32 by themselves.

    Args:
      layer: what is computed so.
      compute_dtype: that of the computation: bfloat16, which has the range of float32. float16 has
        not: gradients below 6e-8 are 0 in it, and the loss has to be scaled.
      param_dtype: that of the parameters that `init` makes.
      output_dtype: that of the output; None to leave it in `compute_dtype`.

    Raises:
      TypeError: a dtype that is not floating.

    Source: Micikevicius et al., "Mixed Precision Training", 2017.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> layer = nn.mixed_precision(nn.dense(3), output_dtype=None)
    >>> params, state = layer.init(jax.random.key(0), jnp.ones((5, 4)))
    >>> params["kernel"].dtype, layer(params, jnp.ones((5, 4))).dtype
    (dtype('float32'), dtype(bfloat16))
    """
    layer = as_layer(layer)
    for dtype in (compute_dtype, param_dtype, output_dtype):
        if dtype is not None and not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"mixed_precision: expected a floating dtype, got {dtype!r}")

    def init(key: Any, x: Any) -> tuple[Any, Any]:
        return layer.init(key, jax.eval_shape(lambda x: _cast(x, param_dtype), shape_of(x)))

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        params, x = _cast((params, x), compute_dtype)
        y, state = layer.apply(params, state, x, key=key, train=train)
        return y if output_dtype is None else _cast(y, output_dtype), state

    return Layer(
        init,
        apply,
        f"mixed_precision({layer}, {jnp.dtype(compute_dtype)})",
        layer.uses_key,
        ((None, layer),),
        lambda layers, join=None: mixed_precision(
            layers[0], compute_dtype, param_dtype=param_dtype, output_dtype=output_dtype
        ),
    )


def _cast(tree: Any, dtype: DTypeLike) -> Any:
    """The tree with its floating arrays in this dtype."""

    def cast(leaf: Any) -> Any:
        floating = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        return jnp.asarray(leaf, dtype) if floating else leaf

    return jax.tree.map(cast, tree)
