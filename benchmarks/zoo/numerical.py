"""Numerical programs: an ODE, a Gaussian process, a convolution by FFT, a fixed point."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular

from zoo.program import Draw, Program, dense


def ode(batch: int, width: int, hidden: int, steps: int) -> Program:
    """A neural ordinary differential equation, by Runge-Kutta steps of fourth order."""
    draw = Draw()
    params = {"up": draw.dense(width, hidden), "down": draw.dense(hidden, width)}

    def loss(params, y, target, unroll=1):
        def velocity(y):
            return dense(params["down"], jnp.tanh(dense(params["up"], y)))

        def step(_, y):
            h = 1 / steps
            k1 = velocity(y)
            k2 = velocity(y + h / 2 * k1)
            k3 = velocity(y + h / 2 * k2)
            k4 = velocity(y + h * k3)
            return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        y = lax.fori_loop(0, steps, step, y, unroll=unroll)
        return jnp.mean((y - target) ** 2)

    data = draw.normal(batch, width), draw.normal(batch, width)
    return Program(loss, (params, *data), steps)


def gaussian_process(points: int, dimensions: int) -> Program:
    """The negative log marginal likelihood, by a Cholesky factor of the kernel matrix."""
    draw = Draw()
    params = {
        "log_lengths": np.zeros(dimensions, np.float32),
        "log_amplitude": np.float32(0),
        "log_noise": np.float32(-1),
    }

    def loss(params, x, y):
        x = x / jnp.exp(params["log_lengths"])
        squared = jnp.sum((x[:, None] - x[None]) ** 2, axis=-1)
        kernel = jnp.exp(2 * params["log_amplitude"] - squared / 2)
        factor = jnp.linalg.cholesky(kernel + jnp.exp(params["log_noise"]) * jnp.eye(len(x)))
        whitened = solve_triangular(factor, y, lower=True)
        return 0.5 * whitened @ whitened + jnp.sum(jnp.log(jnp.diagonal(factor)))

    return Program(loss, (params, draw.normal(points, dimensions), draw.normal(points)))


def fft_convolution(batch: int, time: int, channels: int) -> Program:
    """Two long convolutions by FFT, with a gelu between, one kernel a channel."""
    draw = Draw()
    params = [draw.normal(channels, time, scale=time**-0.5) for _ in range(2)]

    def convolve(kernel, x):
        n = 2 * x.shape[-1]  # padded, so that the end does not reach the beginning
        spectrum = jnp.fft.rfft(x, n) * jnp.fft.rfft(kernel, n)
        return jnp.fft.irfft(spectrum, n)[..., : x.shape[-1]]

    def loss(params, x, target):
        y = convolve(params[1], jax.nn.gelu(convolve(params[0], x)))
        return jnp.mean((y - target) ** 2)

    data = draw.normal(batch, channels, time), draw.normal(batch, channels, time)
    return Program(loss, (params, *data))


def fixed_point(batch: int, width: int, tolerance: float = 1e-5) -> Program:
    """z = tanh(W z + U x), iterated until z changes no more: as often as it takes."""
    draw = Draw()
    params = {"state": draw.dense(width, width), "input": draw.dense(width, width)}
    params["state"]["kernel"] *= np.float32(0.4)  # a contraction
    x, target = draw.normal(batch, width), draw.normal(batch, width)

    def update(params, x, z):
        return jnp.tanh(dense(params["state"], z) + dense(params["input"], x))

    def iterations(params, x):
        def changes(state):
            _, change, n = state
            return (change > tolerance) & (n < 100)

        def step(state):
            z, _, n = state
            after = update(params, x, z)
            return after, jnp.max(jnp.abs(lax.stop_gradient(after - z))), n + 1

        start = jnp.zeros_like(x), jnp.asarray(jnp.inf, x.dtype), 0
        z, _, n = lax.while_loop(changes, step, start)
        return z, n

    def loss(params, x, target):
        return jnp.mean((iterations(params, x)[0] - target) ** 2)

    steps = int(jax.jit(iterations)(params, x)[1])

    def of_fixed_length(params, x, target):
        z = lax.fori_loop(0, steps, lambda _, z: update(params, x, z), jnp.zeros_like(x))
        return jnp.mean((z - target) ** 2)

    return Program(loss, (params, x, target), for_jax=of_fixed_length)
