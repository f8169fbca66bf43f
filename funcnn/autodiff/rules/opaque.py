"""Primitives that compute somewhere JAX cannot look, or that nobody knows a derivative of.

Reaching one with a value that is differentiated is an error that says why, unless all it gives out
is integers.
"""

from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import no_derivative

_OUTSIDE = (
    "what it calls runs outside JAX, so that there is nothing to differentiate. Wrap the call in a "
    "function with jax.custom_vjp or jax.custom_jvp that says what its derivative is"
)
no_derivative(_OUTSIDE, "pure_callback", "io_callback", "ffi_call")
no_derivative(
    "how it is to be split over devices is said of the function, not of its gradient. Give it a "
    "jax.custom_vjp rule whose two functions may be split in ways of their own",
    "custom_partitioning",
)
no_derivative(
    "it draws numbers from the state of the device, so that they are others each time they are "
    "asked for. Use jax.random.uniform, which is given a key",
    primitive("rng_uniform_p"),
)
