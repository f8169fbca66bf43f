"""A network drawn as a graph of units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import nn, viz
from funcnn.viz.units import layers_of

BLUE, VERMILION = "#0072B2", "#D55E00"
OR_NAND = np.array([[20.0, -20.0], [20.0, -10.0]])
XOR = [(OR_NAND, np.array([-10.0, 30.0])), (np.array([[20.0], [20.0]]), np.array([-30.0]))]


def test_the_lecture_s_gates():
    ax = viz.network(XOR, names=[["x₁", "x₂"], ["OR", "NAND"], ["XOR"]])
    assert [line.get_color() for line in ax.lines] == [BLUE, VERMILION, BLUE, VERMILION, BLUE, BLUE]
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--", "-", "--", "-", "-"]
    wide, half = ax.lines[1].get_linewidth(), ax.lines[3].get_linewidth()
    assert (wide - 0.3) == pytest.approx(2 * (half - 0.3))
    written = [text.get_text() for text in ax.texts]
    assert written[:6] == ["20", "−20", "20", "−10", "20", "20"]  # weights
    assert written[6:9] == ["−10", "30", "−30"]  # biases
    assert written[9:] == ["x₁", "x₂", "OR", "NAND", "XOR"]
    # every line ends in the middle of two units, and each weight is written at its line
    middles = {tuple(np.round(circle.center, 6)) for circle in ax.patches}
    assert len(middles) == 5
    for line, text in zip(ax.lines, ax.texts[:6], strict=True):
        ends = line.get_xydata()
        assert {tuple(np.round(end, 6)) for end in ends} <= middles
        way = np.array(text.get_position()) - ends[0]
        assert np.cross([*way, 0], [*(ends[1] - ends[0]), 0])[2] == pytest.approx(0)


def test_large_layers_are_cut():
    ax = viz.network((784, 30, 10), most=4)
    assert len(ax.patches) == 3 + 3 + 3
    assert len(ax.lines) == 3 * 3 + 3 * 3
    written = [text.get_text() for text in ax.texts]
    assert written.count("⋮") == 3
    assert written[-3:] == ["input\n784 units", "hidden\n30 units", "output\n10 units"]


def test_the_lines_are_those_of_the_units_that_are_drawn():
    kernel = np.ones((5, 1))
    kernel[4] = -2  # the last unit
    ax = viz.network([kernel], most=3)
    assert [line.get_color() for line in ax.lines] == [BLUE, VERMILION]
    assert [text.get_text() for text in ax.texts if text.get_text() in "1−2"] == ["1", "−2"]


@pytest.mark.parametrize("named", [False, True])
def test_parameters_of_a_model(named):
    parts = [nn.dense(3), jax.nn.relu, nn.dense(4), nn.dense(1)]
    names = {f"l{i}": part for i, part in enumerate(parts)}
    model = nn.serial(**names) if named else nn.serial(*parts)
    params, _ = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 2)))
    params = jax.tree.map(lambda w: np.full(w.shape, w.size), params)
    layers = layers_of(params)
    assert layers.sizes == (2, 3, 4, 1)
    first = params["l0"] if named else params[0]
    np.testing.assert_array_equal(layers.kernels[0], first["kernel"])
    assert [bias.shape for bias in layers.biases] == [(3,), (4,), (1,)]


def test_kernels_alone_and_beside_their_biases():
    first, second = np.ones((2, 3)), np.ones((3, 3))
    assert layers_of([first, second]).biases == (None, None)
    biases = layers_of([first, np.zeros(3), second, np.ones(3)]).biases
    assert [bias.tolist() for bias in biases] == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ((3,), {}, r"the sizes of two or more layers, got \(3,\)"),
        ((3, 0), {}, r"the sizes of two or more layers, got \(3, 0\)"),
        ([np.ones(3)], {}, r"kernels \(in, out\), got arrays of shapes \[\(3,\)\]"),
        (
            [np.ones((2, 3)), np.ones((2, 1))],
            {},
            r"follow one another, got shapes \[\(2, 3\), \(2, 1",
        ),
        ((2, 1), {"names": ["in"]}, "names for each of 2 layers, got 1"),
        ((2, 1), {"names": [["a"], "out"]}, "names of layer 0 for each of 2 units, got 1"),
        ((2, 1), {"most": 2}, "most of at least 3 units, got 2"),
    ],
)
def test_bad_input(network, options, message):
    with pytest.raises(ValueError, match=message):
        viz.network(network, **options)
