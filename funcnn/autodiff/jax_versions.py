"""What has to be told apart between the JAX versions that funcnn supports. Nowhere else may ask."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.experimental import hijax
from jax.extend import core
from jax.extend.core import primitives


def primitive(name: str) -> core.Primitive | None:
    """The lax primitive of this name, or None where this JAX does not have it.

    >>> primitive("sin_p")
    sin
    >>> primitive("no_such_p") is None
    True
    """
    return getattr(primitives, name, None) or getattr(jax.lax, name, None)


def consts(jaxpr: Any) -> list[Any]:
    """The constants of a closed jaxpr. JAX 0.12 has one class for open and closed ones."""
    return jaxpr.consts


def open_jaxpr(jaxpr: Any) -> Any:
    """The jaxpr with equations and variables: in JAX 0.12 the closed one itself."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def closed(jaxpr: Any) -> Any:
    """An open jaxpr without constants as a closed one."""
    return core.ClosedJaxpr(jaxpr, ()) if type(jaxpr) is not core.ClosedJaxpr else jaxpr


def kept_by(answer: Any) -> bool:
    """What the answer of a policy of `jax.checkpoint` means: is the value kept?"""
    return answer if isinstance(answer, bool) else type(answer).__name__ != "RecomputeType"


def offloaded_to(answer: Any) -> str | None:
    """The kind of memory that the answer of a policy of `jax.checkpoint` has a value moved to."""
    return getattr(answer, "dst", None)


@functools.cache
def tracer_of_a_trace_that_ended() -> Any:
    """A tracer that stands for what may have a gradient.

    `jax.closure_convert` hoists out of a function what JAX's own tracers are found in; it does not
    know ours, but looks into what they hold.
    """
    found: list[Any] = []
    jax.make_jaxpr(lambda x: found.append(x))(0.0)
    return found[0]


def memory_space(kind: str) -> Any:
    """Where `jax.device_put` is to put what belongs to a kind of memory."""
    return jax.memory.Space.Device if kind == "device" else jax.memory.Space.Host


def eval_closed_jaxpr(jaxpr: Any, args: Sequence[Any]) -> list[Any]:
    """The outputs of a closed jaxpr, its equations bound on the current trace."""
    return jax.core.eval_jaxpr(open_jaxpr(jaxpr), consts(jaxpr), *args)


def is_inlined(params: dict[str, Any]) -> bool:
    """Is a `jit` to become part of the program it is traced in? JAX 0.12 has five answers."""
    inline = params["inline"]
    return inline if isinstance(inline, bool) else inline.value in ("jax_early", "jax_late")


def scan_counts(params: dict[str, Any]) -> tuple[int, int]:
    """How many of a scan's operands are constants of the loop, and how many are carried."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carried, _ = params["ft_in"].unpack()
    return len(list(constants)), len(list(carried))


def cotangents_of_custom_vjp(returned: Any) -> list[Any]:
    """What a flattened `custom_vjp` backward rule returned. JAX 0.12 adds the rule's log."""
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], list):
        return returned[0]
    return list(returned)


def split_custom_vjp_forward(
    returned: Any, out_trees: tuple[Any, ...], values: list[Any]
) -> tuple[list[Any], list[Any]]:
    """Residuals and outputs from what a flattened `custom_vjp` forward rule returned.

    JAX leaves out residuals that are the function's own inputs, and says which input each is.
    """
    _, residual_tree, from_input = out_trees
    stored = residual_tree.num_leaves - sum(i is not None for i in from_input)
    kept = iter(returned[:stored])
    residuals = [next(kept) if i is None else values[i] for i in from_input]
    return residuals, list(returned[stored:])


def has_vjp(hi: Any) -> bool:
    """Does a hi primitive bring a VJP rule that is not one of those JAX derives from others?"""
    derived = {pair[0] for pair in _derived("vjp_from_jvp", "vjp_from_lin")}
    return type(hi).vjp_fwd not in derived | {_base(hi).vjp_fwd}


def jvp_of(hi: Any) -> Callable[[Any, Any], tuple[Any, Any]] | None:
    """A hi primitive's JVP rule, as it is or made of its linearization; None if it has neither."""
    derived = {pair[0] for pair in _derived("linearize_from_jvp")}
    if type(hi).lin not in derived | {_base(hi).lin}:
        return functools.partial(_jvp_by_linearization, hi)
    return None if type(hi).jvp is _base(hi).jvp else hi.jvp


def _jvp_by_linearization(hi: Any, primals: Any, tangents: Any) -> tuple[Any, Any]:
    flat = hi.in_tree.flatten_up_to(tangents)
    present = hi.in_tree.unflatten(not isinstance(t, hijax.Zero) for t in flat)
    out, residuals, *more = hi.lin(present, *primals)
    return out, hi.linearized(residuals, *more[1:], *tangents)


def cotangents_of_hi_primitive(hi: Any, residuals: Any, gs: Any) -> Any:
    """The cotangents of a hi primitive's arguments by its own rule. JAX 0.12 adds a log to it."""
    if hasattr(hi, "vjp_bwd_retval_logs"):
        return hi.vjp_bwd_retval_logs(residuals, gs)[0]
    return hi.vjp_bwd_retval(residuals, gs)


def _base(hi: Any) -> Any:
    """The class that hi primitives are derived from. JAX 0.12 has it under another name."""
    return getattr(hijax, "HiPrim", None) or hijax.VJPHiPrimitive


def _derived(*names: str) -> list[Any]:
    """Pairs of rules that JAX makes of other rules; JAX 0.10 has none."""
    return [getattr(hijax, name) for name in names if hasattr(hijax, name)]
