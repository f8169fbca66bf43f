"""A gradient on its way back through a network, as data: rows, verdicts, and how they print."""

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from funcnn.nn.summary import table

Path = tuple[int | str, ...]


class FlowRow(NamedTuple):
    """A layer, or a leaf of a plain function's parameters, in the order in which they are used.

    y is the output of the layer, or that of the operation that first brings the leaf and the data
    together (the product with a kernel, the sum with a bias), and L the loss.

    Attributes:
      path: the entries that lead to it in `params`; () for an activation of a plain function.
      layer: how it prints: "dense(30)", or of a plain function "dot_general", "tanh at mlp.py:12".
      shape: of y; a pytree of shapes where there are several arrays.
      norm: ‖∂L/∂y‖.
      mean: the mean of |∂L/∂y|.
      zeros: the share of entries of ∂L/∂y that are exactly 0.
      passed: ‖∂L/∂x‖ / ‖∂L/∂y‖, x being the layer's input: what it passes on of the gradient. None
        where x is no floating point array, and where ∂L/∂y is 0.
      parameters: ‖∂L/∂w‖ of its parameters w. None where there are none, and from the second call
        of a shared layer on.
      slope: of an activation f, its largest |f'|. None for all other layers.
      saturated: of an activation, the share of entries where |f'| is less than 1 % of its largest.
        Where f is off, as ReLU at the left, that does not count. None for all other layers.
      dead: of an activation that is off on one side, the share of units (the last axis) that are
        off for every example and at every place. None for all other layers.
    """

    path: Path
    layer: str
    shape: Any
    norm: float
    mean: float
    zeros: float
    passed: float | None
    parameters: float | None
    slope: float | None
    saturated: float | None
    dead: float | None

    @property
    def name(self) -> str:
        """Path and layer: "[3] sigmoid"."""
        return f"{shown(self.path)} {self.layer}".strip()


class Verdict(NamedTuple):
    """What is wrong, and why it is said.

    Attributes:
      kind: "vanishing", "exploding", "dead ReLU", "saturated", "no gradient" or "not finite".
      rows: positions of the rows it is about, in `GradientFlow.rows`.
      reason: a sentence with the numbers.
    """

    kind: str
    rows: tuple[int, ...]
    reason: str


@dataclass(frozen=True, repr=False)
class GradientFlow:
    """What `gradient_flow` returns. It prints as a table with the verdicts below.

    Attributes:
      rows: one a layer, from the input to the output.
      verdicts: empty where all is well.
      loss: its value.
    """

    rows: tuple[FlowRow, ...]
    verdicts: tuple[Verdict, ...]
    loss: float

    def __repr__(self) -> str:
        return "\n".join([_table_of(self.rows), *(f"{v.kind}: {v.reason}" for v in self.verdicts)])


@dataclass(frozen=True, repr=False)
class FlowOverTime:
    """The flows of several moments, stacked. It prints the norms by layer and step.

    Attributes:
      steps: when, int64 (times,).
      flows: what was measured then.
    """

    steps: np.ndarray
    flows: tuple[GradientFlow, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """One a layer: "[3] sigmoid"."""
        return tuple(row.name for row in self.flows[0].rows)

    def column(self, name: str) -> np.ndarray:
        """An attribute of the rows over time, float64 (times, layers); NaN where there is none."""
        values = [[getattr(row, name) for row in flow.rows] for flow in self.flows]
        return np.array([[np.nan if v is None else v for v in line] for line in values], float)

    def kinds(self) -> dict[str, np.ndarray]:
        """The kinds of verdict that there were, each as bools (times, layers): when and where."""
        kinds = dict.fromkeys(v.kind for flow in self.flows for v in flow.verdicts)
        return {kind: np.array([_of_kind(kind, flow) for flow in self.flows]) for kind in kinds}

    def __repr__(self) -> str:
        header = ["‖∂L/∂y‖ at step", *(f"{step:,}" for step in self.steps)]
        columns = zip(self.names, self.column("norm").T, strict=True)
        lines = [[name, *(f"{norm:.1e}" for norm in norms)] for name, norms in columns]
        said = (_when(kind, there, self) for kind, there in self.kinds().items())
        return "\n".join([table(header, lines, left=1), *said])


def flow_over_time(
    flows: Mapping[int, GradientFlow] | Sequence[tuple[int, GradientFlow]],
) -> FlowOverTime:
    """Flows that `gradient_flow` measured at several steps of a training, as one.

    Args:
      flows: by step, as a dict or as pairs.

    Returns:
      A `FlowOverTime`, in the order of the steps.

    Raises:
      TypeError: something else than flows by step.
      ValueError: no flows; flows of different layers; a step twice.

    Source: deck A, row 29: a unit that is saturated has stopped learning.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import debug
    >>> loss = lambda w, x: jnp.mean((x * w["slope"] + w["shift"] - 1) ** 2)
    >>> at = lambda slope: debug.gradient_flow(loss, {"slope": slope, "shift": 0.0}, jnp.ones(4))
    >>> flows = debug.flow_over_time({0: at(2.0), 100: at(1.5)})
    >>> flows
    ‖∂L/∂y‖ at step        0      100
    ---------------  -------  -------
    ['slope'] mul    1.0e+00  5.0e-01
    ['shift'] add    1.0e+00  5.0e-01
    >>> flows.column("parameters")
    array([[2., 2.],
           [1., 1.]])
    """
    pairs = sorted(_by_step(flows), key=lambda pair: pair[0])
    if not pairs:
        raise ValueError("flow_over_time: expected at least one flow, got none")
    steps = np.array([step for step, _ in pairs], np.int64)
    if len(set(steps.tolist())) < len(steps):
        raise ValueError(f"flow_over_time: expected each step once, got {steps.tolist()}")
    layers = {tuple(row.name for row in flow.rows) for _, flow in pairs}
    if len(layers) > 1:
        raise ValueError(
            "flow_over_time: expected flows of one and the same model, got flows of different "
            "layers"
        )
    return FlowOverTime(steps, tuple(flow for _, flow in pairs))


def _by_step(flows: Any) -> Iterator[tuple[int, GradientFlow]]:
    if not isinstance(flows, Iterable):
        raise TypeError(f"flow_over_time: {_EXPECTED}, got {type(flows).__name__}")
    for pair in flows.items() if isinstance(flows, Mapping) else flows:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"flow_over_time: {_EXPECTED}, got {type(pair).__name__} among them")
        step, flow = pair
        if not isinstance(flow, GradientFlow):
            raise TypeError(
                f"flow_over_time: expected a GradientFlow, as from gradient_flow, at step {step}, "
                f"got {type(flow).__name__}"
            )
        try:
            yield operator.index(step), flow
        except TypeError as error:
            raise TypeError(
                f"flow_over_time: expected steps that are whole numbers, got {step!r}"
            ) from error


_EXPECTED = "expected flows by step, {0: flow, 100: flow} or pairs (step, flow)"


def shown(path: Path) -> str:
    """A path as it is written behind `params`: "[2]['kernel']".

    >>> shown((2, "kernel"))
    "[2]['kernel']"
    """
    return "".join(
        # an attribute, of a NamedTuple or the like
        entry if isinstance(entry, str) and entry.startswith(".") else f"[{entry!r}]"
        for entry in path
    )


def _table_of(rows: Sequence[FlowRow]) -> str:
    header = ["path", "layer", "‖∂L/∂y‖", "mean |∂L/∂y|", "zeros", "passed on", "‖∂L/∂w‖"]
    header += ["saturated", "dead units"]
    lines = [
        [
            shown(row.path),
            row.layer,
            f"{row.norm:.1e}",
            f"{row.mean:.1e}",
            _percent(row.zeros),
            "" if row.passed is None else f"{row.passed:.2g}",
            "" if row.parameters is None else f"{row.parameters:.1e}",
            _percent(row.saturated),
            _percent(row.dead),
        ]
        for row in rows
    ]
    # a column that says nothing is left out
    filled = [i for i, column in enumerate(zip(*lines, strict=True)) if i < 5 or any(column)]
    return table([header[i] for i in filled], [[line[i] for i in filled] for line in lines], left=2)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def _of_kind(kind: str, flow: GradientFlow) -> list[bool]:
    rows = {row for verdict in flow.verdicts if verdict.kind == kind for row in verdict.rows}
    return [i in rows for i in range(len(flow.rows))]


def _when(kind: str, there: np.ndarray, flows: FlowOverTime) -> str:
    """One line: which layers, and at which of the steps."""
    layers = ", ".join(n for n, at in zip(flows.names, there.T, strict=True) if at.any())
    steps = ", ".join(f"{step:,}" for step in flows.steps[there.any(1)])
    return f"{kind}: {layers} at step {steps}"
