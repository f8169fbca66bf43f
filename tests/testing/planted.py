"""Functions whose `custom_vjp` rule has one mistake, of the kinds that people make.

Each case: the function, its arguments, the order at which it shows, and the argument whose gradient
is wrong.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


class Planted(NamedTuple):
    fun: Callable[..., Any]
    args: tuple
    where: str = "args[0]"
    order: int = 1


def with_rule(fun, backward, forward=None, **options):
    """`fun` with the rule that `backward` gives it; the residuals are the arguments."""
    named = jax.custom_vjp(fun, **options)
    named.defvjp(forward or (lambda *args: (fun(*args), args)), backward)
    return named


def unary(fun, derivative):
    return with_rule(fun, lambda args, g: (g * derivative(*args),))


def affine(backward):
    return with_rule(lambda x, w, b: x @ w + b, lambda args, g: backward(*args, g))


def softmax_rule(args, g):
    s = jax.nn.softmax(args[0], axis=-1)
    return (s * (g - jnp.sum(g * s)),)  # over all rows: axis=-1 forgotten


def stale_closure():
    temperature = 2.0

    def fun(x):
        return jnp.tanh(x / temperature)

    def backward(args, g, temperature=1.0):
        return (g * (1 - jnp.tanh(args[0] / temperature) ** 2) / temperature,)

    return with_rule(fun, backward)


def layer_norm(x):
    centered = x - jnp.mean(x, axis=-1, keepdims=True)
    return centered / jnp.sqrt(jnp.mean(centered**2, axis=-1, keepdims=True) + 1e-5)


def layer_norm_rule(args, g):
    """The mean's share of the gradient is there, the variance's is lost."""
    centered = args[0] - jnp.mean(args[0], axis=-1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(centered**2, axis=-1, keepdims=True) + 1e-5)
    return (scale * (g - jnp.mean(g, axis=-1, keepdims=True)),)


def right_only_at_first_order():
    """The derivative is right, and says of itself that it does not depend on x."""
    return unary(lambda x: jnp.sum(x**3), lambda x: 3 * jax.lax.stop_gradient(x) ** 2)


def inside_scan():
    step = unary(jnp.sin, lambda x: jnp.cos(x) * 1.0001)

    def fun(x):
        return jax.lax.scan(lambda c, _: (step(c) + 0.1, c), x, None, length=4)[0]

    return fun


def inside_cond():
    return lambda x: jax.lax.cond(jnp.sum(x) > 0, unary(jnp.exp, lambda x: jnp.exp(-x)), jnp.cos, x)


def hard_float32():
    """Computes in float32 whatever it is given, so that no differences in float64 can help."""

    def fun(x):
        return jnp.sum(jnp.sin(x.astype(jnp.float32)) ** 2)

    def backward(args, g):
        x = args[0].astype(jnp.float32)
        return ((g * (1 + 1e-4) * jnp.sin(2 * x)).astype(args[0].dtype),)

    return with_rule(fun, backward)


def only_in_float32():
    """A rule with a path of its own for float32, as a kernel has."""

    def backward(args, g):
        x = args[0]
        return (g * jnp.cos(x) * (1.0001 if x.dtype == jnp.float32 else 1.0),)

    return with_rule(jnp.sin, backward)


def two_outputs(args, g):
    """The second output's cotangent is lost."""
    return (g[0] * jnp.cos(args[0]),)


x, v, m = normal(4), normal(5), normal(3, 4)
w, b = normal(4, 2), normal(2)
square = normal(3, 3)
z = (normal(4) + 1j * normal(4)).astype(np.complex64)

PLANTED = {
    "off by 1 + 1e-4": Planted(unary(jnp.sin, lambda x: jnp.cos(x) * (1 + 1e-4)), (x,)),
    "off by 1 + 1e-4, float32 inside": Planted(hard_float32(), (x,)),
    "off by 1 + 1e-4, inside scan and jit": Planted(jax.jit(inside_scan()), (x,)),
    "off by 1 + 1e-4, in float32 only": Planted(only_in_float32(), (x,)),
    "sign": Planted(unary(jnp.cos, jnp.sin), (x,)),
    "sign of an exponent, in a branch": Planted(inside_cond(), (np.abs(x),)),
    "lost factor": Planted(unary(lambda x: jnp.sum(x**2), lambda x: x), (x,)),
    "swapped operands": Planted(
        with_rule(lambda x, y: x * y, lambda args, g: (g * args[0], g * args[1])), (x, normal(4))
    ),
    "swapped arguments of a quotient": Planted(
        with_rule(lambda x, y: x / y, lambda args, g: (g / args[1], -g * args[1] / args[0] ** 2)),
        (x, normal(4)),
        "args[1]",
    ),
    "no sum over a broadcast axis": Planted(
        affine(lambda x, w, b, g: (g @ w.T, x.T @ g, g[0])), (m, w, b), "args[2]"
    ),
    "mean instead of sum over the batch": Planted(
        affine(lambda x, w, b, g: (g @ w.T, x.T @ g, g.mean(0))), (m, w, b), "args[2]"
    ),
    "transposed matrix": Planted(
        with_rule(lambda w, x: w @ x, lambda args, g: (jnp.outer(args[1], g), args[0].T @ g)),
        (square, normal(3)),
    ),
    "not transposed in a solve": Planted(
        with_rule(
            lambda a, b: jnp.linalg.solve(a, b),
            lambda args, g: (
                -jnp.outer(jnp.linalg.solve(args[0].T, g), jnp.linalg.solve(*args)),
                jnp.linalg.solve(args[0], g),
            ),
        ),
        (square + 3 * np.eye(3, dtype=np.float32), normal(3)),
        "args[1]",
    ),
    "conj forgotten": Planted(
        with_rule(lambda z: jnp.sum(jnp.abs(z) ** 2).real, lambda args, g: ((2 * g * args[0]),)),
        (z,),
    ),
    "wrong residual": Planted(
        with_rule(
            jnp.tanh, lambda saved, g: (g * (1 - saved**2),), forward=lambda x: (jnp.tanh(x), x)
        ),
        (x,),
    ),
    "only at one index": Planted(
        unary(jnp.exp, lambda x: jnp.exp(x).at[17].multiply(1.01)), (normal(50),), "args[0][17]"
    ),
    "only for negative x": Planted(
        unary(lambda x: jnp.where(x > 0, x, 0.1 * x), lambda x: jnp.where(x > 0, 1.0, 0.01)),
        (np.float32([-1.0, 0.5, 2.0, -3.0]),),
    ),
    "zero gradient": Planted(
        with_rule(lambda x, s: s * x, lambda args, g: (g * args[1], jnp.zeros_like(args[1]))),
        (x, np.float32(1.5)),
        "args[1]",
    ),
    "second order only": Planted(right_only_at_first_order(), (x,), order=2),
    "dtype loss": Planted(
        with_rule(
            lambda x: jnp.sum(x**2),
            lambda args, g: ((2 * g * args[0].astype(jnp.bfloat16)).astype(args[0].dtype),),
        ),
        (np.float32([0.123456, 1.234567, 2.345678]),),
    ),
    "stale closure": Planted(stale_closure(), (x,)),
    "cotangent forgotten": Planted(
        with_rule(lambda x: jnp.sum(jnp.sin(x)), lambda args, g: (jnp.cos(args[0]),)), (x,)
    ),
    "one output's cotangent lost": Planted(
        with_rule(lambda x: (jnp.sin(x), jnp.cos(x)), two_outputs), (x,)
    ),
    "softmax over the wrong axis": Planted(
        with_rule(lambda x: jax.nn.softmax(x, axis=-1), softmax_rule), (m,)
    ),
    "variance's share of a layer norm lost": Planted(with_rule(layer_norm, layer_norm_rule), (m,)),
    "forward gives another value": Planted(
        with_rule(
            jnp.log1p,
            lambda args, g: (g / (1 + args[0]),),
            forward=lambda x: (jnp.log(x), (x,)),
        ),
        (np.abs(x),),
        "the output",
    ),
    "clipped on purpose, and forgotten": Planted(
        unary(jnp.square, lambda x: jnp.clip(2 * x, -1, 1)), (v,)
    ),
}
