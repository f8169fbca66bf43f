"""Who is wrong about one number of a gradient."""

from typing import NamedTuple

import numpy as np

from funcnn.testing.differences import Slopes
from funcnn.testing.opinions import DOUBLE, Opinions
from funcnn.testing.problem import FUNCNN, JAX, PRIMAL
from funcnn.testing.vectors import Leaf

DIFFERENCES = "differences"


class Verdict(NamedTuple):
    """What was found about one number of a gradient."""

    leaf: Leaf
    entry: str
    """its name: the leaf's path and the index in it"""
    cotangent: int
    claimant: str
    """who said the value that was checked"""
    values: dict[str, float]
    """by who says so: "funcnn", "jax", "primal", "differences", "float64" """
    error: float | None
    """of the differences; infinite where they cannot tell, None where none were taken"""
    kink: tuple[float, float] | None
    """the slopes on either side, where they are not the same"""
    agree: list[list[str]]
    """who agrees with whom"""
    excess: float
    """the largest disagreement over what is allowed"""
    wrong: str | None
    """what is wrong; None if nothing is"""
    note: str | None
    """what is remarkable and not wrong"""


class _Evidence(NamedTuple):
    claimant: str
    values: dict[str, float]
    differ: set[str]
    """those who differ from the claimant, by more than allowed"""
    far: set[str]
    """those who differ from what 64 bits say"""
    admitted: set[str]
    """those whose value the differences admit; all, where there are none"""
    slope: Slopes | None
    infinite: bool
    """is the function infinite, in some of its values?"""
    rule: str
    """the custom rules in the function, in words; empty if there are none"""


def judge(opinions: Opinions, k: int, i: int, rule: str, differences: bool) -> Verdict:
    """The verdict on number `i` of the gradient for cotangent `k`."""
    claimant = opinions.claimant
    leaf = next(leaf for leaf in opinions.problem.inputs if i < leaf.start + leaf.size)
    values = {who: float(g[k, i]) for who, g in opinions.gradients.items()}
    allowed = opinions.allowed[k, i]
    excess = {w: float(opinions.excess(claimant, w)[k, i]) for w in values if w != claimant}
    far = {w for w in values if DOUBLE in values and opinions.excess(w, DOUBLE)[k, i] > 1}
    slope = opinions.slopes_at(i).one(k) if differences and np.isfinite(opinions.x[i]) else None
    admitted = {w for w, v in values.items() if slope is None or slope.admits(v, allowed)}
    differ = {who for who, factor in excess.items() if factor > 1}
    evidence = _Evidence(claimant, values, differ, far, admitted, slope, opinions.infinite, rule)
    wrong, note = (_in_own_types if DOUBLE in values else _at_best)(evidence)
    sign = -1.0 if leaf.is_complex and i - leaf.start >= leaf.size // 2 else 1.0
    kink = None
    shown = {who: sign * value for who, value in values.items()}
    if slope is not None and np.isfinite(slope.error):
        if claimant not in admitted:
            off = abs(values[claimant] - slope.value) / (allowed + slope.error)
            excess[DIFFERENCES] = float(off)
        shown[DIFFERENCES] = sign * float(slope.value)
        if slope.kink:
            kink = (sign * float(slope.low), sign * float(slope.high))
    return Verdict(
        leaf=leaf,
        entry=leaf.entry(i),
        cotangent=k,
        claimant=claimant,
        values=shown,
        error=None if slope is None else float(slope.error),
        kink=kink,
        agree=_groups(opinions, k, i, evidence),
        excess=max(excess.values(), default=0.0),
        wrong=wrong,
        note=note,
    )


def _at_best(e: _Evidence) -> tuple[str | None, str | None]:
    """(what is wrong, what is remarkable), from values that are as exact as can be."""
    value = e.values[e.claimant]
    at_kink = e.slope is not None and bool(e.slope.kink)
    if JAX in e.differ:
        if at_kink and {FUNCNN, JAX} <= e.admitted:
            return None, "at a kink funcnn and jax choose differently"
        [one] = e.admitted & {FUNCNN, JAX} if len(e.admitted & {FUNCNN, JAX}) == 1 else [None]
        if one is not None:
            other = JAX if one == FUNCNN else FUNCNN
            return f"{other} is wrong: please report it, with the function", None
        return "funcnn and jax differ: one of them is wrong, please report it", None
    if not np.isfinite(value):
        finite = [v for who, v in e.values.items() if who != e.claimant and np.isfinite(v)]
        if e.infinite:
            return None, f"the gradient is {value}, and the function is infinite somewhere"
        if finite or (e.slope is not None and np.isfinite(e.slope.error)):
            return f"the gradient is {value} where the function has a finite slope", None
        return None, f"the gradient is {value}"
    if PRIMAL in e.differ:
        rule_fits, code_fits = e.claimant in e.admitted, PRIMAL in e.admitted
        if rule_fits and not np.isfinite(e.values[PRIMAL]):
            return None, "the code behind the custom rule has no finite derivative here"
        if rule_fits and at_kink:
            return None, "at a kink the custom rule chooses otherwise than the code behind it"
        if rule_fits and not code_fits:
            return None, "the code behind the custom rule loses digits here, the rule does not"
        return f"{e.rule} is not the derivative of the code it stands for", None
    if e.claimant not in e.admitted:
        if e.rule and PRIMAL not in e.values:
            return f"{e.rule} is not the derivative of the function", None
        if e.slope is not None and e.slope.flat and value != 0:
            return None, "the function changes in jumps here, the differences do not see its slope"
        return (
            "the function changes otherwise than its operations say: a stop_gradient, a jump "
            "(round, a comparison, integers) or something kept between calls"
        ), None
    return None, None


def _in_own_types(e: _Evidence) -> tuple[str | None, str | None]:
    """The same where 64 bits have been looked at, and were in order.

    So only what is wrong in these types alone is wrong: what rounding leaves is the function's.
    """
    if e.claimant not in e.far:
        return None, None
    value, exact = e.values[e.claimant], e.values[DOUBLE]
    if not np.isfinite(value) and np.isfinite(exact) and not e.infinite:
        return f"the gradient is {value} in the function's own types, {exact:.6g} in float64", None
    if PRIMAL in e.values and PRIMAL not in e.far and PRIMAL in e.differ:
        return f"{e.rule} is wrong in the function's own types only, not in float64", None
    if e.claimant not in e.admitted and DOUBLE in e.admitted:
        return "the gradient is wrong in the function's own types only, not in float64", None
    return None, (
        "the gradient in the function's own types is not that in float64: rounding, or random "
        "numbers that are others in other types"
    )


def _groups(opinions: Opinions, k: int, i: int, e: _Evidence) -> list[list[str]]:
    """Who agrees with whom. Differences that would agree with anything are left out."""
    groups: list[list[str]] = []
    for who in e.values:
        for group in groups:
            if opinions.excess(group[0], who)[k, i] <= 1:
                group.append(who)
                break
        else:
            groups.append([who])
    slope = e.slope
    if slope is None or np.isinf(slope.error):
        return groups
    if len(groups) > 1 and e.admitted >= set(e.values):
        return groups
    fitting = [group for group in groups if group[0] in e.admitted]
    if fitting:
        fitting[0].append(DIFFERENCES)
    else:
        groups.append([DIFFERENCES])
    return groups
