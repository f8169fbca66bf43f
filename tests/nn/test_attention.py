"""Attention, positions and transformer blocks: against Flax NNX, and by what they must not see."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import funcnn
from funcnn import nn
from funcnn.testing import check_grads

KEY = jax.random.key(0)
BATCH, TIME, FEATURES, HEADS = 2, 3, 4, 2


def x_of(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def random_params(layer, x):
    """Of init's structure, with biases that are not zero."""
    shapes, _ = jax.eval_shape(layer.init, KEY, x)
    return jax.tree.map(lambda leaf: x_of(*leaf.shape, seed=leaf.size), shapes)


def in_flax(params, features, context_features):
    theirs = nnx.MultiHeadAttention(
        HEADS, features, FEATURES, features, in_kv_features=context_features, decode=False,
        rngs=nnx.Rngs(0),
    )  # fmt: skip
    for name, arrays in params.items():
        for entry, array in arrays.items():
            getattr(getattr(theirs, name), entry).set_value(array)
    return theirs


def test_outputs_and_gradients_are_those_of_flax():
    """Self-attention, causal; and attention to a context of another width, with a mask."""
    x, context = x_of(BATCH, TIME, FEATURES), x_of(BATCH, 4, 5, seed=1)
    mask = jnp.asarray(np.random.default_rng(2).random((BATCH, 1, TIME, 4)) < 0.6)
    mask = mask.at[..., 0].set(True)
    causal, cross = nn.multi_head_attention(HEADS, is_causal=True), nn.multi_head_attention(HEADS)
    params = random_params(causal, x), random_params(cross, (x, context))
    assert params[1]["key"]["kernel"].shape == (5, HEADS, FEATURES // HEADS)

    def ours(params, x, context):
        y = causal(params[0], x) + cross(params[1], (x, context, mask))
        return jnp.square(y).sum(), y

    def theirs(params, x, context):
        y = in_flax(params[0], FEATURES, FEATURES)(x, is_causal=True)
        y = y + in_flax(params[1], FEATURES, 5)(x, context, mask=mask)
        return jnp.square(y).sum(), y

    results = [
        jax.jit(grad(f, argnums=(0, 1, 2), has_aux=True))(params, x, context)
        for grad, f in ((funcnn.value_and_grad, ours), (jax.value_and_grad, theirs))
    ]
    chex.assert_trees_all_close(*results, rtol=1e-4, atol=1e-4)


def test_what_is_masked_is_not_seen():
    layer = nn.multi_head_attention(HEADS, is_causal=True, positions=nn.functional.rotary)
    x = x_of(BATCH, TIME, FEATURES)
    params = random_params(layer, x)
    mask = nn.functional.length_mask(jnp.array([3, 2]), TIME)[:, None, None, :]

    @jax.jit
    def run(x):
        return layer(params, x), layer(params, (x, x, mask)), layer(params, x[0])

    causal, masked, alone = run(x)
    changed_causal, changed_masked, _ = run(x.at[:, 2].add(1.0))
    np.testing.assert_allclose(changed_causal[:, :2], causal[:, :2], rtol=1e-5)
    assert (jnp.abs(changed_causal[:, 2] - causal[:, 2]).max(-1) > 1e-3).all()
    np.testing.assert_allclose(changed_masked[1, :2], masked[1, :2], rtol=1e-5)
    np.testing.assert_allclose(masked[0], causal[0], rtol=1e-5)
    np.testing.assert_allclose(alone, causal[0], rtol=1e-4, atol=1e-5)


def test_dropout_of_weights_by_hand():
    q, k, v = (x_of(BATCH, TIME, HEADS, 2, seed=seed) for seed in range(3))

    mask, causal = np.array([True, False, True]), np.tri(TIME, dtype=bool)

    @jax.jit
    def run(q, k, v):
        weights = nn.functional.attention_weights(q, k, is_causal=True)
        both = nn.functional.attention_weights(q, k, mask, is_causal=True)
        dropped = nn.functional.dropout(weights, 0.5, KEY)
        expected = jnp.einsum("bhqk,bkhd->bqhd", dropped, v)
        attend = lambda **options: nn.functional.attention(q, k, v, is_causal=True, **options)
        return (
            (attend(dropout_rate=0.5, dropout_key=KEY), expected),
            (attend(), jnp.einsum("bhqk,bkhd->bqhd", weights, v)),
            (attend(dropout_rate=0.5), attend()),
            (attend(mask=mask), nn.functional.attention(q, k, v, mask & causal)),
            (jnp.einsum("bhqk,bkhd->bqhd", both, v), attend(mask=mask)),
        )

    for result, expected in run(q, k, v):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)
    layer = nn.multi_head_attention(HEADS, dropout_rate=0.5)
    x = x_of(BATCH, TIME, FEATURES)
    params = random_params(layer, x)
    assert layer.uses_key
    assert not nn.multi_head_attention(HEADS).uses_key
    train = jax.jit(lambda key: layer.apply(params, (), x, key=key, train=True)[0])
    first, again, other = train(KEY), train(KEY), train(jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    assert jnp.abs(first - other).max() > 0.01
    inference = jax.jit(lambda: (layer(params, x), nn.multi_head_attention(HEADS)(params, x)))
    np.testing.assert_allclose(*inference())
    with pytest.raises(TypeError, match="multi_head_attention needs a key in training"):
        layer.apply(params, (), x, train=True)


def test_fewer_heads_of_keys_other_dtypes_and_queries_that_see_nothing():
    q, k, v = (x_of(TIME, heads, 2, seed=heads) for heads in (4, 2, 2))

    @jax.jit
    def run(q, k, v):
        short = nn.functional.attention(*(a.astype(jnp.bfloat16) for a in (q, k, v)))
        repeated = nn.functional.attention(q, k.repeat(2, axis=1), v.repeat(2, axis=1))
        blind = nn.functional.attention(q, k, v, jnp.zeros((TIME, TIME), bool))
        return nn.functional.attention(q, k, v), repeated, short, blind

    y, repeated, short, blind = run(q, k, v)
    np.testing.assert_allclose(y, repeated, rtol=1e-5)
    assert short.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(short), y, atol=0.03)
    np.testing.assert_allclose(blind, np.tile(np.mean(v, 0).repeat(2, 0), (TIME, 1, 1)), rtol=1e-5)
    with jax.enable_x64(True):
        wide = [np.float64(a) for a in (q, k, v)]
        result = jax.jit(nn.functional.attention)(*wide)
        assert result.dtype == jnp.float64
        weights = np.exp(np.einsum("qhd,khd->hqk", wide[0], wide[1].repeat(2, 1)) / 2**0.5)
        weights /= weights.sum(-1, keepdims=True)
        expected = np.einsum("hqk,khd->qhd", weights, wide[2].repeat(2, 1))
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_sinusoidal_positions_are_the_formula():
    table = np.asarray(nn.functional.sinusoidal_positions(7, 6))
    for p, i in ((0, 0), (5, 0), (6, 1), (3, 2)):
        angle = p / 10000 ** (2 * i / 6)
        np.testing.assert_allclose(
            table[p, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], 1e-5
        )
    x = x_of(2, 7, 6)
    np.testing.assert_allclose(nn.sinusoidal_positions()((), x), x + table, rtol=1e-6)


def test_learned_positions_are_added():
    layer = nn.learned_positions(8)
    x = x_of(BATCH, TIME, FEATURES)
    params, _ = layer.init(KEY, x)
    assert params["embedding"].shape == (8, FEATURES)
    np.testing.assert_allclose(layer(params, x), x + params["embedding"][:TIME], rtol=1e-6)


def test_rotary_products_depend_on_the_distance_alone():
    q, k = x_of(1, 6, seed=1), x_of(1, 6, seed=2)

    @jax.jit
    def product(p, r):
        return (nn.functional.rotary(q, p) * nn.functional.rotary(k, r)).sum(-1)

    q, k = q[None], k[None]
    near, far = product(jnp.array([3]), jnp.array([5])), product(jnp.array([40]), jnp.array([42]))
    np.testing.assert_allclose(near, far, rtol=1e-3, atol=1e-4)
    assert jnp.abs(near - product(jnp.array([3]), jnp.array([6]))).max() > 1e-2
    x = x_of(BATCH, TIME, HEADS, 6)
    turned = nn.functional.rotary(x)
    np.testing.assert_allclose(turned[:, 0], x[:, 0], rtol=1e-6)
    norms = [jnp.linalg.norm(a, axis=-1) for a in (x, turned)]
    np.testing.assert_allclose(*norms, rtol=1e-5)
    by_position = jnp.stack(
        [nn.functional.rotary(x[:, t : t + 1], jnp.array([t]))[:, 0] for t in range(TIME)], 1
    )
    np.testing.assert_allclose(turned, by_position, rtol=1e-5, atol=1e-6)


def test_a_layer_with_rotary_positions_knows_distances_alone():
    x = x_of(BATCH, TIME, FEATURES)

    def shifted(by):
        turn = lambda a: nn.functional.rotary(a, jnp.arange(TIME) + by)
        return nn.multi_head_attention(HEADS, positions=turn)

    params = random_params(shifted(0), x)
    run = jax.jit(lambda: [shifted(0)(params, x), shifted(7)(params, x), LAYER(params, x)])
    near, far, without = run()
    np.testing.assert_allclose(near, far, rtol=1e-3, atol=1e-3)
    assert jnp.abs(near - without).max() > 0.1


def test_a_transformer_block_is_the_formula():
    block = nn.transformer_block(
        FEATURES, HEADS, mlp_features=6, norm=nn.rms_norm, activation=jnp.tanh
    )
    x = x_of(BATCH, TIME, FEATURES)
    params = random_params(block, x)

    @jax.jit
    def by_hand(p, x):
        h = x + nn.multi_head_attention(HEADS)(p["attention"], nn.rms_norm()(p["norm_1"], x))
        z = (
            nn.rms_norm()(p["norm_2"], h) @ p["mlp"]["expand"]["kernel"]
            + p["mlp"]["expand"]["bias"]
        )
        return h + jnp.tanh(z) @ p["mlp"]["contract"]["kernel"] + p["mlp"]["contract"]["bias"]

    y = jax.jit(block)(params, x)
    np.testing.assert_allclose(y, by_hand(params, x), rtol=1e-4, atol=1e-4)
    masked = nn.transformer_block(FEATURES, HEADS, mlp_features=6, masked=True, is_causal=True)
    mask = jnp.ones((BATCH, 1, 1, TIME), bool)
    stack = nn.repeat(masked, 2)
    shapes, _ = jax.eval_shape(stack.init, KEY, (x, mask))
    y, same = jax.eval_shape(stack, shapes, (x, mask))
    assert (y.shape, same.shape) == (x.shape, mask.shape)
    assert nn.transformer_block(FEATURES, HEADS, dropout_rate=0.1).uses_key


def test_gradients():
    model = nn.serial(
        nn.learned_positions(TIME),
        nn.transformer_block(2, 1, mlp_features=2, is_causal=True, positions=nn.functional.rotary),
    )
    x = x_of(1, TIME, 2)
    params = random_params(model, x)
    check_grads(jax.jit(lambda params, x: jnp.square(model(params, x)).sum()), (params, x))


X = np.ones((BATCH, TIME, FEATURES), np.float32)
LAYER = nn.multi_head_attention(HEADS)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (X[0, 0], ValueError, "multi_head_attention: expected x of shape (batch, time, features)"),
        (X.astype(int), TypeError, "multi_head_attention: expected floating x, got int"),
        (X[..., :3], ValueError, "['query']: dense: expected x of shape (..., 4) to match kernel"),
        ((X, X[..., :3]), ValueError, "['key']: dense: expected x of shape (..., 4) to match kern"),
        ((X, X[:1]), ValueError, "attention: expected query (batch, queries, heads, head_dim), ke"),
        ((X,), ValueError, "multi_head_attention: expected x, (x, context), or (x, context, mask)"),
        ((X, X, np.ones((3, 3))), TypeError, "attention: expected a mask of bool, got float"),
        (
            (X, X, np.ones((2, 3), bool)),
            ValueError,
            "attention: expected a mask to broadcast against (batch, heads, queries, keys) = (2, 2,"
            " 3, 3), got (2, 3): for lengths, length_mask(...)[:, None, None, :]",
        ),
    ],
)
def test_bad_input(x, error, message):
    params = random_params(LAYER, X)
    with pytest.raises(
        error, match="^" + re.escape(f"[0]{'' if message[0] == '[' else ': '}{message}")
    ):
        nn.serial(LAYER)((params,), x)


def test_bad_arguments():
    with pytest.raises(ValueError, match="expected qkv_features that 3 heads divide, got 4"):
        nn.multi_head_attention(3).init(KEY, X)
    with pytest.raises(ValueError, match="multi_head_attention"):
        nn.multi_head_attention(2, dropout_rate=1.0)
    with pytest.raises(TypeError, match="multi_head_attention: num_heads must be an integer"):
        nn.multi_head_attention(2.5)
    with pytest.raises(
        ValueError, match=re.escape("expected a kernel of shape (in, 2, head_dim), go")
    ):
        LAYER(random_params(nn.multi_head_attention(4), X), X)
    with pytest.raises(
        ValueError, match="expected heads of the key that divide those of the query"
    ):
        nn.functional.attention(X[None], X[None, :, :2], X[None, :, :2])
    with pytest.raises(ValueError, match="positions: expected an even number of features, got 3"):
        nn.functional.rotary(X[..., :3])
    with pytest.raises(
        ValueError, match=re.escape("rotary: expected x of shape (..., time, heads, ")
    ):
        nn.functional.rotary(X[0])
    with pytest.raises(ValueError, match="time at most 2, got"):
        nn.learned_positions(2)({"embedding": jnp.ones((2, FEATURES))}, X)
    with pytest.raises(TypeError, match="sinusoidal_positions: expected floating x, got int"):
        nn.sinusoidal_positions()((), X.astype(int))
    with pytest.raises(
        ValueError, match=re.escape("expected x of shape (..., time, features), got (4,)")
    ):
        nn.sinusoidal_positions()((), X[0, 0])
