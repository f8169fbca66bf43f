"""Extra keyword arguments of `update`, such as optax's `value=loss`, in wrappers and chains."""

import inspect
from collections.abc import Callable
from typing import Any

from .transformation import GradientTransformation


def check_transformation(name: str, value: Any) -> None:
    """TypeError unless `value` has `init` and `update`."""
    if not (callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))):
        raise TypeError(f"{name} is {value!r}, not a transformation")


def takes_extra_args(transformation: Any) -> bool:
    parameters = inspect.signature(transformation.update).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    return bool(kinds & {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD})


def passing_extra_args(transformation: Any) -> Callable[..., Any]:
    """Its `update`; extra keyword arguments are left out if it takes none."""
    if takes_extra_args(transformation):
        return transformation.update
    return lambda updates, state, params=None, **extra: transformation.update(
        updates, state, params
    )


def transformation_around(inner: Any, init: Callable[..., Any], update: Callable[..., Any]) -> Any:
    """The transformation of these two functions, which passes extra arguments on to `inner`.

    A `GradientTransformation`, or an `optax.GradientTransformationExtraArgs` if one of the inner
    ones is optax's and takes extra arguments: by that type optax's functions know to pass them on.
    """
    if any(takes_extra_args(t) and not isinstance(t, GradientTransformation) for t in inner):
        from optax import GradientTransformationExtraArgs  # here: it slows `import funcnn`

        return GradientTransformationExtraArgs(init, update)
    return GradientTransformation(init, update)
