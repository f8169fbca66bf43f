"""Programs on several devices, with the transposes of what passes between them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Literal
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import funcnn

from .agreement import assert_agree

X = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
W = np.float32(0.7)


def on_mesh(body, in_specs, out_specs, check_vma):
    mesh = jax.make_mesh((2, 2), ("i", "j"), axis_types=(AxisType.Auto, AxisType.Auto))
    return jax.shard_map(
        body, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=check_vma
    )


def total(y):
    return lax.psum(jnp.sum(y), ("i", "j"))


def losses(check_vma):
    """Scalar functions of X and W, by name."""
    parts, whole = P("i", "j"), P()

    def sums(x, w):
        run = on_mesh(lambda x, w: total(jnp.sin(x * w) * x), (parts, whole), whole, check_vma)
        return run(x, w)

    def closed_over(x, w):
        run = on_mesh(lambda x: total(jnp.sin(x * w)) * w, (parts,), whole, check_vma)
        return run(x)

    def stays_in_parts(x, w):
        run = on_mesh(lambda x, w: jnp.exp(x * w) * x, (parts, whole), parts, check_vma)
        return jnp.sum(jnp.sin(run(x, w)))

    def loop(x, w):
        def body(x, w):
            x = lax.scan(lambda c, _: (jnp.sin(c * w), None), x, None, length=3)[0]
            return total(x * x), x

        s, y = on_mesh(body, (parts, whole), (whole, parts), check_vma)(x, w)
        return s * jnp.sum(jnp.cos(y))

    def branches(x, w):
        body = lambda x, w: lax.cond(w > 0, lambda x: jnp.sin(x) * x, lambda x: x, x * w)
        return jnp.sum(on_mesh(body, (parts, whole), parts, check_vma)(x, w) ** 2)

    def gathered(x, w):
        def body(x, w):
            rows = lax.all_gather(jnp.sin(x), "i", axis=0, tiled=True)
            return lax.psum_scatter(rows * w, "i", scatter_dimension=0, tiled=True)

        return jnp.sum(jnp.cos(on_mesh(body, (parts, whole), parts, check_vma)(x, w)) * x)

    def passed_on(x, w):
        body = lambda x, w: lax.ppermute(jnp.sin(x) * w, "i", [(0, 1), (1, 0)]) * x
        return jnp.sum(on_mesh(body, (parts, whole), parts, check_vma)(x, w) ** 2)

    def turned(x, w):
        body = lambda x, w: lax.all_to_all(jnp.sin(x) * w, "i", 0, 1, tiled=True)
        return jnp.sum(
            on_mesh(body, (parts, whole), parts, check_vma)(x, w) * x.reshape(2, 8).sum()
        )

    def mean(x, w):
        body = lambda x, w: jnp.exp(x - lax.pmean(x * w, ("i", "j")))
        return jnp.sum(on_mesh(body, (parts, whole), parts, check_vma)(x, w))

    return {
        f.__name__: f
        for f in (
            *(sums, closed_over, stays_in_parts, loop, branches),
            *(gathered, passed_on, turned, mean),
        )
    }


@pytest.mark.parametrize("check_vma", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize("name", losses(True))
def test_the_gradient_is_that_of_jax(name, check_vma):
    f = losses(check_vma)[name]
    both = [jax.jit(m.grad(f, (0, 1)))(X, W) for m in (funcnn, jax)]
    assert_agree(*both, 1e-5)

    def along(m):
        towards = lambda x, w: jnp.vdot(m.grad(f)(x, w), jnp.cos(x)) + m.grad(f, 1)(x, w) ** 2
        return jax.jit(m.grad(towards, (0, 1)))(X, W)

    assert_agree(along(funcnn), along(jax), 2e-5)


def test_eagerly():
    f = losses(True)["loop"]
    assert_agree(funcnn.grad(f, (0, 1))(X, W), jax.grad(f, (0, 1))(X, W), 1e-5)


def test_it_is_the_gradient_on_one_device():
    f = losses(True)["sums"]
    assert_agree(
        jax.jit(funcnn.grad(f, (0, 1)))(X, W),
        jax.grad(lambda x, w: jnp.sum(jnp.sin(x * w) * x), (0, 1))(X, W),
        1e-5,
    )


def test_in_vmap_with_a_named_axis():
    f = lambda x: jnp.sum(jnp.sin(x) * lax.psum(x * x, "b") * lax.axis_index("b"))
    ours, theirs = (jax.vmap(m.grad(f), axis_name="b")(X) for m in (funcnn, jax))
    assert_agree(ours, theirs, 1e-5)


def test_a_ragged_exchange_is_sent_back():
    """CPUs have no such exchange, so it is looked at before it is compiled."""

    def f(x):
        def body(x):
            sizes = jnp.array([1, 2], np.int32)
            starts, received = jnp.array([0, 1], np.int32), jnp.array([1, 2], np.int32)
            into = jnp.zeros(2, np.int32)
            exchanged = lax.ragged_all_to_all(
                jnp.sin(x), x * 2, starts, sizes, into, received, axis_name="i"
            )
            return exchanged * x

        return jnp.sum(on_mesh(body, P("i"), P("i"), False)(x))

    x = np.ones((8, 2), np.float32)
    ours, theirs = (str(jax.make_jaxpr(m.grad(f))(x)) for m in (funcnn, jax))
    for name in ("ragged_all_to_all[", "all_to_all["):
        assert ours.count(name) >= theirs.count(name) > 0


# --- what CPUs cannot do: each of these primitives is made of what they can


def with_emulations(fun, axis_size):
    """`fun` on an axis "i"."""

    def run(*args):
        traced = jax.make_jaxpr(fun, axis_env=[("i", axis_size)])(*args)
        env = dict(zip(traced.jaxpr.invars, args, strict=True))
        for eqn in traced.jaxpr.eqns:
            inputs = [v.val if isinstance(v, Literal) else env[v] for v in eqn.invars]
            primitive = eqn.primitive
            bind = {"ragged_all_to_all": exchanged, "pbroadcast": given_to_all}.get(
                primitive.name, primitive.bind
            )
            outs = bind(*inputs, **primitive.get_bind_params(eqn.params))
            outs = outs if primitive.multiple_results else [outs]
            env.update(zip(eqn.outvars, outs, strict=True))
        return tuple(env[v] for v in traced.jaxpr.outvars)

    return jax.jit(jax.vmap(run, axis_name="i"))


def given_to_all(x, *, axis_name, source):
    return lax.all_gather(x, axis_name)[source]


def test_what_one_gives_to_all_comes_back_as_a_sum():
    def pull_back(vjp, give, x, g):
        return vjp(lambda x: give(jnp.sin(x), axis_name="i", source=2), x)[1](g)

    args = X, np.cos(X)
    ours = with_emulations(functools.partial(pull_back, funcnn.vjp, lax.pbroadcast), 4)
    theirs = with_emulations(functools.partial(pull_back, jax.vjp, given_to_all), 4)
    assert_agree(ours(*args), theirs(*args), 1e-6)


def exchanged(operand, output, starts, sizes, into, received, *, axis_name, axis_index_groups):
    """What a ragged exchange gives out, by giving all to all. Row by row of the output."""
    here = lax.axis_index(axis_name)
    everywhere = lambda x: lax.all_gather(x, axis_name)
    senders = zip(*map(everywhere, (operand, starts, sizes, into)), received, strict=True)
    for sent, start, size, place, expected in senders:
        row = jnp.arange(len(output)) - place[here]
        is_sent = (row >= 0) & (row < jnp.minimum(size[here], expected))
        taken = sent[jnp.where(is_sent, start[here] + row, 0)]
        output = jnp.where(is_sent[:, None], taken, output)
    return output


@pytest.mark.parametrize("rows", [5, 6])
def test_a_ragged_exchange_is_sent_back_to_the_rows_it_came_from(rows):
    """What our rule makes of it, each exchange in it made of what CPUs have."""
    rng = np.random.default_rng(1)
    operand, output, g = (rng.normal(size=(2, n, 3)) for n in (rows, 6, 6))
    numbers = [  # per device: what is sent from where, how much, to where; how much comes
        np.array(n, np.int32)
        for n in ([[0, 2], [3, 0]], [[2, 3], [1, 2]], [[1, 0], [4, 3]], [[2, 1], [3, 2]])
    ]

    def pull_back(vjp, exchange, operand, output, g, *numbers):
        run = lambda *arrays: exchange(*arrays, *numbers, axis_name="i")
        return vjp(run, operand, output)[1](g)

    args = operand, output, g, *numbers
    ours = with_emulations(functools.partial(pull_back, funcnn.vjp, lax.ragged_all_to_all), 2)
    emulation = functools.partial(exchanged, axis_index_groups=None)
    theirs = with_emulations(functools.partial(pull_back, jax.vjp, emulation), 2)
    assert_agree(ours(*args), theirs(*args), 0)
