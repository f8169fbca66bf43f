"""What `nan_origin` returns, and how it reads."""

import linecache
import pathlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.debug.blame import Index, bad, entry_of
from funcnn.debug.masks import mask_behind
from funcnn.debug.remedies import Symptom, of_a_constant, remedy
from funcnn.debug.walks import Given, Origin, Spot
from funcnn.graph.places import Place, functions_of_jax, is_of_jax, place_of


@dataclass(frozen=True, repr=False)
class NanOrigin:
    """Where the first NaN or infinity arose. It prints as a text.

    Attributes:
      where: "forward"; "gradient": the output is finite and its gradient is not; "given": an
        argument, a cotangent or a constant had it already.
      what, found: what is not finite in the end, "the output" or "the gradient of params['w']",
        and its entry that is looked at, as ``(index, value)``.
      primitive: the JAX primitive that made it; None for what was given.
      place: the line of the user's program, see `funcnn.graph.places.Place`; None for an argument.
      line: its text.
      inside: the programs that it is in, outermost first: names of jitted functions, "scan[17]",
        "while[3]", "branch 1", "checkpoint".
      function: JAX's function that the primitive is part of ("norm", "log"), or None.
      rule: the name of the `custom_jvp` or `custom_vjp` function in whose rule it is, or None.
      scope: the layers' paths and the names of `jax.named_scope`, outermost first.
      index, shape: of the entry, in the array that the primitive gave (in the gradient that it
        handed on). Under `vmap` the batch index is one of the numbers.
      inputs: the primitive's operands.
      upstream: the gradients that came to its outputs (None where none came); () in the forward
        pass.
      output: the array that it gave, or the gradient that it handed on.
      became: the line where the infinity became NaN, where that is another; else None.
      mask: the line that sets the gradient to 0 here, as far as there is one: of a `where`, a
        product with 0, a maximum.
      source: where an infinity came from that was given: "a constant", or the argument's name.
      hint: what usually mends it.
    """

    where: str
    what: str
    found: tuple[Index, Any]
    primitive: str | None
    place: Place | None
    line: str
    inside: tuple[str, ...]
    function: str | None
    rule: str | None
    scope: tuple[str, ...]
    index: Index
    shape: tuple[int, ...]
    inputs: tuple[Any, ...]
    upstream: tuple[Any, ...]
    output: Any
    became: Place | None
    mask: Place | None
    source: str | None
    hint: str

    def __str__(self) -> str:
        index, value = self.found
        text = [f"{self.what}{_at(index)} is {value}"]
        if self.where == "given":
            text.append(f"  it was given: {self.source}{_at(self.index)} is {_entry(self)}")
        else:
            way = "the gradient of " if self.upstream else ""
            function = f" in {self.function}" if self.function not in (None, self.primitive) else ""
            rule = f", in the rule of {self.rule}" if self.rule else ""
            text.append(f"  it arose in {way}{self.primitive}{function}{rule}")
        if self.place is not None:
            text += [f"  at {self.place}", *([f"      {self.line}"] if self.line else [])]
            if self.place.via:
                text.append(f"  which calls {self.place.via}")
        if self.inside or self.scope:
            layer = f"in layer {' '.join(self.scope)}" if self.scope else ""
            inside = f"inside {' > '.join(self.inside)}" if self.inside else ""
            text.append(f"  {', '.join(filter(None, (inside, layer)))}")
        if self.where != "given":
            text.append(f"  {self._numbers()}")
        if self.source is not None and self.where != "given":
            text.append(f"  the infinity in it was given: {self.source}")
        if self.became is not None:
            text.append(f"  it became nan at {self.became}")
        if self.mask is not None:
            text.append(f"  its upstream gradient is 0: masked at {self.mask}")
        return "\n".join([*text, *_wrapped(self.hint)])

    def __repr__(self) -> str:
        return str(self)

    def _numbers(self) -> str:
        """The one entry in numbers: of operands, upstream and result."""
        parts = [f"operands {', '.join(shown(x, self.index, self.shape) for x in self.inputs)}"]
        there = [g for g in self.upstream if g is not None]
        if there:
            parts.append(f"upstream {', '.join(shown(g, self.index, self.shape) for g in there)}")
        gave = "hands on" if self.upstream else "gives"
        at = f"{_at(self.index).strip()} of shape {self.shape}: " if self.index else ""
        return f"{at}{'; '.join(parts)}; {gave} {number(_entry(self))}"


def told(
    origin: Origin,
    where: str,
    end: tuple[str, Index, Any],
    source: str | None = None,
    leaf: Spot | None = None,
    rule: str | None = None,
) -> NanOrigin:
    """The report of an origin.

    Args:
      end: what is not finite in the end, the index, the value.
      source: where its infinity was given, if it was.
      leaf: the step back that made NaN of a finite gradient; its gradient may have been masked.
    """
    spot = origin.spot
    step, values = spot.of, spot.level.found.values
    inputs = tuple(values[n] for n in step.inputs)
    upstream = tuple(step.upstream) if spot.gradient else ()
    mask = mask_behind(leaf) if leaf is not None else None
    place, became = place_in(spot), None
    if origin.became is not None:
        became = place_in(origin.became)
        became = None if became == place else became
    inside, functions = _around(spot)
    function = next((name for name in functions if not name.startswith("_")), None)
    symptom = Symptom(
        step.primitive.name,
        where,
        inputs,
        upstream,
        spot.array,
        spot.position,
        spot.index,
        (*functions, *inside, rule),
        mask[1] if mask is not None else None,
        source,
    )
    return NanOrigin(
        where,
        end[0],
        end[1:],
        step.params.get("name") if "subfuns" in step.params else step.primitive.name,
        place,
        _text_of(place),
        inside,
        function,
        rule,
        _scope(spot),
        spot.index,
        jnp.shape(spot.array),
        inputs,
        upstream,
        spot.array,
        became,
        mask[0] if mask is not None else None,
        source,
        remedy(symptom),
    )


def given_origin(given: Given, names: Sequence[str], end: tuple[str, Index, Any]) -> NanOrigin:
    """The report of what was given: an argument's entry, or a constant."""
    name = "a constant" if given.position is None else names[given.position]
    user = given.way.user if given.position is None else None
    place = place_in(user) if user is not None else None
    inside, functions = _around(user) if user is not None else ((), ())
    hint = "Look at where this argument is made."
    if user is not None:
        hint = of_a_constant((*functions, *inside))
    scope = _scope(user) if user is not None else ()
    return NanOrigin(
        where="given",
        what=end[0],
        found=end[1:],
        primitive=None,
        place=place,
        line=_text_of(place),
        inside=inside,
        function=None,
        rule=None,
        scope=scope,
        index=given.index,
        shape=(),
        inputs=(),
        upstream=(),
        output=given.value,
        became=None,
        mask=None,
        source=name,
        hint=hint,
    )


def place_in(spot: Spot) -> Place:
    """The line of a step; of the innermost program around it that knows one, if it does not."""
    sources = [within.level.found.steps[within.step].source for within in spot.trail]
    for source in (spot.of.source, *reversed(sources)):
        place = place_of(source)
        if place.file:
            return place
    return place


def shown(x: Any, index: Index, shape: tuple[int, ...]) -> str:
    """The entry of an operand that belongs to one of the result; or what range the operand has."""
    dtype = getattr(x, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.extended):
        return f"a {dtype}"
    values = np.asarray(x)
    entry = entry_of(values, index, shape)
    if entry is not None:
        return number(entry)
    wrong = bad(values)
    note = "" if wrong is None else f", {int(wrong.sum())} not finite"
    if not values.size or np.iscomplexobj(values):
        return f"{values.dtype}{[*values.shape]}{note}"
    fine = values if wrong is None else values[~wrong]
    span = f" from {number(fine.min())} to {number(fine.max())}" if fine.size else ""
    return f"{values.dtype}{[*values.shape]}{span}{note}"


def number(x: Any) -> str:
    """Six digits are enough to see what is going on."""
    x = np.asarray(x)
    return f"{float(x):.6g}" if jnp.issubdtype(x.dtype, jnp.floating) else str(x)


def _around(spot: Spot) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The user's programs around a step, and the functions of JAX: each outermost first."""
    inside: list[str] = []
    functions = list(functions_of_jax(spot.of.source))
    for within in reversed(spot.trail):
        step = within.level.found.steps[within.step]
        jaxpr = step.params.get("jaxpr") if step.primitive.name == "jit" else None
        if jaxpr is not None and is_of_jax(jaxpr):
            functions = [*functions_of_jax(step.source), within.call.name, *functions]
        else:
            inside.append(within.call.name)
    return tuple(reversed(inside)), tuple(n for n in dict.fromkeys(functions) if n not in _SIGNS)


def _scope(spot: Spot) -> tuple[str, ...]:
    """Scopes start anew in each program that is traced by itself."""
    scope: list[str] = []
    for within in spot.trail:
        if within.call.source is None:
            scope += place_of(within.level.found.steps[within.step].source).scope
    scope += place_of(spot.of.source).scope
    return tuple(name for name in scope if not name.endswith("()"))  # "vmap()" is no name


def _text_of(place: Place | None) -> str:
    if place is None or not pathlib.Path(place.file).is_file():
        return ""
    return linecache.getline(place.file, place.line).strip()


def _wrapped(hint: str) -> list[str]:
    indent = {"initial_indent": "  ", "subsequent_indent": "  ", "break_long_words": False}
    return textwrap.wrap(hint, 98, break_on_hyphens=False, **indent)  # type: ignore[arg-type]


# what operators are called within
_SIGNS = ("true_divide", "divide", "subtract", "add", "multiply", "power", "negative", "matmul")


def _at(index: Index) -> str:
    return f" at index {index}" if index else ""


def _entry(origin: NanOrigin) -> Any:
    values = np.asarray(origin.output)
    return values[origin.index] if values.shape else values
