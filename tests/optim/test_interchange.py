"""funcnn's transformations in optax's functions, and optax's in funcnn's chain."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import optim

PARAMS = {"w": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "b": jnp.array([0.25, -4.0])}


def loss(params):
    return 2 * jnp.sum(params["w"] ** 2) + jnp.sum(jnp.cos(params["b"]))


def descend(optimizer, steps=5, **extra):
    """Params after some steps of gradient descent on `loss`, under jit."""

    @jax.jit
    def step(params, state):
        value, gradients = jax.value_and_grad(loss)(params)
        given = dict.fromkeys(extra, value)
        updates, state = optimizer.update(gradients, state, params, **given)
        return optim.apply_updates(params, updates), state

    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(steps):
        params, state = step(params, state)
    return params


def assert_same_descent(ours, theirs, **extra):
    a, b = descend(ours, **extra), descend(theirs, **extra)
    assert all(np.all(x != y) for x, y in zip(map(a.get, a), map(PARAMS.get, a), strict=True))
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


@pytest.mark.parametrize("kwargs", [{}, {"value": "loss"}])
@pytest.mark.parametrize(
    "mixed",
    [
        lambda: optax.chain(optim.sgd(0.1, 0.9), optax.clip(1.0)),
        lambda: optim.chain(optax.sgd(0.1, 0.9), optax.clip(1.0)),
        lambda: optim.chain(optim.sgd(0.1, 0.9), optax.clip(1.0)),
        lambda: optax.chain(optax.chain(optim.sgd(0.1, 0.9)), optim.chain(optax.clip(1.0))),
        lambda: optim.chain(optim.chain(), optim.chain(optim.sgd(0.1, 0.9), optax.clip(1.0))),
    ],
)
def test_chains_of_either(mixed, kwargs):
    assert_same_descent(mixed(), optax.chain(optax.sgd(0.1, 0.9), optax.clip(1.0)), **kwargs)


def test_chain_applies_in_order():
    clip_last = optim.chain(optim.scale(8.0), optax.clip(1.0))
    clip_first = optim.chain(optax.clip(1.0), optim.scale(8.0))
    for optimizer, expected in [(clip_last, 1.0), (clip_first, 8.0)]:
        updates, _ = optimizer.update(jnp.array(5.0), optimizer.init(jnp.array(0.0)))
        assert float(updates) == expected


def test_clipping_before_adam():
    assert_same_descent(
        optim.chain(optax.clip_by_global_norm(1.0), optim.adam(0.1)),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)),
    )


@pytest.mark.parametrize("make", ["sgd", "adam"])
def test_injected_hyperparameters(make):
    """optax then passes every number as a traced array."""
    ours, theirs = (
        optax.inject_hyperparams(getattr(module, make), hyperparam_dtype=jnp.float32)(
            lambda count: 0.1 / (1 + count), 0.9
        )
        for module in (optim, optax)
    )
    assert_same_descent(ours, theirs)
    params = {"half": jnp.ones(2, jnp.bfloat16)}
    state = ours.init(params)
    updates, after = ours.update(params, state, params)
    assert updates["half"].dtype == jnp.bfloat16
    assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, state)


@pytest.mark.parametrize("outer", [optim.chain, optax.chain])
def test_extra_arguments_reach_those_that_take_them(outer):
    """polyak_sgd needs value=; it is two chains deep here, beside some that do not take it."""
    ours = outer(optim.chain(optax.identity(), optax.polyak_sgd(0.1)), optim.scale(0.5))
    theirs = optax.chain(optax.polyak_sgd(0.1), optax.scale(0.5))
    assert_same_descent(ours, theirs, value="loss")
    with pytest.raises(TypeError, match="value"):
        descend(ours)


def descend_all(optimizers, steps=4):
    """Params of each after some steps on `loss`, all in one program."""

    @jax.jit
    def step(carry):
        out = []
        for optimizer, (params, state) in zip(optimizers, carry, strict=True):
            value, gradients = jax.value_and_grad(loss)(params)
            updates, state = optimizer.update(gradients, state, params, value=value)
            out.append((optim.apply_updates(params, updates), state))
        return out

    carry = [(PARAMS, optimizer.init(PARAMS)) for optimizer in optimizers]
    for _ in range(steps):
        carry = step(carry)
    return [params for params, _ in carry]


WRAPPERS = [
    lambda optimizer: optax.named_chain(("clip", optax.clip(1.0)), ("last", optimizer)),
    lambda optimizer: optax.MultiSteps(optimizer, 2),
    lambda optimizer: optim.chain(optax.MultiSteps(optimizer, 2)),
    lambda optimizer: optax.apply_if_finite(optimizer, 3),
    lambda optimizer: optax.flatten(optimizer),
    lambda optimizer: optax.with_extra_args_support(optimizer),
    lambda optimizer: optax.chain(
        optax.masked(optimizer, {"w": True, "b": False}), optax.scale(0.5)
    ),
    lambda optimizer: optax.partition({"w": optimizer, "b": optax.sgd(0.1)}, {"w": "w", "b": "b"}),
]


@pytest.mark.parametrize("make", ["sgd", "adam"])
def test_inside_optax(make):
    ours, theirs = (
        [optax.with_extra_args_support(wrap(getattr(module, make)(0.01, 0.9))) for wrap in WRAPPERS]
        for module in (optim, optax)
    )
    after = descend_all(ours + theirs)
    for a, b in zip(after[: len(ours)], after[len(ours) :], strict=True):
        for name in PARAMS:
            assert np.all(a[name] != PARAMS[name])
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6)


def test_new_ones_in_chains_and_wrappers_of_either():
    """Each line mixes funcnn's and optax's; the last is optax's alone. `value` goes through all."""
    contrib, extra = optax.contrib, optax.with_extra_args_support
    mask = {"w": True, "b": False}
    alike = [
        (
            optax.chain(optim.clip(1.0), optim.adamw(0.1, mask=mask)),
            optim.chain(optax.clip(1.0), optim.adamw(0.1, mask="w")),
            optax.chain(optax.clip(1.0), optax.adamw(0.1, mask=mask)),
        ),
        (
            optim.skip_not_finite(optax.lamb(0.1), 3),
            optax.apply_if_finite(optim.lamb(0.1), 3),
            optax.lamb(0.1),
        ),
        (
            optim.multi_steps(optax.adamw(0.1), 2),
            optax.MultiSteps(optim.adamw(0.1), 2).gradient_transformation(),
            optax.MultiSteps(optax.adamw(0.1), 2).gradient_transformation(),
        ),
        (
            optim.schedule_free(optax.sgd(0.1), 0.1),
            contrib.schedule_free(optim.sgd(0.1), 0.1),
            contrib.schedule_free(optax.sgd(0.1), 0.1),
        ),
        (
            optim.partition({"w": optax.lion(0.1), "b": optim.rmsprop(0.1)}, {"w": "w", "b": "b"}),
            optim.by_path({"w": optim.lion(0.1), "**": optax.rmsprop(0.1)}),
            optax.partition({"w": optim.lion(0.1), "b": optax.rmsprop(0.1)}, {"w": "w", "b": "b"}),
        ),
        (
            optim.lookahead(optim.chain(optax.polyak_sgd(0.1)), 9, 0.5),
            optim.masked(optax.chain(optim.scale(1.0), optax.polyak_sgd(0.1)), True),
            optax.chain(optim.multi_steps(optax.polyak_sgd(0.1), 1)),
            optax.chain(optim.skip_not_finite(optax.polyak_sgd(0.1), 1)),
            optax.polyak_sgd(0.1),
        ),
        (
            optax.inject_hyperparams(optim.adamw)(optim.linear_schedule(0.1, 0.0, 9), b1=0.8),
            optax.inject_hyperparams(optax.adamw)(optax.linear_schedule(0.1, 0.0, 9), b1=0.8),
        ),
    ]
    after = iter(descend_all([extra(t) for line in alike for t in line]))
    for line in alike:
        *mixed, plain = [next(after) for _ in line]
        assert all(np.all(plain[name] != PARAMS[name]) for name in plain)
        for params in mixed:
            for name in params:
                np.testing.assert_allclose(params[name], plain[name], rtol=2e-6)


def test_optax_finds_the_fields_of_the_state():
    optimizer = optim.chain(optax.clip(1.0), optim.adam(0.25))
    state = optimizer.init(PARAMS)
    assert float(optax.tree.get(state, "learning_rate")) == 0.25
    assert int(optax.tree.get(state, "count")) == 0
    doubled = optax.tree.map_params(optimizer, lambda x: x + 2, state)
    assert np.all(optax.tree.get(doubled, "nu")["w"] == 2)
    assert int(optax.tree.get(doubled, "count")) == 0


def test_types():
    assert isinstance(optim.chain(optim.sgd(0.1), optax.clip(1.0)), optim.GradientTransformation)
    assert optim.GradientTransformation._fields == optax.GradientTransformation._fields


def test_optax_is_not_imported_until_it_is_needed():
    program = (
        "import sys; from funcnn import optim; import jax.numpy as jnp\n"
        "optimizer = optim.chain(optim.sgd(0.1), optim.adam(0.1))\n"
        "optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))\n"
        "print('optax' in sys.modules, 'chex' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.split() == ["False", "False"]
