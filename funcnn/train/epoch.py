"""An epoch as one compiled program: shuffle on the device, scan the step over minibatches."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from funcnn.train.objective import Loss
from funcnn.train.shuffle import permutation
from funcnn.train.state import TrainState
from funcnn.train.step import SHUFFLE, Step, stream

Metrics = dict[str, jax.Array]


def make_epoch(
    step: Step, batch_size: int, *, drop_remainder: bool = False, donate: bool = True
) -> Callable[[TrainState, Any], tuple[TrainState, Metrics]]:
    """An epoch of minibatch training, compiled into one XLA program.

    Every epoch the examples come in a new random order, drawn on the device from the state's key
    and step. Where `batch_size` does not divide their number, the last batch of the epoch is
    smaller (the same program holds a second copy of the step for it), or left out with
    `drop_remainder`: other examples each time.

    Args:
      step: from `make_step`.
      batch_size: examples in a step, from 1 to the number of examples.
      drop_remainder: leave out the smaller last batch. Compiles one step instead of two.
      donate: the state given is used up, and its memory used for the new one. With False it stays
        valid, and there are two in memory.

    Returns:
      ``epoch(state, data) -> (state, metrics)``. `data` is a pytree of arrays whose first axis
      counts examples, on the device or not. `metrics` are means over the epoch's examples, of
      values measured before each step.

    Raises:
      ValueError: no examples, another number of them in each leaf, a batch larger than the data.

    Example:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import losses, nn, optim, train
    >>> x = jnp.linspace(-1, 1, 40)[:, None]
    >>> model, optimizer = nn.dense(1), optim.sgd(0.1)
    >>> loss = train.supervised(model, losses.squared_error)
    >>> state = train.init(jax.random.key(0), model, optimizer, x)
    >>> epoch = train.make_epoch(train.make_step(loss, optimizer), batch_size=16)
    >>> for _ in range(30):
    ...     state, metrics = epoch(state, (x, 2 * x + 1))
    >>> print(metrics["loss"] < 1e-3, state.step)
    True 90

    Source: decks A to E, row 31 (shuffled each epoch).
    """
    _check_batch_size(batch_size)

    def epoch(state: TrainState, data: Any) -> tuple[TrainState, Metrics]:
        batches, rest = order(state, data, batch_size)

        def body(state, indices):
            return step(state, take(data, indices))

        # two steps a turn of the loop: measured, benchmarks/README.md
        state, metrics = lax.scan(body, state, batches, unroll=2)
        metrics = {name: jnp.mean(values, axis=0) for name, values in metrics.items()}
        if rest.size and not drop_remainder:
            state, last = body(state, rest)
            share = rest.size / (batches.size + rest.size)
            metrics = {name: m + share * (last[name] - m) for name, m in metrics.items()}
        return state, metrics

    return jax.jit(epoch, donate_argnums=0 if donate else ())


def make_eval(loss: Loss, batch_size: int) -> Callable[[Any, Any, Any], Metrics]:
    """The means of the loss and its metrics over a data set, as one compiled program.

    Args:
      loss: see `funcnn.train.Loss`; it gets None for a key.
      batch_size: how many examples are looked at together, which only memory limits.

    Returns:
      ``evaluate(params, state, data) -> metrics``, "loss" among them.

    Example:

    >>> import jax.numpy as jnp
    >>> from funcnn import losses, nn, train
    >>> loss = train.supervised(nn.as_layer(jnp.abs), losses.squared_error)
    >>> evaluate = train.make_eval(loss, batch_size=2)
    >>> x = jnp.array([[-1.0], [2.0], [3.0]])
    >>> print(f"{evaluate((), (), (x, jnp.zeros((3, 1))))['loss']:.3f}")
    4.667
    """
    _check_batch_size(batch_size)

    def measure(params, state, batch):
        value, (_, metrics) = loss(params, state, batch, None)
        return {"loss": value, **metrics}

    def evaluate(params: Any, state: Any, data: Any) -> Metrics:
        n = count_examples(data)
        full = n // batch_size * batch_size
        sums = {}
        if full:
            batches = jax.tree.map(
                lambda leaf: leaf[:full].reshape(-1, batch_size, *leaf.shape[1:]), data
            )
            means = lax.map(lambda batch: measure(params, state, batch), batches)
            sums = {name: jnp.mean(values, axis=0) * full for name, values in means.items()}
        if full < n:
            last = measure(params, state, jax.tree.map(lambda leaf: leaf[full:], data))
            sums = {name: sums.get(name, 0.0) + v * (n - full) for name, v in last.items()}
        return {name: total / n for name, total in sums.items()}

    return jax.jit(evaluate)


def order(state: TrainState, data: Any, batch_size: int) -> tuple[jax.Array, jax.Array]:
    """The epoch's examples in order: indices (batches, batch_size), and those of the remainder."""
    n = count_examples(data)
    if batch_size > n:
        raise ValueError(f"batch_size {batch_size} is larger than the data ({n} examples)")
    shuffled = permutation(stream(state, SHUFFLE), n)
    full = n // batch_size * batch_size
    return shuffled[:full].reshape(-1, batch_size), shuffled[full:]


def take(data: Any, indices: jax.Array) -> Any:
    """The examples at `indices`, which are known to be inside."""
    return jax.tree.map(lambda leaf: leaf.at[indices].get(mode="promise_in_bounds"), data)


def count_examples(data: Any) -> int:
    """The length of the first axis, which all leaves share; ValueError where they do not."""
    leaves = jax.tree_util.tree_leaves_with_path(data)
    if not leaves:
        raise ValueError("the data has no arrays")
    counts = {}
    for path, leaf in leaves:
        if not leaf.shape:
            raise ValueError(
                f"data{jax.tree_util.keystr(path)} is a scalar: the first axis of each array must "
                "count the examples"
            )
        counts[f"data{jax.tree_util.keystr(path)}"] = leaf.shape[0]
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise ValueError(f"the arrays of the data hold different numbers of examples: {listed}")
    n = next(iter(counts.values()))
    if n == 0:
        raise ValueError("the data is empty: 0 examples")
    return n


def _check_batch_size(batch_size: int) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int):
        raise TypeError(f"batch_size must be an int, got {batch_size!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
