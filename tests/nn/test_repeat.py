"""Layers run in another way: repeat, remat, mixed_precision."""

import re
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import nn

from .example_layers import noise, running_mean

KEY = jax.random.key(0)
BLOCK = nn.residual(nn.serial(nn.dense(4), running_mean(), noise(), jnp.tanh))


def x_of(*shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)


@pytest.fixture(scope="module")
def repeated():
    model = nn.repeat(BLOCK, 3)
    return model, *jax.jit(lambda x: model.init(KEY, x))(x_of(5, 4))


def test_repeat_is_the_layers_one_after_another(repeated):
    model, params, state = repeated
    keys = list(jax.random.split(KEY, 3))
    parts = [jax.tree.map(lambda leaf, i=i: leaf[i], (params, state)) for i in range(3)]
    for key, (p, s) in zip(keys, parts, strict=True):
        chex.assert_trees_all_close((p, s), BLOCK.init(key, x_of(5, 4)), rtol=1e-5, atol=1e-6)

    @jax.jit
    def by_hand(x):
        states = []
        for key, (p, s) in zip(keys, parts, strict=True):
            x, s = BLOCK.apply(p, s, x, key=key, train=True)
            states.append(s)
        return x, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

    x = x_of(5, 4)
    ours = model.apply(params, state, x, key=KEY, train=True)
    chex.assert_trees_all_close(ours, by_hand(x), rtol=1e-5, atol=1e-6)
    plain = nn.repeat(nn.serial(nn.dense(4), jnp.tanh), 3)
    assert not plain.uses_key
    deep = nn.repeat(nn.serial(nn.dense(4), jnp.tanh), 100)
    counts = []
    for model in (plain, deep):
        params, state = jax.eval_shape(model.init, KEY, x)
        jaxpr = jax.make_jaxpr(lambda p, s, x, m=model: m.apply(p, s, x))(params, state, x)
        counts.append(len(jaxpr.eqns[0].params["jaxpr"].eqns) + len(jaxpr.eqns))
    assert counts[0] == counts[1]
    assert repr(deep) == "repeat(serial(dense(4), tanh), 100)"


def test_what_cannot_be_repeated(repeated):
    model, params, state = repeated
    message = "[0]: repeat: expected an output of the shape and dtype of x, float32[5, 4], got floa"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        nn.serial(nn.repeat(nn.dense(3), 2)).init(KEY, x_of(5, 4))
    with pytest.raises(ValueError, match="repeat: n must be at least 1, got 0"):
        nn.repeat(nn.dense(3), 0)
    with pytest.raises(TypeError, match=r"repeat: n must be an integer"):
        nn.repeat(nn.dense(3), 1.5)
    two = jax.tree.map(lambda leaf: leaf[:2], params)
    with pytest.raises(ValueError, match=re.escape("with a first axis of length 3, got an array")):
        model.apply(two, state, x_of(5, 4))
    with pytest.raises(
        ValueError, match=re.escape("['layer'][0]: dense: expected x of shape (..., ")
    ):
        model.apply(params, state, x_of(5, 3))


def test_remat_computes_the_same_and_keeps_less(repeated):
    model, params, state = repeated
    lean = nn.repeat(nn.remat(BLOCK), 3)
    assert repr(lean) == f"repeat(remat({BLOCK}), 3)"
    x = x_of(5, 4)

    def loss(layer, params, x):
        y, after = layer.apply(params, state, x, key=KEY, train=True)
        return jnp.square(y).sum(), after

    results = [
        jax.jit(jax.value_and_grad(lambda p, m=m: loss(m, p, x), has_aux=True))(params)
        for m in (model, lean)
    ]
    chex.assert_trees_all_close(*results, rtol=1e-5, atol=1e-6)
    sines = nn.serial(*6 * [jnp.sin])
    policies = None, jax.checkpoint_policies.everything_saveable
    kept = []
    for layer in (sines, *(nn.remat(sines, policy) for policy in policies)):
        _, pullback = jax.eval_shape(
            lambda x, layer=layer: jax.vjp(partial(layer, ((),) * 6), x), x
        )
        kept.append(sum(leaf.size for leaf in jax.tree.leaves(pullback)) // x.size)
    assert kept == [6, 1, 6]


def test_mixed_precision_computes_in_the_short_type_with_parameters_in_float32():
    seen = []

    def watch(x):
        seen.append(x.dtype)
        return x

    inner = nn.serial(nn.dense(3), watch, running_mean(), nn.dense(2))
    x = x_of(5, 4)
    model = nn.mixed_precision(inner)
    params, state = model.init(KEY, x)
    chex.assert_trees_all_equal((params, state), inner.init(KEY, x))
    short = nn.mixed_precision(inner, jnp.float16, output_dtype=None)

    @jax.jit
    def run(params):
        seen.clear()
        outputs = [layer.apply(params, state, x, train=True) for layer in (model, inner, short)]
        return outputs, jax.grad(lambda p: model.apply(p, state, x)[0].sum())(params)

    ((y, after), (expected, state_after), (half, _)), gradient = run(params)
    assert seen == [jnp.bfloat16, jnp.float32, jnp.float16, jnp.bfloat16]
    assert y.dtype == jnp.float32
    assert half.dtype == jnp.float16
    np.testing.assert_allclose(y, expected, atol=0.05)
    assert np.abs(y - expected).max() > 0  # it was rounded
    assert after[2]["mean"].dtype == jnp.float32
    chex.assert_trees_all_close(after, state_after, atol=0.01)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
    from_short, _ = model.init(KEY, x_of(5, 4, dtype=jnp.bfloat16))
    chex.assert_trees_all_equal(from_short, params)
    assert "mixed_precision(serial(" in repr(model)
    assert repr(model).endswith(", bfloat16)")


def test_mixed_precision_leaves_integers_alone():
    one_hot = nn.mixed_precision(lambda x: jax.nn.one_hot(x, 300), output_dtype=None)
    np.testing.assert_array_equal(one_hot((), jnp.array([299])).argmax(-1), [299])
    with pytest.raises(TypeError, match="mixed_precision: expected a floating dtype, got"):
        nn.mixed_precision(nn.dense(3), jnp.int8)
