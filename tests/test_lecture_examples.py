"""What the examples of the lectures compute: xor, circle, twenty_lines, galton, char_rnn."""

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lectures.conftest import EXAMPLES
from lectures.conftest import example as example

import funcnn
from funcnn import data, nn


@pytest.fixture
def call(example, monkeypatch, tmp_path):
    """Runs a script in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)  # what draws is imported late

    def run(script, *options):
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *map(str, options)])
        example(script).main()

    return run


@pytest.fixture
def refusal(call, capsys):
    """What a script says to bad options."""

    def said(script, *options):
        with pytest.raises(SystemExit) as exit:
            call(script, *options)
        assert exit.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err

    return said


# --- xor


def test_gates(example):
    xor = example("xor")
    for name, outputs in xor.gates(nn.step).items():
        assert outputs.tolist() == list(xor.TRUTH[name])
    z = {"AND": [-30, -10, -10, 10], "OR": [-10, 10, 10, 30], "NAND": [30, 10, 10, -10]}
    outputs = xor.gates(jax.nn.sigmoid)
    for name, values in z.items():
        np.testing.assert_allclose(outputs[name], 1 / (1 + np.exp(-np.array(values))), rtol=1e-5)
    a, b = (np.asarray(outputs[name], float) for name in ("OR", "NAND"))
    np.testing.assert_allclose(outputs["XOR"], 1 / (1 + np.exp(30 - 20 * (a + b))), rtol=1e-3)
    np.testing.assert_allclose(outputs["XOR"], xor.TRUTH["XOR"], atol=1e-4)


def test_xor_is_learned(example):
    xor = example("xor")
    keys = jax.random.split(jax.random.key(0), 20)
    found = xor.learn(xor.network(4), keys, 400)
    assert found.losses.shape == (20, 400)
    params, curve = xor.best_start(found)
    assert curve[-1] == found.losses[:, -1].min() < 0.02
    p = jax.nn.sigmoid(xor.network(4)(params, xor.X))[:, 0]
    np.testing.assert_allclose(p, [0, 1, 1, 0], atol=0.03)

    # the first two losses of the first start: one step along JAX's gradient
    def loss(params):
        z = xor.network(4)(params, xor.X)[:, 0]
        return jnp.mean(jnp.logaddexp(0, z * (1 - 2 * jnp.array([0, 1, 1, 0]))))

    params, _ = xor.network(4).init(keys[0], xor.X)
    value_and_grad = jax.jit(jax.value_and_grad(loss))
    first, slope = value_and_grad(params)
    second, _ = value_and_grad(jax.tree.map(lambda w, g: w - xor.RATE * g, params, slope))
    np.testing.assert_allclose(found.losses[0, :2], [first, second], rtol=1e-5)


def test_xor_takes_a_hidden_layer(example):
    xor = example("xor")
    found = xor.learn(xor.network(0), jax.random.split(jax.random.key(0), 3), 500)
    np.testing.assert_allclose(found.losses[:, -1], np.log(2), rtol=1e-3)
    np.testing.assert_allclose(found.probabilities, 0.5, atol=0.03)


def test_share_of_starts(example):
    """Three of four are right; the one that is not has one probability that is not."""
    xor = example("xor")
    p = np.array([[0.02, 0.98, 0.95, 0.01]] * 3 + [[0.02, 0.98, 0.5, 0.01]])
    losses = np.array([[9, 0.2], [9, 0.1], [9, 0.4], [9, 0.3]])
    table = xor.starts_table({2: xor.Learned((), losses, p)})
    assert table.splitlines()[-1].split() == ["2", "75%", "0.10000", "0.25000", "0.40000"]
    params, curve = xor.best_start(xor.Learned(np.arange(4), losses, p))
    assert (params, curve.tolist()) == (1, [9, 0.1])


# --- circle


def test_derivatives_of_the_circle(example):
    circle = example("circle")
    x, y = circle.points(50, seed=1)
    inside = [(p[0] - 0.7) ** 2 + (p[1] + 0.4) ** 2 < 1.6**2 for p in x]
    assert y.tolist() == [0.0 if i else 1.0 for i in inside]
    assert 5 < sum(inside) < 25
    w = np.array([1.3, -0.2, 0.5])
    by_hand = circle.by_hand(w, x, y)
    at_once = funcnn.grad(circle.loss)(jnp.asarray(w, jnp.float32), x, y)
    np.testing.assert_allclose(at_once, by_hand, rtol=1e-4)
    np.testing.assert_allclose(circle.accumulated(w, x, y), by_hand, rtol=1e-4)


def test_descent_to_the_circle(example):
    """The first steps are those of NumPy, and the last is near the circle that was drawn."""
    circle = example("circle")
    x, y = circle.points(300, seed=0)
    path, curve = circle.descend(x, y, 300, 0.3)
    assert path.shape == (301, 3)
    assert curve.shape == (301,)
    w = circle.START
    for found in path[:10]:
        np.testing.assert_allclose(found, w, rtol=1e-4, atol=1e-6)
        w = w - 0.3 * circle.by_hand(w, x, y)
    z = np.array([circle.score(path[4], p) for p in x], float)
    entropy = -np.where(y == 1, np.log(1 / (1 + np.exp(-z))), np.log(1 - 1 / (1 + np.exp(-z))))
    assert curve[4] == pytest.approx(entropy.mean(), rel=1e-4)
    np.testing.assert_allclose(path[-1], circle.TRUE, atol=0.12)


def test_a_radius_below_zero_is_the_same_circle(example):
    circle = example("circle")
    w = np.array([1.5, 0.7, -0.3])
    assert circle.result_table(w) == circle.result_table(w * [-1, 1, 1])
    assert circle.result_table(w).splitlines()[2].split()[-3:] == ["1.6000", "1.5000", "0.1000"]


# --- twenty_lines


@pytest.mark.parametrize("name", ["sigmoid", "ReLU"])
def test_twenty_lines(example, name):
    script = example("twenty_lines")
    program = script.PROGRAMS[name]._replace(rate=0.01)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-4)):
        arrays = script.draw(0, (6, 5, 4, 3), dtype)
        assert [a.dtype for a in arrays] == [dtype] * 4
        by_numpy, ours = (run(program, arrays, 30) for run in (script.in_numpy, script.in_funcnn))
        assert by_numpy.dtype == ours.dtype == dtype
        assert by_numpy[-1] < 0.8 * by_numpy[0]
        assert script.relative_difference(by_numpy, ours) < tolerance
    x, y, w1, w2 = script.draw(0, (6, 5, 4, 3), "float64")
    loss, *gradients = script.by_hand(program, x, y, w1, w2)
    with jax.enable_x64(True):
        value_and_grad = jax.value_and_grad(
            lambda w1, w2: jnp.square(program.ours(x @ w1) @ w2 - y).sum(), (0, 1)
        )
        value, expected = value_and_grad(jnp.asarray(w1), jnp.asarray(w2))
    assert loss == pytest.approx(float(value), rel=1e-12)
    for g, h in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-10)


def test_programs_of_the_decks(example):
    script = example("twenty_lines")
    assert script.SIZES == (64, 1000, 100, 10)
    assert {name: (p.rate, p.steps) for name, p in script.PROGRAMS.items()} == {
        "sigmoid": (1e-4, 2000),
        "ReLU": (1e-6, 500),
    }
    assert script.relative_difference([2.0, 4.0], [2.0, 3.0]) == 0.25


# --- galton


def test_simulated_heights(example):
    galton = example("galton")
    parent, child = galton.simulated(0, 400_000)
    found = parent.mean(), parent.std(), child.mean(), child.std(), np.corrcoef(parent, child)[0, 1]
    np.testing.assert_allclose(found, [68.31, 1.787, 68.09, 2.518, 0.459], rtol=0.005)
    assert len(galton.simulated(0).child) == 928
    assert (galton.simulated(0).child != galton.simulated(1).child).all()


def test_lines_and_a_network(call, capsys, tmp_path):
    """Of a file: gradient descent finds the line of least squares, the network one no worse."""
    i = np.arange(60)
    parent, child = 64 + i * 7 % 10, np.round(68 + (i * 7 % 10 - 4.5) * 0.6 + np.sin(9 * i), 2)
    lines = [f"{c},{p}" for c, p in zip(child, parent, strict=True)]
    (tmp_path / "pairs.csv").write_text("\n".join(["child,parent", *lines]))
    call("galton", "--csv", "pairs.csv", "--steps", 200, "--seed", 3)
    printed = capsys.readouterr().out
    assert "simulated" not in printed
    assert "fitted to 45 of them" in printed

    (x, y), _, test = data.split((parent, child), validation=0, test=0.25, seed=3)
    slope, offset = np.polyfit(x, y, 1)
    exact = [np.square(slope * p + offset - c).mean() for p, c in ((x, y), test)]
    table = {
        name: [float(cell) for cell in re.search(rf"^ *{name} +(\d.*)$", printed, re.M)[1].split()]
        for name in (
            "the average",
            "line, least squares",
            "line, gradient descent",
            "network.*16-1",
        )
    }
    average = [np.square(y.mean() - c).mean() for c in (y, test[1])]
    np.testing.assert_allclose(table["the average"], [*average, 0], atol=1e-4)
    np.testing.assert_allclose(table["line, least squares"], [*exact, slope], atol=1e-4)
    np.testing.assert_allclose(table["line, gradient descent"], [*exact, slope], atol=2e-4)
    assert table["network.*16-1"][0] < exact[0]
    assert 0.4 < slope < 0.8
    assert f"have children who are {slope:.2f} above it: regression toward the mean\n" in printed


def family_rows(count):
    return "".join(
        f"{i},{65 + i % 7},{60 + i % 5},{'MF'[i % 2]},{66 + i % 3}\n" for i in range(count)
    )


def test_heights_of_families(example, tmp_path):
    """Galton's 1.08 for women: the mid-parent's mother, and daughters; other columns are left."""
    path = tmp_path / "heights.csv"
    path.write_text("\ufeffFamily, Father ,Mother,Gender,Height\n" + family_rows(20), "utf-8")
    parent, child = example("galton").read(path)
    i = np.arange(20)
    np.testing.assert_allclose(parent, (65 + i % 7 + 1.08 * (60 + i % 5)) / 2)
    np.testing.assert_allclose(child, np.where(i % 2, 1.08, 1) * (66 + i % 3))
    other = path.read_text("utf-8").replace("Height", "childHeight").replace("M,", "male,")
    path.write_text(other.replace("F,", "Female,"), "utf-8")
    np.testing.assert_array_equal(example("galton").read(path), (parent, child))


def example_pairs(count):
    return "child,parent\n" + "".join(f"{34 + i / 2},{68 + i}\n" for i in range(count))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (None, "No such file or directory: 'heights.csv'"),
        ("", "line 0: expected the columns parent and child, or father, mother, gender and height"),
        ("parent,son\n1,2\n", "line 1: expected the columns parent and child, or father, mother, "),
        ("parent,son\n1,2\n", "gender and height, got parent, son"),
        (example_pairs(5) + "tall,70\n", "line 7: child: expected a number above 0, got 'tall'"),
        (example_pairs(5) + "70\n", "line 7: parent: expected a number above 0, got ''"),
        (example_pairs(5) + "70,nan\n", "line 7: parent: expected a number above 0, got 'nan'"),
        (example_pairs(5) + '"70,70\n', "unexpected end of data"),
        (example_pairs(19), "expected at least 20 children, got 19"),
        ("child,parent\n" + 30 * "70,68\n", "all parents are 68 tall, there is no line"),
        ("father,mother,gender,height\n70,60,x,68\n", "gender: expected one of m, male, f, "),
        (b"parent,child\n\xff\xfe", "expected text in UTF-8"),
    ],
)
def test_bad_heights(refusal, tmp_path, contents, message):
    if contents is not None:
        contents = contents if isinstance(contents, bytes) else contents.encode()
        (tmp_path / "heights.csv").write_bytes(contents)
    printed = refusal("galton", "--csv", "heights.csv")
    assert printed.startswith("usage: galton.py [-h] ")
    assert "galton.py: error: argument --csv: " in printed
    assert "heights.csv" in printed
    assert message in printed


# --- char_rnn


def test_text_as_numbers(example):
    char_rnn = example("char_rnn")
    text = char_rnn.numbered("bad café\0\n" * 3)
    assert text.characters == "\0\n abcdfé"
    ids = np.concatenate([text.train, text.validation])
    assert len(text.validation) == 3
    assert "".join(text.characters[i] for i in ids) == "bad café\0\n" * 3


def test_pieces_are_the_text_in_streams(example):
    pieces = example("char_rnn").in_pieces(np.arange(100, 127), streams=3, length=4)
    assert pieces.tolist() == [
        [[100, 101, 102, 103, 104], [108, 109, 110, 111, 112], [116, 117, 118, 119, 120]],
        [[104, 105, 106, 107, 108], [112, 113, 114, 115, 116], [120, 121, 122, 123, 124]],
    ]


def normal_params(model, deviation):
    """As those of `init`, whose orthogonal kernels take seconds to compile."""
    normal = np.random.default_rng(0).normal
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda a: normal(scale=deviation, size=a.shape).astype(a.dtype), shapes)


def test_a_stream_in_pieces_is_a_stream(example):
    """The carry goes on: two pieces give what the whole gives, and the loss is in bits."""
    char_rnn = example("char_rnn")
    model = char_rnn.network(nn.lstm, 5, characters=7)
    params = normal_params(model, 1)
    ids = np.random.default_rng(1).integers(0, 7, (2, 9))

    @jax.jit
    def run(params, ids):
        carry, first = model.apply(params, model.start(2), ids[:, :4])
        in_pieces = model.apply(params, carry, ids[:, 4:])
        whole = model.apply(params, model.start(2), ids)
        return first, in_pieces, whole, char_rnn.bits(model, params, model.start(2), ids)[0]

    first, (carry, second), (whole_carry, whole), loss = run(params, ids)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, atol=1e-6)
    np.testing.assert_allclose(carry, whole_carry, atol=1e-6)
    p = np.exp(whole) / np.exp(whole).sum(-1, keepdims=True)
    p = np.take_along_axis(p[:, :-1], ids[:, 1:, None], -1)
    assert float(loss) == pytest.approx(-np.log2(p).mean(), rel=1e-5)


def test_a_rhyme_is_learned(example):
    """After its two first letters all that follows is certain."""
    char_rnn = example("char_rnn")
    text = char_rnn.numbered("so la ti do " * 40)
    model = char_rnn.network(nn.gru, 16, len(text.characters))
    params = normal_params(model, 0.3)
    pieces = char_rnn.in_pieces(text.train, 4, 12)
    best, history = char_rnn.trained(model, params, pieces, text.validation, 30, 0.03)
    assert history["epoch"].tolist() == list(range(1, 31))
    assert history["bits_per_character"][0] > 1
    assert history["bits_per_character"][-1] < 0.1
    assert history["held_out"].min() < 0.3
    # the params of the epoch with the lowest loss: they give that loss
    measure = jax.jit(lambda params, ids: char_rnn.bits(model, params, model.start(1), ids)[0])
    again = measure(best, text.validation[None])
    assert float(again) == pytest.approx(history["held_out"].min(), rel=1e-4)
    first = text.characters.index("s")
    written = char_rnn.write(model, best, jax.random.key(0), first, 23, temperature=0.01)
    assert "".join(text.characters[i] for i in written) == "o la ti do so la ti do "


def test_bits_without_a_network(example):
    """a and b in turn; the text held out is abab: three characters after another."""
    char_rnn = example("char_rnn")
    text = char_rnn.Text("ab", np.array([0, 1] * 10), np.array([0, 1, 0, 1]))
    table = char_rnn.comparison(text, np.array([0.5, 0.25, np.nan]))
    uniform, alone, pairs, network = (line.split()[-1] for line in table.splitlines()[2:])
    assert (uniform, alone, network) == ("1.000", "1.000", "0.250")
    a_to_b, b_to_a = (10 + 1) / (10 + 2), (9 + 1) / (9 + 2)
    assert float(pairs) == pytest.approx(-(2 * np.log2(a_to_b) + np.log2(b_to_a)) / 3, abs=5e-4)
    assert "the network after epoch 2" in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--text nowhere", "--text: [Errno 2] No such file or directory: 'nowhere'"),
        ("--text .", "--text: [Errno 21] Is a directory: '.'"),
        ("--text binary", "--text: binary: expected text in UTF-8"),
        ("--text empty", "--text: empty has 0 characters: expected more than 568 for --streams 16"),
        ("--text short --streams 2 --length 9", "short has 20 characters: expected more than 20"),
        ("--cell elman", "--cell: invalid choice: 'elman'"),
        ("--temperature 0", "--temperature: expected a number above 0, got '0'"),
    ],
)
def test_bad_texts(refusal, tmp_path, options, message):
    (tmp_path / "binary").write_bytes(b"\xff\x00\xfe")
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_text("ab" * 10)
    assert message in refusal("char_rnn", *options.split())
