"""`vjp`, `grad` and `value_and_grad`, with JAX's signatures.

Each runs the function once on tracers (tracer.py) and walks the tape back (backward.py).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.tree_util import (
    Partial,
    tree_flatten,
    tree_leaves,
    tree_leaves_with_path,
    tree_unflatten,
)

from funcnn.autodiff.backward import backward, from_the_end
from funcnn.autodiff.checks import (
    check_argnums,
    check_array,
    check_callable,
    check_cotangent,
    check_input,
    check_output,
    check_output_dtype,
    check_scalar,
    positions_of,
)
from funcnn.autodiff.tangents import is_inexact, zero_cotangent
from funcnn.autodiff.tracer import record


def vjp(fun: Callable, *primals: Any, has_aux: bool = False) -> Any:
    """The value of ``fun(*primals)``, and the function that carries cotangents back.

    As `jax.vjp`: ``out, pullback = vjp(fun, *primals)``, then ``pullback(cotangents)`` gives a
    tuple with one entry for each of `primals`.

    Args:
      fun: a function of pytrees of arrays that returns one. With `has_aux` it returns a pair: what
        is differentiated, and anything else.
      *primals: where to evaluate it. Integer and boolean leaves are allowed; their cotangents are
        zeros of dtype float0.
      has_aux: see `fun`.

    Returns:
      ``(out, pullback)``, or ``(out, pullback, aux)``. `pullback` takes a cotangent of the
      structure, shapes and dtypes of ``out``. It is itself a pytree (its leaves are the residuals),
      so it can be returned from `jax.jit`, and may be called more than once.

    Raises:
      TypeError: a leaf that is not an array.
      ValueError: a cotangent of another structure, shape or dtype.
      NotImplementedError: a primitive without a rule; the message says which, and where.

    Example (deck B, row 21):

    >>> from funcnn import vjp
    >>> out, pullback = vjp(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0)
    >>> float(out), [float(g) for g in pullback(1.0)]
    (-12.0, [-4.0, -4.0, 3.0])

    Source: deck B, rows 21 to 25.
    """
    check_callable(fun)
    if not isinstance(has_aux, bool):
        raise TypeError(
            f"vjp: has_aux must be a bool, got {has_aux!r}. Arguments of the function "
            "are given by position."
        )
    flat, in_tree = tree_flatten(primals)
    for path, leaf in tree_leaves_with_path(primals):
        check_array("vjp", leaf, path)
    out, aux, out_slots, tape = _record(fun, flat, in_tree, has_aux)
    out_flat, out_tree = tree_flatten(out)
    lines = _reached(tape, out_slots)
    nodes = [node for node, _ in lines]
    residuals, where = _each_once([saved for _, saved in lines])
    avals = [jax.typeof(leaf) for leaf in flat]
    out_avals = [jax.typeof(leaf) for leaf in out_flat]
    static = (nodes, where, avals, in_tree, out_slots, out_avals, out_tree)
    pullback = Partial(functools.partial(_pull_back, static), residuals)
    return (out, pullback, aux) if has_aux else (out, pullback)


def _reached(tape, out_slots):
    """The tape's lines that a cotangent of the output reaches, from the last to the first.

    What the others keep need not be held, nor come out of `jax.jit`.
    """
    reached = set(out_slots)
    lines = []
    for node, saved in reversed(tape):
        if any(slot is not None and slot in reached for slot in node.outputs):
            reached.update(node.inputs)
            lines.append((node, saved))
    return lines


def _each_once(tree):
    """The leaves of `tree`, each object once, and what makes the tree of them again.

    Out of `jax.jit` each leaf would come as an array of its own.
    """
    leaves, structure = tree_flatten(tree)
    place: dict[int, int] = {}
    places = [place.setdefault(id(leaf), len(place)) for leaf in leaves]
    return list({id(leaf): leaf for leaf in leaves}.values()), (structure, places)


def _pull_back(static, residuals, *cotangent):
    if len(cotangent) != 1:
        raise TypeError(
            f"The function returned by vjp was called with {len(cotangent)} arguments. It takes "
            "one: a cotangent with the structure of the output (a tuple, if the output is one)."
        )
    [cotangent] = cotangent
    nodes, where, avals, in_tree, out_slots, out_avals, out_tree = static
    flat, tree = tree_flatten(cotangent)
    if tree != out_tree:
        raise ValueError(
            "unexpected tree structure: the argument of the function returned by vjp must have the "
            f"structure of the output, {out_tree}, but got {tree}."
        )
    for ct, aval in zip(flat, out_avals, strict=True):
        check_cotangent(ct, aval)
    gs = [ct if hasattr(ct, "dtype") else jax.numpy.asarray(ct) for ct in flat]
    structure, places = where
    saved = tree_unflatten(structure, [residuals[i] for i in places])
    lines = zip(nodes, saved, strict=True)
    return tree_unflatten(in_tree, _gather(backward(lines, out_slots, gs), avals))


def _record(fun, flat, in_tree, has_aux):
    """Runs `fun` on tracers: its output and auxiliary data as values, slots of the output, tape."""
    tracked = [is_inexact(x) for x in flat]
    # an integer stays what it is: the function may use a Python int as a length or an index
    flat = [
        jax.numpy.asarray(x) if is_tracked and not isinstance(x, jax.Array) else x
        for x, is_tracked in zip(flat, tracked, strict=True)
    ]

    def of_leaves(leaves):
        out = fun(*tree_unflatten(in_tree, leaves))
        if not has_aux:
            return out, None
        if not isinstance(out, (tuple, list)) or len(out) != 2:
            raise TypeError(
                "with has_aux=True the function must return a two-element tuple (output, auxiliary "
                f"data), got {out!r}"
            )
        return tuple(out)

    (out, aux), slots, tape = record(of_leaves, flat, tracked)
    for path, leaf in tree_leaves_with_path(out):
        check_output(leaf, path)
    return out, aux, slots[: len(tree_leaves(out))], tape


def one(value: Any) -> Any:
    """The cotangent that the backward pass starts from."""
    aval = jax.typeof(value)
    return lax.full_like(value, 1) if aval.weak_type else np.ones((), aval.dtype)


def _gather(cotangents, avals):
    """The cotangents of the inputs in their order, as JAX arrays; absent ones now as zeros."""
    gathered = []
    for i, aval in enumerate(avals):
        g = cotangents[i] if i in cotangents else zero_cotangent(aval)
        # the one that the pass started from may have come through untouched
        untouched = is_inexact(aval) and not isinstance(g, jax.Array)
        gathered.append(jax.numpy.asarray(g) if untouched else g)
    return gathered


def of_argnums(
    fun: Callable, argnums: int | tuple[int, ...], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Callable, tuple[Any, ...]]:
    """`fun` as a function of the arguments to differentiate alone, and these."""
    positions = positions_of(argnums, len(args))

    def of_primals(*primals):
        full = list(args)
        for i, primal in zip(positions, primals, strict=True):
            full[i] = primal
        return fun(*full, **kwargs)

    return of_primals, tuple(args[i] for i in positions)


def named_after(fun: Callable, what: str, argnums: Any) -> Callable[[Callable], Callable]:
    """A decorator: the function has the name and signature of `fun`, and says what it gives."""
    name = getattr(fun, "__name__", repr(fun))

    def decorate(derived):
        named = ("__module__", "__name__", "__qualname__")
        derived = functools.wraps(fun, assigned=named, updated=())(derived)
        derived.__doc__ = (
            f"Takes the arguments of `{name}`, and gives {what} of it by argument {argnums}."
        )
        return derived

    return decorate


def value_and_grad(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable:
    """A function that gives the value of `fun` and its gradient, as `jax.value_and_grad`.

    Args:
      fun: returns a scalar; with `has_aux` a pair of a scalar and anything else.
      argnums: which positional arguments to differentiate: an int, or a sequence of them.
      has_aux: see `fun`. The result is then ``((value, aux), gradient)``.
      holomorphic: `fun` is holomorphic: inputs and output are complex.
      allow_int: allow integer and boolean leaves; their gradients are zeros of dtype float0.

    Returns:
      A function of `fun`'s arguments, keyword arguments included, that returns
      ``(value, gradient)``: the gradient has the structure of the argument, or is a tuple of
      gradients when `argnums` is a sequence.

    Raises:
      TypeError: an output that is not a real scalar, an input that is not floating point, an
        argument missing for `argnums`.

    Example:

    >>> import jax.numpy as jnp
    >>> from funcnn import value_and_grad
    >>> loss = lambda w: jnp.sum(w["a"] ** 2)
    >>> value, gradient = value_and_grad(loss)({"a": jnp.array([1.0, 2.0])})
    >>> float(value), gradient["a"].tolist()
    (5.0, [2.0, 4.0])

    Source: deck B, row 19: two passes, whatever the number of parameters.
    """
    check_callable(fun)
    argnums = check_argnums(argnums)

    @named_after(fun, "the value and the gradient", argnums)
    def value_and_grad_of_fun(*args, **kwargs):
        of_primals, primals = of_argnums(fun, argnums, args, kwargs)
        for path, leaf in tree_leaves_with_path(primals):
            check_input("grad", leaf, path, holomorphic, allow_int)
        flat, in_tree = tree_flatten(primals)
        value, aux, slots, tape = _record(of_primals, flat, in_tree, has_aux)
        check_scalar(value)
        check_output_dtype("grad", value, holomorphic)
        cotangents = backward(from_the_end(tape), slots, [one(value)])
        gradient = tree_unflatten(in_tree, _gather(cotangents, [jax.typeof(x) for x in flat]))
        if isinstance(argnums, int):
            gradient = gradient[0]
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return value_and_grad_of_fun


def grad(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable:
    """A function that gives the gradient of `fun`, as `jax.grad`.

    Arguments and errors are those of `value_and_grad`; the result is the gradient alone, or
    ``(gradient, aux)`` with `has_aux`.

    Example: the sigmoid of deck B, row 22, and its second derivative:

    >>> import jax.numpy as jnp
    >>> from funcnn import grad
    >>> def sigmoid(z):
    ...     return 1 / (1 + jnp.exp(-z))
    >>> round(float(grad(sigmoid)(1.0)), 2), round(float(grad(grad(sigmoid))(1.0)), 2)
    (0.2, -0.09)
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @named_after(fun, "the gradient", argnums)
    def grad_of_fun(*args, **kwargs):
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_of_fun
