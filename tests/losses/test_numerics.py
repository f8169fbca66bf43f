"""Large logits, probabilities of 0 and 1, small dtypes, and derivatives of both orders."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import funcnn
from funcnn import losses
from funcnn.testing import check_grads

LARGE = jnp.array([1e4, -1e4, 88.8, -88.8, 0.0])


@pytest.mark.parametrize("label", [0, 1, 0.25])
@pytest.mark.parametrize("loss", [losses.sigmoid_binary_cross_entropy, losses.sigmoid_focal_loss])
def test_finite_at_large_logits_in_both_orders(loss, label):
    def value(s):
        return loss(s, jnp.asarray(label, s.dtype))

    def derivatives(s):
        return (
            value(s),
            *(g(value)(s) for g in (jax.grad, funcnn.grad)),
            jax.grad(funcnn.grad(value))(s),
        )

    values, by_jax, by_funcnn, second = jax.jit(jax.vmap(derivatives))(LARGE)
    assert np.isfinite([values, by_jax, by_funcnn, second]).all()
    np.testing.assert_allclose(by_jax, by_funcnn, atol=1e-6)
    if loss is losses.sigmoid_binary_cross_entropy:
        sigmoid = np.array([1, 0, 1, 0, 0.5])
        entropy = np.array([(1 - label) * 1e4, label * 1e4, (1 - label) * 88.8, label * 88.8])
        np.testing.assert_allclose(values[:4], entropy, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(by_jax, sigmoid - label, atol=1e-6)
        np.testing.assert_allclose(second, sigmoid * (1 - sigmoid), atol=1e-6)


def test_a_small_binary_loss_keeps_its_digits():
    loss = losses.sigmoid_binary_cross_entropy(jnp.array([30.0, -30.0]), jnp.array([1, 0]))
    np.testing.assert_allclose(loss, np.log1p(np.exp(-30.0)), rtol=1e-5)


@pytest.mark.parametrize("grad", [jax.grad, funcnn.grad])
def test_probabilities_of_0_and_1(grad):
    """As the docstring says: right and certain costs 0, with the formula's gradient."""
    value_and_slope = [
        (
            jax.vmap(losses.binary_cross_entropy)(h, y),
            jax.vmap(grad(losses.binary_cross_entropy))(h, y),
        )
        for h, y in [(jnp.array([1.0, 0.0, 0.0, 1.0]), jnp.array([1.0, 0.0, 1.0, 0.0]))]
    ]
    values, slopes = value_and_slope[0]
    np.testing.assert_array_equal(values, [0, 0, np.inf, np.inf])
    np.testing.assert_array_equal(slopes, [-1, 1, -np.inf, np.inf])
    assert losses.binary_cross_entropy(jnp.float32(1 + 1e-7), jnp.float32(1)) <= 0  # by rounding
    assert np.isnan(losses.binary_cross_entropy(jnp.array([-0.5, 1.5]), jnp.array([1, 0]))).all()

    h, y = jnp.array([[0.0, 0.75, 0.25], [1.0, 0.0, 0.0]]), jnp.array([[0, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(losses.cross_entropy(h, y), [-np.log(0.75), 0])
    gradient = grad(lambda h: losses.cross_entropy(h, y).sum())(h)
    np.testing.assert_allclose(gradient, [[0, -4 / 3, 0], [-1, 0, 0]])
    assert losses.cross_entropy(h[0], jnp.array([1, 0, 0])) == jnp.inf


def test_a_label_of_no_weight_still_has_its_derivative():
    """∂/∂y of −y log h is −log h at y = 0 too, as label smoothing that is learned wants it."""
    h = jnp.array([0.2, 0.8])
    gradient = jax.grad(lambda y: losses.cross_entropy(h, y))(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(gradient, -np.log([0.2, 0.8]), rtol=1e-6)
    gradient = jax.grad(lambda y: losses.binary_cross_entropy(h, y).sum())(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(gradient, np.log([4.0, 0.25]), rtol=1e-5)


def test_kl_divergence_where_the_target_is_0():
    log_q, t = jnp.array([0.0, -jnp.inf, -jnp.inf]), jnp.array([1.0, 0.0, 0.0])
    value, gradient = jax.value_and_grad(losses.kl_divergence, argnums=(0, 1))(log_q, t)
    assert value == 0
    assert np.isfinite(gradient).all()
    assert losses.kl_divergence(log_q, jnp.array([0.5, 0.5, 0.0])) == jnp.inf


def test_from_probabilities_is_from_logits():
    rng = np.random.default_rng(0)
    s, labels = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32), rng.integers(0, 4, 5)
    one_hot, p = np.eye(4, dtype=np.float32)[labels], jax.nn.softmax(s)
    expected = losses.softmax_cross_entropy_with_integer_labels(s, labels)
    np.testing.assert_allclose(losses.cross_entropy(p, one_hot), expected, rtol=1e-5)
    np.testing.assert_allclose(
        losses.negative_log_likelihood(jax.nn.log_softmax(s), labels), expected, rtol=1e-5
    )
    np.testing.assert_allclose(
        losses.binary_cross_entropy(jax.nn.sigmoid(s), one_hot),
        losses.sigmoid_binary_cross_entropy(s, one_hot),
        rtol=1e-4,
    )


P = jax.nn.softmax(jnp.array([[0.3, -1.0, 2.0], [1.0, 0.2, -0.7]]))
S, Y = jnp.array([[0.3, -1.0, 2.0], [1.1, 0.2, -0.7]]), jnp.array([2, 1])
ONE_HOT = jnp.eye(3)[Y]
BY_FIRST = {
    "binary_cross_entropy": (P, ONE_HOT),
    "cosine_similarity": (S, P),
    "cross_entropy": (P, ONE_HOT),
    "hinge_loss": (S, 2 * ONE_HOT - 1),
    "huber_loss": (S, P),
    "kl_divergence": (jnp.log(P), ONE_HOT),
    "log_cosh": (S, P),
    "multiclass_hinge_loss": (S, Y),
    "multiclass_hinge_sum": (S, Y),
    "negative_log_likelihood": (jnp.log(P), Y),
    "sigmoid_binary_cross_entropy": (S, ONE_HOT),
    "sigmoid_focal_loss": (S, ONE_HOT),
}


def test_gradients_of_those_that_optax_does_not_have():
    """In one program, by funcnn, by JAX and by differences."""
    names = [n for n in BY_FIRST if not hasattr(optax.losses, n)]
    assert "cross_entropy" in names
    assert "multiclass_hinge_sum" in names

    def total(xs):
        return sum(
            (i + 1) * jnp.sum(getattr(losses, name)(x, BY_FIRST[name][1]))
            for i, (name, x) in enumerate(xs.items())
        )

    check_grads(total, ({name: BY_FIRST[name][0] for name in names},))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_float32_rounded_once(dtype):
    cast = lambda tree, to: jax.tree.map(
        lambda a: a.astype(to) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )
    elementwise = {"hinge_loss", "huber_loss", "log_cosh", "multiclass_hinge_loss"}
    narrow = cast({n: a for n, a in BY_FIRST.items() if n not in elementwise}, dtype)
    run = jax.jit(lambda inputs: {n: getattr(losses, n)(*a) for n, a in inputs.items()})
    wide = run(cast(narrow, jnp.float32))
    for name, result in run(narrow).items():
        assert result.dtype == dtype, name
        np.testing.assert_array_equal(result, wide[name].astype(dtype), err_msg=name)


def test_vmap_forward_mode_and_empty_batches():
    @jax.jit
    def everything(inputs):
        found = {}
        for name, (x, y) in inputs.items():
            loss = getattr(losses, name)
            _, tangent = jax.jvp(lambda x, loss=loss, y=y: loss(x, y), (x,), (x,))
            found[name] = loss(x, y), jax.vmap(loss)(x, y), loss(x[:0], y[:0]), tangent
        return found

    for name, (value, mapped, empty, tangent) in everything(BY_FIRST).items():
        assert value.shape in {(2,), (2, 3)}
        np.testing.assert_allclose(mapped, value, rtol=1e-6, err_msg=name)
        assert empty.shape == (0, *value.shape[1:])
        assert tangent.shape == value.shape
        assert np.isfinite(tangent).all()
