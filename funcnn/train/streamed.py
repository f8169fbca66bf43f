"""Training on batches that come one after another, from a disk or a generator: a step for each."""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.nn.layer import shape_of
from funcnn.optim import GradientTransformation
from funcnn.train.counting import count_examples
from funcnn.train.data_checks import check_finite
from funcnn.train.engine import START, Between, Engine, Halted, Outcome, Position, all_finite
from funcnn.train.failures import BadSource, Unusable, memory_of_step
from funcnn.train.history import Row
from funcnn.train.objective import Loss, named
from funcnn.train.partition import put_batch
from funcnn.train.placement import Placement, placed_loss, placed_step, put_state
from funcnn.train.prefetch import prefetched
from funcnn.train.remembered import remembered
from funcnn.train.state import TrainState
from funcnn.train.step import Step, make_step

Source = Iterable[Any] | Callable[[int], Iterable[Any]]
BEHIND = 16  # how many steps the host may be ahead of the device before it waits for results
BAD = (
    "the loss is not finite",
    "a parameter is no longer finite",
    "the model's state is no longer finite",
)


def is_source(data: Any) -> bool:
    """Whether this is no pytree of arrays, but something that batches are drawn from."""
    leaves = jax.tree.leaves(data, is_leaf=lambda node: isinstance(node, Iterator))
    return not all(hasattr(leaf, "shape") for leaf in leaves) and (
        callable(data) or hasattr(data, "__iter__")
    )


def streamed(
    loss: Loss,
    optimizer: GradientTransformation,
    grad: Callable[..., Any],
    state: TrainState,
    source: Source,
    steps_per_epoch: int | None,
    check: Callable[[Any], None],
    where: Placement,
) -> Engine:
    """An `Engine` without evaluation. `check(batch)` may raise for the first batch of all."""
    step = remembered(_program, loss, optimizer, grad, where)
    draw = drawn_from(source, steps_per_epoch)
    compare = like_the_first(check)
    largest: Any = None
    shapes = jax.eval_shape(lambda state: state, state)

    def run(state: TrainState, number: int, position: Position, between: Between) -> Outcome:
        prepare = prepared(compare, number, position.batches, where)
        batches = prefetched(draw(number, position.batches), prepare)
        nonlocal largest
        fine = jnp.zeros((), jnp.int32)
        running: deque = deque()  # the device may still be at these
        while True:
            try:
                batch = next(batches, None)
            except Unusable as error:
                raise error.__cause__ from None  # type: ignore[misc]
            except Exception as error:
                reached, _ = _all_done(running, position)
                raise Halted(_blamed(error, number), state, reached) from _cause(error)
            if batch is None:
                break
            size = count_examples(batch)
            if largest is None or size > count_examples(largest):
                largest = jax.eval_shape(lambda batch: batch, batch)
            state, fine, metrics = step(state, fine, batch)
            running.append((metrics, fine, size))
            while len(running) > BEHIND:
                position, bad = _done(running.popleft(), position)
                if bad:
                    return Outcome(state, None, position, bad, position.batches + 1)
            count = position.batches + len(running)
            between.show(count)
            stop = between.stop()
            if stop or between.due(count):
                position, bad = _all_done(running, position)
                if bad:
                    return Outcome(state, None, position, bad, position.batches + 1)
                if stop:
                    return Outcome(state, None, position)
                between.save(state, position)
        position, bad = _all_done(running, position)
        if bad:
            return Outcome(state, None, position, bad, position.batches + 1)
        if not position.batches:
            raise Halted(_nothing_came(number), state)
        return Outcome(state, _means(position))

    def memory() -> str:
        return memory_of_step(count_examples(largest), step, shapes, jnp.int32(0), largest)

    # a copy, which the first step may write over; no type weak, as a compiled step returns it
    copy = jax.tree.map(lambda leaf: jnp.array(leaf, leaf.dtype, copy=True), state)
    return Engine(put_state(where, copy), run, memory, {})


def streamed_evaluation(
    loss: Loss, name: str, source: Source, check: Callable[[Any], None], where: Placement
) -> Callable[[Any, Any, int], Row]:
    """Means of loss and metrics over the examples that a source yields."""
    measure = remembered(_measure, loss, where)
    draw = drawn_from(source, None)
    compare = like_the_first(check)

    def evaluate(params: Any, state: Any, number: int) -> Row:
        position = START
        running: deque = deque()
        try:
            for batch in prefetched(draw(number, 0), prepared(compare, number, 0, where)):
                running.append((*measure(params, state, batch), count_examples(batch)))
                while len(running) > BEHIND:
                    position, _ = _done(running.popleft(), position)
        except BadSource as error:
            raise BadSource(f"{name}: {error}") from error.__cause__
        position, _ = _all_done(running, position)
        if not position.batches:
            raise BadSource(f"{name}: {_nothing_came(number)}")
        return _means(position)

    return evaluate


@functools.lru_cache(maxsize=1)
def _program(loss, optimizer, grad, where):
    return guarded(placed_step(make_step(loss, optimizer, grad), where))


@functools.lru_cache(maxsize=2)  # validation and test
def _measure(loss, where):
    placed = placed_loss(loss, where)

    @jax.jit
    def measure(params, state, batch):
        value, (_, metrics) = placed(params, state, batch, None)
        return named(value, metrics), jnp.zeros((), jnp.int32)

    return measure


def guarded(step: Step) -> Callable[[TrainState, jax.Array, Any], Any]:
    """A compiled step that stands still from the first one on whose result is not finite.

    ``(state, code, batch) -> (state, code, metrics)``; the code is 0 while all is well, and else
    says what was not finite (1 + its place in BAD). A stream cannot be gone through again to find
    the bad step, and the host is some steps behind the device.
    """

    def guarded_step(state, code, batch):
        after, metrics = step(state, batch)
        fine = [all_finite(part) for part in (metrics["loss"], after.params, after.state)]
        found = jnp.select([~ok for ok in fine], [1, 2, 3], 0).astype(jnp.int32)
        code = jnp.where(code == 0, found, code)
        after = jax.tree.map(lambda new, old: jnp.where(code == 0, new, old), after, state)
        return after, code, metrics

    return jax.jit(guarded_step, donate_argnums=0)


def drawn_from(source: Source, steps_per_epoch: int | None) -> Callable[[int, int], Iterator[Any]]:
    """``draw(epoch, start)``: an iterator over the batches of an epoch from number `start` on.

    A function of the epoch is called with its number. Anything else is iterated: anew each epoch,
    or, where epochs are so many steps long, on and on (so that an endless source will do).
    """
    endless: Iterator[Any] | None = None
    taken = 0

    def draw(epoch: int, start: int) -> Iterator[Any]:
        nonlocal endless, taken
        if steps_per_epoch is None or callable(source):
            batches = source(epoch) if callable(source) else source
            if isinstance(batches, Sequence):  # what is left out need not be read
                rest: Any = (batches[i] for i in range(start, len(batches)))
            else:
                rest = itertools.islice(batches, start, None)
            if steps_per_epoch is None:
                return _whole(rest, start, batches)
            return _exactly(rest, steps_per_epoch - start, epoch)
        if endless is None:
            endless = _again_and_again(source)
        first = (epoch - 1) * steps_per_epoch + start
        skipped = itertools.islice(endless, first - taken)
        deque(skipped, maxlen=0)  # of a run that is resumed
        taken = epoch * steps_per_epoch
        return _exactly(endless, steps_per_epoch - start, epoch)

    return draw


def prepared(
    compare: Callable[[Any], None], epoch: int, start: int, where: Placement
) -> Callable[[Any], Any]:
    """Checks a batch and puts it on the devices; runs in the thread that draws."""
    numbers = itertools.count(start + 1)

    def prepare(batch: Any) -> Any:
        number = next(numbers)
        batch = jax.tree.map(_array, batch)
        try:
            compare(batch)
        except BadSource as error:
            raise BadSource(f"batch {number} of epoch {epoch}: {error}") from None
        if where.batch is None:
            return jax.device_put(batch)
        return put_batch(batch, where.batch)

    return prepare


def _array(leaf: Any) -> Any:
    """Other libraries' arrays, such as a tensor of PyTorch in memory, as NumPy's."""
    return leaf if isinstance(leaf, (jax.Array, np.ndarray)) else np.asarray(leaf)


def like_the_first(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Raises `BadSource` for a batch of another kind than the first one was, or with NaN in it."""
    first: Any = None

    def compare(batch: Any) -> None:
        nonlocal first
        shapes = shape_of(batch)
        if first is None:
            try:
                check(batch)
            except (TypeError, ValueError) as error:
                raise Unusable from error
            first = shapes
        now, then = str(jax.tree.structure(shapes)), str(jax.tree.structure(first))
        if now != then:
            raise BadSource(f"expected {then} as in the first batch, got {now}")
        count_examples(batch)
        pairs = zip(jax.tree.leaves_with_path(shapes), jax.tree.leaves(first), strict=True)
        for (path, new), old in pairs:
            if (new.dtype, new.shape[1:]) != (old.dtype, old.shape[1:]):
                raise BadSource(
                    f"data{jax.tree_util.keystr(path)} is {new.dtype}{[*new.shape]}, and in the "
                    f"first batch it was {old.dtype}{[*old.shape]}: only the number of examples "
                    "may change (pad what is shorter)"
                )
        # what is on the device already is left to the guard in the step
        on_host = jax.tree.map(lambda leaf: leaf if isinstance(leaf, np.ndarray) else None, batch)
        try:
            check_finite("data", on_host)
        except ValueError as error:
            raise BadSource(str(error)) from None

    return compare


def _blamed(error: Exception, epoch: int) -> str:
    """What is said of an error that came while batches were drawn."""
    if isinstance(error, BadSource):
        return str(error)
    return f"the data source raised {type(error).__name__} in epoch {epoch}: {error}"


def _cause(error: Exception) -> BaseException | None:
    return error.__cause__ if isinstance(error, BadSource) else error


def _again_and_again(source: Iterable[Any]) -> Iterator[Any]:
    """What can be iterated more than once starts anew at its end, unless nothing came at all."""
    while True:
        none = True
        for batch in source:
            none = False
            yield batch
        if none or iter(source) is source:
            return


def _whole(batches: Iterator[Any], start: int, source: Any) -> Iterator[Any]:
    """The same batches; raises where there are fewer than the source said."""
    expected = len(source) if hasattr(source, "__len__") else None
    count = start
    for batch in batches:
        yield batch
        count += 1
    if expected is not None and count < expected:
        raise BadSource(
            f"the data source ended after {count} batches, and its length is {expected}"
        )


def _exactly(batches: Iterator[Any], count: int, epoch: int) -> Iterator[Any]:
    """The first `count` of the batches; raises where there are fewer."""
    missing = count
    for batch in itertools.islice(batches, count):
        yield batch
        missing -= 1
    if missing:
        raise BadSource(
            f"the data source ended in epoch {epoch}, {missing} steps before steps_per_epoch was "
            "reached"
        )


def _nothing_came(epoch: int) -> str:
    return (
        f"no batch came in epoch {epoch}. A generator can be gone through only once: give a "
        "function that makes one, data=lambda epoch: ..."
    )


def _done(ran: tuple[dict[str, jax.Array], jax.Array, int], position: Position):
    """Waits for a step. The position after it, or the one before and what was not finite."""
    metrics, code, size = ran
    if bad := int(code):
        return position, BAD[bad - 1].replace("is not finite", f"is {metrics['loss']}")
    sums = {
        name: position.sums.get(name, 0.0) + size * float(value) for name, value in metrics.items()
    }
    return Position(position.batches + 1, position.examples + size, sums), None


def _all_done(running: deque, position: Position) -> tuple[Position, str | None]:
    while running:
        position, bad = _done(running.popleft(), position)
        if bad:
            return position, bad
    return position, None


def _means(position: Position) -> Row:
    names = sorted(position.sums, key=lambda name: (name != "loss", name))
    return {name: position.sums[name] / position.examples for name in names}
