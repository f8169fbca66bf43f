"""Eight devices compute what one does, and their compiled step sends no more than it must."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import funcnn
from funcnn import losses, nn, optim, train
from funcnn.train.partition import whole
from funcnn.train.placement import placed_step, placement

from . import placed

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


collectives = load("collectives")


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """Compiling is most of the time here. What is left out comes after the collectives' passes."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("way", placed.ways(8))
def test_eight_devices_train_as_one_does(way):
    """The last batch of an epoch, which 8 does not divide, included."""
    alone, (state, history) = placed.trained(), placed.trained(*placed.ways(8)[way])
    np.testing.assert_allclose(placed.curve(state, history), placed.curve(*alone), rtol=2e-5)
    mesh, partition = placed.ways(8)[way]
    asked = train.state_sharding(mesh, partition or train.Partition(), state)
    for leaf, sharding in zip(jax.tree.leaves(state), jax.tree.leaves(asked), strict=True):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


def test_a_mesh_that_does_not_divide_the_batch_is_refused():
    mesh = jax.make_mesh((8,), ("data",))
    with pytest.raises(ValueError, match="batch_size 12 is not a multiple of 8"):
        train.fit(
            placed.loss,
            placed.optimizer,
            placed.state(),
            (placed.x, placed.y),
            epochs=1,
            batch_size=12,
            mesh=mesh,
        )


MLP = nn.models.mlp([32, 32, 8])
BLOCK = nn.serial(nn.transformer_block(16, num_heads=4), lambda x: x.mean(1))
TWO = jax.make_mesh((4, 2), ("data", "model"))
ONE = jax.make_mesh((8,), ("data",))
CUT_MLP = (("1/kernel", P(None, "model")), ("1/bias", P("model")), ("3/kernel", P("model")))
CUT_BLOCK = (
    *((f"**/{name}/kernel", P(None, "model")) for name in ("query", "key", "value", "expand")),
    *((f"**/{name}/bias", P("model")) for name in ("query", "key", "value", "expand")),
    *((f"**/{name}/kernel", P("model")) for name in ("out", "contract")),
)


@functools.cache
def sent(model, shape, mesh, partition, grad):
    """By kind of collective in the compiled step: how many, their bytes, bytes sent."""
    loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    optimizer = optim.momentum(0.1)
    batch = jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct(shape[:1], jnp.int32)
    state = jax.eval_shape(lambda x: train.init(jax.random.key(0), model, optimizer, x), batch[0])
    of_state = train.state_sharding(mesh, partition, state)
    step = jax.jit(
        train.make_step(loss, optimizer, grad),
        in_shardings=(of_state, train.batch_sharding(mesh, partition)),
        out_shardings=(of_state, None),
    )
    compiled = step.lower(state, batch).compile()
    return collectives.total(collectives.collectives(compiled)), nn.count_parameters(state.params)


@pytest.mark.parametrize(
    ("model", "shape", "mesh", "partition"),
    [
        (MLP, (16, 24), ONE, train.Partition()),
        (MLP, (16, 24), ONE, train.fully_sharded(ONE)),
        (MLP, (16, 24), TWO, train.Partition(CUT_MLP)),
        (BLOCK, (16, 6, 16), TWO, train.Partition(CUT_BLOCK)),
    ],
    ids=["replicated MLP", "fully sharded MLP", "tensor parallel MLP", "tensor parallel block"],
)
def test_no_more_is_sent_than_with_jax_grad(model, shape, mesh, partition):
    ours, _ = sent(model, shape, mesh, partition, funcnn.value_and_grad)
    theirs, _ = sent(model, shape, mesh, partition, jax.value_and_grad)
    assert ours.keys() == theirs.keys() != set()
    for kind, counts in ours.items():
        assert all(counts[name] <= theirs[kind][name] for name in counts), (kind, ours, theirs)


def test_data_parallel_is_one_all_reduce_of_gradients_and_loss():
    found, parameters = sent(MLP, (16, 24), ONE, train.Partition(), funcnn.value_and_grad)
    size = 4 * (parameters + 1)
    assert found == {"all-reduce": {"count": 1, "bytes": size, "sent": 2 * size * 7 / 8}}


def test_an_epoch_divides_each_minibatch_and_gathers_it_without_communication():
    """The data is whole on every device, and so is the shuffled order."""
    loss = train.supervised(MLP, losses.softmax_cross_entropy_with_integer_labels)
    optimizer = optim.momentum(0.1)
    data = jax.ShapeDtypeStruct((256, 24), jnp.float32), jax.ShapeDtypeStruct((256,), jnp.int32)
    state = jax.eval_shape(lambda x: train.init(jax.random.key(0), MLP, optimizer, x), data[0])

    def compiled(mesh):
        step = placed_step(train.make_step(loss, optimizer), placement(mesh, None, state, 128))
        if mesh is None:
            return train.make_epoch(step, 128).lower(state, data).compile()
        of_whole = lambda leaf: leaf.update(sharding=whole(mesh))
        arguments = jax.tree.map(of_whole, (state, data))
        return train.make_epoch(step, 128).lower(*arguments).compile()

    eight, alone = compiled(ONE), compiled(None)
    assert eight.cost_analysis()["flops"] < alone.cost_analysis()["flops"] / 4
    found = collectives.total(collectives.collectives(eight))
    size = 4 * (nn.count_parameters(state.params) + 1)
    assert found.keys() == {"all-reduce"}
    assert found["all-reduce"]["count"] == 2
    assert found["all-reduce"]["bytes"] == 2 * size


def test_tensor_parallel_adds_up_activations_once_forward():
    """Megatron's scheme: a kernel cut by columns, the next by rows, one all-reduce after the two;
    backward none, since no gradient of x is wanted. The gradients are reduced in 4 rows each."""
    found, _ = sent(MLP, (16, 24), TWO, train.Partition(CUT_MLP), funcnn.value_and_grad)
    halves = 4 * (24 * 32 / 2 + 32 / 2 + 32 * 32 / 2)
    rest = 4 * (32 + 32 * 8 + 8 + 1)
    activations = 4 * (16 / 4) * 32
    assert found["all-reduce"]["count"] == 2
    assert found["all-reduce"]["bytes"] == halves + rest + activations
    assert set(found) == {"all-reduce"}


def test_64_and_256_devices_each_do_their_share(tmp_path):
    """Compiled for so many virtual devices, in a process of its own."""
    out = tmp_path / "scaling.json"
    command = [sys.executable, BENCHMARKS / "scaling.py", "--quick", "--out", out]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    rows = json.loads(out.read_text())["rows"]
    ways = {"data parallel", "fully sharded"}
    alone, few, many = (
        {row["way"]: row for row in rows if row["devices"] == n} for n in (1, 64, 256)
    )
    assert few.keys() == many.keys() == ways
    for way in ways:
        # what is not divided is little: the optimizer's update, the parameters read for a product
        for row in few[way], many[way]:
            assert 1 <= row["flops"] * row["devices"] / alone["data parallel"]["flops"] < 1.06
        assert few[way]["bytes"] < alone["data parallel"]["bytes"] / 40
        assert many[way]["bytes"] < alone["data parallel"]["bytes"] / 80
    assert many["data parallel"]["collectives"].keys() == {"all-reduce"}
    assert many["data parallel"]["collectives"]["all-reduce"]["count"] == 1
    assert few["data parallel"]["state_bytes"] == alone["data parallel"]["state_bytes"]
    assert many["fully sharded"]["state_bytes"] < alone["data parallel"]["state_bytes"] / 200
