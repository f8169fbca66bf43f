"""A loss that turns NaN: `fit` says in which line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import losses, nn, optim, train

X = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]


def distance(outputs, y):
    error = losses.squared_error(outputs, y)
    return jnp.sqrt(error)  # HERE


def line_of(function, offset):
    return function.__code__.co_firstlineno + offset


def start(optimizer):
    params = {"bias": jnp.zeros(1), "kernel": jnp.ones((1, 1))}
    return train.TrainState(
        params, (), optimizer.init(params), jax.random.key(0), jnp.zeros((), jnp.int32)
    )


def fit(loss, optimizer, data=(X, X), **options):
    with pytest.warns(train.NonFinite) as caught:
        state, _ = train.fit(
            loss, optimizer, start(optimizer), data, epochs=1, progress=False, **options
        )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    return caught[0].message


def test_the_line_that_made_the_gradient_infinite():
    warning = fit(train.supervised(nn.dense(1), distance), optim.sgd(0.1), batch_size=4)
    origin = warning.origin
    assert (origin.where, origin.primitive) == ("gradient", "sqrt")
    assert (origin.place.file, origin.place.line) == (__file__, line_of(distance, 2))
    assert "a parameter is no longer finite in epoch 1, step 1" in str(warning)
    assert "return jnp.sqrt(error)  # HERE" in str(warning)
    assert "the gradient of params['" in str(warning)
    assert "Usual causes" not in str(warning)


def test_the_optimizer_when_the_gradient_is_finite():
    def update(updates, state, params=None):
        return jax.tree.map(lambda g: -g / jnp.sum(g * 0), updates), state  # HERE

    optimizer = optim.GradientTransformation(lambda params: (), update)
    loss = train.supervised(nn.dense(1), losses.squared_error)
    origin = fit(loss, optimizer, (X, X + 1), batch_size=4).origin
    assert (origin.primitive, origin.place.line) == ("div", line_of(update, 1))


def test_an_infinite_learning_rate():
    loss = train.supervised(nn.dense(1), losses.squared_error)
    origin = fit(
        loss, optim.sgd(lambda count: jnp.where(count < 1, 0.1, jnp.inf)), (X, X + 1), batch_size=4
    ).origin
    assert (origin.where, origin.source) == ("given", "a constant")


def test_what_cannot_be_explained_is_said_all_the_same():
    """The loss can be traced as often as training needs, and not once more to be looked into."""

    def fit_of_loss(limit):
        traced = []

        def loss(params, state, batch, key):
            traced.append(1)
            if len(traced) > limit:
                raise RuntimeError("not again")
            return jnp.log(-jnp.sum(params["kernel"] ** 2)), (state, {})

        return fit(loss, optim.sgd(0.1), batch_size=8), len(traced)

    explained, count = fit_of_loss(np.inf)
    assert explained.origin.primitive == "log"
    warning, _ = fit_of_loss(count - 1)
    assert warning.origin is None
    assert "the loss is nan in epoch 1, step 1" in str(warning)
    assert "Usual causes" in str(warning)


def test_a_stream_cannot_be_gone_through_again():
    loss = train.supervised(nn.dense(1), distance)
    warning = fit(loss, optim.sgd(0.1), lambda epoch: [(X, X)])
    assert warning.origin is None
    assert "Usual causes" in str(warning)
