"""What loops, branches and `checkpoint` keep for the way back, and what they compute again."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name

import funcnn
from funcnn.autodiff.programs.while_loop import CHECKPOINTS, reverse

from .modes import long

XS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
H = XS[0]


def kept(fun, *args):
    """The shapes of what the gradient of a function keeps, largest first."""
    leaves = lambda *args: jax.tree.leaves(funcnn.vjp(fun, *args)[1])
    found = jax.eval_shape(leaves, *args)
    return sorted((x.shape for x in found), key=np.prod, reverse=True)


def test_a_loop_s_state_is_found_among_what_it_gives_out():
    def body(h, x):
        h = jnp.tanh(h * x) + h
        return h, h

    assert kept(lambda xs, h: lax.scan(body, h, xs), XS, H) == [XS.shape, XS.shape, H.shape]


def test_what_is_made_of_a_loop_s_inputs_is_not_stacked():
    squares = lambda xs: lax.scan(lambda c, x: (c, x[:1] * x[:1]), 0.0, xs)[1]
    assert kept(squares, XS) == [XS.shape]


def carried_back(fun, *args):
    """How many values come out of the loop that goes back."""
    eqns = jax.make_jaxpr(funcnn.grad(fun, tuple(range(len(args)))))(*args).eqns
    _, backwards = (eqn for eqn in eqns if str(eqn.primitive) == "scan")
    return len(backwards.outvars)


@pytest.mark.parametrize(
    "step",
    [
        lambda c, d, x, y: (jnp.sin(c) * x, jnp.cos(d) * y),
        jax.checkpoint(lambda c, d, x, y: (jnp.sin(c) * x, d + y)),
    ],
    ids=["plain", "checkpoint"],
)
def test_a_loop_carries_no_cotangents_of_what_has_none(step):
    """Of two loops in one only the first is used: its state and its factor have cotangents."""

    def f(x, y):
        (c, _), _ = lax.scan(lambda cd, _: (step(*cd, x, y), None), (x, y), None, length=3)
        return c[0]

    assert carried_back(f, H, H) == 2


def test_a_loop_carries_no_cotangents_of_what_has_no_derivative():
    def f(x):
        step = lambda cs, _: ((jnp.sin(cs[0]) * cs[1], lax.sign(cs[0])), None)
        return lax.scan(step, (x, jnp.ones_like(x)), None, length=3)[0][0][0]

    assert carried_back(f, H) == 1


def test_branches_keep_their_values_in_the_same_places():
    three_factors = lambda x: jnp.sin(jnp.exp(jnp.sin(x)))
    switch = lambda i, x: lax.switch(i, [three_factors] * 2, x)
    assert kept(switch, np.int32(0), H) == [H.shape, H.shape, H.shape, ()]


def named(x):
    return jnp.sin(checkpoint_name(jnp.exp(jnp.sin(x)), "y") * x)


@pytest.mark.parametrize(
    ("policy", "count"),
    [(None, 1), (jax.checkpoint_policies.save_only_these_names("y"), 2)],
)
def test_a_checkpoint_keeps_what_the_policy_says(policy, count):
    block = jax.checkpoint(named, policy=policy)
    assert kept(block, H) == [H.shape] * count
    in_a_jit = jax.checkpoint(jax.jit(lambda x: long(named(x))), policy=policy)
    assert kept(in_a_jit, H) == [H.shape] * count
    # so that the compiler does not keep the rest
    assert "optimization_barrier" in str(jax.make_jaxpr(funcnn.grad(lambda x: block(x)[0]))(H))


@pytest.mark.parametrize(("length", "most"), [(CHECKPOINTS + 1, 1), (561, 2)])
def test_how_often_an_iteration_of_a_while_loop_is_computed_again(length, most):
    computed, gone_back = [], []

    def step(state):
        jax.debug.callback(computed.append, state[0])
        return [state[0] + 1]

    def step_back(state, last):
        jax.debug.callback(gone_back.append, state[0], ordered=True)
        return last

    reverse(step, step_back, np.int32(length), [np.int32(0)], np.float32(0))
    jax.effects_barrier()
    assert list(map(int, gone_back)) == list(range(length))[::-1]
    times = collections.Counter(map(int, computed))
    assert max(times.values()) == most
    assert length - 1 not in times
