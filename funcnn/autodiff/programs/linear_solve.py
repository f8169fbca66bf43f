"""The rule for `custom_linear_solve`, by implicit differentiation.

For A x = b the cotangent of b solves the transposed system, Aᵀ λ = g, and what A depends on gets
the cotangent of A x for -λ. Neither looks into how the system was solved.
"""

import itertools

from jax import lax
from jax.extend.core.primitives import linear_solve_p

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.jit import as_one_call
from funcnn.autodiff.rules.table import Recorded, register
from funcnn.autodiff.tangents import zero_cotangent


def linear_solve_rule(primitive, values, tracked, params) -> Recorded:
    lengths, jaxprs = params["const_lengths"], params["jaxprs"]
    outs = primitive.bind(*values, **params)
    ends = list(itertools.accumulate(lengths))
    of_matvec, of_vecmat, of_solve, of_transpose, b = (
        list(values[start:end]) for start, end in zip([0, *ends], [*ends, None], strict=True)
    )
    x, auxiliary = outs[: len(b)], outs[len(b) :]
    in_matrix = tracked[: ends[0]]
    saved = (of_matvec, of_vecmat, of_solve, of_transpose, list(x) if any(in_matrix) else None)

    def backward(saved, gs):
        of_matvec, of_vecmat, of_solve, of_transpose, x = saved
        if jaxprs.transpose_solve is None:
            raise TypeError(
                "transpose_solve required for the gradient of custom_linear_solve, "
                "or symmetric=True"
            )
        avals = [v.aval for v in jax_versions.open_jaxpr(jaxprs.matvec).outvars]
        gs = [zero_cotangent(a) if g is None else g for g, a in zip(gs, avals, strict=False)]
        transposed = primitive.bind(
            *(*of_vecmat, *of_matvec, *of_transpose, *of_solve, *gs),
            const_lengths=lengths.transpose(),
            jaxprs=jaxprs.transpose(),
        )
        found = transposed[: len(gs)]
        cotangents = [None] * (len(tracked) - len(found))
        if x is not None:
            product = as_one_call(
                jaxprs.matvec,
                (*in_matrix, *(False for _ in x)),
                [*of_matvec, *x],
                name="matvec",
                inline=True,
            )
            to_matrix = product.backward(product.saved, [lax.neg(g) for g in found])
            cotangents[: len(of_matvec)] = to_matrix[: len(of_matvec)]
        return [*cotangents, *found]

    reached = any(in_matrix) or any(tracked[ends[-1] :])
    return Recorded(outs, [reached] * len(x) + [False] * len(auxiliary), saved, backward)


register(linear_solve_p, linear_solve_rule)
