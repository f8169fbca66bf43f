"""costs: where the operations and the bytes of a gradient go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from funcnn.autodiff import vjp as funcnn_vjp
from funcnn.debug.objective import arrays_of, check_arguments, check_scalar, mean_loss, value_of
from funcnn.debug.programs import Part, inputs_needed, made_by, parts_of, size_of, with_lines
from funcnn.nn import Layer
from funcnn.nn.flops import count_flops
from funcnn.nn.summary import table


class CostRow(NamedTuple):
    """A layer, a `jax.named_scope`, or a line of the program that is in neither.

    Attributes:
      name: "[2]['layer'][0]", the path of a layer; "loss", a scope; "mlp.py:12", a line.
      forward, backward: floating point operations of either pass.
      forward_bytes, backward_bytes: of what it takes from others and of what others take from it.
      kept: bytes of what it computes in the forward pass and keeps for the backward pass.
    """

    name: str
    forward: int
    backward: int
    forward_bytes: int
    backward_bytes: int
    kept: int


@dataclass(frozen=True, repr=False)
class Costs:
    """What `costs` returns: rows in the order of the forward pass. It prints as a table."""

    rows: tuple[CostRow, ...]

    @property
    def total(self) -> CostRow:
        """The sums."""
        columns = CostRow._fields[1:]
        return CostRow("total", *(sum(getattr(row, c) for row in self.rows) for c in columns))

    def __repr__(self) -> str:
        header = ["where", "flops forward", "backward", "share", "bytes forward", "backward"]
        lines = [_line(row, self.total) for row in (*self.rows, self.total)]
        return table([*header, "share", "kept"], lines, left=1)


def costs(
    model: Layer | Callable[..., Any],
    params: Any,
    *args: Any,
    loss: Callable[..., Any] | None = None,
    state: Any = (),
    key: jax.Array | None = None,
    vjp: Callable[..., Any] = funcnn_vjp,
) -> Costs:
    """What a gradient costs, layer by layer: arithmetic, memory traffic, and what is kept.

        costs(model, params, x, y, loss=loss)    # a layer, and loss(outputs, y)
        costs(loss, params, *args)               # a plain function

    There is a row for each layer, for each `jax.named_scope` outside of layers, and for each line
    of the program outside of both. Loops count as often as they run (a `while_loop` once: nobody
    knows how often), whatever is inside of them by its own layer. Nothing is computed or compiled.

    Flops are XLA's count, before it optimizes. Bytes are what goes into a layer and comes out of
    it, in either pass: what is read and written where XLA makes one operation of all that is in it,
    as it does with elementwise ones. Of a small convolutional network the sum is 3 % off the bytes
    that XLA counts for what it compiled, of a small perceptron 30 %.

    Seconds are not given: in the compiled program one operation belongs to several layers, and a
    layer run by itself is another program. A profile (`jax.profiler`), where the layers' paths are
    seen too, says how long what is really run takes.

    Args:
      model, params, args, loss, state, key: as for `gradient_flow`; instead of arrays
        `jax.ShapeDtypeStruct`s will do.
      vjp: `funcnn.vjp`, or `jax.vjp`.

    Raises:
      TypeError: a layer without `loss` or x; a function with what is for layers.
      What the model or the function raises.

    Example: the backward pass of a dense layer is two products of the size of the forward pass's,
    but the first layer's input needs no gradient:

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import debug, losses, nn
    >>> model = nn.models.mlp([30, 10], jax.nn.sigmoid)
    >>> x, y = jnp.ones((32, 784)), jnp.ones((32, 10))
    >>> params, state = jax.eval_shape(model.init, jax.random.key(0), x)
    >>> debug.costs(model, params, x, y, loss=losses.squared_error)
    where  flops forward   backward  share  bytes forward  backward  share   kept
    -----  -------------  ---------  -----  -------------  --------  -----  -----
    [1]        1,506,240  1,506,210   98 %        198,392   198,392   90 %      0
    [2]            2,880      2,880    0 %          7,680    11,520    4 %  3,840
    [3]           19,520     38,710    2 %          6,360    11,400    4 %      0
    loss             960        641    0 %          3,844     2,568    1 %  1,280
    total      1,529,600  1,548,441  100 %        216,276   223,880  100 %  5,120

    Source: deck B, row 19: two passes, whatever the number of parameters; row 39 for the products.
    """
    check_arguments("costs", model, args, loss, state, key)
    forward, backward = _programs(model, params, args, loss, state, key, vjp)
    # the loss, and what the backward pass takes; its last input is the cotangent
    wanted = [True, *inputs_needed(backward)[:-1]]
    gradients = [True] * len(backward.jaxpr.outvars)
    passes = [list(parts_of(forward, wanted)), list(parts_of(backward, gradients))]
    names = list(dict.fromkeys(part.name for parts in passes for part in parts))
    flops = [_sums(parts, lambda part: count_flops(part.run, *part.inputs)) for parts in passes]
    traffic = [_sums(parts, lambda part: part.bytes) for parts in passes]
    columns = (*flops, *traffic, _kept(forward, wanted))
    each = (CostRow(name, *(sums.get(name, 0) for sums in columns)) for name in names)
    return Costs(tuple(row for row in each if any(row[1:])))


def _programs(
    model: Any, params: Any, args: Any, loss: Any, state: Any, key: Any, vjp: Any
) -> tuple[Any, Any]:
    """The forward and the backward pass as jaxprs. The first gives the loss and what is kept."""
    key = jax.random.key(0) if key is None else key

    def of_params(params: Any, state: Any, args: Any) -> Any:
        if isinstance(model, Layer):
            return mean_loss(model, loss, params, state, key, *args)
        return value_of(model(params, *args))

    arrays, rebuilt = arrays_of((params, state, args))

    def of_arrays(*arrays: Any) -> Any:
        params, *rest = rebuilt(arrays)
        flat, tree = jax.tree.flatten(params)
        program = jax.make_jaxpr(lambda *flat: of_params(jax.tree.unflatten(tree, flat), *rest))
        traced = program(*flat)
        check_scalar("costs", traced.out_avals)
        run = with_lines(traced)
        return vjp(lambda flat: run(*flat)[0], flat)

    forward, (value, pullback) = jax.make_jaxpr(of_arrays, return_shape=True)(*arrays)
    backward = jax.make_jaxpr(lambda pullback, g: pullback(g))(pullback, value)
    return forward, backward


def _sums(parts: Sequence[Part], of: Callable[[Part], int]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.name] = sums.get(part.name, 0) + part.times * of(part)
    return sums


def _kept(forward: Any, wanted: Sequence[bool]) -> dict[str, int]:
    """The bytes of what goes from the forward pass to the backward pass, by what makes it."""
    sums: dict[str, int] = {}
    outputs = zip(forward.jaxpr.outvars, made_by(forward), wanted, strict=True)
    # the loss's own arguments are there in any case
    kept = {v: name for v, name, needed in list(outputs)[1:] if needed and name is not None}
    for variable, name in kept.items():
        sums[name] = sums.get(name, 0) + size_of(variable)
    return sums


def _line(row: CostRow, total: CostRow) -> list[str]:
    share = lambda part, whole: f"{part / max(whole, 1):.0%}".replace("%", " %")
    return [
        row.name,
        f"{row.forward:,}",
        f"{row.backward:,}",
        share(row.forward + row.backward, total.forward + total.backward),
        f"{row.forward_bytes:,}",
        f"{row.backward_bytes:,}",
        share(row.forward_bytes + row.backward_bytes, total.forward_bytes + total.backward_bytes),
        f"{row.kept:,}",
    ]
