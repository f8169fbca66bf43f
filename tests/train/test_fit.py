"""`fit`: it learns, reports, repeats itself bit for bit, and loses nothing when things go wrong."""

import re
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import losses, metrics, nn, optim, train

from .test_epoch import assert_same_bits


def fit(problem, **changes):
    arguments = {"epochs": 4, "batch_size": 8, "progress": False} | changes
    data = arguments.pop("data", problem.data)
    state = arguments.pop("state", problem.state)
    optimizer = arguments.pop("optimizer", problem.optimizer)
    loss = arguments.pop("loss", problem.loss)
    return train.fit(loss, optimizer, state, data, **arguments)


def test_it_learns_and_reports(problem):
    state, history = fit(problem, epochs=12, validation=problem.data)
    names = ["epoch", "step", "loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert list(history) == [*names, "seconds"]
    assert all(values.shape == (12,) for values in history.values())
    assert history["epoch"].tolist() == list(range(1, 13))
    assert history["step"].tolist() == list(range(7, 91, 7))
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    assert history["validation_accuracy"][-1] == 1.0
    evaluate = train.make_eval(problem.loss, 50)
    measured = evaluate(state.params, state.state, problem.data)
    assert float(measured["loss"]) == pytest.approx(history["validation_loss"][-1], rel=1e-5)


def test_it_is_the_epochs_one_after_another(problem):
    state, _ = fit(problem, epochs=3)
    epoch = train.make_epoch(train.make_step(problem.loss, problem.optimizer), 8, donate=False)
    by_hand = problem.state
    for _ in range(3):
        by_hand, _ = epoch(by_hand, problem.data)
    assert_same_bits(state, by_hand)


def test_two_runs_are_the_same_bit_for_bit_and_so_is_a_run_continued(problem):
    whole, history = fit(problem, epochs=5)
    again, history_again = fit(problem, epochs=5)
    assert_same_bits(whole, again)
    for name in set(history) - {"seconds"}:
        np.testing.assert_array_equal(history[name], history_again[name])
    part, _ = fit(problem, epochs=2)
    rest, _ = fit(problem, epochs=3, state=part)
    assert_same_bits(whole, rest)


def test_integers_of_numpy_are_integers(problem):
    state, _ = fit(problem, epochs=np.int64(1), batch_size=np.int32(8))
    assert_same_bits(state, fit(problem, epochs=1)[0])


def test_float64_of_numpy_is_what_jax_makes_of_it(problem):
    x, y = problem.data
    wide = np.asarray(x, np.float64), np.asarray(y, np.int64)
    state, _ = fit(problem, epochs=1, data=wide)
    assert_same_bits(state, fit(problem, epochs=1)[0])


@pytest.mark.parametrize("name", ["epochs", "batch_size"])
@pytest.mark.parametrize("value", [1.5, 8.0, True, None, "8"])
def test_counts_that_are_no_integers(problem, name, value):
    with pytest.raises(TypeError, match=f"{name} must be an int, got {value!r}"):
        fit(problem, **{name: value})


def test_the_state_that_it_started_from_stays_valid(problem):
    before = jax.tree.map(jnp.copy, problem.state)
    fit(problem)
    assert_same_bits(before, problem.state)


def test_no_epochs_train_nothing(problem):
    state, history = fit(problem, epochs=0)
    assert_same_bits(state, problem.state)
    assert {name: len(values) for name, values in history.items()} == {
        "epoch": 0,
        "step": 0,
        "loss": 0,
        "seconds": 0,
    }


def test_a_second_fit_compiles_nothing(problem, caplog):
    fit(problem, epochs=1, validation=problem.data)
    with jax.log_compiles():
        fit(problem, epochs=2, validation=problem.data)
        assert "Compiling" not in caplog.text
        fit(problem, epochs=1, batch_size=9)  # the same way, what is compiled is seen
        assert "Compiling jit(epoch)" in caplog.text


# --- what goes wrong while training -------------------------------------------------------------


def test_a_loss_that_turns_nan_stops_training_and_keeps_the_last_finite_state(problem):
    """The data is finite, as `fit` has seen to; the loss of one example is not."""
    x, y = problem.data
    x = x.copy()
    x[17] = 1e37

    def loss(params, state, batch, key):
        value, extra = problem.loss(params, state, batch, key)
        return value + jnp.sum(jnp.where(batch[0] > 1e36, jnp.nan, 0.0)), extra

    with pytest.warns(train.NonFinite, match=r"the loss is nan in epoch 1, step (\d)") as caught:
        state, history = fit(problem, loss=loss, data=(x, y))
    warning = caught[0].message
    assert (warning.epoch, len(history["loss"])) == (1, 0)
    assert_same_bits(warning.state, state)
    assert int(state.step) == warning.step - 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    # the next step from there is indeed the bad one
    epoch_order = train.epoch.order(problem.state, problem.data, 8)
    indices = [*epoch_order[0], epoch_order[1]][warning.step - 1]
    assert 17 in np.asarray(indices)


def test_parameters_that_overflow_stop_training_with_the_epochs_so_far(problem):
    rates = jnp.where(jnp.arange(100) < 16, 1e-3, jnp.inf)  # two epochs and two steps go well

    with pytest.warns(train.NonFinite, match="a parameter is no longer finite in epoch 3, step 3"):
        state, history = fit(
            problem,
            optimizer=(optimizer := optim.sgd(lambda count: rates[count])),
            state=problem.state._replace(opt_state=optimizer.init(problem.state.params)),
        )
    assert history["epoch"].tolist() == [1, 2]
    assert int(state.step) == 16
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_where_warnings_are_errors_nothing_is_lost_either(problem):
    def loss(params, state, batch, key):
        return jnp.log(-jnp.sum(params[0]["bias"] ** 2) - 1), (state, {})

    with pytest.raises(train.NonFinite) as caught:
        fit(problem, loss=loss)
    assert_same_bits(caught.value.state, problem.state)


def test_ctrl_c_returns_what_was_trained_so_far():
    """A real SIGINT to a real process, as soon as its progress bar has counted some epochs."""
    program = """
        import signal
        # where the tests run in the background of a script, their children ignore it
        signal.signal(signal.SIGINT, signal.default_int_handler)
        import jax, numpy as np
        from funcnn import losses, nn, optim, train
        x = np.ones((4000, 8), np.float32)
        data = x, x[:, :1]
        model, optimizer = nn.dense(1), optim.sgd(0.001)
        loss = train.supervised(model, losses.squared_error)
        start = train.init(jax.random.key(0), model, optimizer, x)
        def run(epochs, progress):
            return train.fit(
                loss, optimizer, start, data, epochs=epochs, batch_size=2, progress=progress
            )
        state, history = run(10**6, True)
        completed = len(history["epoch"])
        same, _ = run(completed, False)
        assert int(state.step) == int(same.step) == 2000 * completed > 0
        for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(same.params)):
            np.testing.assert_array_equal(one, other)
        print("returned", completed)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        shown = ""
        while not re.search(r"[1-9]\d*/1000000", shown):
            read = process.stderr.read(1)
            assert read, f"ended too soon: {shown}"
            shown += read
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, shown + err
    assert re.fullmatch(r"returned [1-9]\d*\n", out)
    assert "interrupted: what was trained so far is returned" in err


# --- what is wrong from the beginning -----------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": -3}, "batch_size must be at least 1, got -3"),
        ({"batch_size": 51}, "batch_size 51 is larger than the data"),
        ({"epochs": -1}, "epochs must be at least 0, got -1"),
        ({"data": (np.zeros((0, 4), np.float32), np.zeros(0, np.int32))}, "the data is empty"),
        ({"data": (np.zeros((9, 4), np.float32), np.zeros(8, np.int32))}, "different numbers"),
    ],
)
def test_arguments_that_cannot_be_meant(problem, change, message):
    with pytest.raises(ValueError, match=message):
        fit(problem, **change)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_data_that_is_not_finite_is_named(problem, value):
    x, y = problem.data
    x = x.copy()
    x[7, 2] = value
    with pytest.raises(ValueError, match=rf"data\[0\]\[7, 2\] is {value}, and 1 of 200") as caught:
        fit(problem, data=(x, y))
    assert caught.value.__notes__ == ["while checking the argument 'data'"]
    with pytest.raises(ValueError, match=r"data\[0\]\[7, 2\]") as caught:
        fit(problem, validation=(x, y))
    assert caught.value.__notes__ == ["while checking the argument 'validation'"]


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_named_before_anything_is_trained(problem, label):
    x, y = problem.data
    y = y.copy()
    y[40] = label
    with pytest.raises(ValueError, match=rf"labels\[40\] is {label}, expected 0..2"):
        fit(problem, data=(x, y))


def test_float_labels_are_an_error(problem):
    x, y = problem.data
    with pytest.raises(TypeError, match="float32"):
        fit(problem, data=(x, y.astype(np.float32)))


def test_inputs_of_another_width_name_the_layer_and_both_shapes(problem):
    wide = np.ones((50, 5), np.float32)
    with pytest.raises(ValueError, match=r"\[0\]: .*\(4, 8\).*\(8, 5\)"):
        fit(problem, data=(wide, problem.data[1]))


def test_params_of_another_model_are_an_error(problem):
    other = nn.serial(nn.dense(8), jax.nn.relu, nn.dense(8), jax.nn.relu, nn.dense(3))
    loss = train.supervised(other, losses.softmax_cross_entropy_with_integer_labels)
    with pytest.raises(
        ValueError, match="params with one entry for each of 5 layers, got a tuple of 3"
    ):
        fit(problem, loss=loss)


def test_a_batch_that_is_no_pair_is_an_error(problem):
    with pytest.raises(TypeError, match=r"supervised expects batches \(x, y\)"):
        fit(problem, data={"x": problem.data[0], "y": problem.data[1]})


def test_a_missing_tqdm_is_named_with_its_extra(problem, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"pip install 'funcnn\[progress\]'"):
        fit(problem, progress=True)
    fit(problem, epochs=1, progress=None)  # and is not missed where nobody asked for it


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda p, s, b, k: jnp.float32(1), r"must return \(scalar, \(state, metrics\)\)"),
        (lambda p, s, b, k: (jnp.float32(1), s), r"must return \(scalar, \(state, metrics\)\)"),
        (lambda p, s, b, k: (jnp.ones(2), (s, {})), r"must return \(scalar"),
        (lambda p, s, b, k: (jnp.float32(1), (s, None)), "metrics a dict of scalars"),
        (lambda p, s, b, k: (jnp.float32(1), (s, {"a": {"b": 1.0}})), "metrics a dict of scalars"),
    ],
)
def test_a_loss_that_returns_something_else(problem, loss, message):
    with pytest.raises(TypeError, match=message):
        fit(problem, loss=loss)


@pytest.mark.parametrize("name", ["loss", "step", "epoch", "seconds", "validation_loss"])
def test_a_metric_with_a_name_of_the_history(problem, name):
    with pytest.raises(ValueError, match=f"metrics cannot be named .*{name}"):
        fit(problem, loss=lambda p, s, b, k: (jnp.float32(1), (s, {name: jnp.float32(0)})))


def test_validation_data_that_the_loss_cannot_take_is_found_before_training(problem):
    with pytest.raises(TypeError, match="supervised expects batches") as caught:
        fit(problem, validation={"x": problem.data[0]})
    assert caught.value.__notes__[-1] == "while checking the argument 'validation'"


def test_a_state_that_is_not_finite_is_no_place_to_start(problem):
    params = jax.tree.map(jnp.copy, problem.state.params)
    params[2]["bias"] = params[2]["bias"].at[1].set(jnp.nan)
    with pytest.raises(ValueError, match=r"state.params\[2\]\['bias'\]\[1\] is nan"):
        fit(problem, state=problem.state._replace(params=params))


def test_values_that_jax_s_types_cannot_hold_are_named(problem):
    x, y = problem.data
    large = x.astype(np.float64)
    large[3, 1] = 1e300
    with pytest.raises(ValueError, match=r"data\[0\]\[3, 1\] is 1e\+300, .* in float32"):
        fit(problem, data=(large, y))
    with pytest.raises(ValueError, match="do not fit in int32"):
        fit(problem, data=(x, y.astype(np.int64) + 2**33))


def test_it_cannot_be_traced(problem):
    with pytest.raises(TypeError, match="inside jit, vmap or grad use the function that"):
        jax.jit(lambda state: fit(problem, state=state))(problem.state)


def test_integer_targets_that_are_no_class_numbers_are_left_alone():
    """Two outputs a row and counts as targets: only a loss of class numbers may object."""
    x, counts = np.ones((8, 3), np.float32), np.arange(8, dtype=np.int32)
    model, optimizer = nn.dense(2), optim.sgd(0.001)
    loss = train.supervised(model, lambda h, y: (h[:, 0] - y) ** 2 + h[:, 1] ** 2)
    state = train.init(jax.random.key(0), model, optimizer, x)
    _, history = train.fit(loss, optimizer, state, (x, counts), epochs=1, batch_size=4)
    assert np.isfinite(history["loss"]).all()


def test_a_loss_that_cannot_be_hashed_is_as_good(problem):
    class Unhashable:
        __hash__ = None

        def __call__(self, *args):
            return problem.loss(*args)

    state, _ = fit(problem, loss=Unhashable())
    assert_same_bits(state, fit(problem)[0])


def test_every_stop_is_told_and_not_only_the_first():
    """In a process of its own, with Python's own filters."""
    program = """
        import jax, jax.numpy as jnp
        from funcnn import optim, train
        def loss(params, state, batch, key):
            return jnp.log(-(params**2) - 1), (state, {})
        optimizer, w = optim.sgd(0.1), jnp.float32(0)
        state = train.TrainState(w, (), optimizer.init(w), jax.random.key(0), jnp.int32(0))
        for _ in range(3):
            train.fit(loss, optimizer, state, jnp.zeros(4), epochs=1, batch_size=2)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert ran.stderr.count("NonFinite: the loss is nan in epoch 1, step 1") == 3


# --- what is seen ---------------------------------------------------------------------------------


def test_the_bar_shows_epochs_loss_and_accuracy(problem, capsys):
    fit(problem, epochs=3, validation=problem.data, progress=True)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    for name in ("loss=", "accuracy=", "validation_loss=", "validation_accuracy="):
        assert name in shown


def test_it_is_silent_where_standard_error_is_no_terminal(problem, capfd):
    fit(problem, epochs=2, progress=None)
    fit(problem, epochs=2, progress=False)
    out, err = capfd.readouterr()
    assert out == err == ""


def test_training_needs_no_extra():
    """In a process of its own where nothing but the base dependencies can be imported."""
    program = """
        import sys
        for name in ("tqdm", "matplotlib", "sklearn", "pooch", "orbax"):
            sys.modules[name] = None
        import jax, numpy as np
        from funcnn import losses, nn, optim, train
        x = np.ones((8, 2), np.float32)
        model, optimizer = nn.dense(1), optim.sgd(0.1)
        loss = train.supervised(model, losses.squared_error)
        state = train.init(jax.random.key(0), model, optimizer, x)
        state, history = train.fit(loss, optimizer, state, (x, x[:, :1]), epochs=2, batch_size=4)
        print(len(history["loss"]))
    """
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "2\n", "")


def test_regression_and_metrics_without_classes():
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    model, optimizer = nn.dense(1), optim.sgd(0.3)
    loss = train.supervised(
        model, losses.squared_error, metrics={"worst": lambda h, y: jnp.max(abs(h - y))}
    )
    state = train.init(jax.random.key(0), model, optimizer, x)
    state, history = train.fit(loss, optimizer, state, (x, 2 * x + 1), epochs=60, batch_size=8)
    assert float(state.params["kernel"][0, 0]) == pytest.approx(2, abs=1e-3)
    assert float(state.params["bias"][0]) == pytest.approx(1, abs=1e-3)
    assert history["worst"][-1] < 1e-2
    assert metrics.accuracy(np.eye(2), np.array([0, 1])) == 1
