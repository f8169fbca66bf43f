"""Rules to shardings: what is cut how, what the optimizer keeps goes along, and clear errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from funcnn import nn, optim, train
from funcnn.train.partition import batch_parts, check_mesh, put, whole

DATA = jax.make_mesh((8,), ("data",))
TWO = jax.make_mesh((4, 2), ("data", "model"))
MODEL = nn.serial(nn.dense(16), nn.batch_norm(), nn.dense(10))


def state_of(optimizer, model=MODEL):
    x = jax.ShapeDtypeStruct((4, 6), jnp.float32)
    return jax.eval_shape(lambda: train.init(jax.random.key(0), model, optimizer, x))


def specs(tree):
    return jax.tree.map(lambda sharding: tuple(sharding.spec), tree)


RULES = train.Partition(
    (
        ("2/kernel", P("model")),
        ("0/kernel", P(None, ("data", "model"))),
        ("**/kernel", P("data")),  # neither: the first rule counts
        ("*/bias", lambda leaf: P("model") if leaf.size == 10 else P()),
    )
)
PLACED = (
    {"kernel": (None, ("data", "model")), "bias": ()},
    {"scale": (), "bias": ()},
    {"kernel": ("model",), "bias": ("model",)},
)


def test_the_first_rule_that_matches_places_a_parameter():
    assert specs(train.state_sharding(TWO, RULES, state_of(optim.sgd(0.1))).params) == PLACED


@pytest.mark.parametrize(
    ("optimizer", "moments"),
    [
        (optim.momentum(0.1), 1),
        (optim.adam(0.1), 2),
        (optax.adamw(0.1), 2),
        (optim.chain(optim.clip_by_global_norm(1.0), optax.adam(optax.constant_schedule(0.1))), 2),
        (optax.MultiSteps(optax.adam(0.1), 2), 3),
    ],
)
def test_what_the_optimizer_keeps_of_a_parameter_lies_with_it(optimizer, moments):
    """In each tree of moments as in the parameters; counters and the rest are whole."""
    state = state_of(optimizer)
    placed = train.state_sharding(TWO, RULES, state)
    is_moment = lambda tree: jax.tree.structure(tree) == jax.tree.structure(state.params)
    trees, structure = jax.tree.flatten(state.opt_state, is_leaf=is_moment)
    found, rest = [], [placed.state, placed.key, placed.step]
    for tree, sharding in zip(trees, structure.flatten_up_to(placed.opt_state), strict=True):
        (found if is_moment(tree) else rest).append(sharding)
    assert list(map(specs, found)) == [PLACED] * moments
    assert all(sharding.is_fully_replicated for sharding in jax.tree.leaves(rest))


def test_parameters_of_which_an_optimizer_keeps_only_some():
    """optax replaces the others in its state, so that the state's structure is another."""
    optimizer = optax.masked(optax.trace(0.9), {"kernel": True, "bias": False})
    state = state_of(optimizer, nn.dense(8))
    rules = train.Partition((("kernel", P("model")), ("bias", P("model"))))
    placed = train.state_sharding(TWO, rules, state)
    assert specs(placed.opt_state.inner_state.trace["kernel"]) == ("model",)


def test_params_that_are_one_array():
    w = jnp.ones((8, 2))
    optimizer = optax.adam(0.1)
    state = train.TrainState(w, (), optimizer.init(w), jax.random.key(0), jnp.int32(0))
    placed = train.state_sharding(DATA, train.fully_sharded(DATA), state)
    assert specs((placed.params, placed.opt_state[0].mu, placed.opt_state[0].count)) == (
        ("data",),
        ("data",),
        (),
    )


def test_statistics_of_another_shape_are_whole():
    """Adafactor's are rows and columns of the parameter's."""
    state = state_of(optax.adafactor(0.1, min_dim_size_to_factor=4), nn.dense(8))
    rules = train.Partition((("kernel", P(None, "model")),))
    placed = train.state_sharding(TWO, rules, state)
    assert [tuple(s.spec) for s in jax.tree.leaves(placed.params)] == [(), (None, "model")]
    shapes = jax.tree.leaves(state.opt_state)
    for leaf, sharding in zip(shapes, jax.tree.leaves(placed.opt_state), strict=True):
        assert tuple(sharding.spec) == ((None, "model") if leaf.shape == (6, 8) else ())


def test_fully_sharded_cuts_the_longest_axis_that_can_be():
    placed = train.state_sharding(DATA, train.fully_sharded(DATA), state_of(optim.sgd(0.1)))
    assert specs(placed.params) == (
        {"kernel": (None, "data"), "bias": ("data",)},
        {"scale": ("data",), "bias": ("data",)},
        {"kernel": ("data",), "bias": ()},  # (16, 10): 8 does not divide 10
    )
    _, spec = train.fully_sharded(TWO, "model").params[0]
    assert tuple(spec(jnp.ones((3, 4, 6)))) == (None, None, "model")
    assert tuple(spec(jnp.ones((0, 3)))) == ()


def test_axes_of_any_type_become_automatic():
    for kind in AxisType.Auto, AxisType.Explicit:
        mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
        of_batch = train.batch_sharding(mesh, train.Partition())
        assert of_batch.mesh.axis_types == whole(mesh).mesh.axis_types == (AxisType.Auto,)


def test_a_batch_is_cut_over_the_first_axis_or_as_told():
    told = train.Partition(batch=P(("data", "model")))
    for partition, spec, parts in (train.Partition(), ("data",), 4), (told, tuple(told.batch), 8):
        sharding = train.batch_sharding(TWO, partition)
        assert (tuple(sharding.spec), batch_parts(sharding)) == (spec, parts)
    across = train.Partition(batch=P(None, "model"))
    assert batch_parts(train.batch_sharding(TWO, across)) == 1


def test_put_batch_divides_what_can_be_divided():
    sharding = train.batch_sharding(DATA, train.Partition())
    x = np.arange(48.0, dtype=np.float32).reshape(16, 3)
    batch = train.put_batch({"x": x, "y": np.arange(16)}, sharding)
    assert [part.data.shape for part in batch["x"].addressable_shards] == [(2, 3)] * 8
    np.testing.assert_array_equal(batch["x"], x)
    rest = train.put_batch({"x": x[:9], "y": np.arange(9)}, sharding)
    assert rest["x"].sharding.is_fully_replicated
    np.testing.assert_array_equal(rest["x"], x[:9])


def test_put_takes_a_state_there_and_elsewhere():
    kernel = np.arange(160.0, dtype=np.float32).reshape(16, 10)
    state = train.TrainState({"kernel": kernel}, (), (), jax.random.key(3), np.int32(7))
    placed = put(state, train.state_sharding(DATA, train.fully_sharded(DATA), state))
    assert [part.data.shape for part in placed.params["kernel"].addressable_shards] == [(2, 10)] * 8
    again = put(placed, whole(DATA))
    for found in placed, again:
        np.testing.assert_array_equal(found.params["kernel"], kernel)
        np.testing.assert_array_equal(jax.random.key_data(found.key), [0, 3])
        assert found.step == 7
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(again))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (("4/kernel", P()), "no leaf matches '4/kernel': the paths are 0/bias, 0/kernel"),
        (
            ("0/kernel", P("rows")),
            "the rule '0/kernel' names the mesh axis 'rows', the mesh has data, model",
        ),
        (("0/kernel", P("data", "data")), "cuts two axes over the one mesh axis 'data'"),
        (
            ("2/bias", P("model", None)),
            "gives 2/bias of shape (10,) the spec ('model', None), which has entries for 2 axes",
        ),
        (
            ("**/kernel", P("data")),
            "gives 0/kernel of shape (6, 16) the spec ('data',), and the mesh "
            "{'data': 4, 'model': 2} would cut axis 0 into 4 parts, which do not divide 6",
        ),
        (("2/kernel", lambda leaf: "model"), "expected a PartitionSpec, got 'model'"),
    ],
)
def test_rules_that_cannot_be_followed(rule, message):
    state = state_of(optim.sgd(0.1))
    with pytest.raises((ValueError, TypeError)) as error:
        train.state_sharding(TWO, train.Partition((rule,)), state)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("mesh", "partition", "batch_size", "message"),
    [
        ("eight", train.Partition(), 8, "mesh must be a jax.sharding.Mesh, as from jax.make_mesh"),
        (TWO, (("**", P()),), 8, "partition must be a train.Partition, got"),
        (TWO, train.Partition(("**", P())), 8, "a rule for parameters must be (pattern, Part"),
        (TWO, train.Partition((("**", P("rows")),)), 8, "the rule '**' names the mesh axis 'rows'"),
        (TWO, train.Partition(batch=P("rows")), 8, "partition.batch names the mesh axis 'rows'"),
        (TWO, train.Partition(), 30, "30 is not a multiple of 4"),
        (DATA, train.Partition(), 30, "take 24 or 32"),
        (DATA, train.Partition(), 3, "take 8 or 16"),
    ],
)
def test_meshes_that_do_not_fit(mesh, partition, batch_size, message):
    with pytest.raises((ValueError, TypeError)) as error:
        check_mesh(mesh, partition, batch_size)
    assert message in str(error.value)


def test_meshes_that_fit():
    check_mesh(TWO, RULES, 12)
    check_mesh(DATA, train.Partition(), None)
    with pytest.raises(ValueError, match="axis names the mesh axis 'model', the mesh has data"):
        train.fully_sharded(DATA, "model")
