"""The range test: which learning rates lower the loss, and from where on it explodes."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnn.autodiff import value_and_grad
from funcnn.optim import GradientTransformation, Schedule
from funcnn.train.counting import count_examples, whole_number
from funcnn.train.epoch import order, take
from funcnn.train.objective import Loss
from funcnn.train.state import TrainState
from funcnn.train.step import make_step


class RangeTest(NamedTuple):
    """What the range test saw: `plot(rates[:exploded], smoothed[:exploded])`, logarithmic in x.

    Attributes:
      rates: the learning rate of each step, float64 (steps,).
      losses: of each step's minibatch, before the step, (steps,).
      smoothed: their running average, (steps,); NaN from the first loss on that is not finite.
      exploded: the step, after the lowest, from which the smoothed loss is above where it began, or
        not finite; the number of steps where it never was.
      suggestion: a tenth of the rate at which the smoothed loss was lowest; NaN where none was
        lower than at the beginning.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    exploded: int
    suggestion: float


def lr_find(
    loss: Loss,
    make_optimizer: Callable[[Schedule], GradientTransformation],
    state: TrainState,
    data: Any,
    *,
    batch_size: int,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    smoothing: float = 0.8,
    grad: Callable[..., Any] = value_and_grad,
) -> RangeTest:
    """Trains for some steps with a rate that grows from `low` to `high`, and watches the loss.

    With rates too low the loss stays, with good ones it falls, and with those too high it explodes.
    Where the loss was lowest, the rate is already about to be too high, so a tenth of it is
    suggested. Look at the curve too. Where the lowest point is at the end
    (`exploded` is the number of steps), try again with a larger `high`.

    Args:
      loss: see `funcnn.train.Loss`.
      make_optimizer: from a schedule of the learning rate to the optimizer: `optim.sgd`, or
        ``lambda rate: optim.adamw(rate, weight_decay=0.01)``; funcnn's or optax's.
      state: where to start; it is not changed. (Its optimizer's state is not used.)
      data: as for `make_epoch`. The steps see the examples as training from this state would.
      batch_size: examples in a step.
      low: the first rate, above 0.
      high: the last rate. Between them the rates grow by the same factor each step.
      steps: how many, at least 2.
      smoothing: β in [0, 1) of the running average of the losses, Σ βⁱ ℓ₍ₜ₋ᵢ₎ / Σ βⁱ.
      grad: the gradient transform, `funcnn.value_and_grad` or `jax.value_and_grad`.

    Returns:
      A `RangeTest`.

    Raises:
      ValueError: not 0 < low < high < ∞; smoothing outside [0, 1); data that is empty or ragged; a
        batch larger than the data.

    Example: of a parabola, whose descent is stable for rates below 2:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import optim, train
    >>> def loss(params, state, batch, key):
    ...     return 0.5 * jnp.sum(params**2), (state, {})
    >>> w = jnp.ones(3)
    >>> state = train.TrainState(w, (), (), jax.random.key(0), jnp.int32(0))
    >>> found = train.lr_find(
    ...     loss, optim.sgd, state, jnp.zeros(1), batch_size=1, low=1e-3, high=100.0
    ... )
    >>> print(found.rates[found.exploded] > 2 > found.suggestion > 0.2)
    True

    Source: deck E, row 38. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV
    2017; the tenth of the rate at the lowest point is a rule of thumb of fastai's.
    """
    steps = whole_number("steps", steps, least=2)
    batch_size = whole_number("batch_size", batch_size, least=1)
    if not 0 < low < high < math.inf:
        raise ValueError(f"expected 0 < low < high < ∞, got low={low}, high={high}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"expected smoothing in [0, 1), got {smoothing}")
    data = jax.tree.map(jnp.asarray, data)
    batches_an_epoch = count_examples(data) // batch_size
    rates = np.geomspace(low, high, steps)
    table = jnp.asarray(rates, jnp.result_type(float))
    optimizer = make_optimizer(lambda count: table[count])
    step = make_step(loss, optimizer, grad)

    @jax.jit
    def run(state: TrainState, data: Any) -> jax.Array:
        def batches_of(epoch):
            begin = state._replace(step=state.step + epoch * batches_an_epoch)
            return order(begin, data, batch_size)[0]

        epochs = jnp.arange(-(-steps // max(batches_an_epoch, 1)))
        batches = jax.vmap(batches_of)(epochs).reshape(-1, batch_size)[:steps]
        state = state._replace(opt_state=optimizer.init(state.params))

        def body(state, indices):
            state, metrics = step(state, take(data, indices))
            return state, metrics["loss"]

        return lax.scan(body, state, batches)[1]

    losses = np.asarray(run(state, data))
    return judged(rates, losses, smoothing)


def judged(rates: np.ndarray, losses: np.ndarray, smoothing: float) -> RangeTest:
    """What the losses at these rates say; see `RangeTest`.

    >>> found = judged(np.array([0.1, 1.0, 10.0, 100.0]), np.array([4.0, 1.0, 9.0, np.inf]), 0.0)
    >>> found.exploded, float(found.suggestion)
    (2, 0.1)
    """
    smoothed = running_average(losses, smoothing)
    finite = np.isfinite(smoothed)
    if not finite[0]:
        return RangeTest(rates, losses, smoothed, 0, math.nan)
    lowest = int(np.nanargmin(smoothed))
    above = ~finite | (smoothed > smoothed[0])
    above[: lowest + 1] = False
    exploded = int(above.argmax()) if above.any() else len(rates)
    suggestion = float(rates[lowest]) / 10 if smoothed[lowest] < smoothed[0] else math.nan
    return RangeTest(rates, losses, smoothed, exploded, suggestion)


def running_average(values: np.ndarray, smoothing: float) -> np.ndarray:
    """Σ βⁱ v₍ₜ₋ᵢ₎ / Σ βⁱ in float64; NaN from the first value on that is not finite.

    >>> print(running_average(np.array([1.0, 4.0, np.inf, 1.0]), 0.5))
    [ 1.  3. nan nan]
    """
    averages = np.full(len(values), np.nan)
    total = weight = 0.0
    for i, value in enumerate(np.asarray(values, np.float64)):
        if not np.isfinite(value):
            break
        total, weight = smoothing * total + value, smoothing * weight + 1
        averages[i] = total / weight
    return averages
