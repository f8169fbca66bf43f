"""The reverse mode is ours: neither in its source nor when it runs is JAX's own used."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import pytest

import funcnn
from funcnn import autodiff

SOURCES = sorted(pathlib.Path(autodiff.__file__).parent.rglob("*.py"))
THEIRS = {
    "grad",
    "value_and_grad",
    "vjp",
    "jvp",
    "linearize",
    "linear_transpose",
    "jacrev",
    "jacfwd",
    "jacobian",
    "hessian",
}


def names_of_jax(source: str) -> set[str]:
    """Every dotted name that begins with jax, as it is imported or used."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
    return {name for name in found if name.split(".")[0] == "jax"}


def forbidden(names: set[str]) -> set[str]:
    return {
        name
        for name in names
        if "_src" in name.split(".")
        or name.startswith("jax.interpreters.ad")
        or (name.split(".")[-1] in THEIRS and name.count(".") == 1)
    }


def test_there_is_something_to_look_at():
    assert {path.name for path in SOURCES} >= {"tracer.py", "backward.py", "elementwise.py"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_source_names_nothing_of_jax_s_own_differentiation(path):
    assert not forbidden(names_of_jax(path.read_text()))


@pytest.mark.parametrize(
    "line",
    [
        "import jax\njax.grad(f)",
        "from jax import vjp",
        "from jax._src import core",
        "import jax._src.core",
        "from jax.interpreters import ad",
        "import jax\njax.interpreters.ad.Zero",
    ],
)
def test_the_look_would_find_it(line):
    assert forbidden(names_of_jax(line))


def test_a_gradient_runs_where_jax_s_own_cannot(monkeypatch):
    def loss(w, x):
        hidden = jax.nn.relu(x @ w)
        return jnp.mean(jax.nn.logsumexp(jax.jit(jnp.tanh)(hidden), axis=-1))

    w, x = jnp.full((3, 4), 0.1), jnp.arange(6.0).reshape(2, 3)
    expected = jax.grad(loss)(w, x)

    def unavailable(*args, **kwargs):
        raise AssertionError("JAX's own differentiation was called")

    for name in THEIRS:
        monkeypatch.setattr(jax, name, unavailable)
    jax.clear_caches()
    for gradient in (funcnn.grad(loss)(w, x), jax.jit(funcnn.grad(loss))(w, x)):
        assert jnp.allclose(gradient, expected, rtol=1e-6)
