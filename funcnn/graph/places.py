"""Where in the user's program an operation stands: file, line, function, and scopes around it."""

import pathlib
from typing import Any, NamedTuple

import jax

import funcnn

_JAX = str(pathlib.Path(jax.__file__).parent)
_FUNCNN = str(pathlib.Path(funcnn.__file__).parent)
_LOOKING = ("autodiff", "graph", "debug")  # what looks at programs is no part of them


class Place(NamedTuple):
    """A line of a program.

    Attributes:
      file, line, function: of the user's code: the innermost frame outside of JAX and funcnn.
      via: the same of funcnn's code, where the user's line called a layer or a loss, as a text;
        else None.
      scope: names of `jax.named_scope`, outermost first; a layer's path is among them.
    """

    file: str
    line: int
    function: str
    via: str | None = None
    scope: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.function})" if self.file else "an unknown line"

    @property
    def short(self) -> str:
        """As `str`, without folders: for drawings and pages, which others get to see."""
        return str(self._replace(file=pathlib.Path(self.file).name)) if self.file else str(self)


def place_of(source: Any) -> Place:
    """The place that a `jax.extend.source_info_util.SourceInfo` speaks of."""
    scope = tuple(name for name in str(source.name_stack).split("/") if name)
    frames = source.traceback.frames if source.traceback is not None else []
    via = None
    for frame in frames:  # innermost first
        file = frame.file_name
        if file.startswith((_JAX, "<frozen")):
            continue
        if not file.startswith(_FUNCNN):
            return Place(file, frame.line_num, frame.function_name, via, scope)
        if via is None and not file.startswith(tuple(f"{_FUNCNN}/{p}" for p in _LOOKING)):
            inside = pathlib.Path(file).relative_to(pathlib.Path(_FUNCNN).parent).as_posix()
            via = f"{inside}:{frame.line_num} ({frame.function_name})"
    return Place("", 0, "", via, scope)


def functions_of_jax(source: Any) -> tuple[str, ...]:
    """The functions of JAX that the user's line, or funcnn's, called on the way to an operation.

    Outermost first: `logsumexp`, `log`. What JAX does for itself in between is left out.
    """
    names: list[str] = []
    for frame in source.traceback.frames if source.traceback is not None else ():
        file, name = frame.file_name, frame.function_name
        if file.startswith((f"{_FUNCNN}/autodiff", f"{_FUNCNN}/graph")):
            names = []
        elif not file.startswith((_JAX, "<frozen")):
            break
        elif "<" not in name and "." not in name and file.startswith(_FOR_USERS):
            names.append(name)
    return tuple(reversed(names))


_FOR_USERS = tuple(f"{_JAX}/_src/{part}" for part in ("numpy", "nn", "scipy", "ops", "random"))


def is_of_jax(jaxpr: Any) -> bool:
    """Is this the program of one of JAX's own functions, `jnp.where` say?

    JAX traces such a function once: the lines its equations know are those of the first call.
    """
    info = getattr(jaxpr, "jaxpr", jaxpr).debug_info
    return (info.func_filename or "").startswith(_JAX)
