"""What the examples print in columns."""

from collections.abc import Mapping, Sequence

import numpy as np


def by_epoch(history: Mapping[str, np.ndarray], rows: int = 10) -> str:
    """The history of `train.fit` in about `rows` lines, the first and last epoch among them."""
    epochs = history["epoch"]
    every = -(-len(epochs) // rows)
    shown = [i for i, n in enumerate(epochs) if n % every == 0 or i in (0, len(epochs) - 1)]
    columns = [name for name in history if name not in ("step", "seconds")]
    return table(
        [name.replace("_", " ") for name in columns],
        [[cell(name, history[name][i]) for name in columns] for i in shown],
    )


def cell(name: str, value: np.generic) -> str:
    if name == "epoch":
        return str(value)
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under a header, the columns aligned at the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)
