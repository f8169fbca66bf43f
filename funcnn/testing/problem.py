"""A function, and everyone's opinion of its derivative, between real vectors."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from funcnn.autodiff import vjp
from funcnn.autodiff.calls import custom_rules
from funcnn.testing.vectors import Space, pack, rounded, unpack

Leaves = list[Any]
Fun = Callable[..., Leaves]
"""differentiable leaves, one an argument -> differentiable leaves"""

FUNCNN, JAX, PRIMAL = "funcnn", "jax", "primal"
_VJP: dict[str, Callable] = {FUNCNN: vjp, JAX: jax.vjp, PRIMAL: vjp}


class Problem(NamedTuple):
    """A function at one precision, and those who say they know its derivative."""

    computed_in: str
    """the names of the arguments' types"""
    widened: bool
    """to 64 bits, which JAX then has to be told to allow"""
    inputs: Space
    outputs: Space
    unit: float
    """the unit roundoff of the narrowest type that it computes in"""
    funs: dict[str, Fun]
    """by who differentiates it"""

    def precision(self) -> Any:
        return jax.enable_x64(True) if self.widened else contextlib.nullcontext()

    def rounded(self, x: np.ndarray) -> np.ndarray:
        return rounded(x, self.inputs)

    def values(self) -> Callable[[np.ndarray], np.ndarray]:
        """The function as one of vectors."""
        who = next(iter(self.funs))
        run = compiled(self.funs[who])

        def values_at(x: np.ndarray) -> np.ndarray:
            with self.precision():
                return pack(run(*unpack(x, self.inputs)))

        return values_at

    def pullback(self, who: str) -> Callable[[np.ndarray, np.ndarray], tuple]:
        """(x, cotangents (k, m)) -> the value (m,), and the gradients (k, n), as `who` has them."""
        run = compiled(lambda leaves, gs: _pull_back(who, self.funs[who], leaves, gs))

        def pull_back_at(x: np.ndarray, cotangents: np.ndarray) -> tuple:
            with self.precision(), custom_rules(who != PRIMAL):
                leaves = unpack(x, self.inputs)
                gradients = []
                for cotangent in cotangents:
                    outs, found = run(leaves, unpack(cotangent, self.outputs, dual=True))
                    gradients.append(pack(found, dual=True))
                return pack(outs), np.array(gradients)

        return pull_back_at

    def pushforward(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """(x, direction) -> the outputs' tangent, by `jax.jvp`."""
        fun = self.funs.get(JAX, next(iter(self.funs.values())))
        run = compiled(lambda leaves, tangents: jax.jvp(fun, leaves, tangents)[1])

        def push_forward_at(x: np.ndarray, direction: np.ndarray) -> np.ndarray:
            with self.precision():
                leaves, tangents = unpack(x, self.inputs), unpack(direction, self.inputs)
                return pack(run(leaves, tangents))

        return push_forward_at

    def asking(self, those: Collection[str]) -> "Problem":
        """The same with only those who can differentiate it."""
        return self._replace(funs={who: fun for who, fun in self.funs.items() if who in those})

    def gradient(self, cotangent: np.ndarray) -> "Problem":
        """The gradient for one cotangent, as a function to be differentiated in its turn."""

        def gradient_by(who: str) -> Fun:
            def gradient(*leaves):
                gs = unpack(cotangent, self.outputs, dual=True)
                return _pull_back(who, self.funs[who], leaves, gs)[1]

            return gradient

        outputs = [leaf._replace(weak=False) for leaf in self.inputs]
        return self._replace(outputs=outputs, funs={who: gradient_by(who) for who in self.funs})


def _pull_back(who: str, fun: Fun, leaves: Sequence[Any], gs: Sequence[Any]) -> tuple:
    outs, pull = _VJP[who](fun, *leaves)
    return outs, list(pull(list(gs)))


def compiled(fun: Callable) -> Callable:
    """`fun` as one compiled program; or as it is, where it cannot be traced as one."""
    jitted: Callable | None = jax.jit(fun)

    def run(*args):
        nonlocal jitted
        if jitted is not None:
            try:
                return jitted(*args)
            except _UNTRACEABLE:
                jitted = None
        return fun(*args)

    return run


_UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.UnexpectedTracerError,
)
