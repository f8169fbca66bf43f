"""What the gradient costs, as XLA counts it: no more than JAX's own."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn

ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu, "elu": jax.nn.elu}


def mlp_loss(activation):
    def loss(params, x, y):
        for w, b in params[:-1]:
            x = activation(x @ w + b)
        w, b = params[-1]
        log_p = jax.nn.log_softmax(x @ w + b)
        return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))

    return loss


def arguments(widths, batch):
    pairs = itertools.pairwise(widths)
    params = [(jnp.zeros(shape), jnp.zeros(shape[1])) for shape in pairs]
    return params, jnp.zeros((batch, widths[0])), jnp.zeros(batch, jnp.int32)


def counts(value_and_grad, loss, args, options):
    lowered = jax.jit(value_and_grad(loss)).lower(*args)
    compiled = lowered.compile(options)
    memory = compiled.memory_analysis().temp_size_in_bytes
    return compiled.cost_analysis()["flops"], memory


def equations(jaxpr):
    inner = jax.extend.core.jaxprs_in_params
    return sum(1 + sum(map(equations, inner(eqn.params))) for eqn in jaxpr.eqns)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(
    ("widths", "batch"), [((784, 30, 30, 10), 32), ((20, 16, 16, 16, 16, 16, 5), 512)]
)
def test_flops_bytes_and_equations_of_an_mlp(name, widths, batch, as_for_users):
    loss, args = mlp_loss(ACTIVATIONS[name]), arguments(widths, batch)
    flops, memory = counts(funcnn.value_and_grad, loss, args, as_for_users)
    flops_jax, memory_jax = counts(jax.value_and_grad, loss, args, as_for_users)
    assert 0 < flops <= flops_jax
    # the first kernel's gradient is computed lying down (rules/contractions.py), which is quicker;
    # a step of train.make_step takes as much memory either way (benchmarks/step_cost.py)
    lying = 4 * widths[0] * widths[1] if widths[0] >= 256 else 0
    assert 0 < memory <= memory_jax + lying
    ours = jax.make_jaxpr(funcnn.value_and_grad(loss))(*args).jaxpr
    theirs = jax.make_jaxpr(jax.value_and_grad(loss))(*args).jaxpr
    # a custom JVP rule is run with tangents of zero, which leaves an equation that XLA drops
    assert equations(ours) <= 1.1 * equations(theirs)


def test_a_value_that_no_gradient_needs_is_not_computed_for_it():
    """Gradient by x alone of a product: the other operand's cotangent is not computed."""

    def loss(x, w):
        return jnp.sum(jnp.tanh(x @ w))

    x, w = jnp.ones((8, 64)), jnp.ones((64, 64))
    one = jax.jit(funcnn.grad(loss)).lower(x, w).compile().cost_analysis()["flops"]
    both = jax.jit(funcnn.grad(loss, argnums=(0, 1))).lower(x, w).compile()
    assert both.cost_analysis()["flops"] > one + 2 * 8 * 64 * 64 - 1


def test_an_operand_that_no_rule_needs_is_let_go():
    """Eager: after y = x + 1 has been recorded nobody holds x's memory but its owner."""
    x = jnp.ones(10)
    doubled = []

    def f(x):
        big = x * 2.0
        doubled.append(big)
        return jnp.sum(big + 1.0)

    _, pullback = funcnn.vjp(f, x)
    leaves = jax.tree.leaves(pullback)
    assert all(np.size(leaf) <= 1 for leaf in leaves), "x * 2, + 1 and sum need no array to go back"


@pytest.mark.parametrize("layout", [("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW")])
def test_convolutions_of_a_gradient_have_the_order_that_is_quick_in_loops(layout):
    """NHWC and HWIO. XLA's CPU backend brings others into it, but not in loops: 26 times slower."""

    def loss(x, kernel):
        kind = {"padding": "SAME", "dimension_numbers": layout}
        return jnp.sum(jax.lax.conv_general_dilated(x, kernel, (2, 1), **kind) ** 2)

    shape = {"N": 2, "C": 3, "H": 5, "W": 6, "I": 3, "O": 4}
    x, kernel = (jnp.ones([shape[c] for c in axes]) for axes in layout[:2])
    jaxpr = jax.make_jaxpr(funcnn.grad(loss, (0, 1)))(x, kernel).jaxpr
    specs = [
        eqn.params["dimension_numbers"]
        for eqn in jaxpr.eqns
        if eqn.primitive is jax.lax.conv_general_dilated_p
    ]
    assert len(specs) == 3
    for spec in specs[1:]:  # the first is that of the loss
        assert spec == ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
