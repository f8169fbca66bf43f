"""Products summed over shared axes: matrix products of every kind, as lax's `dot_general`.

For Y = XW: the cotangent of X is G Wᵀ and that of W is Xᵀ G (deck B, row 26; deck D, row 20).
"""

from jax import lax

from funcnn.autodiff.rules.table import linear


def _to_left(g, other, aval, dimension_numbers, precision, preferred_element_type, g_first):
    """The cotangent of one side: `g` contracted with `other` over the axes that are only other's.

    `dimension_numbers` are given as seen from this side: ((mine, other's) contracted,
    (mine, other's) batch). `g_first`: this side is the left one, so that its own axes stand before
    the other's in `g`.
    """
    (mine, others), (my_batch, other_batch) = dimension_numbers
    my_own = [d for d in range(len(aval.shape)) if d not in (*mine, *my_batch)]
    other_own = [d for d in range(other.ndim) if d not in (*others, *other_batch)]
    batch = list(range(len(my_batch)))
    first = len(batch) + (len(my_own) if g_first else 0)
    other_in_g = list(range(first, first + len(other_own)))
    product = lax.dot_general(
        g,
        other,
        ((other_in_g, other_own), (batch, list(other_batch))),
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    # its axes: batch, my own, and what was contracted, in the order it has in `other`
    contracted = [m for _, m in sorted(zip(others, mine, strict=True))]
    order = [*my_batch, *my_own, *contracted]
    product = lax.transpose(product, sorted(range(len(order)), key=order.__getitem__))
    return product if product.dtype == aval.dtype else lax.convert_element_type(product, aval.dtype)


def _swap(dimension_numbers):
    (left, right), (left_batch, right_batch) = dimension_numbers
    return (right, left), (right_batch, left_batch)


linear(
    lax.dot_general_p,
    "lhs rhs",
    lhs=lambda g, rhs, lhs_aval, dimension_numbers, precision, preferred_element_type: _to_left(
        g, rhs, lhs_aval, dimension_numbers, precision, preferred_element_type, True
    ),
    rhs=lambda g, lhs, rhs_aval, dimension_numbers, precision, preferred_element_type: _to_left(
        g, lhs, rhs_aval, _swap(dimension_numbers), precision, preferred_element_type, False
    ),
)
