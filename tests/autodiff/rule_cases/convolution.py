"""Convolutions of every kind."""

import jax.numpy as jnp
from jax import lax

from .case import Variant, case, complex_normal, normal


def _conv(strides, padding, numbers=("NCH", "OIH", "NCH"), **options):
    return lambda x, w: lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=numbers, **options
    )


_2d = ("NHWC", "HWIO", "NHWC")

case(
    "conv_general_dilated",
    # of the first three the second order is asked
    everything=(
        _conv((2, 1), [(1, 2), (3, -1)], _2d, lhs_dilation=(1, 2), rhs_dilation=(2, 1)),
        normal(2, 5, 4, 3),
        normal(3, 2, 3, 2),
    ),
    feature_groups=(
        _conv((2,), [(1, 0)], feature_group_count=3),
        normal(2, 6, 5),
        normal(9, 2, 2),
    ),
    kernel_of_one=(_conv((2,), "VALID"), normal(2, 3, 5), normal(4, 3, 1)),
    same=(_conv((1, 1), "SAME", _2d), normal(2, 5, 4, 1), normal(3, 3, 1, 2)),
    same_strided=(_conv((2, 3), "SAME", _2d), normal(2, 5, 4, 2), normal(3, 2, 2, 2)),
    stride_beyond_the_kernel=(_conv((3,), "VALID"), normal(1, 2, 8), normal(2, 2, 2)),
    input_not_used_up=(_conv((3,), "VALID"), normal(1, 2, 7), normal(2, 2, 2)),
    input_dilated_strided=(
        _conv((2,), [(2, 0)], lhs_dilation=(3,)),
        normal(1, 2, 3),
        normal(2, 2, 3),
    ),
    kernel_dilated_strided=(
        _conv((2,), [(1, 3)], rhs_dilation=(3,)),
        normal(1, 2, 7),
        normal(2, 2, 3),
    ),
    input_cut_dilated=(_conv((1,), [(-2, 1)], lhs_dilation=(2,)), normal(1, 2, 4), normal(2, 2, 2)),
    far_padding=(_conv((2,), [(5, 4)]), normal(1, 2, 3), normal(2, 2, 2)),
    kernel_as_long=(_conv((1,), "VALID"), normal(2, 2, 3), normal(2, 2, 3)),
    no_space=(_conv((), [], ("NC", "OI", "NC")), normal(2, 3), normal(4, 3)),
    three_axes=(
        _conv((1, 2, 1), "SAME", ("NDHWC", "DHWIO", "NDHWC")),
        normal(1, 3, 4, 2, 2),
        normal(2, 3, 1, 2, 2),
    ),
    depthwise=(
        _conv((1, 1), "SAME", _2d, feature_group_count=3),
        normal(2, 3, 4, 3),
        normal(2, 3, 1, 6),
    ),
    depthwise_strided=(
        _conv((2, 1), "SAME", _2d, feature_group_count=3, rhs_dilation=(1, 2)),
        normal(2, 3, 4, 3),
        normal(2, 2, 1, 3),
    ),
    batch_groups=(
        _conv((2,), [(1, 0)], batch_group_count=3),
        normal(6, 2, 5),
        normal(9, 2, 2),
    ),
    batch_groups_elsewhere=(
        _conv((1,), "VALID", ("HCN", "IHO", "CHN"), batch_group_count=2),
        normal(5, 3, 4),
        normal(3, 2, 6),
    ),
    axes_anywhere=(
        _conv((1, 2), [(0, 1), (1, 0)], ("WNHC", "OWIH", "CWHN")),
        normal(4, 2, 3, 3),
        normal(2, 2, 3, 3),
    ),
    feature_groups_anywhere=(
        _conv((1,), "SAME", ("HCN", "IHO", "CHN"), feature_group_count=2),
        normal(3, 4, 2),
        normal(2, 2, 4),
    ),
    same_operand=(
        lambda x: lax.conv_general_dilated(x, x, (1,), [(1, 1)]),
        normal(2, 2, 3),
    ),
    constant_kernel=(
        lambda x: lax.conv_general_dilated(x, jnp.ones((2, 2, 2), x.dtype), (1,), "VALID"),
        normal(2, 2, 3),
    ),
    constant_input=(
        lambda w: lax.conv_general_dilated(jnp.ones((2, 2, 4), w.dtype), w, (1,), "VALID"),
        normal(2, 2, 3),
    ),
    no_images=(_conv((1,), "VALID"), normal(0, 2, 4), normal(2, 2, 3)),
    no_channels=(_conv((1,), "VALID"), normal(2, 0, 4), normal(2, 0, 3)),
    no_outputs=(_conv((1,), "VALID"), normal(2, 2, 2), normal(2, 2, 3)),
    no_features=(_conv((1,), "VALID"), normal(2, 2, 4), normal(0, 2, 3)),
    precise=(_conv((1,), "SAME", precision="highest"), normal(2, 2, 4), normal(2, 2, 3)),
    wider_result=Variant(
        lambda x, w: lax.conv_general_dilated(
            x.astype(jnp.bfloat16),
            w.astype(jnp.bfloat16),
            (1,),
            "SAME",
            preferred_element_type=jnp.float32,
        ),
        (normal(2, 2, 4), normal(2, 2, 3)),
        False,
    ),
    complex=(
        _conv((2,), [(1, 0)], feature_group_count=2),
        complex_normal(2, 4, 5),
        complex_normal(4, 2, 3),
    ),
)
