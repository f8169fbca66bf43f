"""Correct functions that plain central differences in float32 would call wrong.

Each case: the function, its arguments, and how it is checked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

RNG = np.random.default_rng(1)


def normal(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


class Correct(NamedTuple):
    fun: Callable[..., Any]
    args: tuple
    order: int = 1


@jax.custom_vjp
def log1pexp(x):
    return jnp.log1p(jnp.exp(x))


log1pexp.defvjp(lambda x: (log1pexp(x), x), lambda x, g: (g * (1 - 1 / (1 + jnp.exp(x))),))


@jax.custom_vjp
def one_minus_cos_over_x(x):
    """Cancels badly; its rule does not."""
    return (1 - jnp.cos(x)) / x


one_minus_cos_over_x.defvjp(
    lambda x: (one_minus_cos_over_x(x), x),
    lambda x, g: (g * (jnp.sinc(x / jnp.pi) - 2 * (jnp.sin(x / 2) / x) ** 2),),
)


@jax.custom_vjp
def safe_norm(x):
    return jnp.sqrt(jnp.sum(x**2))


safe_norm.defvjp(
    lambda x: (safe_norm(x), x),
    lambda x, g: (g * x / jnp.maximum(safe_norm(x), 1e-37),),
)


@jax.custom_vjp
def square_far_off(x):
    """Its rule is exact, the code's derivative cancels; both in float32."""
    x = x.astype(jnp.float32)
    return (x + 1e3) ** 2 - 2e3 * x - 1e6


square_far_off.defvjp(
    lambda x: (square_far_off(x), x),
    lambda x, g: ((g * 2 * x.astype(jnp.float32)).astype(x.dtype),),
)


def mixed_precision(w, x):
    """A matrix product in bfloat16 within float32: a staircase for small steps."""
    hidden = (x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)).astype(x.dtype)
    return jnp.mean(jnp.tanh(hidden))


def hard_float32(x):
    return jnp.sum(jnp.sin(x.astype(jnp.float32)) + 1e4)


def staircase(x):
    """In float32 it moves in steps of 8."""
    return (x.astype(jnp.float32) + 1e8) - 1e8


CORRECT = {
    "large offset, small slope": Correct(lambda x: 1e6 + 1e-3 * x, (np.float32(1.5),)),
    "large offset that is taken away": Correct(lambda x: (x + 1e6) - 1e6, (np.float32(0.3),)),
    "a staircase in float32": Correct(staircase, (np.float32(1.5),)),
    "float32 inside, large sum": Correct(hard_float32, (normal(100),)),
    "exp at large values": Correct(jnp.exp, (np.float32([20.0, 60.0, 88.0]),), 2),
    "x**2 at 1e4": Correct(lambda x: jnp.sum(x**2), (np.float32([1e4, -2e4, 3e4]),), 2),
    "cancellation": Correct(lambda x: jnp.sqrt(x + 1) - jnp.sqrt(x), (np.float32(1e5),)),
    "cancellation with a rule": Correct(one_minus_cos_over_x, (np.float32(1e-4),)),
    "log1p(exp) saturated, with a rule": Correct(log1pexp, (np.float32([-20.0, 0.0, 30.0]),)),
    "a rule better than its code, float32 inside": Correct(
        square_far_off, (np.linspace(0.1, 2, 12, dtype=np.float32),)
    ),
    "softmax at 1e3": Correct(jax.nn.softmax, (np.float32([1e3, -1e3, 999.0, 0.0]),)),
    "logsumexp at 1e3": Correct(jax.nn.logsumexp, (np.float32([1e3, 998.0, -1e3]),), 2),
    "bfloat16": Correct(
        lambda x, w: jnp.tanh(x @ w),
        (normal(3, 4, dtype=ml_dtypes.bfloat16), normal(4, 2, dtype=ml_dtypes.bfloat16)),
    ),
    "bfloat16 with offset": Correct(lambda x: x * x + 100, (ml_dtypes.bfloat16(1.5),)),
    "float16": Correct(lambda x: jnp.sin(3 * x) / (1 + x**2), (normal(5, dtype=np.float16),)),
    "float16 near its largest": Correct(lambda x: 200 * x, (np.float16([300.0, -320.0]),)),
    "float16 exp near its largest": Correct(jnp.exp, (np.float16([10.0, 11.0]),)),
    "bfloat16 inside float32": Correct(mixed_precision, (normal(4, 3), normal(2, 4))),
    "a kink nearby": Correct(
        lambda x: jnp.sum(jnp.abs(x) * jnp.exp(x)), (np.float32([1e-6, -1e-5, 1e-3]),)
    ),
    "at a kink": Correct(lambda x: jax.nn.relu(x) + jnp.abs(x), (np.float32([0.0, 1.0]),)),
    "ties of a maximum": Correct(lambda x: jnp.max(x) * x[0], (np.float32([2.0, 2.0, 1.0]),)),
    "long sum": Correct(lambda x: jnp.sum(jnp.cumsum(x)), (np.ones(20_000, np.float32),)),
    "sum with one small term": Correct(
        lambda x: jnp.sum(jnp.sin(x)) + 1e5, (normal(300) * np.float32(1e-3),)
    ),
    "tiny arguments": Correct(lambda x: jnp.sum(x * x), (np.float32([1e-18, -3e-18]),)),
    "exp of a tiny argument": Correct(jnp.exp, (np.float32(1e-20),)),
    "log1p near 0": Correct(jnp.log1p, (np.float32([1e-7, -1e-8]),), 2),
    "log near 0": Correct(jnp.log, (np.float32([1e-5, 1e-30]),)),
    "huge scale": Correct(lambda x: 3 * x + 1e19, (np.float32([1e20, -4e20]),)),
    "norm near 0": Correct(jnp.linalg.norm, (np.float32([3e-10, 4e-10]),)),
    "norm near 0 with a rule": Correct(safe_norm, (np.float32([3e-10, 4e-10]),)),
    "high frequency": Correct(lambda x: jnp.sin(1e4 * x), (np.float32([0.3, 1.7]),)),
    "poles nearby": Correct(jnp.tan, (np.float32([1.57, -1.5707]),)),
    "steep sigmoid": Correct(lambda x: jax.nn.sigmoid(1e3 * x), (np.float32([0.01, -0.002]),)),
    "scales from 1e-12 to 1e12": Correct(
        lambda x: jnp.log(x), (np.float32([1e-12, 1.0, 1e12]),), 2
    ),
    "variance with a large mean": Correct(jnp.var, (np.float32(1e4) + normal(20),)),
    "determinant of a nearly singular matrix": Correct(
        jnp.linalg.det, (np.float32([[1.0, 1.0], [1.0, 1.001]]),)
    ),
    "rounded to whole numbers": Correct(lambda x: jnp.round(x) * x, (np.float32([1.2, 2.7]),)),
}
