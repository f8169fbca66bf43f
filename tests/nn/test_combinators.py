"""serial, parallel, branch, concatenate, add, residual; and intermediates of them."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import nn
from funcnn.testing import check_grads

from .example_layers import noise, running_mean

KEY = jax.random.key(0)


def x_of(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def by_hand(params, x):
    """784-30-30-10 in deck notation, Z = X W + B."""
    z1 = x.reshape(len(x), -1) @ params[1]["kernel"] + params[1]["bias"]
    a1 = 1 / (1 + jnp.exp(-z1))
    z2 = a1 @ params[3]["kernel"] + params[3]["bias"]
    a2 = 1 / (1 + jnp.exp(-z2))
    return z1, a1, z2, a2, a2 @ params[5]["kernel"] + params[5]["bias"]


MLP = nn.serial(
    nn.flatten, nn.dense(30), jax.nn.sigmoid, nn.dense(30), jax.nn.sigmoid, nn.dense(10)
)


def test_a_multilayer_perceptron_is_the_formula():
    x = x_of(5, 28, 28)
    params, state = MLP.init(KEY, x)
    assert jax.tree.map(jnp.shape, params) == (
        (),
        {"kernel": (784, 30), "bias": (30,)},
        (),
        {"kernel": (30, 30), "bias": (30,)},
        (),
        {"kernel": (30, 10), "bias": (10,)},
    )
    assert state == ((), (), (), (), (), ())
    np.testing.assert_allclose(MLP(params, x), by_hand(params, x)[-1], rtol=1e-5, atol=1e-6)
    of_layers = lambda params: jnp.square(MLP(params, x)).sum()
    of_formula = lambda params: jnp.square(by_hand(params, x)[-1]).sum()
    gradients = jax.jit(lambda params: [jax.grad(loss)(params) for loss in (of_layers, of_formula)])
    gradient, expected = gradients(params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), gradient, expected
    )


def test_all_z_and_a_are_reachable():  # row 9
    x = x_of(5, 28, 28)
    params, _ = MLP.init(KEY, x)
    flat, *rest = nn.intermediates(MLP, params, x)
    np.testing.assert_array_equal(flat, x.reshape(5, 784))
    for ours, expected in zip(rest, by_hand(params, x), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rest[-1], MLP(params, x))


def test_intermediates_have_the_structure_of_params():
    model = nn.serial(nn.serial(z=nn.dense(3), a=jnp.tanh), running_mean(), nn.dense(2))
    x = x_of(5, 4)
    params, state = model.init(KEY, x)
    state[1]["mean"] += 1.0
    outputs = nn.intermediates(model, params, x, state)
    z = x @ params[0]["z"]["kernel"]
    np.testing.assert_allclose(outputs[0]["z"], z, rtol=1e-5)
    np.testing.assert_allclose(outputs[0]["a"], jnp.tanh(z), rtol=1e-5)
    np.testing.assert_allclose(outputs[1], jnp.tanh(z) - 1, rtol=1e-5)
    np.testing.assert_array_equal(outputs[2], model.apply(params, state, x)[0])
    dense = nn.dense(2)
    params, _ = dense.init(KEY, x)
    np.testing.assert_array_equal(nn.intermediates(dense, params, x), dense(params, x))


def test_layers_by_name():
    model = nn.serial(hidden=nn.dense(3), act=jnp.tanh, out=nn.dense(2))
    x = x_of(5, 4)
    params, state = model.init(KEY, x)
    assert list(params) == list(state) == ["hidden", "act", "out"]
    positional = nn.serial(nn.dense(3), jnp.tanh, nn.dense(2))
    np.testing.assert_array_equal(model(params, x), positional(tuple(params.values()), x))
    # a jitted update sorts the names of a dict: the layers keep their order
    params = jax.jit(lambda params: params)(params)
    assert list(params) == ["act", "hidden", "out"]
    np.testing.assert_array_equal(
        model(params, x), positional((params["hidden"], (), params["out"]), x)
    )
    assert repr(model) == "serial(hidden=dense(3), act=tanh, out=dense(2))"
    with pytest.raises(TypeError, match="either all by position or all by name"):
        nn.serial(nn.dense(3), out=nn.dense(2))


def test_serial_within_serial():
    inner = nn.serial(nn.dense(3), jnp.tanh)
    model = nn.serial(inner, nn.serial(), nn.dense(2))
    x = x_of(5, 4)
    params, state = model.init(KEY, x)
    assert state == (((), ()), (), ())
    expected = jnp.tanh(x @ params[0][0]["kernel"]) @ params[2]["kernel"]
    np.testing.assert_allclose(model(params, x), expected, rtol=1e-5)
    assert repr(model) == "serial(serial(dense(3), tanh), serial(), dense(2))"


def test_an_empty_batch_and_a_single_example():
    x = x_of(5, 28, 28)
    params, _ = MLP.init(KEY, x)
    assert MLP(params, x[:0]).shape == (0, 10)
    headless = nn.serial(*[layer for _, layer in MLP.layers[1:]])
    single = headless(params[1:], x[0].ravel())
    np.testing.assert_allclose(single, MLP(params, x)[0], rtol=1e-4, atol=1e-6)


def test_init_computes_nothing_but_parameters():
    seen = []

    def traced_only(x):
        seen.append(x.shape)
        assert isinstance(x, jax.core.Tracer)
        return x

    model = nn.serial(traced_only, nn.dense(3), traced_only, nn.serial(traced_only, nn.dense(2)))
    huge = jax.ShapeDtypeStruct((10**12, 4), jnp.float32)
    params, _ = model.init(KEY, huge)
    assert set(seen) == {(10**12, 4), (10**12, 3)}
    small, _ = model.init(KEY, np.ones((2, 4), np.float32))
    jax.tree.map(np.testing.assert_array_equal, params, small)


def test_every_layer_has_its_own_key():
    model = nn.serial(nn.dense(4), nn.dense(4), nn.serial(nn.dense(4), nn.dense(4)))
    params, _ = model.init(KEY, x_of(4))
    kernels = np.stack([leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2])
    assert len(np.unique(kernels)) == 4 * 16


def test_keys_reach_the_layers_that_use_them():
    model = nn.serial(noise(), jnp.tanh, nn.serial(nn.dense(3), noise()))
    x = x_of(5, 4)
    params, state = model.init(KEY, x)
    y, _ = model.apply(params, state, x, key=KEY, train=True)
    first = jax.random.normal(jax.random.fold_in(KEY, 0), (5, 4))
    last = jax.random.normal(jax.random.fold_in(jax.random.fold_in(KEY, 2), 1), (5, 3))
    expected = jnp.tanh(x + first) @ params[2][0]["kernel"] + last
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        model(params, x), jnp.tanh(x) @ params[2][0]["kernel"] + params[2][0]["bias"]
    )


def count(jaxpr, name):
    return sum(equation.primitive.name == name for equation in jaxpr.eqns)


def test_no_key_is_made_for_layers_that_use_none():
    x = x_of(5, 28, 28)
    params, state = MLP.init(KEY, x)

    def run(key, params, x):
        return MLP.apply(params, state, x, key=key, train=True)[0]

    assert count(jax.make_jaxpr(run)(KEY, params, x), "random_fold_in") == 0
    model = nn.serial(MLP, noise(), jnp.tanh)
    assert model.uses_key
    assert not MLP.uses_key

    def run_noisy(key, params, x):
        return model.apply((params, (), ()), (), x, key=key, train=True)[0]

    assert count(jax.make_jaxpr(run_noisy)(KEY, params, x), "random_fold_in") == 1


def test_state_comes_back_updated_in_the_same_structure():
    model = nn.serial(nn.dense(3), nn.serial(norm=running_mean(), act=jnp.tanh), running_mean())
    x = x_of(5, 4)
    params, state = model.init(KEY, x)
    z = x @ params[0]["kernel"]
    _, after = model.apply(params, state, x, train=True)
    np.testing.assert_allclose(after[1]["norm"]["mean"], 0.1 * z.mean(0), rtol=1e-5)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    _, same = model.apply(params, after, x)
    jax.tree.map(np.testing.assert_array_equal, same, after)

    def step(state, x):
        return model.apply(params, state, x, train=True)[::-1]

    scanned, _ = jax.lax.scan(step, state, jnp.stack([x, x]))
    _, twice = model.apply(params, after, x, train=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), scanned, twice)


def test_a_model_with_state_called_without():
    model = nn.serial(nn.dense(3), nn.serial(norm=running_mean()))
    params, _ = model.init(KEY, x_of(5, 4))
    message = "[1]['norm']: expected state {'mean'}, got (): use the state that this model's init"
    with pytest.raises(ValueError, match=re.escape(message)):
        model(params, x_of(5, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:-1], "expected params with one entry for each of 6 layers, got a tuple of 5"),
        (
            lambda p: (*p, ()),
            "expected params with one entry for each of 6 layers, got a tuple of 7",
        ),
        (lambda p: {"a": p}, "expected params with one entry for each of 6 layers, got {'a'}"),
        (lambda p: p[1:] + p[:1], "[0]: flatten is a plain function and has no params, got {"),
        (lambda p: (*p[:3], p[5], *p[4:]), "[3]: dense: expected a kernel of shape (in, 30), got"),
        (lambda p: (*p[:1], p[3], *p[2:]), "[1]: dense: expected x of shape (..., 30) to match"),
        (lambda p: None, "expected params with one entry for each of 6 layers, got None"),
    ],
)
def test_params_of_another_model(change, message):
    x = x_of(5, 28, 28)
    params, _ = MLP.init(KEY, x)
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        MLP(change(params), x)


def test_params_and_state_of_another_named_model():
    model = nn.serial(a=nn.dense(3), b=running_mean())
    params, state = model.init(KEY, x_of(5, 4))
    with pytest.raises(ValueError, match=re.escape("expected params {'a', 'b'}, got {'a'}")):
        model.apply({"a": params["a"]}, state, x_of(5, 4))
    with pytest.raises(ValueError, match=re.escape("expected state {'a', 'b'}, got {'b'}")):
        model.apply(params, {"b": state["b"]}, x_of(5, 4))


def test_params_in_lists_are_as_good_as_in_tuples():  # as some checkpoint formats return them
    x = x_of(5, 28, 28)
    params, state = MLP.init(KEY, x)
    y, _ = MLP.apply(list(params), list(state), x)
    np.testing.assert_array_equal(y, MLP(params, x))


@pytest.mark.parametrize("wrong", [30, None, "relu", int])
def test_an_entry_that_is_no_layer_is_named(wrong):
    with pytest.raises(TypeError, match=r"^\[1\]: expected a Layer or a function of one array"):
        nn.serial(nn.dense(3), wrong)
    with pytest.raises(TypeError, match=r"^\['act'\]: expected a Layer"):
        nn.serial(out=nn.dense(3), act=wrong)


@pytest.mark.parametrize("key", [0, None])
def test_init_without_a_key(key):
    with pytest.raises(TypeError, match=r"expected a key, as from jax\.random\.key"):
        MLP.init(key, x_of(5, 28, 28))


def made(model, x):
    """params and state of a model, compiled at once."""
    return jax.jit(lambda x: model.init(KEY, x))(x)


def trained(model, params, state, x):
    return model.apply(params, state, x, key=KEY, train=True)


def test_parallel_gives_each_layer_an_input_of_its_own():
    model = nn.parallel(nn.dense(3), jnp.tanh, nn.serial(running_mean(), noise()))
    x = x_of(5, 4), x_of(2), x_of(5, 2)
    params, state = made(model, x)
    outputs, after = trained(model, params, state, x)
    mean = 0.1 * x[2].mean(0)
    noise_key = jax.random.fold_in(jax.random.fold_in(KEY, 2), 1)
    last = x[2] - mean + jax.random.normal(noise_key, (5, 2))
    expected = x[0] @ params[0]["kernel"], jnp.tanh(x[1]), last
    chex.assert_trees_all_close(outputs, expected, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(after, ((), (), ({"mean": mean}, ())), rtol=1e-5)
    named = nn.parallel(a=nn.dense(3), b=jnp.tanh)
    y = named({"b": (), "a": params[0]}, {"b": x[1], "a": x[0]})
    chex.assert_trees_all_close(y, {"a": expected[0], "b": expected[1]}, rtol=1e-5)
    message = "parallel: expected x with one input for each of ['a', 'b'], got an array of shape"
    with pytest.raises(ValueError, match=re.escape(message)):
        named.init(KEY, x[0])
    message = "[0]: parallel: expected x with one input for each of [0, 1, 2], got a tuple of 2: fo"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        nn.serial(model).init(KEY, x[:2])


def test_branch_concatenate_and_add_give_all_the_same_input():
    x = x_of(5, 4)
    layers = {"a": nn.dense(3), "b": nn.serial(nn.dense(3), jnp.tanh)}
    params, state = made(nn.branch(**layers), x)
    a, b = x @ params["a"]["kernel"], jnp.tanh(x @ params["b"][0]["kernel"])
    outputs, after = nn.branch(**layers).apply(params, state, x)
    chex.assert_trees_all_close(outputs, {"a": a, "b": b}, rtol=1e-5)
    assert after == state == {"a": (), "b": ((), ())}
    positional = tuple(params.values())
    assert [y.shape for y in nn.branch(*layers.values())(positional, x)] == [(5, 3), (5, 3)]
    for axis in (-1, 0):
        y = nn.concatenate(*layers.values(), axis=axis)(positional, x)
        np.testing.assert_allclose(y, jnp.concatenate([a, b], axis), rtol=1e-5)
    np.testing.assert_allclose(nn.add(**layers)(params, x), a + b, rtol=1e-4, atol=1e-6)
    assert repr(nn.add(**layers)) == "add(a=dense(3), b=serial(dense(3), tanh))"


def test_residual_adds_x_or_its_projection():
    x = x_of(5, 4)
    model = nn.residual(nn.serial(nn.dense(4), running_mean(), noise()))
    params, state = made(model, x)
    y, after = trained(model, params, state, x)
    z = x @ params["layer"][0]["kernel"]
    noise_key = jax.random.fold_in(jax.random.fold_in(KEY, 0), 2)
    expected = x + z - 0.1 * z.mean(0) + jax.random.normal(noise_key, (5, 4))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    model = nn.residual(nn.dense(3), shortcut=nn.dense(3, use_bias=False))
    params, _ = made(model, x)
    kernel = params["layer"]["kernel"] + params["shortcut"]["kernel"]
    np.testing.assert_allclose(model(params, x), x @ kernel, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            nn.serial(nn.flatten, nn.residual(nn.dense(3))),
            "[1]: residual: expected outputs of the same shape, got layer (5, 3), shortcut (5, 4): "
            "make them equal by a shortcut that projects x, as in shortcut=nn.dense(8)",
        ),
        (
            nn.add(nn.dense(3), nn.dense(2)),
            "add: expected outputs of the same shape, got 0 (5, 3), 1 (5, 2)",
        ),
        (
            nn.concatenate(a=nn.dense(3), b=nn.flatten, axis=0),
            "concatenate: expected outputs of the same shape, got a (5, 3), b (5, 4)",
        ),
    ],
)
def test_outputs_that_do_not_match(model, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        model.init(KEY, x_of(5, 4))


@pytest.mark.parametrize("kind", [nn.parallel, nn.branch, nn.concatenate, nn.add])
def test_what_combinators_are_made_of(kind):
    with pytest.raises(
        TypeError, match=f"^{kind.__name__} takes its layers either all by position"
    ):
        kind(nn.dense(3), out=nn.dense(2))
    with pytest.raises(TypeError, match=r"^\[1\]: expected a Layer or a function of one array"):
        kind(nn.dense(3), 30)
    if kind is not nn.parallel:
        with pytest.raises(TypeError, match=f"^{kind.__name__} expects at least one layer"):
            kind()


def test_errors_name_the_branch():
    model = nn.serial(nn.residual(nn.branch(left=nn.dense(4))))
    params = ({"layer": {"left": {"kernel": jnp.ones((4, 4))}}, "shortcut": ()},)
    message = "[0]['layer']['left']: expected params {'kernel', 'bias'}, got {'kernel'}: use the"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        model(params, x_of(5, 4))


def test_intermediates_of_combinators():
    model = nn.serial(
        nn.residual(nn.dense(4)),
        nn.branch(a=nn.dense(3), b=nn.serial(nn.dense(2), jnp.tanh)),
        nn.parallel(a=jnp.tanh, b=running_mean()),
        nn.repeat(nn.parallel(a=nn.dense(3), b=jnp.tanh), 2),
        nn.remat(nn.mixed_precision(nn.parallel(a=jnp.sin, b=jnp.cos), output_dtype=None)),
    )
    x = x_of(5, 4)
    params, state = made(model, x)
    outputs = jax.jit(lambda params, x: nn.intermediates(model, params, x, state))(params, x)
    assert jax.tree.map(jnp.shape, outputs) == (
        {"layer": (5, 4), "shortcut": (5, 4)},
        {"a": (5, 3), "b": ((5, 2), (5, 2))},
        {"a": (5, 3), "b": (5, 2)},
        {"a": (2, 5, 3), "b": (2, 5, 2)},
        {"a": (5, 3), "b": (5, 2)},
    )
    h = x + outputs[0]["layer"]
    np.testing.assert_allclose(outputs[0]["layer"], x @ params[0]["layer"]["kernel"], rtol=1e-5)
    np.testing.assert_allclose(outputs[1]["a"], h @ params[1]["a"]["kernel"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs[3]["b"][1], jnp.tanh(outputs[3]["b"][0]), rtol=1e-5)
    last = outputs[3]["a"][0] @ params[3]["a"]["kernel"][1]
    np.testing.assert_allclose(outputs[3]["a"][1], last, rtol=1e-4, atol=1e-6)
    assert outputs[4]["a"].dtype == jnp.bfloat16
    y, _ = model.apply(params, state, x)
    chex.assert_trees_all_close(outputs[4], y, rtol=1e-2)


def test_gradients_through_combinators():
    """By funcnn, by JAX and by differences: all of them in one model, with noise and state."""
    model = nn.serial(
        nn.branch(a=nn.dense(2), b=nn.serial(nn.dense(2), jnp.tanh)),
        nn.dag(("a", "b"), c=(jnp.multiply, "a", "b"), d=(nn.dense(2), "b"), y=(jnp.add, "c", "d")),
        nn.repeat(nn.remat(nn.residual(nn.serial(nn.dense(2), running_mean(), noise()))), 2),
        nn.add(nn.dense(2), jnp.tanh),
        nn.concatenate(nn.mixed_precision(nn.dense(2), jnp.float32), jnp.sin),
        nn.shared(0, lambda params, x: x[:, :2] @ params["a"]["kernel"].T),
    )
    x = x_of(3, 2)
    params, state = made(model, x)

    def loss(params, x):
        return jnp.square(trained(model, params, state, x)[0]).mean()

    check_grads(jax.jit(loss), (params, x))
