"""An update of many arrays traces to no more equations than optax's."""

import jax
import jax.extend.core
import jax.numpy as jnp
import optax
import pytest

from funcnn import optim

LEAVES = 20


def equations(jaxpr):
    """Number of equations, those of inner jaxprs in place of the equations that hold them."""
    return sum(
        sum(map(equations, jax.extend.core.jaxprs_in_params(equation.params))) or 1
        for equation in jaxpr.eqns
    )


def update_equations(module, make, params):
    optimizer = make(module)
    return equations(jax.make_jaxpr(optimizer.update)(params, optimizer.init(params), params).jaxpr)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.complex64])
@pytest.mark.parametrize(
    "make",
    [
        lambda module: module.sgd(0.1),
        lambda module: module.sgd(jnp.array(0.1)),
        lambda module: module.sgd(lambda count: 0.1 / (1 + count)),
        lambda module: module.sgd(0.1, 0.9),
        lambda module: module.sgd(0.1, 0.9, True),
        lambda module: module.adam(0.1),
        lambda module: module.adam(lambda count: 0.1 / (1 + count)),
        lambda module: module.adam(0.1, nesterov=True),
        lambda module: module.adamw(0.1),
        lambda module: module.amsgrad(0.1),
        lambda module: module.adagrad(0.1),
        lambda module: module.rmsprop(0.1),
        lambda module: module.rmsprop(0.1, eps_in_sqrt=False, momentum=0.9),
        lambda module: module.lion(0.1),
        lambda module: module.lamb(0.1),
        lambda module: module.chain(module.clip_by_global_norm(1.0), module.ema(0.9)),
        lambda module: module.scale(0.1),
        lambda module: module.chain(module.scale(0.5), module.scale(0.1)),
    ],
    ids=[
        "sgd",
        "sgd, rate in an array",
        "sgd, schedule",
        "momentum",
        "Nesterov",
        "adam",
        "adam, schedule",
        "Nadam",
        "adamw",
        "amsgrad",
        "adagrad",
        "rmsprop",
        "rmsprop, momentum",
        "lion",
        "lamb",
        "clip, ema",
        "scale",
        "chain",
    ],
)
def test_no_more_equations_than_optax(make, dtype):
    params = {str(i): jnp.ones((2, 3), dtype) for i in range(LEAVES)}
    ours, theirs = (update_equations(module, make, params) for module in (optim, optax))
    print(f"equations for {LEAVES} leaves: funcnn {ours}, optax {theirs}")
    assert LEAVES <= ours <= theirs


def test_scalars_are_cast_once_for_each_dtype():
    def casts(leaves):
        params = {str(i): jnp.ones((2, 3), jnp.bfloat16) for i in range(leaves)}
        optimizer = optim.adam(0.1)
        jaxpr = jax.make_jaxpr(optimizer.update)(params, optimizer.init(params)).jaxpr
        return sum(e.primitive.name == "convert_element_type" for e in jaxpr.eqns)

    assert casts(1) == casts(10)
