"""nn.dag: networks computed node by node (row 10)."""

import importlib
import re
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import nn

from .example_layers import noise, running_mean

KEY = jax.random.key(0)


def x_of(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


GATED = nn.dag(
    y=(nn.dense(2), "gated"),
    gated=(jnp.multiply, "left", "right"),
    left=(nn.dense(3), "x"),
    right=(nn.serial(nn.dense(3), jax.nn.sigmoid), "x"),
    outputs="y",
)


def test_row_10_node_by_node_in_any_order():
    x = x_of(5, 4)
    params, state = GATED.init(KEY, x)
    assert list(params) == list(state) == ["y", "gated", "left", "right"]
    gate = jax.nn.sigmoid(x @ params["right"][0]["kernel"])
    expected = (x @ params["left"]["kernel"] * gate) @ params["y"]["kernel"]
    np.testing.assert_allclose(GATED(params, x), expected, rtol=1e-4, atol=1e-6)
    outputs = nn.intermediates(GATED, params, x)
    np.testing.assert_allclose(outputs["right"][1], gate, rtol=1e-5)
    np.testing.assert_allclose(outputs["gated"] @ params["y"]["kernel"], expected, rtol=1e-4)
    assert repr(GATED) == (
        "dag(y=(dense(2), gated), gated=(multiply, left, right), left=(dense(3), x), "
        "right=(serial(dense(3), sigmoid), x))"
    )


def test_several_inputs_and_outputs_by_name():
    model = nn.dag(
        ("image", "tags"),
        seen=(nn.dense(3), "image"),
        both=(lambda a, b: jnp.concatenate([a, b], -1), "seen", "tags"),
        y=(nn.dense(2), "both"),
        outputs=("y", "seen", "tags"),
    )
    x = {"image": x_of(5, 4), "tags": x_of(5, 1)}
    params, _ = model.init(KEY, x)
    y, seen, tags = model(params, x)
    np.testing.assert_allclose(seen, x["image"] @ params["seen"]["kernel"], rtol=1e-5)
    both = jnp.concatenate([seen, x["tags"]], -1)
    np.testing.assert_allclose(y, both @ params["y"]["kernel"], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(tags, x["tags"])
    chex.assert_trees_all_equal(model(params, (x["image"], x["tags"])), (y, seen, tags))
    for wrong in (x["image"], {"image": x["image"]}, (x["image"],)):
        with pytest.raises(
            ValueError, match=re.escape("dag: expected x with the inputs ['image',")
        ):
            model(params, wrong)


def test_a_layer_gets_several_inputs_as_a_tuple_and_state_and_keys_are_handed_through():
    pair = nn.parallel(running_mean(), noise())
    model = nn.dag(a=(nn.dense(3), "x"), pair=(pair, "a", "x"), y=(lambda ab: ab[0], "pair"))
    x = x_of(5, 4)
    params, state = model.init(KEY, x)
    y, after = model.apply(params, state, x, key=KEY, train=True)
    z = x @ params["a"]["kernel"]
    np.testing.assert_allclose(y, z - 0.1 * z.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after["pair"][0]["mean"], 0.1 * z.mean(0), rtol=1e-4, atol=1e-6)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert model.uses_key
    assert not GATED.uses_key


def test_a_chain_is_serial():
    x = x_of(5, 4)
    chain = nn.dag(a=(nn.dense(3), "x"), b=(jnp.tanh, "a"), c=(nn.dense(2), "b"))
    serial = nn.serial(a=nn.dense(3), b=jnp.tanh, c=nn.dense(2))
    params, state = chain.init(KEY, x)
    chex.assert_trees_all_equal((params, state), serial.init(KEY, x))
    np.testing.assert_array_equal(chain(params, x), serial(params, x))


D = nn.dense(3)


@pytest.mark.parametrize(
    ("arguments", "nodes", "error", "message"),
    [
        ((), {"a": (D, "x", "c"), "b": (D, "a"), "c": (D, "b")}, ValueError, "no cycle, got a -> "),
        ((), {"a": (D, "a")}, ValueError, "dag: expected no cycle, got a -> a"),
        ((), {"a": (D, "y")}, ValueError, "['a']: dag: no node or input 'y': there are ['x', 'a']"),
        ((), {"a": (D, "x"), "b": (D, "x")}, ValueError, "dag: no output depends on 'a': the out"),
        ((["x", "y"],), {"a": (D, "x")}, ValueError, "dag: no output depends on 'y': the outputs"),
        ((), {}, TypeError, "dag expects at least one node, as in y=(nn.dense(10), 'x')"),
        (
            (),
            {"a": D},
            TypeError,
            "['a']: dag: expected a node to be a tuple of a layer and the na",
        ),
        (
            (),
            {"a": (D,)},
            TypeError,
            "['a']: dag: expected a node to be a tuple of a layer and the",
        ),
        (
            (),
            {"a": (D, D)},
            TypeError,
            "['a']: dag: expected a node to be a tuple of a layer and t",
        ),
        (
            (),
            {"a": ("x", D)},
            TypeError,
            "['a']: dag: expected a node to be a tuple of a layer and",
        ),
        (
            (),
            {"a": (30, "x")},
            TypeError,
            "['a']: expected a Layer or a function of one array, got",
        ),
        ((), {"x": (D, "x")}, ValueError, "dag: the name 'x' is given twice"),
        ((["u", "u"],), {"a": (D, "u")}, ValueError, "dag: the name 'u' is given twice"),
        (
            (),
            {"a": (D, "x"), "outputs": "b"},
            ValueError,
            "dag: no node or input 'b' for an output",
        ),
    ],
)
def test_what_is_no_graph(arguments, nodes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        nn.dag(*arguments, **nodes)


def test_errors_name_the_node():
    x = x_of(5, 4)
    params, _ = GATED.init(KEY, x)
    params["y"] = params["left"]
    with pytest.raises(
        ValueError, match=re.escape("['y']: dense: expected a kernel of shape (in,")
    ):
        GATED(params, x)


@pytest.fixture
def random_wiring(monkeypatch):
    """The example, forgotten after the test."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    yield importlib.import_module("random_wiring")
    for name in ("random_wiring", "command_line", "tables"):
        del sys.modules[name]


def test_row_10_randomly_wired(random_wiring):
    x = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
    for name, wire in random_wiring.WIRINGS.items():
        edges = wire(np.random.default_rng(3), 12)
        assert edges == wire(np.random.default_rng(3), 12)
        assert all(0 <= i < j < 12 for i, j in edges)
        assert len(set(edges)) == len(edges)
        assert name != "Watts-Strogatz" or len(edges) == 24
        model = random_wiring.network(12, edges, 2)
        params, state = jax.eval_shape(model.init, KEY, x)
        assert jax.eval_shape(model.apply, params, state, x)[0].shape == (2, 10)
        several = sum(1 for j in range(12) if sum(k == j for _, k in edges) > 1)
        assert len(jax.tree.leaves(params)) == 13 * 3 + several + 2
    assert edges == [(i, i + 1) for i in range(11)]
    assert random_wiring.depth(12, edges) == 12
    assert random_wiring.depth(4, [(0, 2), (1, 3), (2, 3)]) == 3
    other = random_wiring.watts_strogatz(np.random.default_rng(4), 12)
    assert other != random_wiring.watts_strogatz(np.random.default_rng(3), 12)
    ring = random_wiring.watts_strogatz(np.random.default_rng(0), 12, near=2, rewired=0.0)
    assert ring == sorted([(i, i + 1) for i in range(11)] + [(0, 11)])
