"""Reading and writing at computed places."""

import functools

import jax
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
    unique_where_not_clipped=(
        _gather((1,), (0,), (0,), (1, 3), _MODES["clip"], unique_indices=True),
        normal(5, 3),
        np.array([[4], [6], [7], [1]], np.int32),
    ),
    unique_and_beyond=(
        _gather((1,), (0,), (0,), (1, 3), _MODES["fill"], fill_value=2.0, unique_indices=True),
        normal(5, 3),
        np.array([[4], [6], [7], [1]], np.int32),
    ),
    complex=(_gather((1,), (0,), (0,), (1, 3)), complex_normal(5, 3), indices(5, 2, 1)),
    complex_filled=(
        _gather((1,), (0,), (0,), (1, 3), _MODES["fill"], fill_value=1.0 + 2.0j),
        complex_normal(5, 3),
        _FAR,
    ),
)


def _scatter(scatter, window, inserted, to_operand, mode=None, batch=((), ()), **options):
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=window,
        inserted_window_dims=inserted,
        scatter_dims_to_operand_dims=to_operand,
        operand_batching_dims=batch[0],
        scatter_indices_batching_dims=batch[1],
    )
    return lambda x, i, u: scatter(x, i, u, numbers, mode=mode, **options)


# older versions forget the mode of a scatter of extreme values when they differentiate it
_FORGETS_MODE = jax.__version_info__ < (0, 12)
# no two rows the same, where they are clipped neither
_APART = np.array([[3], [7], [-2]], np.int32)

for _primitive, _write in {
    "scatter": lax.scatter,
    "scatter-add": lax.scatter_add,
    "scatter-sub": lax.scatter_sub,
    "scatter-mul": lax.scatter_mul,
    "scatter-min": lax.scatter_min,
    "scatter-max": lax.scatter_max,
}.items():
    _rows = functools.partial(_scatter, _write, (1,), (0,), (0,))
    # JAX multiplies only by factors that are promised to be of different places
    _known = _primitive != "scatter-mul"
    for _name, _mode in _MODES.items():
        _forgets = _FORGETS_MODE and _primitive[-3:] in ("min", "max") and _name == "clip"
        _i, _apart = (np.clip(i, 0, 4) if _name == "promised" else i for i in (_FAR, _APART))
        case(
            _primitive,
            **{
                f"rows_{_name}": Variant(
                    _rows(_mode), (normal(5, 3), _i, normal(5, 3)), in_jax=_known and not _forgets
                ),
                f"apart_{_name}": Variant(
                    _rows(_mode, unique_indices=True),
                    (normal(5, 3), _apart, normal(3, 3)),
                    in_jax=not _forgets,
                ),
            },
        )
    case(
        _primitive,
        nothing=Variant(_rows(), (normal(5, 3), indices(5, 0, 1), normal(0, 3)), in_jax=_known),
        into_nothing=Variant(
            _rows(_MODES["fill"]), (normal(0, 3), indices(5, 2, 1), normal(2, 3)), in_jax=False
        ),
        only_updates=Variant(
            lambda i, u, rows=_rows: rows()(np.ones((5, 3), u.dtype), i, u),
            (indices(5, 4, 1), normal(4, 3)),
            in_jax=_known,
        ),
        only_operand=(
            lambda x, i, rows=_rows: rows()(x, i, np.full((4, 3), 0.5, x.dtype)),
            normal(5, 3),
            indices(5, 4, 1),
        ),
    )
# where the windows lie is one matter for all of them
for _primitive, _write in {
    "scatter": lax.scatter,
    "scatter-mul": lax.scatter_mul,
    "scatter-max": lax.scatter_max,
}.items():
    _known = _primitive != "scatter-mul"
    case(
        _primitive,
        windows=Variant(
            _scatter(_write, (1, 2), (), (0,), _MODES["clip"]),
            (normal(5, 3), _FAR % 4, normal(5, 2, 3)),
            in_jax=_known,
        ),
        # windows that span no axis and lie over one another in part
        corners=Variant(
            _scatter(_write, (1, 2), (), (0, 1)),
            (normal(4, 4), np.array([[0, 0], [1, 1], [2, 3]], np.int32), normal(3, 2, 2)),
            in_jax=_known,
        ),
        points=Variant(
            _scatter(_write, (), (0, 1), (1, 0)),
            (normal(5, 3), indices(3, 6, 2), normal(6)),
            in_jax=_known,
        ),
        columns=Variant(
            _scatter(_write, (0,), (1,), (1,)),
            (normal(4, 3), indices(3, 2, 1), normal(4, 2)),
            in_jax=_known,
        ),
        one=Variant(
            _scatter(_write, (0,), (0,), (0,)),
            (normal(4, 3), indices(4, 1), normal(3)),
            in_jax=_known,
        ),
        batched=Variant(
            _scatter(_write, (2,), (1,), (1,), batch=((0,), (0,))),
            (normal(2, 3, 2), indices(3, 2, 4, 1), normal(2, 4, 2)),
            in_jax=_known,
        ),
    )
case(
    "scatter-add",
    by_numpy=(lambda x, u, i: x.at[i, 1:].add(u), normal(4, 3), normal(3, 2), indices(4, 3)),
    complex=(
        _scatter(lax.scatter_add, (1,), (0,), (0,)),
        complex_normal(5, 3),
        _FAR,
        complex_normal(5, 3),
    ),
)
case(
    "scatter",
    by_numpy=(lambda x, u, i: x.at[i, 1:].set(u), normal(4, 3), normal(3, 2), indices(4, 3)),
    by_slice=(lambda x, u: x.at[1:, ::2].set(u), normal(4, 3), normal(3, 2)),
    complex=(
        _scatter(lax.scatter, (1,), (0,), (0,), _MODES["fill"]),
        complex_normal(5, 3),
        _FAR,
        complex_normal(5, 3),
    ),
)
_FACTORS = np.array([[2.0, 0, 1.5], [0.0, 0, -1], [3, 2, 0], [0.5, -1, 2], [1, 0, 3]])
case(
    "scatter-mul",
    # some places have no zero among their factors, some one, some two
    zeros=Variant(
        _scatter(lax.scatter_mul, (1,), (0,), (0,)),
        (np.array([[1.0, 2, 0], [-1, 2, 0.5]]), np.array([[0], [1], [0], [1], [0]]), _FACTORS),
        in_jax=False,
    ),
    complex=(
        _scatter(lax.scatter_mul, (1,), (0,), (0,), unique_indices=True),
        complex_normal(4, 2),
        np.array([[2], [0]]),
        complex_normal(2, 2),
    ),
)
for _primitive, _write in {"scatter-min": lax.scatter_min, "scatter-max": lax.scatter_max}.items():
    _rows = functools.partial(_scatter, _write, (1,), (0,), (0,))
    _i = np.array([[0], [1], [0], [0], [7]])
    case(
        _primitive,
        # among several updates, with the operand, and with both
        ties=Variant(
            _rows(),
            (
                np.array([[1.0, 2, 0], [2, 1, np.nan], [np.nan, 1, 1]]),
                _i,
                np.array([[3.0, 2, 0], [2, 0, 1], [3, 1, 0], [1, np.nan, 0], [4, 4, 4]]),
            ),
            False,
        ),
        beyond=Variant(
            _rows(_MODES["clip"]),
            (np.ones((3, 1)), _i, np.array([[1.0], [1], [2], [2], [1]])),
            False,
            not _FORGETS_MODE,
        ),
    )
case(
    "dynamic_slice",
    inside=(lambda x, i: lax.dynamic_slice(x, (i, np.int32(1)), (2, 2)), normal(4, 4), np.int32(2)),
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
        normal(4, 4),
        normal(2, 2),
        np.int32(2),
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
