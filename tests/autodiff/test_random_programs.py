"""Random programs: whatever they are, funcnn's gradient is JAX's.

What is drawn is in random_programs.py. Most programs are traced and then evaluated equation by
equation (one_by_one.py), a few are run eagerly and compiled. Where the two gradients differ by
more than rounding, it is asked how many digits the gradient of this program has at all.

    FUNCNN_EXAMPLES=10000 FUNCNN_SEED=1 pytest -s tests/autodiff/test_random_programs.py

looks at more programs, at others for each seed, and says how many there were of each kind.
"""

import collections
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import funcnn

from .one_by_one import traced
from .random_programs import TRIPS, evaluate, inputs, programs

EXAMPLES = int(os.environ.get("FUNCNN_EXAMPLES", "25"))
NOT_IN_JAX = (
    "not implemented",
    "Derivatives of non-symmetric eigenvectors",
    "can't apply forward-mode autodiff",  # to a custom_vjp function
    "select cases must have the same shapes",  # clamp, some of its bounds mapped
    "broadcast_in_dim operand dimension sizes",  # likewise
    "reduce_precision does not accept dtype complex",  # a policy of checkpoint keeps such a value
)
ROUNDING = 1e-10  # relative to the largest entry of the whole gradient
ROUNDING_32 = 1e-6  # where cotangents go through float32 on their way, one by one or summed


def along(m, f):
    """The slope of `f` in a direction that depends on where one is."""

    def slope(start, *rest):
        gradient = m.grad(f)(start, *rest)
        return sum(jnp.vdot(jnp.cos(x), g).real for x, g in zip(start, gradient, strict=True))

    return slope


def pair(start):
    return jax.tree.map(lambda x: jnp.stack([x, 0.8 * x + 0.1]), start)


# name -> run(m, f, start, *rest): m is funcnn, or jax for what is expected; `rest` is how long
# loops are, where only the run can tell
FIRST = {
    "traced": lambda m, f, start, *rest: traced(m.value_and_grad(f))(start, *rest),
    "in vmap": lambda m, f, start, *rest: traced(
        lambda starts, *rest: jax.vmap(lambda start: m.value_and_grad(f)(start, *rest))(starts)
    )(pair(start), *rest),
    "of vmap": lambda m, f, start, *rest: traced(
        m.grad(lambda starts, *rest: jnp.sum(jax.vmap(lambda start: f(start, *rest))(starts)))
    )(pair(start), *rest),
    "pullback": lambda m, f, start, *rest: traced(
        lambda start, *rest: m.vjp(lambda start: f(start, *rest), start)[1](jnp.sin(start.s))
    )(start, *rest),
}
RUN = {
    "eager": lambda m, f, *args: m.value_and_grad(f)(*args),
    "compiled": lambda m, f, *args: jax.jit(m.value_and_grad(f))(*args),
}
SECOND = {
    "twice": lambda m, f, *args: traced(m.grad(along(m, f)))(*args),
    "jax.jvp of it": lambda m, f, start, *rest: traced(
        lambda start, *rest: jax.jvp(lambda x: m.grad(f)(x, *rest), (start,), (start,))[1]
    )(start, *rest),
}
# here JAX differentiates too, so that all loops have to be of known length
MIXED = {
    "of jax.grad": lambda m, f, start: traced(m.grad(along(jax, f)))(start),
    "jax.grad of it": lambda m, f, start: traced(jax.grad(along(m, f)))(start),
}
MODES = {**FIRST, **RUN, **SECOND, **MIXED}


def by_jax(mode, program, start):
    return MODES[mode](jax, lambda start: evaluate(program, TRIPS, start), start)


def by_funcnn(mode, program, start):
    if mode in MIXED:
        return MODES[mode](funcnn, lambda start: evaluate(program, TRIPS, start), start)
    of_both = lambda start, trips: evaluate(program, trips, start)
    return MODES[mode](funcnn, of_both, start, jnp.asarray(TRIPS))


def difference(ours, theirs):
    """Relative to the largest entry of all; what is not finite must be the same."""
    ours, theirs = (
        np.concatenate([np.ravel(np.asarray(x)) for x in jax.tree.leaves(tree)])
        for tree in (ours, theirs)
    )
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return np.inf
    scale = np.abs(theirs[finite]).max(initial=0.0)
    return np.nan_to_num(
        np.abs(ours - theirs)[finite].max(initial=0.0) / (scale or 1.0), nan=np.inf
    )


def digits(mode, program, start, expected):
    """How far apart JAX's own results are at points that are nearly the same."""
    draw = np.random.default_rng(0).uniform
    near = [jax.tree.map(lambda x: x * (1 + 1e-14 * draw(-1, 1, x.shape)), start) for _ in range(2)]
    return max(difference(by_jax(mode, program, x), expected) for x in near)


def names(program):
    """Of all its steps, those of its blocks too."""
    return {step.name for step in program}.union(
        *(names(block) for step in program for block in step.blocks)
    )


counted: collections.Counter = collections.Counter()


@pytest.fixture(scope="module", autouse=True)
def say_how_many():
    yield
    if "FUNCNN_EXAMPLES" in os.environ:
        print(f"\nrandom programs: {sum(counted.values())}, {dict(counted)}")


def check(mode, program, start):
    """Raises where they differ; the program, drawn ever smaller by hypothesis, is the repro."""
    with jax.enable_x64(True):
        start = inputs(start)
        try:
            theirs = by_jax(mode, program, start)
        except (NotImplementedError, TypeError) as error:
            if not any(known in str(error) for known in NOT_IN_JAX):
                raise
            counted[mode, "not in JAX"] += 1
            return
        ours = by_funcnn(mode, program, start)
        leaves, leaves_jax = jax.tree.leaves(ours), jax.tree.leaves(theirs)
        assert [(x.shape, x.dtype) for x in leaves] == [(x.shape, x.dtype) for x in leaves_jax]
        off = difference(ours, theirs)
        rounding = ROUNDING_32 if "round trip" in names(program) else ROUNDING
        ill = off > rounding and off <= digits(mode, program, start, theirs)
        counted[mode, "few digits" if ill else "agree" if off <= rounding else "differ"] += 1
        assert off <= rounding or ill, f"{mode}: differs by {off:.3g}\nours {ours}\nJAX's {theirs}"


def over(modes, programs, share):
    """A test of that share of the examples."""

    def of(test):
        test = given(
            mode=st.sampled_from(sorted(modes)), program=programs, start=st.integers(0, 99)
        )(test)
        test = settings(
            max_examples=max(int(EXAMPLES * share), 2),
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize="FUNCNN_EXAMPLES" not in os.environ,
        )(test)
        return seed(int(os.environ["FUNCNN_SEED"]))(test) if "FUNCNN_SEED" in os.environ else test

    return of


SMALL = programs(1, 12, 2) | programs(1, 40, 1)
# with the steps of the blocks in them up to several hundred: longer runs have them
LARGE = programs(1, 25, 2) | programs(60, 150, 2)


@over(FIRST, SMALL | LARGE if EXAMPLES >= 100 else SMALL, 0.8)
def test_gradients_are_those_of_jax(mode, program, start):
    check(mode, program, start)


@over(SECOND | MIXED, programs(1, 8, 1), 0.17)
def test_second_derivatives_are_those_of_jax(mode, program, start):
    check(mode, program, start)


@over(RUN, programs(1, 5, 1), 0.03)
def test_run_eagerly_and_compiled(mode, program, start):
    check(mode, program, start)
