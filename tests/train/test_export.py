"""Steps and epochs exported by jax.export for CPU, CUDA and TPU, on a machine that has only a CPU.

Where lowering goes by the platform (matrix products in JAX, a grouped convolution's gradient in
funcnn), the exported module holds each platform's version, and the one that runs chooses.
"""

import functools

import jax
import numpy as np
import pytest
from jax import export

from funcnn import losses, nn, optim, train

PLATFORMS = ("cpu", "cuda", "tpu")
TOKENS = nn.transformer_block(8, num_heads=2, is_causal=True, dropout_rate=0.1)
GROUPED = nn.conv(4, (3, 3), feature_group_count=2)
MODELS = {
    "MLP": (nn.serial(nn.dense(8), nn.batch_norm(), jax.nn.relu, nn.dense(3)), (6, 5)),
    "CNN": (nn.serial(GROUPED, nn.models.small_cnn(3, (4,), 8)), (6, 4, 4, 2)),
    "LSTM": (nn.serial(nn.lstm(4), lambda h: h[:, -1], nn.dense(3)), (6, 3, 2)),
    "transformer": (nn.serial(TOKENS, lambda h: h.mean(1), nn.dense(3)), (6, 4, 8)),
}


def step_of(name):
    """A training step, and numbers to call it with."""
    model, shape = MODELS[name]
    generator = np.random.default_rng(0)
    draw = lambda leaf: (0.1 + 0.5 * generator.random(leaf.shape)).astype(leaf.dtype)
    x = generator.standard_normal(shape).astype(np.float32)
    y = (np.arange(shape[0]) % 3).astype(np.int32)
    loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    optimizer = optim.adam(0.01)
    key = jax.random.key(0)
    shapes = jax.eval_shape(lambda: train.init(key, model, optimizer, x))._replace(key=())
    state = jax.tree.map(draw, shapes)._replace(key=key)
    return train.make_step(loss, optimizer), state, (x, y)


# little is computed here: half of the time to compile it can be saved
QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture(scope="module")
def several():
    """All the steps, and an epoch of the first, as one function of arrays; exported; arguments."""
    steps = {name: step_of(name) for name in MODELS}
    step, _, _ = steps["MLP"]
    epoch = train.make_epoch(step, batch_size=2, donate=False)
    arguments, structure = jax.tree.flatten({name: made[1:] for name, made in steps.items()})

    @functools.partial(jax.jit, compiler_options=QUICK)
    def run(*arguments):
        given = jax.tree.unflatten(structure, arguments)
        after = {name: steps[name][0](state, batch) for name, (state, batch) in given.items()}
        after["epoch"] = epoch(*given["MLP"])
        named, _ = jax.tree.flatten_with_path(after)
        return {jax.tree_util.keystr(path): leaf for path, leaf in named}

    return run, export.export(run, platforms=PLATFORMS)(*arguments), arguments


def test_the_module_holds_each_platform_s_version(several):
    _, exported, _ = several
    assert exported.platforms == PLATFORMS
    text = exported.mlir_module()
    assert "batch_group_count = 2" in text  # the gradient for a kernel in groups, but on a CPU
    assert "feature_group_count = 2" in text
    assert "custom_call" not in text  # nothing that another version would have to keep


def test_what_is_written_is_read_and_computes_the_same(several):
    pytest.importorskip("flatbuffers", reason="jax.export writes its files with flatbuffers")
    run, exported, arguments = several
    received = export.deserialize(exported.serialize())
    found = jax.jit(received.call, compiler_options=QUICK)(*arguments)
    for name, expected in run(*arguments).items():
        if not jax.dtypes.issubdtype(expected.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-7, err_msg=name)
