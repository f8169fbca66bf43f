"""Eight devices for the tests of programs on several of them."""

import jax

jax.config.update("jax_num_cpu_devices", 8)
