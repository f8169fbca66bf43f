"""Meshes with explicit axes: how a value is sharded is part of its type, and of its cotangent's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, auto_axes, reshard
from jax.sharding import PartitionSpec as P

import funcnn

from .agreement import assert_agree

MESH = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
DRAWN = np.random.default_rng(0).normal(size=1024).astype(np.float32)
DRAWN += 0.2 * np.sign(DRAWN)

X, ROWS, COLUMNS = ((4, 8), P("a", "b")), ((4, 8), P("a")), ((4, 8), P(None, "b"))
V, W, SCALAR = ((8,), P("b")), ((8, 4), P("b")), ((), P())
WIDE, SQUARE, LAYERS = ((8, 4), P(None, "b")), ((4, 4), P("a")), ((3, 4, 4), P(None, "b"))
THREE, IMAGES = ((3, 8), P(None, "b")), ((4, 5, 5, 2), P("a"))
REDUCED = ((4, 4), P(None, None, reduced={"a"}))

# A case is a list of argument types and functions of such arguments. The functions are
# differentiated as one program, each output summed up with weights of its own.
CASES = {
    "elementwise": (
        [X, V, SCALAR],
        lambda x, v, s: [jnp.sin(x) * v, x / v, x * s, x - v, jnp.maximum(x, v), x**3],
        lambda x, v, s: [jnp.where(x > 0, x, v), jnp.where(x > 0, x, 0), jax.nn.relu(x)],
        lambda x, v, s: [lax.complex(x, x).real, jnp.abs(x * 1j), x.astype(jnp.bfloat16)],
    ),
    "operands that are sharded differently": (
        [X, ROWS, COLUMNS, ((4, 8), P())],
        lambda x, r, c, w: [x + r, x * r * c, w * x, r / x],
    ),
    "sums and extremes": (
        [X, X, X],
        lambda x, y, z: [x.sum(0), y.sum(1), lax.reduce_sum(z, (0,), out_sharding=P(None))],
        lambda x, y, z: [x.max(0), x.min(), jnp.var(x, 1), x - x.mean(0)],
        lambda x, y, z: [jax.nn.softmax(x), jax.nn.logsumexp(x, 0), jax.nn.standardize(x)],
    ),
    "products and running values": (
        [COLUMNS],
        lambda x: [x.prod(0), jnp.cumsum(x, 0), jnp.cumprod(x, 0), lax.cumlogsumexp(x, 0)],
    ),
    "matrix products": (
        [ROWS, X, W, WIDE],
        lambda r, x, w, wide: [r @ wide, jnp.matmul(x, w, out_sharding=P("a"))],
        lambda r, x, w, wide: jnp.einsum("ij,jk->ki", x, wide, out_sharding=P(None, "a")),
        lambda r, x, w, wide: jnp.matmul(r, reshard(w, P("a", "b")), out_sharding=P("a")),
    ),
    "products with batches": (
        [((2, 4, 3), P("a", "b")), ((2, 3, 5), P("a")), ((2, 3, 4), P("a"))],
        lambda x, y, z: [x @ y, jnp.einsum("bij,bjk,bkl->bil", x, z, x)],
    ),
    "reduced weights": (
        [SQUARE, REDUCED, REDUCED],
        lambda x, w, unused: [x @ w, jnp.tanh(x @ w) @ w],
        lambda x, w, unused: lax.cond(x.sum() > 0, lambda x: x @ w, lambda x: x, x),
        lambda x, w, unused: lax.scan(lambda c, _: (jnp.tanh(c @ w), None), x, None, length=2),
    ),
    "shapes": (
        [X, ((1, 8), P(None, "b")), ((8,), P()), ((2, 4, 6), P("a"))],
        lambda x, r, v, t: jnp.reshape(x, (2, 2, 8), out_sharding=P("a", None, "b")),
        lambda x, r, v, t: lax.reshape(x, (32,), out_sharding=P(("a", "b"))),
        lambda x, r, v, t: [jnp.squeeze(x[:, None], 1), jnp.expand_dims(x, 0), x.T, x[::-1]],
        lambda x, r, v, t: lax.broadcast_in_dim(r, (4, 8), (0, 1), out_sharding=P("a", "b")),
        lambda x, r, v, t: lax.broadcast_in_dim(v, (4, 8), (1,), out_sharding=P("a", "b")),
        lambda x, r, v, t: [jnp.stack([x, x], 1), jnp.concatenate([x, x], 1)],
        lambda x, r, v, t: lax.tile(t, (1, 3, 2)),
    ),
    "parts": (
        [COLUMNS, ((2, 8), P(None, "b")), SCALAR],
        lambda x, u, s: [x[1:3], x[::2], x[1], jnp.split(x, 2)[1], jnp.unstack(x)[2]],
        lambda x, u, s: [lax.pad(x, s, [(1, 0, 1), (0, 0, 0)]), jnp.tile(x, (2, 1))],
        lambda x, u, s: lax.dynamic_slice(x, (jnp.int32(1), 0), (2, 8)),
        lambda x, u, s: [lax.dynamic_update_slice(x, u, (1, 0)), jnp.roll(x, 1, 0)],
    ),
    "indexing": (
        [COLUMNS, THREE],
        lambda x, u: [x, jnp.sin(x).at[0].get(out_sharding=P("b"))],
        lambda x, u: x.at[np.array([0, 2, 2])].get(out_sharding=P(None, "b")),
        lambda x, u: x.at[np.array([0, 2, 2])].add(u, out_sharding=P(None, "b")),
        lambda x, u: x.at[np.array([0, 2, 1])].set(u, out_sharding=P(None, "b")),
        lambda x, u: jnp.repeat(x, 2, 0),
    ),
    "largest values": ([ROWS], lambda x: lax.top_k(x, 3)[0]),
    "windows": (
        [IMAGES, ((3, 3, 2, 4), P()), ((1, 1, 2, 4), P(None, None, None, "b"))],
        lambda x, k, small: [conv(x, k), conv(x, k, out_sharding=P("a"), window_strides=(2, 2))],
        lambda x, k, small: conv(x, small, out_sharding=P("a", None, None, "b")),
        lambda x, k, small: conv(x, k[:, :, :1], feature_group_count=2),
        lambda x, k, small: [pool(x, lax.max, -np.inf, 2), pool(x, lax.add, 0.0, 2)],
        lambda x, k, small: [pool(x, lax.max, -np.inf, 1), pool(x, lax.add, 0.0, 3)],
    ),
    "scan": (
        [SQUARE, LAYERS, ((4,), P())],
        lambda x, ws, v: lax.scan(
            lambda c, w: (jnp.tanh(jnp.matmul(c, w, out_sharding=P("a"))), c.sum(0)), x, ws
        ),
        lambda x, ws, v: lax.scan(lambda c, _: (c * v, c), x, None, length=2, reverse=True),
        lambda x, ws, v: lax.scan(lambda c, _: ((c[1], c[1] * v), None), (x, x), None, length=2),
    ),
    "branches": (
        [X, V],
        lambda x, v: lax.cond(x.sum() > -99, lambda: jnp.sin(jnp.exp(-x)) * v, lambda: x * x),
        lambda x, v: lax.switch(1 * (v.sum() > 99), [lambda: x, lambda: jnp.cos(v) * x]),
    ),
    "calls": (
        [X, V],
        lambda x, v: [jax.jit(lambda x: jnp.sin(x) * x.sum(0))(x), own_vjp(x, v), own_jvp(x, v)],
        lambda x, v: own_vjp(x, lax.stop_gradient(v)),
        lambda x, v: jax.checkpoint(lambda x, v: jnp.sin(jnp.exp(-x) * v))(x, v),
        lambda x, v: jax.vmap(lambda row: jnp.sin(row) * v - row.sum())(x),
    ),
    "to other shardings": (
        [X, W],
        lambda x, w: [reshard(x, P("b")), reshard(x, P())[1:3, 1]],
        lambda x, w: lax.with_sharding_constraint(x * 2, P("a", "b")),
        lambda x, w: auto_axes(lambda x: jnp.sort(x @ x.T), out_sharding=P("a", "b"))(x),
        lambda x, w: reshard(
            jnp.matmul(x, w, out_sharding=P("a", None, unreduced={"b"})), P("a", "b")
        ),
    ),
    "shard_map": (
        [X, W],
        lambda x, w: jax.shard_map(
            lambda x, w: lax.psum(jnp.sin(x) @ w, "b"),
            in_specs=(P("a", "b"), P("b")),
            out_specs=P("a"),
        )(x, w),
        lambda x, w: jax.shard_map(
            lambda x: jnp.sin(x) * x.sum(1, keepdims=True),
            axis_names={"a"},
            in_specs=(P("a"),),
            out_specs=P("a"),
        )(x),
    ),
}


def conv(x, kernel, window_strides=(1, 1), **options):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, window_strides, "SAME", dimension_numbers=numbers, **options
    )


def pool(x, combine, init, stride):
    return lax.reduce_window(x, init, combine, (1, 2, 2, 1), (1, stride, stride, 1), "VALID")


@jax.custom_vjp
def own_vjp(x, v):
    return jnp.sin(x) * v


own_vjp.defvjp(
    lambda x, v: (own_vjp(x, v), (x, v)),
    lambda kept, g: (g * jnp.cos(kept[0]) * kept[1], jnp.sum(g * jnp.sin(kept[0]), 0)),
)


@jax.custom_jvp
def own_jvp(x, v):
    return jnp.sin(x) * v


@own_jvp.defjvp
def _(primals, tangents):
    (x, v), (dx, dv) = primals, tangents
    return own_jvp(x, v), jnp.cos(x) * v * dx + jnp.sin(x) * dv


def loss(functions, *args):
    outputs = jax.tree.leaves([function(*args) for function in functions])
    return sum(
        ((i + 1) * jnp.sum(jnp.sin(y.astype(jnp.float32))) for i, y in enumerate(outputs)), 0.0
    )


def placed(types):
    return [
        jax.device_put(DRAWN[: np.prod(shape, dtype=int)].reshape(shape), NamedSharding(MESH, spec))
        for shape, spec in types
    ]


def types_of(gradient):
    return [str(jax.typeof(g)) + str(jax.typeof(g).manual_axis_type) for g in gradient]


def assert_same(ours, theirs):
    assert types_of(ours) == types_of(theirs)
    # what is not yet summed over devices cannot be looked at
    whole = [
        [reshard(g, P()) if jax.typeof(g).sharding.spec.unreduced else g for g in gradient]
        for gradient in (ours, theirs)
    ]
    assert_agree(*whole, 1e-5)


BEFORE = jnp.asarray(DRAWN[:32].reshape(8, 4)), jnp.asarray(DRAWN[:4])


@pytest.fixture(autouse=True)
def _mesh():
    with jax.set_mesh(MESH):
        yield


def gradients(name, transform):
    types, *functions = CASES[name]
    args = placed(types)
    return [
        transform(grad(functools.partial(loss, functions), tuple(range(len(args)))))(*args)
        for grad in (funcnn.grad, jax.grad)
    ]


@pytest.mark.parametrize("name", CASES)
def test_cotangents_are_sharded_as_by_jax(name):
    assert_same(*gradients(name, jax.jit))


@pytest.mark.parametrize("name", ["indexing", "shard_map"])
def test_and_so_they_are_without_jit(name):
    assert_same(*gradients(name, lambda fun: fun))


@pytest.mark.parametrize("transform", [jax.jit, lambda fun: fun])
def test_sorting(transform):
    """JAX 0.10 itself cannot; a sum is the same in any order."""
    [x] = placed([ROWS])
    slope = transform(funcnn.grad(lambda x: jnp.sum(jnp.sin(lax.sort((x, x), num_keys=1)[1]))))
    assert_same([slope(x)], [jnp.cos(x)])


def test_pullback_of_outputs_that_are_sharded():
    x, w = placed([ROWS, WIDE])

    def there_and_back(vjp):
        out, pullback = vjp(lambda x, w: (x @ w, {"rows": x.sum(1)}), x, w)
        return pullback(jax.tree.map(jnp.cos, out))

    assert_same(there_and_back(funcnn.vjp), there_and_back(jax.vjp))


def test_gradient_of_a_gradient():
    args = placed([ROWS, WIDE])

    def first(x, w):
        summed = lax.reduce_sum(x, (0,), out_sharding=P(None, unreduced={"a"}))
        return jnp.sum(jnp.tanh(x @ w) ** 2) + jnp.sum(reshard(summed, P("b")) ** 3)

    def second(grad):
        def slope(x, w):
            return sum(jnp.sum(jnp.sin(g)) for g in grad(first, (0, 1))(x, w))

        return jax.jit(grad(slope, (0, 1)))(*args)

    assert_same(second(funcnn.grad), second(jax.grad))


def test_values_from_before_the_mesh_was_set():
    [x] = placed([ROWS])

    def there(w, b):
        return jnp.sum(jnp.tanh(x @ w + b) @ w.T)

    assert_same(funcnn.grad(there, (0, 1))(*BEFORE), jax.grad(there, (0, 1))(*BEFORE))
