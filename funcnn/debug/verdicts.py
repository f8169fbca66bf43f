"""What is wrong with a gradient's flow: rows in, sentences out, none where all is well."""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from funcnn.debug.flow import FlowRow, Verdict

VANISHED = 1e-3
"""Compared are norms of ∂L/∂y, which random layers of variance 1/in keep whatever their widths. At
a thousandth, a rate at which the last layer just learns leaves the first as it is for a thousand
steps. Ten ReLU layers of that variance, which halve the square each, are at 1/22."""

EXPLODED = 1e3
"""Likewise: a rate small enough for the first layer leaves the last as it is. Ten residual blocks
without normalization, which double the square each, are at 32."""

SATURATED = 0.5
"""More than this share of its entries flat. Of a unit tanh(z), z of variance 1, it is 0.3 %."""


Later = Sequence[Sequence[int]]
"""of each row the later ones that are made of its output: a gradient goes from these to it"""


def verdicts(rows: Sequence[FlowRow], later: Later, loss: float) -> tuple[Verdict, ...]:
    """Judges the layers that have parameters by their gradient, and activations by their units."""
    trained = [i for i, row in enumerate(rows) if row.parameters is not None and row.layer]
    broken = _not_finite(rows, loss)
    if broken:  # then nothing else means much
        return tuple(broken)
    lost = tuple(_lost(rows, later, trained))
    said = {i for verdict in lost for i in verdict.rows}
    by_size = (*lost, *_unused(rows, later, said), *_exploding(rows, later, trained))
    return (*by_size, *_dead(rows), *_saturated(rows, max(trained, default=0)))


def _not_finite(rows: Sequence[FlowRow], loss: float) -> list[Verdict]:
    finite = lambda row: math.isfinite(row.norm) and math.isfinite(row.parameters or 0)
    broken = tuple(i for i, row in enumerate(rows) if not finite(row))
    if broken:
        last = rows[broken[-1]]
        what = f"that comes to {last.name}"
        if math.isfinite(last.norm):
            what = f"by the parameters of {last.name}"
        what = f"the gradient {what} is not finite"
    elif not math.isfinite(loss):
        broken = tuple(range(len(rows)))[-1:]  # that next to the loss
        what = f"the loss is {loss}, though its gradient is finite"
    else:
        return []
    return [Verdict("not finite", broken, f"{what}: debug.nan_origin says where it arose")]


def _dead(rows: Sequence[FlowRow]) -> Iterator[Verdict]:
    """Layers with more units off for all examples than chance explains.

    Where a unit's sign is a coin's for the whole batch, as deep in a ReLU network whose examples
    have become alike, half of the units are off: more than that by three standard deviations is
    not chance. Of fewer than eight examples and places, only a layer that is off as a whole.
    """
    for i, row in enumerate(rows):
        units = row.shape[-1] if row.dead is not None and row.shape else 1
        dead = round(units * (row.dead or 0))
        few = math.prod(row.shape[:-1]) < 8 if row.dead else True
        if dead < units and (few or dead <= units / 2 + 1.5 * math.sqrt(units)):
            continue
        yield Verdict(
            "dead ReLU",
            (i,),
            f"{dead} of {units} units of {row.name} are off for every example: they pass nothing "
            "on, and the weights before them get no gradient. A bias far below 0, or a step too "
            "large, does that",
        )


def _saturated(rows: Sequence[FlowRow], last: int) -> Iterator[Verdict]:
    """Activations that are flat. Behind the last parameters they may be: a probability is."""
    for i, row in enumerate(rows[:last]):
        if row.saturated is not None and row.saturated > SATURATED:
            reason = f"{_flat(row)}: its input is too large, by its weights or by what comes in"
            yield Verdict("saturated", (i,), reason)


def _lost(rows: Sequence[FlowRow], later: Later, trained: Sequence[int]) -> Iterator[Verdict]:
    """Vanishing: a thousandth of what a later layer has. No gradient: nothing at all.

    0 behind a gradient that was vanishing already is that, and too small for the dtype.
    """
    vanishing: list[int] = []
    nothing: list[int] = []
    reach = _reach(rows, trained)
    for i in reversed(trained):
        behind = [j for j in later[i] if j in reach]
        top = max((reach[j] for j in behind), default=0.0)
        was_vanishing = min(behind, default=i) in vanishing
        if reach[i] == 0 and not (was_vanishing and not _is_wall(_wall(rows, later[i]))):
            nothing.append(i)
        elif reach[i] < VANISHED * top:
            vanishing.append(i)
    if vanishing:
        first = min(vanishing, key=lambda i: (reach[i], i))
        top = max((j for j in later[first] if j in reach), key=lambda j: reach[j])
        reason = _why_vanishing(rows, first, top, _between(rows, later, first, top))
        yield Verdict("vanishing", tuple(sorted(vanishing)), reason)
    if nothing:
        last = max(nothing)
        reason = _why_nothing(rows[last], _wall(rows, later[last]))
        yield Verdict("no gradient", tuple(sorted(nothing)), reason)


def _unused(rows: Sequence[FlowRow], later: Later, said: Container[int]) -> Iterator[Verdict]:
    """Parameters without a gradient, by no fault of what is behind them.

    Those behind units that are off get none as well, and that is said of the units.
    """
    behind_dead = {j for i, row in enumerate(rows) if row.dead == 1 for j in later[i]}
    unused = [
        i
        for i, row in enumerate(rows)
        if row.parameters == 0 and i not in said and i not in behind_dead
    ]
    if not unused:
        return
    names = ", ".join(rows[i].name for i in unused)
    reason = (
        f"the gradient by the parameters of {names} is 0: the loss does not depend on them, or by "
        "what has no gradient (a comparison, lax.stop_gradient), or what they are multiplied by is "
        "0"
    )
    yield Verdict("no gradient", tuple(unused), reason)


def _exploding(rows: Sequence[FlowRow], later: Later, trained: Sequence[int]) -> Iterator[Verdict]:
    """A thousand times what the last layer has that is made of it; of several, the largest."""
    reach = _reach(rows, trained)
    lasts = {i: _last(i, later, reach) for i in trained}
    exploding = tuple(i for i, j in lasts.items() if reach[i] > EXPLODED * reach[j] > 0)
    if exploding:
        first = max(exploding, key=lambda i: reach[i])
        last = lasts[first]
        reason = (
            f"the gradient of {rows[first].name} is {_times(reach[first] / reach[last])} times "
            f"that of {rows[last].name}"
        )
        gains = _passed_by_kind(_between(rows, later, first, last))
        because = [
            f"each {kind} passes {np.exp(np.mean(logs)):.2g} times what comes to it"
            for kind, logs in gains.items()
            if np.sum(logs) > 0.1 * math.log(reach[first] / reach[last])
        ]
        yield Verdict("exploding", exploding, "; ".join([reason, *because]))


def _last(i: int, later: Later, reach: Mapping[int, float]) -> int:
    """Of the layers made of layer i that no other is made of, that with the largest gradient."""
    ends = [j for j in (i, *later[i]) if j in reach and not any(k in reach for k in later[j])]
    return max(ends, key=lambda j: reach[j])


def _between(rows: Sequence[FlowRow], later: Later, first: int, last: int) -> list[FlowRow]:
    """The rows on the way from one to another, which is among them."""
    return [rows[i] for i in later[first] if i == last or last in later[i]]


def _reach(rows: Sequence[FlowRow], trained: Sequence[int]) -> dict[int, float]:
    """The gradient at each layer: of one that is called several times, the largest."""
    largest: dict[object, float] = {}
    for row in rows:
        key = row.path, row.layer
        largest[key] = max(largest.get(key, 0.0), row.norm)
    return {i: largest[rows[i].path, rows[i].layer] for i in trained}


def _why_vanishing(
    rows: Sequence[FlowRow], first: int, top: int, between: Sequence[FlowRow]
) -> str:
    ratio = rows[first].norm / rows[top].norm
    reasons = [f"the gradient of {rows[first].name} is {_times(ratio)} of that of {rows[top].name}"]
    gains = _passed_by_kind(between)
    lost = sum(-sum(logs) for logs in gains.values() if sum(logs) < 0)
    for kind, logs in gains.items():
        if -sum(logs) > 0.1 * lost:
            slope = next((r.slope for r in between if _kind(r) == kind and r.slope), None)
            most = f", and at most {_fraction(slope)}" if slope and slope < 1 else ""
            reasons.append(f"each {kind} passes {np.exp(np.mean(logs)):.2g} of it{most}")
    flat = max(between, key=lambda row: row.saturated or 0, default=None)
    if flat is not None and (flat.saturated or 0) > 0.1:
        reasons.append(_flat(flat))
    return "; ".join(reasons)


def _why_nothing(row: FlowRow, wall: FlowRow | None) -> str:
    """The layer right behind that passes nothing on, if there is one."""
    if wall is None:
        return (
            f"{row.name} has no gradient here: the loss does not depend on it, or by what is flat "
            "at these values, or has no gradient (a comparison, lax.stop_gradient)"
        )
    why = ""
    if wall.dead == 1:
        why = ", all of whose units are off"
    elif wall.slope == 0:
        why = ", whose slope is 0"
    elif wall.parameters is not None:
        why = ": are its weights 0?"
    return f"nothing comes to {row.name} through {wall.name}{why}"


def _wall(rows: Sequence[FlowRow], later: Sequence[int]) -> FlowRow | None:
    """The layer behind that is given a gradient and passes nothing on."""
    return next((rows[i] for i in later if rows[i].passed == 0), None)


def _is_wall(row: FlowRow | None) -> bool:
    """Whether it is the layer's units that pass nothing, not that numbers became too small."""
    return row is not None and (row.dead == 1 or row.slope == 0)


def _passed_by_kind(rows: Sequence[FlowRow]) -> dict[str, list[float]]:
    """The logarithms of what layers of a kind pass on."""
    passed: dict[str, list[float]] = {}
    for row in rows:
        if row.passed:
            passed.setdefault(_kind(row), []).append(math.log(row.passed))
    return passed


def _kind(row: FlowRow) -> str:
    """ "dense" of "dense(30)", "tanh" of "tanh at mlp.py:12"."""
    return row.layer.split("(")[0].split(" ")[0]


def _flat(row: FlowRow) -> str:
    share = f"{row.saturated:.0%}".replace("%", " %")
    return f"{share} of the units of {row.name} are saturated (|f'| < 1 % of its largest)"


def _times(ratio: float) -> str:
    return f"{ratio:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _fraction(x: float) -> str:
    """1/4 for 0.25.

    >>> _fraction(0.25), _fraction(0.731)
    ('1/4', '0.73')
    """
    near = Fraction(x).limit_denominator(10)
    return str(near) if abs(near - x) < 1e-3 else f"{x:.2g}"
