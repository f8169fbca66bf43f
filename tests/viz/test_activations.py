"""Activations and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import viz


def test_a_function_and_its_derivative():
    def softsign(x):
        return x / (1 + jnp.abs(x))

    ax = viz.activation(softsign, interval=(-3, 1))
    function, derivative = ax.lines[:2]
    x = function.get_xdata()
    assert (x[0], x[-1], ax.get_xlim()) == (-3, 1, (-3, 1))
    np.testing.assert_allclose(function.get_ydata(), x / (1 + abs(x)), atol=1e-6)
    np.testing.assert_allclose(derivative.get_ydata(), 1 / (1 + abs(x)) ** 2, atol=1e-6)
    assert ax.get_title() == "softsign"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["function", "derivative"]


def test_a_derivative_of_one_s_own():
    step = lambda x: jnp.where(x > 0, 1.0, 0.0)
    ax = viz.activation(step, derivative=lambda x: 0 * x + 2, name="step, straight through")
    assert set(ax.lines[0].get_ydata()) == {0, 1}
    assert set(ax.lines[1].get_ydata()) == {2}
    assert ax.get_title() == "step, straight through"


@pytest.mark.parametrize(
    ("fun", "options", "error", "message"),
    [
        ("relu", {}, TypeError, "expected a function of one number, got 'relu'"),
        (jnp.tanh, {"interval": (1, 1)}, ValueError, r"an interval that grows, got \(1, 1\)"),
        (jnp.tanh, {"interval": 5}, ValueError, r"interval of shape \(2,\), got \(\)"),
        (jax.nn.softmax, {}, ValueError, "an elementwise function.*of one, softmax says: axis -1"),
        (
            lambda x: jnp.stack([x, x]),
            {"derivative": jnp.cos},
            ValueError,
            r"the function of a number of shape \(401,\), got \(401, 2\)",
        ),
    ],
)
def test_bad_input(fun, options, error, message):
    with pytest.raises(error, match=message):
        viz.activation(fun, **options)
