"""Reductions over sliding windows."""

import numpy as np
from jax import lax
from jax.extend.core import primitives

from .case import Variant, case, complex_normal, distinct, normal

_WINDOWS = {
    # window, strides, padding, base dilation, window dilation; shape of the operand
    "apart": ((2, 3), (2, 3), "VALID", None, None, (4, 6)),
    "with_rest": ((2, 2), (2, 2), "VALID", None, None, (5, 3)),
    "overlapping": ((3, 2), (2, 1), "VALID", None, None, (5, 4)),
    "everywhere": ((3, 3), (1, 1), "SAME", None, None, (4, 3)),
    "with_gaps": ((2, 1), (3, 2), "VALID", None, None, (6, 4)),
    "padded": ((2, 3), (2, 2), ((1, 2), (0, 3)), None, None, (4, 3)),
    "cut": ((2, 2), (1, 2), ((-1, 1), (1, -2)), None, None, (4, 6)),
    "window_dilated": ((3, 2), (2, 1), ((1, 1), (0, 0)), None, (2, 3), (5, 5)),
    "base_dilated": ((3, 3), (2, 1), ((1, 0), (2, 1)), (2, 3), None, (3, 3)),
    "all_dilated": ((3, 3), (3, 2), ((2, 1), (1, 3)), (2, 3), (3, 2), (3, 2)),
    "one_axis": ((1, 3, 1), (1, 2, 1), "SAME", None, None, (2, 5, 2)),
    "wide": ((11,), (1,), "SAME", None, None, (13,)),
    "wide_strided": ((20,), (3,), ((9, 2),), None, (2,), (40,)),
    "whole": ((10, 3), (10, 3), "VALID", None, None, (10, 3)),
    "no_window": ((4,), (1,), "VALID", None, None, (3,)),
    "empty": ((1, 2), (1, 2), "VALID", None, None, (0, 4)),
    "scalar": ((), (), (), None, None, ()),
}


def _jax_knows(padding, dilation):
    """JAX has no gradient of extreme values in windows that are dilated, or cut, or of no axes."""
    cut = not isinstance(padding, str) and any(p < 0 for pair in padding for p in pair)
    return dilation is None and padding != () and not cut


def _reduce(init, computation, window, strides, padding, base, dilation):
    return lambda x: lax.reduce_window(
        x, np.asarray(init, x.dtype), computation, window, strides, padding, base, dilation
    )


def _stop_nan(x):
    return lax.select(lax.ne(x, x), lax.stop_gradient(x), x)


_SOME = ("overlapping", "padded", "base_dilated", "wide")  # of the smallest values
for _name, (*_parameters, _shape) in _WINDOWS.items():
    case("reduce_window_sum", **{_name: (_reduce(0, lax.add, *_parameters), normal(*_shape))})
    for _primitive, _init, _computation in (
        ("reduce_window_max", -np.inf, lax.max),
        ("reduce_window_min", np.inf, lax.min),
    ):
        _fun = _reduce(_init, _computation, *_parameters)
        _known = _jax_knows(_parameters[2], _parameters[4])
        if _computation is lax.max or _name in _SOME:
            case(_primitive, **{_name: Variant(_fun, (distinct(*_shape),), in_jax=_known)})
case(
    "reduce_window_sum",
    complex=(_reduce(0, lax.add, *_WINDOWS["overlapping"][:5]), complex_normal(5, 4)),
)
# of several extreme values in a window the first has the cotangent
_tied = np.array([[1, 2, 2, 0, 0], [2, 2, 1, 0, 0], [0, 1, 2, 1, 1], [2, 2, 2, 2, 2]], float)
_infinite = np.where(_tied == 2, -np.inf, _tied)
_tied_wide = (np.arange(120.0) * 7 % 11).reshape(12, 10)
for _name, _init, _computation in (
    ("reduce_window_max", -np.inf, lax.max),
    ("reduce_window_min", np.inf, lax.min),
):
    for _how in ("with_rest", "overlapping", "everywhere", "base_dilated"):
        _fun = _reduce(_init, _computation, *_WINDOWS[_how][:5])
        case(_name, **{f"tied_{_how}": Variant(_fun, (_tied,), False)})
        case(_name, **{f"infinite_{_how}": Variant(_fun, (_infinite,), False)})
    # NaN is the value of its window, and has its cotangent
    _columns = _reduce(_init, _computation, (2, 1), (2, 1), "VALID", None, None)
    case(_name, nan=Variant(_columns, (np.array([[1.0, 2, 3], [2, np.nan, 1]]),), False))
    # JAX has the cotangent go to what comes after NaN, so here only the values are compared
    _numbers = lambda x, fun=_columns: _stop_nan(fun(x))
    case(_name, nan_first=Variant(_numbers, (np.array([[1, np.nan, 3], [2, 2, 1]]),), False))
    _wide = _reduce(_init, _computation, (9, 9), (1, 1), "SAME", None, None)
    case(_name, tied_wide=Variant(_wide, (_tied_wide,), False))


# as JAX's own derivatives bind them; their operand only says where
for _name in ("with_rest", "overlapping", "everywhere", "padded", "with_gaps", "empty"):
    _window, _strides, _pads, _, _, _shape = _WINDOWS[_name]
    if isinstance(_pads, str):
        _pads = lax.padtype_to_pads(_shape, _window, _strides, _pads)
    _parameters = {
        "window_dimensions": _window,
        "window_strides": _strides,
        "padding": tuple(_pads),
    }
    _ones = (1,) * len(_shape)
    for _select in (lax.ge_p, lax.le_p) if _name == "overlapping" else (lax.ge_p,):
        _out = lax.reduce_window_shape_tuple(_shape, _window, _strides, _parameters["padding"])
        case(
            "select_and_scatter_add",
            **{
                f"{_name}_{_select}": (
                    lambda source, x, select=_select, parameters=_parameters: (
                        lax.select_and_scatter_add_p.bind(
                            source, lax.stop_gradient(x), select_prim=select, **parameters
                        )
                    ),
                    normal(*_out),
                    distinct(*_shape),
                )
            },
        )
        case(
            "select_and_gather_add",
            **{
                f"{_name}_{_select}": (
                    lambda tangents, x, select=_select, parameters=_parameters, ones=_ones: (
                        primitives.select_and_gather_add_p.bind(
                            tangents,
                            lax.stop_gradient(x),
                            select_prim=select,
                            base_dilation=ones,
                            window_dilation=ones,
                            **parameters,
                        )
                    ),
                    normal(*_shape),
                    distinct(*_shape),
                )
            },
        )
