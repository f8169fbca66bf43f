"""The table of rules, and the forms in which a rule is written.

A rule's entry says, for each operand of a primitive, what its cotangent is. The names of a rule's
arguments say what it needs, and only that is kept from the forward pass:

=============  ==================================================================================
``g``          the cotangent of the output ("upstream gradient")
``gs``         for a primitive with several outputs: the list of them, None where there is none
``out``        the output's value (``outs`` for several)
``x``          the value of the operand that the rule's entry calls ``x``; a tuple for a ``*group``
``x_aval``     its shape and dtype; a tuple for a ``*group``
``index``      for an operand in a ``*group``: which one the cotangent is asked for
``out_avals``  shapes and dtypes of the outputs
anything else  the primitive's parameter of that name
=============  ==================================================================================
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.extend.core import Primitive

from funcnn.autodiff.sharding import reshaped


class Recorded(NamedTuple):
    """What a rule's forward part gives: what the tape keeps of one primitive."""

    outs: Sequence[Any]
    """the output values"""
    tracked: Sequence[bool]
    """which outputs depend on a tracked input"""
    saved: Any
    """a pytree of arrays: the residuals"""
    backward: Callable[[Any, list[Any]], Sequence[Any]]
    """(saved, cotangents of the outputs) -> cotangents of the operands; absent ones are None"""


Rule = Callable[[Primitive, Sequence[Any], tuple[bool, ...], dict[str, Any]], Recorded]

rules: dict[Primitive, Rule] = {}
no_gradient: set[Primitive] = set()
not_differentiable: dict[Primitive, str] = {}

unexported: dict[str, Callable[[Primitive], None]] = {}
"""Primitives that JAX has no public name for: what to enter when one is met, by its own name."""


def rule_for(primitive: Primitive) -> Rule | None:
    """The rule entered for `primitive`, if there is one."""
    rule = rules.get(primitive)
    if rule is None and primitive.name in unexported and not _is_entered(primitive):
        unexported[primitive.name](primitive)
        rule = rules.get(primitive)
    return rule


def _is_entered(primitive: Primitive) -> bool:
    return primitive in rules or primitive in no_gradient or primitive in not_differentiable


def register(primitive: Primitive | str, rule: Rule) -> None:
    """Enters `rule`, in the general form, for `primitive`; an earlier entry is replaced.

    Here and in the other functions that enter rules, a primitive that JAX does not export is given
    by its name.
    """
    if isinstance(primitive, str):
        _when_met(primitive, functools.partial(register, rule=rule))
        return
    _forget(primitive)
    rules[primitive] = rule


on_change: list[Callable[[], None]] = []  # caches built from rules, to be emptied


def zero_derivative(*primitives: Primitive | str | None) -> None:
    """Enters primitives whose derivative is zero wherever it exists: nothing flows back."""
    for primitive in primitives:
        if isinstance(primitive, str):
            _when_met(primitive, zero_derivative)
        elif primitive is not None:
            _forget(primitive)
            no_gradient.add(primitive)


def no_derivative(why: str, *primitives: Primitive | str | None) -> None:
    """Enters primitives that cannot be differentiated. `why` is said when one is reached."""
    for primitive in primitives:
        if isinstance(primitive, str):
            _when_met(primitive, functools.partial(no_derivative, why))
        elif primitive is not None:
            _forget(primitive)
            not_differentiable[primitive] = why


def _when_met(name: str, enter: Callable[[Primitive], None]) -> None:
    for primitive in [p for p in (*rules, *no_gradient, *not_differentiable) if p.name == name]:
        _forget(primitive)
    unexported[name] = enter


def _forget(primitive: Primitive) -> None:
    """Leaves out what was said of a primitive before."""
    rules.pop(primitive, None)
    no_gradient.discard(primitive)
    not_differentiable.pop(primitive, None)
    for forget in on_change:
        forget()


@contextlib.contextmanager
def temporary_rules() -> Iterator[None]:
    """Within this context rules may be entered or overridden; after it they are as before.

    What is differentiated within it follows them. A function that `jax.jit` has compiled keeps the
    rules it was traced with, within and after: make its `jit` anew where it is to follow others.

    Example:
      >>> from jax import lax
      >>> import funcnn
      >>> from funcnn.autodiff import elementwise, temporary_rules
      >>> with temporary_rules():
      ...     elementwise(lax.round_p, "x", x=1)  # straight through, for training with rounding
      ...     print(funcnn.grad(lambda x: 3 * lax.round(x))(0.7))
      3.0
      >>> print(funcnn.grad(lambda x: 3 * lax.round(x))(0.7))
      0.0
    """
    tables: tuple[Any, ...] = rules, no_gradient, not_differentiable, unexported
    before = [table.copy() for table in tables]
    try:
        yield
    finally:
        for table, content in zip(tables, before, strict=True):
            table.clear()
            table.update(content)
        for forget in on_change:
            forget()


class _Cotangent(NamedTuple):
    """One operand's rule with the names of its arguments."""

    function: Callable[..., Any]
    names: tuple[str, ...]


def _with_names(function: Callable[..., Any] | _Cotangent) -> _Cotangent:
    if isinstance(function, _Cotangent):
        return function
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise TypeError(f"{function} must name each of its arguments: the names say what it needs")
    return _Cotangent(function, tuple(p.name for p in parameters))


def defvjp(primitive: Primitive | str | None, operands: str, /, **cotangents: Any) -> None:
    """Enters a rule: for each operand, a function that gives its cotangent.

    Args:
      primitive: the `jax.extend.core.Primitive`, or its name where JAX does not export it. None
        (this JAX does not have it) enters nothing.
      operands: names for its operands in order, separated by spaces; the last may be ``*name`` for
        any number of them.
      **cotangents: by operand name, a function whose arguments' names say what it needs (see the
        module's table). An operand without one has no gradient (indices, predicates).

    Example: the product rule, "multiplication swaps"::

        defvjp(lax.mul_p, "x y", x=lambda g, y: g * y, y=lambda g, x: g * x)

    Source: deck B, row 23; the form of the table follows the decks' list of gates.
    """
    if primitive is None:
        return
    if isinstance(primitive, str):
        _when_met(primitive, lambda found: defvjp(found, operands, **cotangents))
        return
    names = operands.split()
    star = names[-1].removeprefix("*") if names[-1].startswith("*") else None
    if star is not None:
        names[-1] = star
    if unknown := set(cotangents) - set(names):
        raise ValueError(f"{primitive}: rules for {sorted(unknown)}, but its operands are {names}")
    functions = {name: _with_names(function) for name, function in cotangents.items()}
    last = len(names) - 1
    many_outs = primitive.multiple_results
    value_names = {*names, "outs" if many_outs else "out"}
    aval_names = {f"{name}_aval" for name in names} | {"out_avals"}

    @functools.cache
    def plan(tracked: tuple[bool, ...]):
        """Who is asked for a cotangent, and what must be kept to answer."""
        asked = [
            functions.get(names[min(i, last)]) if is_tracked else None
            for i, is_tracked in enumerate(tracked)
        ]
        needed = {name for f in asked if f is not None for name in f.names}
        return asked, needed & value_names, needed & aval_names

    def by_name(values):
        """The operands, or anything that stands one to one with them, by operand name."""
        if star is None:
            return dict(zip(names, values, strict=True))
        return {**dict(zip(names, values, strict=False)), star: tuple(values[last:])}

    def rule(primitive, values, tracked, params):
        out = primitive.bind(*values, **params)
        outs = out if many_outs else [out]
        asked, kept, shapes = plan(tracked)
        saved = {}
        if kept:
            known = by_name([_as_array(value) for value in values])
            known["outs" if many_outs else "out"] = out
            saved = {name: known[name] for name in kept}
        static = params
        if shapes:
            avals = by_name([jax.typeof(value) for value in values])
            static = {**params, **{f"{name}_aval": aval for name, aval in avals.items()}}
            static["out_avals"] = [jax.typeof(value) for value in outs]
        tracked_out = [any(f is not None for f in asked)] * len(outs)
        return Recorded(outs, tracked_out, saved, functools.partial(backward, asked, static))

    def backward(asked, static, saved, gs):
        known = {**static, **saved, "gs": gs, "g": gs[0]}
        cotangents = []
        for i, f in enumerate(asked):
            known["index"] = i - last
            cotangents.append(None if f is None else f.function(*[known[n] for n in f.names]))
        return cotangents

    register(primitive, rule)


def _as_array(value: Any) -> Any:
    """A Python number bound as an operand, as an array: rules may ask for its dtype."""
    return value if hasattr(value, "dtype") else np.asarray(value, jax.typeof(value).dtype)


def linear(primitive: Primitive | str | None, operands: str, /, **transposes: Any) -> None:
    """Enters a primitive that is linear in each operand named, by its transposes.

    As `defvjp`, but a transpose may use neither the value of its own operand nor the output.
    """
    for name, transpose in transposes.items():
        if {name, "out", "outs"} & set(_with_names(transpose).names):
            raise ValueError(
                f"{primitive}: the transpose for {name!r} uses a value it is linear in"
            )
    defvjp(primitive, operands, **transposes)


def elementwise(primitive: Primitive | str | None, operands: str, /, **derivatives: Any) -> None:
    """Enters an elementwise primitive by its local derivatives.

    Each derivative is 1, -1, or a function of the operands and the output that gives the local
    derivative, which is then multiplied by the upstream gradient. A function with an argument `g`
    gives the product itself, where that is shorter or more exact. Sums over broadcast axes are
    added here.

    Example: ``elementwise(lax.sub_p, "x y", x=1, y=-1)``.
    """
    defvjp(primitive, operands, **{x: _times(d, f"{x}_aval") for x, d in derivatives.items()})


def _times(derivative: Any, aval: str) -> _Cotangent:
    if derivative == 1:
        return _Cotangent(unbroadcast, ("g", aval))
    if derivative == -1:
        return _Cotangent(lambda g, like: unbroadcast(lax.neg(g), like), ("g", aval))
    function, names = _with_names(derivative)
    if names and names[0] == "g":
        return _Cotangent(
            lambda g, like, *rest: unbroadcast(function(g, *rest), like), ("g", aval, *names[1:])
        )
    return _Cotangent(
        lambda g, like, *rest: unbroadcast(lax.mul(g, function(*rest)), like), ("g", aval, *names)
    )


def unbroadcast(g: Any, like: Any) -> Any:
    """Sums `g` over the axes along which a value of `like`'s shape was broadcast.

    lax broadcasts operands of no axes, and axes of length 1.
    """
    if g.shape == like.shape:
        return reshaped(g, like)
    if not like.shape:
        return lax.reduce_sum(g, tuple(range(g.ndim)))
    axes = tuple(i for i, (n, m) in enumerate(zip(g.shape, like.shape, strict=True)) if n != m)
    return reshaped(lax.reduce_sum(g, axes), like)
