"""The deck's schedules, exactly; optax's, at every step; joined, warmed up, in epochs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcnn import optim

STEPS = np.arange(121)


def values(schedule, steps=STEPS):
    rates = schedule(jnp.asarray(steps))
    assert rates.dtype == jnp.float32
    return np.asarray(rates)


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        (
            optim.step_schedule(0.5),
            lambda t: 0.5 * 0.1 ** np.searchsorted([30, 60, 90], t, "right"),
        ),
        (optim.cosine_decay_schedule(0.5, 120), lambda t: 0.25 * (1 + np.cos(t * np.pi / 120))),
        (optim.linear_schedule(0.5, 0.0, 120), lambda t: 0.5 * (1 - t / 120)),
        (optim.inverse_sqrt_schedule(0.5), lambda t: 0.5 / np.sqrt(np.maximum(t, 1))),
        (optim.constant_schedule(0.5), lambda t: 0.5 + 0 * t),
    ],
    ids=["step", "cosine", "linear", "inverse square root", "constant"],
)
def test_deck_b(schedule, formula):
    """Row 36, with T = 120."""
    np.testing.assert_allclose(values(schedule), formula(STEPS), rtol=1e-6, atol=1e-7)


def test_deck_b_exactly():
    step = optim.step_schedule(0.5, (30, 60, 90), 0.5)
    exact = {0: 0.5, 29: 0.5, 30: 0.25, 59: 0.25, 60: 0.125, 89: 0.125, 90: 0.0625, 1000: 0.0625}
    assert {t: float(step(t)) for t in exact} == exact
    cosine = optim.cosine_decay_schedule(0.5, 100)
    assert [round(float(cosine(t)), 7) for t in (0, 50, 100, 101)] == [0.5, 0.25, 0.0, 0.0]
    linear = optim.linear_schedule(0.5, 0.0, 100)
    assert [float(linear(t)) for t in (0, 25, 50, 100, 101)] == [0.5, 0.375, 0.25, 0.0, 0.0]
    root = optim.inverse_sqrt_schedule(0.5)
    assert [float(root(t)) for t in (0, 1, 4, 16, 64)] == [0.5, 0.5, 0.25, 0.125, 0.0625]


SAME_AS_OPTAX = {
    "constant": lambda m: m.constant_schedule(0.3),
    "polynomial": lambda m: m.polynomial_schedule(1.0, 0.1, 2.5, 50, 20),
    "linear": lambda m: m.linear_schedule(0.1, 1.0, 50, 3),
    "piecewise": lambda m: m.piecewise_constant_schedule(0.5, {10: 0.5, 40: 3.0, 90: 0.0}),
    "piecewise, none": lambda m: m.piecewise_constant_schedule(0.5),
    "exponential": lambda m: m.exponential_decay(0.5, 10, 0.7, 5),
    "exponential, stairs": lambda m: m.exponential_decay(0.5, 10, 0.7, 5, True, 0.1),
    "exponential, growing": lambda m: m.exponential_decay(0.5, 10, 1.7, 0, False, 4.0),
    "cosine": lambda m: m.cosine_decay_schedule(0.5, 100, 0.1, 2.0),
    "warm-up, constant": lambda m: m.warmup_constant_schedule(0.1, 1.0, 30),
    "warm-up, cosine": lambda m: m.warmup_cosine_decay_schedule(0.1, 1.0, 30, 100, 0.2, 1.5),
    "no warm-up, cosine": lambda m: m.warmup_cosine_decay_schedule(0.1, 1.0, 0, 100),
    "warm-up, exponential": lambda m: m.warmup_exponential_decay_schedule(
        0.1, 1.0, 30, 10, 0.7, 4, True, 0.2
    ),
    "restarts": lambda m: m.sgdr_schedule(
        [
            {"init_value": 0.1, "peak_value": 1.0 / n, "warmup_steps": 5, "decay_steps": 20 * n}
            for n in (1, 2, 3)
        ]
    ),
    "one cycle, linear": lambda m: m.linear_onecycle_schedule(100, 1.0, 0.2, 0.7, 10.0, 100.0),
    "one cycle, cosine": lambda m: m.cosine_onecycle_schedule(100, 1.0),
    "interpolated": lambda m: m.piecewise_interpolate_schedule("cosine", 1.0, {30: 0.5, 60: 3.0}),
    "interpolated, none": lambda m: m.piecewise_interpolate_schedule("linear", 1.0),
    "joined": lambda m: m.join_schedules(
        [
            m.constant_schedule(1.0),
            m.linear_schedule(0.5, 0.1, 9),
            m.exponential_decay(1.0, 9, 0.5),
        ],
        [20, 50],
    ),
}


@pytest.mark.parametrize("name", SAME_AS_OPTAX)
def test_optax(name):
    ours, theirs = (SAME_AS_OPTAX[name](module) for module in (optim, optax))
    expected = np.array([theirs(t) for t in STEPS[::5]], np.float32)
    np.testing.assert_allclose(values(ours, STEPS[::5]), expected, rtol=2e-6, atol=1e-7)
    for t in (0, 30, 119):  # a number by itself, and an array of JAX
        assert float(ours(t)) == pytest.approx(float(theirs(t)), rel=2e-6, abs=1e-7)
        assert float(ours(jnp.int32(t))) == float(ours(np.int64(t))) == float(ours(t))


def test_warm_restarts():
    """Row 36's source: the cosine falls, and starts anew."""
    cycle = {"init_value": 1.0, "peak_value": 1.0, "warmup_steps": 0}
    rate = optim.sgdr_schedule([cycle | {"decay_steps": n} for n in (10, 20, 40)])
    seen = [round(float(rate(t)), 6) for t in (0, 5, 10, 20, 30, 50, 70)]
    assert seen == [1, 0.5, 1, 0.5, 1, 0.5, 0]
    falls = np.diff(values(rate, np.arange(71))) < 0
    assert np.flatnonzero(~falls).tolist() == [9, 29]


def test_warmup_inverse_sqrt_is_the_transformers():
    d, w, t = 512, 4000, np.arange(1, 20001, 7)
    rate = values(optim.warmup_inverse_sqrt_schedule(0.0, 1 / np.sqrt(d * w), w), t)
    np.testing.assert_allclose(rate, d**-0.5 * np.minimum(t**-0.5, t * w**-1.5), rtol=1e-4)


def test_in_epochs():
    rate = optim.in_epochs(optim.cosine_decay_schedule(1.0, 4), 10)
    steps = np.arange(50)
    expected = values(optim.cosine_decay_schedule(1.0, 4), np.minimum(steps // 10, 4))
    assert values(rate, steps).tolist() == expected.tolist()


def test_joined_with_optax_and_with_plain_functions():
    ours = optim.linear_schedule(0.0, 1.0, 5)
    for join in (optim.join_schedules, optax.join_schedules):
        rate = join([lambda count: 3.0, optax.constant_schedule(2.0), ours], [2, 4])
        steps = [jnp.int32(t) for t in (0, 1, 2, 3, 4, 5, 9)]
        np.testing.assert_allclose([rate(t) for t in steps], [3, 3, 2, 2, 0, 0.2, 1], rtol=1e-6)


def test_learning_rate_in_the_state_of_every_optimizer():
    """What a log shows: the rate of the latest step."""
    rate = optim.linear_schedule(1.0, 0.0, 4)
    makers = [
        *(optim.sgd, optim.momentum, optim.nesterov, optim.adagrad, optim.rmsprop, optim.adadelta),
        *(optim.adam, optim.adamw, optim.amsgrad, optim.nadam, optim.lion, optim.lamb),
    ]
    for make in makers:
        optimizer = make(rate)
        x = jnp.ones(2)
        state, seen = optimizer.init(x), []
        for _ in range(3):
            _, state = optimizer.update(x, state, x)
            seen.append(float(state.learning_rate))
        assert seen == [1.0, 0.75, 0.5], make
    groups = optim.muon(rate).init({"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}).inner_states
    assert [float(groups[name].learning_rate) for name in ("muon", "adam")] == [1.0, 1.0]


def test_inside_a_compiled_loop():
    rate = optim.warmup_cosine_decay_schedule(0.0, 1.0, 5, 20)
    _, rates = jax.lax.scan(lambda t, _: (t + 1, rate(t)), jnp.int32(0), length=25)
    np.testing.assert_allclose(rates, values(rate, np.arange(25)), rtol=1e-6, atol=1e-7)


def test_exact_at_the_end_and_at_the_stairs_where_compiled():
    """XLA divides by a constant as it multiplies by its reciprocal, off by a bit for these."""
    for steps in (3, 10, 41, 47, 100):
        root = optim.polynomial_schedule(1.0, 0.0, 0.5, steps)
        line = optim.linear_schedule(1.0, 0.25, steps, 2)
        stairs = optim.exponential_decay(1.0, steps, 0.5, 0, True)
        t = np.arange(4 * steps)
        for schedule, expected in (
            (root, np.maximum(1 - t / steps, 0) ** 0.5),
            (line, 1 - 0.75 * np.clip((t - 2) / steps, 0, 1)),
            (stairs, 0.5 ** (t // steps)),
        ):
            rates = np.asarray(jax.jit(schedule)(jnp.asarray(t)))
            np.testing.assert_allclose(rates, expected, rtol=1e-5)
            assert rates[-1] == expected[-1]


def test_traced_numbers():
    """Many schedules at once, as a search for the best takes them."""

    def rates(h):
        makers = (
            lambda: optim.exponential_decay(h, 3, h, end_value=0.1),
            lambda: optim.exponential_decay(1.0, 3, 1 / h, end_value=2.5),
            lambda: optim.cosine_onecycle_schedule(9, h, 0.3, 1 / h, 1 / h),
            lambda: optim.linear_onecycle_schedule(9, h, 0.3, 0.8, 1 / h, 1 / h),
        )
        return jnp.stack([make()(STEPS[:12]) for make in makers])

    together = jax.vmap(rates)(jnp.array([0.25, 0.5]))
    np.testing.assert_allclose(together, [rates(0.25), rates(0.5)], rtol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: optim.in_epochs(0.1, 100),
        lambda: optim.join_schedules([optim.constant_schedule(1.0), 0.1], [5]),
    ],
)
def test_a_number_in_the_place_of_a_schedule(make):
    with pytest.raises(TypeError, match=r"expected a schedule, such as .*, got 0\.1"):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: optim.linear_schedule(1.0, 0.0, -5),
            "transition_steps must be at least 1, got -5",
        ),
        (lambda: optim.linear_schedule(1.0, 0.0, 0), "transition_steps must be at least 1, got 0"),
        (lambda: optim.polynomial_schedule(1.0, 0.0, 2, 5, -1), "transition_begin must be at leas"),
        (
            lambda: optim.polynomial_schedule(1.0, 0.0, -2, 5),
            r"power must be .* \[0, inf\), got -2",
        ),
        (lambda: optim.cosine_decay_schedule(1.0, 0), "decay_steps must be at least 1, got 0"),
        (lambda: optim.cosine_decay_schedule(np.nan, 9), "init_value must be finite"),
        (lambda: optim.exponential_decay(1.0, -1, 0.5), "transition_steps must be at least 1"),
        (lambda: optim.exponential_decay(1.0, 5, 0.0), "decay_rate must be above 0, got 0"),
        (lambda: optim.exponential_decay(1.0, 5, 0.5, -1), "transition_begin must be at least 0"),
        (lambda: optim.step_schedule(1.0, [30, -1]), "a boundary must be at least 0, got -1"),
        (lambda: optim.step_schedule(1.0, [30], -0.1), "the scale at step 30 must be .* got -0.1"),
        (lambda: optim.warmup_constant_schedule(0.0, 1.0, -1), "warmup_steps must be at least 0"),
        (lambda: optim.warmup_cosine_decay_schedule(0.0, 1.0, 9, 9), "decay_steps must be .* 10"),
        (
            lambda: optim.warmup_inverse_sqrt_schedule(0.0, 1.0, 0),
            "warmup_steps must be at least 1",
        ),
        (lambda: optim.sgdr_schedule([]), "at least one cycle"),
        (lambda: optim.sgdr_schedule({"peak_value": 1.0}), "each the arguments of .* as a dict"),
        (lambda: optim.linear_onecycle_schedule(0, 1.0), "transition_steps must be at least 1"),
        (lambda: optim.cosine_onecycle_schedule(9, 1.0, 1.5), r"pct_start must be in \[0, 1\]"),
        (
            lambda: optim.linear_onecycle_schedule(9, 1.0, 0.5, 0.4),
            r"pct_final must be in \[0.5, 1",
        ),
        (lambda: optim.cosine_onecycle_schedule(9, 1.0, 0.5, 0.0), "div_factor must be above 0"),
        (lambda: optim.join_schedules([abs, abs], []), "between each two of 2 schedules, got 0"),
        (lambda: optim.join_schedules([abs, abs, abs], [5, 3]), r"must rise, got \[5, 3\]"),
        (lambda: optim.in_epochs(abs, 0), "steps_per_epoch must be at least 1"),
        (lambda: optim.constant_schedule(1.0)(-1), "begins at step 0, got step -1"),
        (
            lambda: optim.linear_schedule(1.0, 0.0, 5)(np.array([0, -2])),
            "begins at step 0, got step -2",
        ),
        (
            lambda: optim.piecewise_interpolate_schedule("cubic", 1.0),
            "'linear' or 'cosine', got 'cubi",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("wrong", [2.5, "10", None, True, jnp.array(2.0)])
def test_steps_that_are_no_whole_numbers(wrong):
    with pytest.raises(TypeError, match="decay_steps must be a whole number, got"):
        optim.cosine_decay_schedule(1.0, wrong)
