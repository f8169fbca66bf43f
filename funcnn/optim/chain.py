"""Several gradient transformations, one after another."""

from typing import Any

from .extra_args import check_transformation, passing_extra_args, transformation_around


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
        check_transformation(f"argument {i} of chain", t)
    inner_updates = [passing_extra_args(t) for t in transformations]

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
        for inner_update, old in zip(inner_updates, state, strict=True):
            updates, new = inner_update(updates, old, params, **extra_args)
            new_state.append(new)
        return updates, tuple(new_state)

    return transformation_around(transformations, init, update)


def _describe(state) -> str:
    return f"a {type(state).__name__}" + (f" of {len(state)}" if type(state) is tuple else "")
