"""The rule for `reduce`, whose computation is a program of its own that combines two values.

It is differentiated as what it does, in pairs: the first half with the second, until one is left.
The initial values are the computation's identity (what comes out is undefined otherwise), so they
are combined with the rest only where a gradient is asked for.
"""

import math

import jax
from jax import lax
from jax.extend.core.primitives import reduce_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.jit import as_one_call
from funcnn.autodiff.programs.joint import once
from funcnn.autodiff.rules.table import Recorded, register


def reduce_rule(primitive, values, tracked, params) -> Recorded:
    computation, axes = params["jaxpr"], tuple(params["dimensions"])
    types = [jax.typeof(value) for value in values]
    with_inits = any(tracked[len(values) // 2 :])
    program = once(
        computation,
        ("reduce", axes, with_inits, *((t.shape, t.dtype, t.weak_type) for t in types)),
        lambda: jax.make_jaxpr(_in_pairs(computation, axes, with_inits))(*types),
    )
    return as_one_call(program, tracked, values, "reduce", True)


register(reduce_p, reduce_rule)


def _in_pairs(computation, axes, with_inits):
    def combine(xs, ys):
        together = lambda *values: jax_versions.eval_closed_jaxpr(computation, values)
        for _ in range(xs[0].ndim):
            together = jax.vmap(together)
        return together(*xs, *ys)

    def reduce(*values):
        count = len(values) // 2
        xs = [_axes_first(x, axes) for x in values[:count]]
        while len(xs[0]) > 1:
            half = len(xs[0]) // 2
            parts = [lax.split(x, (half, len(x) - 2 * half, half)) for x in xs]
            first, between, second = zip(*parts, strict=True)
            paired = zip(combine(first, second), between, strict=True)
            xs = [lax.concatenate(pair, 0) for pair in paired]
        inits = [
            lax.broadcast(init, x.shape[1:]) for init, x in zip(values[count:], xs, strict=True)
        ]
        if not len(xs[0]):
            return inits
        outs = [lax.squeeze(x, (0,)) for x in xs]
        return combine(inits, outs) if with_inits else outs

    return reduce


def _axes_first(x, axes):
    """`x` with `axes` made one, which comes first."""
    kept = [d for d in range(x.ndim) if d not in axes]
    size = math.prod(x.shape[d] for d in axes)
    return lax.reshape(lax.transpose(x, (*axes, *kept)), (size, *(x.shape[d] for d in kept)))
