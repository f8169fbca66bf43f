"""Compiled programs that the next `fit` with the same arguments finds again."""

from collections.abc import Callable
from typing import Any


def remembered(make: Callable[..., Any], *arguments: Any) -> Any:
    """`make(*arguments)`, where `make` is a `functools.lru_cache`; anew for what has no hash."""
    try:
        return make(*arguments)
    except TypeError:
        hashable = all(getattr(type(a), "__hash__", None) for a in arguments)
        if hashable:
            raise
        return make.__wrapped__(*arguments)  # type: ignore[attr-defined]
