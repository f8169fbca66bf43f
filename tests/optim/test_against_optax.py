"""Every optimizer that optax has follows optax's step by step."""

import functools
from types import SimpleNamespace

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
LONG = 500


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


def step_of(module, optimizer, carry, gradients):
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
    run = RUNS[how](functools.partial(step_of, module, optimizer))
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


def lookahead_on_plain_params(fast_optimizer, *args):
    """optax's lookahead, whose params are a pair, as a transformation of the fast ones alone."""
    pair = optax.LookaheadParams
    inner = optax.lookahead(fast_optimizer, *args)

    def init(params):
        return inner.init(pair(params, params)), params

    def update(gradients, state, params):
        inner_state, slow = state
        updates, inner_state = inner.update(gradients, inner_state, pair(params, slow))
        return updates.fast, (inner_state, optax.apply_updates(slow, updates.slow))

    return optax.GradientTransformation(init, update)


def optax_for(dtype):
    """optax, with what has another name or place there, or other arguments, as here."""
    wide = jnp.promote_types(dtype, jnp.float32)

    def multi_steps(*args, **kwargs):
        steps = optax.MultiSteps(*args, accumulator_dtype=wide, **kwargs)
        return steps.gradient_transformation()

    return SimpleNamespace(
        **vars(optax)
        | {
            "lookahead": lookahead_on_plain_params,
            "multi_steps": multi_steps,
            "muon": optax.contrib.muon,
            "schedule_free": optax.contrib.schedule_free,
            "skip_not_finite": optax.apply_if_finite,
        }
    )


KERNEL = {"kernel": True, "bias": False}

# from the module (ours or optax's) to the optimizer. "sgd" and "adam" are below, in OPTIMIZERS
LONG_RUNS = {
    "nadam": lambda m: m.nadam(1e-2, 0.8, 0.99),
    "adamw": lambda m: m.adamw(decay, weight_decay=0.1, mask=KERNEL),
    "adamw, decay by schedule": lambda m: m.adamw(1e-2, weight_decay=decay, nesterov=True),
    "amsgrad": lambda m: m.amsgrad(1e-2),
    "amsgrad, not corrected": lambda m: m.amsgrad(1e-2, 0.9, 0.99, 1e-3, 1e-4, None, False, False),
    "adagrad": lambda m: m.adagrad(0.1),
    "rmsprop": lambda m: m.rmsprop(1e-2),
    "rmsprop, eps outside": lambda m: m.rmsprop(decay, 0.99, 1e-4, 1.0, False, False, 0.5, True),
    "rmsprop, centered": lambda m: m.rmsprop(
        1e-2, initial_scale=1.0, centered=True, momentum=0.5, bias_correction=True
    ),
    "adadelta": lambda m: m.adadelta(1.0, weight_decay=0.1, weight_decay_mask=KERNEL),
    "lion": lambda m: m.lion(1e-2, weight_decay=0.1, mask=KERNEL),
    "lamb": lambda m: m.lamb(1e-2, weight_decay=0.1, mask=KERNEL),
    "muon": lambda m: m.muon(1e-2, weight_decay=0.1),
    "muon, other options": lambda m: m.muon(
        1e-2,
        [(3.0, -3.0, 1.0)] * 2,
        2,
        nesterov=False,
        adaptive=True,
        adam_learning_rate=decay,
        consistent_rms=0.2,
    ),
    "schedule_free": lambda m: m.schedule_free(m.sgd(0.1), 0.1),
    "schedule_free, warm-up": lambda m: m.schedule_free(
        m.adam(1e-2, 0.0), lambda count: jnp.minimum(1e-3 * count, 1e-2), 0.95, 1.0
    ),
    "lookahead": lambda m: m.lookahead(m.sgd(0.1, 0.9), 5, 0.5),
    "lookahead, reset": lambda m: m.lookahead(m.sgd(0.1, 0.9), 3, 0.8, True),
    "multi_steps": lambda m: m.multi_steps(m.adam(1e-2), 3),
    "multi_steps, sum": lambda m: m.multi_steps(m.sgd(0.1), lambda n: 1 + n % 4, False),
    "skip_not_finite": lambda m: m.skip_not_finite(m.sgd(0.1), 9),
    "ema": lambda m: m.chain(m.ema(0.9), m.scale(-0.1)),
    "ema, not debiased": lambda m: m.chain(m.ema(0.9, False), m.scale(-0.1)),
    "clip_by_global_norm": lambda m: m.chain(m.clip_by_global_norm(2.5), m.sgd(0.1)),
    "weight decay": lambda m: m.chain(m.add_decayed_weights(0.01, KERNEL), m.sgd(decay)),
    "masked": lambda m: m.chain(m.masked(m.ema(0.5), KERNEL), m.sgd(0.1)),
    "freeze": lambda m: m.chain(m.sgd(0.1), m.freeze(KERNEL)),
    "partition": lambda m: m.partition(
        {"k": m.sgd(0.1), "b": m.set_to_zero()}, {"kernel": "k", "bias": "b"}
    ),
}


# what looks at one array at a time is followed on one, to compile less
WITH_BIAS = ("adamw", "adadelta", "lion", "lamb", "muon", "clip_by_global_norm", "weight decay")
WITH_BIAS += ("skip_not_finite", "masked", "freeze", "partition")


def not_finite_for(gradients):
    """Every seventh gradient is NaN or infinite somewhere."""

    def poison(g):
        g = g.at[3::7, ..., :1].set(jnp.nan)
        return g.at[6::35].set(jnp.inf)

    return jax.tree.map(poison, gradients)


def long_run(pairs, params, gradients):
    """Of each pair of optimizers the params and updates of every step, in one program."""
    poisoned = not_finite_for(gradients) if "skip_not_finite" in pairs else gradients

    def seen_by(name, tree):
        return tree if "kernel" not in tree or name in WITH_BIAS else {"kernel": tree["kernel"]}

    def step(carry, gradients):
        new, out = {}, {}
        for name, optimizers in pairs.items():
            given = seen_by(name, gradients[name == "skip_not_finite"])
            new[name], out[name] = zip(
                *(
                    step_of(module, optimizer, old, given)
                    for module, optimizer, old in zip(
                        (optim, optax), optimizers, carry[name], strict=True
                    )
                ),
                strict=True,
            )
        # optax's states change their dtypes here and there
        return jax.tree.map(lambda a, b: a.astype(b.dtype), new, carry), out

    @jax.jit
    def run(params, gradients):
        start = {
            name: tuple((mine, optimizer.init(mine)) for optimizer in optimizers)
            for name, optimizers in pairs.items()
            for mine in [seen_by(name, params)]
        }
        return jax.lax.scan(step, start, gradients)[1]

    return run(params, (gradients, poisoned))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.complex64])
def test_500_steps(dtype):
    params = {"kernel": jnp.full((2, 3), 0.5, dtype), "bias": jnp.ones(3, dtype)}
    gradients = gradients_for(params, LONG)
    theirs = optax_for(dtype)
    pairs = {name: (make(optim), make(theirs)) for name, make in LONG_RUNS.items()}
    pairs |= {
        name: (make(optim, name), make(optax, name))
        for name in OPTIMIZERS
        if dtype == jnp.float32 or name not in ("sgd", "sgd, rate 0", "adam, no momentum")
    }
    if dtype == jnp.complex64:
        del pairs["adadelta"]  # squares complex gradients: test_adadelta_of_complex_params
    if dtype == jnp.bfloat16:  # sums in bfloat16: test_schedule_free_in_bfloat16
        del pairs["schedule_free"], pairs["schedule_free, warm-up"]
    results = long_run(pairs, params, gradients)
    far = {name: distance(*pair) for name, pair in results.items()}
    # In bfloat16 the order of a few operations shows in the update, and adds up in the params.
    tolerance = {2: (2**-5, 2**-6), 4: (1e-6, 2e-6)}[jnp.finfo(dtype).dtype.itemsize]
    # muon's iterations amplify roundings, and optax's norm is summed in bfloat16, ours in float32;
    # schedule_free's updates are differences of params
    wider = {"muon": 12, "muon, other options": 12, "schedule_free, warm-up": 100}
    for name, (in_params, in_updates) in far.items():
        assert in_params <= tolerance[0] * min(wider.get(name, 1), 10), (name, in_params)
        assert in_updates <= tolerance[1] * wider.get(name, 1), (name, in_updates)


def distance(ours, theirs):
    """Of params and of updates: the largest difference over the largest number."""
    distances = []
    for a, b in zip(ours, theirs, strict=True):
        assert jax.tree.map(jax.typeof, a) == jax.tree.map(jax.typeof, b)
        a, b = (
            np.concatenate([np.asarray(x, complex).ravel() for x in jax.tree.leaves(tree)])
            for tree in (a, b)
        )
        distances.append(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-30))
    return distances


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *[(name, "eager") for name in ("momentum, schedule", "adam")],
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


def test_double_precision():
    with jax.enable_x64(True):
        params = {"x": jnp.ones((2, 3)), "z": jnp.array([1j]), "single": jnp.ones(2, jnp.float32)}
        dtypes = [str(x.dtype) for x in jax.tree.leaves(params)]
        assert dtypes == ["float32", "float64", "complex128"]
        pairs = {name: (make(optim, name), make(optax, name)) for name in OPTIMIZERS}
        results = long_run(pairs, params, gradients_for(params, STEPS))
    for name, both in results.items():
        doubles = jax.tree.map(lambda x: x if x.dtype.itemsize > 4 else None, both)
        assert max(distance(*doubles)) <= 1e-12, name
        assert max(distance(*both)) <= 1e-6, name


@settings(max_examples=6, deadline=None)
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


def test_learning_rate_in_an_array():
    """As a Python float: unlike optax's, the updates of bfloat16 params stay bfloat16."""
    params = every_kind()
    pairs = {
        str(type(rate)): (optim.sgd(rate), optax.sgd(0.1))
        for rate in (jnp.array(0.1), np.float32(0.1))
    }
    assert len(pairs) == 2
    for ours, theirs in long_run(pairs, params, gradients_for(params, STEPS)).values():
        assert_close(ours, theirs)


def test_traced_learning_rates():
    """One run for each of several rates, in one vmap."""
    params = {"w": jnp.ones((2, 3)), "b": jnp.zeros(3, jnp.bfloat16)}
    gradients = gradients_for(params, STEPS)
    rates = [0.001, 1.0]

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
