"""Groups fold and unfold: layers, scopes, functions, loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from funcnn import nn
from funcnn.graph import trace
from funcnn.graph.page.sentences import plain, steps_of


def labels(graph):
    return [node.label for node in graph]


def power(x):
    c, before = lax.scan(lambda c, x: (c * x, c), 1.0, x)
    return c + before[0]


@pytest.fixture(scope="module")
def long_scan():
    return trace(power)(jnp.full(100, 1.01))


def test_a_long_scan_is_one_node_until_asked_for(long_scan):
    assert labels(long_scan) == ["x", "scan", "slice", "+"]
    [group] = long_scan.groups
    assert (group.path, group.kind, group.folded) == (("scan",), "scan", True)


def test_of_many_iterations_the_first_and_the_last_are_shown(long_scan):
    graph = long_scan.unfold("scan")
    assert [label for label in labels(graph) if label not in ("1", "stack")] == [
        "x", "[0]", "×", "… 98 more", "[99]", "×", "slice", "+",
    ]  # fmt: skip
    first, last = (graph.at_path(f"scan[{i}]")[-1] for i in (0, 99))
    np.testing.assert_allclose(first.value, 1.01)
    np.testing.assert_allclose(last.value, 1.01**100, rtol=1e-4)
    [more] = graph.filter(lambda node: node.kind == "group")
    # what goes in and out, at the boundary
    assert float(graph.into(more.number)[0].value) == float(first.value)
    np.testing.assert_allclose(more.value, 1.01**99, rtol=1e-4)
    np.testing.assert_allclose(more.gradient, 1.01, rtol=1e-4)
    total = sum(np.asarray(edge.gradient) for edge in graph.out_of(0))
    np.testing.assert_allclose(total, graph["x"].gradient, rtol=1e-6)


def test_iterations_are_chosen(long_scan):
    graph = long_scan.unfold("scan", iterations=[4, 5])
    kept = [n.label for n in graph if n.label.startswith(("[", "…"))]
    assert kept == ["… 4 more", "[4]", "[5]", "… 94 more"]
    folded = graph.fold("scan[4]")
    [one] = folded.at_path("scan[4]")
    assert (one.kind, one.label) == ("group", "scan[4]")
    np.testing.assert_allclose(one.value, 1.01**5, rtol=1e-5)
    with pytest.raises(ValueError, match="iterations run from 0 to 99, got 100"):
        long_scan.unfold("scan", iterations=[100])
    with pytest.raises(ValueError, match="iterations are of a loop, and 'relu' is a custom_jvp"):
        trace(jax.nn.relu)(1.0).unfold("relu", iterations=[0])


def test_a_function_with_a_rule_unfolds_to_its_body():
    @jax.custom_jvp
    def cube(x):
        return jnp.sin(x) * x

    cube.defjvp(lambda primals, tangents: (cube(*primals), 100 * tangents[0]))
    graph = trace(lambda x: jax.nn.relu(x) + cube(x))(2.0)
    assert labels(graph) == ["x", "relu", "cube", "+"]
    assert float(graph.into(2)[0].local) == 100
    opened = graph.unfold("cube").unfold("relu")
    assert labels(opened) == ["x", "max 0", "sin", "×", "+"]
    # the body's own derivatives
    np.testing.assert_allclose(opened.into(3)[0].local, 2.0)
    assert labels(opened.fold("cube")) == ["x", "max 0", "cube", "+"]


def test_a_rule_that_says_other_than_its_code_is_told_of():
    fun = lambda x: jax.nn.relu(x) + 3 * x
    note = (
        "Inside relu are the derivatives of its code. Its rule says others here: what it is given "
        "has its gradient by the rule."
    )
    opened = trace(fun)(0.0).unfold("relu")
    [edge] = opened.into(opened.at_path("relu")[0].number)
    assert (float(edge.gradient), float(opened["x"].gradient)) == (0.5, 3)  # 0 by the rule
    assert opened.table().splitlines()[-1] == note
    said = [[plain(sentence) for sentence in step.sentences] for step in steps_of(opened)]
    assert said[-1] == ["x: 0.50 + 3 → 3", note]
    assert said[-2][-1] == note
    assert sum(note in sentences for sentences in said) == 2
    # folded, or where both say the same, there is nothing to tell
    alike = trace(fun)(1.0).unfold("relu")
    for graph in (opened.fold("relu"), alike):
        assert note not in graph.table()
        last = steps_of(graph)[-1]
        assert [plain(s).endswith(": copy adds") for s in last.sentences] == [True]


def test_a_rule_around_nothing_stays_a_node():
    @jax.custom_vjp
    def reverse(x):
        return x

    reverse.defvjp(lambda x: (x, None), lambda _, g: (-g,))
    graph = trace(lambda x: reverse(x * 2) * 3)(1.0).unfold("reverse")
    assert labels(graph) == ["x", "×2", "reverse", "×3"]
    assert [float(node.gradient) for node in graph] == [-6, -3, 3, 1]
    assert [(group.folded, group.nodes) for group in graph.groups] == [(True, (2,))]


def test_a_rule_is_opened_beside_keys_and_programs_of_devices():
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("i")
    mapped = jax.shard_map(lambda x: x * 2, mesh=mesh, in_specs=spec, out_specs=spec)

    def fun(x):
        kept = jax.random.bernoulli(jax.random.key(1), 0.5, x.shape)
        return jax.nn.relu(mapped(x)) * kept

    x = jnp.array([-1.0, 2.0, 3.0])
    [opened] = trace(fun)(x).unfold("relu").at_path("relu")
    assert opened.label == "max 0"
    np.testing.assert_array_equal(opened.value, [0, 4, 6])


def test_functions_of_the_users_are_open_and_those_of_jax_are_folded():
    @jax.jit
    def length(x):
        return jnp.linalg.norm(x + 1)

    graph = trace(lambda x: 3 * length(x))(jnp.array([2.0, 3.0]))
    assert labels(graph) == ["x", "+1", "norm", "×3"]
    assert [group.path for group in graph.groups] == [("length",), ("length", "norm")]
    assert labels(graph.unfold("norm")) == ["x", "+1", "×", "sum", "√x", "×3"]
    folded = graph.fold()
    assert labels(folded) == ["x", "length", "×3"]
    np.testing.assert_allclose(folded.into(1)[0].gradient, [1.8, 2.4], rtol=1e-5)


def test_scopes_fold_by_depth():
    def fun(x):
        with jax.named_scope("outer"):
            y = jnp.sin(x) + 1
            with jax.named_scope("inner"):
                y = jnp.exp(y) * y
        return y

    graph = trace(fun)(1.0)
    assert labels(graph) == ["x", "sin", "+1", "exp", "×"]
    assert labels(graph.fold(depth=1)) == ["x", "sin", "+1", "inner"]
    assert labels(graph.fold()) == ["x", "outer"]
    assert labels(graph.fold().unfold("outer")) == labels(graph)
    assert labels(graph.fold("inner").unfold()) == labels(graph)
    with pytest.raises(ValueError, match="a path or a depth, not both"):
        graph.fold("inner", depth=1)
    with pytest.raises(ValueError, match="no group 'other': the groups are outer, outer/inner"):
        graph.unfold("other")


def test_conversions_and_constants_are_shown_where_asked_for():
    graph = trace(lambda x: 1 + x.astype(jnp.bfloat16))(jnp.ones(2))
    assert labels(graph) == ["x", "+1"]
    assert labels(graph.show(minor=True)) == ["x", "convert", "+1"]
    assert labels(graph.show(constants=True)) == ["x", "1", "+"]


def cnn():
    layers = []
    for features in (2, 3):
        layers += [nn.conv(features, (3, 3)), jax.nn.relu, nn.max_pool((2, 2), (2, 2))]
    return nn.serial(*layers, nn.flatten, nn.dense(3), jax.nn.relu, nn.dense(2))


@functools.cache
def large_network():
    """Its graph, by shapes alone: so it takes no time."""
    model, x = cnn(), jax.ShapeDtypeStruct((1, 8, 8, 1), jnp.float32)
    shapes = jax.eval_shape(lambda key: model.init(key, jnp.ones(x.shape))[0], jax.random.key(0))

    def loss(params, x):
        y = model(params, x)
        for _ in range(12):
            y = y * y + 1
        return y.sum()

    return trace(loss)(shapes, x)


def test_a_large_network_is_folded_by_layer():
    graph = large_network()
    assert labels(graph)[:15] == [
        "params[0]", "params[3]", "params[7]", "params[9]", "x", "[0] conv", "relu", "max pool",
        "[3] conv", "relu", "max pool", "reshape", "[7] dense", "relu", "[9] dense",
    ]  # fmt: skip
    assert [result.name for result in graph.nodes[0].results] == [
        "params[0]['bias']", "params[0]['kernel']",
    ]  # fmt: skip
    assert graph["params[0]['kernel']"].results == graph.nodes[0].results[1:]
    opened = graph.unfold("[0]")
    assert labels(opened)[-35:-33] != ["[0] conv", "relu"]
    assert [node.label for node in opened.at_path("[0]")] == ["conv", "+"]
    assert [node.kind for node in opened.at_path("[3]")] == ["group"]
