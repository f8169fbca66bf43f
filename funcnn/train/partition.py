"""Where the parts of a training run are on several devices: rules, and the shardings they give.

    mesh = jax.make_mesh((8,), ("data",))                      # data parallel
    train.fit(..., mesh=mesh)
    train.fit(..., mesh=mesh, partition=train.fully_sharded(mesh))

    mesh = jax.make_mesh((4, 2), ("data", "model"))            # and tensor parallel
    rules = (("0/kernel", P(None, "model")), ("0/bias", P("model")), ("2/kernel", P("model", None)))
    train.fit(..., mesh=mesh, partition=train.Partition(rules))

XLA's partitioner reads these shardings and puts the collectives into the compiled step. So a rule
changes where numbers are and how long a step takes, and what is computed by rounding only.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from funcnn import paths
from funcnn.train.state import TrainState

Spec = PartitionSpec | Callable[[Any], PartitionSpec]


class Partition(NamedTuple):
    """Which axes of which arrays are cut over which axes of the mesh.

    Attributes:
      params: pairs ``(pattern, spec)``: parameters by their path, as in `funcnn.paths`, and the
        `PartitionSpec` they get, or a function from the leaf to it. A leaf that several patterns
        match gets the first one's; what none matches is whole on every device.
      batch: of each array of a minibatch. None: the first axis, over the first axis of the mesh.
    """

    params: Sequence[tuple[paths.Pattern, Spec]] = ()
    batch: PartitionSpec | None = None


def fully_sharded(mesh: Mesh, axis: str | None = None) -> Partition:
    """Each parameter, and what the optimizer remembers of it, is cut over one axis of the mesh.

    A device holds 1/n of all that grows with the parameters. They are put together where a layer
    needs them (all-gather), and gradients are added up. Of an array the longest axis is cut that
    the number of devices divides; one without such an axis stays whole.

    Args:
      mesh: of devices.
      axis: of the mesh; its first if None, the one that minibatches are cut over too.

    >>> import jax, jax.numpy as jnp
    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> ((pattern, spec),) = fully_sharded(mesh).params
    >>> pattern, tuple(spec(jnp.ones((3, 8)))), tuple(spec(jnp.ones(())))
    ('**', (None, 'data'), ())

    Source: Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter
    Models", 2020 (stage 3).
    """
    name = mesh.axis_names[0] if axis is None else axis
    _check_axes("axis", PartitionSpec(name), mesh)
    n = mesh.shape[name]

    def longest(leaf: Any) -> PartitionSpec:
        sizes = [size if size % n == 0 else 0 for size in leaf.shape]
        if not any(sizes):
            return PartitionSpec()
        return PartitionSpec(*[None] * sizes.index(max(sizes)), name)

    return Partition(params=(("**", longest),))


def whole(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device has all of."""
    return _sharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, partition: Partition) -> NamedSharding:
    """The sharding of a minibatch's arrays: `partition.batch`, or over the mesh's first axis."""
    return _sharding(mesh, _batch_spec(mesh, partition))


def batch_parts(sharding: NamedSharding) -> int:
    """In how many parts the first axis of a minibatch is cut."""
    return _parts(sharding.spec, sharding.mesh, 0)


def state_sharding(mesh: Mesh, partition: Partition, state: TrainState) -> Any:
    """A `NamedSharding` for each leaf of a `TrainState`, to be given to `jax.device_put` and `jit`.

    Parameters are placed by the rules. What the optimizer remembers of a parameter (a momentum, a
    running average: an array of the parameter's shape, at the end of the same path) lies where the
    parameter lies, so that the update needs no communication. All else is whole on every device.

    Args:
      mesh: of devices. Its axes are taken as automatic ones, of whatever type they are.
      partition: the rules.
      state: or a pytree of `jax.ShapeDtypeStruct` like it.

    Raises:
      ValueError: a pattern that no parameter matches; a spec that names an axis the mesh does not
        have, has more entries than the parameter has axes, or cuts an axis into unequal parts.

    >>> import jax, jax.numpy as jnp
    >>> from jax.sharding import PartitionSpec as P
    >>> from funcnn import nn, optim, train
    >>> mesh = jax.make_mesh((1,), ("model",))
    >>> state = train.init(jax.random.key(0), nn.dense(4), optim.adam(0.1), jnp.ones((2, 3)))
    >>> rules = Partition(params=(("kernel", P(None, "model")),))
    >>> placed = state_sharding(mesh, rules, state)
    >>> tuple(placed.params["kernel"].spec), tuple(placed.params["bias"].spec)
    ((None, 'model'), ())
    """
    specs = _param_specs(mesh, partition, state.params)
    leaves = jax.tree.leaves_with_path(state.params)
    known = {(path, leaf.shape): spec for (path, leaf), spec in zip(leaves, specs, strict=True)}

    def like_parameter(path: Any, leaf: Any) -> NamedSharding:
        ends = [(path[i:], leaf.shape) for i in range(len(path) + 1)]  # the longest first
        specs = (known[end] for end in ends if end in known)
        return _sharding(mesh, next(specs, PartitionSpec()))

    placed = jax.tree.map(lambda leaf: whole(mesh), state)
    return placed._replace(
        params=jax.tree.map_with_path(like_parameter, state.params),
        opt_state=jax.tree.map_with_path(like_parameter, state.opt_state),
    )


def put_batch(batch: Any, sharding: NamedSharding) -> Any:
    """Puts a minibatch on the devices; in a run of several processes, each gives its own part.

    In one process, a minibatch that the devices do not divide (the last of an epoch) is put whole
    on each of them.

    Args:
      batch: a pytree of arrays with examples along the first axis. In a run of several processes:
        the examples for this process's devices, as many as in each other process. The parts stand
        one after another in the order of the mesh.
      sharding: from `batch_sharding`.

    Raises:
      ValueError: in a run of several processes, examples that this process's devices do not divide.

    >>> import jax, numpy as np
    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> batch = put_batch(np.ones((4, 3)), batch_sharding(mesh, Partition()))
    >>> batch.shape, tuple(batch.sharding.spec)
    ((4, 3), ('data',))
    """
    parts = batch_parts(sharding)
    if sharding.is_fully_addressable:
        divides = all(leaf.shape[0] % parts == 0 for leaf in jax.tree.leaves(batch))
        return jax.device_put(batch, sharding if divides else sharding.update(spec=PartitionSpec()))
    places = NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:1]))
    parts = len({str(i) for i in places.addressable_devices_indices_map((parts,)).values()})
    for path, leaf in jax.tree.leaves_with_path(batch):
        if leaf.shape[0] % parts:
            raise ValueError(
                f"batch{jax.tree_util.keystr(path)}: process {jax.process_index()} has "
                f"{leaf.shape[0]} examples, and its devices hold {parts} parts of a minibatch: "
                f"give a multiple of {parts}, and leave out the last, smaller batch of an epoch"
            )
    return jax.make_array_from_process_local_data(sharding, jax.tree.map(np.asarray, batch))


def put(tree: Any, sharding: Any) -> Any:
    """Puts arrays that each process has all of on the devices: a state, data that stays there.

    Args:
      tree: a pytree of arrays, JAX's or NumPy's, or of arrays that are on these devices already.
      sharding: one for all leaves, or a pytree of them as from `state_sharding`.

    Raises:
      ValueError: the processes have different numbers; the message names the leaf.

    >>> import jax, numpy as np
    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> put({"x": np.ones(3)}, whole(mesh))["x"].sharding == whole(mesh)
    True
    """
    shardings = jax.tree.broadcast(sharding, tree)
    if all(one.is_fully_addressable for one in jax.tree.leaves(shardings)):
        return jax.device_put(tree, shardings)
    _check_same(tree)
    return jax.tree.map(_put_from_each, tree, shardings)


def _put_from_each(leaf: Any, sharding: NamedSharding) -> jax.Array:
    if _is_global(leaf):
        return jax.device_put(leaf, sharding)
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _put_from_each(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    values = np.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
    return jax.make_array_from_callback(values.shape, sharding, values.__getitem__)


def _check_same(tree: Any) -> None:
    """Raises where processes have different numbers: they would train different models, unseen."""
    leaves = [(p, x) for p, x in jax.tree.leaves_with_path(tree) if not _is_global(x)]
    if not leaves:
        return
    sums = np.array([zlib.crc32(_bytes(leaf)) for _, leaf in leaves], np.uint32)
    sums_of_all = np.asarray(multihost_utils.process_allgather(sums)).reshape(-1, len(leaves))
    for (path, _), of_leaf in zip(leaves, sums_of_all.T, strict=True):
        if (of_leaf != of_leaf[0]).any():
            other = int(np.argmax(of_leaf != of_leaf[0]))
            raise ValueError(
                f"{jax.tree_util.keystr(path) or 'the array'} is not the same in process 0 and in "
                f"process {other}: each must start from the same seed and load the same data"
            )


def _bytes(leaf: Any) -> bytes:
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes()


def _is_global(leaf: Any) -> bool:
    """Whether parts of the array are on other processes' devices already."""
    return isinstance(leaf, jax.Array) and not leaf.is_fully_addressable


def check_mesh(mesh: Mesh, partition: Partition, batch_size: int | None) -> None:
    """Raises where minibatches of this size cannot be cut so, or where there is no such axis.

    Args:
      batch_size: examples in a minibatch of all devices together; None where it is not known.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh must be a jax.sharding.Mesh, as from jax.make_mesh, got {mesh!r}")
    if not isinstance(partition, Partition):
        raise TypeError(
            f"partition must be a train.Partition, got {partition!r}: rules for parameters are "
            "train.Partition(params=((pattern, PartitionSpec), ...))"
        )
    for rule in partition.params:
        if not (isinstance(rule, tuple) and len(rule) == 2):
            raise TypeError(f"a rule for parameters must be (pattern, PartitionSpec), got {rule!r}")
        if isinstance(rule[1], PartitionSpec):
            _check_axes(f"the rule {rule[0]!r}", rule[1], mesh)
    spec = _batch_spec(mesh, partition)
    _check_axes("partition.batch", spec, mesh)
    parts = _parts(spec, mesh, 0)
    if batch_size is not None and batch_size % parts:
        near = max(parts, batch_size // parts * parts)
        raise ValueError(
            f"batch_size {batch_size} is not a multiple of {parts}, the number of parts into which "
            f"{tuple(spec)} cuts a minibatch on the mesh {dict(mesh.shape)}: take {near} or "
            f"{near + parts}"
        )


def _automatic(mesh: Mesh) -> Mesh:
    """The same mesh with axes of the type that leaves all sharding to XLA's partitioner."""
    types = (AxisType.Auto,) * len(mesh.axis_names)
    return Mesh(mesh.devices, mesh.axis_names, axis_types=types)


def _sharding(mesh: Mesh, spec: PartitionSpec) -> NamedSharding:
    return NamedSharding(_automatic(mesh), spec)


def _batch_spec(mesh: Mesh, partition: Partition) -> PartitionSpec:
    return PartitionSpec(mesh.axis_names[0]) if partition.batch is None else partition.batch


def _param_specs(mesh: Mesh, partition: Partition, params: Any) -> list[PartitionSpec]:
    """The spec of each leaf, by the first rule that matches it."""
    leaves = list(zip(paths.names(params), jax.tree.leaves(params), strict=True))
    specs: list[PartitionSpec | None] = [None] * len(leaves)
    for pattern, rule in partition.params:
        matched = jax.tree.leaves(paths.mask(params, pattern))
        for i, (name, leaf) in enumerate(leaves):
            if matched[i] and specs[i] is None:
                specs[i] = rule if isinstance(rule, PartitionSpec) else rule(leaf)
                _check_spec(f"the rule {pattern!r}", name, leaf.shape, specs[i], mesh)
    return [PartitionSpec() if spec is None else spec for spec in specs]


def _check_spec(rule: str, name: str, shape: tuple[int, ...], spec: Any, mesh: Mesh) -> None:
    """Raises unless a parameter of this shape can be cut so."""
    _check_axes(rule, spec, mesh)
    where = f"{rule} gives {name} of shape {shape} the spec {tuple(spec)}"
    if len(spec) > len(shape):
        raise ValueError(f"{where}, which has entries for {len(spec)} axes")
    for axis, size in enumerate(shape):
        parts = _parts(spec, mesh, axis)
        if size % parts:
            raise ValueError(
                f"{where}, and the mesh {dict(mesh.shape)} would cut axis {axis} into {parts} "
                f"parts, which do not divide {size}"
            )


def _check_axes(what: str, spec: Any, mesh: Mesh) -> None:
    """Raises unless the spec names axes of the mesh, each at most once."""
    if not isinstance(spec, PartitionSpec):
        raise TypeError(f"{what}: expected a PartitionSpec, got {spec!r}")
    names = [name for axis in range(len(spec)) for name in _names(spec, axis)]
    for name in names:
        if name not in mesh.axis_names:
            raise ValueError(
                f"{what} names the mesh axis {name!r}, the mesh has {', '.join(mesh.axis_names)}"
            )
        if names.count(name) > 1:
            raise ValueError(f"{what} cuts two axes over the one mesh axis {name!r}: {tuple(spec)}")


def _names(spec: PartitionSpec, axis: int) -> tuple[str, ...]:
    """The mesh axes over which this axis of an array is cut."""
    entry = spec[axis] if axis < len(spec) else None
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def _parts(spec: PartitionSpec, mesh: Any, axis: int) -> int:
    return math.prod(mesh.shape[name] for name in _names(spec, axis))
