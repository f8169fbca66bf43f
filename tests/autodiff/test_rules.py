"""Every rule of the table: against JAX, against central differences, and to second order."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn
from funcnn.autodiff.rules.table import no_gradient, rules

from .agreement import assert_agree
from .rule_cases import CASES

TABLE = {str(primitive) for primitive in {*rules, *no_gradient}}

# each program here is compiled to be run once
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


class Program:
    """Variants of a case as one function of `floats`, the arguments that can be differentiated.

    One function, so that a case is compiled once for each thing that is asked of it.
    """

    def __init__(self, variants, dtype):
        wide = {"f": np.dtype(dtype), "c": np.result_type(dtype, np.complex64)}
        as_dtype = lambda x: np.asarray(x, wide.get(np.asarray(x).dtype.kind))
        self.variants = variants
        self.args = {name: [as_dtype(x) for x in v.args] for name, v in variants.items()}
        self.floats = {name: list(filter(inexact, args)) for name, args in self.args.items()}
        self.out = jax.eval_shape(self, self.floats, self.args)

    def __call__(self, floats, args):
        """What each variant gives out that can be differentiated."""
        outs = {}
        for name, variant in self.variants.items():
            given = iter(floats[name])
            out = variant.fun(*[next(given) if inexact(x) else x for x in args[name]])
            outs[name] = [leaf for leaf in jax.tree.leaves(out) if inexact(leaf)]
        return outs


def inexact(x):
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def random_like(tree, seed):
    """Random values of the shapes and dtypes of `tree`: cotangents, directions."""
    rng = np.random.default_rng(seed)

    def draw(x):
        drawn = rng.normal(size=x.shape)
        if x.dtype.kind == "c":
            drawn = drawn + 1j * rng.normal(size=x.shape)
        return np.asarray(drawn, x.dtype)

    return jax.tree.map(draw, tree)


def pull_back(vjp, program, floats, args, g):
    """The value, and the cotangents of `floats` for the cotangent `g`."""
    out, pullback = vjp(lambda floats: program(floats, args), floats)
    return out, pullback(g)[0]


def pull_back_twice(vjp, program, floats, args, g, gg):
    """The cotangents of `floats` and `g` when value and cotangents have the cotangents `gg`."""
    once = lambda floats, g: pull_back(vjp, program, floats, args, g)
    return vjp(once, floats, g)[1](gg)


def known_to_jax(primitive):
    return {name: v for name, v in CASES[primitive].items() if v.in_jax}


@pytest.mark.parametrize("primitive", CASES)
def test_in_float32(primitive):
    program = Program(CASES[primitive], np.float32)
    args = (program.floats, program.args, random_like(program.out, 1))
    only = lambda names, tree: tuple({name: part[name] for name in names} for part in tree)
    ours = jit(functools.partial(pull_back, funcnn.vjp, program))(*args)
    if known := known_to_jax(primitive):
        in_jax = functools.partial(pull_back, jax.vjp, Program(known, np.float32))
        assert_agree(only(known, ours), jit(in_jax)(*only(known, args)), 2e-6)
    # eagerly values are concrete, and inner programs stay closed
    name, variant = next(iter(CASES[primitive].items()))
    eager = pull_back(funcnn.vjp, Program({name: variant}, np.float32), *only([name], args))
    assert_agree(eager, only([name], ours), 2e-6, "eagerly")


@pytest.mark.parametrize("primitive", CASES)
def test_in_float64_under_vmap(primitive):
    """Against JAX, and against central differences along a random direction for each variant.

    A batch for `vmap`: the arguments, others (with other indices, if there are), and the arguments
    a step away.
    """
    with jax.enable_x64(True):
        program = Program(CASES[primitive], np.float64)
        args = (program.floats, program.args, random_like(program.out, 2))
        others = jax.tree.map(lambda x: x[..., ::-1] * 1 if x.ndim else x, args)
        direction = random_like(program.floats, 5)
        step = 1e-4
        away = [
            (jax.tree.map(lambda x, v: x + h * v, program.floats, direction), *args[1:])  # noqa: B023
            for h in (step, -step, step / 2, -step / 2)
        ]
        batch = jax.tree.map(lambda *x: np.stack(x), args, others, *away)
        outs, cotangents = jit(jax.vmap(functools.partial(pull_back, funcnn.vjp, program)))(*batch)

        for g, x in zip(*map(jax.tree.leaves, (cotangents, batch[0])), strict=True):
            assert (g.shape, g.dtype) == (x.shape, x.dtype)
        known = known_to_jax(primitive)
        unknown = {name: v for name, v in CASES[primitive].items() if name not in known}
        plain = jit(Program(unknown, np.float64))(*args[:2]) if unknown else {}
        assert_agree({name: at(0, outs[name]) for name in unknown}, plain, 1e-13, "the value ")
        in_jax = jit(functools.partial(pull_back, jax.vjp, Program(known, np.float64)))
        for i, point in enumerate((args, others) if known else ()):
            ours = [{name: at(i, found[name]) for name in known} for found in (outs, cotangents)]
            theirs = in_jax(*({name: arg[name] for name in known} for arg in point))
            assert_agree(tuple(ours), theirs, 1e-13)

        for name, variant in CASES[primitive].items():
            if variant.smooth:
                end = [at(i, outs[name]) for i in range(2, 6)]
                change = [
                    # of fourth order in the step
                    (8 * (up - down) - (far_up - far_down)) / (6 * step)
                    for far_up, far_down, up, down in zip(*end, strict=True)
                ]
                ours, _ = paired(at(0, cotangents[name]), direction[name])
                measured, size = paired(args[2][name], change)
                assert abs(ours - measured) <= 1e-8 * size, f"{name}: {ours}, measured {measured}"


def at(i, batch):
    return [x[i] for x in batch]


def paired(cotangents, tangents):
    """The real part of the sum of products (JAX's convention), and the sum of their sizes."""
    products = [np.asarray(g) * np.asarray(v) for g, v in zip(cotangents, tangents, strict=True)]
    return sum(np.sum(p).real for p in products), sum(np.sum(np.abs(p)) for p in products)


@pytest.mark.parametrize("primitive", CASES)
def test_second_order(primitive):
    """Of the first variants: it is made of the first order of other primitives."""
    with jax.enable_x64(True):
        first = dict(itertools.islice(known_to_jax(primitive).items(), 3))
        program = Program(first, np.float64)
        g = random_like(program.out, 3)
        gg = random_like((program.out, program.floats), 4)
        ours, theirs = (
            jit(functools.partial(pull_back_twice, vjp, program))(
                program.floats, program.args, g, gg
            )
            for vjp in (funcnn.vjp, jax.vjp)
        )
        assert_agree(ours, theirs, 1e-12)


def test_every_rule_has_a_case():
    not_on_cpus = {"ragged_all_to_all"}  # test_shard_map.py
    assert TABLE - set(CASES) - not_on_cpus == set()


@pytest.mark.parametrize("primitive", CASES)
def test_the_cases_reach_their_primitive(primitive):
    """So that no variant passes because something else was computed."""
    if primitive not in TABLE:
        pytest.skip("this JAX does not have it")
    with jax.enable_x64(True):
        for name, variant in CASES[primitive].items():
            one = Program({name: variant}, np.float64)
            eqns = jax.make_jaxpr(one)(one.floats, one.args).eqns
            assert primitive in bound_by(eqns), f"{name} does not bind {primitive}"


def bound_by(eqns):
    names = {str(eqn.primitive) for eqn in eqns}
    inner = [eqn.params["jaxpr"].eqns for eqn in eqns if "jaxpr" in eqn.params]
    return names.union(*map(bound_by, inner))
