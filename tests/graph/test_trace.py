"""The graph of a function: exact numbers of deck B, and what holds of every graph."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from funcnn import grad, nn
from funcnn.graph import trace
from funcnn.graph.page.sentences import steps_of
from tests.graph.test_steps import X, branches, loops, rows_leave_a_loop


def sigmoid_of_sum(w0, x0, w1, x1, w2):
    return 1 / (1 + jnp.exp(-(w0 * x0 + w1 * x1 + w2)))


ROW_22 = (2.0, -1.0, -3.0, -2.0, -3.0)


def rounded(values):
    return [f"{float(value):.2f}" for value in values]


@pytest.mark.parametrize("fun", [sigmoid_of_sum, jax.jit(sigmoid_of_sum)])
def test_row_22(fun):
    graph = trace(fun)(*ROW_22)
    inputs, gates = graph.nodes[:5], graph.nodes[5:]
    assert [node.name for node in inputs] == ["w0", "x0", "w1", "x1", "w2"]
    assert [node.label for node in gates] == ["×", "×", "+", "+", "×−1", "exp", "+1", "1/x"]
    assert rounded(node.value for node in gates) == [
        "-2.00", "6.00", "4.00", "1.00", "-1.00", "0.37", "1.37", "0.73",
    ]  # fmt: skip
    assert rounded(node.gradient for node in gates) == [
        "0.20", "0.20", "0.20", "0.20", "-0.20", "-0.53", "-0.53", "1.00",
    ]  # fmt: skip
    # the deck multiplies by 0.20 as it is written, and has 0.40 and 0.60
    assert rounded(node.gradient for node in inputs) == ["-0.20", "0.39", "-0.39", "-0.59", "0.20"]
    assert [[edge.source for edge in graph.into(n)] for n in range(5, 13)] == [
        [0, 1], [2, 3], [5, 6], [7, 4], [8], [9], [10], [11],
    ]  # fmt: skip
    assert rounded(edge.local for edge in graph.edges[-4:]) == ["-1.00", "0.37", "1.00", "-0.53"]
    assert graph.outputs == (12,)
    assert graph["output"].number == 12


def test_row_22_as_one_gate():
    fun = lambda w0, x0, w1, x1, w2: jax.nn.sigmoid(w0 * x0 + w1 * x1 + w2)
    graph = trace(fun)(*ROW_22)
    gate = graph.nodes[-1]
    assert (gate.label, gate.primitive) == ("sigmoid", "logistic")
    assert rounded([gate.value, graph.into(9)[0].local, graph["x1"].gradient]) == [
        "0.73", "0.20", "-0.59",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fun", "args", "values", "gradients"),
    [
        (lambda x, y, z: (x + y) * z, (-2.0, 5.0, -4.0), [3, -12], [-4, -4, 3, -4, 1]),
        (lambda x, y, z: (x + y) * z, (2.0, 3.0, -2.0), [5, -10], [-2, -2, 5, -2, 1]),
        (lambda a, b: (lambda c: a * c)(a + b), (4.0, 3.0), [7, 28], [11, 4, 4, 1]),
    ],
)
def test_row_21(fun, args, values, gradients):
    graph = trace(fun)(*args)
    assert [float(node.gradient) for node in graph] == gradients
    assert [float(node.value) for node in graph.filter(lambda n: n.kind == "operation")] == values


def test_row_23_patterns_in_gradient_flow():
    def fun(x, y, z, w):
        return 2 * (x * y + jnp.maximum(z, w))

    graph = trace(fun)(3.0, -4.0, 2.0, -1.0)
    multiply, maximum, add, _ = graph.nodes[4:]
    back = lambda node: [float(edge.gradient) for edge in graph.into(node.number)]
    assert [add.label, multiply.label, maximum.label] == ["+", "×", "max"]
    assert back(add) == [2, 2]  # distributes
    assert back(multiply) == [-8, 6]  # swaps
    assert back(maximum) == [2, 0]  # routes
    # copies add: the branches' gradients
    copies = trace(lambda x: x * x + x)(3.0)
    assert [float(edge.gradient) for edge in copies.out_of(0)] == [3, 3, 1]
    assert float(copies["x"].gradient) == 7


def test_row_25_a_vector_through_relu():
    upstream = jnp.array([4.0, -1.0, 5.0, 9.0])
    graph = trace(jax.nn.relu, cotangent=upstream)(jnp.array([1.0, -2.0, 3.0, -1.0]))
    [edge] = graph.edges
    assert graph["output"].gradient.tolist() == [4, -1, 5, 9]
    assert edge.local.tolist() == [1, 0, 1, 0]
    assert graph["x"].gradient.tolist() == [4, 0, 5, 0]


def test_a_derivative_that_is_not_diagonal_is_no_local_gradient():
    graph = trace(lambda x: jnp.sum(jnp.cumsum(jnp.exp(x)) * x))(X)
    has_local = {graph.nodes[e.target].label: e.local is not None for e in graph.edges}
    assert has_local == {"exp": True, "cumsum": False, "×": True, "sum": True}


def many(x):
    """Several outputs, one of them of integers; constants, halves, a value given twice."""
    a, b = jnp.split(x * 2, [1])
    far = jnp.where(x > 1, x * x, -x) + jnp.array([1.0, 2.0, 3.0]) * lax.broadcast(x[0], (3,))
    return {"a": jnp.linalg.norm(x - x.mean()) * a, "b": (far, jnp.argmax(x)), "c": b.astype("f2")}


def opened_one_by_one(graph):
    """The graph with ever more open, until there is no more to see in it."""
    while graph is not None:
        yield graph
        folded = [g.path for g in graph.groups if g.folded and g.path not in graph.view.chosen]
        graph = (
            functools.reduce(lambda graph, path: graph.unfold(path), folded, graph)
            if folded
            else None
        )


@pytest.mark.parametrize("fun", [many, loops, rows_leave_a_loop, branches])
def test_the_gradients_of_the_edges_add_up(fun):
    total = lambda x: sum(jnp.sum(y.astype("f4")) for y in jax.tree.leaves(fun(x)))
    expected = jax.jit(grad(total))(X)
    for graph in opened_one_by_one(trace(fun)(X)):
        came = {}
        for edge in graph.edges:
            assert edge.source < edge.target
            if edge.local is not None:
                upstream = graph.nodes[edge.target].gradient
                np.testing.assert_allclose(edge.local * upstream, edge.gradient, rtol=1e-4)
            if edge.gradient is not None:
                came.setdefault((edge.source, edge.result), []).append(np.asarray(edge.gradient))
        for node in graph:
            for i, result in enumerate(node.results):
                is_output = (result.name or "").startswith("output")
                start = is_output and jnp.issubdtype(result.dtype, jnp.inexact)
                total = sum(came.get((node.number, i), ()), np.full(result.shape, float(start)))
                found = 0 if result.gradient is None else result.gradient
                np.testing.assert_allclose(found, total, rtol=1e-4, atol=1e-5, err_msg=node.label)
        np.testing.assert_allclose(graph["x"].gradient, expected, rtol=1e-4)


def test_inputs_and_outputs_have_their_names():
    def fun(params, *rest, scale=1.0, how="relu", n=2):
        y = getattr(jax.nn, how)(params["dense"][0] * rest[0]) * scale
        return y, {"more": y[rest[1]] * n}

    graph = trace(fun)(
        {"dense": (2.0, 3.0)}, np.array([1.0, -1.0]), np.array(1), scale=0.5, how="relu"
    )
    inputs = ["params['dense'][0]", "params['dense'][1]", "rest[0]", "rest[1]", "scale"]
    assert [node.name for node in graph if node.kind == "input"] == inputs
    assert graph["rest[1]"].gradient is None
    assert graph["params['dense'][1]"].gradient is None
    assert float(graph["scale"].gradient) == 2
    assert graph["output[1]['more']"].label == "×2"
    with pytest.raises(KeyError, match="no input or output 'w': the names are params"):
        graph["w"]


def test_a_value_that_is_returned_twice_has_both_names():
    graph = trace(lambda x: [jnp.sin(x)] * 2)(1.0)
    assert graph["output[0]"] == graph["output[1]"] == graph.nodes[1]


def test_a_name_picks_one_of_several_results():
    def fun(p, x):
        with jax.named_scope("layer"):
            return p["w"] * x + p["b"]

    graph = trace(fun)({"b": 2.0, "w": np.array([3.0, 5.0])}, np.array([7.0, 11.0])).fold()
    assert [node.label for node in graph] == ["p", "x", "layer"]
    w, b = graph["p['w']"], graph["p['b']"]
    assert (w.number, b.number, w.name, b.name) == (0, 0, "p['w']", "p['b']")
    assert (w.shape, b.shape) == ((2,), ())
    np.testing.assert_array_equal(w.gradient, [7, 11])
    assert (float(b.value), float(b.gradient)) == (2, 2)
    assert len(graph["p"].results) == 2


def test_an_output_is_the_result_of_that_name():
    graph = trace(lambda x: lax.top_k(x, 2)[1])(X)
    assert graph["output"].dtype == jnp.int32
    np.testing.assert_array_equal(graph["output"].value, [2, 1])


def test_infinities_are_no_reason_to_warn():
    graph = trace(lambda x: jnp.sum(jnp.sqrt(x - 0.5)))(X)  # the suite makes errors of warnings
    np.testing.assert_allclose(graph["x"].gradient, [np.inf, 0.5, 0.5**1.5], rtol=1e-6)
    [local] = [edge.local for edge in graph.edges if graph.nodes[edge.target].label == "√x"]
    assert np.isinf(local[0])
    hub = trace(lambda x: (lambda y: (y, jnp.sqrt(y - 1)))(x * 2))(0.5)
    steps_of(hub)


def test_a_graph_of_shapes_has_no_values():
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((5, 3), (3, 2), (2,))]
    fun = lambda x, w, b: jnp.sum(jnp.tanh(x @ w + b) ** 2)
    graph = trace(fun)(*shapes)
    assert [node.label for node in graph] == ["x", "w", "b", "matmul", "+", "tanh", "x²", "sum"]
    assert [node.shape for node in graph] == [(5, 3), (3, 2), (2,), *[(5, 2)] * 4, ()]
    assert all(node.value is None and node.gradient is None for node in graph)
    loop = trace(lambda x: lax.while_loop(lambda c: c < 9, lambda c: c * x, x))(
        shapes[0].update(shape=())
    )
    with pytest.raises(ValueError, match="while: what a while does depends on values"):
        loop.unfold("while")


def test_lines_and_paths_are_found():
    def fun(x):
        with jax.named_scope("first"):
            y = jnp.sin(x) + x
        return jnp.cos(y)

    graph, line = trace(fun)(1.0), fun.__code__.co_firstlineno
    assert [node.label for node in graph.at_line(line + 2)] == ["sin", "+"]
    assert [node.label for node in graph.at_line(line + 3, "test_trace.py")] == ["cos"]
    assert [node.label for node in graph.at_path("first")] == ["sin", "+"]
    assert graph.fold().at_line(line + 2)[0].label == "first"
    with pytest.raises(ValueError, match=rf"line 1: the lines are test_trace.py:{line + 2}"):
        graph.at_line(1)
    with pytest.raises(ValueError, match="no group 'second': the groups are first"):
        graph.at_path("second")


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match=r"got \{1\} of type set as x\['a'\]"):
        trace(lambda x: x)({"a": {1}})
    with pytest.raises(ValueError, match="none of the arguments is an array or a float"):
        trace(lambda x, y: x * y)(2, 3)
    with pytest.raises(TypeError, match="the argument x is a tracer: call trace outside"):
        jax.make_jaxpr(lambda x: trace(jnp.sin)(x).nodes[0].value)(1.0)
    with pytest.raises(TypeError, match=r"returns arrays, got 'no' of type str as output\[1\]"):
        trace(lambda x: (x, "no"))(1.0)
    with pytest.raises(ValueError, match="a cotangent of the structure of the output"):
        trace(jnp.sin, cotangent=(1.0, 2.0))(1.0)
    with pytest.raises(ValueError, match=r"a cotangent of shape \(\) and dtype float32 for output"):
        trace(lambda x: x * 2, cotangent=jnp.ones(2))(1.0)
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: x * (1 // 0))(1.0)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        trace(lambda x, y: x)(1.0)


def test_a_model_of_layers():
    model = nn.serial(nn.dense(2), jax.nn.relu, nn.residual(nn.dense(2)))
    shapes, _ = jax.eval_shape(model.init, jax.random.key(0), X)
    params = jax.tree.map(
        lambda leaf: np.arange(1.0, leaf.size + 1, dtype="f4").reshape(leaf.shape), shapes
    )
    graph = trace(model)(params, X)
    assert graph["params[0]['kernel']"].shape == (3, 2)
    assert [node.label for node in graph.at_path("[0]")] == ["matmul", "+"]
    [folded] = graph.fold("[0]").at_path("[0]")
    assert (folded.kind, folded.label) == ("group", "[0] dense")
    assert graph.at_path("[1]")[0].label == "relu"
    labels = [node.label for node in graph.at_path("[2]['layer']")]
    assert labels == ["matmul", "+"]
    for leaf, name in [(graph["x"], "x"), (graph.nodes[0], "params[0]['bias']")]:
        assert leaf.name == name
    gradients = jax.jit(grad(lambda p: model(p, X).sum()))(params)
    np.testing.assert_allclose(graph["params[0]['bias']"].gradient, gradients[0]["bias"], rtol=1e-5)
