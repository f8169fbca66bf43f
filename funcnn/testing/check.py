"""`check_grads`: funcnn, JAX, the code behind custom rules and central differences side by side."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from funcnn.testing.arguments import Function, check_same, read
from funcnn.testing.judge import DIFFERENCES, Verdict, judge
from funcnn.testing.opinions import DOUBLE, Opinions, Pullback, Tolerance, tolerance_for
from funcnn.testing.precision import first_line, problems
from funcnn.testing.problem import FUNCNN, JAX, PRIMAL, Problem
from funcnn.testing.report import NAMES, Finding, Report, WrongGradient
from funcnn.testing.search import Number, most_different, off_along, some_of_each_leaf
from funcnn.testing.vectors import Space, pack, unpack

Vector = np.ndarray


def check_grads(
    fun: Callable[..., Any],
    args: Sequence[Any],
    order: int = 1,
    modes: Collection[str] = ("rev",),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    *,
    against: Collection[str] = (JAX, DIFFERENCES, PRIMAL),
    directions: int = 3,
    seed: int = 0,
) -> Report:
    """Checks the gradient of `fun` at `args`, and says where it is wrong and who thinks otherwise.

    The gradient that `funcnn.vjp` gives is held against those of `jax.vjp`, against central
    differences, and, where functions with `jax.custom_vjp` or `jax.custom_jvp` are in it, against
    the derivative of the code that their rules stand for: that finds a wrong rule exactly.

    All of it is computed in 64 bits if `fun` lets its arguments be so, whatever their type, and
    then once more in their own types. The differences find their step sizes themselves, and know
    their error: noise is never called a wrong gradient. What is allowed is relative to the number
    and to the largest of its leaf, and grows with what rounding does to it.

    Args:
      fun: a function of pytrees of arrays that gives a pytree of arrays, real or complex, of any
        shapes. It must be a function of its arguments alone. Integers, in and out, are let be.
      args: a tuple of its arguments. No NaN; what is infinite is not moved.
      order: 1, or 2 for the derivative of the gradient too.
      modes: ("rev",), or ("fwd", "rev") to hold `jax.jvp` against the gradient too.
      atol: an absolute error to allow in addition.
      rtol: the relative error to allow, instead of 1e-6 in 64 bits and 1e-5 in float32.
      eps: the largest step of the differences, instead of a quarter of the argument.
      against: who is asked: "jax", "differences", "primal" (the code behind custom rules). Leave
        out the last two for a rule that is no derivative on purpose.
      directions: how many random directions to check. A gradient of up to 32 numbers is also
        checked number by number, a larger one at 8 of them and where opinions differ most.
      seed: of the cotangents and directions.

    Returns:
      The report, if nothing is wrong: `print` it to see the numbers.

    Raises:
      WrongGradient: an AssertionError that names leaf, index, the values there, who agrees with
        whom, and what is wrong. Its attribute `report` is the report.
      TypeError, ValueError: arguments that cannot be checked; the message says why.

    Example:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn.testing import check_grads
    >>> check_grads(lambda x: jnp.sum(x**2), (jnp.arange(3.0),)).passed
    True
    >>> @jax.custom_vjp
    ... def square(x):
    ...     return x * x
    >>> square.defvjp(lambda x: (x * x, x), lambda x, g: (1.9999 * x * g,))
    >>> check_grads(square, (3.0,))
    Traceback (most recent call last):
    funcnn.testing.report.WrongGradient: check_grads: the gradient of `square` is wrong
    <BLANKLINE>
      at args[0] (computed in float64), of args[0]: float32[]
        funcnn                       5.9997
        jax                          5.9997                the same
        code behind the custom rule  6                     off by -0.0003: -5e-05 relative, 629 ulps
        differences                  6 ± ...               off by -0.0003: -5e-05 relative, 629 ulps
    <BLANKLINE>
      funcnn and jax agree; the code behind the custom rule and the differences agree with each
      other: the rule of `square` is not the derivative of the code it stands for.
      Numbers of this leaf that were looked at: 1; wrong: 1.
    """
    _check_options(order, modes, against)
    function = read(fun, args)
    report = Report(function.name, [], [], [])
    rng = np.random.default_rng(seed)
    everywhere, rule = problems(function, report.notes)
    asked = [FUNCNN, *(who for who in (JAX, PRIMAL) if who in against and (rule or who == JAX))]
    cotangents = _cotangents(function, rng, report.notes)
    for level in range(1, order + 1):
        exact: Opinions | None = None
        for n, problem in enumerate(everywhere):
            pullbacks = _pullbacks(problem, asked, function.x, cotangents, report.notes)
            everywhere[n] = problem = problem.asking(pullbacks)
            if exact is not None:
                pullbacks[DOUBLE] = exact.pullbacks[exact.claimant]
            tolerance = _tolerance(problem.unit, atol, rtol)
            opinions = Opinions(problem, pullbacks, function.x, cotangents, tolerance, eps)
            numbers = most_different(opinions)
            if exact is None:
                report.failures.extend(_other_values(opinions) if level == 1 else [])
                if "fwd" in modes:
                    report.failures.extend(_other_pushforward(opinions, directions, rng))
                if DIFFERENCES in against:
                    numbers += some_of_each_leaf(opinions, 8, rng)
                    numbers += [n for _ in range(directions) for n in off_along(opinions, rng)]
            _judge(opinions, numbers, level, rule, DIFFERENCES in against, function.inputs, report)
            if not report.passed:
                raise WrongGradient(report)
            exact = opinions if problem.widened else None
        everywhere = [problem.gradient(cotangents[0]) for problem in everywhere]
        cotangents = np.array([_draw(len(function.x), rng) for _ in range(2)])
    again = function.fun(*unpack(function.x, function.inputs))
    check_same(function.name, function.outputs, function.value, pack(again))
    return report


def _check_options(order: Any, modes: Collection[str], against: Collection[str]) -> None:
    if order not in (1, 2):
        raise ValueError(f"check_grads: order must be 1 or 2, got {order!r}.")
    if not {"rev"} <= set(modes) <= {"fwd", "rev"}:
        raise ValueError(
            f'check_grads: modes must be ("rev",) or ("fwd", "rev"), got {modes!r}: reverse mode '
            "is what it checks."
        )
    if unknown := set(against) - {JAX, DIFFERENCES, PRIMAL}:
        raise ValueError(
            f'check_grads: against may hold "jax", "differences" and "primal", got {unknown}.'
        )


def _tolerance(unit: float, atol: float | None, rtol: float | None) -> Tolerance:
    usual = tolerance_for(unit)
    relative = usual.relative if rtol is None else rtol
    return usual._replace(relative=relative, absolute=atol or 0.0)


def _cotangents(function: Function, rng: np.random.Generator, notes: list[str]) -> Vector:
    """(k, m): two for all outputs together, and one for each output alone if there are a few."""
    finite = np.isfinite(function.value)
    if not finite.all():
        notes.append(f"{(~finite).sum()} of the function's values are infinite: left out")
    if not (len(function.x) and len(finite)):
        notes.append("the arrays are empty: there are no numbers to compare")
    size = len(finite)
    found = [np.ones(1) if size == 1 else _draw(size, rng), _draw(size, rng)]
    if 1 < len(function.outputs) <= 4:
        for leaf in function.outputs:
            alone = np.zeros(size)
            alone[leaf.place] = _draw(leaf.size, rng)
            found.append(alone)
    return np.where(finite, found, 0.0)


def _draw(size: int, rng: np.random.Generator) -> Vector:
    """Numbers between 1/2 and 1 in size: no mistake hides behind a small one, none overflows.

    Of few digits, so that they are exact in any type.
    """
    return rng.choice([-1.0, 1.0], size) * rng.integers(8, 16, size) / 16


def _pullbacks(
    problem: Problem, asked: Sequence[str], x: Vector, cotangents: Vector, notes: list[str]
) -> dict[str, Pullback]:
    """Those who can differentiate the function. Who cannot is noted, if another can."""
    found: dict[str, Pullback] = {}
    errors: list[Exception] = []
    for who in (who for who in asked if who in problem.funs):
        pullback = problem.pullback(who)
        try:
            pullback(x, cotangents)
        except Exception as error:
            if who != PRIMAL and not _cannot(error):
                raise
            errors.append(error)
            notes.append(f"{NAMES[who]} could not be differentiated: {first_line(error)}")
        else:
            found[who] = pullback
    if not {FUNCNN, JAX} & set(found):
        raise errors[0]
    return found


def _cannot(error: Exception) -> bool:
    """Is it that there is no derivative, and not that the function or its rule is at fault?"""
    return isinstance(error, NotImplementedError) or "Reverse-mode differentiation" in str(error)


def _other_values(opinions: Opinions) -> list[str]:
    """A custom rule's forward pass that gives another value than the function."""
    value = opinions.function(opinions.x)
    found = []
    for who, other in opinions.values.items():
        with np.errstate(invalid="ignore"):
            off = np.where(value == other, 0.0, np.abs(value - other))
        for leaf in opinions.problem.outputs:
            part = np.abs(value[leaf.place])
            largest = part[np.isfinite(part)].max(initial=0.0)
            allowed = opinions.tolerance.relative * (part + largest) + opinions.tolerance.absolute
            wrong = ~(off[leaf.place] <= allowed)
            if wrong.any():
                i = leaf.start + int(wrong.argmax())
                found.append(
                    f"the forward pass as {NAMES[who]} differentiates it gives {other[i]:.9g} at "
                    f"{leaf.entry(i)}, the function itself {value[i]:.9g}: the forward function of "
                    "a custom rule must return the function's own value."
                )
                break
    return found


def _other_pushforward(opinions: Opinions, count: int, rng: np.random.Generator) -> list[str]:
    """`jax.jvp` along random directions, where it is not what the gradient says."""
    push_forward = opinions.problem.pushforward()
    found = []
    for _ in range(max(1, count)):
        finite = np.isfinite(opinions.x)
        direction = np.where(finite, _draw(len(finite), rng) * opinions.sizes, 0.0)
        pushed = opinions.cotangents @ push_forward(opinions.x, direction)
        along = opinions.claimed @ direction
        allowed = opinions.allowed @ np.abs(direction)
        wrong = ~(np.abs(pushed - along) <= allowed)
        if wrong.any():
            k = int(wrong.argmax())
            found.append(
                f"along a random direction jax.jvp says {pushed[k]:.9g} (computed in "
                f"{opinions.problem.computed_in}), the gradient of {NAMES[opinions.claimant]} "
                f"{along[k]:.9g}."
            )
    return found[:1]


def _judge(
    opinions: Opinions,
    numbers: Sequence[Number],
    level: int,
    rule: str,
    differences: bool,
    own_types: Space,
    report: Report,
) -> None:
    """Adds a finding for each leaf, and notes."""
    verdicts = [judge(opinions, k, i, rule, differences) for k, i in dict.fromkeys(numbers)]
    for leaf, own in zip(opinions.problem.inputs, own_types, strict=True):
        here = [verdict for verdict in verdicts if verdict.leaf == leaf]
        if not here:
            continue
        worst = max(here, key=_badness)
        report.findings.append(
            Finding(
                order=level,
                computed_in=opinions.problem.computed_in,
                leaf=own,
                verdict=worst,
                looked_at=len({verdict.entry for verdict in here}),
                wrong=len({verdict.entry for verdict in here if verdict.wrong}),
            )
        )
        remarks = {verdict.note: verdict for verdict in here if verdict.note}
        report.notes.extend(f"{verdict.entry}: {note}" for note, verdict in remarks.items())


def _badness(verdict: Verdict) -> tuple:
    return verdict.wrong is not None, verdict.excess, abs(verdict.values[verdict.claimant])
