"""Runs in one program are the runs one by one, and do not disturb one another."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import losses, nn, optim, train

sweep = importlib.import_module("funcnn.train.sweep")  # a function hides its module


def one_by_one(problem, setup, settings, epochs, batch_size, **options):
    """What `sweep` returns, by `make_epoch` for each setting."""

    @jax.jit
    def epoch(setting, state):
        step = train.make_step(problem.loss, setup(setting)[0])
        return train.make_epoch(step, batch_size, donate=False, **options)(state, problem.data)

    evaluate = train.make_eval(problem.loss, batch_size)
    runs = []
    for i in range(len(jax.tree.leaves(settings)[0])):
        setting = jax.tree.map(lambda leaf, i=i: leaf[i], settings)
        state, rows = setup(setting)[1], []
        for _ in range(epochs):
            state, metrics = epoch(setting, state)
            held_out = evaluate(state.params, state.state, problem.data)
            rows.append({**metrics, **{f"validation_{k}": v for k, v in held_out.items()}})
        runs.append((state, {name: [float(row[name]) for row in rows] for name in rows[0]}))
    return runs


def assert_same_runs(states, history, runs):
    for i, (state, curves) in enumerate(runs):
        mine = train.one_run(states, i)
        assert jax.tree.structure(mine) == jax.tree.structure(state)
        for one, other in zip(
            jax.tree.leaves((mine.params, mine.state, mine.opt_state)),
            jax.tree.leaves((state.params, state.state, state.opt_state)),
            strict=True,
        ):
            assert one.shape == other.shape
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
        assert int(mine.step) == int(state.step)
        assert (jax.random.key_data(mine.key) == jax.random.key_data(state.key)).all()
        for name in curves.keys() & history.keys():
            np.testing.assert_allclose(history[name][:, i], curves[name], rtol=1e-3, atol=1e-4)


def test_learning_rates_are_the_runs_one_by_one(problem):
    def setup(setting):
        optimizer = optim.sgd(setting["rate"], momentum=setting["momentum"])
        x = problem.data[0]
        return optimizer, train.init(jax.random.key(3), problem.model, optimizer, x)

    # the last one diverges, and disturbs no other
    settings = {"rate": np.array([0.01, 0.3, 1e30]), "momentum": np.array([0.9, 0.0, 0.5])}
    options = {"epochs": 3, "batch_size": 16}
    states, history = train.sweep(
        problem.loss, setup, settings, problem.data, validation=problem.data, **options
    )
    assert_same_runs(states, history, one_by_one(problem, setup, settings, **options))
    assert list(history) == [
        *("epoch", "step", "loss", "accuracy", "validation_loss", "validation_accuracy"),
        "seconds",
    ]
    assert {history[name].shape for name in history} == {(3,), (3, 3)}
    np.testing.assert_array_equal(history["epoch"], [1, 2, 3])
    np.testing.assert_array_equal(history["step"][:, 0], [4, 8, 12])
    assert np.isnan(history["loss"][-1]).tolist() == [False, False, True]
    assert train.best_run(train.lowest("validation_loss"), history) == 1


def test_seeds_are_the_runs_one_by_one(problem):
    """With keys, orders, dropout and batch statistics of their own; and with optax."""
    model = nn.serial(
        nn.dense(8, use_bias=False), nn.batch_norm(), jax.nn.relu, nn.dropout(0.3), nn.dense(3)
    )
    loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    problem = problem._replace(loss=loss)

    def setup(seed):
        optimizer = optax.adam(0.02)
        key = jax.random.key(seed)
        return optimizer, train.init(key, model, optimizer, problem.data[0])

    options = {"epochs": 2, "batch_size": 16, "drop_remainder": True}
    seeds = np.array([5, 6])
    states, history = train.sweep(loss, setup, seeds, problem.data, **options)
    assert_same_runs(states, history, one_by_one(problem, setup, seeds, **options))
    assert not np.allclose(history["loss"][:, 0], history["loss"][:, 1])


def of_rates(problem, traced=None):
    def setup(rate):
        if traced is not None:
            traced.append(1)
        optimizer = optim.sgd(rate)
        return optimizer, train.init(jax.random.key(0), problem.model, optimizer, problem.data[0])

    return setup


def test_the_best_run_is_none_that_diverged():
    last = np.array([[0.5, np.nan, 0.2, 0.2]])
    history = {"loss": np.concatenate([np.zeros((1, 4)), last])}
    assert train.best_run(train.lowest("loss"), history) == 2
    assert train.best_run(train.highest("loss"), history) == 0
    with pytest.raises(ValueError, match="the history has no column 'no': it has loss"):
        train.best_run(train.lowest("no"), history)
    with pytest.raises(ValueError, match="'loss' is NaN in all 2 runs"):
        train.best_run(train.lowest("loss"), {"loss": np.full((3, 2), np.nan)})


def test_runs_in_step_share_the_minibatch(problem):
    """One gather of (batch, features) a step, and products of it with the kernels of all runs."""
    rates = jnp.array([0.1, 0.2, 0.3, 0.4, 0.5])
    states = sweep.beginnings(of_rates(problem), rates)
    assert sweep.in_step(states)
    epoch = sweep.make_epoch_of_runs(problem.loss, of_rates(problem), states, 10)
    text = epoch.lower(rates, states, problem.data).as_text()
    assert "tensor<10x4xf32>" in text
    for gathered_by_run in ("tensor<5x10x4xf32>", "tensor<10x5x4xf32>"):
        assert gathered_by_run not in text
    for product in ("tensor<10x5x8xf32>", "tensor<4x5x8xf32>"):  # XW of all runs; kernels (in, …)
        assert product in text

    apart = states._replace(key=jax.random.split(jax.random.key(0), 5))
    assert not sweep.in_step(apart)
    assert not sweep.in_step(states._replace(step=jnp.arange(5, dtype=jnp.int32)))


def test_all_epochs_are_one_program(problem):
    traced, rates = [], jnp.array([0.1, 0.2])
    setup = of_rates(problem, traced)
    states = sweep.beginnings(setup, rates)
    epoch = sweep.make_epoch_of_runs(problem.loss, setup, states, 10)
    states, _ = epoch(rates, states, problem.data)
    after_first = len(traced)
    for _ in range(3):
        states, _ = epoch(rates, states, problem.data)
    assert len(traced) == after_first
    assert states.step.tolist() == [20, 20]


def test_no_epochs(problem):
    states, history = train.sweep(
        problem.loss, of_rates(problem), jnp.array([0.1]), problem.data, epochs=0, batch_size=10
    )
    assert states.step.tolist() == [0]
    assert history["loss"].shape == (0,)
    with pytest.raises(ValueError, match=r"shape \(epochs, runs\), got 'loss' of \(0,\)"):
        train.best_run(train.lowest("loss"), history)


def test_bad_settings(problem):
    def run(settings, setup=None, **options):
        options = {"epochs": 1, "batch_size": 10} | options
        setup = setup or of_rates(problem)
        return train.sweep(problem.loss, setup, settings, problem.data, **options)

    with pytest.raises(TypeError, match=r"settings\['rate'\] is 0.1, expected an array whose"):
        run({"rate": 0.1})
    with pytest.raises(TypeError, match=r"settings\[0\] is 0.1, expected an array"):
        run([0.1, 0.2])
    with pytest.raises(ValueError, match=r"numbers of runs: settings\[0\] has 2, settings"):
        run((jnp.ones(2), jnp.ones(3)))
    for nothing in (jnp.ones(0), ()):
        with pytest.raises(ValueError, match="the settings have no runs"):
            run(nothing)
    with pytest.raises(TypeError, match=r"must return \(optimizer, state\), a TrainState"):
        run(jnp.ones(2), lambda rate: optim.sgd(rate))

    def static(width):
        return of_rates(problem)(0.1 if width > 3 else 0.2)

    with pytest.raises(jax.errors.TracerBoolConversionError) as error:
        run(jnp.ones(2), static)
    assert "the numbers in its setting are not known" in error.value.__notes__[-1]
    with pytest.raises(ValueError, match="batch_size 51 is larger than the data"):
        run(jnp.ones(2), batch_size=51)
