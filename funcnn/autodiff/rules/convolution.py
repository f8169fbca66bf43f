"""Convolutions of every kind, as lax's `conv_general_dilated`.

Along one spatial axis, with stride s, dilations a (of the input) and b (of the kernel) and padding
p in front, output i is the sum over k of kernel[k] · input[j], where a j = s i + b k - p. Both
transposes are the same sum read for another of its three factors, so both are convolutions again,
with strides and dilations changing places.

Where the kernel's gradient is not JAX's convolution, a measurement says why (CPU time of 16 or 32
images, float32, JAX 0.10.2). For all other shapes products of slices or patches were tried: they
need several times the memory and are a little faster for few channels, slower for many.
"""

from jax import lax

from funcnn.autodiff.rules.table import linear
from funcnn.autodiff.sharding import cotangent_sharding, of_axes, reshaped


def _dilated(size, dilation):
    return (size - 1) * dilation + 1


def _spatial(aval, spec):
    """The lengths of the spatial axes."""
    return [aval.shape[d] for d in spec[2:]]


def _swapped(spec):
    """The axes with the two that are not spatial in each other's place."""
    return (spec[1], spec[0], *spec[2:])


def _convolution(lhs, rhs, *, dimension_numbers, out_sharding, **how):
    """`lax.conv_general_dilated` of transposed arrays: images NHWC, kernels HWIO.

    XLA's CPU backend rearranges axes by itself, but not inside of loops: there a convolution in any
    other order is computed by plain loops. A training step scanned over batches of 128, 28 x 28,
    with four 3 x 3 convolutions: 68 ms, and 1782 ms without this (CPU time).
    """
    if out_sharding is not None:  # transposing what is sharded could mean moving it
        return lax.conv_general_dilated(
            lhs, rhs, dimension_numbers=dimension_numbers, out_sharding=out_sharding, **how
        )
    (n, c, *image), (o, i, *window), (n_out, c_out, *image_out) = dimension_numbers
    axes = range(lhs.ndim)
    images, kernel = (0, axes[-1], *axes[1:-1]), (axes[-1], axes[-2], *axes[:-2])
    out = lax.conv_general_dilated(
        lax.transpose(lhs, (n, *image, c)),
        lax.transpose(rhs, (*window, i, o)),
        dimension_numbers=lax.ConvDimensionNumbers(images, kernel, images),
        **how,
    )
    order = (n_out, *image_out, c_out)
    return lax.transpose(out, sorted(axes, key=order.__getitem__))


def _strided(x, spec, counts, strides):
    """The first of every `stride` places along each spatial axis, `counts` of them."""
    ends, steps = list(x.shape), [1] * x.ndim
    for d, count, stride in zip(spec[2:], counts, strides, strict=True):
        ends[d], steps[d] = _dilated(count, stride), stride
    return lax.slice(x, [0] * x.ndim, ends, steps)


def _move_groups(x, groups, source, target):
    """Makes `groups`, the outer factor of axis `source`, the outer factor of axis `target`."""
    if groups == 1:
        return x
    shape = list(x.shape)
    shape[source] //= groups
    apart = lax.reshape(x, [*shape[:source], groups, *shape[source:]])
    order = [d + (d >= source) for d in range(x.ndim)]
    order.insert(target, source)
    shape[target] *= groups
    return lax.reshape(lax.transpose(apart, order), shape)


def _to_input(
    g,
    rhs,
    lhs_aval,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    dimension_numbers,
    feature_group_count,
    batch_group_count,
    precision,
    preferred_element_type,
):
    """`g`, spread out by the strides, with the kernel reversed."""
    lhs_spec, rhs_spec, out_spec = dimension_numbers
    if 0 in (*g.shape, *rhs.shape, *lhs_aval.shape):
        return None
    sizes = zip(
        _spatial(lhs_aval, lhs_spec),
        _spatial(rhs, rhs_spec),
        _spatial(g, out_spec),
        padding,
        window_strides,
        lhs_dilation,
        rhs_dilation,
        strict=True,
    )
    pads = []
    for n, k, m, (low, _), stride, dilation, kernel_dilation in sizes:
        reach = _dilated(k, kernel_dilation)
        before = reach - 1 - low
        pads.append((before, _dilated(n, dilation) + reach - 1 - _dilated(m, stride) - before))
    groups = max(feature_group_count, batch_group_count)
    kernel = lax.rev(_move_groups(rhs, groups, rhs_spec[0], rhs_spec[1]), rhs_spec[2:])
    to_input = _convolution(
        g,
        lax.convert_element_type(kernel, g.dtype),
        window_strides=lhs_dilation,
        padding=pads,
        lhs_dilation=window_strides,
        rhs_dilation=rhs_dilation,
        dimension_numbers=lax.ConvDimensionNumbers(out_spec, _swapped(rhs_spec), lhs_spec),
        feature_group_count=groups,
        precision=precision,
        preferred_element_type=preferred_element_type,
        out_sharding=cotangent_sharding(lhs_aval),
    )
    to_input = lax.convert_element_type(to_input, lhs_aval.dtype)
    return _move_groups(to_input, batch_group_count, lhs_spec[1], lhs_spec[0])


def _to_kernel(
    g,
    lhs,
    rhs_aval,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    dimension_numbers,
    feature_group_count,
    batch_group_count,
    precision,
    preferred_element_type,
):
    """The input, with `g` for a kernel: batch and features have changed places."""
    lhs_spec, rhs_spec, out_spec = dimension_numbers
    if 0 in (*g.shape, *lhs.shape, *rhs_aval.shape):
        return None
    lhs = lax.convert_element_type(lhs, g.dtype)
    kernel, outputs = _spatial(rhs_aval, rhs_spec), _spatial(g, out_spec)
    sizes = zip(
        _spatial(lhs, lhs_spec),
        kernel,
        outputs,
        padding,
        window_strides,
        lhs_dilation,
        rhs_dilation,
        strict=True,
    )
    pads = []
    for n, k, m, (low, _), stride, dilation, kernel_dilation in sizes:
        reached = _dilated(k, kernel_dilation) - 1 + _dilated(m, stride)
        pads.append((low, reached - _dilated(n, dilation) - low))
    groups = max(feature_group_count, batch_group_count)
    numbers = lax.ConvDimensionNumbers(_swapped(lhs_spec), _swapped(out_spec), _swapped(rhs_spec))
    sharding = cotangent_sharding(rhs_aval)

    def convolution(lhs, g, **groups):
        return _convolution(
            lhs,
            g,
            window_strides=rhs_dilation,
            padding=pads,
            lhs_dilation=lhs_dilation,
            rhs_dilation=window_strides,
            dimension_numbers=numbers,
            precision=precision,
            preferred_element_type=preferred_element_type,
            out_sharding=sharding,
            **groups,
        )

    def by_batch(lhs, g):
        """What was grouped by features comes back grouped by the batch."""
        return convolution(lhs, g, batch_group_count=groups)

    def by_features(lhs, g):
        """The same, with the groups moved to where the batch, now the features, is."""
        moved = _move_groups(lhs, groups, lhs_spec[1], lhs_spec[0])
        return convolution(moved, g, feature_group_count=groups)

    if batch_group_count > 1:
        to_kernel = convolution(lhs, g, feature_group_count=groups)
    elif feature_group_count > 1 and sharding is not None:
        to_kernel = by_batch(lhs, g)  # groups are not moved into a batch that may be sharded
    elif feature_group_count > 1:
        # 64 channels of 28 x 28, kernel 3 x 3, by features and by the batch: in 4 groups 8 and 340
        # ms, in 32 groups 6 and 2457 ms; in 64 (depthwise) 7 and 8 ms, but 64 times the flops
        to_kernel = lax.platform_dependent(lhs, g, cpu=by_features, default=by_batch)
    elif {*kernel, *lhs_dilation} <= {1} and all(low == 0 >= high for low, high in pads):
        # 64 channels of 28 x 28 to 64: 2.7 ms, as a convolution 5.6 ms and a copy of the input
        taken = _strided(lhs, lhs_spec, outputs, window_strides)
        to_kernel = lax.dot_general(
            taken,
            g,
            (((lhs_spec[0], *lhs_spec[2:]), (out_spec[0], *out_spec[2:])), ((), ())),
            precision=precision,
            preferred_element_type=preferred_element_type,
            out_sharding=of_axes(sharding, rhs_spec[1::-1]),
        )
        if rhs_spec[0] < rhs_spec[1]:
            to_kernel = lax.transpose(to_kernel, (1, 0))
        to_kernel = reshaped(to_kernel, rhs_aval)
    else:
        to_kernel = convolution(lhs, g)
    return lax.convert_element_type(to_kernel, rhs_aval.dtype)


linear(lax.conv_general_dilated_p, "lhs rhs", lhs=_to_input, rhs=_to_kernel)
