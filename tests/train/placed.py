"""One training, placed in several ways: for the tests of devices, and a process of several hosts.

python placed.py PORT PROCESS PROCESSES FILE    writes what came out in each way, as JSON
"""

import functools
import json
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

from funcnn import losses, nn, optim, train

EXAMPLES, BATCH, EPOCHS = 28, 16, 4  # one batch and a rest: little to compile

# no bias before the normalization: its gradient is 0, and Adam's steps would be of rounding errors
model = nn.serial(
    nn.dense(8, use_bias=False),
    nn.batch_norm(),
    jax.nn.relu,
    nn.dropout(0.2),
    nn.dense(4),
)
loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
optimizer = optim.adam(0.02)
generator = np.random.default_rng(0)
y = generator.integers(0, 4, EXAMPLES).astype(np.int32)
x = (np.eye(4)[y] + 0.5 * generator.standard_normal((EXAMPLES, 4))).astype(np.float32)

TENSOR_PARALLEL = train.Partition(
    (
        ("0/kernel", P(None, "model")),
        ("1/*", P("model")),  # scale and bias of the normalization
        ("4/kernel", P("model", None)),
    )
)


def ways(devices: int) -> dict[str, tuple]:
    """Mesh and partition: all that `fit` is told."""
    one = jax.make_mesh((devices,), ("data",))
    two = jax.make_mesh((devices // 2, 2), ("data", "model"))
    return {
        "data parallel": (one, None),
        "fully sharded": (one, train.fully_sharded(one)),
        "tensor parallel": (two, TENSOR_PARALLEL),
    }


def state():
    """Where each way starts."""
    return train.init(jax.random.key(0), model, optimizer, x)


@functools.cache
def trained(mesh=None, partition=None):
    """On arrays, the last batch of an epoch smaller than the others."""
    return train.fit(
        loss,
        optimizer,
        state(),
        (x, y),
        epochs=EPOCHS,
        batch_size=BATCH,
        validation=(x[:16], y[:16]),
        mesh=mesh,
        partition=partition,
        progress=False,
    )


def streamed(mesh=None, partition=None, process=0, processes=1):
    """On batches from a source, each process with its own part of them."""
    part = BATCH // processes

    def source(epoch):
        for start in range(0, EXAMPLES - BATCH + 1, BATCH):
            here = slice(start + process * part, start + (process + 1) * part)
            yield x[here], y[here]

    return train.fit(
        loss,
        optimizer,
        state(),
        source,
        epochs=EPOCHS,
        mesh=mesh,
        partition=partition,
        progress=False,
    )


def curve(state, history) -> list[float]:
    """The losses, the sizes of the parameters, and the batch normalization's statistics."""
    sizes = [float(abs(leaf).sum()) for leaf in jax.tree.leaves((state.params, state.state))]
    measured = [history[name].tolist() for name in ("loss", "validation_loss") if name in history]
    return [*np.concatenate(measured).tolist(), *sizes]


def main(port: str, process: int, processes: int, file: str) -> None:
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_disable_most_optimizations", True)  # compiling is most of the time here
    address = f"127.0.0.1:{port}"
    jax.distributed.initialize(address, num_processes=processes, process_id=process)
    placements = ways(len(jax.devices()))
    mesh, partition = placements.pop("fully sharded")
    found = {name: curve(*streamed(*way, process, processes)) for name, way in placements.items()}
    found["fully sharded"] = curve(*trained(mesh, partition))
    Path(file).write_text(json.dumps(found | refusals(mesh, process)))


def refusals(mesh, process: int) -> dict[str, str]:
    """What is said where processes do not fit together."""
    sharding = train.batch_sharding(mesh, train.Partition())
    calls = {
        "seeds": lambda: train.fit(
            loss,
            optimizer,
            train.init(jax.random.key(process), model, optimizer, x),
            (x, y),
            epochs=1,
            batch_size=BATCH,
            mesh=mesh,
            progress=False,
        ),
        "part": lambda: train.put_batch({"x": np.ones((3, 2))}, sharding),
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
        except ValueError as error:
            said[name] = str(error)
    return said


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
