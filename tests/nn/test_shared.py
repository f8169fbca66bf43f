"""nn.shared: one set of parameters in two places."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import nn

from .example_layers import noise, running_mean

KEY = jax.random.key(0)


def x_of(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def attend(params, x):
    return x @ params["kernel"].T


TIED = nn.serial(encode=nn.dense(3), act=jnp.tanh, decode=nn.shared("encode", attend))


def test_a_kernel_used_twice_is_stored_once():
    x = x_of(5, 4)
    params, state = TIED.init(KEY, x)
    assert jax.tree.map(jnp.shape, params) == {
        "encode": {"kernel": (4, 3), "bias": (3,)},
        "act": (),
        "decode": (),
    }
    assert state == {"encode": (), "act": (), "decode": ()}
    assert repr(TIED) == "serial(encode=dense(3), act=tanh, decode=shared('encode', attend))"
    kernel = params["encode"]["kernel"]
    np.testing.assert_allclose(TIED(params, x), jnp.tanh(x @ kernel) @ kernel.T, rtol=1e-5)


def test_the_gradient_is_the_sum_over_its_uses():
    x = x_of(5, 4)
    params, _ = TIED.init(KEY, x)
    kernel = params["encode"]["kernel"]

    def untied(first, second):
        return jnp.square(jnp.tanh(x @ first) @ second.T).sum()

    sums = jax.jit(lambda k: sum(jax.grad(untied, argnums=(0, 1))(k, k)))(kernel)
    gradient = jax.jit(funcnn.grad(lambda params: jnp.square(TIED(params, x)).sum()))(params)
    np.testing.assert_allclose(gradient["encode"]["kernel"], sums, rtol=1e-4, atol=1e-5)


def test_a_layer_for_two_inputs_with_its_state_and_keys():
    tower = nn.serial(nn.dense(3), running_mean(), noise())
    siamese = nn.parallel(tower, nn.shared(0))
    x = x_of(5, 4), 2 * x_of(5, 4)
    params, state = siamese.init(KEY, x)
    assert params[1] == state[1] == ()
    (left, right), after = siamese.apply(params, state, x, key=KEY, train=True)
    keys = [jax.random.fold_in(KEY, entry) for entry in range(2)]
    first, between = tower.apply(params[0], state[0], x[0], key=keys[0], train=True)
    second, last = tower.apply(params[0], between, x[1], key=keys[1], train=True)
    chex.assert_trees_all_close((left, right), (first, second), rtol=1e-6)
    chex.assert_trees_all_close(after, (last, ()), rtol=1e-6)
    outputs = nn.intermediates(siamese, params, x, state)
    (dense_left, dense_right), *_ = outputs[0]
    np.testing.assert_allclose(dense_left, x[0] @ params[0][0]["kernel"], rtol=1e-5)
    np.testing.assert_allclose(dense_right, 2 * dense_left, rtol=1e-5)
    assert outputs[1] == ()


def test_nodes_of_a_dag_may_share_in_any_order():
    model = nn.dag(
        ("left", "right"),
        far=(nn.shared("near"), "right"),
        near=(nn.dense(3), "left"),
        distance=(lambda a, b: jnp.abs(a - b).sum(-1), "near", "far"),
    )
    x = x_of(5, 4)
    params, _ = model.init(KEY, (x, x))
    assert params["far"] == ()
    np.testing.assert_allclose(model(params, (x, x)), jnp.zeros(5))
    assert model(params, (x, 2 * x)).min() > 0


def test_what_cannot_be_shared():
    message = "[1]: shared(2): expected the entry of a layer before it, one of [0], got 2"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        nn.serial(nn.dense(3), nn.shared(2), nn.dense(3))
    with pytest.raises(ValueError, match=re.escape("['y']: shared('z'): expected the entry of a")):
        nn.dag(y=(nn.shared("z"), "x"))
    with pytest.raises(ValueError, match=re.escape("dag: expected no cycle, got a -> b -> a")):
        nn.dag(a=(nn.dense(3), "b"), b=(nn.shared("a"), "a"))
    with pytest.raises(TypeError, match=re.escape("expected a Layer or a function of one array")):
        nn.remat(nn.shared(0))
    x = x_of(5, 4)
    params, _ = TIED.init(KEY, x)
    untied = {**params, "decode": params["encode"]}
    message = "['decode']: shared('encode', attend) has no params, got {'kernel', 'bias'}"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        TIED(untied, x)
    wide = nn.serial(nn.dense(3), nn.shared(0))
    with pytest.raises(ValueError, match=re.escape("[1]: dense: expected x of shape (..., 4)")):
        wide.init(KEY, x)
