"""Where in the user's program something happens."""

import pathlib
import sys
import types

import jax
from jax.extend import source_info_util

_OURS = str(pathlib.Path(__file__).parent)
_INTERNAL = (_OURS, str(pathlib.Path(jax.__file__).parent), "<frozen")

# so that JAX, when it says where something came from, names the user's line and not ours
source_info_util.register_exclusion(_OURS)


def current() -> source_info_util.SourceInfo:
    """The place now, cheap to keep; `summarize` makes it readable."""
    return source_info_util.current()


def users_line() -> str:
    """The user's file, line and function, for a message.

    An equation out of a jaxpr that JAX had cached knows no line of its own. Then it is the line
    from which the program that holds it was called.
    """
    known = source_info_util.summarize(current())
    if pathlib.Path(known.split(":")[0]).is_file():
        return known
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(_INTERNAL):
        frame = frame.f_back
    if frame is None:
        return "an unknown line"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
