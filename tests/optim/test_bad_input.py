"""Bad input is refused where it comes in, by an error that says where and what."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import optim

PARAMS = {"dense": {"kernel": jnp.ones((3, 5)), "bias": jnp.zeros(5)}, "scale": jnp.ones(())}


def replaced(**dense):
    return PARAMS | {"dense": PARAMS["dense"] | dense}


class Pair(NamedTuple):
    first: jax.Array
    second: jax.Array


@pytest.fixture(params=["params", "state", "both"])
def update(request):
    """An update that can compare gradients with params, with its state, or with both; traced."""
    optimizer = optim.sgd(0.1) if request.param == "params" else optim.adam(0.1)

    def update(gradients, params=PARAMS):
        state = optimizer.init(params)
        passed = () if request.param == "state" else (params,)
        return jax.eval_shape(optimizer.update, gradients, state, *passed)

    return update


def test_shape(update):
    with pytest.raises(ValueError, match="do not match") as error:
        update(replaced(kernel=jnp.ones((3, 4))))
    message = str(error.value)
    assert "['dense']['kernel'] is float32[3,4] in the gradients and float32[3,5] in" in message


def test_shapes_that_would_broadcast(update):
    with pytest.raises(ValueError, match=r"\['scale'\] is float32\[2\] in the gradients and"):
        update(PARAMS | {"scale": jnp.ones(2)})


def test_dtype():
    optimizer = optim.adam(0.1)
    gradients = replaced(bias=jnp.zeros(5, jnp.bfloat16))
    with pytest.raises(ValueError, match=r"\['dense'\]\['bias'\] is bfloat16\[5\] in the .* and f"):
        optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)


def test_missing_leaf(update):
    with pytest.raises(ValueError, match=r"\['scale'\] is absent in the gradients and float32\[\]"):
        update({"dense": PARAMS["dense"]})


def test_none_for_a_leaf(update):
    with pytest.raises(ValueError, match=r"\['dense'\]\['bias'\] is absent in the gradients"):
        update(replaced(bias=None))


def test_additional_leaf(update):
    with pytest.raises(
        ValueError, match=r"\['dense'\]\['extra'\] is float32\[7\] .* and absent in"
    ):
        update(replaced(extra=jnp.ones(7)))


def test_array_for_a_tree(update):
    with pytest.raises(ValueError, match=r"leaf \(the root\) is float32\[3\] in the gradients"):
        update(jnp.ones(3))


def test_other_containers(update):
    with pytest.raises(ValueError, match=r"the containers are .*\[\*, \*\].* and .*\(\*, \*\)"):
        update([jnp.ones(2), jnp.ones(3)], params=(jnp.ones(2), jnp.ones(3)))


def test_named_tuple_for_a_tuple(update):
    with pytest.raises(ValueError, match="do not match"):
        update(Pair(jnp.ones(2), jnp.ones(3)), params=(jnp.ones(2), jnp.ones(3)))


@pytest.mark.parametrize("leaf", [np.arange(3), jnp.array([True]), "text", object(), None])
@pytest.mark.parametrize("optimizer", [optim.sgd(0.1), optim.adam(0.1)])
def test_params_that_cannot_be_trained(optimizer, leaf):
    params = replaced(kernel=leaf)
    if leaf is None:  # nothing to train is fine
        optimizer.init(params)
        return
    with pytest.raises(TypeError, match=r"leaf \['dense'\]\['kernel'\] of the params is "):
        optimizer.init(params)


def test_gradients_of_integers():
    """What jax.grad(..., allow_int=True) returns for them."""
    gradients = jax.grad(lambda n: 1.0 * n, allow_int=True)(3)
    optimizer = optim.sgd(0.1)
    with pytest.raises(
        TypeError, match=r"leaf \(the root\) of the gradients is float0\[\], expect"
    ):
        optimizer.update(gradients, optimizer.init(1.0))


def test_state_of_other_params():
    optimizer = optim.adam(0.1)
    state = optimizer.init({"w": jnp.ones(3)})
    with pytest.raises(
        ValueError, match=r"state's mu: leaf \['w'\] is float32\[2\] .*init\(params"
    ):
        optimizer.update({"w": jnp.ones(2)}, state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (optim.adam(0.1).init(PARAMS), "must be the SGDState .* got a AdamState"),
        (optax.sgd(0.1).init(PARAMS), "must be the SGDState .* got a tuple"),
        (PARAMS, "must be the SGDState .* got a dict"),
        (None, "must be the SGDState .* got a NoneType"),
    ],
)
def test_state_of_another_optimizer(state, message):
    with pytest.raises(TypeError, match=message):
        optim.sgd(0.1).update(PARAMS, state, PARAMS)


def test_state_of_sgd_with_other_options():
    def schedule(count):
        return 0.1

    with pytest.raises(ValueError, match="count is None, but this optimizer counts"):
        optim.sgd(schedule).update(PARAMS, optim.sgd(0.1).init(PARAMS))
    with pytest.raises(ValueError, match="count is 0, but this optimizer does not count"):
        optim.sgd(0.1).update(PARAMS, optim.sgd(schedule).init(PARAMS))
    with pytest.raises(ValueError, match="state's velocity"):
        optim.sgd(0.1, 0.9).update(PARAMS, optim.sgd(0.1).init(PARAMS))


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf, jnp.array(-1.0), np.float32(np.nan)])
@pytest.mark.parametrize("make", [optim.sgd, optim.adam])
def test_learning_rates_outside_the_range(make, wrong):
    with pytest.raises(ValueError, match=r"learning_rate must be finite and in \[0, inf\), got"):
        make(wrong)


@pytest.mark.parametrize("wrong", ["0.1", 0.1j, object(), [0.1]])
@pytest.mark.parametrize("make", [optim.sgd, optim.adam])
def test_learning_rates_that_are_not_numbers(make, wrong):
    with pytest.raises(TypeError, match="learning_rate must be a real number, got"):
        make(wrong)


def test_learning_rate_of_another_shape():
    with pytest.raises(ValueError, match=r"learning_rate must be a scalar, .* shape \(2,\)"):
        optim.sgd(jnp.ones(2))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1.0, ValueError, r"learning rate at count 0 must be finite and in \[0, inf\), got -1"),
        (np.nan, ValueError, "learning rate at count 0 .* got nan"),
        (jnp.ones(2), ValueError, r"schedule returned must be a scalar, got an array of shape"),
        ("fast", TypeError, "schedule returned must be a real number, got 'fast'"),
        (None, TypeError, "schedule returned must be a real number, got None"),
    ],
)
def test_schedules(value, error, message):
    with pytest.raises(error, match=message):
        optim.adam(lambda count: value).init(PARAMS)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("b1", -0.1),
        ("b1", 1.0),
        ("b1", jnp.array(1.5)),
        ("b2", 1.0),
        ("b2", np.nan),
        ("eps", -1e-8),
        ("eps_root", -1.0),
    ],
)
def test_numbers_of_adam(name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be finite and in .*, got"):
        optim.adam(0.1, **{name: wrong})


def test_numbers_of_sgd_and_scale():
    with pytest.raises(ValueError, match=r"momentum must be finite and in \[0, inf\), got -0.9"):
        optim.sgd(0.1, momentum=-0.9)
    with pytest.raises(ValueError, match="nesterov=True needs a momentum"):
        optim.sgd(0.1, nesterov=True)
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="step_size must be finite"):
            optim.scale(wrong)
    with pytest.raises(TypeError, match="step_size must be a real number, got None"):
        optim.scale(None)


@pytest.mark.parametrize(
    "optimizer",
    [optim.sgd(0.1, 0.9, accumulator_dtype="float32"), optim.adam(1, mu_dtype="float16")],
)
def test_real_accumulator_for_complex_params(optimizer):
    optimizer.init(PARAMS)
    with pytest.raises(
        TypeError, match=r"_dtype=float.. cannot hold the imaginary part of complex64"
    ):
        optimizer.init({"z": jnp.ones(2, jnp.complex64)})


def test_chain_of_something_else():
    with pytest.raises(TypeError, match=r"argument 1 of chain is 0\.1, not a transformation"):
        optim.chain(optim.sgd(0.1), 0.1)
    with pytest.raises(TypeError, match=r"argument 0 of chain .* not a transformation"):
        optim.chain([optim.sgd(0.1)])
    with pytest.raises(TypeError, match="argument 0 of chain is <function sgd"):
        optim.chain(optim.sgd)


def test_state_of_another_chain():
    two = optim.chain(optim.scale(1.0), optim.sgd(0.1))
    with pytest.raises(ValueError, match=r"expected a tuple of 2 states, .* got a tuple of 1"):
        two.update(PARAMS, optim.chain(optim.sgd(0.1)).init(PARAMS))
    with pytest.raises(ValueError, match=r"expected a tuple of 2 states, .* got a SGDState"):
        two.update(PARAMS, optim.sgd(0.1).init(PARAMS))


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        (
            replaced(kernel=jnp.ones((3, 1))),
            r"\['dense'\]\['kernel'\] is float32\[3,1\] in the upd",
        ),
        (replaced(kernel=None), r"\['dense'\]\['kernel'\] is absent in the updates"),
        (replaced(bias=jnp.ones(5, jnp.complex64)), r"\['bias'\] is real .* update is complex"),
        (replaced(bias="text"), r"\['dense'\]\['bias'\] is a str in the updates and float32\[5\]"),
    ],
)
def test_apply_updates(updates, message):
    with pytest.raises(ValueError, match=message):
        optim.apply_updates(PARAMS, updates)


def test_algorithm_that_forgets_a_slot():
    class State(NamedTuple):
        first: dict
        second: dict

    slots = {"first": jnp.zeros_like, "second": jnp.zeros_like}
    optimizer = optim.lift(lambda g, a, b: (g, a), State, slots=slots)
    with pytest.raises(ValueError, match="returned 2 values, expected the update and 2 slots"):
        optimizer.update(PARAMS, optimizer.init(PARAMS))
