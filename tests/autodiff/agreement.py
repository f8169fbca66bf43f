"""When do two results agree: the same structure, shapes and dtypes, and nearly the same numbers."""

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path, tree_structure


def assert_agree(ours, theirs, rtol: float, what: str = "") -> None:
    """Every leaf of `ours` is that of `theirs`, up to an error relative to the leaf's max norm.

    The error of a leaf is its largest absolute difference, divided by the largest finite magnitude
    in `theirs`. NaN must stand where NaN stands, and each infinity where it stands; zeros of type
    float0 must be such.
    """
    assert tree_structure(ours) == tree_structure(theirs), what
    for (path, a), (_, b) in zip(
        tree_flatten_with_path(ours)[0], tree_flatten_with_path(theirs)[0], strict=True
    ):
        where = f"{what}{keystr(path)}"
        assert np.shape(a) == np.shape(b), f"{where}: shape {np.shape(a)}, expected {np.shape(b)}"
        assert dtype_of(a) == dtype_of(b), f"{where}: {dtype_of(a)}, expected {dtype_of(b)}"
        if dtype_of(b) == jax.dtypes.float0:
            continue
        a, b = np.asarray(a), np.asarray(b)
        wide = np.complex128 if np.iscomplexobj(b) else np.float64
        a, b = a.astype(wide), b.astype(wide)
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite], err_msg=where)
        scale = np.abs(b[finite]).max(initial=0.0)
        error = np.abs(a[finite] - b[finite]).max(initial=0.0)
        assert error <= rtol * scale, (
            f"{where}: differs by {error:.3g}, that is {error / (scale or 1):.3g} relative, where "
            f"{rtol:.3g} is allowed\nours     {a}\nexpected {b}"
        )


def dtype_of(x):
    return x.dtype if hasattr(x, "dtype") else jax.typeof(x).dtype
