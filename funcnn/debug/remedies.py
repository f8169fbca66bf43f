"""What usually mends a NaN or an infinity, by the operation that made it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcnn.debug.blame import entry_of


@dataclass(frozen=True)
class Symptom:
    """What is known of an operation that made NaN or infinity.

    Attributes:
      primitive: its name.
      where: "forward" or "gradient".
      inputs, upstream: its operands, and the gradients that came to its outputs (() forwards).
      output: the array it gave, or the gradient it handed on.
      position, index: which output (operand), and the entry.
      inside: names of the functions it is in.
      mask: the name of what sets the gradient of the entry to 0 ("where", "multiply"), or None.
      source: "a constant" or an argument, where an infinity that did it was given.
    """

    primitive: str
    where: str
    inputs: tuple[Any, ...]
    upstream: tuple[Any, ...]
    output: Any
    position: int
    index: tuple[int, ...]
    inside: tuple[str | None, ...]
    mask: str | None
    source: str | None

    def operand(self, k: int = 0) -> Any:
        """The operand's entry that belongs to the result's; None where none does.

        A real one is a Python float, so that it prints with the digits it needs.
        """
        if k >= len(self.inputs):
            return None
        entry = entry_of(self.inputs[k], self.index, np.shape(self.output))
        if entry is None or not jnp.issubdtype(entry.dtype, jnp.floating):
            return entry
        return float(f"{float(entry):.6g}")

    @property
    def backwards(self) -> bool:
        return bool(self.upstream)


def remedy(symptom: Symptom) -> str:
    """One or two sentences: what happened, and what to write instead."""
    said = _by_function(symptom) or _by_primitive(symptom) or _in_general(symptom)
    if symptom.mask is not None and symptom.where == "gradient":
        said = f"{said} {_double_where(symptom.mask)}".lstrip()
    return said


def of_a_constant(functions: tuple[str, ...]) -> str:
    """What is behind a constant that is not finite, in these functions (or programs)."""
    if "slogdet" in functions:
        return _SINGULAR
    return (
        "The program has it as a number of its own: the else of a where, the fill of an index "
        "out of bounds, the loss of a label outside the classes, an array closed over."
    )


_SINGULAR = (
    "The matrix is singular: its determinant is 0, the logarithm of that -inf. Add eps to its "
    "diagonal: slogdet(a + eps * jnp.eye(n))."
)

_MASKS = {
    **dict.fromkeys(("where", "select_n"), "The where"),
    **dict.fromkeys(("multiply", "mul"), "The product with 0"),
    **dict.fromkeys(("maximum", "max"), "The maximum"),
    **dict.fromkeys(("minimum", "min"), "The minimum"),
    **dict.fromkeys(("clip", "clamp"), "The clip"),
}


def _double_where(mask: str) -> str:
    return (
        f"{_MASKS.get(mask, mask)} masks the value, but not the gradient: 0 times what is not "
        "finite is nan. Mask the operand as well (the double where): jnp.where(ok, "
        "f(jnp.where(ok, x, 1.0)), 0.0)."
    )


def _by_function(symptom: Symptom) -> str:
    """For JAX's functions that are known by another name than their operations."""
    for name in symptom.inside:
        if name in _FUNCTIONS:
            said = _FUNCTIONS[name](symptom)
            if said:
                return said
    return ""


def _by_primitive(symptom: Symptom) -> str:
    table = _BACKWARD if symptom.backwards else _FORWARD
    tell = table.get(symptom.primitive)
    return tell(symptom) if tell is not None else ""


def _in_general(symptom: Symptom) -> str:
    if symptom.source is not None:
        return (
            f"An infinity that was given ({symptom.source}) met a 0 or another infinity here: use "
            "a large finite number instead (jnp.finfo(dtype).min for a mask), or keep it out."
        )
    if symptom.primitive in ("jit", "scan", "while", "cond", "checkpoint"):
        return (
            "Operation by operation all is finite: XLA computes the whole in another order, so "
            "that numbers close to the largest of their type overflow."
        )
    if not np.isnan(np.asarray(symptom.output)[symptom.index]):
        return _overflow(symptom)
    return ""


def _overflow(symptom: Symptom) -> str:
    dtype = jnp.asarray(symptom.output).dtype
    said = f"{dtype} ends at {float(jnp.finfo(dtype).max):.3g}: the numbers have grown beyond it."
    if float(jnp.finfo(dtype).max) < 1e5:
        return f"{said} Use bfloat16 or float32 here, or scale the loss down."
    return (
        f"{said} Usual causes: a learning rate too high, no normalization, exploding gradients "
        "(optim.clip_by_global_norm)."
    )


def _norm(s: Symptom) -> str:
    if s.backwards:
        return (
            "The norm has no gradient at 0: its square root has an infinite slope there. Use the "
            "squared norm, or jnp.sqrt(jnp.sum(x**2) + eps)."
        )
    return ""


def _std(s: Symptom) -> str:
    if s.backwards:
        return (
            "The standard deviation has no gradient for constant data: use jnp.sqrt(jnp.var(x) + "
            "eps)."
        )
    return ""


def _softmax(s: Symptom) -> str:
    return (
        "Every entry of this row is -inf (all of it is masked): leave at least one entry, mask "
        "with jnp.finfo(dtype).min instead of -inf, or use jax.nn.softmax(x, where=mask)."
        if s.source is not None or s.primitive in ("log", "sub", "div")
        else ""
    )


def _slogdet(s: Symptom) -> str:
    return _SINGULAR if s.primitive in ("log", "custom_linear_solve", "triangular_solve") else ""


def _xlogy(s: Symptom) -> str:
    if s.primitive == "log" and s.operand() == 0:
        return (
            "The slope of xlogy(x, y) by x is log(y), infinite at y = 0: take xlogy(x, "
            "jnp.maximum(y, eps)), or mask both operands where they are 0."
        )
    return ""


_FUNCTIONS: dict[str | None, Callable[[Symptom], str]] = {
    "norm": _norm,
    "_norm": _norm,
    "std": _std,
    "_std": _std,
    "softmax": _softmax,
    "_softmax": _softmax,
    "_softmax_deprecated": _softmax,
    "log_softmax": _softmax,
    "logsumexp": _softmax,
    "slogdet": _slogdet,
    "xlogy": _xlogy,
}


def _log(s: Symptom) -> str:
    x = s.operand()
    what = f"log({x})" if x is not None else "log"
    if s.backwards:
        return (
            f"The slope 1/x of {what} is not finite: keep x away from 0, or use a function that is "
            "the logarithm of something safe (jax.nn.log_softmax, jax.nn.log_sigmoid, log1p)."
        )
    if x is not None and np.real(x) < 0:
        return (
            f"{what}: the logarithm of a negative number. Is x a probability after a step too far?"
        )
    return (
        f"{what}: log(x + eps), jnp.log(jnp.maximum(x, eps)); of a softmax or a sigmoid, take "
        "jax.nn.log_softmax or jax.nn.log_sigmoid of the scores; for x·log(x), "
        "jax.scipy.special.xlogy."
    )


def _sqrt(s: Symptom) -> str:
    x = s.operand()
    if x is not None and np.real(x) < 0:
        return f"{s.primitive}({x}): a variance below 0 by rounding? jnp.maximum(x, 0.0)."
    if s.backwards:
        return (
            f"The slope of {s.primitive} at 0 is infinite: add eps under the root, "
            "jnp.sqrt(x + eps); of a sum of squares, leave the root away."
        )
    return f"{s.primitive}({x}): add eps under the root."


def _divided(s: Symptom) -> str:
    top, below = s.operand(0), s.operand(1)
    if below is not None and below == 0:
        return (
            f"{top}/{below}: divide by jnp.where(y == 0, 1.0, y), or add eps to the divisor (to a "
            "norm, a sum of weights, a standard deviation)."
        )
    return (
        "The quotient overflows, or the square of a small divisor underflows to 0 in its gradient: "
        "add eps to the divisor."
    )


def _exp(s: Symptom) -> str:
    x = s.operand()
    largest = float(np.log(float(jnp.finfo(jnp.asarray(s.output).dtype).max)))
    return (
        f"{s.primitive}({x}) overflows: {jnp.asarray(s.output).dtype} holds exp(x) up to x = "
        f"{largest:.4g}. Use jax.nn.softmax, jax.nn.logsumexp, jax.nn.sigmoid, jax.nn.softplus or "
        "jax.nn.log_softmax, which subtract the maximum first, or clip x."
    )


def _power(s: Symptom) -> str:
    x, y = s.operand(0), s.operand(1)
    y = s.operand(1) if y is not None else "y"
    if x is not None and x < 0:
        return f"{x}**{y}: a negative number has no real power like this; use jnp.abs(x) or clip."
    if s.backwards:
        return (
            f"x**{y} at x = {x}: the slope is infinite at 0, as is log(0) for the exponent's. Keep "
            "x away from 0: jnp.maximum(x, eps)."
        )
    return f"{x}**{y} is infinite, or too large: keep x away from 0, and the exponent small."


def _integer_power(s: Symptom) -> str:
    if s.operand() == 0:
        return "0 to a negative power: keep x away from 0."
    return _overflow(s)


def _ends(domain: str) -> Callable[[Symptom], str]:
    def tell(s: Symptom) -> str:
        x = s.operand()
        if s.backwards:
            return (
                f"The slope of {s.primitive} at {x}, an end of its domain {domain}, is infinite: "
                "clip x a little inside, jnp.clip(x, -1 + eps, 1 - eps), or use arctan2."
            )
        return f"{s.primitive}({x}) is outside of {domain}, by rounding? Clip x."

    return tell


def _arctan2(s: Symptom) -> str:
    return (
        "arctan2(0, 0) has no gradient: mask both operands where they are 0, "
        "jnp.where(ok, x, 1.0), before arctan2."
    )


def _decomposition(s: Symptom) -> str:
    if s.backwards:
        return (
            f"The gradient of {s.primitive} divides by differences of eigenvalues (singular "
            "values), and two are equal: add a little noise, or use only functions of the values."
        )
    return f"{s.primitive} did not converge: are its operands finite, and of reasonable size?"


def _cholesky(s: Symptom) -> str:
    return "The matrix is not positive definite: symmetrize it, and add eps to its diagonal."


def _solve(s: Symptom) -> str:
    return "The matrix is singular, or nearly: add eps to its diagonal, or use lstsq."


def _difference(s: Symptom) -> str:
    if s.source is None and not np.isnan(np.asarray(s.output)[s.index]):
        return _overflow(s)
    given = f" ({s.source})" if s.source is not None else ""
    return (
        f"Infinity minus infinity{given}: where a whole row is -inf, no softmax is left; mask with "
        "jnp.finfo(dtype).min, or mask the operand before."
    )


def _product(s: Symptom) -> str:
    if not np.isnan(np.asarray(s.output)[s.index]):
        return _overflow(s)
    return (
        "0 times infinity: mask with jnp.where instead of multiplying by 0, and keep the infinity "
        "from arising."
    )


def _narrowed(s: Symptom) -> str:
    return _overflow(s)


def _gathered(s: Symptom) -> str:
    return (
        "An index outside of the array gives nan (mode='fill'): check the indices, or clip them "
        "(mode='clip')."
    )


def _remainder(s: Symptom) -> str:
    return "The remainder of a division by 0: jnp.where(y == 0, 1.0, y)."


def _gamma(s: Symptom) -> str:
    return f"{s.primitive}({s.operand()}): a pole, at 0 or a negative integer; keep x above 0."


def _log1p(s: Symptom) -> str:
    return f"log1p({s.operand()}): its domain is x > -1; clip x a little inside."


_unit = _ends("[-1, 1]")

_FORWARD: dict[str, Callable[[Symptom], str]] = {
    "log": _log,
    "log1p": _log1p,
    "sqrt": _sqrt,
    "rsqrt": _sqrt,
    "div": _divided,
    "exp": _exp,
    "exp2": _exp,
    "expm1": _exp,
    "sinh": _exp,
    "cosh": _exp,
    "pow": _power,
    "integer_pow": _integer_power,
    "square": _overflow,
    "acos": _unit,
    "asin": _unit,
    "atanh": _unit,
    "acosh": _ends("[1, inf)"),
    "erf_inv": _unit,
    "eigh": _decomposition,
    "eig": _decomposition,
    "svd": _decomposition,
    "cholesky": _cholesky,
    "triangular_solve": _solve,
    "custom_linear_solve": _solve,
    "sub": _difference,
    "add": _difference,
    "mul": _product,
    "dot_general": _product,
    "convert_element_type": _narrowed,
    "gather": _gathered,
    "rem": _remainder,
    "lgamma": _gamma,
    "digamma": _gamma,
}

_BACKWARD: dict[str, Callable[[Symptom], str]] = {
    **_FORWARD,
    "atan2": _arctan2,
    "cbrt": _sqrt,
    "abs": lambda s: "The absolute value of a complex 0 has no gradient.",
    "sub": _overflow,
    "add": _overflow,
}
