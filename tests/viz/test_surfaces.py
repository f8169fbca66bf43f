"""Paths of optimizers on contours."""

import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import viz


def valley(w):
    return w[0] ** 2 / 20 + w[1] ** 2


DESCENT = [[-7.0, 2.0], [-6.0, -1.0], [-5.0, 0.5]]


def test_paths_on_contours():
    walked = {"sgd": DESCENT, "adam": np.float32(DESCENT) / 2}
    ax = viz.paths(valley, walked, limits=((-8, 5), (-3, 3)), minimum=(0, 0))
    drawn = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    assert list(drawn) == ["sgd", "adam", "minimum"]
    assert drawn["sgd"].get_xydata().tolist() == DESCENT
    np.testing.assert_allclose(drawn["adam"].get_xydata(), np.array(DESCENT) / 2)
    assert drawn["minimum"].get_xydata().tolist() == [[0, 0]]
    assert (ax.get_xlim(), ax.get_ylim()) == ((-8, 5), (-3, 3))
    _, lines = (c for c in ax.collections if hasattr(c, "levels"))
    assert len(lines.levels) == 14
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        np.testing.assert_allclose(valley(path.vertices.T), level, rtol=0.05, atol=0.01)


def test_between_two_contours_lies_the_same_area():
    ax = viz.paths(lambda w: jnp.exp(w[0]), {}, limits=(0, 10))
    _, lines = (c for c in ax.collections if hasattr(c, "levels"))
    gaps = np.diff(np.log(lines.levels))
    np.testing.assert_allclose(gaps, 10 / 15, rtol=0.1)


def test_a_path_ends_where_it_diverges():
    ax = viz.paths(valley, {"too fast": [[1, 1], [2, 9], [np.inf, 9], [1, 1]]}, resolution=5)
    drawn = next(line for line in ax.lines if line.get_label() == "too fast")
    assert drawn.get_xydata().tolist() == [[1, 1], [2, 9]]
    assert ax.get_xlim() == pytest.approx((0.9, 2.1))


def test_an_objective_of_two_values_and_one_that_is_not_finite_everywhere():
    steep = viz.paths(lambda w: jnp.where(w[0] > 0, 1.0, 0.0), {}, limits=(-1, 1), resolution=4)
    assert [c.levels.tolist() for c in steep.collections] == [[0, 1]]
    half = viz.paths(lambda w: jnp.log(w[0]), {}, limits=(-1, 1), resolution=4)
    assert np.isfinite(half.collections[0].levels).all()
    assert half.collections[0].get_datalim(half.transData).x0 > 0
    nowhere = viz.paths(lambda w: jnp.nan * w[0], {}, limits=(-1, 1), resolution=4)
    assert len(nowhere.collections) == 0


def test_a_flat_objective():
    ax = viz.paths(lambda w: 0 * w[0], {"still": [[0, 0]]}, limits=(-1, 1), resolution=3)
    assert len(ax.collections) == 0


@pytest.mark.parametrize(
    ("fun", "paths", "options", "error", "message"),
    [
        (valley, [DESCENT], {}, TypeError, r"paths as \{name: \(steps, 2\)\}, got list"),
        (valley, {"a": [1.0, 2.0]}, {}, ValueError, r"path 'a' of shape \(steps, 2\), got \(2,\)"),
        (valley, {}, {}, ValueError, "limits, or points to find them from, got neither"),
        (valley, {"a": [[np.nan, 0]]}, {}, ValueError, "limits, or points to find them from"),
        (valley, {"a": DESCENT}, {"minimum": 0}, ValueError, r"minimum of shape \(2,\), got \(\)"),
        (
            lambda w: w,
            {"a": DESCENT},
            {},
            ValueError,
            r"fun\(point\) of shape \(25,\), got \(25, 2\)",
        ),
    ],
)
def test_bad_input(fun, paths, options, error, message):
    with pytest.raises(error, match=message):
        viz.paths(fun, paths, resolution=5, **options)
