"""The gallery's examples of units, boundaries and regularization: their numbers and pictures."""

import re
import sys
from argparse import Namespace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lectures.conftest import EXAMPLES
from lectures.conftest import example as example
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from funcnn import nn


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, float)))


def cells(table):
    """The rows below the header, each a list of what stands in its columns."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()[2:]]


def texts(ax) -> set[str]:
    return {text.get_text() for text in ax.findobj(Text) if text.get_text()}


# --- logistic_units: rows 2 and 3


def test_boundary_of_a_unit(example):
    """Deck A: w = (1, 1), b = −3 predicts 1 where x₁ + x₂ ≥ 3; the line is x₂ = 3 − x₁."""
    units = example("logistic_units")
    assert units.boundary(units.FIRST) == (-1, 3)
    rows = cells(units.examples_table())
    assert len(rows) == len(units.EXAMPLES)
    for a, b, z, p, said in rows:
        assert float(z) == float(a) + float(b) - 3
        assert float(p) == pytest.approx(sigmoid(float(z)), abs=5e-5)
        assert said == str(int(float(a) + float(b) >= 3))
    assert {row[-1] for row in rows} == {"0", "1"}


def test_panels_of_the_deck(example):
    """The deck's own program, in NumPy."""
    units = example("logistic_units")
    x1, x2 = np.meshgrid(*[np.linspace(-10, 10, 30)] * 2)
    h1, h2, h3 = (
        sigmoid(z) for z in (10 * x1 + 10 * x2 - 30, 10 * x1 - 10 * x2 - 30, -10 * x1 + x2 - 3)
    )
    expected = [h1, h2, h3, sigmoid(h1 + h2 + h3), sigmoid(10 * (h1 + h2 + h3) - 1)]
    found = units.panels(np.stack([x1, x2], axis=-1).reshape(-1, 2))
    for values, by_deck in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(values, by_deck.ravel(), atol=1e-4)
    rows = {row[0]: row[1:] for row in cells(units.square_table())}
    assert rows["σ(h₁ + h₂ + h₃)"] == ["0.5000", "0.8808", "100.0%"]  # σ(0) and σ(2)
    assert rows["fourth unit"][0] == f"{sigmoid(-1):.4f}"
    assert 90 < float(rows["fourth unit"][2].rstrip("%")) < 100


# --- xor: row 4


def test_gates_are_drawn(example):
    xor = example("xor")
    curves = np.linspace([2.0, 1.0], [0.1, 0.5], 5).T
    params, _ = xor.network(2).init(jax.random.key(0), xor.X)
    found = xor.Learned(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params), curves, None)
    figure = xor.picture(found)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:4] == ["AND", "OR", "NAND", "XOR = AND(OR, NAND)"]
    network = next(ax for ax in figure.axes if "three gates" in ax.get_title())
    assert texts(network) >= {"20", "−20", "−10", "30", "−30", "OR", "NAND", "AND", "x₁", "x₂"}
    labels = {tuple(row): i for i, row in enumerate(xor.X.tolist())}
    for ax, truth in zip(figure.axes, xor.TRUTH.values(), strict=False):
        for value, points in enumerate(ax.collections[-2:]):  # the two classes
            for point in points.get_offsets().tolist():
                assert truth[labels[tuple(point)]] == value
        colors = ax.images[0].get_array()
        at = [[round((v + 0.5) / 2 * (len(colors) - 1)) for v in point] for point in labels]
        red_or_blue = [int(colors[row, column, 0] > colors[row, column, 2]) for column, row in at]
        assert red_or_blue == list(truth)


# --- towers: row 5


def test_height_width_and_place(example):
    towers = example("towers")
    for row in cells(towers.shapes_table()):
        set_, found = np.array(row, float).reshape(2, 3)
        np.testing.assert_allclose(found, set_, atol=2e-3)
    assert len({row[0] for row in cells(towers.shapes_table())}) > 1


def test_towers_come_near(example):
    """Within a tower the function moves by its slope times half the width, at most."""
    towers = example("towers")
    for count in (10, 50):
        params = towers.fitted(lambda x: 2 * x, count)
        # half a step more, at the edges, where two towers share
        assert 0.9 / count < towers.errors(lambda x: 2 * x, params).max() < 1.1 / count
    np.testing.assert_allclose(
        towers.each_tower(params).sum(axis=0), towers.output(params), atol=1e-5
    )
    left = towers.each_tower(towers.towers([0.7], [0.2], [0.4]))[0]
    np.testing.assert_allclose(left, 0.7 * ((towers.X > 0.2) & (towers.X < 0.4))[:, 0], atol=0.36)
    assert left.max() == pytest.approx(0.7)


def test_towers_are_trained(example):
    towers = example("towers")
    before, after = towers.learn(60, seed=0)
    assert (
        towers.errors(towers.wave, after).mean() < 0.6 * towers.errors(towers.wave, before).mean()
    )
    assert after["z"]["kernel"].tolist() == [[towers.SOFT] * 2 * towers.LEARNED]
    heights = np.asarray(after["y"]["kernel"]).reshape(-1, 2)
    np.testing.assert_array_equal(heights[:, 0], -heights[:, 1])  # they still are towers


# --- feature_maps: row 7


def test_scores_of_the_feature_map(example):
    """Deck C: class 1 scores higher where x₁² + x₂² > r²; the score of class 2 is 0."""
    maps = example("feature_maps")
    x = np.random.default_rng(0).uniform(-2, 2, (50, 2)).astype(np.float32)
    first, second = np.asarray(maps.scores(x)).T
    np.testing.assert_allclose(first, np.square(x).sum(axis=1) - 1.2**2, atol=1e-5)
    assert (second == 0).all()
    assert [row[-1] for row in cells(maps.scores_table())][::4] == [
        "class 2 (inside)",
        "class 1 (outside)",
    ]


def test_a_circle_becomes_linear(example):
    maps = example("feature_maps")
    x, y = maps.points(100, seed=1)
    assert y.sum() == 50
    assert ((np.hypot(*x.T) > maps.RADIUS) == y).all()
    by_hand = {
        "x": [],
        "Φ(x) = (x₁², x₂²)": [[1.0], [1.0]],
        "polar (r, θ)": [[1.0], [0.0]],
        "(x₁, x₂, x₁² + x₂²)": [[0.0], [0.0], [1.0]],
    }
    assert maps.MAPS.keys() == by_hand.keys()
    for name, kernel in list(by_hand.items())[1:]:
        bias = -(maps.RADIUS ** (1 if "polar" in name else 2))
        params = ((), {"kernel": jnp.array(kernel), "bias": jnp.array([bias])}, ())
        assert ((maps.logits(name, params, x) > 0) == y).all()
        w, b = maps.weights(params)
        assert (w.tolist(), b) == (np.ravel(kernel).tolist(), pytest.approx(bias))


# --- circle: row 8


def test_steps_on_the_way(example):
    circle = example("circle")
    assert circle.steps_on_the_way(np.array([9.0, 8, 7, 6, 5, 4, 3, 2, 1, 1])) == [0, 2, 4, 6, 9]
    assert circle.steps_on_the_way(np.array([1.0, 2.0])) == [0, 1]  # it only rose
    path = np.array([[1.0, 0, 0], [1.2, 0.5, 0.0], [1.5, 1.0, -0.5]])
    x, y = circle.points(30, seed=0)
    plane = circle.picture(path, np.array([3.0, 2.0, 1.0]), x, y).axes[0]
    rings = [line.get_xydata() for line in plane.lines if len(line.get_xdata()) == 200]
    assert len(rings) == 3
    for (radius, *centre), ring in zip(path, rings, strict=True):
        np.testing.assert_allclose(np.hypot(*(ring - centre).T), radius)
    assert texts(plane) >= {"0", "1", "2"}


# --- activations: row 12


def test_activations_and_derivatives(example):
    activations = example("activations")
    values = {row[0]: row[-5:] for row in cells(activations.values_table())}
    assert values["step"] == ["0.0000", "0.0000", "1.0000", "1.0000", "1.0000"]
    assert values["leaky ReLU"][0] == "-0.3000"  # max(0.1 x, x) at −3
    assert values["ELU"][1] == f"{np.exp(-1) - 1:.4f}"
    assert values["maxout"] == ["1.5000", "0.5000", "0.0000", "0.2500", "2.2500"]
    assert values["softmax"][2] == f"{1 / (2 + np.e):.4f}"
    rows = cells(activations.derivatives_table())
    assert [row[0] for row in rows] == list(activations.ACTIVATIONS)
    assert max(float(row[-1]) for row in rows) < 1e-6
    slopes = {row[0]: row[1:6] for row in rows}
    assert slopes["sigmoid"][2] == "0.2500"
    assert slopes["tanh"][2] == "1.0000"
    assert slopes["ReLU"] == ["0.0000", "0.0000", "0.0000", "1.0000", "1.0000"]


# --- templates: rows 6 and 42


def test_scores_are_matches_of_templates(example):
    """Images that are the templates of their classes: each matches its own the best."""
    templates = example("templates")
    kernel = np.random.default_rng(0).normal(size=(16, 10)).astype(np.float32)
    bias = np.arange(10, dtype=np.float32) / 10
    model = nn.models.linear(10)
    params = ((), {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)})
    trained = templates.Trained("by hand", model, params, 1.0)
    np.testing.assert_array_equal(templates.templates(trained), kernel.T)
    x = kernel.T.reshape(10, 4, 4, 1)
    scores = templates.mean_scores(trained, np.concatenate([x, 3 * x]), np.tile(np.arange(10), 2))
    np.testing.assert_allclose(scores, 2 * kernel.T @ kernel + bias, rtol=1e-5, atol=1e-5)
    assert templates.matching(scores) == 10
    assert templates.matching(np.roll(scores, 1, axis=0)) == 0
    hidden = templates.Trained("hidden", model, params, 0.5)
    figure = templates.picture([trained, hidden], (x, np.arange(10)), "test images")
    matched = [text.get_text() for text in figure.axes[2].texts]
    own = np.square(kernel).sum(axis=0) + bias
    np.testing.assert_allclose([float(text) for text in matched], own, atol=0.06)


# --- regularization: rows 17 and 18


def test_which_weights_are_preferred(example):
    """Deck B: w·x is 1 for both; Σ w² is 1 against ¼; Σ |w| is 1 for both."""
    table = example("regularization").preferences_table()
    assert cells(table) == [
        ["(1, 0, 0, 0)", "1", "1", "1", "2"],
        ["(¼, ¼, ¼, ¼)", "1", "0.25", "1", "1.25"],
        ["prefers", "the second", "neither", "the second"],
    ]


def test_descent_with_penalties(example):
    """The minima of (w·x − 1)² + λ R(w), on paper."""
    script = example("regularization")
    x, penalty = script.BETTER, 0.02
    none, l2, l1, elastic = script.descend_small(1500).astype(float)
    assert none @ x == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(none - script.START, x * (none - script.START)[0], atol=0.02)
    np.testing.assert_allclose(l2, x / (penalty + x @ x), atol=1e-3)
    np.testing.assert_allclose(l1, [1 - penalty / 2, 0, 0, 0], atol=5e-3)
    # of the elastic net, all weights positive: 2 (w·x − 1) x + λ (2 w + 1) = 0
    exact = np.linalg.solve(2 * np.outer(x, x) + 2 * penalty * np.eye(4), 2 * x - penalty)
    assert (exact > 0).all()
    np.testing.assert_allclose(elastic, exact, atol=2e-3)


# --- capacity


def test_penalty_of_a_network(example):
    """λ Σ w² is added, of the kernels and not of the biases; the table says how large Σ w² is."""
    capacity = example("capacity")
    points = example("plane_data").spiral(20, 0.1)
    model = capacity.network(3)
    kernels = [np.full((2, 3), 0.5, np.float32), np.full((3, 2), -1.0, np.float32)]
    first, last = ({"kernel": k, "bias": np.full(k.shape[1], 9.0, np.float32)} for k in kernels)
    params, state = ((), first, (), last), ((), (), (), ())
    loss = capacity.penalized(model, state)
    (without, _), (with_, (kept, _)) = (loss(params, rate, points, None) for rate in (0.0, 0.1))
    assert kept == 0.1
    assert with_ - without == pytest.approx(0.1 * (6 * 0.25 + 6), rel=1e-4)
    z = np.tanh(points[0] @ kernels[0] + 9) @ kernels[1]  # the same for both classes
    np.testing.assert_allclose(z[:, 0], z[:, 1])
    assert without == pytest.approx(np.log(2), rel=1e-4)
    table = capacity.table("λ", {0.1: capacity.Fitted(model, params, 0.5, 0.25)})
    assert cells(table) == [["0.1", "17", "50.0%", "25.0%", "7.5"]]  # 2·3 + 3 + 3·2 + 2


# --- plane_data


def test_points_of_the_plane(example):
    data = example("plane_data")
    for name, make in data.DATA.items():
        x, y = make(90, 0.05, seed=3)
        assert (x.shape, x.dtype, y.shape, y.dtype) == ((90, 2), np.float32, (90,), np.int32)
        assert np.abs(x).max() < 2.6, name
        assert 25 <= y.sum() <= 65
        np.testing.assert_array_equal(make(90, 0.05, seed=3)[0], x)
        assert (make(90, 0.05, seed=4)[0] != x).any()
    x, y = data.circles(40, 0.0)
    np.testing.assert_allclose(np.hypot(*x.T), 2 - y, atol=1e-6)
    x, y = data.xor(40, 0.0)
    assert ((x[:, 0] * x[:, 1] < 0) == y).all()
    x, y = data.spiral(60, 0.0, arms=3)
    angle = np.arctan2(x[:, 1], x[:, 0]) - 2.5 * np.pi * np.hypot(*x.T) / 2
    turned = angle - 2 * np.pi * y / 3
    np.testing.assert_allclose(np.cos(turned), 1, atol=1e-5)


# --- playground


def test_epochs_of_the_animation(example):
    playground = example("playground")
    shown = playground.epochs_shown(300, 40)
    assert shown[0] == 0
    assert shown[-1] == 300
    assert len(shown) <= 41
    steps = np.diff(shown)
    assert steps[0] == 1
    assert steps[-1] > 10
    assert playground.epochs_shown(3, 40) == [0, 1, 2, 3]


def test_the_playground_draws_what_it_learns(example, tmp_path):
    playground = example("playground")
    points = example("plane_data").xor(40, 0.0)
    args = Namespace(seed=0, l2=0.0, optimizer="adam", learning_rate=0.1, epochs=20, frames=4)
    model = playground.network([6], jnp.tanh, 0.0)
    snapshots, history = playground.trained(
        model, points, points, Namespace(**vars(args), batch_size=40)
    )
    assert [s.epoch for s in snapshots] == [0, 2, 5, 12, 20]
    assert history["epoch"].tolist() == list(range(1, 21))
    assert history["validation_accuracy"][-1] > 0.9
    # a snapshot is the network of its epoch
    for epoch, params in snapshots[1:]:
        right = (np.asarray(model(params, points[0])).argmax(axis=1) == points[1]).mean()
        assert right == pytest.approx(history["validation_accuracy"][epoch - 1])

    picture_file = example("picture_file")
    frames = []
    for figure in playground.animation(model, snapshots[::4], history, points):
        assert isinstance(figure, Figure)
        shown = [ax.get_title() for ax in figure.axes]
        epoch = snapshots[4 * len(frames)].epoch
        assert shown[0] == f"epoch {epoch}"
        frames.append(picture_file.drawn(figure, 40))
    assert shown[1] == f"validation: {history['validation_accuracy'][-1]:.0%} right"
    picture_file.save_animation(frames, tmp_path / "new" / "a.gif", [100, 900], 16)
    with Image.open(tmp_path / "new" / "a.gif") as saved:
        assert (saved.n_frames, saved.info["duration"], saved.info["loop"]) == (2, 100, 0)
        assert saved.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        saved.seek(1)
        assert saved.info["duration"] == 900


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--data donut", "--data: invalid choice: 'donut' (choose from "),
        ("--points 9", "--points: expected a whole number of at least 10, got '9'"),
        ("--noise -1", "--noise: expected a number of at least 0, got '-1'"),
        ("--noise nan", "--noise: expected a number of at least 0, got 'nan'"),
        ("--hidden 16,x", "--hidden: expected widths such as 512,512, or none"),
        ("--activation step", "--activation: invalid choice: 'step' (choose from "),
        ("--optimizer lbfgs", "--optimizer: invalid choice: 'lbfgs' (choose from "),
        ("--learning-rate 0", "--learning-rate: expected a number above 0, got '0'"),
        ("--l2 inf", "--l2: expected a number of at least 0, got 'inf'"),
        ("--dropout 1", "--dropout: expected a number from 0 to below 1, got '1'"),
        ("--epochs 0", "--epochs: expected a whole number of at least 1, got '0'"),
        ("--frames x", "--frames: expected a whole number of at least 1, got 'x'"),
        ("--batch-size 201", "--batch-size: there are 200 points"),
    ],
)
def test_bad_options_of_the_playground(example, monkeypatch, capsys, options, message):
    script = example("playground")
    monkeypatch.setattr(sys, "argv", ["playground.py", "--no-picture", *options.split()])
    with pytest.raises(SystemExit) as exit:
        script.main()
    assert exit.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err


# --- the pictures


def test_committed_pictures_are_small():
    named = "logistic_units xor towers templates feature_maps circle activations regularization"
    for name in [*named.split(), "capacity"]:
        path = EXAMPLES / "figures" / f"{name}.png"
        assert 10_000 < path.stat().st_size < 200_000
        with Image.open(path) as picture:
            assert picture.width == 1500
            assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert Path(EXAMPLES / "figures" / "playground.gif").stat().st_size < 700_000
