"""The ways in which a function is differentiated: eagerly, traced, mapped, and mixed with JAX's."""

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from .agreement import assert_agree


def long(x):
    """More equations than are opened while tracing: an inner jit of it goes through its halves."""
    for _ in range(3):
        x = jnp.sin(x) * x + jnp.cos(x)
    return x


def around(f):
    """`f` among enough other equations that a jit of all of it is not opened."""
    return jax.jit(lambda x: f(x) * long(x) + f(x))


def two(x):
    return jnp.stack([x, x + 0.1])


def traced(f):
    """`f`, traced as under `jax.jit`, and the equations then computed one by one.

    What is traced is what matters here; to compile it would take most of the time.
    """

    def run(*args):
        flat, tree = jax.tree.flatten(args)
        closed, shapes = jax.make_jaxpr(
            lambda *flat: f(*jax.tree.unflatten(tree, flat)), return_shape=True
        )(*flat)
        return jax.tree.unflatten(jax.tree.structure(shapes), compute(closed, flat))

    return run


def compute(closed, args):
    jaxpr = getattr(closed, "jaxpr", closed)
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *args], strict=True))
    read = lambda v: v.val if isinstance(v, Literal) else env[v]
    for eqn in jaxpr.eqns:
        values = list(map(read, eqn.invars))
        if str(eqn.primitive) == "jit":
            outs = compute(eqn.params["jaxpr"], values)
        else:
            outs = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
            outs = outs if eqn.primitive.multiple_results else [outs]
        env.update(zip(eqn.outvars, outs, strict=True))
    return list(map(read, jaxpr.outvars))


# name -> run(m, f, x), where m is the module that has grad and vjp, and f is a scalar function of x
EAGER = {"eager": lambda m, f, x: m.value_and_grad(f)(x)}
COMPILED = {
    "twice": lambda m, f, x: m.grad(m.grad(f))(x),
    "a long jit inside": lambda m, f, x: m.grad(around(f))(x),
    "a long jit inside, twice": lambda m, f, x: m.grad(m.grad(around(f)))(x),
    "jit outside": lambda m, f, x: jax.jit(m.value_and_grad(around(f)))(x),
    "pullback out of jit": lambda m, f, x: jax.jit(lambda x: m.vjp(around(f), x)[1])(x)(x * 2),
}
TRACED = {
    "traced": lambda m, f, x: traced(m.value_and_grad(f))(x),
    "long jit inside": lambda m, f, x: traced(m.grad(around(f)))(x),
    "vmap of it with a long jit": lambda m, f, x: traced(jax.vmap(m.grad(around(f))))(two(x)),
    "of vmap": lambda m, f, x: traced(m.grad(lambda x: jnp.sum(jax.vmap(f)(x))))(two(x)),
    "pullbacks out of vmap": lambda m, f, x: traced(
        lambda x: jax.vmap(lambda pullback, g: pullback(g))(
            jax.vmap(lambda x: m.vjp(f, x)[1])(x), x
        )
    )(two(x)),
    "twice with a long jit": lambda m, f, x: traced(m.grad(m.grad(around(f))))(x),
    "jax.grad of it": lambda m, f, x: traced(jax.grad(m.grad(f)))(x),
    "of jax.grad with a long jit": lambda m, f, x: traced(m.grad(jax.grad(around(f))))(x),
}
FORWARD = {
    "jax.jvp of it": lambda m, f, x: traced(lambda x: jax.jvp(m.grad(f), (x,), (2 * x,)))(x),
    "of jax.jvp": lambda m, f, x: traced(m.grad(lambda x: jax.jvp(f, (x,), (2 * x,))[1]))(x),
}


def assert_same_as_jax(ours, f, x, modes, rtol=1e-11):
    """In each mode, the transforms of `ours` give what JAX's give."""
    for name, run in modes.items():
        assert_agree(run(ours, f, x), run(jax, f, x), rtol, f"{name}: ")
