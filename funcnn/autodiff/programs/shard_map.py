"""The rule for `shard_map`: the same devices, each with its part, there and back.

An operand that every device was given whole gets the sum of their cotangents. With `check_vma` the
types say which values differ between devices, and the sum is already in the program (the transpose
of `pvary`); without it, it is added here, and an output that all devices hold is taken to be held
in equal shares.
"""

import itertools
import math

import jax
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.calls import Calls, called, named
from funcnn.autodiff.programs.cut import bytes_of, is_cheap
from funcnn.autodiff.programs.joint import (
    evaluate,
    halve,
    joint,
    live,
    once,
    places_of,
    present_after,
    pull_back,
    read,
)
from funcnn.autodiff.rules.table import Recorded, register
from funcnn.autodiff.tangents import zero_cotangent


def shard_map_rule(primitive, values, tracked, params) -> Recorded:
    jaxpr = params["jaxpr"]
    names = ("mesh", "in_specs", "out_specs", "check_vma", "newly_manual_axes")
    options = tuple(params[name] for name in names)
    made = once(
        jaxpr,
        ("shard_map", tracked, *options),
        lambda: named(_calls(jaxpr, tracked, *options), "shard_map"),
    )
    return called(made, values)


register("shard_map", shard_map_rule)


def _calls(jaxpr, tracked, mesh, in_specs, out_specs, check_vma, manual):
    def on_devices(fun, in_specs, out_specs):
        return jax.shard_map(
            fun,
            mesh=mesh,
            in_specs=in_specs,
            out_specs=out_specs,
            axis_names=set(manual),
            check_vma=check_vma,
        )

    program = _traced_on_devices(jaxpr, tracked, on_devices, mesh, in_specs, manual)
    axes = [name for name in mesh.axis_names if name in manual]
    outputs = places_of(program.outputs)
    operands = {v: i for i, v in enumerate(program.operands)}
    there = {*operands, *outputs}
    halves = halve(program, lambda v: 0 if v in there else bytes_of(v), is_cheap)
    added = [v for v in halves.kept if v not in there]
    # each device's part of what is kept becomes one along a new first axis
    differs_over = [_varying(v, axes) if check_vma else axes for v in added]
    added_specs = [PartitionSpec(tuple(names)) for names in differs_over]
    wanted = [*program.outputs, *added]
    eqns = live(program.forward, wanted)

    def there_on_devices(*values):
        env = {**program.constants, **dict(zip(program.operands, values, strict=True))}
        evaluate(eqns, env)
        return [read(env, v) for v in program.outputs], [env[v][None] for v in added]

    def forward(*values):
        run = on_devices(there_on_devices, tuple(in_specs), (list(out_specs), added_specs))
        outs, kept = run(*values)
        return [*outs, *kept]

    def spec_of(v):
        if v in operands:
            return in_specs[operands[v]]
        return out_specs[outputs[v]] if v in outputs else added_specs[added.index(v)]

    def shares(spec):
        return [name for name in axes if name not in _names_in(spec)]

    def backward(saved, gs):
        asked = present_after(halves, [g is not None for g in gs])

        def back_on_devices(saved, gs):
            kept = {
                v: x[0] if v not in there else x for v, x in zip(halves.kept, saved, strict=True)
            }
            if not check_vma:
                gs = [
                    None if g is None else g / math.prod(mesh.shape[n] for n in shares(spec))
                    for g, spec in zip(gs, out_specs, strict=True)
                ]
            found = pull_back(halves, kept, gs)
            found = [
                zero_cotangent(v.aval) if g is None else g
                for g, v, is_asked in zip(found, program.operands, asked, strict=True)
                if is_asked
            ]
            if check_vma:
                return found
            return [
                lax.psum(g, tuple(shares(spec))) if shares(spec) else g
                for g, spec in zip(found, asked_specs, strict=True)
            ]

        asked_specs = list(itertools.compress(in_specs, asked))
        g_specs = [None if g is None else spec for g, spec in zip(gs, out_specs, strict=True)]
        run = on_devices(back_on_devices, ([spec_of(v) for v in halves.kept], g_specs), asked_specs)
        found = iter(run(saved, gs))
        return [next(found) if is_asked else None for is_asked in asked]

    places = {v: ("output", i) for v, i in outputs.items()}
    places |= {v: ("operand", i) for v, i in operands.items()}
    places |= {v: ("added", i) for i, v in enumerate(added)}
    return Calls(forward, backward, program.tracked, [places[v] for v in halves.kept])


def _traced_on_devices(jaxpr, tracked, on_devices, mesh, in_specs, manual):
    """The joint program, traced where the names of the mesh's axes mean something."""
    found = []

    def trace(*values):
        found.append(joint(jax_versions.closed(jaxpr), tracked))

    inner = [v.aval for v in jax_versions.open_jaxpr(jaxpr).invars]
    whole = [
        jax.ShapeDtypeStruct(
            _whole_shape(v.shape, spec, mesh), v.dtype, sharding=NamedSharding(mesh, spec)
        )
        for v, spec in zip(inner, in_specs, strict=True)
    ]
    jax.eval_shape(on_devices(trace, tuple(in_specs), None), *whole)
    return found[0]


def _whole_shape(shape, spec, mesh):
    counts = [math.prod(mesh.shape[name] for name in _names_in([names])) for names in spec]
    return tuple(n * c for n, c in itertools.zip_longest(shape, counts, fillvalue=1))


def _names_in(spec) -> list:
    """The names of mesh axes in a PartitionSpec, whose entries are None, a name or several."""
    return [
        name
        for names in spec
        if names is not None
        for name in (names if isinstance(names, tuple) else (names,))
    ]


def _varying(v, axes) -> list:
    return [name for name in axes if name in v.aval.manual_axis_type.varying]
