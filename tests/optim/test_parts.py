"""Clipping, masks, groups, accumulation, averages: by hand, or against optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import optim, paths

PARAMS = {
    "encoder": {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.5, -1.0])},
    "head": {"kernel": jnp.array([[2.0], [4.0]]), "bias": None},
}


def once(optimizer, gradients, params=None):
    return optimizer.update(gradients, optimizer.init(params or gradients), params)[0]


def assert_equal(ours, theirs, rtol=1e-6):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol)


def test_clip():
    for most in (0.0, 0.7, 10.0):
        assert_equal(once(optim.clip(most), PARAMS), once(optax.clip(most), PARAMS))
    half = {"x": jnp.array([-3.0, 0.25], jnp.bfloat16)}
    assert once(optim.clip(1.0), half)["x"].tolist() == [-1.0, 0.25]


def test_clip_by_norm_is_that_of_each_array():
    """optax bounds the root of the mean square: a norm √n times as large."""
    norms = [float(jnp.linalg.norm(x)) for x in jax.tree.leaves(PARAMS)]
    assert min(norms) < 2 < max(norms)
    for x in jax.tree.leaves(PARAMS):
        theirs = optax.clip_by_block_rms(2 / np.sqrt(x.size))
        assert_equal(once(optim.clip_by_norm(2.0), x), once(theirs, x))
    together = once(optim.clip_by_norm(2.0), PARAMS)
    for x, y in zip(jax.tree.leaves(PARAMS), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(jnp.linalg.norm(y), min(2, jnp.linalg.norm(x)), rtol=1e-6)


def test_small_gradients_pass_bit_for_bit():
    for clip in (optim.clip_by_norm(1e3), optim.clip_by_global_norm(1e3)):
        for x, y in zip(*map(jax.tree.leaves, (PARAMS, once(clip, PARAMS))), strict=True):
            assert x.tobytes() == y.tobytes()


def test_norms_of_half_precision_do_not_overflow():
    x = {"x": jnp.full(4, 300.0, jnp.float16)}  # the square of 300 is no float16
    assert float(optim.global_norm(x)) == 600
    for clip in (optim.clip_by_norm(1.0), optim.clip_by_global_norm(1.0)):
        np.testing.assert_allclose(once(clip, x)["x"], 0.5, rtol=1e-3)


def test_global_norm():
    tree = PARAMS | {"z": jnp.array([3 + 4j]), "empty": jnp.zeros(0)}
    np.testing.assert_allclose(optim.global_norm(tree), optax.tree.norm(tree), rtol=1e-6)
    assert float(optim.global_norm({})) == 0
    assert float(optim.global_norm({"a": jnp.zeros(3), "b": None})) == 0
    assert np.all(once(optim.clip_by_global_norm(1.0), jnp.zeros(3)) == 0)


def test_masks_of_every_kind_are_the_same():
    masks = [
        "**/kernel",
        lambda params: paths.mask(params, "**/kernel"),
        lambda params: jax.tree.map(lambda x: x.ndim == 2, params),
        {"encoder": {"kernel": True, "bias": False}, "head": {"kernel": True, "bias": None}},
        {"encoder": {"kernel": True, "bias": np.bool_(False)}, "head": True},
    ]
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    expected = {
        "encoder": {"kernel": 0.5 * PARAMS["encoder"]["kernel"], "bias": jnp.zeros(2)},
        "head": {"kernel": 0.5 * PARAMS["head"]["kernel"], "bias": None},
    }
    for mask in masks:
        assert_equal(once(optim.add_decayed_weights(0.5, mask), zeros, PARAMS), expected)
        moved = once(optim.adamw(1.0, weight_decay=0.5, mask=mask), zeros, PARAMS)
        assert_equal(jax.tree.map(jnp.negative, moved), expected)


def test_decay_does_not_touch_what_is_masked_out():
    """Not even where the parameter is infinite: 0 · ∞ would be NaN."""
    params = {"a": jnp.array([jnp.inf]), "b": jnp.array([1.0])}
    zeros = jax.tree.map(jnp.zeros_like, params)
    for optimizer in (
        optim.add_decayed_weights(0.5, "b"),
        optim.adamw(1.0, weight_decay=0.5, mask="b"),
        optim.lion(1.0, weight_decay=0.5, mask="b"),
        optim.add_decayed_weights(0.0),
    ):
        assert float(once(optimizer, zeros, params)["a"][0]) == 0


def test_by_path_takes_the_first_pattern():
    groups = {
        "encoder/bias": optim.set_to_zero(),
        "encoder/*": optax.sgd(0.1),
        "**": optim.adamw(0.5, weight_decay=0.0),
    }
    optimizer = optim.by_path(groups)
    state = optimizer.init(PARAMS)
    assert list(state.inner_states) == list(groups)
    assert jax.tree.leaves(state.inner_states["**"].mu)[0].shape == (2, 1)  # and no other array
    assert len(jax.tree.leaves(state.inner_states["**"].mu)) == 1
    updates, after = jax.jit(optimizer.update)(PARAMS, state, PARAMS)
    assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, state)
    np.testing.assert_allclose(updates["encoder"]["kernel"], -0.1 * PARAMS["encoder"]["kernel"])
    assert np.all(updates["encoder"]["bias"] == 0)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.5, rtol=1e-4)  # Adam's first step
    assert updates["head"]["bias"] is None


def test_groups_clip_by_their_own_norm():
    updates = once(
        optim.by_path({"*/kernel": optim.clip_by_global_norm(1.0), "**": optim.scale(1)}), PARAMS
    )
    kernels = [updates["encoder"]["kernel"], updates["head"]["kernel"]]
    np.testing.assert_allclose(optim.global_norm(kernels), 1.0, rtol=1e-6)
    assert_equal(updates["encoder"]["bias"], PARAMS["encoder"]["bias"])


def test_freezing_also_nan():
    gradients = {"encoder": jnp.array([jnp.nan]), "head": jnp.array([2.0])}
    updates = once(optim.chain(optim.sgd(0.5), optim.freeze("encoder")), gradients)
    assert (float(updates["encoder"][0]), float(updates["head"][0])) == (0.0, -1.0)


def test_multi_steps_is_one_step_with_the_mean():
    """For a loss that is a mean over examples: the step of the whole batch."""
    x, y = jnp.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0], [2.0, 2.0]]), jnp.arange(4.0)
    gradient = jax.grad(lambda w, rows: jnp.mean((x[rows] @ w - y[rows]) ** 2))
    w = jnp.array([0.3, -0.2])
    optimizer = optim.multi_steps(optim.sgd(0.1), 2)
    state = optimizer.init(w)
    first, state = optimizer.update(gradient(w, jnp.arange(2)), state, w)
    assert (int(state.mini_step), int(state.gradient_step), first.tolist()) == (1, 0, [0.0, 0.0])
    second, state = optimizer.update(gradient(w, jnp.arange(2, 4)), state, w)
    assert (int(state.mini_step), int(state.gradient_step)) == (0, 1)
    np.testing.assert_allclose(second, -0.1 * gradient(w, jnp.arange(4)), rtol=1e-6)
    assert state.acc_grads.tolist() == [0.0, 0.0]


def test_multi_steps_gathers_in_single_precision_at_least():
    optimizer = optim.multi_steps(optim.sgd(1.0), 264, use_grad_mean=False)
    gradient = jnp.ones((), jnp.bfloat16)  # 256 + 1 is 256 in bfloat16
    step = lambda state, _: optimizer.update(gradient, state)[::-1]
    _, updates = jax.lax.scan(step, optimizer.init(gradient), length=264)
    assert updates.dtype == jnp.bfloat16
    assert np.flatnonzero(updates).tolist() == [263]
    assert float(updates[-1]) == -264
    types = optim.multi_steps(optim.sgd(1.0), 2).init({"z": jnp.ones(1, jnp.complex64)}).acc_grads
    assert types["z"].dtype == jnp.complex64
    narrow = optim.multi_steps(optim.sgd(1.0), 2, accumulator_dtype=jnp.bfloat16)
    assert narrow.init(jnp.ones(1)).acc_grads.dtype == jnp.bfloat16


def test_skip_not_finite_counts():
    optimizer = optim.skip_not_finite(optim.sgd(1.0, 0.5), 2)
    state, seen = optimizer.init(jnp.zeros(2)), []
    for g in (1.0, jnp.nan, jnp.inf, 1.0, jnp.nan, jnp.nan, jnp.nan):
        updates, state = optimizer.update(jnp.array([g, 0.0]), state)
        seen.append((float(updates[0]), int(state.notfinite_count), int(state.total_notfinite)))
    #                1       skipped     skipped    ½ + 1       skipped    skipped    given up
    expected = [(-1, 0, 0), (0, 1, 1), (0, 2, 2), (-1.5, 0, 2), (0, 1, 3), (0, 2, 4)]
    assert seen[:-1] == expected
    assert np.isnan(seen[-1][0])
    assert seen[-1][1:] == (3, 5)
    assert not bool(state.last_finite)


def test_ema_of_the_params():
    """That of optax, told the params after each step; here a part of the optimizer."""
    optimizer = optim.chain(optim.sgd(0.1), optim.params_ema(0.9))
    ema = optax.ema(0.9)
    x, plain = PARAMS, PARAMS
    state, ema_state, fixed = optimizer.init(x), ema.init(x), optim.params_ema(0.9, debias=False)
    fixed_state = fixed.init(x)
    assert_equal(state[-1].average, x)
    for _ in range(4):
        updates, state = optimizer.update(x, state, x)
        _, fixed_state = fixed.update(updates, fixed_state, x)
        x = optim.apply_updates(x, updates)
        plain = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, plain, x)
        average, ema_state = ema.update(x, ema_state)
        assert_equal(state[-1].average, average)
        assert_equal(fixed_state.average, plain)


def test_ema_of_the_params_in_bfloat16_does_not_stand_still():
    """A thousandth of a step is lost in bfloat16."""
    optimizer = optim.params_ema(0.999, debias=False)
    x = jnp.ones((), jnp.bfloat16)
    state = optimizer.init(x)
    step = jax.jit(optimizer.update)
    for _ in range(100):
        updates, state = step(x, state, x)  # from 1 to 2, and back
    assert updates.dtype == jnp.bfloat16
    np.testing.assert_allclose(state.average, 2 - 0.999**100, rtol=1e-5)


def test_lookahead_holds_the_slow_params():
    optimizer = optim.lookahead(optim.sgd(1.0, 0.5), 3, 0.25)
    x = slow = jnp.array(8.0)
    state, v = optimizer.init(x), 0.0
    for step in range(9):
        updates, state = optimizer.update(x, state, x)
        v = 0.5 * v + x
        fast = x - v
        if step % 3 == 2:
            fast = slow = slow + 0.25 * (fast - slow)
        x = optim.apply_updates(x, updates)
        np.testing.assert_allclose((x, state.slow), (fast, slow), rtol=1e-6)


def test_lookahead_starts_the_fast_optimizer_anew():
    optimizer = optim.lookahead(optim.adam(0.1), 2, 0.5, reset_state=True)
    state, counts = optimizer.init(jnp.ones(1)), []
    for _ in range(4):
        _, state = optimizer.update(jnp.ones(1), state, jnp.ones(1))
        counts.append((int(state.fast_state.count), float(state.fast_state.mu[0]) != 0))
    assert counts == [(1, True), (0, False), (1, True), (0, False)]


def test_schedule_free_averages():
    """x is the mean of the z: of each as much, at a constant rate."""
    optimizer = optim.schedule_free(optim.sgd(0.5), 0.5, b1=0.75)
    y = jnp.array([1.0, -2.0])
    state, zs = optimizer.init(y), []
    for g in np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32):
        updates, state = optimizer.update(jnp.asarray(g), state, y)
        y = optim.apply_updates(y, updates)
        zs.append(state.z)
        x = optim.schedule_free_eval_params(state, y)
        np.testing.assert_allclose(x, np.mean(zs, axis=0), rtol=1e-5)
        np.testing.assert_allclose(y, 0.75 * x + 0.25 * state.z, rtol=1e-5)
        np.testing.assert_allclose(optax.contrib.schedule_free_eval_params(state, y), x, rtol=1e-6)
    np.testing.assert_allclose(zs[-1], zs[-2] - 0.5 * g, rtol=1e-5)
    assert float(state.learning_rate) == 0.5


def test_schedule_free_in_bfloat16():
    """The weights of 2000 equal z: optax's sum of them, in bfloat16, stops at 256."""
    zeros = jnp.zeros((), jnp.bfloat16)

    def weight_sum(module, optimizer):
        step = lambda state, _: (optimizer.update(zeros, state, zeros)[1], None)
        return float(jax.lax.scan(step, optimizer.init(zeros), length=2000)[0].weight_sum)

    assert weight_sum(optim, optim.schedule_free(optim.sgd(1.0), 1.0)) == 2000
    assert weight_sum(optax, optax.contrib.schedule_free(optax.sgd(1.0), 1.0)) == 256


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_muon_makes_singular_values_equal(shape):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    u, _, v = np.linalg.svd(x, full_matrices=False)
    orthogonal = optim.orthogonalized(x, [(1.5, -0.5, 0.0)] * 30)  # converge, if slowly
    np.testing.assert_allclose(orthogonal, u @ v, atol=1e-4)
    usual = np.linalg.svd(optim.orthogonalized(x, [(3.4445, -4.7750, 2.0315)] * 5))[1]
    assert 0.6 < usual.min() < usual.max() < 1.3


def test_muon_takes_the_kernel_of_a_convolution_as_a_matrix():
    """As optax does with the axes named."""
    params = {"conv": jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 3, 4)), jnp.float32)}
    axes = optax.contrib.MuonDimensionNumbers((0, 1, 2), 3)
    theirs = optax.contrib.muon(0.1, muon_weight_dimension_numbers={"conv": axes})
    ours = optim.muon(0.1, matrices="conv")
    assert_equal(once(ours, params, params), once(theirs, params, params), rtol=2e-4)
    assert set(jax.tree.leaves(optim.muon(0.1).init(params).inner_states["adam"].mu)[0].shape) == {
        2,
        3,
        4,
    }


def test_adadelta_of_complex_params_turns_with_the_gradient():
    """d(e^{iφ} g) = e^{iφ} d(g); not so optax's, with g² in the place of |g|²."""
    gradients = np.random.default_rng(0).normal(size=(5, 2, 2)) @ [1, 1j]
    turn = np.exp(2j)

    def steps(optimizer, gradients):
        x = jnp.zeros(2, jnp.complex64)
        state, out = optimizer.init(x), []
        for g in jnp.asarray(gradients, jnp.complex64):
            update, state = optimizer.update(g, state, x)
            out.append(update)
        return np.array(out)

    ours = steps(optim.adadelta(), gradients)
    np.testing.assert_allclose(steps(optim.adadelta(), turn * gradients), turn * ours, rtol=1e-5)
    theirs = steps(optax.adadelta(1.0), gradients)
    turned = steps(optax.adadelta(1.0), turn * gradients)
    assert np.max(np.abs(turned - turn * theirs)) > 0.5 * np.max(np.abs(theirs))


def test_adadelta_descends_by_itself():
    """As in its paper; optax's default learning rate, None, leaves out the minus sign."""
    x = jnp.array([1.0])
    assert float(once(optim.adadelta(), x, x)[0]) < 0
    assert float(once(optax.adadelta(), x, x)[0]) > 0


def test_lamb_steps_by_a_share_of_the_norm():
    params = {"large": jnp.full((4, 4), 100.0), "small": jnp.full(4, 0.01), "zero": jnp.zeros(3)}
    gradients = jax.tree.map(jnp.ones_like, params)
    updates = once(optim.lamb(0.1), gradients, params)
    for name in ("large", "small"):
        share = jnp.linalg.norm(updates[name]) / jnp.linalg.norm(params[name])
        np.testing.assert_allclose(share, 0.1, rtol=1e-5)
    np.testing.assert_allclose(updates["zero"], -0.1, rtol=1e-5)  # as Adam's step
    still = once(optim.lamb(0.1), jax.tree.map(jnp.zeros_like, params), params)
    assert all(np.all(u == 0) for u in jax.tree.leaves(still))


def test_amsgrad_does_not_forget():
    """After one large gradient Adam's steps grow again, AMSGrad's do not."""
    gradients = [100.0] + [1.0] * 30
    last = {}
    for make in (optim.adam, optim.amsgrad):
        optimizer = make(1.0, b1=0.0, b2=0.5)
        state = optimizer.init(jnp.zeros(()))
        for g in gradients:
            update, state = optimizer.update(jnp.array(g), state)
        last[make.__name__] = -float(update)
    np.testing.assert_allclose([last["adam"], last["amsgrad"]], [1.0, 0.01], rtol=1e-4)


def test_max_norm_0():
    zeros = {"x": jnp.zeros(2)}
    for clip in (optim.clip_by_norm(0.0), optim.clip_by_global_norm(0.0)):
        assert once(clip, zeros)["x"].tolist() == once(clip, {"x": jnp.ones(2)})["x"].tolist()


def test_gradients_through_steps_whose_gradient_is_0():
    """A learning rate is itself trained, and one array of the params has no gradient."""
    makers = (
        lambda rate: optim.lamb(rate, eps_root=1e-8),
        lambda rate: optim.muon(rate, adam_eps_root=1e-8),
        lambda rate: optim.chain(optim.clip_by_norm(1.0), optim.sgd(rate)),
        lambda rate: optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(rate)),
    )
    params = {"still": jnp.ones((2, 2)), "moving": jnp.ones(2)}

    def losses(rate, clipped):
        loss = lambda p: 0.0 * jnp.sum(p["still"] ** 2) + clipped * jnp.sum(p["moving"] ** 2)

        def after(optimizer):
            p, state = params, optimizer.init(params)
            for _ in range(2):
                updates, state = optimizer.update(jax.grad(loss)(p), state, p)
                p = optim.apply_updates(p, updates)
            return jnp.sum(p["moving"] ** 2)

        return jnp.stack([after(make(rate)) for make in makers])

    slopes = jax.jit(jax.jacrev(losses))
    assert (slopes(0.1, 1.0) < 0).all()
    assert np.isfinite(slopes(0.1, 0.0)).all()


def test_muon_in_half_precision():
    """The norm of these is 1200; the sum of their squares is beyond float16."""
    kernel = 300 * jnp.eye(16)
    trees = [{"kernel": x} for x in (kernel, kernel.astype(jnp.float16))]
    steps = [once(optim.muon(1.0), tree, tree)["kernel"] for tree in trees]
    np.testing.assert_allclose(*steps, atol=0.02)
    still = {"kernel": jnp.zeros((2, 2), jnp.float16), "bias": jnp.zeros((2, 2, 2), jnp.float16)}
    steps = once(optim.muon(1.0, matrices=True), still, still)
    assert not any(jnp.any(u) for u in jax.tree.leaves(steps))


def test_multi_steps_gathers_on_the_devices_of_the_params():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    state = optim.multi_steps(optim.sgd(0.1), 2).init(jax.device_put(jnp.ones((8, 2)), rows))
    assert state.acc_grads.sharding.is_equivalent_to(rows, 2)
