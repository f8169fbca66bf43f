"""sgd and adam follow optax step by step, for 100 steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcnn import optim

from .trees import every_kind, gradients_for, trees

STEPS = 100


def decay(count):
    return 0.1 / (1 + count)


# each is made by optim's and by optax's function of that name, with the same arguments
OPTIMIZERS = {
    "sgd": ("sgd", (0.1,), {}),
    "sgd, rate 0": ("sgd", (0,), {}),
    "sgd, schedule": ("sgd", (decay,), {}),
    "momentum": ("sgd", (0.1, 0.9), {}),
    "momentum, schedule": ("sgd", (decay, 0.9), {}),
    "Nesterov": ("sgd", (0.1,), {"momentum": 0.9, "nesterov": True}),
    "adam": ("adam", (1e-3,), {}),
    "adam, schedule": ("adam", (decay,), {}),
    "adam, no momentum": ("adam", (0.1, 0.0, 0.5), {}),
    "adam, both eps": ("adam", (0.1, 0.8, 0.95, 1e-3, 1e-2), {}),
    "Nadam": ("adam", (0.1,), {"nesterov": True}),
}


def make(module, name):
    function, args, kwargs = OPTIMIZERS[name]
    return getattr(module, function)(*args, **kwargs)


def step(module, optimizer, carry, gradients):
    params, state = carry
    updates, state = optimizer.update(gradients, state, params)
    params = module.apply_updates(params, updates)
    return (params, state), (params, updates)


def loop(step):
    def run(params, state, gradients):
        out = []
        for i in range(STEPS):
            carry, y = step((params, state), jax.tree.map(lambda g: g[i], gradients))  # noqa: B023
            params, state = carry
            out.append(y)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *out)

    return run


RUNS = {
    "eager": loop,
    "jit": lambda step: loop(jax.jit(step)),
    "scan": lambda step: jax.jit(lambda p, s, g: jax.lax.scan(step, (p, s), g, STEPS)[1]),
}


def trajectory(module, optimizer, params, gradients, how):
    """Params and updates of every step, stacked."""
    run = RUNS[how](functools.partial(step, module, optimizer))
    return run(params, optimizer.init(params), gradients)


def assert_close(ours, theirs):
    """To 1e-6 (1e-12 in double precision) of the largest number of each leaf's trajectory."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        tolerance = {2: 2**-8, 4: 1e-6, 8: 1e-12}[jnp.finfo(a.dtype).dtype.itemsize]
        wide = np.complex128 if jnp.iscomplexobj(a) else np.float64
        a, b = np.asarray(a, wide), np.asarray(b, wide)
        assert np.all(np.isfinite(a))
        if a.size:
            assert np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *[(name, "scan") for name in OPTIMIZERS],
        *[(name, "eager") for name in ("sgd", "momentum, schedule", "Nesterov", "adam", "Nadam")],
        *[(name, "jit") for name in ("Nesterov", "adam, schedule")],
    ],
)
def test_same_trajectory(name, how):
    params = every_kind()
    gradients = gradients_for(params, STEPS)
    assert_close(
        trajectory(optim, make(optim, name), params, gradients, how),
        trajectory(optax, make(optax, name), params, gradients, how),
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_trajectory_in_double_precision(name):
    with jax.enable_x64(True):
        params = {"x": jnp.ones((2, 3)), "z": jnp.array([1j]), "single": jnp.ones(2, jnp.float32)}
        assert [str(x.dtype) for x in jax.tree.leaves(params)] == [
            "float32",
            "float64",
            "complex128",
        ]
        gradients = gradients_for(params, STEPS)
        assert_close(
            trajectory(optim, make(optim, name), params, gradients, "scan"),
            trajectory(optax, make(optax, name), params, gradients, "scan"),
        )


@settings(max_examples=25, deadline=None)
@given(params=trees, name=st.sampled_from(sorted(OPTIMIZERS)), seed=st.integers(0, 2**32 - 1))
def test_same_trajectory_on_random_trees(params, name, seed):
    gradients = gradients_for(params, STEPS, seed)
    assert_close(
        trajectory(optim, make(optim, name), params, gradients, "scan"),
        trajectory(optax, make(optax, name), params, gradients, "scan"),
    )


@pytest.mark.parametrize(
    ("function", "argument"), [("sgd", "accumulator_dtype"), ("adam", "mu_dtype")]
)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_same_trajectory_with_accumulators_of_another_dtype(function, argument, dtype):
    params = {"w": jnp.ones((2, 3))}
    gradients = gradients_for(params, STEPS)
    ours, theirs = (
        getattr(module, function)(0.1, 0.9, **{argument: dtype}) for module in (optim, optax)
    )
    assert_close(
        trajectory(optim, ours, params, gradients, "scan"),
        trajectory(optax, theirs, params, gradients, "scan"),
    )
    slot = {"sgd": "velocity", "adam": "mu"}[function]
    assert getattr(ours.init(params), slot)["w"].dtype == dtype


@pytest.mark.parametrize("rate", [jnp.array(0.1), np.float32(0.1)])
def test_learning_rate_in_an_array(rate):
    """As a Python float: unlike optax's, the updates of bfloat16 params stay bfloat16."""
    params = every_kind()
    gradients = gradients_for(params, STEPS)
    assert_close(
        trajectory(optim, optim.sgd(rate), params, gradients, "scan"),
        trajectory(optax, optax.sgd(float(rate)), params, gradients, "scan"),
    )


def test_traced_learning_rates():
    """One run for each of several rates, in one vmap."""
    params = {"w": jnp.ones((2, 3)), "b": jnp.zeros(3, jnp.bfloat16)}
    gradients = gradients_for(params, STEPS)
    rates = [0.001, 0.1, 1.0]

    def run(rate):
        return trajectory(optim, optim.adam(rate), params, gradients, "scan")

    together = jax.vmap(run)(jnp.array(rates))
    for i, rate in enumerate(rates):
        theirs = trajectory(optax, optax.adam(rate), params, gradients, "scan")
        assert_close(jax.tree.map(lambda x: x[i], together), theirs)  # noqa: B023


def test_scale():
    params = every_kind()
    gradients = gradients_for(params, 1)
    ours, theirs = optim.scale(-0.3), optax.scale(-0.3)
    assert_close(
        ours.update(gradients, ours.init(params))[0],
        theirs.update(gradients, theirs.init(params))[0],
    )


def test_apply_updates():
    params = every_kind()
    updates = jax.tree.map(lambda g: g[0], gradients_for(params, 1))
    assert_close(optim.apply_updates(params, updates), optax.apply_updates(params, updates))


def test_apply_updates_keeps_the_dtypes_of_the_params():
    params = {"half": jnp.ones(3, jnp.bfloat16), "numpy": np.ones(2, np.float32), "number": 1.0}
    updates = {
        "half": jnp.full(3, 0.3, jnp.float32),
        "numpy": jnp.ones(2, jnp.bfloat16),
        "number": jnp.ones(()),
    }
    ours = optim.apply_updates(params, updates)
    assert_close(ours, optax.apply_updates(params, updates))
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(ours))
