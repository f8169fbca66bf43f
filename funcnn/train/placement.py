"""Where a run's arrays are, as `fit` uses it: nowhere in particular, or on a mesh."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding

from funcnn.train.counting import count_examples
from funcnn.train.objective import Loss
from funcnn.train.partition import (
    Partition,
    batch_parts,
    batch_sharding,
    check_mesh,
    put,
    state_sharding,
    whole,
)
from funcnn.train.state import TrainState
from funcnn.train.step import Step


class Placement(NamedTuple):
    """Hashable, so that what is compiled for it can be found again.

    Attributes:
      batch: of minibatches; None without a mesh, as are the others.
      state: of the leaves of a `TrainState`.
      whole: of what every device has all of.
    """

    batch: NamedSharding | None = None
    state: tuple[NamedSharding, ...] | None = None
    whole: NamedSharding | None = None


def placement(
    mesh: Mesh | None, partition: Partition | None, state: TrainState, batch_size: int | None
) -> Placement:
    """Where all goes on this mesh; raises for rules that cannot be followed."""
    if mesh is None:
        if partition is not None:
            raise ValueError("partition says how to use a mesh: give mesh=jax.make_mesh(...) too")
        return Placement()
    partition = Partition() if partition is None else partition
    check_mesh(mesh, partition, batch_size)
    of_state = tuple(jax.tree.leaves(state_sharding(mesh, partition, state)))
    return Placement(batch_sharding(mesh, partition), of_state, whole(mesh))


def put_state(where: Placement, state: TrainState) -> TrainState:
    """The state in its place, on the devices of the mesh where there is one."""
    if where.state is None:
        return state
    return put(state, jax.tree.unflatten(jax.tree.structure(state), where.state))


def put_whole(where: Placement, data: Any) -> Any:
    """Arrays on the device; on each device of the mesh, where there is one."""
    if where.whole is None:
        return jax.tree.map(jnp.asarray, data)
    return put(data, where.whole)


def placed_step(step: Step, where: Placement) -> Step:
    """The same step, its batch divided among the devices and the state in its place."""
    if where.state is None:
        return step
    shardings = where.state

    def placed_step(state, batch):
        state, metrics = step(state, _divided(batch, where))
        leaves, structure = jax.tree.flatten(state)
        placed = map(lax.with_sharding_constraint, leaves, shardings)
        return jax.tree.unflatten(structure, placed), metrics

    return placed_step


def placed_loss(loss: Loss, where: Placement) -> Loss:
    """The same loss, its batch divided among the devices."""
    if where.batch is None:
        return loss
    return lambda params, state, batch, key: loss(params, state, _divided(batch, where), key)


def _divided(batch: Any, where: Placement) -> Any:
    """A batch that the devices do not divide, as the last of an epoch, stays whole on each."""
    assert where.batch is not None
    divides = count_examples(batch) % batch_parts(where.batch) == 0
    return lax.with_sharding_constraint(batch, where.batch if divides else where.whole)
