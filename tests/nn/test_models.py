"""nn.models: what they are made of, and that they can be trained."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import losses, nn, optim, train

KEY = jax.random.key(0)
IMAGES = jax.ShapeDtypeStruct((4, 8, 8, 1), jnp.float32)
TOKENS = jax.ShapeDtypeStruct((4, 6), jnp.int32)
CLASS = jax.ShapeDtypeStruct((4,), jnp.int32)
softmax = losses.softmax_cross_entropy_with_integer_labels

CASES = {
    "linear": (nn.models.linear(3), IMAGES, jax.ShapeDtypeStruct((4, 3), jnp.float32)),
    "logistic_regression": (nn.models.logistic_regression(), IMAGES, CLASS),
    "softmax_regression": (nn.models.softmax_regression(3), IMAGES, CLASS),
    "mlp": (nn.models.mlp([5, 3]), IMAGES, CLASS),
    "small_cnn": (nn.models.small_cnn(3, (2, 3), 4), IMAGES, CLASS),
    "small_resnet": (nn.models.small_resnet(3, (2, 4), 1), IMAGES, CLASS),
    "rnn_classifier": (nn.models.rnn_classifier(7, 3, 4), (TOKENS, CLASS), CLASS),
    "transformer": (nn.models.transformer(7, 8, 2, 2, 0.1), TOKENS, TOKENS),
    "mixed precision": (nn.mixed_precision(nn.models.small_resnet(3, (2, 4), 1)), IMAGES, CLASS),
    "stochastic, repeated, recomputed": (
        nn.serial(
            nn.flatten,
            nn.repeat(nn.remat(nn.residual(nn.serial(nn.dense(64), nn.batch_norm()))), 2),
            nn.concatenate(nn.dropout(0.5), nn.stochastic_depth(0.5)),
            nn.dense(3),
        ),
        IMAGES,
        CLASS,
    ),
}
LOSSES = {
    "linear": losses.squared_error,
    "logistic_regression": losses.sigmoid_binary_cross_entropy,
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_of_training_gives_a_state_like_the_one_before(name):
    model, x, y = CASES[name]
    loss = train.supervised(model, LOSSES.get(name, softmax))
    optimizer = optim.adam(1e-3)
    before = jax.eval_shape(lambda key: train.init(key, model, optimizer, x), KEY)
    after, measured = jax.eval_shape(train.make_step(loss, optimizer), before, (x, y))
    chex.assert_trees_all_equal_structs(after, before)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, before)
    assert measured["loss"].shape == ()
    assert len(jax.tree.leaves(before.params)) > 1


def test_every_model_is_tried():
    functions = {name for name, thing in vars(nn.models).items() if callable(thing)}
    ours = {name for name in functions if vars(nn.models)[name].__module__ == "funcnn.nn.models"}
    assert {name for name in ours if not name.startswith("_")} <= set(CASES)


def test_an_rnn_classifier_learns_what_came_last():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 3, (64, 5)).astype(np.int32)
    lengths = rng.integers(1, 6, 64).astype(np.int32)
    y = tokens[np.arange(64), lengths - 1]
    model = nn.models.rnn_classifier(3, 3, 8, cell=nn.rnn)
    optimizer = optim.adam(0.05)
    state = train.init(KEY, model, optimizer, (tokens, lengths))
    loss = train.supervised(model, softmax)
    state, history = train.fit(
        loss, optimizer, state, ((tokens, lengths), y), epochs=20, batch_size=32, progress=False
    )
    assert history["loss"][-1] < 0.1 < 0.9 < history["loss"][0]


def test_a_transformer_sees_no_later_symbol_and_ties_its_kernel():
    model = nn.models.transformer(7, features=8, num_heads=2, num_layers=1)
    x = jnp.array([[1, 2, 3, 4]])
    shapes, state = jax.eval_shape(model.init, KEY, x)
    assert shapes["logits"] == ()
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: np.float32(rng.normal(size=leaf.shape)), shapes)
    run = jax.jit(lambda x: model.apply(params, state, x)[0])
    logits, changed = run(x), run(x.at[0, 2].set(6))
    np.testing.assert_allclose(changed[:, :2], logits[:, :2], rtol=1e-4, atol=1e-6)
    assert jnp.abs(changed - logits)[:, 2:].max() > 1e-3


def test_logistic_regression_is_row_2():
    """Predict 1 where x1 + x2 >= 3."""
    params = ((), {"kernel": jnp.ones((2, 1)), "bias": jnp.array([-3.0])}, ())
    x = jnp.array([[1.0, 1.0], [1.0, 2.0], [2.0, 2.0]])
    z = nn.models.logistic_regression()(params, x)
    np.testing.assert_allclose(jax.nn.sigmoid(z), [0.268941, 0.5, 0.731059], rtol=1e-5)


def test_no_sizes():
    with pytest.raises(ValueError, match="mlp: expected at least one size, as in"):
        nn.models.mlp([])
