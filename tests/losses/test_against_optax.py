"""Every loss that optax has: the same values and gradients, by JAX and by funcnn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import funcnn
from funcnn import losses


def arguments(name: str, dtype) -> tuple:
    """Random input: what is differentiated first, then the targets."""
    rng = np.random.default_rng(len(name))
    x, y = rng.normal(size=(2, 6, 4)) * np.array([0.1, 1, 3, 3, 3, 30])[:, None]
    batch = SHAPES.get(name.partition(", ")[2], (6, 4))
    x, y = np.resize(x, batch), np.resize(y, batch)
    kind = name.partition(", ")[0]
    if kind in ("integer labels", "multiclass_hinge_loss"):
        return jnp.asarray(x, dtype), jnp.asarray(rng.integers(0, batch[-1], batch[:-1]))
    floats = {
        "kl_divergence": lambda: (jax.nn.log_softmax(x), rng.dirichlet(np.ones(4), 6)),
        "one-hot labels": lambda: (x, rng.dirichlet(np.ones(batch[-1]), batch[:-1])),
        "sigmoid_binary_cross_entropy": lambda: (x, rng.uniform(size=(6, 4)).round(1)),
        "sigmoid_focal_loss": lambda: (x, rng.uniform(size=(6, 4)).round(1)),
        "smooth_labels": lambda: (np.eye(4)[rng.integers(0, 4, 6)], 0.3),
        "hinge_loss": lambda: (x, np.sign(y)),
    }.get(kind, lambda: (x, y))()
    return tuple(jnp.asarray(a, dtype) for a in floats)


SHAPES = {"one example": (3,), "two axes": (2, 3, 4), "none": (0, 3), "one class": (4, 1)}
SAME = {
    **{
        f"{kind}, {shape}": (getattr(losses, name), getattr(optax.losses, name))
        for shape in SHAPES
        for kind, name in (
            ("integer labels", "softmax_cross_entropy_with_integer_labels"),
            ("one-hot labels", "softmax_cross_entropy"),
        )
    },
    "squared_error": (losses.squared_error, optax.losses.squared_error),
    "absolute": (losses.absolute_error, lambda x, y: jnp.abs(x - y)),
    "cosine_distance": (losses.cosine_distance, optax.losses.cosine_distance),
    "cosine_similarity": (
        lambda x, y: losses.cosine_similarity(x, y, epsilon=30.0),  # some are shorter
        lambda x, y: optax.losses.cosine_similarity(x, y, epsilon=30.0),
    ),
    "hinge_loss": (losses.hinge_loss, optax.losses.hinge_loss),
    "huber_loss": (
        lambda x, y: losses.huber_loss(x, y, delta=2.5),
        lambda x, y: optax.losses.huber_loss(x, y, delta=2.5),
    ),
    "kl_divergence": (losses.kl_divergence, optax.losses.kl_divergence),
    "l2_loss": (losses.l2_loss, optax.losses.l2_loss),
    "log_cosh": (losses.log_cosh, optax.losses.log_cosh),
    "multiclass_hinge_loss": (losses.multiclass_hinge_loss, optax.losses.multiclass_hinge_loss),
    "sigmoid_binary_cross_entropy": (
        losses.sigmoid_binary_cross_entropy,
        optax.losses.sigmoid_binary_cross_entropy,
    ),
    "sigmoid_focal_loss": (
        lambda x, y: losses.sigmoid_focal_loss(x, y, alpha=0.3, gamma=1.5),
        lambda x, y: optax.losses.sigmoid_focal_loss(x, y, alpha=0.3, gamma=1.5),
    ),
    "smooth_labels": (losses.smooth_labels, optax.losses.smooth_labels),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-5), (np.float64, 1e-12)])
def test_values_and_gradients(dtype, tolerance):
    def both(vjp, f, args):
        """The value, and its gradient by all floating arguments."""
        n = sum(jnp.issubdtype(a.dtype, jnp.floating) for a in args)
        value, pullback = vjp(lambda *floats: f(*floats, *args[n:]), *args[:n])
        upstream = jnp.cos(jnp.arange(value.size, dtype=value.dtype)).reshape(value.shape)
        return value, pullback(upstream)

    @jax.jit
    def everything(inputs):
        ways = [(jax.vjp, 0), (funcnn.vjp, 0), (jax.vjp, 1)]
        return [
            {name: both(vjp, SAME[name][of], args) for name, args in inputs.items()}
            for vjp, of in ways
        ]

    with jax.enable_x64(True):
        ours, by_funcnn, optaxs = everything({name: arguments(name, dtype) for name in SAME})
    for name in SAME:
        assert ours[name][0].dtype == dtype
        assert ours[name][0].shape == optaxs[name][0].shape
        for result in (ours, by_funcnn):
            for a, b in zip(
                jax.tree.leaves(result[name]), jax.tree.leaves(optaxs[name]), strict=True
            ):
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def test_targets_may_be_left_out():
    x = jnp.array([-3.0, 0.5])
    for name in ("squared_error", "l2_loss", "huber_loss", "log_cosh"):
        np.testing.assert_allclose(
            getattr(losses, name)(x), getattr(optax, name)(x), rtol=1e-6, err_msg=name
        )
    np.testing.assert_array_equal(losses.absolute_error(x), [3.0, 0.5])


def test_focal_loss_without_focus_is_the_cross_entropy():
    x, y = arguments("sigmoid_focal_loss", jnp.float32)
    np.testing.assert_allclose(
        losses.sigmoid_focal_loss(x, y, gamma=0.0),
        losses.sigmoid_binary_cross_entropy(x, y),
        rtol=1e-6,
    )


def test_the_two_multiclass_hinge_losses():
    """They differ where two classes come too close, and nowhere else."""
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(0, 4, 50)
    of_all, of_worst = (
        np.asarray(f(scores, labels))
        for f in (losses.multiclass_hinge_sum, losses.multiclass_hinge_loss)
    )
    right = scores[np.arange(50), labels][:, None]
    too_close = (np.maximum(0, scores - right + 1) > 0).sum(-1) - 1
    several = too_close > 1
    assert 5 < several.sum() < 45
    np.testing.assert_allclose(of_all[~several], of_worst[~several], atol=1e-6)
    assert (of_all[several] > of_worst[several] + 1e-6).all()
    terms = np.maximum(0, scores - right + 1)
    np.testing.assert_allclose(of_all, terms.sum(-1) - 1, atol=1e-5)
    gradient = jax.grad(lambda s: losses.multiclass_hinge_sum(s, labels).sum())(scores)
    np.testing.assert_array_equal(np.asarray(gradient)[np.arange(50), labels], -too_close)


def test_smoothed_labels_are_what_softmax_cross_entropy_takes():
    labels = jax.nn.one_hot(jnp.array([0, 2]), 3)
    smooth = losses.smooth_labels(labels, 0.3)
    np.testing.assert_allclose(smooth.sum(-1), 1, rtol=1e-6)
    assert losses.smooth_labels(labels.astype(jnp.bfloat16), 0.3).dtype == jnp.bfloat16
    gradient = jax.grad(lambda s: losses.softmax_cross_entropy(s, smooth).sum())
    np.testing.assert_allclose(gradient(jnp.log(smooth)), 0, atol=1e-6)  # best where they agree
