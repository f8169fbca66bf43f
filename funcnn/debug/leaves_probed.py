"""The gradient along a plain function: zeros are added where its parameters meet its data.

The function is traced to a program and evaluated equation by equation. An equation that takes a
value made of parameters alone (a kernel, its transpose) and one made of data (an input, what came
before) is where that leaf of the parameters is used. Calls of `jax.jit` and `jax.checkpoint` are
opened; a loop is one equation: all leaves in it have the gradient at what comes out of it.
"""

import functools
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from funcnn.autodiff import jax_versions
from funcnn.autodiff.programs.joint import evaluate
from funcnn.debug.flow import Path
from funcnn.debug.layers_probed import added, zeros
from funcnn.debug.measured import Gradients, Measured, measure
from funcnn.debug.objective import arrays_of, check_scalar, value_of
from funcnn.debug.programs import CALLS
from funcnn.debug.slopes import could_be_elementwise
from funcnn.graph.places import is_of_jax, place_of


def flow_of_leaves(
    loss: Callable[..., Any], params: Any, args: tuple[Any, ...], grad: Callable[..., Any]
) -> tuple[jax.Array, Measured]:
    """The loss, and what is measured for each leaf of `params` and each activation between them."""
    leaves, structure = jax.tree.flatten(params)
    arrays, rebuilt = arrays_of(args)

    def of_leaves(leaves: Sequence[Any], arrays: Sequence[Any]) -> Any:
        return value_of(loss(jax.tree.unflatten(structure, leaves), *rebuilt(arrays)))

    program = jax.make_jaxpr(of_leaves)(leaves, arrays)
    check_scalar("gradient_flow", program.out_avals)
    made_of = [_Made(frozenset([i])) for i in range(len(leaves))] + [_DATA] * len(arrays)
    sites: list[_Site] = []
    _run(program, (*leaves, *arrays), made_of, functools.partial(_note, sites))

    def of_probes(leaves: Sequence[Any], probes: Sequence[Any]) -> Any:
        add = functools.partial(_add_probes, iter(probes))
        return _run(program, (*leaves, *arrays), made_of, add)[0]

    probes = [(zeros(site.inputs), zeros(site.outputs)) for site in sites]
    value, (of_params, of_sites) = grad(of_probes, argnums=(0, 1))(leaves, probes)
    paths = [_entries(path) for path, _ in jax.tree.leaves_with_path(params)]
    calls = [*_of_leaves(paths, sites, of_params, of_sites), *_of_activations(sites, of_sites)]
    return value, measure(calls, grad)


class _Made(NamedTuple):
    """What a value is made of.

    Attributes:
      leaves: of which leaves of the parameters, where it is of those alone.
      data: whether anything else is in it.
      weighted: what tells it from all others, where it comes straight out of an equation in which
        both met; else None.
      mask: what it is a function of, where it has no gradient: `z > 0`, and that as a number.
      after: the sites that it is made of, by number.
    """

    leaves: frozenset[int] = frozenset()
    data: bool = False
    weighted: object | None = None
    mask: "_Mask | None" = None
    after: frozenset[int] = frozenset()


class _Mask(NamedTuple):
    z: object  # its `weighted`
    function: Callable[[Any], Any]


_DATA = _Made(data=True)
_NUMBER = _Made()


class _Site(NamedTuple):
    """An equation where parameters meet data, or an activation right behind one."""

    name: str
    leaves: frozenset[int]
    inputs: list[Any]  # data; None in the place of all else
    outputs: list[Any]
    activation: Any  # f and z
    after: frozenset[int]  # other sites


def _is_activation(eqn: Any, made_of: Sequence[_Made]) -> bool:
    """One array in, one of that shape out; whether it is elementwise is found by trying.

    Masks made of that array may come in too: `jnp.where(z > 0, z, 0)` is one, as is `z * (z > 0)`.
    """
    zs = [v for v, made in zip(eqn.invars, made_of, strict=True) if made.weighted]
    if len(zs) != 1 or _only_z(made_of) is None or len(eqn.outvars) != 1:
        return False
    return could_be_elementwise(zs[0].aval, eqn.outvars[0].aval)


def _only_z(made_of: Sequence[_Made]) -> object | None:
    """The one z that, with masks made of it, is all that comes in beside numbers."""
    given = (made for made in made_of if made != _NUMBER)
    zs = {made.mask.z if made.mask else made.weighted for made in given}
    return zs.pop() if len(zs) == 1 else None


def _is_mask(eqn: Any, made_of: Sequence[_Made]) -> bool:
    """Whether it is a function of one z, of the same shape and without a gradient."""
    if _only_z(made_of) is None or len(eqn.outvars) != 1:
        return False
    pairs = zip(eqn.invars, made_of, strict=True)
    shapes = [v.aval.shape for v, made in pairs if made != _NUMBER]
    out = eqn.outvars[0].aval
    flat = not any(made.weighted for made in made_of) or not jnp.issubdtype(out.dtype, jnp.inexact)
    return flat and all(shape == out.shape for shape in shapes)


def _of_z(bind: Any, inputs: Sequence[Any], made_of: Sequence[_Made], z: Any) -> Any:
    """What an equation returns for another z."""
    given = zip(inputs, made_of, strict=True)
    return bind(*(m.mask.function(z) if m.mask else z if m.weighted else x for x, m in given))[0]


def _meet(made_of: Sequence[_Made]) -> frozenset[int]:
    """The leaves that meet data here."""
    if not any(made.data for made in made_of):
        return frozenset()
    return frozenset().union(*(made.leaves for made in made_of))


def _is_site(eqn: Any, made_of: Sequence[_Made]) -> bool:
    return bool(_meet(made_of)) or _is_activation(eqn, made_of)


def _note(
    sites: list[_Site], eqn: Any, inputs: list[Any], made_of: Sequence[_Made], bind: Any
) -> list[Any]:
    """Evaluates an equation and adds it to the sites, if it is one."""
    outputs = bind(*inputs)
    if _is_site(eqn, made_of):
        data = [x if made.data else None for x, made in zip(inputs, made_of, strict=True)]
        activation = None
        if _is_activation(eqn, made_of):
            # what passes z on, not a mask of it
            data = [x if made.weighted else None for x, made in zip(inputs, made_of, strict=True)]
            [z] = [x for x in data if x is not None]
            activation = functools.partial(_of_z, bind, inputs, made_of), z
        name = _name(eqn) if activation is None else _name_and_line(eqn)
        after = frozenset[int]().union(*(made.after for made in made_of))
        sites.append(_Site(name, _meet(made_of), data, outputs, activation, after))
    return outputs


def _add_probes(
    probes: Iterator[Any], eqn: Any, inputs: list[Any], made_of: Sequence[_Made], bind: Any
) -> list[Any]:
    """Evaluates an equation, with the next zeros added if it is a site."""
    if not _is_site(eqn, made_of):
        return bind(*inputs)
    at_inputs, at_outputs = next(probes)
    return added(bind(*added(inputs, at_inputs)), at_outputs)


def _run(program: Any, values: Sequence[Any], made_of: Sequence[_Made], visit: Any) -> list[Any]:
    """Evaluates a program, each equation by `visit(eqn, inputs, made_of, bind)`."""
    outputs, _ = _evaluate(program, values, made_of, visit, itertools.count())
    return outputs


def _evaluate(
    program: Any, values: Any, made_of: Any, visit: Any, numbers: Iterator[int]
) -> tuple[list[Any], list[_Made]]:
    jaxpr = jax_versions.open_jaxpr(program)
    env = {
        v: (c, _DATA if jnp.ndim(c) else _NUMBER)
        for v, c in zip(jaxpr.constvars, _constants(program), strict=True)
    }
    env.update(zip(jaxpr.invars, zip(values, made_of, strict=True), strict=True))
    read = lambda v: (v.val, _NUMBER) if isinstance(v, Literal) else env[v]
    for eqn in jaxpr.eqns:
        pairs = [read(v) for v in eqn.invars]
        inputs, made = [x for x, _ in pairs], [m for _, m in pairs]
        if _opens(eqn) and not _is_activation(eqn, made):
            inner = eqn.params["jaxpr"]
            results = zip(*_evaluate(inner, inputs, made, visit, numbers), strict=True)
        else:
            bind = functools.partial(_bind, eqn)
            outputs = visit(eqn, inputs, made, bind)
            site = frozenset([next(numbers)] if _is_site(eqn, made) else [])
            function = functools.partial(_of_z, bind, inputs, made)
            results = zip(outputs, _made_by(eqn, made, site, function), strict=True)
        env.update(zip(eqn.outvars, results, strict=True))
    pairs = [read(v) for v in jaxpr.outvars]
    return [x for x, _ in pairs], [m for _, m in pairs]


def _constants(program: Any) -> Sequence[Any]:
    # the program of a `jax.checkpoint` is open, and has none
    return getattr(program, "consts", ())


def _made_by(
    eqn: Any, made_of: Sequence[_Made], site: frozenset[int], function: Callable[[Any], Any]
) -> list[_Made]:
    """Of its outputs. It may be a site, and a function of z."""
    if not any(made.data for made in made_of):
        return [_Made(frozenset().union(*(made.leaves for made in made_of)))] * len(eqn.outvars)
    known = _Made(data=True, after=site.union(*(made.after for made in made_of)))
    # a cast or another shape leaves it what it is
    same = eqn.primitive.name in ("reshape", "convert_element_type", "squeeze")
    if _is_mask(eqn, made_of):
        return [known._replace(mask=_Mask(_only_z(made_of), function))]
    if _meet(made_of) or (same and made_of[0].weighted):
        return [known._replace(weighted=object()) for _ in eqn.outvars]
    return [known] * len(eqn.outvars)


def _opens(eqn: Any) -> bool:
    return eqn.primitive.name in CALLS


def _bind(eqn: Any, *inputs: Any) -> list[Any]:
    known = zip(eqn.invars, inputs, strict=True)
    env = {v: x for v, x in known if not isinstance(v, Literal)}
    evaluate([eqn], env)
    return [env[v] for v in eqn.outvars]


def _name(eqn: Any) -> str:
    """The name of the function that it calls, or the primitive's."""
    body = eqn.params.get("call_jaxpr")
    if eqn.primitive.name.startswith("custom_") and body is not None:
        return jax_versions.open_jaxpr(body).debug_info.func_name
    name = eqn.params.get("name")
    if not isinstance(name, str) or not _opens(eqn):
        return eqn.primitive.name
    # `jnp.where` calls `_where`
    return name.removeprefix("_") if is_of_jax(eqn.params["jaxpr"]) else name


def _name_and_line(eqn: Any) -> str:
    """Of an activation, which no path tells where it is: "tanh at mlp.py:12"."""
    place = place_of(eqn.source_info)
    if place.file:
        return f"{_name(eqn)} at {pathlib.PurePath(place.file).name}:{place.line}"
    path = "".join(scope for scope in place.scope if scope.startswith("["))
    return f"{_name(eqn)} of {path}" if path else _name(eqn)


def _of_leaves(paths, sites, of_params, of_sites) -> Iterator[Gradients]:
    for i, (path, g) in enumerate(zip(paths, of_params, strict=True)):
        used = _uses(sites, i)
        if not used:  # only with other parameters, as in a regularizer
            order = len(sites), i
            yield Gradients(path, "", jnp.shape(g), order, (), (), g, g, after=frozenset())
            continue
        first = sites[used[0]]
        shapes = [jnp.shape(y) for y in first.outputs]
        shape = shapes[0] if len(shapes) == 1 else tuple(shapes)
        by_inputs, by_outputs = zip(*(of_sites[n] for n in used), strict=True)
        known = path, first.name, shape, (used[0], i), ()
        after = frozenset[int]().union(*(sites[n].after for n in used))
        gs = by_inputs, by_outputs, g
        yield Gradients(*known, *gs, sites=frozenset(used), after=after)


def _uses(sites: Sequence[_Site], leaf: int) -> list[int]:
    """Where a leaf is used. A scalar is a regularizer's, unless all is scalar."""
    used = [n for n, site in enumerate(sites) if leaf in site.leaves]
    return [n for n in used if any(jnp.ndim(y) for y in sites[n].outputs)] or used


def _of_activations(sites, of_sites) -> Iterator[Gradients]:
    for n, (site, (by_z, by_y)) in enumerate(zip(sites, of_sites, strict=True)):
        if site.activation is not None:
            known = (), site.name, site.outputs[0].shape, (n, 0), ()
            yield Gradients(
                *(*known, by_z, by_y, (), site.activation),
                optional=True,
                sites=frozenset([n]),
                after=site.after,
            )


def _entries(path: Any) -> Path:
    """The keys of a pytree's path as entries; attributes as ".name"."""
    return tuple(getattr(k, "key", getattr(k, "idx", f".{getattr(k, 'name', k)}")) for k in path)
