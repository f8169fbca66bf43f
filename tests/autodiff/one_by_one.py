"""Programs evaluated equation by equation, without compiling them.

What is compared is what a transform traced. To compile it would take most of the time, and the
thousands of programs of test_random_programs.py would take days. Single primitives JAX compiles
once for each shape; of the most frequent ones NumPy needs not even that.
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
    read = lambda v: np.asarray(v.val, v.aval.dtype) if isinstance(v, Literal) else env[v]
    for eqn in jaxpr.eqns:
        values = list(map(read, eqn.invars))
        name = eqn.primitive.name
        if name in BY_NUMPY and all(x.dtype in NUMBERS for x in values):
            with np.errstate(all="ignore"):
                outs = [BY_NUMPY[name](eqn, *map(np.asarray, values))]
        elif name in PROGRAMS:
            outs = PROGRAMS[name](eqn.params, values)
        else:
            outs = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
            outs = outs if eqn.primitive.multiple_results else [outs]
        env.update(zip(eqn.outvars, outs, strict=True))
    return list(map(read, jaxpr.outvars))


def _elementwise(function):
    return lambda eqn, *values: function(*values)


def _broadcast(eqn, x):
    shape = [1] * len(eqn.params["shape"])
    for size, axis in zip(x.shape, eqn.params["broadcast_dimensions"], strict=True):
        shape[axis] = size
    return np.broadcast_to(x.reshape(shape), eqn.params["shape"])


def _select(eqn, which, *cases):
    return np.where(which, cases[1], cases[0]) if which.dtype == bool else np.choose(which, cases)


def _reshape(eqn, x):
    order = eqn.params["dimensions"]
    return (x if order is None else np.transpose(x, order)).reshape(eqn.params["new_sizes"])


def _convert(eqn, x):
    to = np.dtype(eqn.params["new_dtype"])
    return (x.real if x.dtype.kind == "c" and to.kind != "c" else x).astype(to)


def _slice(eqn, x):
    starts, limits = eqn.params["start_indices"], eqn.params["limit_indices"]
    strides = eqn.params["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, starts, limits, strides))]


NUMBERS = {np.dtype(t) for t in ("bool", "int32", "int64", "float64", "complex128")}
BY_NUMPY = {
    **{name: _elementwise(getattr(np, name)) for name in ("sin", "cos", "tanh", "exp", "log")},
    **{name: _elementwise(getattr(np, name)) for name in ("sign", "abs", "sqrt", "log1p", "real")},
    "neg": _elementwise(np.negative),
    "add": _elementwise(np.add),
    "add_any": _elementwise(np.add),
    "sub": _elementwise(np.subtract),
    "mul": _elementwise(np.multiply),
    "div": lambda eqn, x, y: x / y if x.dtype.kind in "fc" else np.asarray(jax.lax.div(x, y)),
    "max": _elementwise(np.maximum),
    "min": _elementwise(np.minimum),
    "eq": _elementwise(np.equal),
    "ne": _elementwise(np.not_equal),
    "lt": _elementwise(np.less),
    "le": _elementwise(np.less_equal),
    "gt": _elementwise(np.greater),
    "ge": _elementwise(np.greater_equal),
    "square": _elementwise(np.square),
    "select_n": _select,
    "convert_element_type": _convert,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": lambda eqn, x: np.squeeze(x, eqn.params["dimensions"]),
    "transpose": lambda eqn, x: np.transpose(x, eqn.params["permutation"]),
    "slice": _slice,
    "rev": lambda eqn, x: np.flip(x, eqn.params["dimensions"]),
    "concatenate": lambda eqn, *xs: np.concatenate(xs, eqn.params["dimension"]),
    "reduce_sum": lambda eqn, x: np.sum(x, eqn.params["axes"], dtype=x.dtype),
}


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
    while np.any(going := np.asarray(compute(params["cond_jaxpr"], [*of_cond, *carried])[0])):
        made = compute(params["body_jaxpr"], [*of_body, *carried])
        if going.ndim:  # mapped: those that are done stay what they are
            wide = lambda x, going=going: going.reshape(going.shape + (1,) * (x.ndim - going.ndim))
            made = [np.where(wide(new), new, old) for new, old in zip(made, carried, strict=True)]
        carried = made
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
