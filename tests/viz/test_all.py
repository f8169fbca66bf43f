"""What holds for every picture: it draws into the Axes it is given, headless, without a warning."""

import jax
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.text import Text

from funcnn import train, viz
from funcnn.debug import FlowOverTime, FlowRow, GradientFlow, Verdict

IMAGES, P, LABELS = np.linspace(0, 1, 72).reshape(8, 3, 3), np.eye(4)[[0, 1, 2, 3] * 2], [0, 1] * 4
POINTS = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
FOUND = train.RangeTest(
    np.geomspace(0.001, 1, 4),
    np.array([3.0, 2.0, 1.0, 9.0]),
    np.array([3.0, 2.0, 1.0, 9.0]),
    3,
    0.01,
)
KERNELS = [(np.array([[20.0, -20], [20, -20]]), np.array([-10.0, 30])), np.array([[1.0], [-2]])]
ROWS = tuple(
    FlowRow((i,), f"dense({i})", (2, 2), norm, norm, 0.0, None, norm, None, None, None)
    for i, norm in enumerate([0.0, 1e-5, 1.0])
)
FLOW = GradientFlow(
    ROWS, (Verdict("vanishing", (1,), "small"), Verdict("no gradient", (0,), "0")), 1.0
)

PICTURES = {
    "activation": lambda ax: viz.activation(jax.nn.sigmoid, ax),
    "confusion_matrix": lambda ax: viz.confusion_matrix([[9, 1], [0, 5]], ax, ["cat", "dog"]),
    "decision_boundary": lambda ax: viz.decision_boundary(
        lambda p: p[:, 0], POINTS, [0, 1, 1], ax, limits=(0, 1), resolution=5
    ),
    "feature_maps": lambda ax: viz.feature_maps(np.arange(18.0).reshape(3, 3, 2), ax),
    "gradient_flow": lambda ax: viz.gradient_flow(FLOW, ax),
    "gradient_flow, several": lambda ax: viz.gradient_flow({"a": FLOW, "b": FLOW}, ax),
    "gradient_flow, over time": lambda ax: viz.gradient_flow(
        FlowOverTime(np.array([0, 5]), (FLOW, FLOW)), ax
    ),
    "hidden_boundaries": lambda ax: viz.hidden_boundaries(
        lambda p: p - 0.5, POINTS, [0, 1, 1], ax, resolution=5
    ),
    "history": lambda ax: viz.history(
        {"loss": [3.0, 1.0], "validation_loss": [2.0, 1.0], "test_loss": 1.1}, ax=ax
    ),
    "images": lambda ax: viz.images(IMAGES, ax, captions=list("abcdefgh")),
    "mistakes": lambda ax: viz.mistakes(IMAGES, P, LABELS, ax, most=2),
    "network": lambda ax: viz.network(KERNELS, ax, [["x₁", "x₂"], ["OR", "NAND"], "output"]),
    "network of many units": lambda ax: viz.network((100, 3, 3, 1), ax),
    "paths": lambda ax: viz.paths(
        lambda w: w @ w, {"sgd": POINTS}, ax, limits=(-1, 2), minimum=(0, 0), resolution=9
    ),
    "predictions": lambda ax: viz.predictions(IMAGES, P, LABELS, ax),
    "range_test": lambda ax: viz.range_test(FOUND, ax),
    "receptive_field": lambda ax: viz.receptive_field([(3, 1), (2, 2), (3, 1, 2)], ax),
    "roc": lambda ax: viz.roc([0, 0.5, 1], [0, 1, 1], ax, label="unit"),
    "schedules": lambda ax: viz.schedules({"falling": lambda t: 1 / (1 + t)}, 5, ax),
    "templates": lambda ax: viz.templates(np.eye(4), (2, 2), ax),
    "towers": lambda ax: viz.towers([0, 1, 2], [0, 1, 1], [[0, 1, 0], [0, 0, 1]], ax),
}


@pytest.mark.parametrize("name", PICTURES)
def test_draws_into_the_given_axes(name):
    figure, (left, right) = viz.figure(1, 2, size=(6, 3))
    assert PICTURES[name](left) is left
    assert not right.has_data()
    assert left.get_children() != right.get_children()
    figure.draw_without_rendering()  # letters that the font does not have are warnings: errors here
    shown = [text for text in left.findobj(Text) if text.get_text() and text.get_visible()]
    assert shown
    # nothing but the colours of the one style is used for letters
    style = {v for v in vars(viz.style).values() if isinstance(v, str) and v.startswith("#")}
    colors = {to_hex(text.get_color()).upper() for text in shown}
    assert colors <= {color.upper() for color in style} | {"#000000", "#FFFFFF"}


@pytest.mark.parametrize("name", PICTURES)
def test_makes_a_figure_where_there_is_none(name):
    ax = PICTURES[name](None)
    assert isinstance(ax, Axes)
    assert ax.figure.axes == [ax]
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("name", PICTURES)
def test_anything_but_axes_is_an_error(name):
    figure, _ = viz.figure()
    with pytest.raises((TypeError, ValueError), match=r"Axes.* got (Figure: figure, ax = viz|1)"):
        PICTURES[name](figure)
