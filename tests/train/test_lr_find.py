"""The range test: on a parabola, where the limit is known, and on a network."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import losses, nn, optim, train
from funcnn.train.epoch import order
from train.test_epoch import assert_same_bits

lr_find = importlib.import_module("funcnn.train.lr_find")  # a function hides its module


def on_a_parabola(curvature, **options):
    """ℓ = λ w²/2: gradient descent is stable up to a rate of 2/λ."""

    def loss(params, state, batch, key):
        return 0.5 * curvature * params**2, (state, {})

    w = jnp.float32(1)
    state = train.TrainState(w, (), (), jax.random.key(0), jnp.int32(0))
    data = jnp.zeros(3)
    return train.lr_find(loss, optim.sgd, state, data, batch_size=1, **options)


@pytest.mark.parametrize("curvature", [0.5, 5.0])
def test_the_limit_of_a_parabola(curvature):
    limit = 2 / curvature
    found = on_a_parabola(curvature, low=1e-3 * limit, high=100 * limit, smoothing=0.0)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-3 * limit, 100 * limit, 100))
    finite = np.isfinite(found.losses)
    np.testing.assert_array_equal(found.smoothed, np.where(finite, found.losses, np.nan))
    # each step multiplies w by 1 − λα: the loss falls up to the limit, and grows from there on
    grows = np.diff(found.losses[finite]) > 0
    np.testing.assert_array_equal(grows, found.rates[: len(grows)] > limit)
    expected = 0.5 * curvature * np.cumprod(1 - curvature * found.rates[:-1]) ** 2
    np.testing.assert_allclose(found.losses[1:60], expected[:59], rtol=1e-3)
    lowest = found.rates[found.losses.argmin()]
    assert limit < lowest < limit * 1.13  # the factor from step to step
    assert found.suggestion == lowest / 10
    assert found.losses[found.exploded] > found.losses[0] >= found.losses[found.exploded - 1]

    smooth = on_a_parabola(curvature, low=1e-3 * limit, high=100 * limit)
    assert 0.1 * limit < smooth.suggestion < limit < smooth.rates[smooth.exploded]


def test_the_best_rates_of_a_network_are_between():
    x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    data = x, np.sin(3 * x)
    model = nn.serial(nn.dense(16), jnp.tanh, nn.dense(1))
    loss = train.supervised(model, losses.squared_error)
    state = train.init(jax.random.key(0), model, optim.adam(1.0), x)
    before = jax.tree.map(jnp.copy, state)

    def training_with(make_optimizer):
        @jax.jit
        def loss_after_training(rate):
            optimizer = make_optimizer(rate)
            begin = state._replace(opt_state=optimizer.init(state.params))
            epoch = train.make_epoch(train.make_step(loss, optimizer), 16, donate=False)
            _, metrics = jax.lax.scan(lambda state, _: epoch(state, data), begin, length=15)
            return metrics["loss"][-1]

        return loss_after_training

    for make_optimizer in (lambda rate: optim.sgd(rate, momentum=0.9), optax.adam):
        options = {"batch_size": 16, "low": 1e-4, "high": 100.0}
        found = train.lr_find(loss, make_optimizer, state, data, **options)
        assert_same_bits(before, state)
        assert found.exploded < 80
        loss_after_training = training_with(make_optimizer)
        best = loss_after_training(found.suggestion)
        assert best < 0.3 * loss_after_training(found.suggestion / 100)
        too_much = loss_after_training(found.suggestion * 50)
        assert np.isnan(too_much) or best < 0.3 * too_much


def test_the_examples_come_as_in_training():
    """Every one of them once an epoch, in the order that make_epoch would have."""

    def loss(params, state, batch, key):
        return params * batch[0], (state, {})  # of a w that stays 1, the example

    w = jnp.float32(1)
    state = train.TrainState(w, (), (), jax.random.key(3), jnp.int32(20))
    data = jnp.arange(7.0)
    found = train.lr_find(
        loss, lambda rate: optim.chain(optim.scale(0.0), optim.sgd(rate)), state, data,
        batch_size=1, steps=20,
    )  # fmt: skip
    assert sorted(found.losses[:7]) == sorted(found.losses[7:14]) == list(range(7))
    seen = []
    for step in (20, 27, 34):
        batches, _ = order(state._replace(step=jnp.int32(step)), data, 1)
        seen += batches.ravel().tolist()
    np.testing.assert_array_equal(found.losses, seen[:20])


def test_what_is_said_of_a_curve():
    rates = np.array([0.1, 1.0, 10.0, 100.0])

    def judged(*losses):
        return lr_find.judged(rates, np.array(losses), 0.0)

    assert judged(4, 1, 3, 2).exploded == 4  # never above where it began
    assert judged(4, 5, 3, 6).exploded == 3  # what it was before the lowest does not count
    assert judged(4, 1, np.nan, 0).exploded == 2
    assert np.isnan(judged(4, 1, np.nan, 0).smoothed[3])
    assert judged(-1, -4, -3, 2).suggestion == pytest.approx(0.1)  # losses below 0
    only_worse = judged(1, 2, 3, np.inf)
    assert (only_worse.exploded, np.isnan(only_worse.suggestion)) == (1, True)
    nothing = judged(np.nan, 1, 1, 1)
    assert (nothing.exploded, np.isnan(nothing.suggestion)) == (0, True)

    averages = lr_find.running_average(np.array([1.0, 2.0, 4.0]), 0.5)
    np.testing.assert_allclose(averages, [1, (0.5 + 2) / 1.5, (0.25 + 1 + 4) / 1.75])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0.0}, "expected 0 < low < high < ∞, got low=0.0"),
        ({"low": 2.0}, "expected 0 < low < high < ∞, got low=2.0, high=1.0"),
        ({"high": float("inf")}, "got low=1e-06, high=inf"),
        ({"steps": 1}, "steps must be at least 2, got 1"),
        ({"smoothing": 1.0}, r"smoothing in \[0, 1\), got 1.0"),
        ({"batch_size": 4}, r"batch_size 4 is larger than the data \(3 examples\)"),
    ],
)
def test_bad_input(options, message):
    options = {"batch_size": 1} | options
    state = train.TrainState(jnp.float32(1), (), (), jax.random.key(0), jnp.int32(0))
    with pytest.raises(ValueError, match=message):
        train.lr_find(lambda *_: None, optim.sgd, state, jnp.zeros(3), **options)
