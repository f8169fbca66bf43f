"""nn.summary, and the operations it counts."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import nn
from funcnn.nn.flops import count_flops


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def test_row_11_the_model_of_deck_a():
    model = nn.models.mlp([30, 30, 10], jax.nn.sigmoid)
    summary = nn.summary(model, shape(1, 28, 28))
    assert summary.parameters == 24_790
    assert [row.parameters for row in summary.rows] == [0, 23_550, 0, 930, 0, 310]
    assert [row.shape for row in summary.rows] == [(1, 784), *4 * [(1, 30)], (1, 10)]
    assert [row.path for row in summary.rows] == [(i,) for i in range(6)]
    assert [row.flops for row in summary.rows[1::2]] == [
        2 * 23_550 - 30,
        2 * 930 - 30,
        2 * 310 - 10,
    ]
    assert {row.receptive_field for row in summary.rows} == {None}
    header, rule, *lines, total = str(summary).splitlines()
    assert header.split() == ["path", "layer", "output", "parameters", "flops"]
    assert set(rule) == {"-", " "}
    assert lines[1].split() == ["[1]", "dense(30)", "(1,", "30)", "23,550", "47,070"]
    assert total.split() == ["total", "24,790", f"{summary.flops:,}"]
    assert len({len(line) for line in [header, *lines, total]}) == 1
    assert repr(summary) == str(summary)


def test_copies_and_shared_layers_are_counted_right():
    block = nn.residual(nn.serial(a=nn.dense(4), b=jnp.tanh))
    summary = nn.summary(nn.repeat(nn.remat(block), 3), shape(5, 4))
    a, b, identity = summary.rows
    assert a[:5] == (("layer", "a"), "3 × dense(4)", (5, 4), 3 * 20, 3 * (2 * 5 * 16 + 20))
    assert (b.layer, b.flops, identity.path) == ("3 × tanh", 0, ("shortcut",))
    tied = nn.parallel(nn.serial(nn.dense(4), jnp.tanh), nn.shared(0))
    summary = nn.summary(tied, (shape(5, 4), shape(5, 4)))
    rows = [(row.path, row.parameters, row.flops) for row in summary.rows]
    assert rows == [((0, 0), 20, 180), ((0, 0), 0, 180), ((0, 1), 0, 0), ((0, 1), 0, 0)]
    kernel = nn.serial(e=nn.dense(3), d=nn.shared("e", lambda params, x: x @ params["kernel"].T))
    e, d = nn.summary(kernel, shape(5, 4)).rows
    assert (e.parameters, d.parameters, d.flops, d.shape) == (15, 0, 2 * 5 * 12, (5, 4))


def test_named_layers_stand_in_their_order_and_outputs_may_be_several():
    model = nn.dag(
        z=(nn.lstm(3, returns="outputs and carry"), "x"),
        a=(lambda z: z[0], "z"),
        outputs=("a", "x"),
    )
    summary = nn.summary(nn.mixed_precision(model), shape(5, 7, 2))
    assert [row.path for row in summary.rows] == [("z",), ("a",)]
    assert summary.rows[0].shape == ((5, 7, 3), ((5, 3), (5, 3)))
    assert "(5, 7, 3), (5, 3), (5, 3)" in str(summary)
    products = 2 * 5 * 7 * (2 + 3) * 12
    assert products < summary.flops < 2 * products
    assert len(nn.summary(jnp.tanh, shape(2)).rows) == 1
    with pytest.raises(ValueError, match=re.escape("[0]: dense: expected x of shape (..., in)")):
        nn.summary(nn.serial(nn.dense(3)), shape())


def by_perturbation(model, size):
    """How many pixels along each axis the middle of the output depends on: by the gradient."""
    x = jax.random.uniform(jax.random.key(1), (1, *size, 1), minval=0.5)
    params, state = jax.jit(model.init)(jax.random.key(0), x)
    params = jax.tree.map(jnp.ones_like, params)

    @jax.jit
    @funcnn.grad
    def gradient(x):
        y, _ = model.apply(params, state, x)
        return y[0, y.shape[1] // 2, y.shape[2] // 2].sum()

    seen = np.asarray(gradient(x))[0, ..., 0] != 0
    return tuple(int(seen.any(1 - axis).sum()) for axis in (0, 1))


def test_receptive_fields_are_what_the_gradient_sees():
    model = nn.serial(
        nn.conv(1, (3, 3), strides=(2, 1)),
        nn.repeat(nn.residual(nn.serial(nn.conv(1, (3, 1)), jax.nn.relu)), 2),
        nn.add(nn.conv(1, (1, 5), kernel_dilation=(1, 2)), nn.conv(1, (3, 3))),
        nn.avg_pool((2, 2), (2, 2)),
    )
    summary = nn.summary(model, shape(1, 40, 40, 1))
    fields = {row.path: row.receptive_field for row in summary.rows}
    assert fields == {
        (0,): (3, 3),
        (1, "layer", 0): (11, 3),
        (1, "layer", 1): None,
        (1, "shortcut"): None,
        (2, 0): (11, 11),
        (2, 1): (15, 5),
        (3,): (17, 12),
    }
    assert fields[(3,)] == by_perturbation(model, (40, 40))
    assert re.search(r"avg_pool.* 17×12$", str(summary), re.M)


def test_operations_of_loops_within_loops():
    x, w = jnp.ones((2, 8)), jnp.ones((8, 8))

    def inner(x):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, None, length=3)[0]

    def loops(x):
        run = jax.jit(lambda x: jax.lax.scan(lambda x, _: (inner(x @ w), None), x, None, length=10))
        return jax.checkpoint(lambda x: run(x)[0])(x)

    def unrolled(x):
        for _ in range(40):
            x = x @ w
        return x

    assert count_flops(unrolled, x) == 40 * 2 * 2 * 8 * 8
    assert count_flops(unrolled, x) <= count_flops(loops, x) < 1.01 * count_flops(unrolled, x)
    assert count_flops(lambda x: x, x) == 0
