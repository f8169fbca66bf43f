"""An epoch as one compiled program: shuffle on the device, scan the step over minibatches."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from funcnn.train.counting import count_examples, whole_number
from funcnn.train.objective import Loss, named
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
      donate: the state given is used up (arrays of yours that went into it included), and its
        memory used for the new one. With False it stays valid, and there are two in memory. A state
        in which one array stands twice (some of optax's optimizers make such) cannot be donated.

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
    batch_size = whole_number("batch_size", batch_size, least=1)

    def epoch(state: TrainState, data: Any) -> tuple[TrainState, Metrics]:
        batches, rest = order(state, data, batch_size)

        def body(state, indices):
            return step(state, take(data, indices))

        state, metrics = lax.scan(body, state, batches, unroll=_unroll(state.params))
        metrics = _mean(metrics)
        if rest.size and not drop_remainder:
            state, last = body(state, rest)
            metrics = _with_last(metrics, last, rest.size / (batches.size + rest.size))
        return state, metrics

    return jax.jit(epoch, donate_argnums=0 if donate else ())


def _unroll(params: Any) -> int:
    """How many steps a turn of the loop takes: two of a small model, which is 9 % quicker.

    Of a large one it would only compile for longer; measured, benchmarks/README.md.
    """
    return 2 if sum(leaf.size for leaf in jax.tree.leaves(params)) < 2**17 else 1


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
    batch_size = whole_number("batch_size", batch_size, least=1)

    def measure(params, state, batch):
        value, (_, metrics) = loss(params, state, batch, None)
        return named(value, metrics)

    def evaluate(params: Any, state: Any, data: Any) -> Metrics:
        n = count_examples(data)
        size = min(batch_size, n)

        def measure_from(start):
            batch = jax.tree.map(lambda leaf: lax.dynamic_slice_in_dim(leaf, start, size), data)
            return measure(params, state, batch)

        metrics = _mean(lax.map(measure_from, size * jnp.arange(n // size)))
        if n % size:
            last = measure(params, state, jax.tree.map(lambda leaf: leaf[n - n % size :], data))
            metrics = _with_last(metrics, last, n % size / n)
        return metrics

    return jax.jit(evaluate)


def _mean(metrics: Metrics) -> Metrics:
    """The mean over batches, in float32 at least: a sum of float16 values overflows soon."""

    def mean(values):
        return jnp.mean(values, axis=0, dtype=jnp.promote_types(values.dtype, jnp.float32))

    return {name: mean(values) for name, values in metrics.items()}


def _with_last(metrics: Metrics, last: Metrics, share: float) -> Metrics:
    """Means that also count a last, smaller batch with its share of all examples."""
    return {name: mean + share * (last[name] - mean) for name, mean in metrics.items()}


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
