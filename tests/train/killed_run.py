"""A run that `test_faults.py` starts as a process of its own, to kill it.

    python killed_run.py arrays|stream folder epochs [final.npz]

It goes on from the checkpoints in the folder, and prints a line after each epoch. With a file to
write to, it also trains the same from scratch, without checkpoints, and writes the results of both.
"""

import sys

import jax
import numpy as np

from funcnn import data, losses, optim, train

BATCHES = 7  # in an epoch: 50 examples, 8 at a time
STEPS = 3  # most steps between two checkpoints of streamed data


def loss(params, seen, batch, key):
    """Logistic regression with dropout, so that keys matter; it counts the examples it has seen."""
    x, y = batch
    x = x * jax.random.bernoulli(key, 0.7, x.shape)
    logits = x @ params["kernel"] + params["bias"]
    value = losses.softmax_cross_entropy_with_integer_labels(logits, y)
    return value.mean(), (seen + len(y), {})


def problem(kind):
    """The arguments of `fit`. Little is compiled, as it is done in each life of the run."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 50).astype(np.int32)
    x = (np.eye(4)[y] + 0.1 * generator.standard_normal((50, 4))).astype(np.float32)
    params = {"kernel": np.zeros((4, 3), np.float32), "bias": np.zeros(3, np.float32)}
    params = jax.tree.map(jax.numpy.asarray, params)
    optimizer = optim.adam(optim.schedules.exponential_decay(0.02, 100, 0.9))
    seen, step = jax.numpy.asarray(np.zeros((2,), np.int32))
    key = jax.random.key(0)
    state = train.TrainState(params, seen, optimizer.init(params), key, step)
    source = (x, y) if kind == "arrays" else data.batches((x, y), 8, seed=1)
    return (loss, optimizer, state, source), {
        "batch_size": 8 if kind == "arrays" else None,
        "grad": jax.value_and_grad,
        "keep": train.lowest("loss"),
        "progress": False,
    }


def bits(tree):
    """The leaves as NumPy arrays, keys as their words."""

    def numbers(leaf):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    return [numbers(leaf) for leaf in jax.tree.leaves(tree)]


def tell(history):
    print(len(history["epoch"]), flush=True)


def main(kind, folder, epochs, final=None):
    assert "orbax" not in sys.modules, "orbax is to be imported when it is used"
    arguments, options = problem(kind)
    checkpoints = train.Checkpoints(folder, steps=STEPS, keep=2)
    state, history = train.fit(
        *arguments,
        **options,
        epochs=int(epochs),
        checkpoints=checkpoints,
        resume=True,
        stop=tell,
        log=f"{folder}/log.jsonl",
    )
    if final is not None:
        whole, whole_history = train.fit(*arguments, **options, epochs=int(epochs))
        found = {f"resumed_{i}": leaf for i, leaf in enumerate(bits(state))}
        found |= {f"whole_{i}": leaf for i, leaf in enumerate(bits(whole))}
        found |= {f"resumed_{name}": column for name, column in history.items()}
        found |= {f"whole_{name}": column for name, column in whole_history.items()}
        np.savez(final, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
