"""The rule for `while_loop`, which JAX has none for: a loop whose length only the run can tell.

The way there counts the iterations and keeps nothing but where it started. The way back needs the
state before each iteration, the last one first, and computes it again from checkpoints, of which
there are always `CHECKPOINTS`. Where they stand is chosen so that with s of them and no iteration
computed more than r times, loops of (s + r)! / (s! r!) iterations can be gone back through, which
is the most there can be (Griewank and Walther 2000, "Algorithm 799: Revolve").

With 32 checkpoints the way back computes an iteration at most once more for up to 33 iterations,
twice for 561, 3 times for 6,545, 4 times for 58,905 and 6 times for 2.7 million; and the memory
is that of 32 states, however long the loop.
"""

import functools
import math
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.calls import Calls, called, inlined
from funcnn.autodiff.programs.joint import (
    evaluate,
    halve,
    joint,
    live,
    once,
    pull_back,
)
from funcnn.autodiff.programs.loops import added, present_in_any, tracked_in_any, zeros_for_absent
from funcnn.autodiff.rules.table import Recorded, register

CHECKPOINTS = 32


def while_rule(primitive, values, tracked, params) -> Recorded:
    cond, body = params["cond_jaxpr"], params["body_jaxpr"]
    counts = params["cond_nconsts"], params["body_nconsts"]
    if jax_versions.open_jaxpr(cond).outvars[0].aval.shape:
        return _row_by_row(cond, body, values, tracked, *counts)
    made = once(
        body,
        ("while", weakref.ref(cond), counts, tracked),
        lambda: inlined(_loops(cond, body, tracked, *counts)),
    )
    return called(made, values)


register(lax.while_p, while_rule)


def _row_by_row(cond, body, values, tracked, cond_nconsts, body_nconsts) -> Recorded:
    """What `vmap` makes of a loop that some rows leave before others.

    It goes on while any row does, and a row that is done stays as it is. As a loop that says so
    itself, the constants of the condition are also some of the body's.
    """

    def make():
        goes_on, step = _function_of(cond), _function_of(body)

        def any_goes_on(for_cond, state):
            return [jnp.any(goes_on(*for_cond, *state)[0])]

        def step_of_some(for_cond, for_body, state):
            [going] = goes_on(*for_cond, *state)
            return [
                jnp.where(lax.broadcast_in_dim(going, new.shape, range(going.ndim)), new, old)
                for new, old in zip(step(*for_body, *state), state, strict=True)
            ]

        of_cond = [v.aval for v in jax_versions.open_jaxpr(cond).invars]
        of_body = [v.aval for v in jax_versions.open_jaxpr(body).invars]
        for_cond, state = of_cond[:cond_nconsts], of_cond[cond_nconsts:]
        for_body = of_body[:body_nconsts]
        return (
            jax.make_jaxpr(any_goes_on)(for_cond, state),
            jax.make_jaxpr(step_of_some)(for_cond, for_body, state),
        )

    cond, body = once(body, ("while row by row", weakref.ref(cond)), make)
    twice = values[:cond_nconsts], tracked[:cond_nconsts]
    recorded = while_rule(
        lax.while_p,
        [*twice[0], *values],
        (*twice[1], *tracked),
        {
            "cond_jaxpr": cond,
            "body_jaxpr": body,
            "cond_nconsts": cond_nconsts,
            "body_nconsts": cond_nconsts + body_nconsts,
        },
    )
    return recorded._replace(backward=lambda saved, gs: recorded.backward(saved, gs)[cond_nconsts:])


def _loops(cond, body, tracked, cond_nconsts, body_nconsts):
    tracked = tracked[cond_nconsts:]
    carried = len(tracked) - body_nconsts
    tracked = tracked_in_any(body, tracked, body_nconsts, carried)
    program = joint(body, tracked)
    # an iteration is gone back through right after it was computed: all its values are at hand
    halves = halve(program, cost=lambda v: 0, can_be_made_again=lambda eqn: False)
    there = live(program.forward, halves.kept)
    of_body, of_carry = program.operands[:body_nconsts], program.operands[body_nconsts:]
    goes_on = _function_of(cond)
    steps = _function_of(body)

    def forward(*values):
        for_cond, rest = values[:cond_nconsts], list(values[cond_nconsts:])
        constants, init = rest[:body_nconsts], rest[body_nconsts:]
        count, outs = lax.while_loop(
            lambda state: goes_on(*for_cond, *state[1])[0],
            lambda state: (state[0] + 1, steps(*constants, *state[1])),
            (np.int32(0), init),
        )
        return [*outs, count]

    def backward(saved, gs):
        count, constants, init = saved[-1], saved[:body_nconsts], saved[body_nconsts:-1]
        has_carry, asked = present_in_any(halves, gs, [], body_nconsts)
        gs = zeros_for_absent(gs, has_carry, of_carry)
        sums = zeros_for_absent([None] * body_nconsts, asked[:body_nconsts], of_body)

        def step_back(state, cotangents):
            gs, sums = cotangents
            env = dict(zip(program.operands, (*constants, *state), strict=True))
            env |= program.constants
            evaluate(there, env)
            found = pull_back(halves, {v: env[v] for v in halves.kept}, gs)
            gs = zeros_for_absent(found[body_nconsts:], has_carry, of_carry)
            return gs, added(sums, found[:body_nconsts])

        gs, sums = reverse(
            lambda state: steps(*constants, *state),
            step_back,
            count,
            init,
            (gs, sums),
        )
        return [*[None] * cond_nconsts, *sums, *gs]

    operands = [("operand", cond_nconsts + i) for i in range(len(tracked))]
    return Calls(forward, backward, tracked[body_nconsts:], [*operands, ("added", 0)])


def reverse(step: Any, step_back: Any, count: Any, init: Any, cotangents: Any) -> Any:
    """Goes back through `count` iterations of `step` from `init`, with few states in memory.

    Args:
      step: state -> state.
      step_back: (state before the iteration, cotangents after it) -> cotangents before it.
      count: int32, how many iterations there were.
      init: the state before the first one, a list of arrays.
      cotangents: after the last one, a pytree.

    Returns:
      The cotangents before the first iteration.
    """
    longest = jnp.asarray(_longest(CHECKPOINTS))

    def distance(length, free):
        """How far from one checkpoint the next one should stand: 1 <= distance < length."""
        here = free + 1  # with the one that stands at the start
        times = jnp.sum(longest[here] < length, dtype=np.int32)
        rest = longest[free, times]  # 1 where none is free
        return jnp.maximum(length - rest, 1)

    def iteration(carry):
        end, top, places, stack, cotangents = carry
        state = [_at(x, top) for x in stack]

        def further(carry):
            at, top, places, stack, state = carry
            free = CHECKPOINTS - 1 - top
            steps = distance(end - at, free)
            state = lax.fori_loop(np.int32(0), steps, lambda _, state: step(state), state)
            at = at + steps
            # with none free the last place is written over by what is in it
            top = jnp.minimum(top + 1, CHECKPOINTS - 1)
            keep = free > 0
            places = places.at[top].set(jnp.where(keep, at, places[top]))
            stack = [
                lax.dynamic_update_index_in_dim(x, jnp.where(keep, s, _at(x, top)), top, axis=0)
                for x, s in zip(stack, state, strict=True)
            ]
            return at, top, places, stack, state

        at = places[top]
        _, top, places, stack, state = lax.while_loop(
            lambda carry: carry[0] < end - 1, further, (at, top, places, stack, state)
        )
        cotangents = step_back(state, cotangents)
        end = end - 1
        top = jnp.where(places[top] >= end, top - 1, top)
        return end, top, places, stack, cotangents

    places = np.zeros(CHECKPOINTS, np.int32)
    stack = [jnp.broadcast_to(x, (CHECKPOINTS, *jnp.shape(x))) for x in init]
    carry = (count, np.int32(0), places, stack, cotangents)
    return lax.while_loop(lambda carry: carry[0] > 0, iteration, carry)[-1]


@functools.cache
def _longest(most: int) -> np.ndarray:
    """[s, r]: the longest loop for s checkpoints and r computations of each iteration."""
    limit = np.iinfo(np.int32).max
    times = range(next(r for r in range(limit) if math.comb(most + r, most) > limit) + 1)
    return np.array(
        [[min(math.comb(s + r, s), limit) for r in times] for s in range(most + 1)], np.int32
    )


def _at(stack, i):
    return lax.dynamic_index_in_dim(stack, i, axis=0, keepdims=False)


def _function_of(jaxpr):
    return lambda *values: jax_versions.eval_closed_jaxpr(jaxpr, values)
