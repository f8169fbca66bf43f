"""`vjp`, `grad` and `value_and_grad`, with JAX's signatures.

Each runs the function once on tracers (tracer.py) and walks the tape back (backward.py).
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.tree_util import (
    Partial,
    keystr,
    tree_flatten,
    tree_leaves,
    tree_leaves_with_path,
    tree_unflatten,
)

from funcnn.autodiff.backward import backward, from_the_end
from funcnn.autodiff.tracer import is_inexact, record, zero_tangent


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
    _check_callable(fun)
    if not isinstance(has_aux, bool):
        raise TypeError(
            f"vjp: has_aux must be a bool, got {has_aux!r}. Arguments of the function "
            "are given by position."
        )
    flat, in_tree = tree_flatten(primals)
    for path, leaf in tree_leaves_with_path(primals):
        _check_array("vjp", leaf, path)
    out, aux, out_slots, tape = _record(fun, flat, in_tree, has_aux)
    out_flat, out_tree = tree_flatten(out)
    nodes = [node for node, _ in tape]
    avals = [jax.typeof(leaf) for leaf in flat]
    out_avals = [jax.typeof(leaf) for leaf in out_flat]
    static = (nodes, avals, in_tree, out_slots, out_avals, out_tree)
    pullback = Partial(functools.partial(_pull_back, static), [saved for _, saved in tape])
    return (out, pullback, aux) if has_aux else (out, pullback)


def _pull_back(static, residuals, *cotangent):
    if len(cotangent) != 1:
        raise TypeError(
            f"The function returned by vjp was called with {len(cotangent)} arguments. It takes "
            "one: a cotangent with the structure of the output (a tuple, if the output is one)."
        )
    [cotangent] = cotangent
    nodes, avals, in_tree, out_slots, out_avals, out_tree = static
    flat, tree = tree_flatten(cotangent)
    if tree != out_tree:
        raise ValueError(
            "unexpected tree structure: the argument of the function returned by vjp must have the "
            f"structure of the output, {out_tree}, but got {tree}."
        )
    for ct, aval in zip(flat, out_avals, strict=True):
        _check_cotangent(ct, aval)
    gs = [ct if hasattr(ct, "dtype") else jax.numpy.asarray(ct) for ct in flat]
    lines = zip(reversed(nodes), reversed(residuals), strict=True)
    return tree_unflatten(in_tree, _gather(backward(lines, out_slots, gs), avals))


def _record(fun, flat, in_tree, has_aux):
    """Runs `fun` on tracers: its output and auxiliary data as values, slots of the output, tape."""
    flat = [x if isinstance(x, jax.Array) else jax.numpy.asarray(x) for x in flat]

    def of_leaves(leaves):
        out = fun(*tree_unflatten(in_tree, leaves))
        if not has_aux:
            return out, None
        if not isinstance(out, (tuple, list)) or len(out) != 2:
            raise TypeError(
                "with has_aux=True the function must return a pair (output, auxiliary data), got "
                + (
                    f"{type(out).__name__} of {len(out)}"
                    if type(out) in (tuple, list)
                    else f"{out}"
                )
            )
        return tuple(out)

    (out, aux), slots, tape = record(of_leaves, flat, [is_inexact(x) for x in flat])
    for path, leaf in tree_leaves_with_path(out):
        _check_output(leaf, path)
    return out, aux, slots[: len(tree_leaves(out))], tape


def _one(value):
    """The cotangent that the backward pass starts from."""
    aval = jax.typeof(value)
    return lax.full_like(value, 1) if aval.weak_type else np.ones((), aval.dtype)


def _gather(cotangents, avals):
    """The cotangents of the inputs in their order, as JAX arrays; absent ones now as zeros."""
    gathered = []
    for i, aval in enumerate(avals):
        g = cotangents[i] if i in cotangents else zero_tangent(aval)
        # the one that the pass started from may have come through untouched
        untouched = is_inexact(aval) and not isinstance(g, jax.Array)
        gathered.append(jax.numpy.asarray(g) if untouched else g)
    return gathered


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
    _check_callable(fun)
    argnums = _check_argnums(argnums)

    @functools.wraps(fun, assigned=("__module__", "__name__", "__qualname__"), updated=())
    def value_and_grad_of_fun(*args, **kwargs):
        positions = _positions(argnums, len(args))
        primals = tuple(args[i] for i in positions)

        def of_primals(*primals):
            full = list(args)
            for i, primal in zip(positions, primals, strict=True):
                full[i] = primal
            return fun(*full, **kwargs)

        for path, leaf in tree_leaves_with_path(primals):
            _check_input(leaf, path, holomorphic, allow_int)
        flat, in_tree = tree_flatten(primals)
        value, aux, slots, tape = _record(of_primals, flat, in_tree, has_aux)
        _check_scalar(value, holomorphic)
        cotangents = backward(from_the_end(tape), slots, [_one(value)])
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

    @functools.wraps(fun, assigned=("__module__", "__name__", "__qualname__"), updated=())
    def grad_of_fun(*args, **kwargs):
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_of_fun


def _check_callable(fun: Any) -> None:
    if not callable(fun):
        raise TypeError(f"Expected a callable value, got {fun!r}")


def _check_argnums(argnums: Any) -> int | tuple[int, ...]:
    try:
        return operator.index(argnums)
    except TypeError:
        pass
    try:
        return tuple(operator.index(i) for i in argnums)
    except TypeError:
        raise TypeError(f"argnums must be an int or a sequence of ints, got {argnums!r}") from None


def _positions(argnums: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """The arguments to differentiate as positions from 0; negative ones count from the end."""
    wanted = (argnums,) if isinstance(argnums, int) else argnums
    for i in wanted:
        if not -count <= i < count:
            needed = i + 1 if i >= 0 else -i
            raise TypeError(
                f"differentiating with respect to argnums={argnums} requires at least {needed} "
                f"positional arguments to be passed by the caller, but got only {count} "
                "positional arguments."
            )
    positions = tuple(i % count for i in wanted)
    if len(set(positions)) < len(positions):
        raise ValueError(f"argnums={argnums} names an argument twice (of {count} given)")
    return positions


def _dtype_of(leaf: Any, what: str) -> Any:
    try:
        return jax.typeof(leaf).dtype
    except TypeError:
        raise TypeError(
            f"{what} is not an array or a number: got {leaf!r} of type {type(leaf)}"
        ) from None


def _check_array(name: str, leaf: Any, path: Any) -> None:
    _dtype_of(leaf, f"{name}: argument {keystr(path)}")


def _check_output(leaf: Any, path: Any) -> None:
    _dtype_of(leaf, f"the output{keystr(path)} of the differentiated function")


def _check_input(leaf: Any, path: Any, holomorphic: bool, allow_int: bool) -> None:
    dtype = _dtype_of(leaf, f"grad: argument {keystr(path)}")
    if holomorphic and not jax.dtypes.issubdtype(dtype, np.complexfloating):
        raise TypeError(
            f"grad with holomorphic=True requires inputs with complex dtype, but argument "
            f"{keystr(path)} has dtype {dtype.name}."
        )
    if jax.dtypes.issubdtype(dtype, np.integer) or jax.dtypes.issubdtype(dtype, np.bool_):
        if not allow_int:
            raise TypeError(
                "grad requires real- or complex-valued inputs (input dtype that is a sub-dtype of "
                f"np.inexact), but argument {keystr(path)} has dtype {dtype.name}. If you want to "
                "use Boolean- or integer-valued inputs, use vjp or set allow_int to True."
            )
    elif not jax.dtypes.issubdtype(dtype, np.inexact) and not allow_int:
        raise TypeError(
            "grad requires numerical inputs (input dtype that is a sub-dtype of np.bool_ or "
            f"np.number), but argument {keystr(path)} has dtype {dtype.name}."
        )


def _check_scalar(value: Any, holomorphic: bool) -> None:
    leaves = tree_leaves(value)
    if len(leaves) != 1 or leaves[0] is not value:
        raise TypeError(
            f"Gradient only defined for scalar-output functions. Output was {value}. "
            "With auxiliary outputs, return (scalar, auxiliary) and pass has_aux=True."
        )
    aval = jax.typeof(leaves[0])
    if aval.shape != ():
        raise TypeError(
            "Gradient only defined for scalar-output functions. "
            f"Output had shape: {aval.shape}. Reduce it (jnp.sum, jnp.mean), or use vjp."
        )
    dtype = aval.dtype
    if holomorphic and not jax.dtypes.issubdtype(dtype, np.complexfloating):
        raise TypeError(
            f"grad with holomorphic=True requires outputs with complex dtype, but got {dtype.name}."
        )
    if not holomorphic and not jax.dtypes.issubdtype(dtype, np.floating):
        kind = "complex" if jax.dtypes.issubdtype(dtype, np.complexfloating) else "integer"
        advice = "pass holomorphic=True, or use vjp" if kind == "complex" else "use vjp directly"
        raise TypeError(
            "grad requires real-valued outputs (output dtype that is a sub-dtype of np.floating), "
            f"but got {dtype.name}. For differentiation of functions with {kind} outputs, {advice}."
        )


def _name(dtype: Any) -> str:
    return "float0" if dtype == jax.dtypes.float0 else np.dtype(dtype).name


def _check_cotangent(ct: Any, aval: Any) -> None:
    """A cotangent must have the shape and dtype of the output; float0 where that is an integer."""
    dtype = aval.dtype if is_inexact(aval) else jax.dtypes.float0
    got = _dtype_of(ct, "the cotangent given to the pullback")
    if got != dtype or np.shape(ct) != aval.shape:
        raise ValueError(
            "unexpected JAX type (e.g. shape/dtype) for argument to VJP function: got "
            f"{_name(got)}{list(np.shape(ct))}, but expected {_name(dtype)}{list(aval.shape)}, as "
            f"the corresponding output of the differentiated function had JAX type {aval}"
        )
