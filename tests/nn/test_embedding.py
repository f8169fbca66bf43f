"""nn.embedding and nn.functional.embedding."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import funcnn
from funcnn import nn
from funcnn.testing import check_grads

from .against import KEY, x_of

LAYER = nn.embedding(7, 3)
TABLE = x_of(7, 3)


def test_embedding_is_that_of_flax():
    ids = jnp.array([[0, 6, 2], [2, 2, 5]])
    upstream = x_of(2, 3, 3)

    def theirs(table):
        module = nnx.Embed(7, 3, rngs=nnx.Rngs(0))
        module.embedding = nnx.Param(table)
        return module(ids)

    ours = lambda table: LAYER({"embedding": table}, ids)
    np.testing.assert_array_equal(ours(TABLE), theirs(TABLE))
    [expected] = jax.vjp(theirs, TABLE)[1](upstream)
    for vjp in (funcnn.vjp, jax.vjp):
        [gradient] = vjp(ours, TABLE)[1](upstream)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6)
    check_grads(ours, (TABLE,))


@pytest.mark.parametrize("shape", [(), (0,), (2, 3, 1)])
def test_ids_of_any_shape(shape):
    ids = np.random.default_rng(0).integers(7, size=shape)
    for dtype in (np.uint8, np.int32, np.int64):
        y = LAYER({"embedding": TABLE}, ids.astype(dtype))
        np.testing.assert_array_equal(y, np.asarray(TABLE)[ids])
    assert nn.functional.embedding(ids, TABLE.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_the_table_is_that_of_flax():
    layer = nn.embedding(1000, 16)
    params, state = layer.init(KEY, jax.ShapeDtypeStruct((5,), jnp.int32))
    assert jax.tree.map(jnp.shape, params) == {"embedding": (1000, 16)}
    table = np.asarray(params["embedding"])
    theirs = nnx.nn.linear.default_embed_init(KEY, (1000, 16), jnp.float32)
    np.testing.assert_array_equal(table, theirs)
    assert table.std() == pytest.approx(16**-0.5, rel=0.02)
    assert state == ()
    assert not layer.uses_key
    assert repr(layer) == "embedding(1000, 16)"
    halves = nn.embedding(5, 2, dtype=jnp.bfloat16, embedding_init=nn.initializers.ones)
    params, _ = halves.init(KEY, jnp.array([0]))
    np.testing.assert_array_equal(params["embedding"], jnp.ones((5, 2), jnp.bfloat16))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[0, 1], [2, 7]], "ids[1, 1] is 7, expected 0..6 for 7 rows (1 of 4 ids are outside)"),
        ([-1, 9], "ids[0] is -1, expected 0..6 for 7 rows (2 of 2 ids are outside)"),
        (7, "ids is 7, expected 0..6"),
    ],
)
def test_ids_outside_the_table(ids, message):
    with pytest.raises(ValueError, match=re.escape(f"embedding: {message}")):
        LAYER({"embedding": TABLE}, jnp.array(ids))


def test_traced_ids_outside_the_table_are_nan():
    @jax.jit
    def run(table, ids):
        y, pull = funcnn.vjp(lambda table: nn.functional.embedding(ids, table), table)
        return y, pull(jnp.ones_like(y))[0]

    y, gradient = run(TABLE, jnp.array([-1, 3, 7]))
    assert np.isnan(y).all(1).tolist() == [True, False, True]
    np.testing.assert_array_equal(y[1], TABLE[3])
    np.testing.assert_array_equal(gradient, jnp.zeros((7, 3)).at[3].set(1))


def test_ids_that_are_no_integers():
    for run in (lambda x: LAYER.init(KEY, x), lambda x: LAYER({"embedding": TABLE}, x)):
        with pytest.raises(
            TypeError, match=r"expected ids of an integer dtype .* got float32 of sh"
        ):
            run(x_of(5))
    with pytest.raises(TypeError, match="expected an array of ids, got a list of 2"):
        LAYER({"embedding": TABLE}, [0, 1])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel": TABLE}, "expected params {'embedding'}, got {'kernel'}"),
        ({"embedding": TABLE.T}, "an embedding of shape (7, 3), got (3, 7): use the params"),
    ],
)
def test_params_of_another_model(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        LAYER(params, jnp.array([0]))


def test_wrong_sizes():
    with pytest.raises(ValueError, match="num_embeddings must be at least 1, got 0"):
        nn.embedding(0, 3)
    with pytest.raises(TypeError, match=re.escape("as in nn.embedding(128, 16), got None")):
        nn.embedding(7, None)
    with pytest.raises(ValueError, match=re.escape("table of shape (rows, features), got (7,)")):
        nn.functional.embedding(jnp.array([0]), TABLE[:, 0])
    with pytest.raises(TypeError, match="expected a key"):
        LAYER.init(0, jnp.array([0]))


def test_a_table_of_integers():
    """Their NaN would be some number."""
    with pytest.raises(TypeError, match="embedding: expected a table of a floating dtype, got int"):
        nn.functional.embedding(jnp.array([0]), jnp.ones((2, 3), int))
