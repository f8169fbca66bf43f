"""Softmax losses, squared error and quadratic loss: their numbers, dtypes, cost and bad input."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import losses

INTEGER = losses.softmax_cross_entropy_with_integer_labels
PROBABILITIES = losses.softmax_cross_entropy


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("shape", [(1, 4), (5,), (2, 3, 2)])
def test_quadratic_is_its_formula(dtype, tolerance, shape):  # decks A and D, row 13
    h, y = np.random.default_rng(0).normal(size=(2, *shape)).astype(dtype)
    n, total = len(h), 0.0
    for h_i, y_i in zip(h, y, strict=True):
        for h_ik, y_ik in zip(np.ravel(h_i), np.ravel(y_i), strict=True):
            total += (float(h_ik) - float(y_ik)) ** 2
    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(losses.quadratic))
        loss, gradient = both(jnp.asarray(h), jnp.asarray(y))
    assert loss.dtype == dtype
    assert float(loss) == pytest.approx(total / (2 * n), rel=tolerance)
    np.testing.assert_allclose(gradient, (h - y) / n, rtol=tolerance, atol=tolerance)


def test_softmax_loss_of_deck_b():  # row 14: scores (−2.85, 0.86, 0.28), label 2
    scores = jnp.array([-2.85, 0.86, 0.28])
    assert round(float(INTEGER(scores, 2)), 2) == 1.04
    assert round(float(PROBABILITIES(scores, jnp.array([0.0, 0.0, 1.0]))), 2) == 1.04
    exact = -np.log(np.exp(0.28) / np.exp([-2.85, 0.86, 0.28]).sum())
    assert float(INTEGER(scores, 2)) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(
    ("p", "y", "total", "digits"),
    [
        ([0.8, 0.7, 0.1], [1, 1, 0], -np.log(0.8) - np.log(0.7) - np.log(0.9), 6),
        ([0.6, 0.2, 0.1, 0.7], [1, 1, 1, 1], 4.8, 1),
    ],
)
def test_cross_entropies_of_deck_e(p, y, total, digits):  # row 15, each a softmax over two classes
    p, y = np.array(p), np.array(y)
    logits = jnp.log(jnp.stack([1 - p, p], axis=-1))
    terms = INTEGER(logits, y)
    np.testing.assert_allclose(terms, -np.log(np.where(y == 1, p, 1 - p)), rtol=1e-6)
    assert round(float(terms.sum()), digits) == round(total, digits)
    np.testing.assert_allclose(PROBABILITIES(logits, jax.nn.one_hot(y, 2)), terms, rtol=1e-6)


def test_terms_of_deck_e():  # row 15: 0.51, 1.61, 2.3, 0.36
    p = np.array([0.6, 0.2, 0.1, 0.7])
    terms = INTEGER(jnp.log(jnp.stack([1 - p, p], axis=-1)), np.ones(4, int))
    np.testing.assert_allclose(terms, [0.51, 1.61, 2.3, 0.36], atol=0.005)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_finite_at_large_logits(dtype, scale):
    logits = jnp.asarray([[scale, 0.0, -scale], [scale, scale, 0.0], [0.0, 0.0, scale]], dtype)
    labels = jnp.array([1, 2, 0])
    one_hot = jax.nn.one_hot(labels, 3, dtype=dtype)
    exact = np.asarray(logits, np.float64)
    exact -= exact.max(-1, keepdims=True)
    log_softmax = exact - np.log(np.exp(exact).sum(-1, keepdims=True))
    for loss in (lambda x: INTEGER(x, labels), lambda x: PROBABILITIES(x, one_hot)):
        value, vjp = jax.vjp(loss, logits)
        assert value.dtype == dtype
        np.testing.assert_allclose(
            np.float64(value), -log_softmax[range(3), labels], rtol=float(jnp.finfo(dtype).eps)
        )
        (gradient,) = vjp(jnp.ones(3, dtype))
        np.testing.assert_allclose(
            np.float64(gradient), np.exp(log_softmax) - np.eye(3)[labels], atol=1e-3
        )


def test_a_small_loss_beside_a_large_logit_keeps_its_digits():
    logits = jnp.array([1e4, 1e4 - 8])
    assert float(INTEGER(logits, 0)) == pytest.approx(np.log1p(np.exp(-8.0)), rel=1e-3)


@pytest.mark.parametrize("loss", [INTEGER, PROBABILITIES])
def test_half_precision_is_float32_rounded_once(loss):
    rng = np.random.default_rng(0)
    logits = jnp.asarray(3 * rng.normal(size=(200, 100)), jnp.bfloat16)
    labels = rng.integers(0, 100, 200)
    labels = labels if loss is INTEGER else jax.nn.one_hot(labels, 100, dtype=jnp.bfloat16)
    expected = loss(logits.astype(jnp.float32), labels).astype(jnp.bfloat16)
    np.testing.assert_array_equal(loss(logits, labels), expected)


def test_a_float16_square_may_exceed_float16():
    x = jnp.zeros((1000, 1), jnp.float16)
    loss = losses.quadratic(x, x + 300)  # 300² is inf in float16
    assert loss.dtype == jnp.float16
    assert float(loss) == jnp.float16(45_000)


def test_the_dtype_is_that_of_jax_promotion():
    logits = jnp.ones((2, 3), jnp.bfloat16)
    assert PROBABILITIES(logits, jnp.ones((2, 3))).dtype == jnp.float32
    assert PROBABILITIES(logits, jnp.ones((2, 3), int)).dtype == jnp.bfloat16
    assert PROBABILITIES(logits, jnp.ones((2, 3), bool)).dtype == jnp.bfloat16


def test_a_masked_class_of_minus_infinity():
    logits = jnp.array([[1.0, -jnp.inf, 2.0]])
    np.testing.assert_allclose(INTEGER(logits, jnp.array([0])), np.log1p(np.e), rtol=1e-6)
    gradient = jax.grad(lambda x: INTEGER(x, jnp.array([0])).sum())(logits)
    np.testing.assert_allclose(gradient[0, 1:], [0.0, 1 / (1 + np.exp(-1))], rtol=1e-6)
    assert INTEGER(logits, jnp.array([1])) == jnp.inf


def test_jit_vmap_forward_mode_and_the_hessian():
    rng = np.random.default_rng(0)
    logits, labels = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32), jnp.arange(6) % 4
    one_hot = jax.nn.one_hot(labels, 4)
    cases = ((INTEGER, labels), (PROBABILITIES, one_hot), (losses.squared_error, one_hot))

    @jax.jit
    def everything(logits, *ys):
        found = []
        for (loss, _), y in zip(cases, ys, strict=True):
            by_columns = jax.vmap(loss, in_axes=(1, 1 if y.ndim > 1 else 0))
            values = loss(logits, y), jax.vmap(loss)(logits, y), by_columns(logits.T, y.T)
            found.append((values, jax.jacfwd(loss)(logits, y), jax.jacrev(loss)(logits, y)))
        hessians = [
            jax.hessian(loss)(logits[0], y[0])
            for (loss, _), y in zip(cases[:2], ys[:2], strict=True)
        ]
        return found, hessians

    found, hessians = everything(logits, *(y for _, y in cases))
    for (loss, y), (values, forward, reverse) in zip(cases, found, strict=True):
        for value in values:
            np.testing.assert_allclose(value, loss(logits, y), rtol=1e-6)
        np.testing.assert_allclose(forward, reverse, atol=1e-6)
    p = jax.nn.softmax(logits[0])
    for hessian in hessians:
        np.testing.assert_allclose(hessian, np.diag(p) - np.outer(p, p), atol=1e-6)


# the gradient step of optax's own loss is the price to meet, by XLA's own counts


def equations(jaxpr):
    inner = [p.jaxpr for e in jaxpr.eqns for p in e.params.values() if hasattr(p, "jaxpr")]
    return len(jaxpr.eqns) + sum(equations(jaxpr) for jaxpr in inner)


@pytest.mark.parametrize("batch", [32, 4096])
@pytest.mark.parametrize("transform", [jax.grad, jax.value_and_grad])
@pytest.mark.parametrize("name", [INTEGER.__name__, PROBABILITIES.__name__])
def test_costs_no_more_than_optax(name, transform, batch, as_for_users):
    integer = name == INTEGER.__name__
    logits = jax.ShapeDtypeStruct((batch, 10), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32) if integer else logits
    costs = []
    for loss in (getattr(losses, name), getattr(optax, name)):
        step = transform(lambda logits, labels, loss=loss: loss(logits, labels).mean())
        compiled = jax.jit(step).lower(logits, labels).compile(as_for_users)
        temporary = compiled.memory_analysis().temp_size_in_bytes
        size = equations(jax.make_jaxpr(step)(logits, labels).jaxpr)
        costs.append((compiled.cost_analysis()["flops"], temporary, size))
    ours, theirs = costs
    assert all(a <= b for a, b in zip(ours, theirs, strict=True)), costs


# labels


LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)


@pytest.mark.parametrize("wrap", [jnp.asarray, np.asarray, list])
@pytest.mark.parametrize("bad", [-1, 3, 2**30, -(2**31)])
def test_labels_outside_the_range_raise_where_they_are_seen(wrap, bad):
    labels = wrap([0, 2, bad, 1, bad])
    message = re.escape(f"labels[2] is {bad}, expected 0..2 for 3 classes (2 of 5 labels are out")
    constant = jax.jit(lambda x: INTEGER(x, labels))
    gradient = jax.grad(lambda x: INTEGER(x, labels).sum())
    by_argument = jax.grad(lambda x, y: INTEGER(x, y).sum())
    for run in (lambda x: INTEGER(x, labels), constant, gradient):
        with pytest.raises(ValueError, match=message):
            run(LOGITS)
    if not isinstance(labels, list):
        with pytest.raises(ValueError, match=message):
            by_argument(LOGITS, labels)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32])
def test_labels_outside_the_range_are_nan_where_they_are_traced(dtype):
    bad = [-1, -3, 3, 100] if np.iinfo(dtype).min else [255, 3, 100, np.iinfo(dtype).max]
    labels = np.array([0, *bad], dtype)
    right = np.array([0, 1, 2, 0, 1], dtype)

    def loss(logits, labels):
        return INTEGER(logits, labels).sum()

    for run in (jax.jit(INTEGER), jax.vmap(INTEGER)):
        np.testing.assert_array_equal(np.isnan(run(LOGITS, labels)), [False] + [True] * 4)
        np.testing.assert_allclose(run(LOGITS, right), INTEGER(LOGITS, right), rtol=1e-5)
    gradient = jax.jit(jax.grad(loss))(LOGITS, labels)
    assert np.isnan(gradient[1:]).all()
    expected = jax.nn.softmax(LOGITS[0]) - jnp.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-5)


@pytest.mark.parametrize("classes", [3, 100, 200, 300, 70_000])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32])
def test_small_label_dtypes_do_not_wrap_around(dtype, classes):
    limits = np.iinfo(dtype)
    labels = np.array([0, min(classes - 1, limits.max), limits.max, limits.min], dtype)
    logits = jnp.broadcast_to(jnp.linspace(0.0, 5.0, classes), (4, classes))
    exact = np.log(np.exp(np.float64(logits[0])).sum()) - np.float64(logits[0])
    expected = [exact[y] if 0 <= y < classes else np.nan for y in labels.tolist()]
    np.testing.assert_allclose(jax.jit(INTEGER)(logits, labels), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, bool])
def test_labels_that_are_no_integers(dtype):
    message = f"expected labels of an integer dtype (class numbers), got {jnp.dtype(dtype)} of sh"
    labels = jnp.ones(5, dtype)
    for run in (INTEGER, jax.jit(INTEGER), jax.vmap(INTEGER)):
        with pytest.raises(TypeError, match=re.escape(message)):
            run(LOGITS, labels)
    with pytest.raises(TypeError, match=r"labels\.astype\('int32'\); one-hot labels and prob"):
        losses.check_labels(np.ones(5), 3)


@pytest.mark.parametrize("shape", [(5, 1), (4,), (), (5, 3)])
def test_labels_of_the_wrong_shape(shape):
    message = f"expected labels of shape (5,), one for each row of logits (5, 3), got {shape}"
    labels = jnp.ones(shape, int)
    for run in (INTEGER, jax.jit(INTEGER)):
        with pytest.raises(ValueError, match=re.escape(message)):
            run(LOGITS, labels)


def test_an_empty_batch():
    assert INTEGER(LOGITS[:0], jnp.zeros(0, int)).shape == (0,)
    assert PROBABILITIES(LOGITS[:0], LOGITS[:0]).shape == (0,)
    losses.check_labels(np.zeros(0, int), 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0, 1], [2, 3]]), "labels[1, 1] is 3, expected 0..2 for 3 classes (1 of 4 labe"),
        (np.int32(7), "labels is 7, expected 0..2 for 3 classes (1 of 1 labels is outside)"),
        (np.array([0, 255], np.uint8), "labels[1] is 255"),
        (np.array([2**40]), f"labels[0] is {2**40}"),
        (jnp.array([0, -1]), "labels[1] is -1"),
    ],
)
def test_check_labels_names_the_first(labels, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        losses.check_labels(labels, 3)


def test_check_labels_accepts_the_whole_range():
    losses.check_labels(np.arange(256, dtype=np.uint8), 1000)
    losses.check_labels(np.arange(10), 10)


# other input


@pytest.mark.parametrize("loss", [INTEGER, PROBABILITIES])
def test_logits_that_are_no_scores(loss):
    with pytest.raises(
        TypeError, match=re.escape("expected logits of a floating dtype, got int32")
    ):
        loss(jnp.ones((5, 3), int), jnp.ones(5, int))
    for shape in [(), (5, 0)]:
        message = re.escape(f"expected logits of shape (..., classes), got {shape}")
        with pytest.raises(ValueError, match=message):
            loss(jnp.ones(shape), jnp.ones(shape[:-1], int))


def test_class_numbers_in_the_place_of_probabilities():
    logits = jnp.ones((3, 3))
    message = "got (3,): class numbers are for softmax_cross_entropy_with_integer_labels"
    with pytest.raises(ValueError, match=re.escape(message)):
        PROBABILITIES(logits, jnp.array([0, 1, 2]))
    with pytest.raises(ValueError, match=r"of the shape of logits, \(3, 3\), got \(1, 3\)$"):
        PROBABILITIES(logits, jnp.ones((1, 3)))


@pytest.mark.parametrize("loss", [losses.squared_error, losses.quadratic])
def test_predictions_and_targets(loss):
    message = "expected targets of the shape of predictions, (5, 1), got (5,)"
    with pytest.raises(ValueError, match=re.escape(message)):
        loss(jnp.ones((5, 1)), jnp.ones(5))
    with pytest.raises(TypeError, match="expected predictions of a floating dtype, got int32"):
        loss(jnp.ones(5, int), jnp.ones(5, int))
    np.testing.assert_array_equal(
        loss(jnp.ones(5), jnp.zeros(5, int)), loss(jnp.ones(5), jnp.zeros(5))
    )


@pytest.mark.parametrize("shape", [(), (0, 3)])
def test_quadratic_of_no_examples(shape):
    with pytest.raises(ValueError, match=re.escape(f"n ≥ 1 examples, (n, ...), got {shape}")):
        losses.quadratic(jnp.ones(shape), jnp.ones(shape))
