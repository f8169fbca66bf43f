"""Row 30: random search, then following the slope, on the same loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import optim

TARGET = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([-1.0, 0.25]), "none": None}
START = jax.tree.map(jnp.zeros_like, TARGET)


def loss(params):
    return sum(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum((x - y) ** 2), params, TARGET)))


STEPS = 100
search = jax.jit(
    lambda key, local=True: optim.random_search(loss, START, key, STEPS, 0.3, local=local),
    static_argnums=1,
)


def test_random_search_and_the_slope_on_the_same_loss():
    best, searched = search(jax.random.key(0))
    assert searched.shape == (STEPS + 1,)
    assert float(searched[0]) == float(loss(START)) == 15.3125
    assert np.all(np.diff(searched) <= 0)  # the best so far
    np.testing.assert_allclose(searched[-1], loss(best), rtol=1e-6)
    assert float(searched[-1]) < 2  # it does come down

    params, optimizer = START, optim.sgd(0.1)
    state = optimizer.init(params)
    for _ in range(STEPS):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = optim.apply_updates(params, updates)
    assert float(loss(params)) < 1e-3 * float(searched[-1])  # and the slope is far better


def test_tries_that_know_nothing_of_the_best_find_less():
    local, blind = (search(jax.random.key(1), local)[1][-1] for local in (True, False))
    assert float(local) < float(blind) < float(loss(START))


def test_same_key_same_search():
    runs = [search(jax.random.key(k))[1] for k in (0, 0, 1)]
    assert runs[0].tobytes() == runs[1].tobytes() != runs[2].tobytes()


def test_nan_is_never_the_best():
    root = lambda x: jnp.sqrt(x) + 1  # NaN below 0
    search = jax.jit(lambda x: optim.random_search(root, x, jax.random.key(0), 50, 1.0))
    best, losses = search(0.5)
    assert 0 <= float(best) <= 0.5
    assert np.all(np.isfinite(losses))
    best, losses = search(-0.5)
    assert np.isnan(losses[0])  # not even the first
    assert np.isfinite(losses[-1])


def test_dtypes():
    params = {"half": jnp.ones(2, jnp.bfloat16), "z": jnp.ones(2, jnp.complex64), "number": 1.0}
    size = lambda p: sum(jnp.sum(jnp.abs(x).astype(jnp.float32)) for x in jax.tree.leaves(p))
    best, losses = optim.random_search(size, params, jax.random.key(0), 30)
    assert [x.dtype for x in jax.tree.leaves(best)] == [jnp.bfloat16, jnp.float32, jnp.complex64]
    assert np.all(np.imag(best["z"]) != 0)
    assert float(losses[-1]) < float(losses[0])
    still, losses = optim.random_search(size, params, jax.random.key(0), 0)
    assert losses.shape == (1,)
    assert float(still["number"]) == 1.0


def test_bad_input():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        optim.random_search(loss, START, key, -1)
    with pytest.raises(ValueError, match=r"scale must be finite and in .* got -1"):
        optim.random_search(loss, START, key, 1, -1.0)
    with pytest.raises(ValueError, match=r"the loss must be a scalar, got .* shape \(2,\)"):
        optim.random_search(lambda x: x, jnp.ones(2), key, 1)
    with pytest.raises(TypeError, match=r"leaf \['n'\] of the params is int32\[2\]"):
        optim.random_search(loss, {"n": jnp.arange(2)}, key, 1)
