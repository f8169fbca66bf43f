"""JAX's "hi" primitives: objects that know what they compute, in terms of others, and more.

JAX 0.12 has `jnp.ldexp`, `jnp.frexp` and `lax.custom_root` among them, and anyone may define one
(`jax.experimental.hijax`). What is said here about a class of JAX's own is a rule of ours. A class
of somebody else's that brings its own derivative is differentiated by that. The others are opened.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import hijax

from funcnn.autodiff import jax_versions
from funcnn.autodiff.calls import custom_rules
from funcnn.autodiff.programs.opened import on_a_tape
from funcnn.autodiff.rules.table import Recorded, register
from funcnn.autodiff.tangents import zero_cotangent, zero_tangent


def hi_rule(primitive, values, tracked, params) -> Recorded:
    hi = params["_prim"]
    name, of_jax = type(hi).__name__, type(hi).__module__.startswith("jax.")
    if of_jax and name in _RULES:
        return _RULES[name](primitive, values, tracked, params)
    if not custom_rules.value or (of_jax and name not in _HOLDS_A_USERS_RULE):
        return _opened(hi, values, tracked)
    if jax_versions.has_vjp(hi):
        return _by_its_vjp(hi, values, tracked)
    jvp = jax_versions.jvp_of(hi)
    return _opened(hi, values, tracked) if jvp is None else _by_its_jvp(hi, jvp, values, tracked)


register("call_hi_primitive", hi_rule)


def _opened(hi, values, tracked):
    """What it stands for, evaluated on a tape."""

    def evaluate(values):
        return hi.out_tree.flatten_up_to(hi.expand(*hi.in_tree.unflatten(values)))

    return on_a_tape(evaluate, values, tracked)


def _by_its_vjp(hi, values, tracked):
    args = hi.in_tree.unflatten(values)
    out, residuals, *more = hi.vjp_fwd(hi.in_tree.unflatten(tracked), *args)
    reached = _flags(hi, more[0]) if more else [True] * hi.out_tree.num_leaves
    if len(more) > 1 and more[1] is not None:
        raise NotImplementedError(
            f"{type(hi).__name__}.vjp_fwd returned structured residuals, a fourth value, which "
            "funcnn does not pass on. Return them among the residuals, the second value."
        )
    outs = hi.out_tree.flatten_up_to(out)
    avals = [jax.typeof(x) for x in outs]

    def backward(residuals, gs):
        gs = [zero_cotangent(aval) if g is None else g for g, aval in zip(gs, avals, strict=True)]
        found = jax_versions.cotangents_of_hi_primitive(hi, residuals, hi.out_tree.unflatten(gs))
        return [g if isinstance(g, jax.Array) else None for g in hi.in_tree.flatten_up_to(found)]

    return Recorded(outs, reached, residuals, backward)


def _flags(hi, flags):
    """One flag for all outputs, or a tree of them, as a list."""
    count = hi.out_tree.num_leaves
    return [flags] * count if isinstance(flags, bool) else hi.out_tree.flatten_up_to(flags)


def _by_its_jvp(hi, jvp, values, tracked):
    """A rule that is linear in its tangents, run with tangents of zero on a tape: its transpose."""
    args = hi.in_tree.unflatten(values)
    avals = [jax.typeof(value) for value in values]
    count = hi.out_tree.num_leaves

    def of_tangents(tangents):
        tangents = [
            t if is_tracked else hijax.Zero(aval.to_tangent_aval())
            for t, is_tracked, aval in zip(tangents, tracked, avals, strict=True)
        ]
        both = jvp(args, hi.in_tree.unflatten(tangents))
        return [leaf for out in both for leaf in hi.out_tree.flatten_up_to(out)]

    zeros = [zero_tangent(aval) for aval in avals]
    recorded = on_a_tape(of_tangents, zeros, tracked)
    return Recorded(
        recorded.outs[:count],
        recorded.tracked[count:],
        recorded.saved,
        lambda saved, gs: recorded.backward(saved, [None] * count + list(gs)),
    )


# x 2^n: the bits of x are changed, so opening it would find no derivative
def _ldexp(ldexp, values, tracked, params):
    def backward(n, gs):
        return [jnp.ldexp(gs[0], n), None]

    return Recorded(ldexp.bind(*values, **params), [True], values[1], backward)


def _frexp(frexp, values, tracked, params):
    mantissa, exponent = frexp.bind(*values, **params)

    def backward(exponent, gs):
        return [jnp.ldexp(gs[0], lax.neg(exponent))]

    return Recorded([mantissa, exponent], [True, False], exponent, backward)


def _custom_root(custom_root, values, tracked, params):
    """The root x of f(p, x) moves with p so that f stays 0: dx = -(df/dx)^-1 (df/dp) dp.

    The user says how to solve with df/dx: a function linear in the right hand side, so that our
    reverse mode over it, at zero, is its transpose. How the root was found does not matter.
    """
    hi = params["_prim"]
    outs = custom_root.bind(*values, **params)
    solution = hi.out_tree.unflatten(outs)
    root, root_tree = jax.tree.flatten(solution[0] if hi.has_aux else solution)
    _, _, in_f, in_tangent_solve = hi.in_tree.unflatten(values)
    _, _, tracked_in_f, _ = hi.in_tree.unflatten(range(len(values)))
    places = jax.tree.leaves(tracked_in_f)
    tracked_f = [tracked[i] for i in places]
    types = [jax.typeof(x) for x in root]

    def backward(saved, gs):
        root, in_f, in_tangent_solve = saved
        at = jax.tree.unflatten(root_tree, root)
        flat_in_f, tree = jax.tree.flatten(in_f)

        def solve(right):
            return jax.tree.leaves(
                hi.tangent_solve(in_tangent_solve, at, jax.tree.unflatten(root_tree, right))
            )

        def f(flat):
            return jax.tree.leaves(hi.f(jax.tree.unflatten(tree, flat), at))

        gs = _transposed(
            solve, [zero_tangent(t) for t in types], [True] * len(root), gs[: len(root)]
        )
        gs = [None if g is None else lax.neg(g) for g in gs]
        found = dict(zip(places, _transposed(f, flat_in_f, tracked_f, gs), strict=True))
        return [found.get(i) for i in range(len(values))]

    reached = [any(tracked_f)] * len(root) + [False] * (len(outs) - len(root))
    return Recorded(outs, reached, (root, in_f, in_tangent_solve), backward)


def _transposed(fun, values, tracked, gs):
    recorded = on_a_tape(fun, values, tracked)
    return recorded.backward(recorded.saved, gs)


_RULES = {"Ldexp": _ldexp, "Frexp": _frexp, "CustomRoot": _custom_root}
_HOLDS_A_USERS_RULE = {"CustomVJPTraced", "CustomJVPTraced"}
