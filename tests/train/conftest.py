"""A small problem that every test here trains on: three classes that can be told apart."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import losses, metrics, nn, optim, train


class Problem(NamedTuple):
    data: tuple
    model: nn.Layer
    loss: train.Loss
    optimizer: optim.GradientTransformation
    state: train.TrainState


@pytest.fixture
def problem(same_problem) -> Problem:
    """With a state of its own, which a test may donate."""
    return same_problem._replace(state=jax.tree.map(jnp.copy, same_problem.state))


@pytest.fixture(scope="session")
def same_problem() -> Problem:
    """The same objects for all tests, so that `fit` need not compile for each."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 50).astype(np.int32)
    x = (np.eye(4)[y] + 0.1 * generator.standard_normal((50, 4))).astype(np.float32)
    model = nn.serial(nn.dense(8), jax.nn.relu, nn.dense(3))
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )
    optimizer = optim.adam(0.02)
    state = train.init(jax.random.key(0), model, optimizer, x)
    return Problem((x, y), model, loss, optimizer, state)
