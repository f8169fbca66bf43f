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


@pytest.mark.parametrize("wrong", ["0.1", 0.1j, object(), [0.1], None])
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.momentum(0.1, -0.5, "steps"), r"momentum must be .* got -0.5"),
        (
            lambda: optim.momentum(0.1, 0.5, "B"),
            "form must be 'gradients', 'steps' or 'increments'",
        ),
        (lambda: optim.nesterov(0.1, 0.5, "ahead"), "form must be 'shifted' or 'look-ahead', got"),
        (lambda: optim.nesterov(0.1, np.nan), "momentum must be finite"),
        (lambda: optim.adagrad(0.1, -1.0), "initial_accumulator_value must be .* got -1"),
        (lambda: optim.adagrad(0.1, eps=-1.0), "eps must be finite"),
        (lambda: optim.rmsprop(0.1, 1.0), r"decay must be .* \[0, 1\), got 1"),
        (lambda: optim.rmsprop(0.1, nesterov=True), "nesterov=True needs a momentum"),
        (lambda: optim.adadelta(0.1, 1.5), "rho must be .* got 1.5"),
        (lambda: optim.adamw(0.1, weight_decay=-0.1), "weight_decay must be .* got -0.1"),
        (lambda: optim.adamw(0.1, b1=1.0), "b1 must be finite"),
        (lambda: optim.amsgrad(0.1, b2=-0.5), "b2 must be finite"),
        (lambda: optim.lion(0.1, b2=1.0), "b2 must be finite"),
        (lambda: optim.lion(-0.1), "learning_rate must be finite"),
        (lambda: optim.lamb(0.1, eps=np.nan), "eps must be finite"),
        (lambda: optim.muon(0.1, beta=1.0), "beta must be finite"),
        (lambda: optim.muon(0.1, ns_steps=0), "ns_steps must be at least 1, got 0"),
        (lambda: optim.muon(0.1, (1.0, 2.0)), r"ns_coeffs must have shape .* got shape \(2,\)"),
        (lambda: optim.muon(0.1, [(1.0, 2.0, 3.0)]), r"n of at least ns_steps=5, got shape \(1, 3"),
        (lambda: optim.schedule_free(optim.sgd(0.1), 0.1, b1=0), "b1 must be above 0, got 0"),
        (lambda: optim.schedule_free(optim.sgd(0.1), -0.1), "learning_rate must be finite"),
        (lambda: optim.lookahead(optim.sgd(0.1), 0, 0.5), "sync_period must be at least 1, got 0"),
        (lambda: optim.lookahead(optim.sgd(0.1), 5, -0.5), "slow_step_size must be finite"),
        (
            lambda: optim.multi_steps(optim.sgd(0.1), 0),
            "every_k_schedule must be at least 1, got 0",
        ),
        (
            lambda: optim.skip_not_finite(optim.sgd(0.1), -1),
            "max_consecutive_errors must be at lea",
        ),
        (lambda: optim.ema(1.0), "decay must be finite"),
        (lambda: optim.params_ema(-0.1), "decay must be finite"),
        (lambda: optim.clip(-1.0), "max_delta must be finite"),
        (lambda: optim.clip_by_norm(np.inf), "max_norm must be finite"),
        (lambda: optim.clip_by_global_norm(np.nan), "max_norm must be finite"),
        (lambda: optim.add_decayed_weights(-1.0), "weight_decay must be finite"),
    ],
)
def test_numbers_of_the_others(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.adamw(0.1, weight_decay="much"), "weight_decay must be a real number"),
        (lambda: optim.multi_steps(optim.sgd(0.1), 2.5), "must be a whole number, got 2.5"),
        (lambda: optim.multi_steps(0.1, 2), "opt is 0.1, not a transformation"),
        (lambda: optim.lookahead(optim.sgd, 2, 0.5), "fast_optimizer is <function sgd .* not a t"),
        (lambda: optim.schedule_free(None, 0.1), "base_optimizer is None, not a transformation"),
        (lambda: optim.skip_not_finite("sgd", 1), "inner is 'sgd', not a transformation"),
        (lambda: optim.masked(None, True), "inner is None, not a transformation"),
        (lambda: optim.by_path({"**": 0.1}), r"the transformation of '\*\*' is 0.1, not a transf"),
    ],
)
def test_what_is_no_number_and_no_transformation(make, message):
    with pytest.raises(TypeError, match=message):
        make()


NEED_PARAMS = [
    optim.adamw(0.1),
    optim.lion(0.1),
    optim.lamb(0.1),
    optim.muon(0.1),
    optim.adadelta(0.1),
    optim.add_decayed_weights(0.1),
    optim.params_ema(0.9),
    optim.lookahead(optim.sgd(0.1), 2, 0.5),
    optim.schedule_free(optim.sgd(0.1), 0.1),
]


@pytest.mark.parametrize("optimizer", NEED_PARAMS)
def test_params_that_were_not_passed(optimizer):
    with pytest.raises(
        ValueError, match=r"needs the params.*call update\(gradients, state, params\)"
    ):
        optimizer.update(PARAMS, optimizer.init(PARAMS))


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (
            "**/weight",
            ValueError,
            r"no leaf matches '\*\*/weight': the paths are dense/bias, dense/",
        ),
        ({"dense": True}, ValueError, "but 'scale' is in the params and not in the mask"),
        (
            {"dense": {"kernel": True}, "scale": True},
            ValueError,
            "'dense/bias' is in the params and",
        ),
        ({"dense": True, "scale": {"x": True}}, ValueError, "but 'scale' is in the params and not"),
        (
            {"dense": 0, "scale": True},
            TypeError,
            "leaf 'dense/bias' of the mask is 0, expected True",
        ),
        (lambda params: params, TypeError, "leaf 'dense/bias' of the mask is .*, expected True or"),
    ],
)
def test_masks(mask, error, message):
    for optimizer in (optim.adamw(0.1, mask=mask), optim.masked(optim.sgd(0.1), mask)):
        with pytest.raises(error, match=message):
            optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)


def test_labels_and_patterns():
    with pytest.raises(ValueError, match="leaf 'scale' has the label 'b', expected one of 'a'"):
        optim.partition({"a": optim.sgd(0.1)}, {"dense": "a", "scale": "b"}).init(PARAMS)
    with pytest.raises(ValueError, match=r"labels must be .* 'scale' is in the params and not in"):
        optim.partition({"a": optim.sgd(0.1)}, {"dense": "a"}).init(PARAMS)
    with pytest.raises(ValueError, match=r"no pattern matches 'scale': add a last one, '\*\*'"):
        optim.by_path({"dense/*": optim.sgd(0.1)}).init(PARAMS)
    with pytest.raises(ValueError, match="no leaf matches 'conv/kernel': the paths are dense/bias"):
        optim.by_path({"conv/kernel": optim.sgd(0.1), "**": optim.sgd(0.1)}).init(PARAMS)


OTHER_PARAMS = {"dense": {"kernel": jnp.ones((3, 4)), "bias": jnp.zeros(5)}, "scale": jnp.ones(())}


@pytest.mark.parametrize(
    "optimizer",
    [
        optim.adagrad(0.1),
        optim.amsgrad(0.1),
        optim.adamw(0.1),
        optim.lion(0.1),
        optim.muon(0.1),
        optim.multi_steps(optim.sgd(0.1), 2),
        optim.lookahead(optim.sgd(0.1), 2, 0.5),
        optim.schedule_free(optim.sgd(0.1), 0.1),
        optim.skip_not_finite(optim.adam(0.1), 2),
        optim.params_ema(0.9),
        optim.by_path({"dense/*": optim.adam(0.1), "**": optim.sgd(0.1)}),
    ],
)
def test_state_of_another_model(optimizer):
    with pytest.raises(
        ValueError, match=r"do not match .*leaf \['dense'\]\['kernel'\] is float32\["
    ):
        optimizer.update(PARAMS, optimizer.init(OTHER_PARAMS), PARAMS)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (optim.adamw(0.1), "AdamState"),
        (optim.lookahead(optim.sgd(0.1), 2, 0.5), "LookaheadState"),
        (optim.schedule_free(optim.sgd(0.1), 0.1), "ScheduleFreeState"),
        (optim.multi_steps(optim.sgd(0.1), 2), "MultiStepsState"),
        (optim.skip_not_finite(optim.sgd(0.1), 2), "SkipNotFiniteState"),
        (optim.masked(optim.sgd(0.1), True), "MaskedState"),
        (optim.partition({"a": optim.sgd(0.1)}, "a"), "PartitionState"),
        (optim.clip_by_global_norm(1.0), "EmptyState"),
    ],
)
def test_state_of_another_kind_of_optimizer(optimizer, expected):
    with pytest.raises(TypeError, match=f"must be the {expected} .* got a SGDState"):
        optimizer.update(PARAMS, optim.sgd(0.1).init(PARAMS), PARAMS)


def test_state_of_other_groups():
    state = optim.partition({"a": optim.sgd(0.1)}, "a").init(PARAMS)
    with pytest.raises(ValueError, match="state is that of groups 'a', expected 'b'"):
        optim.partition({"b": optim.sgd(0.1)}, "b").update(PARAMS, state, PARAMS)


def test_schedule_free_eval_params():
    state = optim.schedule_free(optim.sgd(0.1), 0.1).init(OTHER_PARAMS)
    with pytest.raises(ValueError, match=r"state's z: leaf \['dense'\]\['kernel'\]"):
        optim.schedule_free_eval_params(state, PARAMS)
    with pytest.raises(TypeError, match="must be the ScheduleFreeState"):
        optim.schedule_free_eval_params(optim.sgd(0.1).init(PARAMS), PARAMS)


def test_look_ahead_with_the_velocity_of_other_params():
    with pytest.raises(ValueError, match=r"\['dense'\]\['kernel'\] is float32\[3,4\] in the veloc"):
        optim.look_ahead(PARAMS, OTHER_PARAMS, 0.9)


def test_clip_of_complex_numbers():
    z = {"z": jnp.ones(2, jnp.complex64)}
    with pytest.raises(
        TypeError, match="cannot order complex64 updates: take clip_by_norm"
    ) as error:
        optim.clip(1.0).update(z, optim.EmptyState())
    assert error.value.__notes__ == ["in the update of leaf ['z']"]


def test_muon_of_a_vector():
    params = {"v": jnp.ones(3)}
    optimizer = optim.muon(0.1, matrices="v")
    with pytest.raises(ValueError, match=r"two axes or more, got shape \(3,\)") as error:
        optimizer.update(params, optimizer.init(params), params)
    assert error.value.__notes__ == ["in the update of leaf ['v']"]


def test_decay_by_a_schedule_that_returns_no_number():
    optimizer = optim.adamw(0.1, weight_decay=lambda count: jnp.ones(2))
    with pytest.raises(ValueError, match="weight decay's schedule returned must be a scalar"):
        optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)
