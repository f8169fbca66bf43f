"""rnn, lstm and gru: against Flax NNX's cells, with lengths, and by hand."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import funcnn
from funcnn import nn
from funcnn.testing import check_grads

KEY = jax.random.key(0)
LAYERS = {"rnn": nn.rnn, "lstm": nn.lstm, "gru": nn.gru}
CELLS = {"rnn": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}
BATCH, TIME, IN, FEATURES = 3, 5, 2, 4
LENGTHS = np.array([5, 2, 0])
names = pytest.mark.parametrize("name", LAYERS)


def x_of(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def params_of(name, seed=1):
    parts = {"rnn": 1, "gru": 3, "lstm": 4}[name]
    shapes = (IN, parts * FEATURES), (FEATURES, parts * FEATURES), (parts * FEATURES,)
    entries = ("kernel", "recurrent_kernel", "bias")
    return {entry: x_of(*shape, seed=seed) for entry, shape in zip(entries, shapes, strict=True)}


def in_flax(name, params):
    """Flax's cell with our parameters: the bias is with the input in a GRU, else with h."""
    cell = CELLS[name](IN, FEATURES, rngs=nnx.Rngs(0))
    cell.dense_i.kernel.set_value(params["kernel"])
    cell.dense_h.kernel.set_value(params["recurrent_kernel"])
    with_bias = cell.dense_i if cell.dense_i.bias is not None else cell.dense_h
    with_bias.bias.set_value(params["bias"])
    return cell


@pytest.mark.parametrize(("name", "reverse"), [("rnn", False), ("lstm", True), ("gru", False)])
def test_outputs_carry_and_gradients_are_those_of_flax(name, reverse):
    layer = LAYERS[name](FEATURES, returns="outputs and carry", reverse=reverse)
    x, weights = x_of(BATCH, TIME, IN), x_of(BATCH, TIME, FEATURES, seed=2)
    lengths = jnp.maximum(LENGTHS, 1)  # Flax has no sequences of length 0

    def ours(params, x):
        y, carry = layer(params, (x, lengths))
        return (weights * y).sum(), (y, carry)

    def theirs(params, x):
        cell = in_flax(name, params)
        carry, y = nnx.RNN(cell, return_carry=True, reverse=reverse, keep_order=True)(
            x, seq_lengths=lengths
        )
        y = jnp.where((jnp.arange(TIME) < lengths[:, None])[..., None], y, 0)
        return (weights * y).sum(), (y, carry)

    params = params_of(name)
    results = [
        jax.jit(grad(f, argnums=(0, 1), has_aux=True))(params, x)
        for grad, f in ((funcnn.value_and_grad, ours), (jax.value_and_grad, theirs))
    ]
    chex.assert_trees_all_close(*results, rtol=1e-5, atol=1e-5)


@names
def test_a_cell_alone_is_a_step_of_the_scan(name):
    params, x = params_of(name), x_of(BATCH, TIME, IN)
    cell = getattr(nn.functional, f"{name}_cell")
    zeros = jnp.zeros((BATCH, FEATURES))

    @jax.jit
    def by_cell(params, x):
        carry = (zeros, zeros) if name == "lstm" else zeros
        outputs = []
        for t in range(TIME):
            carry = cell(carry, x[:, t], **params)
            outputs.append(carry[-1] if name == "lstm" else carry)
        return carry, jnp.stack(outputs, 1)

    ours = jax.jit(lambda params, x: getattr(nn.functional, name)(x, **params))
    chex.assert_trees_all_close(ours(params, x), by_cell(params, x), rtol=1e-5, atol=1e-6)


def test_a_masked_step_hands_the_state_on_and_gives_zero():
    @jax.jit
    def run(params, x):
        short = [nn.functional.gru(x[i : i + 1, :n], **params) for i, n in enumerate((5, 2))]
        return short, {
            (returns, reverse): nn.gru(FEATURES, returns=returns, reverse=reverse)(
                params, (x, jnp.asarray(LENGTHS))
            )
            for returns in ("outputs", "last")
            for reverse in (False, True)
        }

    x = x_of(BATCH, TIME, IN)
    params = params_of("gru")
    short, results = run(params, x)
    for i, n in enumerate((5, 2)):
        last, outputs = short[i]
        np.testing.assert_allclose(results["outputs", False][i, :n], outputs[0], rtol=1e-5)
        np.testing.assert_allclose(results["last", False][i], last[0], rtol=1e-5)
        np.testing.assert_allclose(
            results["last", True][i], results["outputs", True][i, 0], rtol=1e-5
        )
    for reverse in (False, True):
        assert not results["outputs", reverse][1, 2:].any()
        assert not results["outputs", reverse][2].any()
        assert not results["last", reverse][2].any()
    # what stands in the padding is of no consequence
    padded = jnp.where((jnp.arange(TIME) < LENGTHS[:, None])[..., None], x, 1e3)
    chex.assert_trees_all_close(run(params, padded)[1], results, rtol=1e-6)


def test_a_mask_with_gaps_skips_them():
    params, x = params_of("rnn"), x_of(1, TIME, IN)
    mask = np.array([[True, False, True, True, False]])
    layer = jax.jit(nn.rnn(FEATURES))
    y = np.asarray(layer(params, (x, mask)))
    np.testing.assert_allclose(y[mask], layer(params, np.asarray(x)[mask]), rtol=1e-5)
    assert not y[~mask].any()


def test_the_carry_of_one_call_starts_the_next():
    layer = nn.lstm(FEATURES, returns="outputs and carry")

    @jax.jit
    def run(params, x):
        first, carry = layer(params, x[:, :2])
        second, end = layer(params, (x[:, 2:], None, carry))
        without_batch, _ = layer(params, x[0])
        parts = jnp.concatenate([first, second], 1), end
        return parts, layer(params, x), without_batch, layer(params, x[:0])

    parts, whole, without_batch, empty = run(params_of("lstm"), x_of(BATCH, TIME, IN))
    chex.assert_trees_all_close(parts, whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(without_batch, whole[0][0], rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_equal_structs(empty, whole)
    assert empty[0].shape == (0, TIME, FEATURES)


def test_gradients():
    """Of all three, with a mask and backwards, too."""
    mask = np.array([[True, False, True]])

    def loss(params, x):
        gru = nn.gru(FEATURES, reverse=True)(params["gru"], (x, mask))
        lstm, rnn = nn.lstm(FEATURES)(params["lstm"], x), nn.rnn(FEATURES)(params["rnn"], x)
        return (gru * lstm * rnn).sum()

    check_grads(jax.jit(loss), ({name: params_of(name) for name in LAYERS}, x_of(1, 3, IN)))


def test_init_makes_each_part_of_a_kernel_by_itself():
    x = x_of(BATCH, TIME, IN)
    for name, layer in LAYERS.items():
        params, state = jax.eval_shape(layer(FEATURES).init, KEY, x)
        assert state == ()
        assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, params_of(name))
    params, _ = jax.jit(nn.gru(FEATURES).init)(KEY, x)
    for part in jnp.split(params["recurrent_kernel"], params["bias"].size // FEATURES, axis=1):
        np.testing.assert_allclose(part @ part.T, np.eye(FEATURES), atol=1e-5)
    assert not params["bias"].any()
    assert len(np.unique(params["kernel"])) == params["kernel"].size


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_the_dtype_of_x_is_kept(dtype):
    with jax.enable_x64(True):
        x = x_of(BATCH, TIME, IN, dtype=dtype)
        layer = nn.lstm(FEATURES, returns="outputs and carry")
        params, _ = jax.eval_shape(layer.init, KEY, x)
        result = jax.eval_shape(layer, params, (x, jnp.asarray(LENGTHS)))
        assert {leaf.dtype for leaf in jax.tree.leaves((params, result))} == {jnp.dtype(dtype)}


def test_the_input_product_is_one_matrix_product_outside_of_the_loop():
    params, x = params_of("lstm"), x_of(BATCH, TIME, IN)
    equations = jax.make_jaxpr(nn.lstm(FEATURES))(params, x).eqns
    outside = [equation.primitive.name for equation in equations]
    assert outside.count("dot_general") == outside.count("scan") == 1
    (scan,) = (equation for equation in equations if equation.primitive.name == "scan")
    inside = [equation.primitive.name for equation in scan.params["jaxpr"].eqns]
    assert inside.count("dot_general") == 1


X, LAYER, PARAMS = np.ones((3, 5, 2), np.float32), nn.lstm(4), params_of("lstm")


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (X[0, 0], ValueError, "[0]: lstm: expected x of shape (..., time, in)"),
        (
            X[..., :1],
            ValueError,
            "[0]: lstm: expected x of shape (..., time, in) and a ker",
        ),
        (X.astype(int), TypeError, "[0]: lstm: expected floating x, got int"),
        ((X,), ValueError, "[0]: lstm: expected x, (x, lengths or mask), or (x, lengths"),
        (
            (X, np.ones((3, 4), bool)),
            ValueError,
            "[0]: lstm: expected a mask of shape (3, ",
        ),
        ((X, np.ones((3, 5))), TypeError, "[0]: lstm: expected a mask of bool, got float"),
        ((X, np.ones(2, int)), ValueError, "[0]: lstm: expected lengths of shape (3,) to "),
        (
            (X, None, X[:, 0]),
            ValueError,
            "[0]: lstm: expected initial_carry (c, h), each o",
        ),
    ],
)
def test_bad_input(x, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        nn.serial(LAYER)((PARAMS,), x)


def test_bad_arguments_and_params():
    with pytest.raises(ValueError, match="lstm: features must be at least 1, got 0"):
        nn.lstm(0)
    with pytest.raises(TypeError, match=r"gru: features must be an integer, as in nn.gru\(30\)"):
        nn.gru(X)
    with pytest.raises(
        ValueError, match=r"rnn: expected returns to be one of \('outputs', 'last',"
    ):
        nn.rnn(4, returns="all")
    with pytest.raises(
        ValueError, match=r"lstm: expected a recurrent_kernel of shape \(features, 4"
    ):
        LAYER(params_of("gru"), X)
    with pytest.raises(ValueError, match=r"expected params {'kernel', 'recurrent_kernel', 'bias'}"):
        LAYER({"kernel": PARAMS["kernel"]}, X)
