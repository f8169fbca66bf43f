"""The walk over JAX's primitives: each has a rule, or is said to have no derivative.

The list is that of the JAX that runs: what `jax.extend.core.primitives` and `jax.lax` export.
"""

import functools

import jax
import numpy as np
import pytest
from jax import lax
from jax.experimental import io_callback
from jax.experimental.custom_partitioning import custom_partitioning
from jax.extend.core import Primitive, primitives

import funcnn
from funcnn.autodiff.jax_versions import open_jaxpr
from funcnn.autodiff.rules.table import (
    no_derivative,
    no_gradient,
    not_differentiable,
    rule_for,
    rules,
    unexported,
)
from funcnn.autodiff.tracer import TapeTrace, on_the_trace

EXPORTED = {
    p.name: p
    for module in (primitives, lax)
    for p in vars(module).values()
    if isinstance(p, Primitive)
}

# not through the table: methods of the trace, each of which JAX calls when it meets the primitive,
# and what acts on the trace itself
BY_THE_TRACE = {
    **on_the_trace,
    "custom_jvp_call": TapeTrace.process_custom_jvp_call,
    "custom_vjp_call": TapeTrace.process_custom_vjp_call,
    "stage": TapeTrace.stage_value,
}


def tables_with(primitive):
    """The names of the tables in which the primitive is."""
    rule_for(primitive)  # one known by its name only is entered when it is met
    found = {
        "rules": primitive in rules,
        "no_gradient": primitive in no_gradient,
        "not_differentiable": primitive in not_differentiable,
        "trace": primitive.name in BY_THE_TRACE,
    }
    return [name for name, is_there in found.items() if is_there]


def test_there_is_something_to_walk_over():
    assert len(EXPORTED) > 150
    assert {"add", "scan", "dot_general", "svd", "custom_vjp_call"} <= set(EXPORTED)


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_every_primitive_is_in_exactly_one_table(name):
    assert len(tables_with(EXPORTED[name])) == 1, f"{name}: {tables_with(EXPORTED[name]) or 'none'}"


def test_the_walk_would_find_a_primitive_in_no_table():
    assert tables_with(Primitive("of_tomorrow")) == []


# --- what cannot be differentiated: JAX cannot either, and the error says why

X = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, 0.2], [0.1, 0.2, 1.0]], np.float32)
LIKE_X = jax.ShapeDtypeStruct(X.shape, X.dtype)


def select_and_scatter(x):
    scalar = X[0, 0]
    select = open_jaxpr(jax.make_jaxpr(lambda a, b: a >= b)(scalar, scalar))
    scatter = open_jaxpr(jax.make_jaxpr(lambda a, b: a + b)(scalar, scalar))
    return primitives.select_and_scatter_p.bind(
        x,
        x[:2, :2],
        scalar,
        select_jaxpr=select,
        select_consts=(),
        scatter_jaxpr=scatter,
        scatter_consts=(),
        window_dimensions=(2, 2),
        window_strides=(1, 1),
        padding=((0, 0), (0, 0)),
    )


halved = custom_partitioning(lambda x: x / 2)
halved.def_partition(lambda *_: None, lambda *_: None, sharding_rule="i j -> i j")


def across_devices(f):
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    whole = jax.sharding.PartitionSpec()
    return jax.shard_map(f, mesh=mesh, in_specs=whole, out_specs=whole, check_vma=False)


EXAMPLES = {
    "pmax": across_devices(lambda x: lax.pmax(x, "i")),
    "pmin": across_devices(lambda x: lax.pmin(x, "i")),
    "pure_callback": lambda x: jax.pure_callback(np.sin, LIKE_X, x),
    "io_callback": lambda x: io_callback(np.sin, LIKE_X, x),
    "ffi_call": lambda x: jax.ffi.ffi_call("of_nobody", LIKE_X)(x),
    "custom_partitioning": halved,
    "rng_uniform": lambda x: lax.rng_uniform(x[0, 0], x[0, 0] + 1, (3,)),
    "schur": lambda x: lax.linalg.schur(x)[0],
    "hessenberg": lambda x: lax.linalg.hessenberg(x)[0],
    "tridiagonal": lambda x: lax.linalg.tridiagonal(x)[0],
    "cholesky_update": lambda x: lax.linalg.cholesky_update(x, x[0]),
    "reduce_window": lambda x: lax.reduce_window(
        x, 1.0, lambda a, b: a * b + a, (2, 2), (1, 1), "VALID"
    ),
    "select_and_scatter": select_and_scatter,
}


def entered_without_derivative():
    """Those of the exported primitives, and those by name."""
    for primitive in EXPORTED.values():
        rule_for(primitive)
    by_name = {
        name
        for name, enter in unexported.items()
        if isinstance(enter, functools.partial) and enter.func is no_derivative
    }
    return {str(primitive) for primitive in not_differentiable} | by_name


def test_every_primitive_that_cannot_be_differentiated_has_an_example():
    exported = entered_without_derivative() & set(EXPORTED)
    assert exported - set(EXAMPLES) == set()
    assert set(EXAMPLES) <= entered_without_derivative()


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_we_cannot_differentiate_jax_cannot_either(name):
    with pytest.raises((NotImplementedError, ValueError, TypeError)):
        jax.vjp(EXAMPLES[name], X)[1](X)
    with pytest.raises(NotImplementedError, match=f"'{name}'") as caught:
        funcnn.vjp(EXAMPLES[name], X)
    [why] = {why for p, why in not_differentiable.items() if p.name == name}
    assert why in str(caught.value)
    assert len(why) > 40


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_may_be_there_where_nothing_is_differentiated(name):
    """Its shapes are asked for, no more: some of the examples cannot be run."""
    kept_out = lambda x: EXAMPLES[name](lax.stop_gradient(x)).sum() + x.sum()
    assert jax.eval_shape(funcnn.grad(kept_out), X).shape == X.shape


def test_what_gives_out_integers_may_come_from_anywhere():
    count = lambda x: jax.pure_callback(
        lambda x: np.int32(x.sum()), jax.ShapeDtypeStruct((), np.int32), x
    )
    assert np.array_equal(
        funcnn.grad(lambda x: x[0, 0] * count(x))(X), [[5, 0, 0], [0] * 3, [0] * 3]
    )
