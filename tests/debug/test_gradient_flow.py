"""debug.gradient_flow: what it measures, and what it says of networks that are ill and well."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import debug, losses, nn, value_and_grad
from funcnn.nn import dense


@pytest.fixture(autouse=True, scope="module")
def _compiled_quickly():
    """Most of the time here is XLA's, for programs that run once."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


X = np.random.default_rng(1).normal(size=(32, 8)).astype(np.float32)
Y = X[:, :1]


@functools.cache
def shapes(model, shape):
    return jax.eval_shape(model.init, jax.random.key(0), np.zeros(shape, np.float32))


def initialized(model, seed=0, x=X, gain=1.0, glorot=False):
    """Params and state, kernels of variance gain / in or Glorot's: NumPy's, not compiled."""
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        if path[-1].key != "kernel":
            return np.full(leaf.shape, float(path[-1].key in ("scale", "var")), np.float32)
        copies = (leaf.shape[0],) if leaf.ndim == 3 else ()
        inputs = np.prod(leaf.shape[len(copies) : -1])
        fan = (inputs + leaf.shape[-1]) / 2 if glorot else inputs
        return (rng.normal(size=leaf.shape) * np.sqrt(gain / fan)).astype(np.float32)

    return jax.tree.map_with_path(fill, shapes(model, x.shape))


def square(z, y=0.0):
    return (z - y) ** 2


def flow_of(model, params, state=(), x=X, y=Y, **options):
    return debug.gradient_flow(model, params, x, y, state=state, **{"loss": square} | options)


def kinds(flow):
    return [verdict.kind for verdict in flow.verdicts]


def deep(block, n=9, width=32):
    """Ten layers with parameters of which nine are alike, compiled as one of them."""
    return nn.serial(dense(width), nn.repeat(block, n), dense(1))


SIGMOID = nn.models.mlp([32] * 9 + [1], jax.nn.sigmoid)
RELU = deep(nn.serial(dense(32), jax.nn.relu))
NORMALIZED = deep(nn.serial(dense(32), nn.batch_norm(), jax.nn.sigmoid))
RESIDUAL = deep(nn.residual(nn.serial(dense(32), jax.nn.sigmoid)))
RELU6 = nn.serial(dense(32), jax.nn.relu, dense(32), jax.nn.relu, dense(32), jax.nn.relu6, dense(1))
TANH = nn.serial(dense(32), jnp.tanh, dense(32), jnp.tanh, dense(1), jnp.tanh)


# --- the ten-layer sigmoid perceptron, deck A, row 29 ---


@pytest.mark.parametrize("glorot", [False, True])
def test_the_layers_of_a_deep_sigmoid_perceptron_in_which_the_gradient_vanishes(glorot):
    for seed in range(3):
        flow = flow_of(SIGMOID, *initialized(SIGMOID, seed, glorot=glorot))
        [verdict] = flow.verdicts
        assert verdict.kind == "vanishing"
        norms = [row.norm for row in flow.rows]
        layers = [i for i, row in enumerate(flow.rows) if row.parameters is not None]
        assert list(verdict.rows) == [i for i in layers if norms[i] < 1e-3 * norms[-1]]
        assert [flow.rows[i].path for i in verdict.rows][:4] == [(1,), (3,), (5,), (7,)]
        assert 4 <= len(verdict.rows) <= 6
        assert verdict.reason.startswith("the gradient of [1] dense(32) is ")
        assert "e-6 of that of [19] dense(1)" in verdict.reason
        assert "each sigmoid passes 0.2" in verdict.reason
        assert "at most 1/4" in verdict.reason
        # what every layer passes on, makes the next one's gradient
        passed = [row.passed for row in flow.rows]
        np.testing.assert_allclose(norms[:-1], np.multiply(passed, norms)[1:], rtol=1e-4)
        of_sigmoids = [row for row in flow.rows if row.layer == "sigmoid"]
        assert all(0.15 < row.passed < 0.25 for row in of_sigmoids)
        assert {round(row.slope, 4) for row in of_sigmoids} == {0.25}


@pytest.mark.parametrize(
    ("model", "gain"),
    [(RELU, 2.0), (NORMALIZED, 1.0), (RESIDUAL, 1.0)],
    ids=["relu", "batch norm", "residual"],
)
def test_it_does_not_vanish_with_relu_nor_normalized_nor_around_it(model, gain):
    for seed in range(3):
        flow = flow_of(model, *initialized(model, seed, gain=gain))
        assert not flow.verdicts
        assert 0.1 < flow.rows[0].norm / flow.rows[-1].norm < 10


def test_saturated_units_are_a_reason_too():
    params, _ = initialized(SIGMOID, gain=0.5)
    params = (*params[:3], {**params[3], "kernel": params[3]["kernel"] * 100}, *params[4:])
    reasons = {v.kind: v.reason for v in flow_of(SIGMOID, params).verdicts}
    assert (
        "of the units of [4] sigmoid are saturated (|f'| < 1 % of its largest)"
        in (reasons["vanishing"])
    )
    assert "[4] sigmoid" in reasons["saturated"]


def test_exploding():
    flow = flow_of(RELU, *initialized(RELU, gain=32.0))
    [verdict] = flow.verdicts
    assert verdict.kind == "exploding"
    assert verdict.rows[:2] == (0, 1)
    assert len(flow.rows) - 1 not in verdict.rows
    assert "times that of [2] dense(1); each dense passes 5" in verdict.reason
    assert flow.rows[0].norm > 1e4 * flow.rows[-1].norm
    [verdict] = flow_of(RELU, *initialized(RELU, gain=1e12)).verdicts
    assert (verdict.kind, "nan_origin" in verdict.reason) == ("not finite", True)
    assert verdict.rows[-1] == len(flow.rows) - 1


def test_dead_relu():
    params, _ = initialized(RELU6, gain=2.0)
    well = flow_of(RELU6, params)
    assert all(0 <= row.dead < 0.3 for row in well.rows[1::2])
    z = X @ params[0]["kernel"]
    assert well.rows[1].dead == pytest.approx(np.mean(np.all(z < 0, axis=0)))
    assert well.rows[0].zeros == pytest.approx(np.mean(z < 0), abs=1e-3)

    def with_bias(layer, bias):
        entry = {"kernel": params[layer]["kernel"], "bias": np.array(bias, np.float32)}
        return tuple(entry if i == layer else p for i, p in enumerate(params))

    params = with_bias(4, [0.1] * 32)
    flow = flow_of(RELU6, with_bias(2, [-100.0] * 32))
    by_kind = {v.kind: v for v in flow.verdicts}
    assert by_kind["dead ReLU"].rows == (3,)
    assert by_kind["dead ReLU"].reason.startswith("32 of 32 units of [3] relu are off")
    assert by_kind["no gradient"].rows == (0, 2)
    assert "through [3] relu, all of whose units are off" in by_kind["no gradient"].reason
    assert (flow.rows[2].zeros, flow.rows[2].norm, flow.rows[3].passed) == (1, 0, 0)
    # a good half by chance, but not 28 of 32
    assert not kinds(flow_of(RELU6, with_bias(4, [-100.0] * 17 + [0.0] * 15)))
    [verdict] = flow_of(RELU6, with_bias(4, [-100.0] * 28 + [0.0] * 4)).verdicts
    assert (verdict.kind, verdict.rows) == ("dead ReLU", (5,))


def test_saturated():
    params, _ = initialized(TANH, gain=400.0)
    flow = flow_of(TANH, params)
    said = [v for v in flow.verdicts if v.kind == "saturated"]
    # the last one gives what may be a probability
    assert [v.rows for v in said] == [(1,), (3,)]
    assert flow.rows[5].saturated > 0.5
    z = X.astype(np.float64) @ params[0]["kernel"]
    share = np.mean(1 - np.tanh(z) ** 2 < 0.01)
    assert flow.rows[1].saturated == pytest.approx(share, abs=2e-3)
    assert said[0].reason.startswith(f"{share:.0%}".replace("%", " % of the units of [1] tanh"))
    assert flow.rows[1].dead is None


# --- networks that are well ---


def lstm_like(params, x, y):
    """A plain function: a gated loop, and a readout."""

    def step(carry, x):
        h, c = carry
        z = x @ params["gates"]["x"] + h @ params["gates"]["h"] + params["gates"]["bias"]
        i, f, o, g = jnp.split(z, 4, axis=-1)
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), None

    zero = jnp.zeros((x.shape[1], params["gates"]["h"].shape[0]))
    (h, _), _ = jax.lax.scan(step, (zero, zero), x)
    return jnp.mean((jax.nn.gelu(h @ params["out"]) - y) ** 2)


MIXED = nn.serial(dense(64), jax.nn.gelu, dense(6), jax.nn.softmax, dense(1), jnp.square)
CNN = nn.serial(
    nn.conv(4, (3, 3), strides=(2, 2)), jax.nn.elu, nn.flatten, nn.dropout(0.5), dense(3)
)


@pytest.mark.parametrize(
    ("model", "gain"),
    [(RELU, 2.0), (RELU, 1.0), (NORMALIZED, 2.0), (RESIDUAL, 2.0), (RELU6, 1.0), (RELU6, 4.0),
     (TANH, 1.0), (TANH, 3.0), (MIXED, 1.0), (MIXED, 2.0)],
)  # fmt: skip
def test_nothing_is_said_of_networks_that_are_well(model, gain):
    for seed in range(10, 13):
        assert not flow_of(model, *initialized(model, seed, gain=gain)).verdicts
        assert not flow_of(model, *initialized(model, seed, gain=gain, glorot=True)).verdicts


def test_nothing_is_said_of_a_cnn_and_of_a_plain_loop_that_are_well():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(8, 8, 8, 1)).astype(np.float32)
    labels = np.arange(8) % 3
    loss = losses.softmax_cross_entropy_with_integer_labels
    series = rng.normal(size=(20, 16, 4)).astype(np.float32)
    normal = lambda *shape: (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)
    for seed in range(2):
        params, state = initialized(CNN, seed, images, gain=2.0)
        assert not flow_of(CNN, params, state, images, labels, loss=loss).verdicts
        gates = {"x": normal(4, 32), "h": normal(8, 32), "bias": np.zeros(32, np.float32)}
        plain = {"gates": gates, "out": normal(8, 1)}
        # any gradient transform will do
        transform = {"grad": jax.value_and_grad}
        flow = debug.gradient_flow(lstm_like, plain, series, series[-1, :, :1], **transform)
        assert not flow.verdicts
        assert {row.path for row in flow.rows[:3]} == {("gates", n) for n in ("bias", "h", "x")}
        assert {row.layer for row in flow.rows[:3]} == {"scan"}


# --- what is measured ---


def test_the_numbers_are_those_of_the_gradient():
    model = nn.serial(a=dense(4), f=jax.nn.relu, b=nn.serial(dense(2), jnp.exp))
    params, _ = initialized(model)
    y = np.ones((32, 2), np.float32)
    flow = flow_of(model, params, y=y)

    def from_z(z, w):
        return jnp.mean((jnp.exp(jax.nn.relu(z) @ w["kernel"] + w["bias"]) - 1) ** 2)

    z = X @ params["a"]["kernel"] + params["a"]["bias"]
    value, (by_z, by_w) = jax.jit(jax.value_and_grad(from_z, (0, 1)))(z, params["b"][0])
    first, relu, last, exp = flow.rows
    assert flow.loss == pytest.approx(float(value), rel=1e-5)
    assert [row.path for row in flow.rows] == [("a",), ("f",), ("b", 0), ("b", 1)]
    assert [row.shape for row in flow.rows] == [(32, 4), (32, 4), (32, 2), (32, 2)]
    by_z, by_w = jax.tree.map(np.asarray, (by_z, by_w))
    close = lambda a, b: a == pytest.approx(float(b), rel=1e-5)
    assert close(first.norm, np.linalg.norm(by_z))
    assert close(first.mean, np.mean(np.abs(by_z)))
    assert close(first.zeros, np.mean(by_z == 0))
    assert first.zeros > 0.2
    assert close(relu.passed, first.norm / relu.norm)
    assert close(last.parameters, np.hypot(*map(np.linalg.norm, (by_w["bias"], by_w["kernel"]))))
    assert (relu.parameters, relu.slope, first.slope) == (None, 1.0, None)
    assert exp.slope == pytest.approx(np.exp(2), rel=1e-5)


def small_or_large(w, x, factor):
    return jnp.sum(x * w) * factor


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e15, 1e27])
def test_squares_of_tiny_and_huge_gradients_are_no_obstacle(factor):
    x = np.arange(4, dtype=np.float32)
    [row] = debug.gradient_flow(small_or_large, np.float32(1), x, np.float32(factor)).rows
    assert row.norm == pytest.approx(2 * factor, rel=1e-4)
    assert row.parameters == pytest.approx(6 * factor, rel=1e-4)
    assert (row.mean, row.zeros) == (pytest.approx(factor), 0)


def perceptron(params, x, y, first, later):
    """A plain function; the inner program is compiled, as a user's may be."""

    @jax.jit
    def hidden(x):
        for layer in params[:-1]:
            activation = getattr(jax.nn, first if layer is params[0] else later)
            x = activation(x @ layer["w"] + layer["b"])
        return x

    z = hidden(x) @ params[-1]["w"] + params[-1]["b"]
    return jnp.mean((z - y) ** 2) + 1e-3 * sum(jnp.sum(p["w"] ** 2) for p in params), {"z": z}


def test_a_plain_function_by_leaf_with_its_activations_and_their_lines():
    sizes = [8] + [16] * 7 + [1]
    rng = np.random.default_rng(0)
    params = [
        {"w": rng.normal(size=(n, m)) / np.sqrt(n), "b": np.zeros(m)}
        for n, m in itertools.pairwise(sizes)
    ]
    params = jax.tree.map(np.float32, params)
    flow = debug.gradient_flow(perceptron, params, X, Y, "relu", "sigmoid")
    assert [row.path for row in flow.rows[:5]] == [(0, "w"), (0, "b"), (), (1, "w"), (1, "b")]
    line = perceptron.__code__.co_firstlineno + 7
    assert flow.rows[2].layer == f"relu at test_gradient_flow.py:{line}"
    assert flow.rows[5].layer == f"logistic at test_gradient_flow.py:{line}"
    assert flow.rows[0].layer == "dot_general"
    [verdict] = flow.verdicts
    assert verdict.kind == "vanishing"
    assert {flow.rows[i].path for i in verdict.rows} >= {(0, "w"), (0, "b"), (1, "w"), (1, "b")}
    assert "each logistic passes 0.2" in verdict.reason
    assert "at most 1/4" in verdict.reason
    gradient_of = value_and_grad(lambda params: perceptron(params, X, Y, "relu", "sigmoid")[0])
    _, gradient = jax.jit(gradient_of)(params)
    for row in flow.rows:
        if row.path:
            leaf = gradient[row.path[0]][row.path[1]]
            assert row.parameters == pytest.approx(float(np.linalg.norm(leaf)), rel=1e-4)
    # ∂L/∂b sums ∂L/∂y over the batch, and w's takes the same
    assert flow.rows[1].norm == pytest.approx(flow.rows[0].norm)
    params[0]["b"] -= 1e3
    dead = debug.gradient_flow(perceptron, params, X, Y, "relu", "sigmoid")
    assert kinds(dead) == ["vanishing", "no gradient", "dead ReLU"]
    assert [dead.rows[i].path for i in dead.verdicts[1].rows] == [(0, "w"), (0, "b")]


def through(relu):
    return lambda p, x: jnp.mean(relu(x @ p["w"] + p["b"]) @ p["v"])


HAND_WRITTEN = {
    "where": lambda z: jnp.where(z > 0, z, 0.0),
    "mul": lambda z: z * (z > 0),
}


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_a_relu_written_by_hand(name):
    p = {"w": np.eye(3), "b": np.array([-9.0, -9.0, 0.0]), "v": np.ones((3, 1))}
    loss = through(HAND_WRITTEN[name])
    dead = {**p, "b": np.full(3, -9.0)}
    half, none = (debug.gradient_flow(loss, params, np.ones((4, 3))) for params in (p, dead))
    line = HAND_WRITTEN[name].__code__.co_firstlineno
    assert [row.layer for row in half.rows] == [
        "dot_general", "add", f"{name} at test_gradient_flow.py:{line}", "dot_general"
    ]  # fmt: skip
    relu = half.rows[2]
    assert (relu.dead, relu.slope, relu.saturated) == (pytest.approx(2 / 3), 1, 0)
    assert relu.passed == pytest.approx(np.sqrt(1 / 3))
    assert kinds(none) == ["no gradient", "dead ReLU"]
    assert none.verdicts[0].rows == (0, 1)
    assert f"through {relu.layer}, all of whose units are off" in none.verdicts[0].reason


def heads(p, x):
    before = jnp.mean((x @ p["before"]) ** 2)
    h = x @ p["trunk"]
    return 1e-4 * before + jnp.mean((h @ p["main"]) ** 2) + 1e-4 * jnp.mean((h @ p["aux"]) ** 2)


def test_a_head_of_a_small_weight_is_no_measure_for_others():
    p = {name: np.eye(3, dtype=np.float32) for name in ("before", "trunk", "main", "aux")}
    flow = debug.gradient_flow(heads, p, np.ones((4, 3), np.float32))
    norms = {row.path[0]: row.norm for row in flow.rows if row.path}
    assert norms["before"] < 1e-3 * norms["main"]
    assert norms["trunk"] > 1e3 * norms["aux"]
    assert not flow.verdicts
    # 10⁴ on one way and 1e-8 on the other
    p = {**p, "main": 1e4 * p["main"]}
    flow = debug.gradient_flow(lambda p, x: heads(p, x * 1e-4), p, np.ones((4, 3), np.float32))
    [verdict] = flow.verdicts
    assert (verdict.kind, [flow.rows[i].path for i in verdict.rows]) == ("exploding", [("trunk",)])
    assert "that of ['main'] dot_general; each dot_general passes 1e+04 times" in verdict.reason


def test_parameters_without_a_gradient_and_a_loss_that_is_not_finite():
    p = {name: np.eye(3, dtype=np.float32) for name in "abc"}
    loss = lambda p, x: jnp.mean(jnp.tanh(x @ jax.lax.stop_gradient(p["a"])) @ p["b"])
    [verdict] = debug.gradient_flow(loss, p, np.ones((4, 3), np.float32)).verdicts
    assert (verdict.kind, verdict.rows) == ("no gradient", (0, 3))
    assert "the parameters of ['a'] dot_general, ['c'] is 0" in verdict.reason
    logs = lambda p, x: jnp.sum(jnp.log(p * x))
    flow = debug.gradient_flow(logs, np.ones(3), np.array([1.0, -2.0, 3.0]))
    assert all(np.isfinite([row.norm, row.parameters or 0]).all() for row in flow.rows)
    [verdict] = flow.verdicts
    assert (verdict.kind, verdict.rows) == ("not finite", (1,))
    assert "the loss is nan, though its gradient is finite: debug.nan_origin" in verdict.reason


def test_in_float64():
    with jax.enable_x64(True):
        x = np.arange(4.0)
        [row] = debug.gradient_flow(small_or_large, np.float64(1), x, np.float64(1e-50)).rows
        assert (row.norm, row.zeros) == (pytest.approx(2e-50), 0)
        assert row.parameters == pytest.approx(6e-50)
        params = ({"kernel": np.eye(8), "bias": np.zeros(8)}, ())
        model = nn.serial(dense(8), jnp.tanh)
        flow = debug.gradient_flow(model, params, np.zeros((2, 8)), loss=lambda y: y)
        assert [row.norm for row in flow.rows] == pytest.approx([0.25, 0.25])
        assert (flow.rows[1].slope, flow.verdicts) == (1, ())


def test_what_cannot_be_hashed_is_compiled_anew():
    class Power:
        __hash__ = None

        def __call__(self, p, x, which):
            return jnp.mean(p * x**self.n) + len(which)

    loss = Power()
    for loss.n in (1, 2):
        flow = debug.gradient_flow(loss, np.float32(1), np.full(2, 3, np.float32), {"a", "b"})
        assert flow.loss == 3**loss.n + 2


def test_numbers_are_needed():
    flow_of_square = lambda x: debug.gradient_flow(lambda p, x: p["w"] * x, {"w": 1.0}, x).loss
    for transform, x in ((jax.jit, 1.0), (jax.vmap, np.ones(3)), (jax.grad, 1.0)):
        with pytest.raises(TypeError, match="gradient_flow: argument 1 is being traced"):
            transform(flow_of_square)(x)
    with pytest.raises(TypeError, match="what the function closes over is being traced"):
        jax.jit(lambda x: debug.gradient_flow(lambda p: p * x, 1.0).loss)(1.0)
    shape = jax.ShapeDtypeStruct((), np.float32)
    with pytest.raises(TypeError, match=r"an array as params\['w'\], got a jax.ShapeDtypeStruct"):
        debug.gradient_flow(square, {"w": shape})
    with pytest.raises(TypeError, match=r"expected arrays in params, got 'relu' as params\['f'\]"):
        debug.gradient_flow(square, {"w": 1.0, "f": "relu"})


def test_layers_in_scans_checkpoints_shared_and_of_several_inputs():
    block = nn.remat(nn.serial(dense(4), jnp.tanh))
    model = nn.serial(
        nn.dag(a=(nn.dense(4), "x"), y=(nn.add(lambda x: x, nn.dense(4)), "a")),
        nn.repeat(block, 2),
        nn.serial(last=nn.dense(4), again=nn.shared("last")),
    )
    params, _ = initialized(model)
    flow = flow_of(model, params, y=0.0)
    assert [row.name for row in flow.rows] == [
        "[0]['a'] dense(4)",
        "[0]['y'][0] <lambda>",
        "[0]['y'][1] dense(4)",
        "[1][0] dense(4) copy 0",
        "[1][1] tanh copy 0",
        "[1][0] dense(4) copy 1",
        "[1][1] tanh copy 1",
        "[2]['last'] dense(4)",
        "[2]['last'] dense(4)",
    ]
    *_, last, again = flow.rows
    assert last.norm == pytest.approx(again.norm * again.passed, rel=1e-4)
    assert (last.parameters is None, again.parameters) == (False, None)
    assert flow.rows[3].shape == (32, 4)


def test_over_time():
    flows = {step: flow_of(TANH, initialized(TANH, gain=g)[0]) for step, g in ((1000, 400), (0, 1))}
    stacked = debug.flow_over_time(flows)
    assert stacked.steps.tolist() == [0, 1000]
    assert stacked.names[:3] == ("[0] dense(32)", "[1] tanh", "[2] dense(32)")
    norms = stacked.column("norm")
    assert norms.tolist() == [[row.norm for row in flows[step].rows] for step in (0, 1000)]
    assert np.isnan(stacked.column("slope")).tolist() == [[True, False] * 3] * 2
    said = stacked.kinds()["saturated"]
    assert said.tolist() == [[False] * 6, [False, True, False, True, False, False]]
    header, _, first, *_ = str(stacked).splitlines()
    assert header.split() == ["‖∂L/∂y‖", "at", "step", "0", "1,000"]
    assert first.split() == ["[0]", "dense(32)", *(f"{norm:.1e}" for norm in norms[:, 0])]
    assert "saturated: [1] tanh, [3] tanh at step 1,000" in str(stacked)
    other = debug.GradientFlow(flows[0].rows[1:], (), 0.0)
    for wrong, error, words in [
        ({}, ValueError, "at least one flow"),
        ({0: 3.0}, TypeError, "expected a GradientFlow"),
        ([(0, flows[0]), (0, flows[0])], ValueError, "each step once"),
        ([flows[0], flows[0]], TypeError, r"pairs \(step, flow\), got GradientFlow among them"),
        (flows[0], TypeError, r"expected flows by step.*, got GradientFlow"),
        ({"first": flows[0], 1: flows[0]}, TypeError, "whole numbers, got 'first'"),
        ({0: flows[0], 1: other}, ValueError, "different layers"),
    ]:
        with pytest.raises(error, match=words):
            debug.flow_over_time(wrong)


def test_the_table_and_what_is_refused():
    params, _ = initialized(RELU6, gain=2.0)
    header, rule, *lines = str(flow_of(RELU6, params)).splitlines()
    assert header.split("  ")[0] == "path"
    assert header.endswith("saturated  dead units")
    assert set(rule) == {"-", " "}
    assert len(lines) == 7
    assert lines[1].startswith("[1]   relu")
    with pytest.raises(TypeError, match="of a layer, expected x and a loss"):
        debug.gradient_flow(RELU6, params, X)
    with pytest.raises(TypeError, match="are for a Layer"):
        debug.gradient_flow(square, 3.0, loss=square)
    with pytest.raises(TypeError, match="expected a Layer or a function"):
        debug.gradient_flow(params, RELU6, X)
    with pytest.raises(TypeError, match=r"gradient_flow: expected .* an array of shape \(3,\)"):
        debug.gradient_flow(lambda w: w, X[0, :3])
    with pytest.raises(ValueError, match="dense: expected x of shape"):
        debug.gradient_flow(RELU6, params, X[:, 1:], Y, loss=square)
