"""Decision boundaries: where the line is, and what colour each point has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from funcnn import viz

BLUE, VERMILION, GREEN = map(to_rgb, ("#0072B2", "#D55E00", "#009E73"))


def contours(ax):
    """The points of each line, and the level it is at."""
    drawn = [c for c in ax.collections if hasattr(c, "levels")]
    return [(np.concatenate([p.vertices for p in c.get_paths()]), c.levels.tolist()) for c in drawn]


def unit(p):  # deck A, row 2: 1 where x₁ + x₂ ≥ 3
    return jax.nn.sigmoid(p @ jnp.array([1.0, 1.0]) - 3)


def test_the_lecture_s_unit():
    x, y = np.array([[1.0, 1.0], [3.0, 2.0], [0.5, 0.0]]), np.array([0, 1, 0])
    ax = viz.decision_boundary(unit, x, y, limits=(0, 4), resolution=41, names=["no", "yes"])
    ((line, _),) = contours(ax)
    np.testing.assert_allclose(line.sum(axis=1), 3, atol=1e-4)
    assert line[:, 0].min() < 0.01
    assert line[:, 0].max() > 2.99
    no, yes = ax.collections[-2:]
    assert no.get_offsets().tolist() == [[1, 1], [0.5, 0]]
    assert yes.get_offsets().tolist() == [[3, 2]]
    np.testing.assert_allclose(no.get_facecolor()[0, :3], BLUE)
    np.testing.assert_allclose(yes.get_facecolor()[0, :3], VERMILION)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["no", "yes"]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 4), (0, 4))


def test_the_surer_the_stronger_the_shade():
    ax = viz.decision_boundary(unit, limits=(0, 4), resolution=5)
    colors = ax.images[0].get_array()
    assert colors.shape == (5, 5, 3)
    assert ax.images[0].get_extent() == [0, 4, 0, 4]
    sure = abs(2 * float(jax.nn.sigmoid(-3.0)) - 1)
    np.testing.assert_allclose(colors[0, 0], 1 - (0.08 + 0.47 * sure) * (1 - np.array(BLUE)), 1e-6)
    saturation = colors.max(-1) - colors.min(-1)
    assert saturation[0, 0] > saturation[0, 1] > saturation[0, 2]  # towards the boundary
    assert colors[4, 4, 0] > colors[4, 4, 2]  # red above
    assert colors[0, 0, 0] < colors[0, 0, 2]  # blue below
    assert ax.images[0].origin == "lower"  # the row at the bottom is the first


def test_logits_and_columns_give_the_same_as_probabilities():
    z = lambda p: p @ jnp.array([2.0, -1.0])
    two = lambda p: jnp.stack([jax.nn.sigmoid(-z(p)), jax.nn.sigmoid(z(p))], axis=1)
    make = lambda f, **options: viz.decision_boundary(f, limits=(-2, 2), resolution=7, **options)
    expected = make(lambda p: jax.nn.sigmoid(z(p)))
    for other in (
        make(lambda p: jax.nn.sigmoid(z(p))[:, None]),
        make(two),
        make(z, logits=True),
        make(lambda p: jnp.stack([0 * z(p), z(p)], axis=1), logits=True),
    ):
        shades = [ax.images[0].get_array() for ax in (expected, other)]
        np.testing.assert_allclose(*shades, atol=1e-5)
        np.testing.assert_allclose(contours(other)[0][0], contours(expected)[0][0], atol=1e-4)


def test_several_classes():
    centres = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    scores = lambda p: -((p[:, None] - centres) ** 2).sum(-1)
    ax = viz.decision_boundary(
        scores, centres, [0, 1, 2], limits=(-1, 3), resolution=33, logits=True
    )
    found = contours(ax)
    assert len(found) == 3
    for line, _ in found:
        nearest = np.sort(((line[:, None] - centres) ** 2).sum(-1), axis=1)
        # straight between the grid's points, so not exact where three classes meet
        assert np.median(nearest[:, 1] - nearest[:, 0]) < 0.01
        assert (nearest[:, 1] - nearest[:, 0]).max() < 0.2
    colors = ax.images[0].get_array()
    for (column, row), color in zip(
        [(8, 8), (24, 8), (8, 24)], (BLUE, VERMILION, GREEN), strict=True
    ):
        missing, full = 1 - colors[row, column], 1 - np.array(color)
        np.testing.assert_allclose(missing / missing.max(), full / full.max(), atol=1e-6)


def test_limits_are_around_the_points():
    x = np.array([[0.0, -1.0], [10.0, 1.0]])
    ax = viz.decision_boundary(lambda p: 0 * p[:, 0], x, [0, 1], resolution=3)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 11), (-1.2, 1.2))
    assert contours(ax) == []  # no boundary: no line, and no warning either


def test_a_plain_numpy_function():
    ax = viz.decision_boundary(lambda p: (np.asarray(p)[:, 0] > 0.5) * 1.0, limits=(0, 1))
    ((line, _),) = contours(ax)
    np.testing.assert_allclose(line[:, 0], 0.5, atol=0.01)


GOOD = {"predict": unit, "x": [[0, 0], [1, 1]], "y": [0, 1], "resolution": 3}


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"x": [[0, 0, 0]]}, ValueError, r"expected x of shape \(n, 2\), got \(1, 3\)"),
        ({"x": [[0, np.nan]]}, ValueError, "expected finite x, got 1 of 2 that are NaN or ∞"),
        ({"x": [["a", "b"]]}, TypeError, "expected x of real numbers, got <U1"),
        ({"y": [0]}, ValueError, r"expected y of shape \(2,\), got \(1,\)"),
        ({"y": [0, 2]}, ValueError, r"expected labels below 2 \(classes\), got 2"),
        ({"y": [0, -1]}, ValueError, "expected y of whole numbers from 0 on, got .* from -1 to 0"),
        ({"y": [0, 0.5]}, ValueError, "expected y of whole numbers from 0 on"),
        ({"x": None}, ValueError, "expected limits, or points to find them from, got neither"),
        ({"limits": (1, 0)}, ValueError, r"expected limits that grow, got \[\[1.0, 0.0\]"),
        (
            {"limits": (0, 1, 2)},
            ValueError,
            r"limits \(\(left, right\), \(bottom, top\)\) of shape",
        ),
        ({"resolution": 1}, ValueError, "expected a resolution of at least 2, got 1"),
        ({"names": "no"}, ValueError, "expected names for each of 2 classes, got 'no'"),
        ({"predict": lambda p: p.sum(1)}, ValueError, "expected probabilities.*pass logits=True"),
        ({"predict": lambda p: p**0}, ValueError, "sum over the classes is not 1: for logits"),
        (
            {"predict": lambda p: 0.5},
            ValueError,
            r"expected predict\(points\) of shape \(9, classes",
        ),
        ({"predict": lambda p: p[:, 0] * np.nan}, ValueError, r"expected finite predict\(points\)"),
    ],
)
def test_bad_input(bad, error, message):
    with pytest.raises(error, match=message):
        viz.decision_boundary(**GOOD | bad)


def gates(p):
    return p @ jnp.array([[20.0, -20.0], [20.0, -20.0]]) + jnp.array([-10.0, 30.0])


@pytest.mark.parametrize(("after", "level"), [(lambda z: z, 0.0), (jax.nn.sigmoid, 0.5)])
def test_hidden_units_of_xor(after, level):
    hidden = lambda p: after(gates(p))
    square = {"limits": (-0.5, 1.5), "resolution": 41, "names": ["OR", "NAND"], "level": level}
    ax = viz.hidden_boundaries(hidden, **square)
    (lower, _), (upper, _) = contours(ax)
    np.testing.assert_allclose(lower.sum(axis=1), 0.5, atol=0.02)
    np.testing.assert_allclose(upper.sum(axis=1), 1.5, atol=0.02)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["OR", "NAND"]


def test_hidden_units_side_by_side():
    _, axes = viz.figure(1, 2)
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    drawn = viz.hidden_boundaries(gates, x, y, axes, names=["OR", "NAND"], resolution=9)
    assert drawn is axes
    assert [ax.get_title() for ax in axes] == ["OR", "NAND"]
    either, not_both = (ax.images[0].get_array()[..., 0] for ax in axes)
    assert either[0, 0] > either[-1, -1]  # dark where it is on
    assert not_both[0, 0] < not_both[-1, -1]
    assert [len(contours(ax)) for ax in axes] == [1, 1]


def test_a_unit_that_never_switches_has_no_line():
    ax = viz.hidden_boundaries(lambda p: p[:, :1] + 9, limits=(0, 1), resolution=3)
    assert contours(ax) == []


def test_bad_hidden_units():
    with pytest.raises(ValueError, match=r"expected the hidden units of shape \(9, units\), got"):
        viz.hidden_boundaries(lambda p: p[:, 0], limits=(0, 1), resolution=3)
    with pytest.raises(ValueError, match="expected Axes for each of 2 units, got 3"):
        viz.hidden_boundaries(gates, ax=viz.figure(1, 3)[1], limits=(0, 1), resolution=3)
