"""What the gallery's scripts of rows 19 to 44 compute and draw; the gallery itself."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lectures.conftest import EXAMPLES
from lectures.conftest import example as example
from PIL import Image
from sklearn import metrics as sklearn_metrics

from funcnn import nn, train

# scripts that show no figure of the lectures, or take minutes
NOT_IN_THE_GALLERY = {
    *("gallery", "char_rnn", "convnet", "debugging", "mnist", "mnist_best_mlp", "own_rule"),
    "random_wiring",
}


@pytest.fixture
def script(example, monkeypatch):
    """Imports a script that will draw."""
    monkeypatch.syspath_prepend(EXAMPLES)  # what draws is imported late
    return example


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def titled(figure, title):
    (found,) = [ax for ax in figure.axes if ax.get_title() == title]
    return found


def cells(table):
    """The rows of a printed table, without the header."""
    return [line.split() for line in table.splitlines()[2:]]


# --- row 19


def test_numbers_of_deck_b(example):
    numerical = example("numerical_gradient")
    np.testing.assert_allclose(numerical.deck_derivatives(), [-2.5, 0.6, 0], atol=1e-9)
    assert [row[-1] for row in cells(numerical.deck_table())] == ["-2.5", "0.6", "0.0"]


def test_difference_quotients_of_a_cube(example):
    """((1 + h)³ − 1)/h = 3 + 3h + h²; ((1 + h)³ − (1 − h)³)/2h = 3 + h²."""
    numerical = example("numerical_gradient")
    h = 2.0**-5
    found = [q(lambda w: w**3, 1.0, 1.0, h) for q in numerical.QUOTIENTS.values()]
    assert found == [3 + 3 * h + h**2, 3 + h**2]


def test_errors_grow_with_the_square_of_h(example):
    """Of central differences in float64, where rounding is far away."""
    numerical = example("numerical_gradient")
    small, large = numerical.errors(numerical.central, "float64", (1e-4, 1e-3), 0).errors
    assert large / small == pytest.approx(100, rel=0.05)


# --- row 29


def test_sigmoids_pass_at_most_a_quarter(example, monkeypatch):
    vanishing = example("vanishing")
    monkeypatch.setattr(vanishing, "DEPTHS", (2, 4))
    rng = np.random.default_rng(0)
    batch = rng.random((16, 8, 8, 1), np.float32), rng.integers(0, 10, 16)
    two, four = vanishing.ratios_by_depth("sigmoid", batch, 0)
    assert two / 300 < four < two / 16


def test_other_layers_are_left_out(example):
    vanishing = example("vanishing")
    row = vanishing.debug.FlowRow((), "", (4, 3), 0.5, 0.1, 0.0, 1.0, 0.3, None, None, None)
    layers = {"dense(3)": 2.0, "tanh": 3.0, "batch_norm() copy 0": 4.0, "dense(3) copy 0": 5.0}
    rows = tuple(row._replace(layer=layer, norm=norm) for layer, norm in layers.items())
    found = vanishing.debug.GradientFlow(rows, (), 1.0)
    assert [row.norm for row in vanishing.dense_only(found).rows] == [2, 5]
    assert cells(vanishing.layers_table({"tanh": found})) == [["1", "2.0e+00"], ["2", "5.0e+00"]]


# --- row 30


def test_following_the_slope(example):
    """Of w²/4 a step of rate 1 halves w."""
    search = example("random_search")
    w, values = search.descent(lambda w: w**2 / 4, jnp.float32(4.0), 3)
    assert (float(w), values.tolist()) == (0.5, [4, 1, 0.25, 0.0625])


# --- row 31


def test_one_example_a_step_is_the_rule_of_deck_e(example):
    descent = example("descent")
    x, y = descent.examples(3)
    path = descent.descend(x, y, 1, 0.2, 1, seed=3)
    (key,) = jax.random.split(jax.random.key(3), 1)
    order = np.asarray(jax.random.permutation(key, descent.EXAMPLES))
    assert sorted(order) == list(range(descent.EXAMPLES))
    np.testing.assert_allclose(path.weights, descent.by_rule(x, y, 0.2, order), atol=1e-4)
    assert path.seen.tolist() == list(range(descent.EXAMPLES + 1))


def test_all_examples_a_step_go_to_the_minimum(example):
    descent = example("descent")
    x, y = descent.examples(0)
    lowest = descent.minimum(x, y)
    slope = (1 / (1 + np.exp(-(x @ lowest))) - y) @ x
    np.testing.assert_allclose(slope, 0, atol=1e-3)
    path = descent.descend(x, y, descent.EXAMPLES, 2.0, 40, seed=0)
    assert (np.diff(path.losses) < 1e-6).all()
    np.testing.assert_allclose(path.weights[-1], lowest, atol=0.01)
    uphill = path._replace(losses=np.array([1.0, 2.0, 1.5, 3.0]))  # two of three steps
    assert "67%" in descent.steps_table({"one example": uphill})


# --- row 36


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("step", {0: 0.5, 29: 0.5, 30: 0.05, 60: 0.005, 90: 0.0005}),
        ("cosine", {0: 0.5, 25: 0.25 * (1 + 2**-0.5), 50: 0.25, 75: 0.25 * (1 - 2**-0.5)}),
        ("linear", {0: 0.5, 25: 0.375, 50: 0.25, 99: 0.005}),
        ("inverse square root", {1: 0.5, 4: 0.25, 25: 0.1, 64: 0.0625}),
    ],
)
def test_schedules(example, name, values):
    schedules = example("schedules")
    _, schedule, formula = schedules.SCHEDULES[name]
    found = schedules.rates(schedule)
    np.testing.assert_allclose(found, [formula(t) for t in range(100)], rtol=1e-4, atol=1e-8)
    for t, value in values.items():
        assert float(found[t]) == pytest.approx(value, rel=1e-4)


def test_wrong_labels(example):
    schedules = example("schedules")
    labels = np.arange(10_000) % 10
    wrong = schedules.with_mistakes(labels, 0)
    assert np.mean(wrong != labels) == pytest.approx(schedules.WRONG, abs=0.02)
    assert set(wrong) == set(range(10))


# --- row 37


def test_the_best_rate(example):
    optimizers = example("optimizers")
    surface = optimizers.SURFACES[0]  # 0 at the minimum, near below 0.001
    rates = np.array([0.1, 0.2, 0.3])

    def best(*losses):
        return optimizers.best_rate(surface, optimizers.Descent(rates, None, np.array(losses)))

    assert best([9, 1, 0, 0], [9, 0, 0, 0], [9, 9, 9, 9]) == 1
    assert best([9, 2, 2, 2], [9, 1, 1, 1], [9, np.nan, np.nan, np.nan]) == 1


def test_paths_are_drawn_with_the_rates_of_the_surface(script):
    optimizers = script("optimizers")
    rates = np.logspace(-3, 0, 7)
    path = np.cumsum(np.ones((7, 4, 2)) * rates[:, None, None], axis=1)
    drawn = optimizers.Descent(rates, path, np.ones((7, 4)))
    figure = optimizers.picture([dict.fromkeys(optimizers.OPTIMIZERS, drawn)] * 3)
    saddle = titled(figure, "a saddle point")
    by_name = {line.get_label(): line for line in saddle.lines}
    assert {*optimizers.OPTIMIZERS, "minimum"} <= by_name.keys()
    for name, rate in zip(optimizers.OPTIMIZERS, optimizers.SURFACES[2].pictured, strict=True):
        nearest = min(rates, key=lambda tried: abs(np.log(tried / rate)))
        assert by_name[name].get_xdata()[0] == pytest.approx(nearest)


def test_minima_of_the_surfaces(example):
    for surface in example("optimizers").SURFACES:
        at = jnp.array(surface.lowest)
        assert float(surface.loss(at)) == pytest.approx(surface.minimum, abs=1e-4)
        np.testing.assert_allclose(jax.grad(surface.loss)(at), 0, atol=2e-3)


# --- row 38


def test_rates_on_a_parabola(example):
    """A step is θ ← (1 − η) θ."""
    rates = example("learning_rates")
    for name, rate in rates.PARABOLA.items():
        path = rates.descend(rate)
        np.testing.assert_allclose(path, 4 * (1 - rate) ** np.arange(rates.STEPS + 1), rtol=1e-4)
        assert (abs(path[-1]) > 4) == (name == "too high")


def test_picture_of_learning_rates(script):
    rates = script("learning_rates")
    history = {"epoch": np.arange(1, 4), "loss": np.outer([3, 2, 1], np.ones(len(rates.RATES)))}
    tested = np.array([1e-3, 1e-2, 0.1, 1.0])
    losses = np.array([2.0, 1.8, 1.0, 9.0])
    found = train.RangeTest(tested, losses, losses, 3, 0.01)
    figure = rates.picture(history, found)
    high = titled(figure, "too high: η = 2.1")
    np.testing.assert_allclose(high.lines[1].get_xdata()[:3], [4, -4.4, 4.84], rtol=1e-5)
    assert legend(titled(figure, "digits, learned")) == [
        "too low: 0.001",
        "just right: 0.1",
        "too high: 10",
    ]
    assert [row[-1] for row in cells(rates.range_table(found))] == ["0.1", "1", "0.01"]


# --- row 40


def test_bias_and_variance_of_polynomials(example):
    """By the formulas of least squares: bias of the fit without noise, σ² vᵀ(XᵀX)⁻¹v."""
    overfitting = example("overfitting")
    x, y = overfitting.samples(0)
    for degree in overfitting.DEGREES:
        found = overfitting.fits(x, y, degree)
        grid, at = (np.vander(points, degree + 1) for points in (overfitting.GRID, x))
        exact = grid @ np.linalg.lstsq(at, overfitting.curve(x))[0]
        bias2 = np.square(exact - overfitting.curve(overfitting.GRID)).mean()
        spread = np.einsum("ij,jk,ik->i", grid, np.linalg.inv(at.T @ at), grid).mean()
        assert found.bias2 == pytest.approx(bias2, rel=0.05, abs=2e-3)
        assert found.variance == pytest.approx(overfitting.NOISE**2 * spread, rel=0.1)
        assert (found.bias2 < 1e-2) == (degree >= 2)


def test_a_network_is_stopped_early(script):
    overfitting = script("overfitting")
    learn, validation = overfitting.points(8, 0, 0), overfitting.points(30, 0, 1)
    _, history = overfitting.learned(40, learn, validation, 80, 0, patience=10)
    best = int(history["validation_loss"].argmin())
    assert len(history["epoch"]) == best + 1 + 10 < 80
    histories = {"large": history, overfitting.STOPPED: history}
    curves = dict.fromkeys(histories, np.sin(np.pi * overfitting.GRID))
    large, stopped = cells(overfitting.networks_table(histories, curves))
    assert large[2:] == [str(best + 11), *(f"{history[c][-1]:.4f}" for c in LOSSES), "0.0000"]
    assert stopped[-4:] == [str(best + 1), *(f"{history[c][best]:.4f}" for c in LOSSES), "0.0000"]


LOSSES = ("loss", "validation_loss")

# --- row 41


def test_metrics_are_those_of_scikit_learn(script):
    metrics = script("classifier_metrics")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80).astype(np.int32)
    p = np.clip(0.3 * y + 0.7 * rng.random(80), 0, 1).astype(np.float32)
    for threshold in (0.3, 0.5):
        read = p >= threshold
        matrix = metrics.confusion(p, y, threshold)
        np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(y, read))
        found = metrics.measured(matrix)
        assert found["precision"] == pytest.approx(sklearn_metrics.precision_score(y, read))
        assert found["recall"] == pytest.approx(sklearn_metrics.recall_score(y, read))
        assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(y, read))
    expected = [found[name] for name in ("accuracy", "error_rate", "precision", "recall")]
    (printed,) = cells(metrics.models_table({"all": p}, y))
    assert printed[1:5] == [f"{value:.4f}" for value in expected]  # of threshold ½
    assert metrics.area(p, y) == pytest.approx(sklearn_metrics.roc_auc_score(y, p))
    figure = metrics.picture({"all": p, "none": np.full(80, 0.5, np.float32)}, y)
    area = f"all: area {sklearn_metrics.roc_auc_score(y, p):.3f}"
    areas = ["guessing: area 0.5", area, "none: area 0.500"]
    assert legend(titled(figure, "ROC: all thresholds")) == areas


def test_tumours(example):
    learn, test, names = example("classifier_metrics").tumours(0)
    assert (len(learn.y), len(test.y), len(names)) == (285, 284, 30)
    assert learn.y.sum() + test.y.sum() == 212  # malignant
    np.testing.assert_allclose(learn.x.mean(0), 0, atol=1e-4)
    worst = names.index("worst radius")
    assert learn.x[learn.y == 1, worst].mean() > 0.5 > learn.x[learn.y == 0, worst].mean()


# --- row 43


def test_picture_of_heights(script):
    galton = script("galton")
    heights = galton.Heights(np.array([60.0, 66, 72]), np.array([64.0, 66, 71]))
    lines = {"as their parents": 1.0, "line, least squares": 0.5, "network 1-16-1": 0.6}
    predictors = {name: lambda p, s=slope: 66 + s * (p - 66) for name, slope in lines.items()}
    left, right = galton.picture(heights, predictors, "heights").axes
    assert legend(left) == list(lines)
    np.testing.assert_allclose(left.lines[2].get_ydata()[[0, -1]], [63, 69])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1, 0, 2])  # children, off the line
    np.testing.assert_allclose(right.lines[2].get_ydata(), 0, atol=1e-5)


# --- row 44


def test_filters_by_hand(example):
    filters = example("filters")
    image = np.random.default_rng(0).random((6, 7)).astype(np.float32)
    found = filters.by_hand(image)
    assert found.keys() == filters.BY_HAND.keys()
    for name, kernel in filters.BY_HAND.items():
        windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
        expected = (windows * np.array(kernel)).sum((2, 3))
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["identity"], image[1:-1, 1:-1])
    edge = np.repeat(np.array([[1.0, 1, 0, 0]], np.float32), 4, axis=0)  # bright at the left
    assert filters.by_hand(edge)["left sobel"].tolist() == [[4, 4], [4, 4]]
    assert not filters.by_hand(edge)["top sobel"].any()


def test_windows_of_the_network(example):
    filters = example("filters")
    found = filters.windows(filters.network())
    assert list(found) == ["conv1", "pool1", "conv2", "pool2"]
    shown = [str(row.receptive_field) for row in summary_rows(filters.network())]
    assert [field for field in shown if field != "None"] == [
        "(5, 5)",
        "(6, 6)",
        "(10, 10)",
        "(12, 12)",
    ]


def summary_rows(model):
    return nn.summary(model, jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.float32)).rows


# --- the gallery


def test_the_gallery_has_every_script(example):
    """Another one that shows no figure goes to NOT_IN_THE_GALLERY."""
    gallery = example("gallery")
    there = {path.stem for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text()}
    listed = [entry.script for entry in gallery.ENTRIES]
    assert sorted(listed) == sorted(there - NOT_IN_THE_GALLERY)
    for entry in gallery.ENTRIES:
        assert set(entry.rows) <= set(range(1, 46)), entry


def test_the_readme_shows_the_gallery(example):
    """If not: python examples/gallery.py --readme"""
    gallery = example("gallery")
    readme = gallery.README.read_text(encoding="utf-8")
    assert gallery.written(readme) == readme
    for entry in gallery.ENTRIES:
        assert f"]({entry.script}.py), row" in readme
        for row in entry.rows:
            assert f'<a id="row-{row}"></a>' in readme
        pictures = gallery.pictures_of(entry, gallery.FIGURES)
        assert len(pictures) == max(len(entry.parts), entry.drawn), entry.script
        of_script = [*gallery.FIGURES.glob(f"{entry.script}.*")]
        of_script += gallery.FIGURES.glob(f"{entry.script}_*") if entry.parts else []
        assert {path.stem for path in of_script} == {path.stem for path in pictures}


def test_pictures_are_small_and_wide(example):
    gallery = example("gallery")
    for entry in gallery.ENTRIES:
        for path in gallery.pictures_of(entry, gallery.FIGURES):
            if path.suffix == ".png":
                assert path.stat().st_size < 200_000, path.name
                with Image.open(path) as image:
                    assert 1000 <= image.width <= 2000, path.name


def test_pictures_of_a_script(example, tmp_path):
    gallery = example("gallery")
    for name in ("xor.png", "xor_two.svg", "xor_one.gif", "xor.txt", "xory.png"):
        (tmp_path / name).touch()
    one, several = (
        gallery.Entry("xor", (4,), ""),
        gallery.Entry("xor", (), "", True, ("two", "one")),
    )
    assert gallery.pictures_of(one, tmp_path) == [tmp_path / "xor.png"]
    assert gallery.pictures_of(several, tmp_path) == [
        tmp_path / "xor_two.svg",
        tmp_path / "xor_one.gif",
    ]


@pytest.fixture
def small_gallery(example, monkeypatch, tmp_path):
    """Three scripts: one that draws, one that draws nothing, one that fails."""
    gallery = example("gallery")
    draw = "import pathlib, sys; p = pathlib.Path(sys.argv[4]); print('drew', sys.argv[1:])\n"
    (tmp_path / "good.py").write_text(draw + "(p / 'good.png').write_bytes(b'12345')")
    (tmp_path / "nothing.py").write_text("print('no picture')")
    (tmp_path / "bad.py").write_text("raise SystemExit('out of luck')")
    entries = [gallery.Entry(name, (i,), name) for i, name in enumerate(("good", "nothing", "bad"))]
    monkeypatch.setattr(gallery, "HERE", tmp_path)

    def main(names, *options):
        chosen = tuple(entry for entry in entries if entry.script in names)
        monkeypatch.setattr(gallery, "ENTRIES", chosen)
        out = ["--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["gallery.py", "--seed", "7", *out, *options])
        gallery.main()

    return main


def test_one_command_runs_all_in_order(small_gallery, capsys):
    with pytest.raises(SystemExit) as exit:
        small_gallery(["good", "nothing", "bad"], "--quick")
    wrong = "failed: nothing.py (pictures missing: 1), bad.py (exit status 1)"
    assert exit.value.code == wrong  # not zero
    printed = capsys.readouterr().out
    assert "drew ['--seed', '7', '--out'" in printed
    assert "'--quick']" in printed
    assert printed.index("drew") < printed.index("=== nothing.py") < printed.index("out of luck")
    good, nothing, bad = printed.splitlines()[-5:-2]
    assert good.split()[:2] + good.split()[3:] == ["good", "0", "1", "5"]
    assert nothing.split()[-3:] == ["pictures", "missing:", "1"]
    assert bad.split()[-3:] == ["exit", "status", "1"]


def test_a_gallery_without_failures(small_gallery, capsys):
    small_gallery(["good"])
    small_gallery(["good", "nothing"], "--no-picture")
    assert "--no-picture" in capsys.readouterr().out


def test_the_gallery_as_a_module():
    command = [sys.executable, "-W", "error", "-m", "examples.gallery", "--help"]
    done = subprocess.run(command, cwd=Path(EXAMPLES).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--jobs" in done.stdout
