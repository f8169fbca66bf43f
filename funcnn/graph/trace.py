"""`trace`: the computational graph of a function at given arguments."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten, tree_flatten_with_path, tree_unflatten

from funcnn.autodiff.checks import check_callable
from funcnn.autodiff.tangents import is_inexact
from funcnn.graph.flat import View, flatten
from funcnn.graph.graph import Graph
from funcnn.graph.program import Program
from funcnn.graph.steps import Call
from funcnn.graph.view import Named, Parts, parts

_MANY = 40  # nodes; a graph of more is folded at first


def trace(fun: Callable, *, cotangent: Any = None) -> Callable[..., Graph]:
    """The computational graph of a function, with the numbers of both passes.

    ``trace(fun)(*args)`` runs `fun` forward and backward, by funcnn's own reverse mode, and keeps
    everything: each node's value and gradient, each edge's local gradient, and the line of the
    user's program that each comes from.

    Args:
      fun: a function of pytrees of arrays that returns one: plain `jnp`, a funcnn layer, a jitted
        function. One that is a `jax.jit` as a whole is looked into.
      cotangent: the gradient that the backward pass starts with, of the structure and shapes of
        what `fun` returns; ones where it is not given.

    Returns:
      A function of `fun`'s arguments that returns a `Graph`. Arrays, floats and complex numbers
      among the arguments are inputs, named as in `fun`'s signature (`w0`, `params[0]['kernel']`);
      arrays of integers are inputs without a gradient. Python's integers, texts and functions are
      not part of the graph. Where an argument is a `jax.ShapeDtypeStruct`, the graph has shapes and
      no values.

      A graph of more than 40 nodes is folded at first, by layers, scopes and the user's jitted
      functions; JAX's functions of several operations (`jnp.mean`), those with a rule of their own
      (`jax.nn.relu`) and loops are one node each. `Graph.unfold` opens them.

    Raises:
      TypeError: an argument or a result that is no array; tracers of a `jax.jit` that this is
        called in.
      ValueError: no argument that is an array; a cotangent of another structure or shape.
      NotImplementedError: a primitive without a rule.

    Example: deck B, row 22.

    >>> import jax.numpy as jnp
    >>> def f(w0, x0, w1, x1, w2):
    ...     return 1 / (1 + jnp.exp(-(w0 * x0 + w1 * x1 + w2)))
    >>> print(trace(f)(2.0, -1.0, -3.0, -2.0, -3.0).table(lines=False))
    #   node  from  shape   value  gradient
    0   w0          scalar  2.00   -0.20
    1   x0          scalar  -1.00  0.39
    2   w1          scalar  -3.00  -0.39
    3   x1          scalar  -2.00  -0.59
    4   w2          scalar  -3.00  0.20
    5   ×     0 1   scalar  -2.00  0.20
    6   ×     2 3   scalar  6.00   0.20
    7   +     5 6   scalar  4.00   0.20
    8   +     7 4   scalar  1.00   0.20
    9   ×−1   8     scalar  -1.00  -0.20
    10  exp   9     scalar  0.37   -0.53
    11  +1    10    scalar  1.37   -0.53
    12  1/x   11    scalar  0.73   1.00

    Source: deck B, rows 21 to 25, 28.
    """
    check_callable(fun)

    @functools.wraps(fun, assigned=("__module__", "__name__", "__qualname__"), updated=())
    def traced(*args: Any, **kwargs: Any) -> Graph:
        arguments = _Arguments(fun, args, kwargs)
        outputs = _Outputs(cotangent)
        title = getattr(fun, "__name__", type(fun).__name__).replace("<lambda>", "λ")
        draw = _of_shapes if arguments.is_abstract else _of_values
        drawn = draw(fun, arguments, outputs)

        def seen(view: View) -> Graph:
            return Graph(title, *drawn(view), view, seen)

        return _folded_to_size(seen)

    return traced


def _folded_to_size(seen: Callable[[View], Graph]) -> Graph:
    graph = seen(View())
    depth = max((len(group.path) for group in graph.groups if not group.folded), default=0)
    while len(graph) > _MANY and depth > 0:
        depth -= 1
        graph = seen(View(depth=depth))
    return graph


Drawing = Callable[[View], Parts]


def _of_values(fun: Callable, arguments: "_Arguments", outputs: "_Outputs") -> Drawing:
    program = Program(_call(fun, arguments, outputs, arguments.values), ())
    return functools.partial(_drawn, program, arguments, outputs)


def _of_shapes(fun: Callable, arguments: "_Arguments", outputs: "_Outputs") -> Drawing:
    """By shapes: everything anew for each view, as what JAX traces by must not be kept."""

    def drawn(view: View) -> Parts:
        found = []

        def body(values: Sequence[Any]) -> None:
            program = Program(_call(fun, arguments, outputs, values), ())
            found.append(_drawn(program, arguments, outputs, view))

        jax.eval_shape(body, list(arguments.values))
        return found[0]

    return drawn


def _call(
    fun: Callable, arguments: "_Arguments", outputs: "_Outputs", values: Sequence[Any]
) -> Call:
    run = lambda given: outputs.flatten(arguments.call(fun, given))
    tracked = tuple(map(is_inexact, values))
    return Call("fun", run, tuple(values), tracked, outputs.upstream)


def _drawn(program: Program, arguments: "_Arguments", outputs: "_Outputs", view: View) -> Parts:
    flat = flatten(program, view)
    keys = [(program, number) for number in program.found.inputs]
    outs = [(program, number) for number in program.found.outputs]
    named = list(zip(keys, arguments.names, strict=True))
    return parts(flat, named, list(zip(outs, outputs.names, strict=True)))


class _Arguments:
    """What a function was called with: arrays with their names, and the rest.

    Attributes:
      values, names: of the arrays.
      is_abstract: whether there are but shapes.
    """

    def __init__(self, fun: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]):
        leaves, names, self._structure = _named_leaves(fun, args, kwargs)
        self.is_abstract = any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
        self._leaves = [
            _checked(leaf, named.name) for leaf, named in zip(leaves, names, strict=True)
        ]
        self._inputs = [i for i, leaf in enumerate(self._leaves) if hasattr(leaf, "dtype")]
        if not self._inputs:
            raise ValueError(
                "trace: none of the arguments is an array or a float: write 2.0 for 2, so that "
                "there is something to follow"
            )
        self.values = [self._leaves[i] for i in self._inputs]
        self.names = [names[i] for i in self._inputs]

    def call(self, fun: Callable, values: Sequence[Any]) -> Any:
        leaves = list(self._leaves)
        for i, value in zip(self._inputs, values, strict=True):
            leaves[i] = value
        args, kwargs = tree_unflatten(self._structure, leaves)
        return fun(*args, **kwargs)


def _named_leaves(
    fun: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], list[Named], Any]:
    found, structure = tree_flatten_with_path((args, kwargs))
    positional = _parameter_names(fun, len(args))
    names = []
    for (_, which, *rest), _ in found:
        start = positional[which.idx] if hasattr(which, "idx") else str(which.key)
        parent = start + keystr(tuple(rest[:-1])) if rest else None
        names.append(Named(start + keystr(tuple(rest)), parent))
    return [leaf for _, leaf in found], names, structure


def _parameter_names(fun: Callable, n: int) -> list[str]:
    """The names of the first positional parameters."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):  # of some builtins nothing is known
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    return [names[i] if i < len(names) else f"{rest}[{i - len(names)}]" for i in range(n)]


def _checked(leaf: Any, name: str) -> Any:
    """An array, or what is no part of the graph as it is."""
    if isinstance(leaf, jax.core.Tracer):
        raise TypeError(
            f"trace: the argument {name} is a tracer: call trace outside of jax.jit, jax.grad and "
            "jax.vmap, or give it a jax.ShapeDtypeStruct, where shapes are enough"
        )
    if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct):
        return leaf
    if isinstance(leaf, float | complex | np.ndarray | np.generic):
        if np.asarray(leaf).dtype.kind in "OSU":
            raise TypeError(f"trace: expected an array of numbers as {name}, got {leaf!r}")
        return jax.numpy.asarray(leaf)
    if isinstance(leaf, bool | int | str | bytes | np.dtype) or callable(leaf):
        return leaf
    raise TypeError(
        f"trace: expected arrays, numbers or functions, got {leaf!r} of type "
        f"{type(leaf).__name__} as {name}: convert it with jnp.asarray, or let the function close "
        "over it"
    )


class _Outputs:
    """What a function returned.

    Attributes:
      upstream: the cotangents, flat; None for ones.
      names: of the arrays, known when the function has run.
    """

    def __init__(self, cotangent: Any):
        self._structure: Any = None
        self.upstream: tuple[Any, ...] | None = None
        if cotangent is not None:
            flat, self._structure = tree_flatten(cotangent)
            self.upstream = tuple(map(jax.numpy.asarray, flat))
        self.names: list[str] = []

    def flatten(self, out: Any) -> list[Any]:
        found, structure = tree_flatten_with_path(out)
        for path, leaf in found:
            if not hasattr(leaf, "dtype") and not isinstance(leaf, bool | int | float | complex):
                raise TypeError(
                    f"trace: expected a function that returns arrays, got {leaf!r} of type "
                    f"{type(leaf).__name__} as output{keystr(path)}"
                )
        self.names = [f"output{keystr(path)}" for path, _ in found]
        if self.upstream is not None:
            self._check(structure, [leaf for _, leaf in found])
        return [leaf for _, leaf in found]

    def _check(self, structure: Any, leaves: Sequence[Any]) -> None:
        if structure != self._structure:
            raise ValueError(
                f"trace: expected a cotangent of the structure of the output, {structure}, got "
                f"{self._structure}"
            )
        for g, leaf, name in zip(self.upstream or (), leaves, self.names, strict=True):
            aval = jax.typeof(leaf)
            if is_inexact(leaf) and (g.shape, g.dtype) != (aval.shape, aval.dtype):
                raise ValueError(
                    f"trace: expected a cotangent of shape {aval.shape} and dtype {aval.dtype} for "
                    f"{name}, got {g.shape} and {g.dtype}"
                )
