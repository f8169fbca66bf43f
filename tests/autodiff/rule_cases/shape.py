"""Moving, copying, cutting, joining."""

import numpy as np
from jax import lax

from .case import Variant, case, complex_normal, indices, normal, one

case(
    "broadcast_in_dim",
    new_axes=(lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (1,)), normal(3)),
    stretched=(lambda x: lax.broadcast_in_dim(x, (3, 4), (0, 1)), normal(3, 1)),
    single_kept=(lambda x: lax.broadcast_in_dim(x, (5, 1, 4), (1, 2)), normal(1, 4)),
    both=(lambda x: lax.broadcast_in_dim(x, (5, 3, 4), (1, 2)), normal(1, 4)),
    scalar=(lambda x: lax.broadcast_in_dim(x, (2, 3), ()), normal()),
    to_empty=(lambda x: lax.broadcast_in_dim(x, (0, 3), (1,)), normal(3)),
    complex=(lambda x: lax.broadcast_in_dim(x, (2, 3), (1,)), complex_normal(3)),
)
case(
    "reshape",
    flat=(lambda x: lax.reshape(x, (6,)), normal(2, 3)),
    to_scalar=(lambda x: lax.reshape(x, ()), normal(1, 1)),
    from_scalar=(lambda x: lax.reshape(x, (1, 1)), normal()),
    empty=(lambda x: lax.reshape(x, (3, 0)), normal(0, 2)),
    # its dimensions are put in another order first
    in_order=(lambda x: lax.reshape(x, (6,), (1, 0)), normal(2, 3)),
)
case(
    "squeeze",
    one=(lambda x: lax.squeeze(x, (1,)), normal(2, 1, 3)),
    all=(lambda x: lax.squeeze(x, (0, 1)), normal(1, 1)),
    negative=(lambda x: lax.squeeze(x, (-1,)), normal(2, 1)),
    empty=(lambda x: lax.squeeze(x, (0,)), normal(1, 0)),
)
case(
    "transpose",
    matrix=(lambda x: lax.transpose(x, (1, 0)), normal(2, 3)),
    cycle=(lambda x: lax.transpose(x, (1, 2, 0)), normal(2, 3, 4)),
    other_cycle=(lambda x: lax.transpose(x, (2, 0, 1)), normal(2, 3, 4)),
    empty=(lambda x: lax.transpose(x, (1, 2, 0)), normal(2, 0, 4)),
)
case(
    "rev",
    one=(lambda x: lax.rev(x, (1,)), normal(2, 3)),
    two=(lambda x: lax.rev(x, (0, 2)), normal(2, 3, 4)),
    none=(lambda x: lax.rev(x, ()), normal(3)),
    empty=(lambda x: lax.rev(x, (0,)), normal(0)),
)
case(
    "slice",
    plain=(lambda x: lax.slice(x, (1, 0), (3, 2)), normal(4, 3)),
    strided=(lambda x: lax.slice(x, (1,), (9,), (3,)), normal(10)),
    strided_to_the_end=(lambda x: lax.slice(x, (0, 1), (5, 6), (2, 3)), normal(5, 6)),
    one=(lambda x: lax.slice(x, (2,), (3,), (4,)), normal(5)),
    nothing=(lambda x: lax.slice(x, (2, 0), (2, 3)), normal(5, 3)),
    nothing_strided=(lambda x: lax.slice(x, (2,), (2,), (3,)), normal(5)),
    empty=(lambda x: lax.slice(x, (0, 1), (0, 2)), normal(0, 3)),
    scalar=(lambda x: lax.slice(x, (), ()), normal()),
)
for _name, _config in {
    "plain": ((1, 2, 0), (0, 1, 0)),
    "interior": ((1, 0, 2), (2, 1, 1)),
    "negative": ((-1, 0, 0), (0, -2, 0)),
    "negative_and_positive": ((-1, 2, 0), (3, -1, 0)),
    "negative_interior": ((-1, -2, 1), (-2, 1, 2)),
    "cut_into_the_interior": ((-2, 0, 2), (-1, -1, 1)),
    "all_cut": ((-2, -1, 0), (1, 1, 0)),
}.items():
    _pad = lambda x, value, config=_config: lax.pad(x, value, config)
    case("pad", **{_name: (_pad, normal(3, 4), normal())})
case(
    "pad",
    scalar=(lambda x, value: lax.pad(x, value, ()), normal(), normal()),
    empty=(lambda x, value: lax.pad(x, value, ((1, 2, 1),)), normal(0), normal()),
    only_padding=Variant(
        lambda value: lax.pad(np.ones((2,), value.dtype), value, ((1, 0, 1),)),
        (normal(),),
        in_jax=False,
    ),
    only_operand=(lambda x: lax.pad(x, one(x), ((1, 0, 1),)), normal(3)),
)
case(
    "concatenate",
    two=(lambda x, y: lax.concatenate([x, y], 1), normal(2, 3), normal(2, 1)),
    three=(lambda x, y, z: lax.concatenate([x, y, z], 0), normal(2, 3), normal(0, 3), normal(1, 3)),
    same_shapes=(lambda x, y: lax.concatenate([x, y], 0), normal(2, 3), normal(2, 3)),
    one=(lambda x: lax.concatenate_p.bind(x, dimension=0), normal(3)),
    twice=(lambda x, y: lax.concatenate([x, y, x], 0), normal(2), normal(3)),
    constant_between=(
        lambda x, y: lax.concatenate([x, np.ones((2, 3), x.dtype), y], 0),
        normal(1, 3),
        normal(3, 3),
    ),
)
case(
    "split",
    all=(lambda x: lax.split(x, (2, 0, 1, 3), 1), normal(2, 6)),
    last_unused=(lambda x: lax.split(x, (2, 1, 3))[:2], normal(6)),
    only_middle=(lambda x: lax.split(x, (2, 1, 3))[1], normal(6, 2)),
    one=(lambda x: lax.split(x, (3,)), normal(3)),
)
case(
    "stack",
    first=(lambda x, y: lax.stack([x, y], 0), normal(2, 3), normal(2, 3)),
    last=(lambda x, y: lax.stack([x, y, x], 2), normal(2, 3), normal(2, 3)),
    scalars=(lambda x, y: lax.stack([x, y]), normal(), normal()),
    one=(lambda x: lax.stack([x], 1), normal(3)),
    constant_between=(
        lambda x, y: lax.stack([x, np.ones((3,), x.dtype), y], 1),
        normal(3),
        normal(3),
    ),
    empty=(lambda x, y: lax.stack([x, y], 1), normal(0, 2), normal(0, 2)),
)
case(
    "unstack",
    all=(lambda x: lax.unstack(x), normal(3, 2)),
    some=(lambda x: lax.unstack(x)[1], normal(3)),
    axis=(lambda x: lax.unstack(x, 1)[:2], normal(2, 3)),
    empty=(lambda x: lax.unstack(x, 1), normal(0, 2)),
)
case(
    "tile",
    one=(lambda x: lax.tile(x, (3,)), normal(2)),
    two=(lambda x: lax.tile(x, (2, 1, 3)), normal(2, 3, 1)),
    nothing=(lambda x: lax.tile(x, (0, 2)), normal(2, 3)),
    empty=(lambda x: lax.tile(x, (2, 2)), normal(0, 3)),
)
case(
    "select_n",
    boolean=(lax.select_n, indices(2, 3, 4).astype(bool), normal(3, 4), normal(3, 4)),
    scalar_predicate=(lax.select_n, np.bool_(True), normal(3, 4), normal(3, 4)),
    scalars=(lax.select_n, np.bool_(False), normal(), normal()),
    three=(lax.select_n, indices(3, 3, 4), normal(3, 4), normal(3, 4), normal(3, 4)),
    three_scalar=(lax.select_n, np.int32(2), normal(3), normal(3), normal(3)),
    one=(lax.select_n, indices(1, 3), normal(3)),
    constant=(
        lambda p, x: lax.select_n(p, x, np.ones((3, 4), x.dtype)),
        indices(2, 3, 4).astype(bool),
        normal(3, 4),
    ),
    twice=(lambda p, x: lax.select_n(p, x, x), indices(2, 3).astype(bool), normal(3)),
    empty=(lax.select_n, np.zeros((0, 2), bool), normal(0, 2), normal(0, 2)),
    complex=(lax.select_n, np.array([True, False, True]), complex_normal(3), complex_normal(3)),
)
