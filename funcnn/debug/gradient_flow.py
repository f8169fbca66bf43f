"""gradient_flow: where on its way back a gradient gets lost. The data types are in flow.py."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from funcnn.autodiff import value_and_grad
from funcnn.debug.flow import GradientFlow
from funcnn.debug.layers_probed import flow_of_layers
from funcnn.debug.leaves_probed import flow_of_leaves
from funcnn.debug.measured import rows_of
from funcnn.debug.objective import check_arguments, check_numbers
from funcnn.debug.verdicts import verdicts
from funcnn.nn import Layer


def gradient_flow(
    model: Layer | Callable[..., Any],
    params: Any,
    *args: Any,
    loss: Callable[..., Any] | None = None,
    state: Any = (),
    key: jax.Array | None = None,
    grad: Callable[..., Any] = value_and_grad,
) -> GradientFlow:
    """How large the gradient is at every layer, which units are flat, and what is wrong with it.

        gradient_flow(model, params, x, y, loss=loss)    # a layer, and loss(outputs, y)
        gradient_flow(loss, params, *args)               # a plain function

    The gradient is that of the mean of `loss(outputs, *targets)` in training, and there is a row
    for every layer that is no combinator. Of a plain function there is a row for each leaf of
    `params`, in the order in which they are used, and for each activation (one array in and out,
    elementwise) right behind a use. All is measured by one compiled program, which the next call
    with the same functions and shapes finds again: call it every so many steps and stack what it
    returns with `flow_over_time`. As with `jax.jit`, what a function closes over and the attributes
    of an object are as they were at the first call: pass as an argument what changes. Where a
    function or argument cannot be hashed, nothing is remembered, and each call compiles anew.

    Verdicts, from the norm of the gradient ∂L/∂y at the outputs y of the layers with parameters:

    - "vanishing": it is less than a thousandth of that of a later layer.
    - "exploding": it is more than a thousand times that of the last one.
    - "no gradient": it, or that by the parameters, is exactly 0.
    - "not finite": it, or the loss, is infinite or NaN.

    Of a plain function only what is made of a layer is later than it: a head of a small weight is
    not held against another. Of a `Layer` it is all that is called later, and two heads whose
    losses are weighted a thousand to one look as if the gradient vanished or exploded in between;
    so does a mean over a million places, in either.

    and from the slope f′ of the activations, which is compared with the largest that f has:

    - "saturated": it is below 1 % for more than half of all examples and units.
    - "dead ReLU": it is that on the side where f is off, for every example, in more units than half
      and three standard deviations.

    Norms are compared since layers of random weights of variance 1/in keep them whatever their
    widths, and whatever the batch; why a thousand is said in `funcnn.debug.verdicts`.

    Args:
      model: a layer, or a function `loss(params, *args)` that returns a scalar, or a pair of it and
        anything else (as those of `funcnn.train`).
      params: what the gradient is taken by.
      *args: of a layer x, and what `loss` takes beside the outputs; of a function its arguments.
        What is not an array in them (a length, a name) is taken as it is.
      loss: of a layer: `loss(outputs, *targets)`, of any shape.
      state: of a layer: as from `model.init`; may be left out where there is none.
      key: of a layer: for dropout; `jax.random.key(0)` where it is not given.
      grad: the gradient transform: `funcnn.value_and_grad`, or `jax.value_and_grad`.

    Raises:
      TypeError: a layer without `loss` or x; a function with what is for layers; arguments that
        are shapes, or are being traced; parameters that are no arrays.
      What the model or the function raises.

    Example: eleven layers, nine of them with a sigmoid:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import debug, losses, nn
    >>> block = nn.serial(nn.dense(32), jax.nn.sigmoid)
    >>> model = nn.serial(nn.dense(32), nn.repeat(block, 9), nn.dense(1))
    >>> x = jax.random.normal(jax.random.key(1), (64, 8))
    >>> params, state = jax.jit(model.init)(jax.random.key(0), x)
    >>> flow = debug.gradient_flow(model, params, x, x[:, :1], loss=losses.squared_error)
    >>> print(flow)
    path    layer             ‖∂L/∂y‖  mean |∂L/∂y|  zeros  passed on  ‖∂L/∂w‖  saturated
    ------  ----------------  -------  ------------  -----  ---------  -------  ---------
    [0]     dense(32)         4.4e-07  ...
    vanishing: the gradient of [1][0] dense(32) copy 0 is 2e-6 of that of [2] dense(1); each sigmoid
    passes 0.23 of it, and at most 1/4

    Source: decks A and E, row 29: saturation and vanishing gradients. He et al., "Delving Deep into
    Rectifiers", 2015, for the norms.
    """
    check_arguments("gradient_flow", model, args, loss, state, key)
    check_numbers("gradient_flow", params=params, state=state, key=key, args=args)
    leaves, structure = jax.tree.flatten(args)
    is_array = tuple(isinstance(leaf, jax.Array | np.ndarray | np.generic) for leaf in leaves)
    arrays = [leaf for leaf, array in zip(leaves, is_array, strict=True) if array]
    others = tuple(leaf for leaf, array in zip(leaves, is_array, strict=True) if not array)
    key = jax.random.key(0) if key is None else key
    given = _Given(model, loss, grad, structure, is_array, others)
    value, measured = _compiled(given)(params, state, key, arrays)
    # arguments have been looked at; a function may close over what is being traced
    check_numbers("gradient_flow", **{"what the function closes over": value})
    rows, later = rows_of(measured)
    return GradientFlow(rows, verdicts(rows, later, float(value)), float(value))


class _Given(NamedTuple):
    """What is no array: the compiled program is found again by it."""

    model: Any
    loss: Any
    grad: Any
    structure: Any
    is_array: tuple[bool, ...]
    others: tuple[Any, ...]


def _compiled(given: _Given) -> Callable[..., Any]:
    try:
        hash(given)
    except TypeError:  # a callable object or a set among the arguments: nothing is remembered
        return jax.jit(partial(_measure, given))
    return partial(_measure_again, given)


def _measure(given: _Given, params: Any, state: Any, key: Any, arrays: list[Any]) -> Any:
    ahead, others = iter(arrays), iter(given.others)
    leaves = [next(ahead) if array else next(others) for array in given.is_array]
    args = jax.tree.unflatten(given.structure, leaves)
    if isinstance(given.model, Layer):
        return flow_of_layers(given.model, given.loss, params, state, key, args, given.grad)
    return flow_of_leaves(given.model, params, args, given.grad)


_measure_again = jax.jit(_measure, static_argnums=0)
