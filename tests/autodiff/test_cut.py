"""The minimum cut, alone: against trying every set of variables, and on programs worked by hand."""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from funcnn.autodiff.programs.cut import bytes_of, is_cheap, is_elementwise, minimum_cut


class Equation(NamedTuple):
    """All that a cut looks at: what is read and made, and here also whether it may be repeated."""

    invars: tuple
    outvars: tuple
    repeatable: bool


def suffices(kept, eqns, wanted, at_hand):
    """Can all that is wanted be made of `kept`?"""
    made = {*kept, *at_hand}
    for eqn in eqns:
        if eqn.repeatable and made.issuperset(eqn.invars):
            made.update(eqn.outvars)
    return made.issuperset(wanted)


def least(variables, eqns, wanted, cost, at_hand):
    return min(
        sum(cost[v] for v in kept)
        for size in range(len(variables) + 1)
        for kept in itertools.combinations(variables, size)
        if suffices(kept, eqns, wanted, at_hand)
    )


@st.composite
def programs(draw):
    """Operands 0, 1, 2, equations in order, what is wanted, what it costs, what is at hand."""
    eqns, count = [], 3
    for _ in range(draw(st.integers(0, 5))):
        outs = draw(st.integers(1, 2))
        inputs = draw(st.lists(st.integers(0, count - 1), max_size=3))
        made = tuple(range(count, count + outs))
        eqns.append(Equation(tuple(inputs), made, draw(st.booleans())))
        count += outs
    variables = range(count)
    wanted = draw(st.sets(st.sampled_from(variables)))
    cost = [draw(st.sampled_from([0, 1, 2, 3, 8, 100, 10**10])) for _ in variables]
    at_hand = draw(st.sets(st.sampled_from([0, 1, 2]), max_size=1))
    return eqns, wanted, cost, at_hand


@settings(max_examples=300, deadline=None, database=None)
@given(programs())
def test_no_set_of_variables_that_suffices_costs_less(program):
    eqns, wanted, cost, at_hand = program
    kept = minimum_cut(eqns, wanted, cost.__getitem__, lambda eqn: eqn.repeatable, at_hand)
    assert suffices(kept, eqns, wanted, at_hand)
    best = least(range(len(cost)), eqns, wanted, cost, at_hand)
    # costs are scaled to whole numbers of 32 bits
    assert sum(cost[v] for v in kept) <= best * (1 + 1e-6) + 1e-6 * max(cost)


def chain(*repeatable):
    """0 -> 1 -> 2 ..."""
    return [Equation((i,), (i + 1,), again) for i, again in enumerate(repeatable)]


def cut(eqns, wanted, cost, at_hand=()):
    return minimum_cut(eqns, wanted, cost, lambda eqn: eqn.repeatable, at_hand)


def test_of_several_as_cheap_the_nearest_to_what_is_wanted_is_kept():
    """So that nothing is made again without need."""
    assert cut(chain(True, True, True), {3}, lambda v: 4) == {3}


def test_what_is_cheaper_upstream_is_kept_there():
    assert cut(chain(True, True), {2}, {0: 1, 1: 5, 2: 2}.get) == {0}


def test_what_may_not_be_repeated_is_kept_behind():
    assert cut(chain(True, False, True), {3}, {0: 0, 1: 0, 2: 9, 3: 9}.get) == {3}
    assert cut(chain(True, False, True), {3}, {0: 0, 1: 0, 2: 8, 3: 9}.get) == {2}


def test_one_source_of_many_is_kept_once():
    """Two values of size 1 each, made of one of size 1."""
    eqns = [Equation((0,), (1,), True), Equation((0,), (2,), True)]
    assert cut(eqns, {1, 2}, lambda v: 1) == {0}


def test_nothing_is_kept_of_what_is_made_of_nothing_or_at_hand():
    eqns = [Equation((), (1,), True), Equation((0, 1), (2,), True)]
    assert cut(eqns, {2}, lambda v: 1, at_hand={0}) == set()
    assert cut(eqns, {2}, lambda v: 1) == {2}


def test_what_must_not_be_kept_is_made_again():
    assert cut(chain(True, True), {1, 2}, {0: 7, 1: math.inf, 2: math.inf}.get) == {0}


def test_huge_and_tiny_costs_together():
    """More bytes than an integer of 32 bits can count."""
    costs = {0: 5 * 10**12, 1: 4 * 10**12, 2: 6 * 10**12}
    assert cut(chain(True, True), {2}, costs.get) == {1}


def equations(f, *args):
    jaxpr = jax.make_jaxpr(f)(*args)
    return getattr(jaxpr, "jaxpr", jaxpr).eqns


X = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("f", "cheap", "element_by_element"),
    [
        (lambda x: x + 1, True, True),
        (lambda x: x.T, True, True),
        (lambda x: jnp.where(x > 0, x, 0), True, True),
        (lambda x: lax.tanh(x), False, True),
        (lambda x: lax.dynamic_slice(x, (0, 0), (1, 1)), False, True),
        (lambda x: x @ x.T, False, False),
        (lambda x: lax.reduce_sum(x, (0,)), False, False),
        (lambda x: lax.sort(x), False, False),
        (lambda x: lax.fori_loop(0, 3, lambda _, c: c + 1, x), False, False),
        (lambda x: lax.rng_uniform(np.float32(0), np.float32(1), (2,)), False, False),
        (lambda x: jax.debug.print("{}", x), False, False),
        (jax.jit(lambda x: x * 2 + x), True, True),
        (jax.jit(lambda x: lax.sin(x) + x), False, True),
        (jax.jit(lambda x: x @ x.T + 1), False, False),
    ],
)
def test_what_is_worth_making_again(f, cheap, element_by_element):
    *_, eqn = equations(f, X)
    assert (is_cheap(eqn), is_elementwise(eqn)) == (cheap, element_by_element)


def test_bytes():
    [eqn] = equations(lambda x: lax.convert_element_type(x, jnp.bfloat16), X)
    assert [bytes_of(v) for v in (*eqn.invars, *eqn.outvars)] == [24, 12]
