"""Optimization as the decks have it, with their numbers (rows 30 to 39)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn import losses, nn, optim, train


def path(optimizer, gradient, x, steps):
    """x at first and after each step."""

    @jax.jit
    def run(x):
        def step(carry, _):
            x, state = carry
            updates, state = optimizer.update(gradient(x), state, x)
            x = optim.apply_updates(x, updates)
            return (x, state), x

        return jax.lax.scan(step, (x, optimizer.init(x)), None, steps)[1]

    x = jnp.asarray(x, jnp.float32)
    return np.concatenate([x[None], run(x)])


def numpy_path(step, x, memory, steps, gradient):
    """x at first and after each step of the deck's code."""
    xs = [np.asarray(x, float)]
    for t in range(1, steps + 1):
        x, memory = step(xs[-1], memory, gradient, t)
        xs.append(x)
    return np.array(xs)


def valley(x):
    """The gradient of ½ (x₁² + 20 x₂²)."""
    return x * np.array([1.0, 20.0], np.float32)


START = [4.0, 1.0]


def test_row_30_random_search_and_following_the_slope():
    """Deck B: on the same loss, with the same number of evaluations."""
    target = jnp.linspace(-1, 1, 20)
    loss = lambda x: jnp.sum((x - target) ** 2)
    _, values = optim.random_search(loss, jnp.zeros(20), jax.random.key(0), 100)
    assert (jnp.diff(values) <= 0).all()
    assert 0 < values[-1] < values[0]
    slope = path(optim.sgd(0.1), funcnn.grad(loss), jnp.zeros(20), 100)
    assert loss(slope[-1]) < 1e-6 < values[-1] / 100


def test_row_31_full_batch_one_example_minibatch():
    """Decks A to E: w ← w − α∇ of the mean over a batch, over one example, over a minibatch."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)).astype(np.float32), rng.normal(size=(12, 1)).astype(np.float32)
    model = nn.dense(1, use_bias=False)
    optimizer = optim.sgd(0.1)
    state = train.init(jax.random.key(0), model, optimizer, x)
    loss = train.supervised(model, losses.l2_loss)
    w = np.asarray(state.params["kernel"], float)
    step = jax.jit(train.make_step(loss, optimizer))
    for batch in (range(12), [5], [1, 7, 8, 2]):
        batch = np.array(batch)
        after, _ = step(state, (x[batch], y[batch]))
        gradient = x[batch].T @ (x[batch] @ w - y[batch]) / len(batch)
        np.testing.assert_allclose(after.params["kernel"], w - 0.1 * gradient, rtol=1e-5)

    # shuffled each epoch: other batches, whose sum is the same data
    after, history = train.fit(
        loss,
        optim.sgd(0.0),
        state._replace(opt_state=optim.sgd(0.0).init(state.params)),
        (x, y),
        epochs=2,
        batch_size=4,
        progress=False,
    )
    assert history["step"].tolist() == [3, 6]
    np.testing.assert_allclose(history["loss"][0], history["loss"][1], rtol=1e-5)


def test_row_31_the_logistic_rule():
    """Deck E: w ← w − α(ŷ − y)x and b ← b − α(ŷ − y) are gradient descent on the cross-entropy."""
    x, y, rate = jnp.array([2.0, -3.0]), 1, 0.1
    params = {"kernel": jnp.array([[0.5], [-1.0]]), "bias": jnp.array([0.25])}

    def loss(p):
        return losses.sigmoid_binary_cross_entropy(nn.dense(1)(p, x)[0], y)

    optimizer = optim.sgd(rate)
    updates, _ = optimizer.update(funcnn.grad(loss)(params), optimizer.init(params), params)
    after = optim.apply_updates(params, updates)
    y_hat = 1 / (1 + np.exp(-4.25))
    expected = np.array([0.5, -1]) - rate * (y_hat - y) * x
    np.testing.assert_allclose(after["kernel"][:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(after["bias"], 0.25 - rate * (y_hat - y), rtol=1e-5)


def test_row_32_momentum_in_three_forms():
    """v ← ρv + g, x ← x − αv (B); v ← γv − ηg, θ ← θ + v (C); Σ βᵏ step(n − k) (E)."""
    b = numpy_path(lambda x, v, g, t: (x - 0.02 * (v := 0.9 * v + g(x)), v), START, 0.0, 20, valley)
    c = numpy_path(lambda x, v, g, t: (x + (v := 0.9 * v - 0.02 * g(x)), v), START, 0.0, 20, valley)
    steps, e = [], [np.array(START)]
    for _ in range(20):
        steps.append(-0.02 * valley(e[-1]))
        e.append(e[-1] + sum(0.9**k * s for k, s in enumerate(reversed(steps))))
    for expected, form in ((b, "gradients"), (c, "steps"), (e, "increments")):
        ours = path(optim.momentum(0.02, 0.9, form), valley, START, 20)
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_row_33_nesterov_in_both_forms():
    """Deck B: the form in x̃ = x + ρv goes through the points ahead of the look-ahead form."""
    rho, rate = 0.8, 0.02

    def look_ahead(x, v, gradient, t):
        v = rho * v - rate * gradient(x + rho * v)
        return x + v, v

    def shifted(x, v, gradient, t):
        new = rho * v - rate * gradient(x)
        return x + new + rho * (new - v), new

    xs = numpy_path(look_ahead, START, 0.0, 20, valley)
    ahead = xs[1:] + rho * np.diff(xs, axis=0)
    tildes = numpy_path(shifted, START, 0.0, 20, valley)
    np.testing.assert_allclose(tildes[1:], ahead, rtol=1e-9, atol=1e-12)
    ours = path(optim.nesterov(rate, rho), valley, START, 20)
    np.testing.assert_allclose(ours, tildes, rtol=1e-3, atol=1e-4)

    optimizer = optim.nesterov(rate, rho, "look-ahead")
    x, state = jnp.array(START), optimizer.init(jnp.array(START))
    for expected in xs[1:6]:
        gradient = valley(optim.look_ahead(x, state.velocity, rho))
        updates, state = optimizer.update(gradient, state, x)
        x = optim.apply_updates(x, updates)
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-5)


def test_row_34_adagrad_and_rmsprop():
    """Deck B's code, with 1e-7 outside the root."""

    def adagrad(x, grad_squared, gradient, t):
        dx = gradient(x)
        grad_squared = grad_squared + dx * dx
        return x - 0.5 * dx / (np.sqrt(grad_squared) + 1e-7), grad_squared

    def rmsprop(x, grad_squared, gradient, t):
        dx = gradient(x)
        grad_squared = 0.9 * grad_squared + (1 - 0.9) * dx * dx
        return x - 0.1 * dx / (np.sqrt(grad_squared) + 1e-7), grad_squared

    for step, optimizer in (
        (adagrad, optim.adagrad(0.5, 0.0, 1e-7, eps_in_sqrt=False)),
        (rmsprop, optim.rmsprop(0.1, 0.9, eps=1e-7, eps_in_sqrt=False)),
    ):
        expected = numpy_path(step, START, 0.0, 20, valley)
        np.testing.assert_allclose(path(optimizer, valley, START, 20), expected, rtol=1e-3)


@pytest.mark.parametrize("almost", [True, False])
def test_row_35_adam(almost):
    """Deck B's "almost" Adam, without bias correction, and the full one."""

    def adam(x, moments, gradient, t):
        first, second = moments
        dx = gradient(x)
        first = 0.9 * first + (1 - 0.9) * dx
        second = 0.999 * second + (1 - 0.999) * dx * dx
        corrected = (first, second) if almost else (first / (1 - 0.9**t), second / (1 - 0.999**t))
        return x - 0.1 * corrected[0] / (np.sqrt(corrected[1]) + 1e-7), (first, second)

    optimizer = optim.adam(0.1, eps=1e-7, bias_correction=not almost)
    expected = numpy_path(adam, START, (0.0, 0.0), 20, valley)
    np.testing.assert_allclose(path(optimizer, valley, START, 20), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        (optim.step_schedule(0.5), lambda t: 0.5 * 0.1 ** sum(t >= b for b in (30, 60, 90))),
        (optim.cosine_decay_schedule(0.5, 100), lambda t: 0.25 * (1 + np.cos(t * np.pi / 100))),
        (optim.linear_schedule(0.5, 0.0, 100), lambda t: 0.5 * (1 - t / 100)),
        (optim.inverse_sqrt_schedule(0.5), lambda t: 0.5 / np.sqrt(t)),
    ],
    ids=["step", "cosine", "linear", "inverse square root"],
)
def test_row_36_schedules(schedule, formula):
    """Deck B: × 0.1 after 30, 60, 90; ½α₀(1 + cos(tπ/T)); α₀(1 − t/T); α₀/√t."""
    t = np.array([1, 29, 30, 59, 60, 89, 90, 99])
    np.testing.assert_allclose(jax.vmap(schedule)(t), [formula(i) for i in t], rtol=1e-4)


def test_row_37_hard_surfaces():
    """Deck B: a valley, a saddle and a local minimum, where gradient descent is slow or stuck."""
    descent, momentum = optim.sgd(0.04), optim.momentum(0.04, 0.8)
    steep = jnp.array([1.0, 45.0])  # a condition number of 45
    xs = {
        name: path(o, lambda x: steep * x, [4.0, 1.0], 60)
        for name, o in {"sgd": descent, "momentum": momentum, "adam": optim.adam(0.2)}.items()
    }
    assert (np.diff(np.sign(xs["sgd"][:10, 1])) != 0).all()  # jitter along the steep direction
    assert abs(xs["sgd"][-1, 0]) > 0.3 > 0.1 > abs(xs["momentum"][-1, 0])

    saddle = lambda x: x * jnp.array([1.0, -1.0])  # of ½ (x₁² − x₂²)
    stuck = path(descent, saddle, [1.0, 0.0], 200)[-1]
    np.testing.assert_allclose(stuck, [0, 0], atol=1e-3)
    beside = [1.0, 1e-4]
    escaped = {
        o: abs(path(opt, saddle, beside, 60)[-1, 1])
        for o, opt in (("sgd", descent), ("momentum", momentum), ("adam", optim.adam(0.04)))
    }
    assert escaped["sgd"] < 0.01 < escaped["momentum"] < escaped["adam"]

    # x²/2 + cos 3x: from 3, a dip before the lowest two beside 0
    bumpy = lambda x: x - 3 * jnp.sin(3 * x)
    local = path(descent, bumpy, [4.0], 300)[-1, 0]
    rolled = path(optim.momentum(0.04, 0.9), bumpy, [4.0], 300)[-1, 0]
    value = lambda x: x**2 / 2 + np.cos(3 * x)
    assert local > 2
    assert abs(bumpy(local)) < 1e-3
    assert value(rolled) < value(local) - 1


def test_row_38_choosing_a_learning_rate():
    """Deck E: too low, right, too high; and the range test, which finds where it is too high."""
    loss = lambda x: jnp.sum(jnp.array([1.0, 5.0]) * x**2) / 2
    last = {
        rate: float(loss(path(optim.sgd(rate), funcnn.grad(loss), START, 50)[-1]))
        for rate in (0.001, 0.3, 0.41)
    }
    assert last[0.3] < 1e-3 < 1 < last[0.001] < float(loss(jnp.array(START))) < last[0.41]

    # the range test: the rate grows from step to step, until the loss does
    rates = optim.exponential_decay(1e-3, 1, 1.1)
    xs = path(optim.sgd(rates), funcnn.grad(loss), START, 90)
    curve = np.array([float(loss(x)) for x in xs])
    lowest = float(rates(int(curve.argmin())))
    assert 2 / 5 < lowest < 4  # steps beyond 2/5 diverge, and it takes some to see it
    assert curve[-1] > 100 * curve.min()
    assert (np.diff(curve[:40]) < 0).all()


@pytest.mark.parametrize(
    ("activation", "slope", "rate"),
    [
        (jax.nn.sigmoid, lambda h: h * (1 - h), 1e-4),
        (jax.nn.relu, lambda h: h > 0, 1e-6),
    ],
    ids=["deck B, sigmoid", "deck D, ReLU"],
)
def test_row_39_twenty_lines(activation, slope, rate):
    """Decks B and D: N 64, D_in 1000, H 100, D_out 10, without biases; the first steps.

    The gradients written out are those of funcnn, and so is the curve of the loss.
    """
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 1000)), rng.normal(size=(64, 10))
    w1, w2 = rng.normal(size=(1000, 100)), rng.normal(size=(100, 10))
    with jax.enable_x64(True):
        model = nn.serial(nn.dense(100, use_bias=False), activation, nn.dense(10, use_bias=False))
        params = ({"kernel": jnp.asarray(w1)}, (), {"kernel": jnp.asarray(w2)})
        optimizer = optim.sgd(rate)
        objective = lambda p: losses.squared_error(model(p, x), jnp.asarray(y)).sum()
        step = jax.jit(funcnn.value_and_grad(objective))
        state = optimizer.init(params)
        f = (lambda z: 1 / (1 + np.exp(-z))) if rate == 1e-4 else (lambda z: np.maximum(z, 0))
        for _ in range(5):
            h = f(x.dot(w1))
            y_pred = h.dot(w2)
            loss = np.square(y_pred - y).sum()
            grad_y_pred = 2.0 * (y_pred - y)
            grad_w2 = h.T.dot(grad_y_pred)
            grad_h = grad_y_pred.dot(w2.T)
            grad_w1 = x.T.dot(grad_h * slope(h))
            w1 = w1 - rate * grad_w1
            w2 = w2 - rate * grad_w2

            ours, gradient = step(params)
            assert float(ours) == pytest.approx(loss, rel=1e-10)
            np.testing.assert_allclose(gradient[0]["kernel"], grad_w1, rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(gradient[2]["kernel"], grad_w2, rtol=1e-8, atol=1e-8)
            updates, state = optimizer.update(gradient, state, params)
            params = optim.apply_updates(params, updates)
        np.testing.assert_allclose(params[0]["kernel"], w1, rtol=1e-10)
