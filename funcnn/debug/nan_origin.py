"""Where the first NaN or infinity of a function, or of its gradient, arose."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from funcnn.autodiff.checks import check_argnums, check_callable, positions_of
from funcnn.autodiff.tangents import is_inexact
from funcnn.debug.blame import first_bad, to_blame
from funcnn.debug.levels import Level, level_of
from funcnn.debug.origin import NanOrigin, given_origin, told
from funcnn.debug.walks import (
    Given,
    Origin,
    Walked,
    Way,
    Work,
    both_passes,
    climb,
    gradients_back,
    line_of_rule,
    past_choices,
    values_back,
)
from funcnn.graph.steps import Call


def nan_origin(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    cotangent: Any = None,
) -> Callable[..., NanOrigin | None]:
    """A function that says where the first NaN or infinity arose, forwards or in the gradient.

    It runs `fun` and its reverse pass operation by operation, looks at what comes out, and walks
    from there back to the operation that made NaN, or an infinity, of finite numbers: through
    `jit`, `checkpoint`, branches, loops (in the iteration it was in), `vmap` (the batch index is
    part of the index), and into the rules of `custom_jvp` and `custom_vjp` functions.

    What does no harm is no origin: an infinity or a NaN that nothing in the result depends on, as
    behind a `where`; and an infinity that was given (as an argument or a constant, such as the −∞
    of a mask) and comes out as one, unless the result is a single number, as a loss is.

    Args:
      fun: any function of pytrees of arrays, jitted or not, that returns a pytree of arrays.
      argnums: which positional arguments to take the gradient by, as in `funcnn.grad`. None: all
        that are of floating point, keyword arguments too; () is the forward pass alone.
      has_aux: `fun` returns a pair, of which only the first is differentiated.
      cotangent: the upstream gradient, a pytree like the output; ones where it is left out.

    Returns:
      A function of `fun`'s arguments. It returns a `NanOrigin`, which prints as a text, or None
      where the output and all gradients are finite.

    Raises:
      TypeError: arguments, or arrays that `fun` closes over, that are being traced, or are shapes
        alone: it needs numbers, so call it outside of `jit`.
      ValueError: a cotangent of another structure or shape than the output.

    Costs as much as the eager function and its gradient, and keeps all values in between.

    Source: the JAX FAQ, "Gradients contain NaN where using where"; deck B, rows 21 to 25, for the
    way back step by step.

    Example:

    >>> import jax.numpy as jnp
    >>> from funcnn import debug
    >>> def loss(x):
    ...     return jnp.sum(jnp.where(x > 0, jnp.log(x), 0.0))
    >>> origin = debug.nan_origin(loss)(jnp.array([1.0, 0.0]))
    >>> origin.where, origin.primitive, origin.index, origin.place.function
    ('gradient', 'log', (1,), 'loss')
    >>> debug.nan_origin(loss)(jnp.array([1.0, 2.0])) is None
    True
    """
    check_callable(fun)
    if argnums is not None:
        argnums = check_argnums(argnums)

    def origin_of(*args: Any, **kwargs: Any) -> NanOrigin | None:
        problem = _Problem(fun, argnums, has_aux, args, kwargs)
        call = Call("", problem.of_leaves, problem.values, (False,) * len(problem.values))
        forward = level_of(call)
        _check_concrete(forward)
        found = _in_values(forward, problem)
        if found is None and any(problem.tracked):
            upstream = problem.upstream(forward, cotangent)
            backward = level_of(call._replace(tracked=problem.tracked, upstream=upstream))
            # the forward rule of a custom_vjp function may give what its code does not
            found = _in_values(backward, problem) or _in_gradients(backward, problem)
        return found

    return origin_of


class _Problem:
    """A function as one of its floating-point leaves, and the names of these."""

    def __init__(self, fun, argnums, has_aux, args, kwargs):
        leaves, structure = jax.tree.flatten_with_path((args, kwargs))
        named = _names(fun, args, kwargs)
        for path, leaf in leaves:
            _check_numbers(leaf, named(path))
        self.fun, self.has_aux, self.structure = fun, has_aux, structure
        self.leaves = [leaf for _, leaf in leaves]
        every = range(len(args)) if argnums is None else argnums
        chosen = positions_of(every if isinstance(every, int) else tuple(every), len(args))
        self.places = [i for i, leaf in enumerate(self.leaves) if _is_number(leaf)]
        self.names = [named(leaves[i][0]) for i in self.places]
        self.values = tuple(jnp.asarray(self.leaves[i]) for i in self.places)
        paths = [leaves[i][0] for i in self.places]
        by_keyword = argnums is None
        self.tracked = tuple(p[1].idx in chosen if p[0].idx == 0 else by_keyword for p in paths)
        self.outputs: list[str] = []
        self.single = False
        self.of_aux: list[bool] = []
        self.shape: Any = None

    def of_leaves(self, values: list[Any]) -> list[Any]:
        full = list(self.leaves)
        for i, value in zip(self.places, values, strict=True):
            full[i] = value
        args, kwargs = jax.tree.unflatten(self.structure, full)
        out = self.fun(*args, **kwargs)
        if self.has_aux and not (isinstance(out, (tuple, list)) and len(out) == 2):
            raise TypeError(
                "nan_origin: with has_aux=True the function must return a pair (output, auxiliary "
                f"data), got {type(out).__name__}"
            )
        main, aux = out if self.has_aux else (out, ())
        self.shape = jax.tree.structure(main)
        pairs = [(path, leaf, False) for path, leaf in jax.tree.leaves_with_path(main)]
        self.single = len(pairs) == 1 and jnp.shape(pairs[0][1]) == ()
        pairs += [(path, leaf, True) for path, leaf in jax.tree.leaves_with_path(aux)]
        of = lambda is_aux: "the auxiliary output" if is_aux else "the output"
        for path, leaf, is_aux in pairs:
            if isinstance(leaf, jax.ShapeDtypeStruct):
                _check_numbers(leaf, f"{of(is_aux)}{keystr(path)}")
        pairs = [each for each in pairs if _is_number(each[1])]
        self.outputs = [f"{of(is_aux)}{keystr(path)}" for path, _, is_aux in pairs]
        self.of_aux = [is_aux for _, _, is_aux in pairs]
        return [jnp.asarray(leaf) for _, leaf, _ in pairs]

    def upstream(self, level: Level, cotangent: Any) -> tuple[Any, ...]:
        outs = [level.found.values[number] for number in level.found.outputs]
        main = [out for out, is_aux in zip(outs, self.of_aux, strict=True) if not is_aux]
        if cotangent is None:
            given = [jnp.ones_like(out) for out in main]
        else:
            if jax.tree.structure(cotangent) != self.shape:
                raise ValueError(
                    f"nan_origin: expected a cotangent like the output, {self.shape}, got "
                    f"{jax.tree.structure(cotangent)}"
                )
            for path, g in jax.tree.leaves_with_path(cotangent):
                _check_numbers(g, f"the cotangent{keystr(path)}")
            given = [g for g in jax.tree.leaves(cotangent) if _is_number(g)]
            shapes = [jnp.shape(g) for g in given], [jnp.shape(out) for out in main]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"nan_origin: expected a cotangent of the output's shapes {shapes[1]}, got "
                    f"{shapes[0]}"
                )
            given = [jnp.asarray(g, out.dtype) for g, out in zip(given, main, strict=True)]
        return (*given, *[None] * (len(outs) - len(main)))


def _in_values(level: Level, problem: _Problem) -> NanOrigin | None:
    """The origin of what is not finite in the output."""
    work: Work = []
    ends = []
    for number, name in zip(level.found.outputs, problem.outputs, strict=True):
        value = level.found.values[number]
        for kind in (np.nan, np.inf):
            index = first_bad(value, kind)
            if index is None or any(entry[:2] == (number, index) for entry in work):
                continue
            work.append((number, index, Way()))
            ends.append((name, index, np.asarray(value)[index]))
    for one, end in zip(work, ends, strict=True):
        walked = values_back(level, (), [one])
        found = _first_value(walked, problem, end, problem.single)
        if found is not None:
            return found
    return None


def _first_value(walked: Walked, problem: _Problem, end: Any, single: bool) -> NanOrigin | None:
    matters = lambda g: single or np.isnan(g.value) or g.way.became is not None
    if any(map(matters, walked.given)):
        walked = past_choices(walked)
    nans = [g for g in walked.given if np.isnan(g.value)]
    infinite = [g for g in walked.given if not np.isnan(g.value)]
    if nans and nans[0].position is not None:
        return given_origin(nans[0], problem.names, end)
    if walked.origins:
        return told(min(walked.origins, key=lambda o: o.spot.order), "forward", end)
    if nans:
        return given_origin(nans[0], problem.names, end)
    became = [(g.way.became, g) for g in infinite if g.way.became is not None]
    if became:
        spot, g = min(became, key=lambda each: each[0].order)
        return told(Origin(spot), "forward", end, _source_of(g, problem))
    if infinite and single:
        return given_origin(infinite[0], problem.names, end)
    return None


def _in_gradients(level: Level, problem: _Problem) -> NanOrigin | None:
    """The origin of what is not finite in the gradient of an input."""
    origins: list[tuple[Origin, Any]] = []
    given: list[tuple[Given, Any]] = []
    for number, name, tracked in zip(
        level.found.inputs, problem.names, problem.tracked, strict=True
    ):
        g = level.found.gradients.get(number)
        index = None if g is None or not tracked else first_bad(g)
        if index is None:
            continue
        end = f"the gradient of {name}", index, np.asarray(g)[index]
        walked = gradients_back(level, (), [(number, index, Way())])
        origins += [(origin, end) for origin in walked.origins]
        given += [(g, end) for g in walked.given]
    if not origins:
        if not given:
            return None
        g, end = given[0]
        return given_origin(g, ["the cotangent"] * len(level.found.outputs), end)
    origin, end = max(origins, key=lambda each: each[0].spot.order)
    return _looked_into(origin, problem, end)


def _looked_into(origin: Origin, problem: _Problem, end: Any) -> NanOrigin:
    """What is behind a step back that made NaN of a finite gradient.

    An infinity from the forward pass that it was multiplied by; or a line of the user's rule.
    """
    spot = origin.spot
    step, level = spot.of, spot.level
    values = [level.found.values[n] for n in step.inputs]
    passes = both_passes(step)
    causes = to_blame(passes, values, spot.position, spot.index, spot.entry)
    if causes:
        became = origin.became or spot
        work: Work = [(step.inputs[k], entry, Way(became, spot)) for k, entry in causes]
        walked = past_choices(climb(spot.trail, values_back(level, spot.trail, work)))
        if walked.origins:
            first = min(walked.origins, key=lambda o: o.spot.order)
            return told(Origin(first.spot, became), "gradient", end, leaf=spot)
        source = _source_of(walked.given[0], problem) if walked.given else None
        return told(origin, "gradient", end, source, leaf=spot)
    if "subfuns" in step.params:
        handed_on = lambda values: [passes(values)[spot.position]]
        untracked = (False,) * len(values)
        call = Call(step.params["name"], handed_on, tuple(values), untracked, (None,))
        rule = level_of(call._replace(source=line_of_rule(step)))
        [number] = rule.found.outputs
        if (index := first_bad(rule.found.values[number])) is not None:
            walked = values_back(rule, spot.trail, [(number, index, Way())])
            if walked.origins:
                first = min(walked.origins, key=lambda o: o.spot.order)
                return told(first, "gradient", end, leaf=spot, rule=step.params["name"])
    return told(origin, "gradient", end, leaf=spot)


def _source_of(g: Given, problem: _Problem) -> str:
    if g.position is None:
        return "a constant"
    return problem.names[g.position]


def _check_numbers(leaf: Any, name: str) -> None:
    if isinstance(leaf, jax.core.Tracer):
        raise TypeError(
            f"nan_origin: {name} is being traced. It needs numbers: call it with arrays, outside "
            "of jit, vmap and gradients (fun itself may be jitted)."
        )
    if isinstance(leaf, jax.ShapeDtypeStruct):
        raise TypeError(
            f"nan_origin: {name} is a shape without numbers, {leaf}. It needs numbers: call it "
            "with arrays."
        )


def _check_concrete(level: Level) -> None:
    """Within `jit` all is traced, and within `vmap` what `fun` closes over may be."""
    if any(isinstance(value, jax.core.Tracer) for value in level.found.values.values()):
        raise TypeError(
            "nan_origin: what fun computes is being traced: nan_origin is called within jit, vmap "
            "or a gradient, or fun closes over one of their arrays. It needs numbers: call it "
            "outside of them (fun itself may be jitted)."
        )


def _is_number(leaf: Any) -> bool:
    if isinstance(leaf, (float, complex)):
        return True
    return hasattr(leaf, "dtype") and is_inexact(leaf)


def _names(fun: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[Any], str]:
    """From a leaf's path in ``(args, kwargs)`` to its name: `params[0]['w']`, or `args[0]`."""
    try:
        known = list(inspect.signature(fun).parameters.values())
        several = inspect.Parameter.VAR_POSITIONAL
        given = [p.name for p in known if p.kind <= several]
        if any(p.kind == several for p in known) or len(given) < len(args):
            given = [f"args[{i}]" for i in range(len(args))]
    except (TypeError, ValueError):  # of a built-in function, say
        given = [f"args[{i}]" for i in range(len(args))]

    def name(path: Any) -> str:
        if path[0].idx == 0:
            return f"{given[path[1].idx]}{keystr(path[2:])}"
        return f"{path[1].key}{keystr(path[2:])}"

    return name
