"""Several gradient transformations, one after another."""

import inspect
from typing import Any

from .transformation import GradientTransformation


def chain(*transformations: Any) -> Any:
    """Applies transformations in the order given, each to what the one before returned.

    funcnn's and optax's transformations mix, nested chains too. Extra keyword arguments of `update`
    (`value=loss` for some of optax's) go to each transformation that takes them.

    Args:
        *transformations: `GradientTransformation`s, funcnn's or optax's, or any objects with `init`
            and `update`.

    Returns:
        The chained transformation; its state is the tuple of theirs. It is a
        `GradientTransformation`, or an `optax.GradientTransformationExtraArgs` if one of optax's
        transformations takes extra arguments, since by that type optax's functions know to pass
        them on.

    Raises:
        TypeError: an argument is not a transformation.
        ValueError: `update` got the state of another chain.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from funcnn import optim
        >>> optimizer = optim.chain(optax.clip_by_global_norm(1.0), optim.sgd(0.5))
        >>> params, gradients = jnp.zeros(2), jnp.array([3.0, 4.0])
        >>> updates, state = optimizer.update(gradients, optimizer.init(params), params)
        >>> print(updates)
        [-0.3 -0.4]
    """
    for i, t in enumerate(transformations):
        if not (callable(getattr(t, "init", None)) and callable(getattr(t, "update", None))):
            raise TypeError(f"argument {i} of chain is {t!r}, not a transformation")
    takes_extra_args = [_takes_extra_args(t.update) for t in transformations]

    def init(params):
        return tuple(t.init(params) for t in transformations)

    def update(updates, state, params=None, **extra_args):
        if not isinstance(state, tuple | list) or len(state) != len(transformations):
            raise ValueError(
                f"expected a tuple of {len(transformations)} states, one for each transformation "
                f"of the chain, got {_describe(state)}: the state must come from this chain's "
                "init or update"
            )
        new_state = []
        for t, takes, old in zip(transformations, takes_extra_args, state, strict=True):
            updates, new = t.update(updates, old, params, **(extra_args if takes else {}))
            new_state.append(new)
        return updates, tuple(new_state)

    if any(
        takes and not isinstance(t, GradientTransformation)
        for t, takes in zip(transformations, takes_extra_args, strict=True)
    ):
        from optax import GradientTransformationExtraArgs  # here: it slows `import funcnn`

        return GradientTransformationExtraArgs(init, update)
    return GradientTransformation(init, update)


def _takes_extra_args(update) -> bool:
    kinds = {parameter.kind for parameter in inspect.signature(update).parameters.values()}
    return bool(kinds & {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD})


def _describe(state) -> str:
    return f"a {type(state).__name__}" + (f" of {len(state)}" if type(state) is tuple else "")
