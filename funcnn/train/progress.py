"""The progress bar, by tqdm."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def progress_bar(
    epochs: int, wanted: bool | None
) -> Iterator[Callable[[dict[str, Any] | None], None]]:
    """A function to call with each epoch's row of the history, or with None when interrupted."""
    if wanted is False:
        yield lambda row: None
        return
    if wanted is None and not (_is_terminal(sys.stderr) and _tqdm(required=False)):
        yield lambda row: None if row else print(_INTERRUPTED, file=sys.stderr)
        return

    bar = _tqdm(required=True)(total=epochs, unit="epoch", dynamic_ncols=True)

    def show(row: dict[str, Any] | None) -> None:
        if row is None:
            bar.write(_INTERRUPTED, file=sys.stderr)
            return
        shown = {k: v for k, v in row.items() if k not in ("epoch", "step", "seconds")}
        bar.set_postfix({k: f"{v:.4g}" for k, v in shown.items() if v.ndim == 0}, refresh=False)
        bar.update()

    with bar:
        yield show


_INTERRUPTED = "interrupted: what was trained so far is returned"


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()  # it is None in a program without a console


def _tqdm(required: bool) -> Any:
    try:
        from tqdm import tqdm
    except ImportError as error:
        if not required:
            return None
        raise ImportError(
            "the progress bar needs tqdm: pip install 'funcnn[progress]' (or progress=False)"
        ) from error
    return tqdm
