"""Several runs at once: other learning rates, other seeds, as one program."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.autodiff import value_and_grad
from funcnn.optim import GradientTransformation
from funcnn.train.counting import count_examples, whole_number
from funcnn.train.data_checks import check_data
from funcnn.train.epoch import make_epoch, make_eval
from funcnn.train.interruption import interruption
from funcnn.train.objective import Loss, named
from funcnn.train.state import TrainState
from funcnn.train.step import make_step
from funcnn.train.stopping import Measure

Setup = Callable[[Any], tuple[GradientTransformation, TrainState]]


def sweep(
    loss: Loss,
    setup: Setup,
    settings: Any,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    validation: Any = None,
    grad: Callable[..., Any] = value_and_grad,
    drop_remainder: bool = False,
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """Trains one network for each setting, all of them in one compiled program.

    Each run is what `make_epoch` would train from its `setup(setting)`, up to rounding. Runs that
    begin with the same key and step see the examples in the same order: the minibatch is gathered
    once, and its product with the first kernels of all runs is one large matrix product. Runs with
    keys of their own have orders of their own, which is slower. A run that diverges becomes NaN in
    the history, and does not disturb the others.

    Args:
      loss: see `funcnn.train.Loss`.
      setup: ``setup(setting) -> (optimizer, state)``, how a run begins. It is traced, once for all
        runs, so that the numbers in `setting` are not known in it: hyperparameters and seeds may
        depend on them, the choice between optimizers and the shapes of parameters may not.
      settings: a pytree of arrays whose first axis counts runs; `setup` gets one entry of each.
      data: as for `make_epoch`; all runs share it.
      epochs: how often to go through the data.
      batch_size: examples in a step of each run.
      validation: data on which loss and metrics are measured after each epoch; None for none.
      grad: the gradient transform, `funcnn.value_and_grad` or `jax.value_and_grad`.
      drop_remainder: see `make_epoch`.

    Returns:
      ``(states, history)``: a `TrainState` whose leaves all have a first axis of runs (`one_run`
      takes one out), and arrays (epochs, runs): "step", "loss" and the loss's metrics (means over
      the epoch), "validation_loss" and so on; "epoch" and "seconds" are (epochs,). `best_run` says
      which was the best. Ctrl-C ends training after the epoch that is running.

    Raises:
      ValueError: settings without runs, or arrays that differ in their number; data that is empty
        or ragged; a batch larger than the data.
      TypeError: a setting that is no array; a setup that returns something else, or needs to know
        the numbers that it is given.

    Example: which learning rate?

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import losses, nn, optim, train
    >>> x = jnp.linspace(-1, 1, 40)[:, None]
    >>> model = nn.dense(1)
    >>> def setup(rate):
    ...     optimizer = optim.sgd(rate)
    ...     return optimizer, train.init(jax.random.key(0), model, optimizer, x)
    >>> loss = train.supervised(model, losses.squared_error)
    >>> rates = jnp.array([0.001, 0.1, 10.0])
    >>> states, history = train.sweep(
    ...     loss, setup, rates, (x, 2 * x + 1), epochs=30, batch_size=16
    ... )
    >>> history["loss"].shape, train.best_run(train.lowest("loss"), history)
    ((30, 3), 1)
    >>> print(train.one_run(states, 1).step)
    90

    Source: deck E, row 38 (choosing a learning rate).
    """
    epochs = whole_number("epochs", epochs, least=0)
    settings = jax.tree.map(jnp.asarray, checked(settings))
    states = beginnings(setup, settings)
    check_data("data", data, loss, one_run(states, 0), batch_size)
    if validation is not None:
        check_data("validation", validation, loss, one_run(states, 0), batch_size)
    data, validation = jax.tree.map(jnp.asarray, (data, validation))

    epoch = make_epoch_of_runs(loss, setup, states, batch_size, grad, drop_remainder)
    if validation is not None:
        evaluate = make_eval(loss, min(batch_size, count_examples(validation)))
        evaluate = jax.jit(jax.vmap(evaluate, in_axes=(0, 0, None)))

    rows: list[dict[str, np.ndarray]] = []
    with interruption() as interrupted:
        for number in range(1, epochs + 1):
            started = time.perf_counter()
            states, metrics = epoch(settings, states, data)
            # the loss first: a compiled program returns a dict sorted by name
            row = {"epoch": number, "step": states.step, "loss": metrics["loss"], **metrics}
            if validation is not None:
                measured = evaluate(states.params, states.state, validation)
                measured = {"loss": measured["loss"], **measured}
                row |= {f"validation_{name}": value for name, value in measured.items()}
            rows.append({name: np.asarray(value) for name, value in row.items()})
            rows[-1]["seconds"] = np.asarray(time.perf_counter() - started)
            if interrupted():
                break
    columns = tuple(rows[0]) if rows else ("epoch", "step", "loss", "seconds")
    return states, {name: np.array([row[name] for row in rows]) for name in columns}


def one_run(states: TrainState, run: int) -> TrainState:
    """The state of one run of a `sweep`, to go on with: `fit` and `make_epoch` take it."""
    return jax.tree.map(lambda leaf: leaf[run], states)


def best_run(measure: Measure, history: Mapping[str, Any]) -> int:
    """Which run of a `sweep` was the best at its end: the first of equal ones, never one of NaN.

    Args:
      measure: `lowest("validation_loss")`, for instance.
      history: from `sweep`.

    Raises:
      ValueError: the history has no such column or no epochs, or all runs have diverged.

    >>> import numpy as np
    >>> from funcnn import train
    >>> history = {"loss": np.array([[3.0, 1.0, 2.0], [np.nan, 1.5, 0.5]])}
    >>> best_run(train.lowest("loss"), history)
    2
    """
    if measure.name not in history:
        listed = ", ".join(history)
        raise ValueError(f"the history has no column {measure.name!r}: it has {listed}")
    column = np.asarray(history[measure.name], np.float64)
    if column.ndim != 2 or not column.size:
        raise ValueError(
            f"expected a column of shape (epochs, runs), got {measure.name!r} of {column.shape}"
        )
    values = measure.sign * column[-1]
    if np.isnan(values).all():
        raise ValueError(f"{measure.name!r} is NaN in all {len(values)} runs: all have diverged")
    return int(np.nanargmin(values))


def checked(settings: Any) -> Any:
    """The settings, if they are arrays with the same number of runs."""
    counts = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(settings):
        name = f"settings{jax.tree_util.keystr(path)}"
        if not np.shape(leaf):
            raise TypeError(
                f"{name} is {leaf!r}, expected an array whose first axis counts runs: "
                "jnp.array makes one of a list"
            )
        counts[name] = np.shape(leaf)[0]
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise ValueError(f"the settings hold different numbers of runs: {listed}")
    if 0 in counts.values() or not counts:
        raise ValueError("the settings have no runs")
    return settings


def beginnings(setup: Setup, settings: Any) -> TrainState:
    """The states that the runs begin with, stacked; of no weak type, as an epoch returns them."""

    def state_of(setting):
        made = setup(setting)
        if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], TrainState)):
            raise TypeError(
                f"setup must return (optimizer, state), a TrainState as of train.init; got "
                f"{jax.tree.structure(made)}"
            )
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), made[1])

    try:
        return jax.jit(jax.vmap(state_of))(settings)
    except Exception as error:
        error.add_note(
            "in the setup of train.sweep, which is traced: the numbers in its setting are not "
            "known there, so that nothing static (a shape, an int, an if) can depend on them"
        )
        raise


def in_step(states: TrainState) -> bool:
    """Whether all runs begin with the same key and step: then they draw the same order."""
    keys = np.asarray(jax.random.key_data(states.key))
    return bool((keys == keys[0]).all() and (states.step == states.step[0]).all())


def make_epoch_of_runs(
    loss: Loss,
    setup: Setup,
    states: TrainState,
    batch_size: int,
    grad: Callable[..., Any] = value_and_grad,
    drop_remainder: bool = False,
) -> Callable[[Any, TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]:
    """``epoch(settings, states, data) -> (states, metrics)``, compiled, for runs that begin so."""

    make = make_epoch_in_step if in_step(states) else make_epoch_apart
    return make(loss, setup, grad, batch_size, drop_remainder)


def make_epoch_in_step(loss, setup, grad, batch_size, drop_remainder):
    """For runs in step: they are trained as one, whose loss is the sum of theirs.

    Within the epoch the axis of runs stands before the last one, so that kernels (in, runs, out)
    are one large kernel (in, runs · out) without being copied. Key and step have none.
    """

    @jax.jit
    def epoch(settings, states, data):
        axes = jax.tree.map(lambda leaf: max(leaf.ndim - 2, 0), states)
        axes = axes._replace(key=None, step=None)

        def loss_of_all(params, state, batch, key):
            each, (state, metrics) = jax.vmap(
                loss, in_axes=(axes.params, axes.state, None, None), out_axes=(0, (axes.state, 0))
            )(params, state, batch, key)
            return each.sum(), (state, {"of each": named(each, metrics)})

        def init_of_all(params):
            init = lambda setting, params: setup(setting)[0].init(params)
            return jax.vmap(init, (0, axes.params), axes.opt_state)(settings, params)

        def update_of_all(*gradients_opt_state_params):
            return jax.vmap(
                lambda setting, *rest: setup(setting)[0].update(*rest),
                in_axes=(0, axes.params, axes.opt_state, axes.params),
                out_axes=(axes.params, axes.opt_state),
            )(settings, *gradients_opt_state_params)

        optimizer = GradientTransformation(init_of_all, update_of_all)
        step = make_step(loss_of_all, optimizer, grad)

        def step_of_all(state, batch):
            state, metrics = step(state, batch)
            return state, metrics["of each"]

        run = make_epoch(step_of_all, batch_size, drop_remainder=drop_remainder, donate=False)
        shared = states._replace(key=states.key[0], step=states.step[0])
        after, metrics = run(with_axes_moved(shared, 0, axes), data)
        steps = jnp.broadcast_to(after.step, states.step.shape)
        after = with_axes_moved(after, axes, 0)
        return after._replace(key=states.key, step=steps), metrics

    return epoch


def with_axes_moved(state: TrainState, source: Any, destination: Any) -> TrainState:
    """Each leaf's axis moved; one of the two is a tree of axes, None for what has none."""
    axes, back = (destination, False) if source == 0 else (source, True)

    def moved(axis, leaf):
        if axis is None:
            return leaf
        return jnp.moveaxis(leaf, axis, 0) if back else jnp.moveaxis(leaf, 0, axis)

    return jax.tree.map(moved, axes, state, is_leaf=lambda axis: axis is None)


def make_epoch_apart(loss, setup, grad, batch_size, drop_remainder):
    """For runs that each have an order of their own."""

    def epoch_of_one(setting, state, data):
        step = make_step(loss, setup(setting)[0], grad)
        run = make_epoch(step, batch_size, drop_remainder=drop_remainder, donate=False)
        return run(state, data)

    return jax.jit(jax.vmap(epoch_of_one, in_axes=(0, 0, None)))
