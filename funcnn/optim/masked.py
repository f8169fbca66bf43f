"""Transformations for some of the params: by mask, by label, by path; freezing."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcnn import paths

from .extra_args import check_transformation, passing_extra_args, transformation_around
from .lift import lift
from .masks import Mask, broadcast, resolved
from .matching import check_matching, check_state
from .transformation import EmptyState, GradientTransformation, PyTree


class MaskedState(NamedTuple):
    """The state of `masked` and `freeze`.

    Attributes:
        inner_state: that of the inner transformation, for the params which the mask chooses.
    """

    inner_state: Any


class PartitionState(NamedTuple):
    """The state of `partition` and `by_path`.

    Attributes:
        inner_states: from each label to the state of its transformation.
    """

    inner_states: dict[Any, Any]


def masked(inner: Any, mask: Mask) -> Any:
    """Applies `inner` where the mask is True; other updates pass as they are. As `optax.masked`.

    `inner` sees None in the place of the other arrays and remembers nothing of them.

    Args:
        inner: a transformation, funcnn's or optax's.
        mask: a pytree of bools like the params or a prefix of one, a function from params (or
            updates: the structure is the same) to one, or a path pattern such as `"**/kernel"`.

    Returns:
        The transformation, with a `MaskedState`.

    Raises:
        TypeError: `inner` is not a transformation.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> only_b = optim.masked(optim.scale(10.0), {"a": False, "b": True})
        >>> gradients = {"a": jnp.array(1.0), "b": jnp.array(1.0)}
        >>> updates, _ = only_b.update(gradients, only_b.init(gradients))
        >>> print(updates["a"], updates["b"])
        1.0 10.0
    """
    check_transformation("inner", inner)
    inner_update = passing_extra_args(inner)

    def init(params):
        return MaskedState(inner.init(_where(resolved(mask, params), params)))

    def update(updates, state, params=None, **extra_args):
        check_state(state, MaskedState)
        if params is not None:
            advice = "pass the params that the gradients were taken of"
            check_matching("gradients", updates, "params", params, dtypes=False, advice=advice)
        chosen = resolved(mask, updates)
        mine, inner_state = inner_update(
            _where(chosen, updates),
            state.inner_state,
            None if params is None else _where(chosen, params),
            **extra_args,
        )
        updates = jax.tree.map(lambda m, new, old: new if m else old, chosen, mine, updates)
        return updates, MaskedState(inner_state)

    return transformation_around([inner], init, update)


def partition(transforms: Mapping[Any, Any], param_labels: Any) -> Any:
    """Applies to each array the transformation of its label; as `optax.partition`.

    Args:
        transforms: from label to transformation, funcnn's or optax's.
        param_labels: a pytree of labels like the params or a prefix of one, or a function from
            params (or updates) to one. See `by_path` for labels by path.

    Returns:
        The transformation, with a `PartitionState`.

    Raises:
        TypeError: what is not a transformation. `init` raises ValueError for a label without
            transformation; the message names the leaf.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> optimizer = optim.partition(
        ...     {"fast": optim.sgd(1.0), "slow": optim.sgd(0.01)}, {"a": "fast", "b": "slow"}
        ... )
        >>> gradients = {"a": jnp.array(1.0), "b": jnp.array(1.0)}
        >>> updates, _ = optimizer.update(gradients, optimizer.init(gradients))
        >>> print(updates["a"], updates["b"])
        -1.0 -0.01
    """
    for label, t in transforms.items():
        check_transformation(f"the transformation of {label!r}", t)

    def is_labeled(label):
        labels = lambda tree: broadcast("labels", param_labels, tree)
        return lambda tree: jax.tree.map(lambda other: other == label, labels(tree))

    groups = {label: masked(t, is_labeled(label)) for label, t in transforms.items()}

    def init(params):
        for path, label in jax.tree.leaves_with_path(broadcast("labels", param_labels, params)):
            if label not in transforms:
                raise ValueError(
                    f"leaf {jax.tree_util.keystr(path, simple=True, separator='/')!r} has the "
                    f"label {label!r}, expected one of {', '.join(map(repr, transforms))}"
                )
        return PartitionState(
            {label: group.init(params).inner_state for label, group in groups.items()}
        )

    def update(updates, state, params=None, **extra_args):
        check_state(state, PartitionState)
        if set(state.inner_states) != set(groups):
            raise ValueError(
                f"the state is that of groups {', '.join(map(repr, state.inner_states))}, expected "
                f"{', '.join(map(repr, groups))}: make one with init(params)"
            )
        inner_states = {}
        for label, group in groups.items():
            old = MaskedState(state.inner_states[label])
            updates, new = group.update(updates, old, params, **extra_args)
            inner_states[label] = new.inner_state
        return updates, PartitionState(inner_states)

    return transformation_around(list(transforms.values()), init, update)


def by_path(groups: Mapping[str, Any]) -> Any:
    """Applies to each array the transformation of the first pattern that its path matches.

    Args:
        groups: from path pattern, such as `"encoder/**"` or `"**/bias"` (see `funcnn.paths`), to
            transformation, funcnn's or optax's. With `"**"` last, for all other arrays.

    Returns:
        The transformation, with a `PartitionState` by pattern.

    Raises:
        TypeError: what is not a transformation. `init` raises ValueError for a pattern that no
            path matches and for an array that no pattern matches; the message names it.

    Example:
        A tenth of the rate for what is trained already, and the embedding not trained at all:

        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> params = {"embedding": jnp.ones(1), "body": {"w": jnp.ones(1)}, "head": jnp.ones(1)}
        >>> optimizer = optim.by_path(
        ...     {"embedding": optim.set_to_zero(), "body/**": optim.sgd(0.1), "**": optim.sgd(1.0)}
        ... )
        >>> updates, _ = optimizer.update(params, optimizer.init(params), params)
        >>> print(updates["embedding"], updates["body"]["w"], updates["head"])
        [0.] [-0.1] [-1.]
    """

    def labels(tree):
        chosen = [(pattern, jax.tree.leaves(paths.mask(tree, pattern))) for pattern in groups]
        found = []
        for i, name in enumerate(paths.names(tree)):
            label = next((pattern for pattern, mask in chosen if mask[i]), None)
            if label is None:
                raise ValueError(
                    f"no pattern matches {name!r}: add a last one, '**', for all other arrays"
                )
            found.append(label)
        return jax.tree.unflatten(jax.tree.structure(tree), found)

    return partition(groups, labels)


def freeze(mask: Mask) -> Any:
    """Sets the updates to zero where the mask is True; as `optax.freeze`.

    Put it last in a chain: what comes after may move the params again (weight decay). `by_path`
    with `set_to_zero` freezes and remembers nothing of the frozen params; not even a gradient of
    them is taken if they are no argument of the loss (see `funcnn.paths`).

    Args:
        mask: as in `masked`; a path pattern, for example: `freeze("encoder/**")`.

    Returns:
        The transformation, with a `MaskedState`.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> gradients = {"encoder": {"w": jnp.ones(1)}, "head": jnp.ones(1)}
        >>> optimizer = optim.chain(optim.sgd(0.5), optim.freeze("encoder/**"))
        >>> updates, _ = optimizer.update(gradients, optimizer.init(gradients))
        >>> print(updates["encoder"]["w"], updates["head"])
        [0.] [-0.5]
    """
    return masked(set_to_zero(), mask)


def set_to_zero() -> GradientTransformation:
    """Replaces the updates, also NaN, by zeros; as `optax.set_to_zero`."""
    return lift(jnp.zeros_like, EmptyState)


def _where(chosen: PyTree, tree: PyTree) -> PyTree:
    return jax.tree.map(lambda m, leaf: leaf if m else None, chosen, tree)
