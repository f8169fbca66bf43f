"""Mutable arrays (`jax.new_ref`): against the same written without mutation.

JAX 0.10 cannot differentiate them twice, and JAX up to 0.12 gives wrong numbers for one made inside
of a loop: so JAX differentiates the plain form.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import funcnn

from .agreement import assert_agree

X = np.array([0.3, -0.7, 1.2], np.float32)
WEIGHTS = np.array([1.0, -2.0, 3.0], np.float32)


def all_at_once(x):
    ref = jax.new_ref(x)
    ref[...] = ref[...] * x
    ref[...] *= ref[...]
    return jax.freeze(ref) * x


def one_by_one(x):
    ref = jax.new_ref(jnp.zeros(3, x.dtype))
    ref[1] = x[0]
    ref[2] = x[1] * ref[1]
    ref[0] = ref[2]
    ref[1] = ref[1] * ref[0]
    return ref[...]


def plainly_one_by_one(x):
    return jnp.stack([x[1] * x[0], x[0] * x[1] * x[0], x[1] * x[0]])


def added(x):
    ref = jax.new_ref(x)
    jax.ref.addupdate(ref, slice(0, 2), x[1:] * x[0])
    jax.ref.addupdate(ref, ..., x)
    twice_the_first = ref[jnp.array([0, 0, 2])]
    ref[...] = ref[...] * twice_the_first
    return jax.freeze(ref)


def plainly_added(x):
    y = x.at[:2].add(x[1:] * x[0]) + x
    return y * y[jnp.array([0, 0, 2])]


def swapped(x):
    ref = jax.new_ref(x)
    old = jax.ref.swap(ref, 1, x[2] * 2)
    whole = jax.ref.swap(ref, ..., x * x)
    return jnp.stack([old, whole[1], ref[0]])


def overwritten(x):
    ref = jax.new_ref(x * x)
    ref[0] = 5.0
    ref[1] = x[0]
    return ref[...]


def through_a_jit(x):
    ref = jax.new_ref(jnp.ones((2, 3), x.dtype))

    @jax.jit
    def write(ref, x):
        ref[0] = x
        ref[1, 1] = ref[0, 1] * x[0]
        return ref[1]

    return write(ref, x) + ref[0] * ref[1, 1]


def inside_a_jit(x):
    @jax.jit
    def inner(x):
        ref = jax.new_ref(x)
        for i in range(3):
            ref[i] = ref[i] * ref[(i + 1) % 3] + jnp.sin(x[i])
        return ref[...]

    return inner(x)


def plainly_inside(x):
    y = x
    for i in range(3):
        y = y.at[i].set(y[i] * y[(i + 1) % 3] + jnp.sin(x[i]))
    return y


def inside_a_loop(x):
    def body(c, i):
        ref = jax.new_ref(x)
        ref[i] = c
        return jnp.sum(ref[...]) * c, ref[0]

    c, firsts = lax.scan(body, jnp.ones((), x.dtype), jnp.arange(3))
    return firsts * c


def plainly_in_a_loop(x):
    def body(c, i):
        y = x.at[i].set(c)
        return jnp.sum(y) * c, y[0]

    c, firsts = lax.scan(body, jnp.ones((), x.dtype), jnp.arange(3))
    return firsts * c


def given_to_a_loop(x):
    """One that nothing tracked is in at first, one that the loop reads before it writes it."""
    sums, scale = jax.new_ref(jnp.zeros(3, x.dtype)), jax.new_ref(x[0])

    def body(c, xi):
        sums[...] = sums[...] + xi * scale[...] * jnp.arange(3)
        scale[...] = scale[...] * 2
        return c * xi, scale[...]

    c, scales = lax.scan(body, jnp.ones((), x.dtype), x, reverse=True)
    return sums[...] * c + scales + scale[...]


def plainly_given_to_a_loop(x):
    def body(carry, xi):
        c, sums, scale = carry
        sums = sums + xi * scale * jnp.arange(3)
        scale = scale * 2
        return (c * xi, sums, scale), scale

    init = jnp.ones((), x.dtype), jnp.zeros(3, x.dtype), x[0]
    (c, sums, scale), scales = lax.scan(body, init, x, reverse=True)
    return sums * c + scales + scale


def given_to_a_branch(x):
    ref, other = jax.new_ref(x), jax.new_ref(x * 2)

    def yes():
        ref[0] = x[1] * other[2]
        return x[0]

    out = lax.cond(x[0] < x[1], yes, lambda: ref[1])
    return out * ref[...] + other[...]


def plainly_given_to_a_branch(x):
    yes = x[0] < x[1]
    y = jnp.where(yes, x.at[0].set(x[1] * x[2] * 2), x)
    return jnp.where(yes, x[0], x[1]) * y + x * 2


def given_to_a_while(x):
    size, ref = jax.new_ref(1.0), jax.new_ref(x)

    def body(c):
        ref[...] = ref[...] * x
        size[...] *= 2
        return c + ref[1]

    return lax.while_loop(lambda _: size[...] < 5, body, x[0]) * ref[...]


def integers_beside(x):
    count = jax.new_ref(jnp.arange(3))
    count[1] = 7
    return x * count[...]


PAIRS = {
    "all at once": (all_at_once, lambda x: x**5),
    "one by one": (one_by_one, plainly_one_by_one),
    "added": (added, plainly_added),
    "swapped": (swapped, lambda x: jnp.stack([x[1], x[2] * 2, x[0] * x[0]])),
    "overwritten": (overwritten, lambda x: jnp.stack([jnp.full_like(x[0], 5), x[0], x[2] * x[2]])),
    "through a jit": (
        through_a_jit,
        lambda x: jnp.ones(3).at[1].set(x[1] * x[0]) + x * (x[1] * x[0]),
    ),
    "inside a jit": (inside_a_jit, plainly_inside),
    "inside a loop": (inside_a_loop, plainly_in_a_loop),
    "given to a loop": (given_to_a_loop, plainly_given_to_a_loop),
    "given to a branch": (given_to_a_branch, plainly_given_to_a_branch),
    "given to a while": (
        given_to_a_while,
        lambda x: (x[0] + x[1] ** 2 + x[1] ** 3 + x[1] ** 4) * x**4,
    ),
    "integers": (integers_beside, lambda x: x * jnp.array([0, 7, 2])),
}


def first_and_second(grad, f):
    """The gradient, and that of its squared length: of a batch, as one program."""
    second = grad(lambda x: jnp.sum(grad(f)(x) ** 2))
    return jax.jit(jax.vmap(lambda x: (grad(f)(x), second(x))))


@pytest.mark.parametrize("name", PAIRS)
def test_as_without_mutation(name):
    ref, plain = (lambda x, f=f: jnp.sum(f(x) * WEIGHTS) for f in PAIRS[name])
    batch = np.stack([X, X[::-1]])
    expected = first_and_second(jax.grad, plain)(batch)
    assert_agree(first_and_second(funcnn.grad, ref)(batch), expected, 3e-6)
    assert_agree(funcnn.grad(ref)(X), expected[0][0], 1e-6)


def test_what_is_not_a_number_stays_where_it_is():
    """The zeros that a cotangent is put into are zeros, whatever it is."""

    def f(x):
        ref = jax.new_ref(x)
        return jnp.log(ref[0]) + ref[1]

    assert_agree(funcnn.grad(f)(np.zeros(3, np.float32)), np.array([np.inf, 1, 0], np.float32), 0)
    g = funcnn.vjp(lambda x: jax.new_ref(x)[0], X)[1](np.float32(np.nan))[0]
    assert np.isnan(g[0])
    assert g[1] == g[2] == 0


def test_a_reference_made_outside():
    notes = jax.new_ref(jnp.zeros(3))

    def noting(x):
        notes[...] = lax.stop_gradient(x)
        return jnp.sum(x * notes[...])

    assert_agree(funcnn.grad(noting)(X), X, 1e-6)
    assert_agree(notes[...], X, 0)

    def written(x):
        notes[0] = x[0]
        return notes[0]

    with pytest.raises(ValueError, match="made outside"):
        funcnn.grad(written)(X)


def test_a_reference_given_to_what_cannot_carry_its_contents():
    def f(x):
        ref = jax.new_ref(x)

        @jax.checkpoint
        def write(x):
            ref[0] = x[1] * ref[0]

        write(x)
        return ref[0]

    with pytest.raises(NotImplementedError, match="hand over the array"):
        funcnn.grad(f)(X)
