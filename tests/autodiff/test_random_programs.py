"""Random programs: whatever they are, funcnn's gradient is JAX's.

Each program is a list of steps over a growing list of values, drawn by hypothesis: the steps are
elementwise functions, products, reductions, broadcasts, slices, indexing and joins, some of them
wrapped in `jit` or in functions with a custom derivative. Some values are used several times, some
never. `FUNCNN_EXAMPLES=10000 pytest tests/autodiff/test_random_programs.py` looks longer.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax

import funcnn

from .agreement import assert_agree

EXAMPLES = int(os.environ.get("FUNCNN_EXAMPLES", "25"))


@jax.custom_jvp
def softsign(x):
    return x / (1 + jnp.abs(x))


@softsign.defjvp
def _(primals, tangents):
    [x], [t] = primals, tangents
    return softsign(x), t / (1 + jnp.abs(x)) ** 2


@jax.custom_vjp
def clipped(x, y):
    """A derivative that is not that of its code: both rules must be seen to be followed."""
    return x * y


clipped.defvjp(
    lambda x, y: (x * y, (x, y)), lambda kept, g: (jnp.clip(g, -1, 1) * kept[1], g * kept[0] * 2)
)

# what keeps values in a range where both sides have all their digits
UNARY = {
    "neg": lambda x: -x,
    "sin": jnp.sin,
    "tanh": jnp.tanh,
    "square": lambda x: jnp.tanh(x) ** 2,
    "cube": lambda x: jnp.tanh(x) ** 3,
    "exp": lambda x: jnp.exp(jnp.tanh(x)),
    "log": lambda x: jnp.log(1.5 + jnp.tanh(x)),
    "sqrt": lambda x: jnp.sqrt(1.5 + jnp.tanh(x)),
    "abs": jnp.abs,
    "logistic": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "gelu": jax.nn.gelu,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "softsign": softsign,
    "cumsum": lambda x: jnp.cumsum(x.ravel()).reshape(x.shape) / (1 + x.size),
    "stop": lambda x: x * lax.stop_gradient(jnp.cos(x)),
    "round trip": lambda x: x.astype(jnp.float32).astype(x.dtype),
    "where": lambda x: jnp.where(x > 0.1, x, jnp.sin(x)),
    "clip": lambda x: jnp.clip(x, -0.7, 0.8),
    "control flow": lambda x: sum((i * x for i in range(x.ndim)), x),
}
SHAPED = {
    "transpose": jnp.transpose,
    "ravel": jnp.ravel,
    "sum": lambda x: x.sum(axis=0) if x.ndim else x,
    "mean": lambda x: x.mean(axis=-1) if x.ndim else x,
    "max": lambda x: x.max(axis=0) if x.ndim else x,
    "min": lambda x: x.min(axis=-1, keepdims=True) if x.ndim else x,
    "logsumexp": lambda x: jax.nn.logsumexp(x, axis=-1) if x.ndim else x,
    "softmax": lambda x: jax.nn.softmax(x, axis=-1) if x.ndim else x,
    "expand": lambda x: x[None] if x.ndim < 3 else x,
    "repeat": lambda x: jnp.concatenate([x, 2 * x]) if x.ndim and x.size < 50 else x,
    "stack": lambda x: jnp.stack([x, jnp.sin(x)]) if x.ndim < 3 and x.size < 50 else x,
    "flip": lambda x: x[::-1] if x.ndim else x,
    "every second": lambda x: x[::2] if x.ndim else x,
    "pad": lambda x: jnp.pad(x, 1) if x.ndim and x.size < 50 else x,
    "gather": lambda x: x[jnp.array([0, -1, 0])] if x.ndim else x,
    "scatter add": lambda x: x.at[jnp.array([0, 0])].add(jnp.cos(x[0])) if x.ndim else x,
    "dynamic": lambda x: lax.dynamic_slice_in_dim(x, 1, 1) if x.ndim else x,
    "split": lambda x: jnp.split(x, [1])[0] if x.ndim else x,
    "unpack": lambda x: sum((v * v for v in x[:3]), jnp.zeros(x.shape[1:])) if x.ndim else x,
    "gram": lambda x: x @ x.T / x.shape[-1] if x.ndim == 2 else x,
    "vmapped": lambda x: jax.vmap(lambda v: jnp.sin(v) * v.sum())(x) if x.ndim else x,
    "norm": lambda x: x / (1 + jnp.linalg.norm(x)),
}
BINARY = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": lambda x, y: x / (1.5 + jnp.tanh(y)),
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "logaddexp": jnp.logaddexp,
    "power": lambda x, y: (1.5 + jnp.tanh(x)) ** jnp.tanh(y),
    "atan2": lambda x, y: jnp.arctan2(x, 2 + jnp.tanh(y)),
    "clipped": clipped,
    "outer": lambda x, y: jnp.outer(x.ravel()[:4], y.ravel()[:4]),
    "dot": lambda x, y: jnp.dot(x.ravel()[: min(x.size, y.size)], y.ravel()[: min(x.size, y.size)]),
}
STEPS = {**UNARY, **SHAPED, **BINARY}


def evaluate(program: list[tuple], values: list[Any]) -> Any:
    """The mean of every other value that the program made."""
    values = list(values)
    for name, first, second, wrapping in program:
        x, y = values[first % len(values)], values[second % len(values)]
        if x.size == 0 or y.size == 0:
            continue
        if name in BINARY:
            f, operands = BINARY[name], (x, y)
            if name not in ("outer", "dot"):
                try:
                    jnp.broadcast_shapes(x.shape, y.shape)
                except ValueError:
                    operands = (x, y.mean())
            if name == "clipped":  # custom_vjp broadcasts nothing for its rule
                operands = jnp.broadcast_arrays(*operands)
        else:
            f, operands = STEPS[name], (x,)
        made = jax.jit(f)(*operands) if wrapping == "jit" else f(*operands)
        if wrapping == "long jit":  # more equations than are opened while tracing
            made = jax.jit(many_equations)(made)
        if made.size <= 200:
            values.append(made)
    return sum(jnp.mean(jnp.sin(v)) for v in values[::2])


def many_equations(x):
    for scale in (0.9, 1.1, 0.8, 1.2):
        x = jnp.sin(scale * x) + jnp.cos(x) * 0.5
    return x


shapes = st.sampled_from([(), (3,), (2, 3), (1, 3), (3, 2), (2, 1, 3), (4,)])
steps = st.tuples(
    st.sampled_from(sorted(STEPS)),
    st.integers(0, 60),
    st.integers(0, 60),
    st.sampled_from(["plain", "plain", "jit", "long jit"]),
)


def inputs(input_shapes, seed):
    generator = np.random.default_rng(seed)
    return [jnp.asarray(generator.standard_normal(shape)) for shape in input_shapes]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
@given(
    program=st.lists(steps, min_size=1, max_size=30),
    input_shapes=st.lists(shapes, min_size=1, max_size=3),
    seed=st.integers(0, 2**16),
    compiled=st.booleans(),
)
def test_the_gradient_is_that_of_jax(program, input_shapes, seed, compiled):
    with jax.enable_x64(True):
        values = inputs(input_shapes, seed)

        def f(values):
            return evaluate(program, values)

        ours, theirs = funcnn.value_and_grad(f), jax.value_and_grad(f)
        if compiled:
            ours, theirs = jax.jit(ours), jax.jit(theirs)
        (value, gradient), (value_jax, gradient_jax) = ours(values), theirs(values)
        assert_agree(value, value_jax, 1e-12)
        # relative to the largest entry of the whole gradient
        flat, flat_jax = (
            jnp.concatenate([g.ravel() for g in gs]) for gs in (gradient, gradient_jax)
        )
        assert_agree(flat, flat_jax, 1e-9)


@settings(max_examples=max(EXAMPLES // 5, 3), deadline=None, database=None)
@given(program=st.lists(steps, min_size=1, max_size=6), seed=st.integers(0, 2**16))
def test_second_derivatives_are_those_of_jax(program, seed):
    with jax.enable_x64(True):
        [x] = inputs([(2, 3)], seed)

        def f(x):
            return evaluate(program, [x])

        def along(transform):
            return transform(lambda x: jnp.vdot(transform(f)(x), jnp.cos(x)))(x)

        ours, theirs = along(funcnn.grad), along(jax.grad)
        mixed = funcnn.grad(lambda x: jnp.vdot(jax.grad(f)(x), jnp.cos(x)))(x)
        assert_agree(ours, theirs, 1e-8)
        assert_agree(mixed, theirs, 1e-8)
