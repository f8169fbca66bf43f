"""`jacrev`, `hessian` and `hvp`: first and second derivatives of whole outputs, by `vjp` alone."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.tree_util import (
    keystr,
    tree_flatten,
    tree_leaves,
    tree_leaves_with_path,
    tree_structure,
    tree_unflatten,
)

from funcnn.autodiff.checks import (
    check_argnums,
    check_array,
    check_callable,
    check_input,
    check_output_dtype,
)
from funcnn.autodiff.tangents import is_inexact
from funcnn.autodiff.transforms import grad, named_after, of_argnums, one, vjp


def jacrev(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable:
    """A function that gives the Jacobian of `fun`, row by row, as `jax.jacrev`.

    Args:
      fun: a function of pytrees of arrays that returns one; with `has_aux` a pair of it and
        anything else.
      argnums: which positional arguments to differentiate: an int, or a sequence of them.
      has_aux: see `fun`. The result is then ``(jacobian, aux)``.
      holomorphic: `fun` is holomorphic: inputs and outputs are complex.
      allow_int: allow integer and boolean leaves; their Jacobians are zeros.

    Returns:
      A function of `fun`'s arguments, keyword arguments included. What it returns has the
      structure of the output, with the structure of the argument in place of each leaf (a tuple of
      those when `argnums` is a sequence): an output of shape ``(a, b)`` and an input of shape
      ``(c,)`` give an array of shape ``(a, b, c)``, of the input's dtype.

    Raises:
      TypeError: as `grad`, but an output may have any shape and be any pytree.

    Example:

    >>> import jax.numpy as jnp
    >>> from funcnn import jacrev
    >>> jacrev(lambda x: jnp.stack([x[0] * x[1], x[0] ** 2]))(jnp.array([3.0, 5.0])).tolist()
    [[5.0, 3.0], [6.0, 0.0]]

    The backward pass is run once for each number in the output, all at once (`jax.vmap`): where
    outputs are many and inputs few, `jax.jacfwd` costs less.

    Source: deck B, row 24: the Jacobian matrix of a vector function.
    """
    return _jacobian("jacrev", fun, argnums, has_aux, holomorphic, allow_int)


def hessian(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable:
    """A function that gives the Hessian of `fun` as arrays, as `jax.hessian`.

    It is the Jacobian of the Jacobian, both by reverse mode. Arguments and errors are those of
    `jacrev`. For an output of shape ``(a,)`` and an input of shape ``(c,)`` it is an array of shape
    ``(a, c, c)``; in pytrees the structure of the output comes first, then twice that of the
    argument.

    Example:

    >>> import jax.numpy as jnp
    >>> from funcnn import hessian
    >>> hessian(lambda x: x[0] ** 2 * x[1])(jnp.array([3.0, 5.0])).tolist()
    [[10.0, 6.0], [6.0, 0.0]]

    For its product with one vector use `hvp`, which costs about as much as two gradients.
    """
    jacobian = _jacobian("hessian", fun, argnums, has_aux, holomorphic)
    # a block has the dtype of the first of its two inputs, as with jax.hessian
    return _jacobian("hessian", jacobian, argnums, has_aux, holomorphic, dtype_of="output")


def hvp(
    fun: Callable, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> Any:
    """The Hessian of `fun` at `primals` times `tangents`, without the Hessian.

    Args:
      fun: returns a scalar; with `has_aux` a pair of a scalar and anything else.
      primals: a tuple of `fun`'s positional arguments, as in `jax.jvp`; all are differentiated.
      tangents: the vector: a tuple of the structure, shapes and dtypes of `primals`.
      has_aux: see `fun`. The result is then ``(product, aux)``.

    Returns:
      The product, a tuple with the structure of `primals`.

    Raises:
      TypeError: as `grad`; or `primals` and `tangents` that are no sequences, or do not fit.

    Example:

    >>> import jax.numpy as jnp
    >>> from funcnn import hvp
    >>> x, v = jnp.array([1.0, 2.0]), jnp.array([1.0, 10.0])
    >>> [product] = hvp(lambda x: jnp.sum(x**3), (x,), (v,))
    >>> product.tolist()
    [6.0, 120.0]

    A Hessian is symmetric, so its product with a vector from the right, which forward mode gives,
    is that from the left, which is the pullback of the gradient. For many products at one place
    (conjugate gradients, Lanczos) keep the pullback:
    ``gradient, product = vjp(grad(fun), x)``, then ``product(v)``, as often as wanted.
    """
    _check_tangents(primals, tangents)
    gradient = grad(fun, tuple(range(len(primals))), has_aux=has_aux)
    _, pullback, *aux = vjp(gradient, *primals, has_aux=has_aux)
    product = pullback(tuple(tangents))
    return (product, *aux) if has_aux else product


def _jacobian(name, fun, argnums, has_aux, holomorphic, allow_int=False, dtype_of="input"):
    check_callable(fun)
    argnums = check_argnums(argnums)

    @named_after(fun, "the second derivatives" if name == "hessian" else "the Jacobian", argnums)
    def jacobian_of_fun(*args, **kwargs):
        of_primals, primals = of_argnums(fun, argnums, args, kwargs)
        for path, leaf in tree_leaves_with_path(primals):
            check_input(name, leaf, path, holomorphic, allow_int)
        inputs, in_tree = tree_flatten(primals[0] if isinstance(argnums, int) else primals)
        inputs = [jax.typeof(x) for x in inputs]
        out, pullback, *aux = vjp(of_primals, *primals, has_aux=has_aux)
        outputs, out_tree = tree_flatten(out)
        for output in outputs:
            check_output_dtype(name, output, holomorphic)
        rows = tree_leaves(_rows(pullback, outputs, out_tree))
        blocks = []
        for y, start in _with_starts(outputs):
            of_y = [
                _block(row[start : start + y.size], y, x, y if dtype_of == "output" else x)
                for row, x in zip(rows, inputs, strict=True)
            ]
            blocks.append(tree_unflatten(in_tree, of_y))
        jacobian = tree_unflatten(out_tree, blocks)
        return (jacobian, *aux) if has_aux else jacobian

    return jacobian_of_fun


def _rows(pullback, outputs, out_tree):
    """What `pullback` gives for each number in the outputs, stacked along a first axis."""
    if [np.shape(y) for y in outputs] == [()]:
        gs = pullback(tree_unflatten(out_tree, [one(outputs[0])]))
        return jax.tree.map(lambda g: g[None], gs)
    count = sum(map(np.size, outputs))
    basis = []
    for y, (aval, start) in zip(outputs, _with_starts(outputs), strict=True):
        is_one = jnp.eye(count, aval.size, -start, dtype=bool).reshape(count, *aval.shape)
        ones, zeros = (lax.full_like(y, n, shape=is_one.shape) for n in (1, 0))
        basis.append(lax.select(is_one, ones, zeros))
    return jax.vmap(pullback, axis_size=count)(tree_unflatten(out_tree, basis))


def _with_starts(outputs):
    """Each output's type, and where its numbers start when all outputs are laid end to end."""
    avals = [jax.typeof(y) for y in outputs]
    return zip(avals, np.cumsum([0, *(y.size for y in avals)]).tolist(), strict=False)


def _block(rows, y, x, like):
    """The rows that belong to one output and one input, in both shapes; the dtype of `like`."""
    shape = (*y.shape, *x.shape)
    if not is_inexact(x):  # cotangents of integers are of type float0; JAX makes them integers
        is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended)
        return np.zeros(shape, jax.dtypes.float0) if is_key else lax.full(shape, 0, x.dtype)
    rows = lax.reshape(rows, shape)
    if (rows.dtype, rows.weak_type) == (like.dtype, like.weak_type):
        return rows
    if jnp.iscomplexobj(rows) and not jax.dtypes.issubdtype(like.dtype, np.complexfloating):
        rows = lax.real(rows)
    return lax.convert_element_type_p.bind(
        rows, new_dtype=like.dtype, weak_type=like.weak_type, sharding=None
    )


def _check_tangents(primals: Any, tangents: Any) -> None:
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(
                f"hvp: {name} must be a tuple with one entry for each argument of the function, "
                f"got {type(given).__name__}. For one argument x, write (x,)."
            )
    expected: Any = tree_structure(tuple(primals))
    got: Any = tree_structure(tuple(tangents))
    if expected != got:
        raise TypeError(
            f"hvp: tangents must have the structure of the primals, {expected}, but got {got}."
        )
    for (path, x), (_, v) in zip(
        tree_leaves_with_path(tuple(primals)), tree_leaves_with_path(tuple(tangents)), strict=True
    ):
        check_array("hvp", x, path)
        check_array("hvp", v, path)
        x, v = jax.typeof(x), jax.typeof(v)
        if x.shape != v.shape or x.dtype != v.dtype:
            raise TypeError(
                f"hvp: tangents{keystr(path)} must have the shape and dtype of its primal, "
                f"{x.str_short()}, but is {v.str_short()}."
            )
