"""The examples as a user runs them: what they print and draw, and what they say to bad options."""

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from data.idx_files import write, zipped
from matplotlib import image
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from funcnn import data

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = {path.stem for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text()}
BLUE, VERMILION = "#0072B2", "#D55E00"
CURVES = {BLUE: 500, VERMILION: 500}
DARKEST_RED, DARKEST_BLUE = "#67001F", "#053061"  # the ends of the templates' color map
SHARED_OPTIONS = {"--seed", "--epochs", "--quick", "--out", "--no-picture"}
OPTIONS = {
    "digits": SHARED_OPTIONS,
    "mnist": SHARED_OPTIONS
    | {"--data", "--hidden", "--activation", "--optimizer", "--learning-rate", "--batch-size"}
    | {"--grad", "--checkpoints", "--resume"},
    "own_rule": {"--seed", "--quick", "--out", "--no-picture"},
}

# compiled well, since it runs for long; conftest.py says how it is otherwise
AS_FOR_USERS = {"XLA_FLAGS": ""}


def run(folder: Path, script: str, *options: object, **variables: str) -> str:
    """What the script prints as a program of its own, with warnings as errors and no screen."""
    environment = {**os.environ, "MPLBACKEND": "TkAgg", **variables}
    environment.pop("DISPLAY", None)
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{script}.py", *map(str, options)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def load(monkeypatch):
    """Imports a file of examples/, and forgets it and its neighbours after the test."""
    monkeypatch.syspath_prepend(EXAMPLES)
    ours = {path.stem for path in EXAMPLES.glob("*.py")}
    for name in sorted(ours & set(sys.modules)):  # from other tests: put back after this one
        monkeypatch.delitem(sys.modules, name)
    yield importlib.import_module
    for name in ours & set(sys.modules):
        del sys.modules[name]


@pytest.fixture
def call(load, monkeypatch, capsys, tmp_path):
    """What a script prints, within this process: quicker than `run`."""
    monkeypatch.chdir(tmp_path)

    def printed(script: str, *options: object) -> str:
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *map(str, options)])
        load(script).main()
        return capsys.readouterr().out

    return printed


@pytest.fixture
def no_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope="module")
def small_mnist(tmp_path_factory):
    """MNIST's four files with the 8 by 8 digits in them, three times as wide and high."""

    def enlarge(x):
        x = np.kron(x[..., 0], np.ones((1, 3, 3)))
        return np.pad((255 * x).astype(np.uint8), ((0, 0), (2, 2), (2, 2)))

    (x, y), _, (test_x, test_y) = data.digits(validation=0)
    contents = {
        "train-images-idx3-ubyte": enlarge(x),
        "train-labels-idx1-ubyte": y.astype(np.uint8),
        "t10k-images-idx3-ubyte": enlarge(test_x),
        "t10k-labels-idx1-ubyte": test_y.astype(np.uint8),
    }
    return write(tmp_path_factory.mktemp("mnist"), zipped(contents))


def accuracy(printed: str) -> float:
    """The test accuracy that is printed, as a fraction and in percent."""
    line = r"^test accuracy (\d+\.\d\d)% \(([\d,]+) of ([\d,]+)\), trained in \d+\.\d s$"
    percent, correct, all_of_them = re.search(line, printed, re.M).groups()
    fraction = int(correct.replace(",", "")) / int(all_of_them.replace(",", ""))
    assert float(percent) == pytest.approx(100 * fraction, abs=0.006)
    return fraction


def rows_by_epoch(printed: str) -> list[list[float]]:
    header = r"^epoch +loss +accuracy +validation loss +validation accuracy\n[- ]+\n"
    lines = re.search(header + r"(?:[ \d.%]+\n)+", printed, re.M)[0].splitlines()
    assert len(set(map(len, lines))) == 1  # aligned
    return [[float(cell.rstrip("%")) for cell in line.split()] for line in lines[2:]]


def without_time(printed: str) -> str:
    return re.sub(r"trained in .* s", "", printed)


def assert_picture(path: Path, colors: dict[str, int]) -> None:
    """A PNG of a page, that has at least so many pixels of each of these colors."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert 50_000 < path.stat().st_size < 350_000
    pixels = image.imread(path)[..., :3]
    assert pixels.shape[1] == 1500
    assert 1000 < pixels.shape[0] < 2000
    ink = pixels.std((1, 2)) > 0.05
    for part in np.array_split(ink, 6):
        assert part.mean() > 0.2  # lines with something in them, all the way down
    for color, least in colors.items():
        assert count(pixels, color) > least
    assert count(pixels[-len(pixels) // 4 :], VERMILION) > 100  # the mistakes' captions


def assert_curves(path: Path, colors: list[str]) -> None:
    """A PNG with lines of these colors."""
    pixels = image.imread(path)[..., :3]
    assert pixels.shape[1] == 1500
    for color in colors:
        assert count(pixels, color) > 500


def count(pixels: np.ndarray, color: str) -> int:
    return (np.abs(pixels - to_rgb(color)).max(-1) < 0.01).sum()


@pytest.fixture(scope="module")
def quick_digits(tmp_path_factory):
    """The folder that the example ran in, and what it printed."""
    folder = tmp_path_factory.mktemp("digits")
    return folder, run(folder, "digits", "--quick")


def test_digits(quick_digits):
    folder, printed = quick_digits
    assert "digits: 1,297 train, 200 validation, 300 test\n" in printed
    assert "64-256-256-10, relu: 85,002 parameters\n" in printed
    rows = rows_by_epoch(printed)
    assert [row[0] for row in rows] == [1, 2, 3]
    assert rows[-1][1] < rows[0][1] / 3
    assert 0.88 < accuracy(printed) < 0.99

    gradients = re.findall(r"^ *(\[\d\]\['\w+'\])" + 3 * r" +(\d\.\de[+-]\d\d)", printed, re.M)
    assert len(gradients) == 6
    sizes, differences, relative = np.array([row[1:] for row in gradients], float).T
    assert (sizes > 1e-6).all()
    assert (differences < 1e-5 * sizes).all()
    largest = re.search(r"^largest relative difference: (\S+)", printed, re.M)[1]
    assert float(largest) == relative.max() < 1e-5

    assert printed.endswith(f"picture: {Path('out', 'digits.png')}\n")
    assert_picture(folder / "out" / "digits.png", CURVES)


def without_rounding(printed: str) -> str:
    """Without the differences between two gradients, which depend on how threads share a sum."""
    difference = r"\d\.\de-\d\d|0\.0e\+00( \(equal to the last bit\))?"
    return re.sub(difference, "small", without_time(printed))


def test_digits_again_without_matplotlib(quick_digits, call, no_matplotlib, tmp_path):
    expected, picture = without_rounding(quick_digits[1]).split("picture: ")
    assert picture
    assert without_rounding(call("digits", "--quick", "--no-picture")) == expected
    assert list(tmp_path.iterdir()) == []


def test_mnist_of_deck_a(tmp_path, small_mnist):
    folder = tmp_path / "new" / "folder"
    printed = run(
        *(tmp_path, "mnist", "--data", small_mnist, "--epochs", 20, "--batch-size", 50),
        *("--out", folder),
    )
    assert "MNIST: 1,247 train, 250 validation, 300 test\n" in printed
    assert "784-30-30-10, sigmoid: 24,790 parameters\n" in printed
    assert "adam, learning rate 0.003 falling to 0, batches of 50\n" in printed
    rows = rows_by_epoch(printed)
    assert [row[0] for row in rows] == [1, *range(2, 21, 2)]
    assert 0.9 < accuracy(printed) < 0.99
    assert printed.endswith(f"picture: {folder / 'mnist.png'}\n")
    assert_picture(folder / "mnist.png", CURVES | {DARKEST_RED: 100})


def test_linear_classifier(call, small_mnist, tmp_path):
    printed = call("mnist", "--data", small_mnist, "--quick", "--hidden", "none")
    assert "784-10, linear: 7,850 parameters\n" in printed
    assert len(rows_by_epoch(printed)) == 1
    assert 0.6 < accuracy(printed) < 0.95
    assert_picture(tmp_path / "out" / "mnist.png", {DARKEST_RED: 1000, DARKEST_BLUE: 1000})


def test_mnist_options(call, small_mnist):
    printed = call(
        *("mnist", "--data", small_mnist, "--no-picture", "--hidden", "16,8"),
        *("--optimizer", "nesterov", "--activation", "leaky_relu", "--learning-rate", 0.05),
        *("--epochs", 6, "--batch-size", 32),
    )
    assert "784-16-8-10, leaky_relu: 12,786 parameters\n" in printed
    assert "nesterov, learning rate 0.05 falling to 0, batches of 32\n" in printed
    assert 0.85 < accuracy(printed) < 0.99
    assert "picture" not in printed


def test_one_batch_of_all(call, small_mnist):
    """Then the loss of the first epoch is that before the first step: chance's, log 10 or so."""
    options = ["--data", small_mnist, "--no-picture", "--hidden", "none", "--batch-size", 1247]
    first, second, third = rows_by_epoch(call("mnist", *options, "--epochs", 3))
    assert 2 < third[1] < second[1] < first[1] < 3.5
    assert first[2] < 25


def test_activations(load):
    x = np.array([-2.0, -0.5, 0.0, 3.0])
    normal = np.array([0.022750, 0.308538, 0.5, 0.998650])  # distribution function at x
    sigmoid = 1 / (1 + np.exp(-x))
    expected = {
        "sigmoid": sigmoid,
        "tanh": np.tanh(x),
        "relu": np.maximum(0, x),
        "leaky_relu": np.maximum(0.1 * x, x),
        "elu": np.where(x > 0, x, np.exp(x) - 1),
        "gelu": x * normal,
        "silu": x * sigmoid,
        "softplus": np.log1p(np.exp(x)),
    }
    found = {name: function(x) for name, function in load("mnist").ACTIVATIONS.items()}
    assert found.keys() == expected.keys()
    for name, y in found.items():
        # JAX's gelu is an approximation by tanh
        np.testing.assert_allclose(y, expected[name], rtol=1e-5, atol=1e-3 * (name == "gelu"))


def test_optimizers(load):
    """Two steps down a slope of 1: what each optimizer is known by."""
    moved = {}
    for name, (make, _) in load("mnist").OPTIMIZERS.items():
        optimizer = make(lambda step: 0.5)
        state, x = optimizer.init(0.0), 0.0
        for _ in range(2):
            update, state = optimizer.update(1.0, state, x)
            x += float(update)
        moved[name] = x / -0.5
    expected = {"sgd": 2, "momentum": 1 + 1.9, "nesterov": 1.9 + 2.71, "adam": 2}
    assert moved == pytest.approx(expected, rel=1e-5)


def test_seed_and_gradients(call, load, small_mnist, monkeypatch):
    options = ["--data", small_mnist, "--no-picture", "--hidden", "none", "--epochs", 2]
    options += ["--batch-size", 29]
    ours = rows_by_epoch(call("mnist", *options))
    assert rows_by_epoch(call("mnist", *options, "--seed", 1)) != ours
    by_jax = rows_by_epoch(call("mnist", *options, "--grad", "jax"))
    np.testing.assert_allclose(by_jax, ours, rtol=1e-3)
    monkeypatch.setitem(load("mnist").GRADIENTS, "jax", uphill)
    assert rows_by_epoch(call("mnist", *options, "--grad", "jax"))[-1][1] > 3 * ours[-1][1]


def uphill(*args, **kwargs):
    def value_and_grad(*operands):
        value, gradients = jax.value_and_grad(*args, **kwargs)(*operands)
        return value, jax.tree.map(lambda g: -g, gradients)

    return value_and_grad


@pytest.mark.parametrize(("option", "best"), [("--hidden 512,512 --epochs 4", 0.975), ("", 0.95)])
def test_published_mnist(tmp_path, option, best):
    if not os.environ.get("FUNCNN_DATA"):
        pytest.skip("FUNCNN_DATA is not set: it names the folder that has MNIST's files")
    printed = run(tmp_path, "mnist", *option.split(), **AS_FOR_USERS)
    assert "MNIST: 50,000 train, 10,000 validation, 10,000 test\n" in printed
    assert accuracy(printed) >= best
    assert_picture(tmp_path / "out" / "mnist.png", CURVES | {DARKEST_RED: 100})


def test_linear_classifier_on_published_mnist(tmp_path):
    if not os.environ.get("FUNCNN_DATA"):
        pytest.skip("FUNCNN_DATA is not set: it names the folder that has MNIST's files")
    printed = run(tmp_path, "mnist", "--hidden", "", "--no-picture", **AS_FOR_USERS)
    assert 0.915 < accuracy(printed) < 0.935


def test_mnist_killed_and_resumed_prints_the_same(tmp_path, small_mnist):
    """SIGKILL as soon as two checkpoints are there; the process has no chance to do anything."""
    options = ["--data", small_mnist, "--no-picture", "--hidden", "8", "--epochs", 25]
    saved = [*options, "--checkpoints", "run"]
    command = [sys.executable, EXAMPLES / "mnist.py", *map(str, saved)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        while len(list(tmp_path.glob("run/step_*"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("run/step_*"))) < 5  # it was not near its end
    again = run(tmp_path, "mnist", *saved, "--resume")
    assert by_epoch(again) == by_epoch(run(tmp_path, "mnist", *options))


def by_epoch(printed: str) -> list[str]:
    """The table, and the test accuracy without the seconds."""
    return [line.partition(", trained")[0] for line in printed.splitlines()[4:]]


def test_own_rule(tmp_path):
    printed = run(tmp_path, "own_rule", "--quick")
    rows = {line.split(")")[0].strip(): line for line in printed.splitlines()}
    assert rows["(0, 0"].count("nan") == 2  # the formula's
    assert rows["(0, 0"].endswith("(0, 0)")
    assert rows["(3e+30, 4e+30"].endswith("(0.6, 0.8)")
    assert "the gradient of `length` is right" in printed
    losses = re.findall(r"^ +(\d+) +(\S+) +(\S+)$", printed, re.M)
    assert {zero for _, zero, _ in losses} == {losses[0][1]}
    assert float(losses[-1][2]) < 0.01 * float(losses[0][2])
    assert_curves(tmp_path / "out" / "own_rule.png", [BLUE, VERMILION])


@pytest.mark.parametrize("script", ["digits", "mnist", "own_rule"])
def test_help(tmp_path, script):
    printed = run(tmp_path, script, "--help")
    assert set(re.findall(r"^  (--[\w-]+)", printed, re.M)) == OPTIONS[script]
    assert f"\n    python examples/{script}.py" in printed
    assert "pip install 'funcnn[examples]'" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_the_options_that_all_examples_have(load, monkeypatch, capsys, script):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        load(script).main()
    printed = capsys.readouterr().out
    found = set(re.findall(r"^  (--[\w-]+)", printed, re.M))
    assert found >= {"--seed", "--quick", "--out", "--no-picture"}
    assert f"\n    python examples/{script}.py" in printed


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("digits", "--epochs 0", "--epochs: expected a whole number of at least 1, got '0'"),
        ("digits", "--epochs many", "--epochs: expected a whole number of at least 1, got 'many'"),
        ("digits", "--seed -1", "--seed: expected a whole number from 0 to 4294967295, got '-1'"),
        ("digits", "--out file", "--out: expected a folder, but file is a file"),
        ("digits", "--out file/in/it", "--out: expected a folder, but file is a file"),
        ("digits", "--hidden 30", "unrecognized arguments: --hidden 30"),
        ("mnist", "--hidden 512,x", "--hidden: expected widths such as 512,512, or none for a "),
        ("mnist", "--hidden 30,,30", "a linear classifier, got '30,,30'"),
        ("mnist", "--hidden 0", "a linear classifier, got '0'"),
        ("mnist", "--hidden 30,-1", "a linear classifier, got '30,-1'"),
        ("mnist", "--activation step", "--activation: invalid choice: 'step' (choose from "),
        ("mnist", "--optimizer lbfgs", "--optimizer: invalid choice: 'lbfgs' (choose from "),
        ("mnist", "--grad torch", "--grad: invalid choice: 'torch' (choose from "),
        ("mnist", "--resume", "--resume: needs --checkpoints FOLDER"),
        ("mnist", "--learning-rate 0", "--learning-rate: expected a number above 0, got '0'"),
        ("mnist", "--learning-rate nan", "--learning-rate: expected a number above 0, got 'nan'"),
        ("mnist", "--learning-rate inf", "--learning-rate: expected a number above 0, got 'inf'"),
        ("mnist", "--learning-rate x", "--learning-rate: expected a number above 0, got 'x'"),
        ("mnist", "--batch-size 0", "--batch-size: expected a whole number of at least 1"),
        ("mnist", "--batch-size 1248", "--batch-size: there are 1247 training digits"),
        ("mnist", "--data nowhere", "not found, looked in nowhere"),
        ("mnist", "--data file", "(file is not a folder)"),
    ],
)
def test_bad_options(call, capsys, small_mnist, tmp_path, script, options, message):
    (tmp_path / "file").touch()
    given = options.split()
    if script == "mnist" and "--data" not in given:
        given += ["--data", small_mnist]
    with pytest.raises(SystemExit) as exit:
        call(script, *given)
    assert exit.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.startswith(f"usage: {script}.py [-h] ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize("option", ["activation", "optimizer"])
def test_unknown_name_lists_the_known(call, capsys, load, option):
    known = {"activation": load("mnist").ACTIVATIONS, "optimizer": load("mnist").OPTIMIZERS}[option]
    with pytest.raises(SystemExit):
        call("mnist", f"--{option}", "unheard-of")
    listed = capsys.readouterr().err.split("choose from")[1]
    assert [name for name in known if name in listed] == list(known)


def test_nothing_is_trained_without_matplotlib(call, capsys, no_matplotlib, tmp_path):
    with pytest.raises(ImportError, match=r"pip install 'funcnn\[examples\]' \(or --no-picture\)"):
        call("digits")
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_training_that_ends_at_once(call, small_mnist):
    options = ["--data", small_mnist, "--no-picture", "--hidden", "none", "--optimizer", "sgd"]
    with pytest.raises(SystemExit) as exit, pytest.warns(RuntimeWarning, match="not? .*finite"):
        call("mnist", *options, "--learning-rate", 3e38)
    assert exit.value.code == "stopped before the end of the first epoch"


def texts(section) -> list[str]:
    figure = Figure()
    section.draw(figure)
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_mistakes(load):
    mistakes = load("pictures").mistakes
    x, y = (part[:4] for part in data.digits().test)
    perfect = np.eye(10)[y]
    assert texts(mistakes(x, perfect, y)) == ["no mistakes on the test set"]

    probabilities = perfect.copy()
    read = (y + 1) % 10
    probabilities[1:] = 0
    for i, sure in ((1, 0.52), (2, 0.995), (3, 0.71)):
        probabilities[i, read[i]], probabilities[i, y[i]] = sure, 1 - sure
    heading = "mistakes on the test set, the surest first"
    captions = [f"{read[i]} ({p})\ntrue: {y[i]}" for i, p in ((2, ">99%"), (3, "71%"), (1, "52%"))]
    assert texts(mistakes(x, probabilities, y)) == [heading, *captions]
    assert texts(mistakes(x, probabilities, y, most=2)) == [f"{heading}: 2 of 3", *captions[:2]]


@pytest.mark.parametrize("epochs", [1, 2, 9, 10, 11, 25, 30, 100, 1234])
def test_some_epochs_stand_for_all(load, epochs):
    history = {"epoch": np.arange(1, epochs + 1), "loss": np.linspace(20, 1, epochs)}
    header, _, *lines = load("tables").by_epoch(history).splitlines()
    assert header.split() == ["epoch", "loss"]
    assert {len(line) for line in lines} == {len(header)}
    shown = [int(line.split()[0]) for line in lines]
    assert shown[0] == 1
    assert shown[-1] == epochs
    assert len(shown) == epochs if epochs <= 10 else 6 <= len(shown) <= 12
    assert len(set(np.diff(shown)[1:-1])) <= 1
