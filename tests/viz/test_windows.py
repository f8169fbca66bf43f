"""Receptive fields, against the gradient of a real network and against nn.summary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import nn, viz
from funcnn.viz.windows import Step, fields, seen_by_layer

LAYERS = [
    nn.conv(2, (3,), padding="VALID"),
    nn.avg_pool((2,), (2,)),
    nn.conv(1, (2,), padding="VALID", kernel_dilation=3),
]


def test_what_is_seen_is_what_has_a_gradient():
    model = nn.serial(*LAYERS)
    x = jnp.ones((1, 20, 1))
    params, _ = jax.eval_shape(model.init, jax.random.key(0), x)
    params = jax.tree.map(lambda w: jnp.ones(w.shape), params)  # so that nothing cancels
    gradient = jax.jit(funcnn.grad(lambda x: model(params, x)[0, 0, 0]))(x)[0, :, 0]
    seen = seen_by_layer([Step(3, 1, 1), Step(2, 2, 1), Step(2, 1, 3)])[0]
    assert np.flatnonzero(gradient).tolist() == np.flatnonzero(seen).tolist()
    assert seen.tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 1, 1]


def test_receptive_fields_are_those_of_the_summary():
    rows = nn.summary(nn.serial(*LAYERS), jax.ShapeDtypeStruct((1, 20, 1), jnp.float32)).rows
    ax = viz.receptive_field([layer.window for layer in LAYERS])
    written = [text.get_text() for text in ax.texts]
    assert [text for text in written if text.startswith("sees")] == [
        f"sees {row.receptive_field[0]}" for row in rows
    ]
    assert written[::2][:1] + written[1::2] == [
        "input",
        "window 3",
        "window 2, stride 2",
        "window 2, dilation 3",
    ]


def test_squares_and_lines():
    ax = viz.receptive_field([2, (2, 2), 2], names=["conv", "pool", "conv again"])
    assert all(square.get_facecolor()[0] < 1 for square in ax.patches)
    middles = [square.get_x() + square.get_width() / 2 for square in ax.patches]
    pixels, conv, pool, unit = range(5), [0.5, 1.5, 2.5, 3.5], [1, 3], [2]
    np.testing.assert_allclose(middles, [*pixels, *conv, *pool, *unit])  # over what they see
    ends = [tuple(line.get_xdata()) for line in ax.lines]
    assert ends[:4] == [(0.5, 0), (0.5, 1), (1.5, 1), (1.5, 2)]
    assert ends[8:] == [(1, 0.5), (1, 1.5), (3, 2.5), (3, 3.5), (2, 1), (2, 3)]
    assert {"conv", "pool", "conv again"} < {text.get_text() for text in ax.texts}


def test_places_that_are_not_seen_are_white():
    ax = viz.receptive_field([2, (2, 1, 2)])
    filled = [square.get_facecolor()[:3] != (1, 1, 1) for square in ax.patches]
    assert filled == [*[True] * 4, True, False, True, True]


def test_the_other_axis():
    steps = [((3, 5), (1, 2), (1, 1)), (2, 2)]
    assert [text.get_text() for text in viz.receptive_field(steps, axis=1).texts][2::2] == [
        "sees 5",
        "sees 7",
    ]
    assert fields([Step(5, 2, 1), Step(2, 2, 1)]) == [5, 7]


@pytest.mark.parametrize(
    ("windows", "options", "message"),
    [
        ([], {}, "windows of one layer or more, got none"),
        ([3, 0], {}, "expected window 1 as a kernel size"),
        ([2.5], {}, "whole numbers from 1 on, with axis 0, got 2.5"),
        ([(3, 1, 1, 1)], {}, r"got \(3, 1, 1, 1\)"),
        ([None], {}, "got None"),
        ([((3, 3), (1, 1))], {"axis": 2}, "with axis 2, got"),
        ([3], {"names": []}, "names for each of 1 layers, got 0"),
        ([401], {}, "at most 400 pixels, got 401"),
    ],
)
def test_bad_input(windows, options, message):
    with pytest.raises(ValueError, match=message):
        viz.receptive_field(windows, **options)
