"""Ctrl-C as a question that can be asked, and not as an exception that may come anywhere."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed since this block was entered.

    As an exception it could be raised inside one of JAX's callbacks, and be lost there. The second
    one is an exception again, for those who do not want to wait. Where Ctrl-C is not Python's
    (another handler, another thread than the main one), nothing is changed.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    asked = False

    def note(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
