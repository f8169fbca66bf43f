"""`fit`: epochs, validation, history, a progress bar; nothing lost when something goes wrong."""

import functools
import itertools
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.autodiff import value_and_grad
from funcnn.optim import GradientTransformation
from funcnn.train.counting import whole_number
from funcnn.train.data_checks import check_data, check_state
from funcnn.train.epoch import make_epoch, make_eval, order, take
from funcnn.train.interruption import interruption
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

    It is shown each time, and not only the first time as most warnings are.
    """

    def __init__(
        self, what: str, epoch: int, step: int | None, state: TrainState, history: History
    ):
        where = f"in epoch {epoch}" + ("" if step is None else f", step {step}")
        super().__init__(
            f"{what} {where}: training stopped, and the state before is returned. Usual causes: a "
            "learning rate too high, log or sqrt at 0, a division by 0."
        )
        self.epoch, self.step, self.state, self.history = epoch, step, state, history


# at the end of the filters, so that those of the user still come first
warnings.simplefilter("always", NonFinite, append=True)


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
      loss: ``loss(params, state, batch, key) -> (scalar, (state, metrics))``, for instance from
        `supervised`; `key` is None in validation. A pure function: what it reads from outside is
        read when it is compiled, and kept.
      optimizer: funcnn's or optax's.
      state: where to start, from `init` or an earlier `fit`. It stays valid, so that memory is
        needed for two; `make_epoch` needs one.
      data: a pytree of arrays whose first axis counts examples; for `supervised`, ``(x, y)``. It is
        put on the device once.
      epochs: how often to go through the data.
      batch_size: examples in a step, see `make_epoch`.
      validation: data of the same structure, on which loss and metrics are measured after each
        epoch; None for none.
      grad: the gradient transform, `funcnn.value_and_grad` or `jax.value_and_grad`.
      drop_remainder: see `make_epoch`.
      progress: a bar with loss and metrics on standard error. True needs tqdm (say so in a
        notebook); False is silent; None shows it where tqdm is installed and standard error is a
        terminal.

    Returns:
      ``(state, history)``. `history` has arrays with one entry for each epoch completed: "epoch",
      "step" (taken so far, earlier calls included), "loss" and the loss's metrics (means over the
      epoch, each batch measured before its step), "validation_loss" and so on, and "seconds" (of
      wall time; the first epoch's hold the compilation).

      Ctrl-C ends training after the epoch that is running; what was trained is returned. (A second
      one raises KeyboardInterrupt at once.) A loss or
      parameter that is not finite ends it too: then a `NonFinite` warning says where, and the
      returned state is the one before that step.

    Raises:
      ValueError: data that is empty, holds NaN or infinities (for what is missing, take zeros and a
        mask), or has another number of examples in each leaf; a batch larger than the data; a state
        that is not finite; what `loss.check` objects to.
      TypeError: a loss that returns something else; labels of a dtype that the loss does not take.
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
    epochs = whole_number("epochs", epochs, least=0)
    batch_size = whole_number("batch_size", batch_size, least=1)
    check_state(state)
    check_data("data", data, loss, state, batch_size)
    if validation is not None:
        check_data("validation", validation, loss, state, batch_size)
    data, validation = jax.tree.map(jnp.asarray, (data, validation))
    state = _settled(state, data)
    step, epoch, evaluate = _compiled(loss, optimizer, grad, batch_size, drop_remainder)

    rows: list[dict[str, Any]] = []
    with progress_bar(epochs, progress) as bar, interruption() as interrupted:
        for number in range(1, epochs + 1):
            started = time.perf_counter()
            after, metrics = epoch(state, data)
            if not bool(_all_finite((metrics["loss"], after.params, after.state))):
                what, bad_step, state = _find_bad_step(
                    step, state, data, batch_size, drop_remainder
                )
                history = _as_arrays(rows)
                warnings.warn(NonFinite(what, number, bad_step, state, history), stacklevel=2)
                return state, history
            row: dict[str, Any] = {"epoch": number, "step": int(after.step)}
            row |= _to_host("", metrics)
            if validation is not None:
                measured = evaluate(after.params, after.state, validation)
                row |= _to_host("validation_", measured)
            row["seconds"] = time.perf_counter() - started
            state = after
            rows.append(row)
            bar(row)
            if interrupted():
                bar(None)
                break
    return state, _as_arrays(rows)


def _compiled(loss, optimizer, grad, batch_size, drop_remainder):
    """Step, epoch and evaluation, made once for the same arguments: the next `fit` has them.

    Only the latest are kept, because they hold on to all that the loss closes over. The state is
    not donated: the old one is what is returned when an epoch goes wrong.
    """
    arguments = loss, optimizer, grad, batch_size, drop_remainder
    try:
        return _made(*arguments)
    except TypeError:
        hashable = all(getattr(type(a), "__hash__", None) for a in arguments)
        if hashable:
            raise
        return _made.__wrapped__(*arguments)


@functools.lru_cache(maxsize=1)
def _made(loss, optimizer, grad, batch_size, drop_remainder):
    step = make_step(loss, optimizer, grad)
    epoch = make_epoch(step, batch_size, drop_remainder=drop_remainder, donate=False)
    return jax.jit(step), epoch, make_eval(loss, batch_size)


@functools.partial(jax.jit, keep_unused=True)
def _settled(state: TrainState, data: Any) -> TrainState:
    """The state as an epoch returns it: on the data's devices, no type weak.

    Otherwise the second epoch would meet a state of another kind, and compile once more.
    """
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), state)


@jax.jit
def _all_finite(tree: Any) -> jax.Array:
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in leaves]))


def _find_bad_step(step, start: TrainState, data: Any, batch_size: int, drop_remainder: bool):
    """Walks through the epoch again, step by step, up to the one that is not finite.

    Costs nothing while all goes well, since an epoch can be had again from the state it began with.
    Returns what was not finite, in which step (from 1; None if none is to blame), and the state
    before it.
    """
    batches, rest = order(start, data, batch_size)
    last = [rest] if rest.size and not drop_remainder else []
    state = start
    for i, indices in enumerate(itertools.chain(batches, last), start=1):
        after, metrics = step(state, take(data, indices))
        if not bool(_all_finite(metrics["loss"])):
            return f"the loss is {metrics['loss']}", i, state
        if not bool(_all_finite(after.params)):
            return "a parameter is no longer finite", i, state
        if not bool(_all_finite((metrics["loss"], after.state))):
            return "the model's state is no longer finite", i, state
        state = after
    return "the mean loss is not finite, though that of each step is,", None, start


def _to_host(prefix: str, metrics: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    """The measured values, the loss first (a compiled program returns a dict sorted by name)."""
    names = sorted(metrics, key=lambda name: (name != "loss", name))
    return {prefix + name: np.asarray(metrics[name]) for name in names}


def _as_arrays(rows: list[dict[str, Any]]) -> History:
    names = rows[0] if rows else ("epoch", "step", "loss", "seconds")
    return {name: np.array([row[name] for row in rows]) for name in names}
