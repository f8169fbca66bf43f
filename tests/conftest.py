"""Eight devices for the tests of programs on several of them, and quick compilation.

Nearly every program of the tests runs once, on a few numbers: LLVM's optimizations, and a compiler
of its own for each fusion, would take most of the suite's time. XLA's own passes over a program
stay as they are for users. With `XLA_FLAGS=` in the environment (empty, or with other flags), all
is compiled as it is there. The processes that tests start inherit it.
"""

import os

import jax
import jaxlib
import pytest

# what is compiled with for users, and here
LEVELS = {
    "xla_backend_optimization_level": (3, 0),
    "xla_cpu_parallel_codegen_split_count": (32, 1),
    "xla_cpu_use_fusion_emitters": (True, False),
}
if jaxlib.version.__version_info__ >= (0, 11):
    del LEVELS["xla_cpu_use_fusion_emitters"]  # XLA ends a process for a flag it does not know

# read when the first program is compiled
flags = (f"--{name}={str(here).lower()}" for name, (_, here) in LEVELS.items())
os.environ.setdefault("XLA_FLAGS", " ".join(flags))
jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture(scope="session")
def as_for_users():
    """Compiler options for programs whose bytes and operations are counted."""
    return {name: for_users for name, (for_users, _) in LEVELS.items()}
