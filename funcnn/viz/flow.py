"""Gradient flow: how large a gradient is at each layer, and over time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from funcnn.viz import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# colour and marker of each kind of verdict of funcnn.debug.gradient_flow
FINE, OTHER = (style.BLUE, "o"), (style.INK, "D")
KINDS = {
    "vanishing": (style.VERMILION, "v"),
    "exploding": (style.PURPLE, "^"),
    "dead ReLU": (style.ORANGE, "X"),
    "saturated": (style.GREEN, "s"),
    "no gradient": (style.GRAY, "P"),
    "not finite": (style.INK, "D"),
}
MEASURES = {
    "norm": "‖∂L/∂y‖ of each layer's output y",
    "mean": "mean |∂L/∂y| of each layer's output y",
    "parameters": "‖∂L/∂w‖ of each layer's parameters w",
}


def gradient_flow(flow: Any, ax: Any = None, *, measure: str = "norm") -> "Axes":
    """How large the gradient is at each layer, on a logarithmic axis, with what is wrong in colour.

    Args:
      flow: what `funcnn.debug.gradient_flow` returned: its layers below one another, from the
        input. Or ``{name: flow}``, several of them: a line each, by depth. Or one over time: a line
        for each layer, the first the darkest.
      ax: matplotlib's Axes; None makes a new figure.
      measure: "norm", "mean" or "parameters", see `funcnn.debug.FlowRow`. Layers that have none (no
        parameters) are left out.

    Returns:
      The Axes.

    Raises:
      ImportError: matplotlib is missing.
      TypeError: `flow` is no gradient flow.
      ValueError: an unknown measure; no layer that has it.

    >>> import jax.numpy as jnp
    >>> from funcnn import debug, viz
    >>> def loss(w, x):
    ...     return jnp.mean((x @ w) ** 2)
    >>> flow = debug.gradient_flow(loss, jnp.ones((3, 2)), jnp.ones((4, 3)))
    >>> ax = viz.gradient_flow(flow)
    >>> bool(ax.lines[1].get_xdata()[0] == flow.rows[0].norm)
    True

    Source: decks A and E, row 29.
    """
    if measure not in MEASURES:
        raise ValueError(f"expected a measure of {', '.join(MEASURES)}, got {measure!r}")
    flows = list(flow.values()) if isinstance(flow, Mapping) else [flow]
    if not flows or not all(hasattr(f, "rows") or hasattr(f, "flows") for f in flows):
        raise TypeError(
            f"expected what debug.gradient_flow returns, or {{name: flow}}, got {flow!r:.80}"
        )
    if isinstance(flow, Mapping):
        return _draw_several(flow, style.axes(ax), measure)
    if hasattr(flow, "flows"):
        return _draw_over_time(flow, style.axes(ax, (6.4, 4.2)), measure)
    return _draw_one(flow, ax, measure)


def _draw_one(flow: Any, ax: Any, measure: str) -> "Axes":
    rows = [(i, row) for i, row in enumerate(flow.rows) if getattr(row, measure) is not None]
    ax = style.axes(ax, (6.4, 0.3 * len(rows) + 1.3))
    values = _positive([getattr(row, measure) for _, row in rows])
    _expect_some(values, measure)
    kinds = _kinds(flow)
    left = 10 ** (np.floor(np.log10(np.nanmin(values))) - 1)
    for place, ((i, _), value) in enumerate(zip(rows, values, strict=True)):
        color, marker = KINDS.get(kinds[i], OTHER) if i in kinds else FINE
        at = left if np.isnan(value) else value
        ax.plot([left, at], [place, place], color=color, lw=3, alpha=0.35, solid_capstyle="butt")
        ax.plot(at, place, marker, color=color, ms=8, mfc="white" if np.isnan(value) else color)
    for kind in dict.fromkeys(kinds.values()):
        color, marker = KINDS.get(kind, OTHER)
        ax.plot([], [], marker, color=color, ms=8, ls="none", label=kind)
    ax.set_xscale("log")
    ax.set_xlim(left=left)
    ax.set_yticks(range(len(rows)), [row.name for _, row in rows])
    ax.invert_yaxis()
    style.label(ax, MEASURES[measure])
    style.plot_style(ax, legend=bool(kinds), loc="best")
    return ax


def _draw_several(flows: Mapping[str, Any], ax: "Axes", measure: str) -> "Axes":
    for look, (name, flow) in zip(style.looks(), flows.items(), strict=False):
        rows = [row for row in flow.rows if getattr(row, measure) is not None]
        values = _positive([getattr(row, measure) for row in rows])
        _expect_some(values, measure)
        depth = np.arange(1, len(rows) + 1)
        ax.plot(depth, values, look.dashes, color=look.color, marker=look.marker, ms=5, label=name)
    ax.set_yscale("log")
    style.whole_numbers(ax)
    style.label(ax, "layer, from the input", MEASURES[measure])
    style.plot_style(ax, legend=True)
    return ax


def _draw_over_time(flow: Any, ax: "Axes", measure: str) -> "Axes":
    from matplotlib import colormaps

    values = _positive(flow.column(measure))
    shown = np.flatnonzero(~np.isnan(values).all(axis=0))
    _expect_some(values, measure)
    every = -(-len(shown) // 10)  # more names than that have no place
    for count, (layer, depth) in enumerate(
        zip(shown, np.linspace(0, 0.9, len(shown)), strict=True)
    ):
        label = "" if count % every else flow.names[layer]
        color = colormaps["viridis"](depth)
        ax.plot(flow.steps, values[:, layer], color=color, lw=1.8, label=label)
    for kind, where in flow.kinds().items():
        times, layers = np.nonzero(where)
        color, marker = KINDS.get(kind, OTHER)
        found = (flow.steps[times], values[times, layers])
        ax.plot(*found, marker, color=color, ms=8, mec="white", label=kind, zorder=3)
    ax.set_yscale("log")
    style.whole_numbers(ax)
    style.label(ax, "step", MEASURES[measure])
    style.plot_style(ax, legend=True, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _positive(values: Any) -> np.ndarray:
    """As float64, NaN where a logarithm has no place: 0, ∞, NaN."""
    array = np.asarray(values, np.float64)
    return np.where(np.isfinite(array) & (array > 0), array, np.nan)


def _expect_some(values: np.ndarray, measure: str) -> None:
    if np.isnan(values).all():  # of no values too
        raise ValueError(f"no layer has a {measure} above 0 that could be shown")


def _kinds(flow: Any) -> dict[int, str]:
    """The verdict on each row that has one: the first."""
    kinds: dict[int, str] = {}
    for verdict in flow.verdicts:
        for row in verdict.rows:
            kinds.setdefault(row, verdict.kind)
    return kinds
