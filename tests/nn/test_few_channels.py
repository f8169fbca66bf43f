"""The sum of shifted images: the numbers of the convolution, to all orders, and only on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import funcnn
from funcnn.nn.functional import conv
from funcnn.nn.functional.few_channels import has_few_channels


def plain(x, kernel, padding="SAME"):
    letters = "WHD"[: x.ndim - 2][::-1]
    numbers = f"N{letters}C", f"{letters}IO", f"N{letters}C"
    return lax.conv_general_dilated(x, kernel, (1,) * (x.ndim - 2), padding, None, None, numbers)


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [
        ((2, 6, 5, 1), (3, 3, 1, 4), "SAME"),
        ((2, 6, 5, 2), (3, 3, 2, 3), "VALID"),
        ((2, 6, 5, 2), (2, 4, 2, 3), [(0, 3), (-1, 2)]),
        ((2, 9, 1), (5, 1, 3), "SAME"),
        ((1, 4, 3, 4, 2), (2, 2, 2, 2, 3), "SAME"),
    ],
)
def test_it_is_the_convolution(shape, kernel, padding):
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, k = (jnp.asarray(generator.standard_normal(s)) for s in (shape, kernel))
        g = jnp.asarray(generator.standard_normal(plain(x, k, padding).shape))

        def everything(conv, grad, value_and_grad):
            """The value, both gradients, those of a gradient's square, a jvp, under vmap."""

            def f(x, k):
                return jnp.sum(jnp.sin(conv(x, k)) * g)

            def squared(x, k):
                return jnp.sum(grad(f, argnums=1)(x, k) ** 2)

            def of(x, k):
                several = jnp.stack([x, 3 * x])
                return (
                    value_and_grad(f, argnums=(0, 1))(x, k),
                    grad(squared, argnums=(0, 1))(x, k),
                    jax.jvp(f, (x, k), (2 * x, k)),
                    jax.vmap(lambda x: conv(x, k))(several),
                )

            return jax.jit(of)(x, k)

        ours = everything(
            lambda x, k: conv(x, k, padding=padding), funcnn.grad, funcnn.value_and_grad
        )
        theirs = everything(lambda x, k: plain(x, k, padding), jax.grad, jax.value_and_grad)
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
        jax.tree.map(close, ours, theirs)


def test_on_other_devices_it_is_one_convolution():
    x, kernel = jnp.zeros((2, 8, 8, 1)), jnp.zeros((3, 3, 1, 4))
    text = {
        platform: export.export(jax.jit(conv), platforms=[platform])(x, kernel).mlir_module()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert {platform: "stablehlo.convolution" in text[platform] for platform in text} == {
        "cpu": False,
        "cuda": True,
        "tpu": True,
    }


@pytest.mark.parametrize(
    ("kernel", "dtype", "changes"),
    [
        ((3, 3, 3, 8), "float32", {}),
        ((5, 5, 1, 8), "float32", {}),
        ((3, 3, 1, 8), "bfloat16", {}),  # a sum of bfloat16 would lose digits
        ((3, 3, 1, 8), "float32", {"window_strides": (1, 2)}),
        ((3, 3, 1, 8), "float32", {"rhs_dilation": (2, 1)}),
        ((3, 3, 1, 8), "float32", {"feature_group_count": 2}),
    ],
)
def test_what_it_is_not_for(kernel, dtype, changes):
    usual = {"window_strides": (1, 1), "rhs_dilation": (1, 1), "feature_group_count": 1}
    x, k = jnp.zeros((2, 8, 8, kernel[2]), dtype), jnp.zeros(kernel, dtype)
    assert not has_few_channels(x, k, usual | changes)
    small = jnp.zeros((3, 3, 1, 8))
    assert has_few_channels(jnp.zeros((2, 8, 8, 1)), small, usual)
