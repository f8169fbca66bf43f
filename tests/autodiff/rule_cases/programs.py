"""Programs inside programs."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from .case import Variant, case, complex_normal, inside, normal


def _long(x, y):
    """More equations than are opened while tracing: goes through its halves."""
    for _ in range(4):
        x, y = jnp.sin(x) * y, jnp.cos(y) + x
    return x, y


case(
    "jit",
    long=(jax.jit(_long), normal(3), normal(3)),
    one_operand=(lambda x: jax.jit(_long)(x, np.ones(3, x.dtype)), normal(3)),
    one_output=(lambda x, y: jax.jit(_long)(x, y)[1], normal(), normal()),
    nested=(jax.jit(lambda x, y: jax.jit(_long)(*jax.jit(_long)(x, y))), normal(3), normal(3)),
    short=(jax.jit(lambda x: jnp.sin(x) * x), normal(3)),
)


# --- scan


def _recurrent(w, h, xs):
    return lax.scan(lambda h, x: (jnp.tanh(w @ h + x), h * x), h, xs)


def _with_counter(x, xs):
    """An integer is carried, counted and given out; of the floats one is only read."""

    def body(carry, x):
        n, s, same = carry
        return (n + 1, s + jnp.sin(x) * n * same, same), (s * same, n, x > 0)

    return lax.scan(body, (jnp.int32(0), jnp.zeros_like(x), x), xs)


def _tracked_later(x, b=-0.2):
    """What is carried depends on x only after the first, the second, the third iteration."""

    def body(carry, _):
        a, b, c, d = carry
        return (a + 1, jnp.sin(a) * x, b * b, c + d), a * b

    init = tuple(jnp.full_like(x, value) for value in (0.3, b, 0.4, 0.1))
    return lax.scan(body, init, None, length=5)


def _same_in_all(w, b, xs):
    """Values that do not depend on the iteration, computed in the body."""

    def body(h, x):
        decay = jnp.exp(-(b**2)) @ jnp.exp(b)
        return jnp.tanh(h * decay + x @ (w * 2).T), jnp.cos(h)

    return lax.scan(body, b, xs)


def _handed_on(xs, h):
    """The state is a function of what is kept of the iteration before."""

    def body(carry, x):
        h, c = carry
        gate = jax.nn.sigmoid(x + h)
        c = gate * c + jnp.tanh(x * h)
        return (gate * jnp.tanh(c), c), c

    return lax.scan(body, (h, jnp.zeros_like(h)), xs)


def _handed_on_and_needed_for_it(xs, h):
    """Both could be made of the iteration before; but the first is made of the second."""

    def body(carry, x):
        a, b = carry
        return (jnp.tanh(b * x), jnp.cos(x)), jnp.sin(a) * b

    return lax.scan(body, (h, h), xs)


def _handed_out(xs, h, reverse):
    """The state is also what is given out, so that it is stacked already."""

    def body(h, x):
        h = jnp.tanh(h * x) + h
        return h, h

    return lax.scan(body, h, xs, reverse=reverse)


def _nested(x, n):
    inner = lambda c, i: (jnp.sin(c) * x + i, c)
    return lax.scan(lambda c, i: lax.scan(inner, c, jnp.arange(2.0) * i), x, jnp.arange(float(n)))


def _unused(x, xs):
    """Of the outputs and of what is carried, some depend on nothing, and an input is not read."""
    zero = jnp.zeros_like(x)
    body = lambda carry, xy: ((carry[0] * jnp.sin(xy[0]), zero + 2), (zero, carry[1]))
    return lax.scan(body, (x, zero), (xs, xs))


case(
    "scan",
    recurrent=(_recurrent, normal(2, 2), normal(2), normal(4, 2)),
    reverse=(
        lambda w, h, xs: lax.scan(lambda h, x: (jnp.sin(w * h) + x, h), h, xs, reverse=True),
        normal(2),
        normal(2),
        normal(3, 2),
    ),
    unrolled=(
        lambda w, xs: lax.scan(lambda h, x: (jnp.sin(w * h) + x, h), w, xs, unroll=2),
        normal(2),
        normal(5, 2),
    ),
    counter=(_with_counter, normal(), normal(4)),
    tracked_later=(_tracked_later, normal(2)),
    same_in_all=(_same_in_all, normal(2, 2), normal(2), normal(3, 2)),
    handed_on=(_handed_on, normal(4, 2), normal(2)),
    needed_for_it=(_handed_on_and_needed_for_it, normal(4, 2), normal(2)),
    handed_out=(lambda xs, h: _handed_out(xs, h, False), normal(4, 2), normal(2)),
    handed_out_reverse=(lambda xs, h: _handed_out(xs, h, True), normal(4, 2), normal(2)),
    # what the others are carried for has no cotangent of its own
    only_the_last=(lambda x, b: _tracked_later(x, b)[0][3], normal(2), normal(2)),
    nested=(lambda x: _nested(x, 3), normal(2)),
    unused=(_unused, normal(2), normal(3, 2)),
    no_iteration=(_recurrent, normal(2, 2), normal(2), normal(0, 2)),
    one_iteration=(_recurrent, normal(2, 2), normal(2), normal(1, 2)),
    nothing_scanned=(
        lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) * x + i, x),
        normal(2),
    ),
    complex=(
        lambda x, xs: lax.scan(lambda c, x: (c * x, jnp.abs(c)), x, xs),
        complex_normal(2),
        complex_normal(3, 2),
    ),
    mapped=(lambda xs: lax.map(lambda x: jnp.sin(x) @ x, xs), normal(3, 2)),
)

# --- cond and switch

_BRANCHES = [
    lambda x, y: (jnp.sin(x) * jnp.exp(y), y),
    lambda x, y: (x * 2, jnp.ones_like(y)),
    lambda x, y: (jnp.cumsum(jnp.tanh(x * x)), jnp.cos(x) * x),
    lambda x, y: (jnp.ones_like(x), y),
]

case(
    "cond",
    **{
        f"branch_{i}": (lambda x, y, i: lax.switch(i, _BRANCHES, x, y), normal(3), normal(3), i)
        for i in map(np.int32, (2, 0, 1, 3))  # eagerly only the first
    },
    predicate=(
        lambda x: lax.cond(x[0] > 0, lambda x: x * x, lambda x: x - jnp.sin(x), x),
        normal(3),
    ),
    scalar=(lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x), normal()),
    nested=(
        lambda x, i: lax.cond(
            i < 1, lambda x: lax.cond(i < 0, jnp.sin, jnp.exp, x * x), lambda x: x**3, x
        ),
        normal(2),
        np.int32(0),
    ),
    in_a_loop=(
        lambda xs, x: lax.scan(
            lambda c, v: (lax.cond(v > 0, lambda c: jnp.sin(c) * v, lambda c: c * x, c), c), x, xs
        ),
        normal(4),
        normal(),
    ),
    one_branch_in_common=(
        lambda x, i: lax.cond(i > 0, jnp.cos, jnp.sin, x) * lax.cond(i > 0, jnp.exp, jnp.sin, x),
        normal(3),
        np.int32(2),
    ),
    by_platform=(
        lambda x: lax.platform_dependent(
            x, cpu=lambda x: jnp.sin(x) * jnp.exp(x), default=lambda x: jnp.exp(x) * jnp.sin(x)
        ),
        normal(3),
    ),
    with_integers=(
        lambda x, n: lax.cond(n > 4, lambda x, n: (x, n + 1), lambda x, n: (x * n, n), x, n),
        normal(2),
        np.int32(3),
    ),
)

# --- while: JAX has no reverse mode for it


def _counted(x, y, n):
    """As many iterations as n says."""
    body = lambda c: (
        c[0] + 1,
        jnp.sin(c[1] * y + c[0] / 8) + 0.3 * c[1],
        jnp.cos(c[2] / 2) + jnp.sum(c[1] ** 2),
    )
    return lax.while_loop(lambda c: c[0] < n, body, (jnp.ones_like(n), x, jnp.zeros_like(x[0])))


def _in_steps(x, end):
    """The end is carried, and is not the number that the loop ends with."""
    body = lambda c: (c[0] + 2, c[1], jnp.sin(c[2] * c[1]) * x + c[0])
    return lax.while_loop(lambda c: c[0] < c[1], body, (np.int32(1), end, x))


def _until_small(x):
    """The end depends on the values."""
    return lax.while_loop(lambda v: jnp.sum(v**2) > 1e-2, lambda v: v * jnp.cos(v) * 0.7, x)


def _beyond_jax(fun, *args):
    return Variant(fun, args, in_jax=False)


case(
    "while",
    counted=_beyond_jax(_counted, inside(3), inside(3), np.int32(4)),
    none=_beyond_jax(_counted, inside(3), inside(3), np.int32(0)),
    # 32 states are kept at a time: an iteration is computed up to twice more, and three times
    long=_beyond_jax(_counted, np.array([0.3]), np.array([0.9]), np.int32(100)),
    longer=_beyond_jax(_counted, np.array([0.3]), np.array([0.9]), np.int32(700)),
    until_small=_beyond_jax(_until_small, normal(3)),
    in_scan=_beyond_jax(
        lambda x, n: lax.scan(lambda c, _: (_counted(c, x, n)[1], None), x, None, length=2)[0],
        inside(2),
        np.int32(2),
    ),
    with_bounds=_beyond_jax(_in_steps, inside(2), np.int32(4)),
    mapped=_beyond_jax(
        lambda x: jax.vmap(lambda x, n: _counted(x, x, n))(x, jnp.array([1, 3])), inside(2, 2)
    ),
    complex=_beyond_jax(
        lambda x, n: lax.fori_loop(0, n, lambda i, c: c * x, x), complex_normal(2), np.int32(3)
    ),
)

# --- checkpoint


def _block(w, x):
    y = checkpoint_name(jnp.sin(w @ x), "y")
    return jnp.tanh(w @ (y * x)) * y, y


_policies = jax.checkpoint_policies
case(
    "remat2",
    **{
        name: (jax.checkpoint(_block, policy=policy), normal(2, 2), normal(2))
        for name, policy in {
            "nothing": None,
            "dots": _policies.dots_saveable,
            "named": _policies.save_only_these_names("y"),
            "everything": _policies.everything_saveable,
        }.items()
    },
    in_a_loop=(
        lambda w, x: lax.scan(
            lambda c, _: jax.checkpoint(_block, prevent_cse=False)(w, c), x, None, length=3
        ),
        normal(2, 2),
        normal(2),
    ),
    nested=(
        lambda w, x: jax.checkpoint(lambda x: jax.checkpoint(_block)(w, jnp.sin(x)))(x),
        normal(2, 2),
        normal(2),
    ),
    around_a_loop=(
        jax.checkpoint(lambda w, x: lax.fori_loop(0, 3, lambda _, c: jnp.sin(w @ c), x)),
        normal(2, 2),
        normal(2),
    ),
)

# --- custom_linear_solve


def _regular(a):
    return a + 3 * jnp.eye(3, dtype=a.dtype)


def _solve(a, b):
    inverse = jnp.linalg.inv(jnp.exp(lax.stop_gradient(a)))
    transposed = inverse.T
    return lax.custom_linear_solve(
        lambda x: jnp.exp(a) @ x, b, lambda matvec, y: inverse @ y, lambda vecmat, y: transposed @ y
    )


def _solve_symmetric(a, b):
    inverse = jnp.linalg.inv(lax.stop_gradient(a))
    return lax.custom_linear_solve(lambda x: a @ x, b, lambda _, y: inverse @ y, symmetric=True)


def _two_unknowns(a, b):
    """A system whose unknown is a pair."""
    solve = lambda matvec, y: (y[0] / a, y[1] / (a * a))
    return lax.custom_linear_solve(
        lambda x: (x[0] * a, x[1] * (a * a)), (b, jnp.sin(b)), solve, solve
    )


case(
    "custom_linear_solve",
    general=(lambda a, b: _solve(_regular(a), b), inside(3, 3), normal(3)),
    symmetric=(lambda a, b: _solve_symmetric(_regular(a + a.T), b), inside(3, 3), normal(3)),
    pair=(_two_unknowns, normal(2) + 3, normal(2)),
)
