"""Reductions along axes, and running ones."""

from jax import lax

from funcnn.autodiff.rules.table import defvjp, linear


def _along(value, like, axes):
    """`value`, which has lost `axes`, spread along them again to the shape of `like`."""
    kept = [d for d in range(len(like.shape)) if d not in axes]
    return lax.broadcast_in_dim(value, like.shape, kept)


linear(
    lax.reduce_sum_p,
    "operand",
    operand=lambda g, operand_aval, axes: _along(g, operand_aval, axes),
)


def _to_extreme(g, out, operand, axes):
    """Routes `g` to where the extreme value stands; where several do, each gets an equal share."""
    here = lax.eq(operand, _along(out, operand, axes))
    count = lax.reduce_sum(lax.convert_element_type(here, g.dtype), axes)
    share = _along(lax.div(g, count), operand, axes)
    # a product, not a selection: if all values are NaN none is found, and NaN is what comes back
    return lax.mul(lax.convert_element_type(here, g.dtype), share)


defvjp(lax.reduce_max_p, "operand", operand=_to_extreme)
defvjp(lax.reduce_min_p, "operand", operand=_to_extreme)

linear(
    lax.cumsum_p,
    "operand",
    operand=lambda g, axis, reverse: lax.cumsum(g, axis=axis, reverse=not reverse),
)
