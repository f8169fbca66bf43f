"""Primitives that leave values as they are and say where, when or under which name they stand.

Their transposes say the same of the cotangents, where that means something.
"""

import contextlib

import jax
from jax import lax
from jax.extend.core import Primitive

from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import Recorded, linear, register, zero_derivative

# the same value: cotangents pass
linear(lax.copy_p, "x", x=lambda g: g)
linear(primitive("name_p"), "x", x=lambda g: g)  # a name is the value's, not its cotangent's
linear("xla_metadata_value", "x", x=lambda g: g)
linear("tie", "first second", second=lambda g: g)  # the second value, after the first
zero_derivative("dce_sink")  # no output; keeps its operand from being left out as unused


def _again(constraint, values, tracked, params):
    """The cotangent is put under the same constraint."""

    def backward(_, gs):
        return [constraint.bind(gs[0], **params)]

    return Recorded([constraint.bind(*values, **params)], [True], (), backward)


for _constraint in (
    "sharding_constraint",
    "layout_constraint",
    "with_memory_space_constraint",
):
    register(primitive(f"{_constraint}_p") or _constraint, _again)


def _one_to_one(transpose):
    """A rule for primitives whose i-th output is the i-th operand.

    `transpose(primitive, avals, gs, params)` gets those of the operands that a cotangent is there
    for, so that it is one operation on the way back too.
    """

    def rule(primitive: Primitive, values, tracked, params):
        avals = [jax.typeof(value) for value in values]

        def backward(_, gs):
            present = [i for i, g in enumerate(gs) if g is not None]
            found = transpose(primitive, avals, gs, params, present)
            return [dict(zip(present, found, strict=True)).get(i) for i in range(len(gs))]

        return Recorded(primitive.bind(*values, **params), tracked, (), backward)

    return rule


def _barrier(primitive, avals, gs, params, present):
    return primitive.bind(*[gs[i] for i in present], **params)


register(lax.optimization_barrier_p, _one_to_one(_barrier))


def _put_back(primitive, avals, gs, params, present):
    """To where the operands came from."""
    reuse = [type(params["copy_semantics"][i]).REUSE_INPUT for i in present]
    came_from = [params["srcs"][i] or _memory_left(avals[i], gs[i]) for i in present]
    return primitive.bind(
        *[gs[i] for i in present],
        devices=tuple(came_from),
        srcs=tuple(params["devices"][i] for i in present),
        copy_semantics=tuple(reuse),
    )


def _memory_left(aval, g):
    """The kind of memory the value was in, if `g` is in another. Else nothing has to be said."""
    return None if aval.memory_space == jax.typeof(g).memory_space else aval.memory_space


register(lax.device_put_p, _one_to_one(_put_back))


# shardings and layouts that are part of a value's type go back to those of the operand
def _reshard(reshard, values, tracked, params):
    sharding = jax.typeof(values[0]).to_ct_aval().sharding

    def backward(_, gs):
        mesh = getattr(sharding, "mesh", None)
        with contextlib.nullcontext() if mesh is None else jax.sharding.use_abstract_mesh(mesh):
            return [reshard.bind(gs[0], **{**params, "dst_sharding": sharding})]

    return Recorded([reshard.bind(*values, **params)], [True], (), backward)


register("reshard", _reshard)
