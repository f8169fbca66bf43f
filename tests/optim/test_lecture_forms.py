"""The decks' recurrences by hand, on numbers that floating point holds exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcnn import optim


def path(optimizer, gradient, x, steps):
    """x after each step of the optimizer."""
    state, xs = optimizer.init(x), []
    for _ in range(steps):
        updates, state = optimizer.update(gradient(x), state, x)
        x = optim.apply_updates(x, updates)
        xs.append(np.asarray(x))
    return np.array(xs)


def slope(x):
    """The gradient of f(x) = x²/2."""
    return x


def test_gradient_descent():
    """Deck B, row 31: x ← x − α∇f(x)."""
    xs = path(optim.sgd(0.25), slope, jnp.array([16.0, -4.0]), 3)
    assert xs.tolist() == [[12.0, -3.0], [9.0, -2.25], [6.75, -1.6875]]


def test_logistic_rule():
    """Row 31: on one example of logistic regression, the step is −α(ŷ − y)x."""
    w, x, y = jnp.array([0.5, -1.0]), jnp.array([2.0, 3.0]), 1.0

    def loss(w):
        p = jax.nn.sigmoid(w @ x)
        return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

    (after,) = path(optim.sgd(0.1), jax.grad(loss), w, 1)
    prediction = 1 / (1 + np.exp(2.0))  # w·x = −2
    np.testing.assert_allclose(after, w - 0.1 * (prediction - y) * x, rtol=1e-6)


def test_momentum_of_deck_b():
    """Row 32: v ← ρv + ∇f(x), x ← x − αv."""
    xs = path(optim.sgd(0.5, momentum=0.5), slope, jnp.array(8.0), 4)
    # v:              8    8/2+4=8   8/2+0=4   4/2−2=0
    assert xs.tolist() == [4.0, 0.0, -2.0, -2.0]


def test_momentum_of_deck_c_is_the_same_at_a_constant_rate():
    """Row 32: v ← γv − η∇L(θ), θ ← θ + v."""
    theta, v, thetas = 8.0, 0.0, []
    for _ in range(10):
        v = 0.5 * v - 0.5 * slope(theta)
        theta = theta + v
        thetas.append(theta)
    xs = path(optim.sgd(0.5, momentum=0.5), slope, jnp.array(8.0), 10)
    assert xs.tolist() == thetas


def test_momentum_of_deck_e_is_the_same_at_a_constant_rate():
    """Row 32: each step is step(n) + β step(n−1) + β² step(n−2) + …"""
    gradients = [8.0, -2.0, 4.0, 16.0, 0.0]
    state = (optimizer := optim.sgd(0.25, momentum=0.5)).init(jnp.array(0.0))
    for n, g in enumerate(gradients):
        update, state = optimizer.update(jnp.array(g), state)
        steps = [-0.25 * g for g in gradients[: n + 1]]
        assert float(update) == sum(0.5**k * s for k, s in enumerate(reversed(steps)))


def test_momentum_of_decks_b_and_c_differ_when_the_rate_changes():
    """As the docstring of sgd says: here the new rate scales what the velocity holds, too."""
    rates = jnp.array([0.5, 0.25])
    optimizer = optim.sgd(lambda count: rates[count], momentum=0.5)
    update, state = optimizer.update(jnp.array(8.0), optimizer.init(jnp.array(0.0)))
    assert float(update) == -0.5 * 8
    update, state = optimizer.update(jnp.array(4.0), state)
    assert float(update) == -0.25 * (0.5 * 8 + 4)
    deck_c = 0.5 * (-0.5 * 8) - 0.25 * 4
    assert float(update) != deck_c


def test_nesterov_in_the_form_of_x_tilde():
    """Row 33: v ← ρv − α∇f(x̃), x̃ ← x̃ + v + ρ(v − v before)."""
    x_tilde, v, expected = 8.0, 0.0, []
    for _ in range(6):
        before, v = v, 0.5 * v - 0.25 * slope(x_tilde)
        x_tilde = x_tilde + v + 0.5 * (v - before)
        expected.append(x_tilde)
    xs = path(optim.sgd(0.25, momentum=0.5, nesterov=True), slope, jnp.array(8.0), 6)
    assert xs.tolist() == expected


def test_nesterov_in_the_look_ahead_form():
    """Row 33: v ← ρv − α∇f(x + ρv), x ← x + v; the optimizer's x is that x + ρv."""
    x, v, expected = 8.0, 0.0, []
    for _ in range(6):
        v = 0.5 * v - 0.25 * slope(x + 0.5 * v)
        x = x + v
        expected.append(x + 0.5 * v)
    xs = path(optim.sgd(0.25, momentum=0.5, nesterov=True), slope, jnp.array(8.0), 6)
    assert xs.tolist() == expected


def test_almost_adam_of_deck_b():
    """Row 35, the deck's code line by line."""
    x = np.array([3.0, -0.5], np.float32)
    first_moment = second_moment = np.zeros(2, np.float32)
    expected = []
    for _ in range(20):
        dx = slope(x)
        first_moment = 0.9 * first_moment + (1 - 0.9) * dx
        second_moment = 0.999 * second_moment + (1 - 0.999) * dx * dx
        x = x - 0.01 * first_moment / (np.sqrt(second_moment) + 1e-7)
        expected.append(x)
    almost = optim.adam(0.01, 0.9, 0.999, eps=1e-7, bias_correction=False)
    np.testing.assert_allclose(
        path(almost, slope, jnp.array([3.0, -0.5]), 20), expected, rtol=1e-6, atol=1e-7
    )


def test_almost_adam_exactly():
    optimizer = optim.adam(0.5, 0.5, 0.75, eps=0.0, bias_correction=False)
    update, state = optimizer.update(jnp.array(4.0), optimizer.init(jnp.array(0.0)))
    assert (float(state.mu), float(state.nu)) == (2.0, 4.0)
    assert float(update) == -0.5  # 2 / √4 = 1: twice the first step that bias correction gives
    update, state = optimizer.update(jnp.array(0.0), state)
    assert (float(state.mu), float(state.nu)) == (1.0, 3.0)
    assert float(update) == np.float32(-0.5) * (1 / np.sqrt(np.float32(3.0)))


def test_full_adam_exactly():
    optimizer = optim.adam(0.5, 0.5, 0.75, eps=0.25)
    update, state = optimizer.update(jnp.array(4.0), optimizer.init(jnp.array(0.0)))
    # m = 2, m̂ = 2 / ½ = 4; v = 4, v̂ = 4 / ¼ = 16
    assert float(update) == np.float32(-0.5) * (np.float32(4) / np.float32(4 + 0.25))
    update, state = optimizer.update(jnp.array(4.0), state)
    # m = 3, m̂ = 3 / ¾ = 4; v = 7, v̂ = 7 / (1 − 9/16) = 16
    assert (float(state.mu), float(state.nu), int(state.count)) == (3.0, 7.0, 2)
    assert float(update) == np.float32(-0.5) * (np.float32(4) / np.float32(4 + 0.25))


@pytest.mark.parametrize(
    ("inside", "outside", "expected"), [(0.0, 4.0, 0.5), (16 * 3.0, 0.0, 0.5), (0.0, 0.0, 1.0)]
)
def test_epsilon_inside_and_outside_the_root(inside, outside, expected):
    """The first step for a gradient of 4 is α · 4 / (√(16 + inside) + outside)."""
    optimizer = optim.adam(1.0, 0.5, 0.75, eps=outside, eps_root=inside)
    update, _ = optimizer.update(jnp.array(4.0), optimizer.init(jnp.array(0.0)))
    assert float(update) == -expected


def test_nadam_without_bias_correction():
    optimizer = optim.adam(1.0, 0.5, 0.75, eps=0.0, nesterov=True, bias_correction=False)
    update, _ = optimizer.update(jnp.array(4.0), optimizer.init(jnp.array(0.0)))
    # m = 2, v = 4; the look-ahead is ½ · 2 + ½ · 4 = 3
    assert float(update) == -1.5


@pytest.mark.parametrize("form", ["gradients", "steps", "increments"])
def test_the_three_forms_of_momentum(form):
    """Row 32, each deck's own lines, at a rate that changes."""
    rates, rho = [0.5, 0.25, 1.0, 0.5], 0.5
    x, v, expected = 8.0, 0.0, []
    for rate in rates:
        g = slope(x)
        if form == "gradients":  # deck B
            v = rho * v + g
            x = x - rate * v
        elif form == "steps":  # deck C
            v = -rate * g + rho * v
            x = x + v
        else:  # deck E
            v = (rate * g) + (rho * v)
            x = x - v
        expected.append(x)
    schedule = lambda count: jnp.array(rates)[count]
    optimizer = optim.momentum(schedule, rho, form)
    assert path(optimizer, slope, jnp.array(8.0), 4).tolist() == expected


def test_the_forms_of_momentum_are_the_same_at_a_constant_rate():
    paths = [
        path(optim.momentum(0.5, 0.5, form), slope, jnp.array([8.0, -3.0]), 10).tolist()
        for form in ("gradients", "steps", "increments")
    ]
    assert paths[0] == paths[1] == paths[2]
    assert paths[0] == path(optim.sgd(0.5, 0.5), slope, jnp.array([8.0, -3.0]), 10).tolist()


def test_momentum_of_deck_e_is_the_sum_of_the_steps():
    """Row 32: step(n) + β step(n−1) + β² step(n−2) + …, also where the rate changes."""
    rates, gradients = [0.5, 0.25, 1.0, 0.5], [8.0, -2.0, 4.0, 16.0]
    optimizer = optim.momentum(lambda count: jnp.array(rates)[count], 0.5, "increments")
    state = optimizer.init(jnp.array(0.0))
    for n, g in enumerate(gradients):
        update, state = optimizer.update(jnp.array(g), state)
        steps = [-r * g for r, g in zip(rates, gradients[: n + 1], strict=False)]
        assert float(update) == sum(0.5**k * s for k, s in enumerate(reversed(steps)))


def test_the_two_forms_of_nesterov_momentum():
    """Row 33: x̃ = x + ρv turns one into the other, on any loss, at any rate; and both are deck B's
    lines."""
    rho, rates = 0.75, np.array([0.1, 0.3, 0.02, 0.2, 0.1, 0.4], np.float32)
    gradient = jax.grad(lambda x: jnp.sum(jnp.cos(x) + 0.25 * x**2) + x[0] * x[1])
    schedule = lambda count: jnp.asarray(rates)[count]
    ahead, shifted = (optim.nesterov(schedule, rho, form) for form in ("look-ahead", "shifted"))

    x = x_deck = x_tilde = jnp.array([1.0, -2.0])  # v = 0: the variables begin at the same point
    v_deck = jnp.zeros(2)
    state, state_tilde = ahead.init(x), shifted.init(x_tilde)
    for rate in rates:
        v_deck = rho * v_deck - rate * gradient(x_deck + rho * v_deck)
        x_deck = x_deck + v_deck

        g = gradient(optim.look_ahead(x, state.velocity, rho))
        updates, state = ahead.update(g, state, x)
        x = optim.apply_updates(x, updates)

        updates, state_tilde = shifted.update(gradient(x_tilde), state_tilde, x_tilde)
        x_tilde = optim.apply_updates(x_tilde, updates)

        np.testing.assert_allclose(x, x_deck, rtol=1e-5)
        np.testing.assert_allclose(state_tilde.velocity, state.velocity, rtol=1e-5)
        np.testing.assert_allclose(x_tilde, x + rho * state.velocity, rtol=1e-5)


def test_nesterov_of_sgd_is_the_shifted_form_at_a_constant_rate():
    start = jnp.array([8.0, -3.0])
    shifted = path(optim.nesterov(0.25, 0.5), slope, start, 10)
    assert shifted.tolist() == path(optim.sgd(0.25, 0.5, nesterov=True), slope, start, 10).tolist()
    plain = path(optim.momentum(0.25, 0.5), slope, start, 10)
    assert not np.allclose(shifted, plain)


def test_adagrad_of_deck_b():
    """Row 34, the deck's code line by line."""
    x, grad_squared, expected = np.array([3.0, -0.5], np.float32), np.zeros(2, np.float32), []
    for _ in range(20):
        dx = slope(x)
        grad_squared = grad_squared + dx * dx
        x = x - 0.1 * dx / (np.sqrt(grad_squared) + 1e-7)
        expected.append(x)
    optimizer = optim.adagrad(0.1, 0.0, 1e-7, eps_in_sqrt=False)
    seen = path(optimizer, slope, jnp.array([3.0, -0.5]), 20)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_rmsprop_of_deck_b():
    """Row 34, the deck's code line by line."""
    x, grad_squared, expected = np.array([3.0, -0.5], np.float32), np.zeros(2, np.float32), []
    for _ in range(20):
        dx = slope(x)
        grad_squared = 0.75 * grad_squared + (1 - 0.75) * dx * dx
        x = x - 0.01 * dx / (np.sqrt(grad_squared) + 1e-7)
        expected.append(x)
    optimizer = optim.rmsprop(0.01, 0.75, eps=1e-7, eps_in_sqrt=False)
    seen = path(optimizer, slope, jnp.array([3.0, -0.5]), 20)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_what_happens_with_adagrad():
    """Deck B's questions: steep directions are damped, flat ones accelerated; steps decay to 0."""
    gradient = jnp.array([100.0, 0.01])
    adagrad, rmsprop = (
        np.diff(path(optimizer, lambda x: gradient, jnp.zeros(2), 100), axis=0)
        for optimizer in (
            optim.adagrad(1.0, 0.0, 1e-7, eps_in_sqrt=False),
            optim.rmsprop(1.0, eps=1e-7, eps_in_sqrt=False),
        )
    )
    np.testing.assert_allclose(adagrad[:, 0], adagrad[:, 1], rtol=2e-4)
    t = np.arange(2, 101)
    np.testing.assert_allclose(adagrad[:, 0], -1 / np.sqrt(t), rtol=1e-3)
    np.testing.assert_allclose(rmsprop[-1], -1, rtol=1e-3)  # leaky: its steps do not


@pytest.mark.parametrize(("inside", "eps", "expected"), [(True, 48.0, 0.5), (False, 4.0, 0.5)])
def test_epsilon_of_adagrad_and_rmsprop_inside_and_outside_the_root(inside, eps, expected):
    """The first step for a gradient of 4 is α · 4 / √(16 + 48), or α · 4 / (√16 + 4)."""
    g = jnp.array(4.0)
    for optimizer in (
        optim.adagrad(1.0, 0.0, eps, eps_in_sqrt=inside),
        optim.rmsprop(1.0, 0.0, eps, eps_in_sqrt=inside),
    ):
        update, _ = optimizer.update(g, optimizer.init(g))
        np.testing.assert_allclose(update, -expected, rtol=1e-6)
