"""What is looked at before training starts, so that bad data is an error and not a bad model."""

from typing import Any

import jax
import numpy as np

from funcnn.train.epoch import count_examples
from funcnn.train.objective import Loss
from funcnn.train.state import TrainState


def check_data(name: str, data: Any, loss: Loss, state: TrainState) -> None:
    """Raises for data that is empty, ragged or not finite, or that the loss itself objects to."""
    try:
        count_examples(data)
        for path, leaf in jax.tree_util.tree_leaves_with_path(data):
            _check_finite(jax.tree_util.keystr(path), leaf)
        check = getattr(loss, "check", None)
        if check is not None:
            check(state.params, state.state, data)
    except (ValueError, TypeError) as error:
        error.add_note(f"while checking the argument {name!r} of train.fit")
        raise


def _check_finite(path: str, leaf: Any) -> None:
    if not jax.dtypes.issubdtype(leaf.dtype, np.inexact):
        return
    bad = ~np.isfinite(np.asarray(leaf))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"data{path}[{', '.join(map(str, first))}] is {np.asarray(leaf)[first]}, and "
            f"{int(bad.sum())} of {bad.size} values are not finite: replace or leave out these "
            "examples"
        )
