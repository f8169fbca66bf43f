"""Nesterov momentum: the gradient is that of the point which the velocity leads to."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .hyperparameters import number
from .lift import lift
from .matching import check_matching
from .momentum import momentum as plain_momentum
from .sgd import SGDState
from .transformation import GradientTransformation, PyTree, Schedule


def nesterov(
    learning_rate: ArrayLike | Schedule,
    momentum: ArrayLike = 0.9,
    form: Literal["shifted", "look-ahead"] = "shifted",
) -> GradientTransformation:
    """Nesterov momentum; v starts at 0. Both forms are those of deck B, and the same algorithm.

    "look-ahead": the gradient is taken not at x, but at the point ahead, x + ρv. `look_ahead` gives
    that point, and whoever calls `update` takes the gradient there:

        v ← ρv − α ∇f(x + ρv)
        x ← x + v

    "shifted": in the variable x̃ = x + ρv the gradient is needed only where the params are, so that
    this form goes wherever `sgd` does. The params are x̃, also those that the loss is reported for:

        v_new = ρv − α ∇f(x̃)
        x̃ ← x̃ + v_new + ρ(v_new − v)

    `sgd(α, ρ, nesterov=True)` gives the same x̃ while α does not change; with a schedule it scales
    what v holds, too.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        momentum: ρ, at least 0, typically 0.9 or 0.99.
        form: "shifted" or "look-ahead".

    Returns:
        The `GradientTransformation`, with an `SGDState`.

    Raises:
        ValueError: a number that is NaN, infinite or negative; an unknown form.
        TypeError: something that is not a real number.

    Example:
        On f(x) = x²/2, whose gradient is x; the shifted form goes through the points ahead.

        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.nesterov(0.5, 0.5, "look-ahead")
        >>> x = jnp.array(8.0)
        >>> state = optimizer.init(x)
        >>> for _ in range(3):
        ...     ahead = optim.look_ahead(x, state.velocity, 0.5)
        ...     updates, state = optimizer.update(ahead, state, x)
        ...     x = optim.apply_updates(x, updates)
        ...     print(f"x = {x}, ahead = {optim.look_ahead(x, state.velocity, 0.5)}")
        x = 4.0, ahead = 2.0
        x = 1.0, ahead = -0.5
        x = -0.25, ahead = -0.875
        >>> optimizer = optim.nesterov(0.5, 0.5)
        >>> x = jnp.array(8.0)
        >>> state = optimizer.init(x)
        >>> for _ in range(3):
        ...     updates, state = optimizer.update(x, state, x)
        ...     x = optim.apply_updates(x, updates)
        ...     print(f"x = {x}")
        x = 2.0
        x = -0.5
        x = -0.875

    Source: deck B, row 33. Nesterov, "A method of solving a convex programming problem with
    convergence rate O(1/k²)", 1983. Sutskever et al., ICML 2013.
    """
    if form == "look-ahead":  # differs from plain momentum by where the gradient is taken alone
        return plain_momentum(learning_rate, momentum, "steps")
    if form != "shifted":
        raise ValueError(f"form must be 'shifted' or 'look-ahead', got {form!r}")
    rho = number("momentum", momentum, low=0)

    def algorithm(g, v, *, rate):
        v_new = rho * v - rate * g
        return v_new + rho * (v_new - v), v_new

    slots = {"velocity": jnp.zeros_like}
    return lift(algorithm, SGDState, slots=slots, learning_rate=learning_rate)


def look_ahead(params: PyTree, velocity: PyTree, momentum: ArrayLike) -> PyTree:
    """The point x + ρv, where the look-ahead form of `nesterov` wants the gradient.

    Args:
        params: x.
        velocity: v, `state.velocity` of that form.
        momentum: ρ.

    Raises:
        ValueError: params and velocity do not match; the message names the leaf.
    """
    advice = "pass the velocity of the state that belongs to these params"
    check_matching("velocity", velocity, "params", params, dtypes=False, advice=advice)
    rho = number("momentum", momentum, low=0)
    return jax.tree.map(lambda x, v: (x + rho * v).astype(jnp.result_type(x)), params, velocity)
