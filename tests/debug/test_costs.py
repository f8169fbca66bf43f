"""debug.costs: its rows against formulas, and their sums against XLA's count of the whole."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import debug, losses, nn
from funcnn.nn.flops import count_flops


def array(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def costs_of(model, x, y, loss=losses.squared_error, **options):
    params, state = jax.eval_shape(model.init, jax.random.key(0), x)
    return debug.costs(model, params, x, y, loss=loss, state=state, **options)


def test_row_39_the_products_of_a_two_layer_network():
    n, d_in, hidden, d_out = 64, 1000, 100, 10
    model = nn.serial(
        nn.dense(hidden, use_bias=False), jax.nn.relu, nn.dense(d_out, use_bias=False)
    )
    first, relu, last, loss = costs_of(model, array(n, d_in), array(n, d_out)).rows
    assert [row.name for row in (first, relu, last, loss)] == ["[0]", "[1]", "[2]", "loss"]
    # one sum less than products in each entry
    product = lambda i, j, k: (2 * j - 1) * i * k
    assert first.forward == pytest.approx(product(n, d_in, hidden), rel=2e-3)
    assert first.backward == pytest.approx(product(d_in, n, hidden), rel=2e-2)
    assert last.forward == pytest.approx(product(n, hidden, d_out), rel=2e-2)
    back = product(hidden, n, d_out) + product(n, d_out, hidden)
    assert last.backward == pytest.approx(back, rel=6e-2)
    assert first.forward_bytes == 4 * (n * d_in + d_in * hidden + n * hidden)
    assert first.backward_bytes == first.forward_bytes
    # x and the kernels are there in any case; ReLU keeps its output, and where it was positive
    assert (first.kept, last.kept, relu.kept) == (0, 0, 5 * n * hidden)


def whole(grad, model, loss):
    def mean(params, state, x, y):
        key = jax.random.key(0)
        return jnp.mean(loss(model.apply(params, state, x, key=key, train=True)[0], y))

    return grad(mean)


@pytest.mark.parametrize(("vjp", "channels"), [(funcnn.vjp, 1), (funcnn.vjp, 3), (jax.vjp, 1)])
def test_the_sum_of_the_rows_is_what_xla_counts_of_the_whole(vjp, channels):
    model = nn.serial(
        nn.conv(8, (3, 3)),
        nn.batch_norm(),
        jax.nn.relu,
        nn.max_pool((2, 2), (2, 2)),
        nn.flatten,
        nn.dense(8),
        nn.repeat(nn.residual(nn.remat(nn.serial(nn.dense(8), jnp.tanh))), 3),
        nn.dropout(0.5),
        nn.dense(4),
    )
    x, y = array(16, 12, 12, channels), array(16, dtype=jnp.int32)
    loss = losses.softmax_cross_entropy_with_integer_labels
    found = costs_of(model, x, y, loss, vjp=vjp)
    params, state = jax.eval_shape(model.init, jax.random.key(0), x)
    grad = funcnn.value_and_grad if vjp is funcnn.vjp else jax.value_and_grad
    program = whole(grad, model, loss)
    total = found.total
    counted = count_flops(program, params, state, x, y)
    assert total.forward + total.backward == pytest.approx(counted, rel=0.002)
    names = [row.name for row in found.rows]
    assert names[:4] == ["[0]", "[1]", "[2]", "[3]"]
    assert {"[6]['layer'][0]", "[6]['layer'][1]", "[8]", "loss"} <= set(names)
    assert total[1:] == tuple(np.sum([row[1:] for row in found.rows], axis=0))
    if vjp is funcnn.vjp and channels == 3:
        compiled = jax.jit(program).lower(params, state, x, y).compile().cost_analysis()
        # the loop is counted once there, and is small
        assert total.forward + total.backward == pytest.approx(compiled["flops"], rel=0.2)
        traffic = total.forward_bytes + total.backward_bytes
        assert traffic == pytest.approx(compiled["bytes accessed"], rel=0.5)


def test_loops_count_as_often_as_they_run():
    x, y = array(5, 8), array(5, 8)
    block = nn.serial(nn.dense(8), jnp.tanh)
    three = costs_of(nn.repeat(block, 3), x, y)
    stacked = costs_of(nn.serial(*[block] * 3), x, y)
    dense, tanh, *_ = three.rows
    assert (dense.name, tanh.name) == ("[0]", "[1]")
    by_name = {row.name: row for row in stacked.rows}
    assert dense.forward == 3 * by_name["[1][0]"].forward
    assert dense.backward == 3 * by_name["[1][0]"].backward
    assert tanh.kept == sum(by_name[f"[{i}][1]"].kept for i in range(3))


def perceptron(w, x, y, depth):
    h = x
    for _ in range(depth):
        h = jnp.tanh(h @ w["a"])
    with jax.named_scope("head"):
        z = jax.jit(lambda h: h @ w["b"])(h)
    return jnp.mean((z - y) ** 2)


@pytest.mark.parametrize("vjp", [funcnn.vjp, jax.vjp])
def test_a_plain_function_by_scope_and_line(vjp):
    w = {"a": array(8, 8), "b": array(8, 2)}
    found = debug.costs(perceptron, w, array(32, 8), array(32, 2), 3, vjp=vjp)
    first = inspect.getsourcelines(perceptron)[1]
    line = lambda n: f"test_costs.py:{first + n}"
    assert [row.name for row in found.rows] == [line(3), "head", line(6)]
    hidden, head, _ = found.rows
    assert hidden.forward == pytest.approx(3 * 15 * 32 * 8, rel=0.3)
    assert head.forward == pytest.approx(15 * 32 * 2, rel=0.1)
    assert head.backward == pytest.approx(2 * 15 * 32 * 8 // 4, rel=0.5)
    assert hidden.kept >= 3 * 4 * 32 * 8


def test_remat_keeps_less_and_computes_more():
    x, y = array(64, 16), array(64, 16)
    block = nn.serial(nn.dense(16), jnp.tanh, nn.dense(16), jnp.tanh)
    plain = costs_of(nn.serial(block, block), x, y)
    less = costs_of(nn.serial(nn.remat(block), nn.remat(block)), x, y)
    assert less.total.kept < 0.6 * plain.total.kept
    assert less.total.backward > 1.2 * plain.total.backward
    assert less.total.forward == plain.total.forward


def test_a_loss_without_operations_costs_nothing():
    found = debug.costs(lambda w: jnp.float32(1), 2.0)
    assert (found.rows, found.total) == ((), ("total", 0, 0, 0, 0, 0))
    assert str(found).splitlines()[-1].split()[:2] == ["total", "0"]


def test_the_table_and_what_is_refused():
    found = costs_of(nn.dense(3), array(5, 4), array(5, 3))
    header, rule, *lines = str(found).splitlines()
    assert header.endswith("bytes forward  backward  share  kept")
    assert set(rule) == {"-", " "}
    assert lines[-1].split()[:2] == ["total", f"{found.total.forward:,}"]
    with pytest.raises(TypeError, match="costs: of a layer, expected x and a loss"):
        debug.costs(nn.dense(3), {}, array(5, 4))
    with pytest.raises(TypeError, match="costs: expected a Layer or a function"):
        debug.costs(3.0, {})
    with pytest.raises(TypeError, match=r"costs: expected .* got 2 arrays"):
        debug.costs(lambda w: {"a": w, "b": w}, array())
