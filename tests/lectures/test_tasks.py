"""Metrics, regression and convolutional networks (rows 41, 43 and 44)."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import losses, metrics, nn, optim, train


def test_row_41_metrics():
    """Deck E: all of them from one table of 100 examples: TP 40, FP 10, FN 5, TN 45."""
    labels = np.repeat([1, 0, 1, 0], [40, 10, 5, 45])
    predicted = np.repeat([1, 1, 0, 0], [40, 10, 5, 45])
    matrix = metrics.confusion_matrix(predicted, labels, num_classes=2)
    assert matrix.tolist() == [[45, 10], [5, 40]]
    p, r = 40 / 50, 40 / 45
    expected = {
        "accuracy": 0.85,
        "error_rate": 0.15,
        "precision": p,
        "recall": r,
        "specificity": 45 / 55,
        "f1": 2 * p * r / (p + r),
    }
    for name, value in expected.items():
        of_matrix = getattr(metrics.from_confusion, name)(matrix)
        options = {} if name in ("accuracy", "error_rate") else {"num_classes": 2}
        at_once = getattr(metrics, name)(predicted, labels, **options)
        assert float(of_matrix) == pytest.approx(value, rel=1e-5), name
        assert float(at_once) == pytest.approx(value, rel=1e-5), name
    f2 = metrics.from_confusion.fbeta(matrix, 2.0)
    assert float(f2) == pytest.approx(5 * p * r / (4 * p + r), rel=1e-5)


def test_row_41_roc():
    """Deck E: a perfect score, one that knows nothing, and two thresholds between."""
    labels = jnp.array([0, 0, 1, 1])
    assert metrics.roc_auc(jnp.array([0.1, 0.2, 0.8, 0.9]), labels) == 1
    assert metrics.roc_auc(jnp.full(4, 0.5), labels) == 0.5
    fpr, tpr, _ = metrics.roc_curve(jnp.array([0.1, 0.8, 0.8, 0.9]), labels)
    points = set(zip(fpr.tolist(), tpr.tolist(), strict=True))
    assert points == {(0, 0), (0, 0.5), (0.5, 1), (1, 1)}
    assert metrics.roc_auc(jnp.array([0.1, 0.8, 0.8, 0.9]), labels) == 0.875


def test_row_41_a_metric_is_no_loss():
    """Deck E: the loss adjusts the weights by its gradient; accuracy has none to give."""
    logits, labels = jnp.array([[0.3, 0.1], [0.2, 0.9]]), jnp.array([1, 1])
    gradient = jax.grad(lambda z: metrics.accuracy(z, labels))(logits)
    assert not gradient.any()
    loss = losses.softmax_cross_entropy_with_integer_labels
    assert jax.grad(lambda z: loss(z, labels).mean())(logits).any()


def test_row_43_heights_of_parents_and_children():
    """Deck E: the line of least squares, found by training, and a network that is no worse."""
    # near Galton's, from their means on: standard deviations of 1.8 and 2.5 inches, a slope of 2/3;
    # tall parents' children are tall, but less so
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 1)).astype(np.float32)
    of_parents = 2 / 3 * 1.8 * x
    y = of_parents + np.sqrt(2.5**2 - (2 / 3 * 1.8) ** 2) * rng.normal(size=x.shape)
    y = (y / 2.5).astype(np.float32)
    optimizer = optim.adam(0.02)

    def trained(model):
        loss = train.supervised(model, losses.squared_error, {"mae": metrics.mean_absolute_error})
        state = train.init(jax.random.key(0), model, optimizer, x)
        state, history = train.fit(
            loss, optimizer, state, (x, y), epochs=20, batch_size=90, progress=False
        )
        assert history["mae"][-1] < history["mae"][0]
        return state.params

    params = trained(nn.dense(1))
    slope, offset = np.polyfit(x[:, 0], y[:, 0], 1)
    np.testing.assert_allclose(
        [params["kernel"][0, 0], params["bias"][0]], [slope, offset], atol=0.02
    )
    assert 0.35 < slope < 0.6  # regression to the mean: below 1
    line = metrics.r2(nn.dense(1)(params, x), y)
    network = nn.serial(nn.dense(8), jnp.tanh, nn.dense(1))
    assert metrics.r2(network(trained(network), x), y) > line - 0.01


def test_row_44_convolution_padding_stride_pooling():
    """Deck E: each output written out; padding keeps the size, and a stride of 2 halves it."""
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(6, 6)), rng.normal(size=(3, 3))
    x = jnp.asarray(image, jnp.float32)[None, :, :, None]
    conv = lambda **options: nn.functional.conv(
        x, jnp.asarray(kernel, jnp.float32)[..., None, None], **options
    )[0, :, :, 0]
    padded = np.pad(image, 1)
    same = np.array(
        [[(padded[i : i + 3, j : j + 3] * kernel).sum() for j in range(6)] for i in range(6)]
    )
    np.testing.assert_allclose(conv(padding="SAME"), same, atol=1e-5)
    np.testing.assert_allclose(conv(padding="VALID"), same[1:-1, 1:-1], atol=1e-5)
    np.testing.assert_allclose(conv(padding=1, strides=2), same[::2, ::2], atol=1e-5)
    blocks = image.reshape(3, 2, 3, 2)
    np.testing.assert_allclose(
        nn.max_pool((2, 2), (2, 2))((), x)[0, :, :, 0], blocks.max((1, 3)), rtol=1e-6
    )
    np.testing.assert_allclose(
        nn.avg_pool((2, 2), (2, 2))((), x)[0, :, :, 0], blocks.mean((1, 3)), rtol=1e-5, atol=1e-6
    )


def test_row_44_receptive_field():
    """Deck E: what of the input an output sees: 3×3, 3×3, pooling by 2, 3×3 see 10×10 pixels."""
    model = nn.serial(
        nn.conv(2, (3, 3)), nn.conv(2, (3, 3)), nn.max_pool((2, 2), (2, 2)), nn.conv(1, (3, 3))
    )
    x = jnp.zeros((1, 24, 24, 1))
    params, _ = model.init(jax.random.key(0), x)
    fields = re.findall(r"\d+×\d+$", str(nn.summary(model, x)), re.M)
    assert fields == ["3×3", "5×5", "6×6", "10×10"]

    def seen(sign):
        """What moves an output; the brightest in a window is at its lower right, or upper left."""
        image = sign * jnp.add.outer(jnp.arange(24.0), jnp.arange(24.0))[None, :, :, None]
        weights = jax.tree.map(lambda w: jnp.abs(w) + 0.1, params)
        slope = jax.jit(jax.grad(lambda x: model(weights, x)[0, 6, 6, 0]))
        return slope(image)[0, :, :, 0] != 0

    rows, columns = np.nonzero(seen(1) | seen(-1))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (10, 10)


def test_row_44_a_residual_block_with_batch_normalization():
    """Decks A and B: y = x + f(x); where f does nothing, gradients pass unchanged."""
    block = nn.residual(
        nn.serial(nn.conv(3, (3, 3)), nn.batch_norm(), jax.nn.relu, nn.conv(3, (3, 3)))
    )
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 5, 3)), jnp.float32)
    params, state = block.init(jax.random.key(0), x)
    y, after = block.apply(params, state, x, train=True)
    assert y.shape == x.shape
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (after, state)), strict=True))
    nothing = jax.tree.map(jnp.zeros_like, params)
    y, pullback = jax.vjp(lambda x: block.apply(nothing, state, x)[0], x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(pullback(x)[0], x)
