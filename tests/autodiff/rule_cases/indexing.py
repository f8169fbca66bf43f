"""Reading and writing at computed places."""

import numpy as np
from jax import lax

from .case import Variant, case, complex_normal, indices, normal


def _gather(offset, collapsed, start_map, sizes, mode=None, batch=((), ()), **options):
    numbers = lax.GatherDimensionNumbers(
        offset_dims=offset,
        collapsed_slice_dims=collapsed,
        start_index_map=start_map,
        operand_batching_dims=batch[0],
        start_indices_batching_dims=batch[1],
    )
    return lambda x, i: lax.gather(x, i, numbers, sizes, mode=mode, **options)


_MODES = {
    "clip": lax.GatherScatterMode.CLIP,
    "fill": lax.GatherScatterMode.FILL_OR_DROP,
    "promised": lax.GatherScatterMode.PROMISE_IN_BOUNDS,
}
# for rows of 5: 0 twice, and beyond both ends but where that is promised not to be
_FAR = np.array([[0], [4], [7], [0], [-3]], np.int32)
for _name, _mode in _MODES.items():
    _i = np.clip(_FAR, 0, 4) if _name == "promised" else _FAR
    case(
        "gather",
        **{
            # what is read from beyond the ends is NaN where the mode is to fill
            f"rows_{_name}": Variant(
                _gather((1,), (0,), (0,), (1, 3), _mode), (normal(5, 3), _i), _name != "fill"
            ),
            f"windows_{_name}": (_gather((1, 2), (), (0,), (2, 3), _mode), normal(5, 3), _i % 4),
        },
    )
case(
    "gather",
    points=(_gather((), (0, 1), (1, 0), (1, 1)), normal(5, 3), indices(3, 4, 2)),
    columns=(_gather((0,), (1,), (1,), (5, 1)), normal(5, 3), indices(3, 2, 4, 1)),
    one=(_gather((), (0,), (0,), (1,)), normal(5), indices(5, 1)),
    nothing=(_gather((1,), (0,), (0,), (1, 3)), normal(5, 3), indices(5, 0, 1)),
    batched=(
        _gather((1,), (1,), (1,), (1, 1, 2), batch=((0,), (0,))),
        normal(4, 5, 2),
        indices(5, 4, 1),
    ),
    filled=(
        _gather((1,), (0,), (0,), (1, 3), _MODES["fill"], fill_value=7.0),
        normal(5, 3),
        _FAR,
    ),
    sorted_and_unique=(
        _gather((1,), (0,), (0,), (1, 3), indices_are_sorted=True, unique_indices=True),
        normal(5, 3),
        np.array([[0], [2], [3]], np.int32),
    ),
    by_numpy=(lambda x, i: x[i, :, None, ::2], normal(4, 2, 3), indices(4, 3)),
    complex=(_gather((1,), (0,), (0,), (1, 3)), complex_normal(5, 3), indices(5, 2, 1)),
)


def _scatter_add(window, inserted, to_operand, mode=None, batch=((), ()), **options):
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=window,
        inserted_window_dims=inserted,
        scatter_dims_to_operand_dims=to_operand,
        operand_batching_dims=batch[0],
        scatter_indices_batching_dims=batch[1],
    )
    return lambda x, i, u: lax.scatter_add(x, i, u, numbers, mode=mode, **options)


for _name, _mode in _MODES.items():
    _i = np.clip(_FAR, 0, 4) if _name == "promised" else _FAR
    case(
        "scatter-add",
        **{
            f"rows_{_name}": (
                _scatter_add((1,), (0,), (0,), _mode),
                normal(5, 3),
                _i,
                normal(5, 3),
            ),
            f"windows_{_name}": (
                _scatter_add((1, 2), (), (0,), _mode),
                normal(5, 3),
                _i % 4,
                normal(5, 2, 3),
            ),
        },
    )
case(
    "scatter-add",
    points=(_scatter_add((), (0, 1), (1, 0)), normal(5, 3), indices(3, 4, 2), normal(4)),
    columns=(_scatter_add((0,), (1,), (1,)), normal(5, 3), indices(3, 2, 1), normal(5, 2)),
    nothing=(_scatter_add((1,), (0,), (0,)), normal(5, 3), indices(5, 0, 1), normal(0, 3)),
    batched=(
        _scatter_add((1,), (1,), (1,), batch=((0,), (0,))),
        normal(4, 5, 2),
        indices(5, 4, 1),
        normal(4, 2),
    ),
    only_updates=(
        lambda i, u: _scatter_add((1,), (0,), (0,))(np.zeros((5, 3), u.dtype), i, u),
        indices(5, 4, 1),
        normal(4, 3),
    ),
    only_operand=(
        lambda x, i: _scatter_add((1,), (0,), (0,))(x, i, np.ones((4, 3), x.dtype)),
        normal(5, 3),
        indices(5, 4, 1),
    ),
    by_numpy=(lambda x, u, i: x.at[i, 1:].add(u), normal(4, 3), normal(3, 2), indices(4, 3)),
)
case(
    "dynamic_slice",
    inside=(lambda x, i: lax.dynamic_slice(x, (i, np.int32(1)), (2, 2)), normal(4, 3), np.int32(1)),
    # a start that is too large or negative is moved so that the slice fits
    beyond=(lambda x, i: lax.dynamic_slice(x, (i,), (3,)), normal(5), np.int32(4)),
    before=(lambda x, i: lax.dynamic_slice(x, (i,), (3,)), normal(5), np.int32(-9)),
    nothing=(lambda x, i: lax.dynamic_slice(x, (i,), (0,)), normal(5), np.int32(2)),
    all=(lambda x, i: lax.dynamic_slice(x, (i, i), (2, 3)), normal(2, 3), np.int32(0)),
    scalar=(lambda x: lax.dynamic_slice_p.bind(x, slice_sizes=()), normal()),
)
case(
    "dynamic_update_slice",
    inside=(
        lambda x, u, i: lax.dynamic_update_slice(x, u, (i, np.int32(1))),
        normal(4, 3),
        normal(2, 2),
        np.int32(1),
    ),
    beyond=(
        lambda x, u, i: lax.dynamic_update_slice(x, u, (i,)),
        normal(5),
        normal(3),
        np.int32(4),
    ),
    only_update=(
        lambda u, i: lax.dynamic_update_slice(np.ones(5, u.dtype), u, (i,)),
        normal(3),
        np.int32(1),
    ),
    only_operand=(
        lambda x, i: lax.dynamic_update_slice(x, np.ones(2, x.dtype), (i,)),
        normal(5),
        np.int32(-1),
    ),
    all=(lambda x, u: lax.dynamic_update_slice(x, u, (0, 0)), normal(2, 3), normal(2, 3)),
)
