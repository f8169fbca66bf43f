"""Programs whose gradients are compared, each as one would write it in plain jax.numpy."""

from zoo.attention import masked_attention, transformer
from zoo.feedforward import cnn, mixture, mlp, remat_mlp, residual_cnn
from zoo.numerical import fft_convolution, fixed_point, gaussian_process, ode
from zoo.program import Program
from zoo.recurrent import gru, lstm

# by name: the program; its sizes for a benchmark; its sizes for a test
ZOO = {
    "MLP": (
        mlp,
        {"batch": 128, "widths": (784, 512, 512, 10)},
        {"batch": 3, "widths": (4, 5, 3)},
    ),
    "CNN": (
        cnn,
        {"batch": 32, "size": 28, "channels": (16, 32)},
        {"batch": 2, "size": 4, "channels": (3,)},
    ),
    "residual CNN": (
        residual_cnn,
        {"batch": 16, "size": 32, "channels": (16, 32, 64)},
        {"batch": 2, "size": 4, "channels": (2, 3)},
    ),
    "LSTM": (
        lstm,
        {"length": 256, "batch": 16, "inputs": 32, "units": 64},
        {"length": 3, "batch": 2, "inputs": 2, "units": 3},
    ),
    "GRU": (
        gru,
        {"length": 256, "batch": 16, "inputs": 32, "units": 64},
        {"length": 3, "batch": 2, "inputs": 2, "units": 3},
    ),
    "transformer": (
        transformer,
        {"batch": 4, "time": 128, "width": 128, "heads": 4},
        {"batch": 2, "time": 3, "width": 4, "heads": 2},
    ),
    "masked attention": (
        masked_attention,
        {"batch": 8, "time": 128, "width": 64, "heads": 4, "vocabulary": 256},
        {"batch": 2, "time": 3, "width": 4, "heads": 2, "vocabulary": 5},
    ),
    "mixture": (
        mixture,
        {"batch": 128, "width": 128, "layers": 4},
        {"batch": 2, "width": 3, "layers": 2},
    ),
    "ODE": (
        ode,
        {"batch": 64, "width": 16, "hidden": 64, "steps": 100},
        {"batch": 2, "width": 2, "hidden": 3, "steps": 3},
    ),
    "Gaussian process": (
        gaussian_process,
        {"points": 256, "dimensions": 4},
        {"points": 4, "dimensions": 2},
    ),
    "FFT convolution": (
        fft_convolution,
        {"batch": 8, "time": 1024, "channels": 16},
        {"batch": 2, "time": 4, "channels": 2},
    ),
    "remat MLP": (
        remat_mlp,
        {"batch": 128, "width": 256, "depth": 12},
        {"batch": 2, "width": 3, "depth": 4},
    ),
    "fixed point": (
        fixed_point,
        {"batch": 64, "width": 64},
        {"batch": 2, "width": 3},
    ),
}


def full(name: str) -> Program:
    """Of a realistic size, small enough for two cores."""
    program, sizes, _ = ZOO[name]
    return program(**sizes)


def tiny(name: str) -> Program:
    """Of the least size that still has everything in it."""
    program, _, sizes = ZOO[name]
    return program(**sizes)
