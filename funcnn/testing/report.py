"""The findings of `check_grads`, and how they read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from funcnn.testing.judge import DIFFERENCES, Verdict
from funcnn.testing.opinions import DOUBLE
from funcnn.testing.problem import FUNCNN, JAX, PRIMAL
from funcnn.testing.vectors import Leaf

NAMES = {
    FUNCNN: "funcnn",
    JAX: "jax",
    PRIMAL: "code behind the custom rule",
    DIFFERENCES: "differences",
    DOUBLE: "the same in float64",
}


class Finding(NamedTuple):
    """The worst of one leaf of the arguments."""

    order: int
    """1 for the gradient, 2 for the derivative of the gradient"""
    computed_in: str
    """ "float64", or "its own types" """
    leaf: Leaf
    verdict: Verdict
    looked_at: int
    """numbers of the leaf that were judged one by one"""
    wrong: int
    """how many of them are wrong"""


class Report(NamedTuple):
    """What `check_grads` found. `str(report)` is the text to read."""

    name: str
    """of the function"""
    findings: list[Finding]
    """one a leaf, order and precision"""
    failures: list[str]
    """what is wrong apart from numbers in gradients"""
    notes: list[str]
    """what is worth knowing and not wrong"""

    @property
    def passed(self) -> bool:
        return not self.failures and not any(f.verdict.wrong for f in self.findings)

    def __str__(self) -> str:
        wrong = [finding for finding in self.findings if finding.verdict.wrong]
        wrong.sort(key=lambda finding: -min(finding.verdict.excess, 1e300))
        if self.passed:
            lines = [f"check_grads: the gradient of `{self.name}` is right", *_table(self.findings)]
        else:
            lines = [f"check_grads: the gradient of `{self.name}` is wrong"]
            lines += [f"\n  {failure}" for failure in self.failures]
            if wrong:
                lines += ["", *_detail(wrong[0])]
            for finding in wrong[1:]:
                lines.append(f"\n  also wrong: {_where(finding)}: {finding.verdict.wrong}")
        return "\n".join([*lines, *(f"  note: {note}" for note in dict.fromkeys(self.notes))])


class WrongGradient(AssertionError):
    """Raised by `check_grads`. `report` holds the findings."""

    def __init__(self, report: Report):
        super().__init__(str(report))
        self.report = report


def _where(finding: Finding) -> str:
    order = "second order, " if finding.order == 2 else ""
    return f"{finding.verdict.entry} ({order}computed in {finding.computed_in})"


def _detail(finding: Finding) -> list[str]:
    verdict = finding.verdict
    claimed = verdict.values[verdict.claimant]
    lines = [f"  at {_where(finding)}, of {finding.leaf}"]
    for who, value in verdict.values.items():
        error = ""
        if who == DIFFERENCES:
            error = f" ± {verdict.error:.1g}"
        apart = "" if who == verdict.claimant else _apart(value, claimed, finding.leaf.unit)
        lines.append(f"    {NAMES[who]:<28}{f'{value: .9g}{error}':<24}{apart}".rstrip())
    if verdict.error is not None and np.isinf(verdict.error):
        lines.append(f"    {NAMES[DIFFERENCES]:<28} cannot tell")
    if verdict.kink is not None:
        lines.append(f"    a kink: slopes {verdict.kink[0]:.6g} and {verdict.kink[1]:.6g}")
    lines += ["", f"  {_agreement(verdict.agree)}: {verdict.wrong}."]
    lines.append(
        f"  Numbers of this leaf that were looked at: {finding.looked_at}; wrong: {finding.wrong}."
    )
    return lines


def _apart(value: float, claimed: float, unit: float) -> str:
    """By how much the claimed value is off: relative, and in units of the last place."""
    if value == claimed or (np.isnan(value) and np.isnan(claimed)):
        return "the same"
    if not (np.isfinite(value) and np.isfinite(claimed)):
        return ""
    off = claimed - value
    if value == 0:
        return f"off by {off:.3g}"
    ulps = abs(off) / (2 * unit * 2.0 ** np.floor(np.log2(abs(value))))
    if ulps < 0.01:
        return "the same"
    return f"off by {off:.3g}: {off / abs(value):.3g} relative, {ulps:.3g} ulps"


def _agreement(groups: Sequence[Sequence[str]]) -> str:
    """Who agrees with whom, as a sentence without its end."""
    if len(groups) == 1 and len(groups[0]) > 1:
        return "all agree"
    together = [" and ".join(map(_spoken, group)) for group in groups if len(group) > 1]
    alone = [_spoken(group[0]) for group in groups if len(group) == 1]
    if not together:
        return f"no two agree of {', '.join(alone)}"
    first, *others = together
    parts = [f"{first} agree", *(f"{each} agree with each other" for each in others)]
    if alone:
        parts.append(f"not so {' and '.join(alone)}")
    return "; ".join(parts)


def _spoken(who: str) -> str:
    return NAMES[who] if who in (FUNCNN, JAX) else f"the {NAMES[who].removeprefix('the ')}"


def _table(findings: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        verdict = finding.verdict
        numbers = ", ".join(
            f"{NAMES[who]} {value:.6g}" + (f" ± {verdict.error:.0e}" if who == DIFFERENCES else "")
            for who, value in verdict.values.items()
        )
        lines.append(f"  {_where(finding)}: {numbers}")
    return lines
