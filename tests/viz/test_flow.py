"""Gradient flow: what funcnn.debug measured, as it is drawn."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from funcnn import viz
from funcnn.debug import FlowOverTime, FlowRow, GradientFlow, Verdict

BLUE, VERMILION, GRAY = "#0072b2", "#d55e00", "#808080"


def made(norms, *verdicts, parameters=0.5):
    rows = tuple(
        FlowRow((i,), f"dense({i})", (2, 2), n, n / 10, 0.0, None, p, None, None, None)
        for i, (n, p) in enumerate(zip(norms, [None, *[parameters] * 9], strict=False))
    )
    return GradientFlow(rows, verdicts, 1.0)


def points(ax):
    """Where the marker of each layer is, and its colour."""
    marked = [line for line in ax.lines if line.get_marker() != "None" and len(line.get_xdata())]
    return [(line.get_xdata()[-1], to_hex(line.get_color())) for line in marked]


def test_a_network_layer_by_layer():
    flow = made([1e-6, 1e-5, 0.5, 1.0], Verdict("vanishing", (0, 1), "each sigmoid passes 0.2"))
    ax = viz.gradient_flow(flow)
    assert points(ax) == [(1e-6, VERMILION), (1e-5, VERMILION), (0.5, BLUE), (1.0, BLUE)]
    names = ["[0] dense(0)", "[1] dense(1)", "[2] dense(2)", "[3] dense(3)"]
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    assert ax.yaxis_inverted()  # the input is above
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["vanishing"]


def test_a_gradient_of_zero_is_an_open_point_at_the_edge():
    ax = viz.gradient_flow(made([0.0, 0.02, 1.0], Verdict("no gradient", (0,), "it is 0")))
    assert points(ax) == [(0.001, GRAY), (0.02, BLUE), (1.0, BLUE)]
    marked = [line for line in ax.lines if line.get_marker() != "None"]
    assert [to_hex(line.get_markerfacecolor()) for line in marked[:2]] == ["#ffffff", BLUE]
    assert ax.get_xlim()[0] == pytest.approx(0.001)


def test_other_measures():
    flow = made([1.0, 2.0, 3.0])
    assert points(viz.gradient_flow(flow, measure="mean")) == [(n, BLUE) for n in (0.1, 0.2, 0.3)]
    parameters = viz.gradient_flow(flow, measure="parameters")
    assert points(parameters) == [(0.5, BLUE), (0.5, BLUE)]
    assert [t.get_text() for t in parameters.get_yticklabels()] == ["[1] dense(1)", "[2] dense(2)"]


def test_several_networks_by_depth():
    ax = viz.gradient_flow({"sigmoid": made([1e-4, 1e-2, 1]), "ReLU": made([0.5, 0.6, 0.7])})
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {
        "sigmoid": [[1, 1e-4], [2, 1e-2], [3, 1]],
        "ReLU": [[1, 0.5], [2, 0.6], [3, 0.7]],
    }
    assert ax.get_yscale() == "log"


def test_over_time():
    early = made([0.0, 1e-5, 1.0], Verdict("vanishing", (1,), "small"))
    late = made([0.0, 0.1, 2.0])
    ax = viz.gradient_flow(FlowOverTime(np.array([0, 100]), (early, late)))
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {
        "[1] dense(1)": [[0, 1e-5], [100, 0.1]],
        "[2] dense(2)": [[0, 1.0], [100, 2.0]],
        "vanishing": [[0, 1e-5]],
    }
    assert to_hex(ax.lines[-1].get_color()) == VERMILION


def test_every_kind_of_verdict_has_its_colour_and_marker():
    from funcnn.viz.flow import FINE, KINDS

    kinds = Verdict.__doc__.split("kind: ")[1].split(".\n")[0]
    assert all(f'"{kind}"' in kinds for kind in KINDS)
    assert len({FINE, *KINDS.values()}) == len({c for c, _ in [FINE, *KINDS.values()]}) == 7


@pytest.mark.parametrize(
    ("flow", "options", "error", "message"),
    [
        ([1.0], {}, TypeError, r"expected what debug.gradient_flow returns, .* got \[1.0\]"),
        ({}, {}, TypeError, r"or \{name: flow\}, got \{\}"),
        (made([1.0]), {"measure": "sum"}, ValueError, "of norm, mean, parameters, got 'sum'"),
        (made([1.0]), {"measure": "parameters"}, ValueError, "no layer has a parameters above 0"),
        (made([0.0, np.nan]), {}, ValueError, "no layer has a norm above 0 that could be shown"),
    ],
)
def test_bad_input(flow, options, error, message):
    with pytest.raises(error, match=message):
        viz.gradient_flow(flow, **options)
