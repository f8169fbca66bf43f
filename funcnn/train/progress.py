"""The progress bar, by tqdm."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from funcnn.train.history import Row


class Progress(NamedTuple):
    """What there is to show, or nothing where nobody looks.

    Attributes:
      epoch: shows the row of an epoch that is done.
      batch: shows how many batches of a streamed epoch are done.
      say: says why training ends before its last epoch; and
      interrupted: that it was told to end, where there is no bar too.
    """

    epoch: Callable[[Row], None]
    batch: Callable[[int], None]
    say: Callable[[str], None]
    interrupted: Callable[[], None]


def _nothing(shown: Any) -> None:
    pass


_INTERRUPTED = "interrupted: what was trained so far is returned"


@contextlib.contextmanager
def progress_bar(epochs: int, done: int, wanted: bool | None) -> Iterator[Progress]:
    """A bar over `epochs`, of which `done` are done, with the time left and the latest numbers."""
    if wanted is False:
        yield Progress(_nothing, _nothing, _nothing, lambda: None)
        return
    if wanted is None and not (_is_terminal(sys.stderr) and _tqdm(required=False)):
        yield Progress(_nothing, _nothing, _nothing, lambda: print(_INTERRUPTED, file=sys.stderr))
        return

    bar = _tqdm(required=True)(total=epochs, initial=done, unit="epoch", dynamic_ncols=True)
    shown = 0.0

    def epoch(row: Row) -> None:
        numbers = {k: v for k, v in row.items() if k not in ("epoch", "step", "seconds")}
        bar.set_description_str(None, refresh=False)
        bar.set_postfix({k: f"{v:.4g}" for k, v in numbers.items()}, refresh=False)
        bar.update()

    def batch(count: int) -> None:
        nonlocal shown
        if (now := time.monotonic()) - shown > 0.2:
            shown = now
            bar.set_description_str(f"batch {count}")

    with bar:
        say = lambda text: bar.write(text, file=sys.stderr)
        yield Progress(epoch, batch, say, lambda: say(_INTERRUPTED))


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
