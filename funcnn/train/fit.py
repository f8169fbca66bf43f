"""`fit`: epochs, validation, history, a progress bar; nothing lost when something goes wrong."""

import functools
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.autodiff import value_and_grad
from funcnn.optim import GradientTransformation
from funcnn.train.data_checks import check_data
from funcnn.train.epoch import make_epoch, make_eval, order, take
from funcnn.train.objective import Loss
from funcnn.train.progress import progress_bar
from funcnn.train.state import TrainState
from funcnn.train.step import make_step

History = dict[str, np.ndarray]


class NonFinite(RuntimeWarning):
    """Training stopped because a loss or a parameter was NaN or infinite.

    Attributes:
      state: the last `TrainState` with finite parameters: the one that the bad step started from.
      history: of the epochs that were completed.
      epoch, step: where it happened; both count from 1, `step` within the epoch.
    """

    def __init__(self, what: str, epoch: int, step: int, state: TrainState, history: History):
        super().__init__(
            f"{what} in epoch {epoch}, step {step}: training stopped. The state before that step "
            "is returned. Usual causes: a learning rate too high, log or sqrt at 0, a division "
            "by 0."
        )
        self.epoch, self.step, self.state, self.history = epoch, step, state, history


def fit(
    loss: Loss,
    optimizer: GradientTransformation,
    state: TrainState,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    validation: Any = None,
    grad: Callable[..., Any] = value_and_grad,
    drop_remainder: bool = False,
    progress: bool | None = None,
) -> tuple[TrainState, History]:
    """Trains for some epochs, each one compiled program.

    The same arguments give the same parameters, bit for bit. A run of 2 epochs continued for 3
    (`fit` called with the state that it returned) is a run of 5.

    Args:
      loss: see `funcnn.train.Loss`, for instance from `supervised`.
      optimizer: funcnn's or optax's.
      state: where to start, from `init` or an earlier `fit`. It stays valid.
      data: a pytree of arrays whose first axis counts examples; for `supervised`, ``(x, y)``. It is
        put on the device once.
      epochs: how often to go through the data.
      batch_size: examples in a step, see `make_epoch`.
      validation: data of the same structure, on which loss and metrics are measured after each
        epoch; None for none.
      grad: the gradient transform, `funcnn.value_and_grad` or `jax.value_and_grad`.
      drop_remainder: see `make_epoch`.
      progress: a bar with loss and metrics on standard error. True needs tqdm; False is silent;
        None shows it where tqdm is installed and standard error is a terminal.

    Returns:
      ``(state, history)``. `history` has arrays with one entry for each epoch completed: "epoch",
      "step" (taken so far, earlier calls included), "loss" and the loss's metrics (means over the
      epoch, each batch measured before its step), "validation_loss" and so on, and "seconds" (of
      wall time; the first epoch's hold the compilation).

      Ctrl-C ends training after the epoch that is running; what was trained is returned. A loss or
      parameter that is not finite ends it too: then a `NonFinite` warning says where, and the
      returned state is the one before that step.

    Raises:
      ValueError: data that is empty, holds NaN or infinities, or has another number of examples in
        each leaf; a batch larger than the data; what `loss.check` objects to.
      ImportError: progress=True without tqdm.

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

    Source: decks A and E, row 40 (training and validation sets).
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"epochs must be an int of at least 0, got {epochs!r}")
    sets = {"data": data} if validation is None else {"data": data, "validation": validation}
    for name, examples in sets.items():
        check_data(name, examples, loss, state)
    data, validation = jax.tree.map(jnp.asarray, (data, validation))
    step, epoch = _compiled(loss, optimizer, grad, batch_size, drop_remainder)
    evaluate = _compiled_eval(loss, batch_size)

    rows: list[dict[str, Any]] = []
    with progress_bar(epochs, progress) as bar:
        try:
            for number in range(1, epochs + 1):
                started = time.perf_counter()
                after, metrics = epoch(state, data)
                if not bool(_all_finite((metrics["loss"], after.params))):
                    bad = _find_bad_step(step, state, data, batch_size)
                    return _stop(bad, number, _as_arrays(rows))
                row: dict[str, Any] = {"epoch": number, "step": int(after.step)}
                row |= _to_host("", metrics)
                if validation is not None:
                    measured = evaluate(after.params, after.state, validation)
                    row |= _to_host("validation_", measured)
                row["seconds"] = time.perf_counter() - started
                rows.append(row)
                state = after  # from here on the epoch counts: an interrupt before takes it back
                bar(row)
        except KeyboardInterrupt:
            rows = [row for row in rows if row["step"] <= int(state.step)]
            bar(None)
    return state, _as_arrays(rows)


@functools.lru_cache(maxsize=16)
def _compiled(loss, optimizer, grad, batch_size, drop_remainder):
    """Step and epoch, made once for the same arguments, so that a second `fit` compiles nothing.

    The state is not donated: the old one is what is returned when an epoch goes wrong.
    """
    step = make_step(loss, optimizer, grad)
    epoch = make_epoch(step, batch_size, drop_remainder=drop_remainder, donate=False)
    return jax.jit(step), epoch


_compiled_eval = functools.lru_cache(maxsize=16)(make_eval)


@jax.jit
def _all_finite(tree: Any) -> jax.Array:
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in leaves]))


def _find_bad_step(step, state: TrainState, data: Any, batch_size: int):
    """Walks through the epoch again, step by step, up to the one that is not finite.

    Costs nothing while all goes well, since an epoch can be had again from the state it began with.
    """
    batches, rest = order(state, data, batch_size)
    for i, indices in enumerate([*batches, rest] if rest.size else [*batches]):
        after, metrics = step(state, take(data, indices))
        if not bool(_all_finite(metrics["loss"])):
            return f"the loss is {metrics['loss']}", i + 1, state
        if not bool(_all_finite(after.params)):
            return "a parameter is no longer finite", i + 1, state
        state = after
    return "the loss is not finite", len(batches), state


def _stop(bad, number: int, history: History) -> tuple[TrainState, History]:
    what, step, state = bad
    warnings.warn(NonFinite(what, number, step, state, history), stacklevel=3)
    return state, history


def _to_host(prefix: str, metrics: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    """The measured values, the loss first (a compiled program returns a dict sorted by name)."""
    names = sorted(metrics, key=lambda name: (name != "loss", name))
    return {prefix + name: np.asarray(metrics[name]) for name in names}


def _as_arrays(rows: list[dict[str, Any]]) -> History:
    names = rows[0] if rows else ("epoch", "step", "loss", "seconds")
    return {name: np.array([row[name] for row in rows]) for name in names}
