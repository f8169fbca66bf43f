"""Programs evaluated equation by equation, without compiling them.

What is compared is what a transform traced. To compile it would take most of the time, and the
thousands of programs of test_random_programs.py would take days; single primitives JAX compiles
once for each shape.
"""

import jax
import numpy as np
from jax.extend.core import Literal

from funcnn.autodiff.jax_versions import open_jaxpr, scan_counts


def traced(f):
    """`f`, traced as under `jax.jit`, and its equations then computed one by one."""

    def run(*args):
        flat, tree = jax.tree.flatten(args)
        closed, shapes = jax.make_jaxpr(
            lambda *flat: f(*jax.tree.unflatten(tree, flat)), return_shape=True
        )(*flat)
        return jax.tree.unflatten(jax.tree.structure(shapes), compute(closed, flat))

    return run


def compute(closed, args):
    jaxpr = getattr(closed, "jaxpr", closed)
    env = dict(zip(jaxpr.invars, args, strict=True))
    env.update(zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True))
    read = lambda v: v.val if isinstance(v, Literal) else env[v]
    for eqn in jaxpr.eqns:
        values = list(map(read, eqn.invars))
        name = eqn.primitive.name
        if name in PROGRAMS:
            outs = PROGRAMS[name](eqn.params, values)
        else:
            outs = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
            outs = outs if eqn.primitive.multiple_results else [outs]
        env.update(zip(eqn.outvars, outs, strict=True))
    return list(map(read, jaxpr.outvars))


def _scan(params, values):
    consts, carried, stacked = _groups(values, *scan_counts(params))
    stacked = [np.asarray(xs) for xs in stacked]
    order = range(params["length"])
    collected = {}
    for i in reversed(order) if params["reverse"] else order:
        outs = compute(params["jaxpr"], [*consts, *carried, *(xs[i] for xs in stacked)])
        carried, _, collected[i] = _groups(outs, len(carried), 0)
    rows = zip(*(collected[i] for i in order), strict=True)
    if not order:
        shapes = [v.aval for v in open_jaxpr(params["jaxpr"]).outvars[len(carried) :]]
        return [*carried, *(np.zeros((0, *s.shape), s.dtype) for s in shapes)]
    return [*carried, *(np.stack([np.asarray(row) for row in of_one]) for of_one in rows)]


def _while(params, values):
    of_cond, of_body, carried = _groups(values, params["cond_nconsts"], params["body_nconsts"])
    while compute(params["cond_jaxpr"], [*of_cond, *carried])[0]:
        carried = compute(params["body_jaxpr"], [*of_body, *carried])
    return carried


def _cond(params, values):
    branches = params["branches"]
    index = int(values[0])
    return compute(branches[min(max(index, 0), len(branches) - 1)], values[1:])


def _linear_solve(params, values):
    lengths = params["const_lengths"]
    solve = lengths.matvec + lengths.vecmat
    of_solve, rest = values[solve : solve + lengths.solve], values[sum(lengths) :]
    return compute(params["jaxprs"].solve, [*of_solve, *rest])


def _called(name):
    return lambda params, values: compute(params[name], values)


def _groups(values, *lengths):
    """The first of so many values, the next of so many, and the rest."""
    values = list(values)
    cut = lengths[0] + lengths[1]
    return values[: lengths[0]], values[lengths[0] : cut], values[cut:]


PROGRAMS = {
    "jit": _called("jaxpr"),
    "closed_call": _called("call_jaxpr"),
    "remat2": _called("jaxpr"),
    "checkpoint": _called("jaxpr"),
    "custom_jvp_call": _called("call_jaxpr"),
    "custom_vjp_call": _called("call_jaxpr"),
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "custom_linear_solve": _linear_solve,
}
