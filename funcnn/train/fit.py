"""`fit`: epochs, validation, history, a progress bar; nothing lost when something goes wrong."""

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from funcnn.autodiff import value_and_grad
from funcnn.optim import GradientTransformation
from funcnn.train.counting import count_examples, whole_number
from funcnn.train.data_checks import check_data, check_state
from funcnn.train.engine import START, Between, Engine, Halted, Outcome
from funcnn.train.failures import BadSource, NonFinite, TrainingFailed, out_of_memory
from funcnn.train.history import History, Row, as_arrays, log_writer
from funcnn.train.interruption import interruption
from funcnn.train.objective import Loss
from funcnn.train.partition import Partition
from funcnn.train.placement import placement
from funcnn.train.progress import progress_bar
from funcnn.train.resident import evaluation, resident
from funcnn.train.saving import Run, saving
from funcnn.train.state import TrainState
from funcnn.train.stopping import Measure, Stop, best_epoch, first_reason
from funcnn.train.streamed import is_source, streamed, streamed_evaluation


def fit(
    loss: Loss,
    optimizer: GradientTransformation,
    state: TrainState,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None = None,
    validation: Any = None,
    test: Any = None,
    grad: Callable[..., Any] = value_and_grad,
    drop_remainder: bool = False,
    steps_per_epoch: int | None = None,
    stop: Stop | Sequence[Stop] | None = None,
    keep: Measure | None = None,
    measured_params: Callable[[TrainState], Any] = lambda state: state.params,
    checkpoints: Any = None,
    resume: bool = False,
    log: str | os.PathLike[str] | None = None,
    mesh: Mesh | None = None,
    partition: Partition | None = None,
    progress: bool | None = None,
) -> tuple[TrainState, History]:
    """Trains for some epochs.

    Of arrays that fit on the device, each epoch is one compiled program. Batches that a source
    yields are taken one by one, while the next ones are drawn in another thread.

    The same arguments give the same parameters, bit for bit. A run of 2 epochs continued for 3
    (`fit` called with the state that it returned) is a run of 5; and so is one of 5 that was killed
    and resumed from its checkpoints.

    Args:
      loss: ``loss(params, state, batch, key) -> (scalar, (state, metrics))``, for instance from
        `supervised`; `key` is None in validation. A pure function: what it reads from outside is
        read when it is compiled, and kept.
      optimizer: funcnn's or optax's.
      state: where to start, from `init` or an earlier `fit`. It stays valid, so that memory is
        needed for two; `make_epoch` needs one.
      data: a pytree of arrays whose first axis counts examples; for `supervised`, ``(x, y)``. It is
        put on the device once (on each device of a mesh). Or a source of batches: a function from
        the number of the epoch (from 1) to an iterable of batches, as `funcnn.data.batches` makes
        of arrays and memory maps; or anything that can be iterated anew each epoch, such as a
        loader of `grain`. Then `batch_size` is left out, and the history's means weigh each batch
        by its examples.
      epochs: how often to go through the data, those before a resumption included.
      batch_size: examples in a step, see `make_epoch`.
      validation: data of the same structure, arrays or a source, on which loss and metrics are
        measured after each epoch; None for none.
      test: the same, measured once at the end with the parameters that are returned.
      grad: the gradient transform, `funcnn.value_and_grad` or `jax.value_and_grad`; or
        `accumulated` of one of them.
      drop_remainder: see `make_epoch`; a source drops what it wants to.
      steps_per_epoch: of a source that does not end, or ends elsewhere.
      stop: when to end before the last epoch, see `early_stopping` and `reached`; any function of
        the history that returns a reason (or None to go on), or several.
      keep: return the state of the epoch that was the best by this measure, for instance
        ``train.lowest("validation_loss")``, instead of the last one.
      measured_params: which parameters are validated and tested, given the state; for instance
        averaged ones, ``lambda state: state.opt_state[-1].average`` of `funcnn.optim.params_ema`.
      checkpoints: a folder, or `Checkpoints(folder, ...)`, where the run is saved as it goes, at
        its end, and when it fails. Needs the extra "checkpoints".
      resume: go on from the newest of the checkpoints; start anew where there is none. Needs the
        same arguments as before; `epochs` may be larger.
      log: a file to which the history is added as it comes, as JSON Lines; see `read_history`. What
        a resumed run repeats is written once.
      mesh: `jax.make_mesh((8,), ("data",))`, say: the examples of each minibatch are divided among
        its devices, see `Partition`. The numbers are those of one device, up to rounding.
      partition: how, where it is another way; and which parameters are divided.
      progress: a bar with loss and metrics on the standard error of the first process. True needs
        tqdm (say so in a notebook); False is silent; None shows it where tqdm is installed and
        standard error is a terminal.

    Returns:
      ``(state, history)``. `history` has arrays with one entry for each epoch completed: "epoch",
      "step" (taken so far, earlier calls included), "loss" and the loss's metrics (means over the
      epoch, each batch measured before its step), "validation_loss" and so on, and "seconds" (of
      wall time; the first epoch's hold the compilation). With `test`, "test_loss" and so on are
      scalars.

      Ctrl-C ends training after the epoch that is running (after the batch, of a source); what was
      trained is returned. (A second one raises KeyboardInterrupt at once.) A loss or
      parameter that is not finite ends it too: then a `NonFinite` warning says where, and of arrays
      which line of the program made it so; the returned state is the one before that step.

    Raises:
      ValueError: data that is empty, holds NaN or infinities (for what is missing, take zeros and a
        mask), or has another number of examples in each leaf; a batch larger than the data; a state
        that is not finite; what `loss.check` objects to; a mesh that does not divide the batch.
      TypeError: a loss that returns something else; labels of a dtype that the loss does not take.
      ImportError: progress=True without tqdm; checkpoints without orbax-checkpoint.
      TrainingFailed: while training, the data source raised an error, ended too early or yielded
        something else than before; memory did not suffice; `stop` raised an error. It has the last
        good state and the history.

    Example:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import losses, nn, optim, train
    >>> x = jnp.linspace(-1, 1, 40)[:, None]
    >>> data = x, 2 * x + 1
    >>> model, optimizer = nn.dense(1), optim.sgd(0.1)
    >>> loss = train.supervised(model, losses.squared_error)
    >>> state = train.init(jax.random.key(0), model, optimizer, x)
    >>> state, history = train.fit(
    ...     loss, optimizer, state, data, epochs=30, batch_size=16, validation=data
    ... )
    >>> print(history["loss"].shape, history["validation_loss"][-1] < 1e-3)
    (30,) True

    Source: decks A and E, row 40 (training and validation sets), row 18 (early stopping).
    """
    epochs = whole_number("epochs", epochs, least=0)
    check_state(state)
    where = placement(mesh, partition, state, batch_size)
    how = loss, optimizer, grad, state
    engine = _engine(*how, data, batch_size, drop_remainder, steps_per_epoch, where)
    for name, held_out in (("validation", validation), ("test", test)):
        if held_out is not None:
            engine.evaluate[name] = _evaluation(loss, state, name, held_out, batch_size, where)

    def measured(name: str, state: TrainState, number: int) -> Row:
        if name not in engine.evaluate:
            return {}
        values = engine.evaluate[name](measured_params(state), state.state, number)
        return {f"{name}_{key}": value for key, value in values.items()}

    with contextlib.ExitStack() as stack:
        saves = stack.enter_context(saving(checkpoints, resume, engine.state))
        run = saves.found or Run(engine.state)
        write = log_writer(log, int(run.state.step), saves.found is not None)
        interrupted = stack.enter_context(interruption())
        shown = progress if jax.process_index() == 0 else False
        bar = stack.enter_context(progress_bar(epochs, len(run.rows), shown))
        between = Between(
            stop=interrupted,
            due=lambda batches: saves.due(len(run.rows), batches),
            save=lambda state, at: saves.save(run._replace(state=state, position=at)),
            show=bar.batch,
        )
        bad: Outcome | None = None
        try:
            reason = first_reason(stop, as_arrays(run.rows)) if run.rows else None
            while len(run.rows) < epochs and not (reason or interrupted()):
                number, started = len(run.rows) + 1, time.perf_counter()
                outcome = engine.epoch(run.state, number, run.position, between)
                run = run._replace(state=outcome.state, position=outcome.position)
                if outcome.row is None:
                    bad = outcome if outcome.bad else None
                    break
                row: Row = {"epoch": number, "step": int(run.state.step), **outcome.row}
                row |= measured("validation", run.state, number)
                row["seconds"] = time.perf_counter() - started
                run = run._replace(rows=(*run.rows, row), position=START)
                history = as_arrays(run.rows)
                if keep is not None and best_epoch(keep, history) == len(run.rows) - 1:
                    run = run._replace(kept=jax.tree.map(jnp.copy, run.state))
                write(row)
                bar.epoch(row)
                reason = first_reason(stop, history)
                if saves.due(number, 0):
                    saves.save(run)
        except Exception as error:
            if isinstance(error, Halted):
                run = run._replace(state=error.state, position=error.position)
                saves.save(run)
            elif not run.rows and not out_of_memory(error):
                raise  # nothing to lose, and no doubt about where it comes from
            raise _failed(error, run, engine, state) from (error.__cause__ or error)
        history = as_arrays(run.rows)
        if bad is not None and bad.bad is not None:
            origin = bad.explain() if bad.explain is not None else None
            at = len(run.rows) + 1, bad.bad_step
            stopped = NonFinite(bad.bad, *at, run.state, history, origin)
            warnings.warn(stopped, stacklevel=2)
        else:
            saves.save(run)
        if interrupted():
            bar.interrupted()
        elif reason:
            bar.say(f"{reason}: training ended after epoch {len(run.rows)}")
        final = run.state if run.kept is None else run.kept
        if once := measured("test", final, len(run.rows)):
            history |= {name: np.array(value) for name, value in once.items()}
            write(once)
    return final, history


def _engine(
    loss, optimizer, grad, state, data, batch_size, drop_remainder, steps_per_epoch, where
) -> Engine:
    """For arrays or for a source, whichever the data is; raises for what the loss cannot take."""
    if is_source(data):
        if batch_size is not None:
            raise ValueError(
                f"data is a {type(data).__name__}, from which whole batches are drawn: leave out "
                "batch_size"
            )
        if steps_per_epoch is not None:
            steps_per_epoch = whole_number("steps_per_epoch", steps_per_epoch, least=1)
        check = _checked("data", loss, state)
        return streamed(loss, optimizer, grad, state, data, steps_per_epoch, check, where)
    if steps_per_epoch is not None:
        raise ValueError("steps_per_epoch is for a source of batches, and data is arrays")
    batch_size = whole_number("batch_size", batch_size, least=1)
    check_data("data", data, loss, state, batch_size)
    return resident(loss, optimizer, grad, state, data, batch_size, drop_remainder, where)


def _evaluation(loss, state, name, data, batch_size, where) -> Callable[[Any, Any, int], Row]:
    if is_source(data):
        return streamed_evaluation(loss, name, data, _checked(name, loss, state), where)
    size = min(count_examples(data), _EVALUATED) if batch_size is None else batch_size
    check_data(name, data, loss, state, size)
    return evaluation(loss, data, size, where)


_EVALUATED = 256  # examples looked at together, where the batches of the training are not known


def _checked(name: str, loss: Loss, state: TrainState) -> Callable[[Any], None]:
    """Checks the first batch of a source as all of the data is checked where there is all of it."""
    return lambda batch: check_data(name, batch, loss, state, count_examples(batch))


def _failed(error: Exception, run: Run, engine: Engine, start: TrainState) -> TrainingFailed:
    what = str(error)
    if out_of_memory(error):
        what = f"{engine.memory()}. {what}"
    elif not isinstance(error, (Halted, BadSource)):
        what = f"{type(error).__name__} in epoch {len(run.rows) + 1}: {what}"
    # a step of a stream that fails takes the state with it, which it was to write over
    lost = any(leaf.is_deleted() for leaf in jax.tree.leaves(run.state))
    return TrainingFailed(what, start if lost else run.state, as_arrays(run.rows))
