"""What XLA counts in a training step with funcnn.value_and_grad, against jax.value_and_grad.

    python benchmarks/step_cost.py
    python benchmarks/step_cost.py --check --out results.json

The step of an MLP: loss, gradients, plain gradient descent, parameters donated. Counted, by XLA, in
the compiled step: flops, bytes accessed, temporary bytes; in the traced one: jaxpr equations, those
of inner jaxprs included. Measured, in alternation and with JAX's caches cleared each time: the
seconds to trace and lower it. Ratios are funcnn's number over JAX's.
"""

import argparse
import gc
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import machine
from table import table

ACTIVATIONS = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "softplus": jax.nn.softplus,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}
COUNTS = ("flops", "bytes", "temp", "equations")
CHECKED = ("flops", "temp")
LEARNING_RATE = 0.1


class Case(NamedTuple):
    widths: tuple[int, ...]
    activation: str
    batch: int


def main() -> None:
    args = arguments()
    transforms = {"ours": gradient_transform(args.ours), "theirs": jax.value_and_grad}
    description = machine.describe()
    print(machine.in_words(description))
    print(f"{args.ours}.value_and_grad against jax.value_and_grad, float32\n")
    results = []
    for case in cases(args.quick):
        counted = {who: counts(case, transform) for who, transform in transforms.items()}
        seconds = trace_seconds(case, transforms, args.rounds)
        row = {
            **case._asdict(),
            **{who: {**counted[who], "trace_s": seconds[who]} for who in transforms},
        }
        row["ratios"] = {
            name: ratio(row["ours"][name], row["theirs"][name]) for name in (*COUNTS, "trace_s")
        }
        results.append(row)
    show(results)
    if args.out:
        result = {"benchmark": "step_cost", "machine": description, "ours": args.ours}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({**result, "cases": results}, indent=1) + "\n")
    dearer = [row for row in results if any(row["ratios"][name] > 1 for name in CHECKED)]
    if args.check and dearer:
        raise SystemExit(
            f"\nmore {' or '.join(CHECKED)} than JAX in {len(dearer)} of {len(results)}"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--ours",
        choices=("funcnn", "jax"),
        default="funcnn",
        help="whose value_and_grad is held against JAX's (jax: every ratio of counts is 1)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="of tracing, for the median")
    parser.add_argument("--quick", action="store_true", help="few cases: does it run?")
    parser.add_argument(
        "--check", action="store_true", help=f"fail where a ratio of {' or '.join(CHECKED)} is > 1"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write the result as JSON"
    )
    return parser.parse_args()


def gradient_transform(name: str) -> Callable:
    if name == "jax":
        return jax.value_and_grad
    import funcnn

    return funcnn.value_and_grad


def cases(quick: bool) -> Iterator[Case]:
    """Deck A's network and a wide one at each batch; then each depth; with each activation."""
    networks = [(784, 30, 30, 10), (784, 512, 512, 10)]
    batches = [32, 256, 4096]
    depths = range(1, 7)
    activations = list(ACTIVATIONS)
    if quick:
        networks, batches, depths, activations = networks[:1], batches[:1], depths[:2], ["sigmoid"]
    for widths, activation, batch in itertools.product(networks, activations, batches):
        yield Case(widths, activation, batch)
    for depth, activation in itertools.product(depths, activations):
        if depth > 1 or activation == activations[0]:  # one layer has no hidden units
            yield Case((64, *[64] * (depth - 1), 10), activation, 128)


def make_step(case: Case, value_and_grad: Callable) -> Callable:
    activation = ACTIVATIONS[case.activation]

    def loss(parameters, x, y):
        for kernel, bias in parameters[:-1]:
            x = activation(x @ kernel + bias)
        kernel, bias = parameters[-1]
        logits = x @ kernel + bias
        of_label = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
        return (jax.nn.logsumexp(logits, axis=1) - of_label).mean()

    def step(parameters, x, y):
        value, grads = value_and_grad(loss)(parameters, x, y)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, grads), value

    return step


def shapes(case: Case) -> tuple:
    def array(*shape: int, dtype=jnp.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype)

    pairs = itertools.pairwise(case.widths)
    parameters = [(array(inputs, outputs), array(outputs)) for inputs, outputs in pairs]
    return parameters, array(case.batch, case.widths[0]), array(case.batch, dtype=jnp.int32)


def counts(case: Case, value_and_grad: Callable) -> dict[str, float]:
    step = make_step(case, value_and_grad)
    compiled = jax.jit(step, donate_argnums=0).lower(*shapes(case)).compile()
    cost = compiled.cost_analysis()
    return {
        "flops": cost["flops"],
        "bytes": cost["bytes accessed"],
        "temp": compiled.memory_analysis().temp_size_in_bytes,
        "equations": equations(jax.make_jaxpr(step)(*shapes(case)).jaxpr),
    }


def equations(jaxpr) -> int:
    """The equations of a jaxpr and of all the jaxprs inside them."""
    return sum(1 + sum(map(equations, inner_jaxprs(eqn.params))) for eqn in jaxpr.eqns)


def inner_jaxprs(params: dict) -> Iterator:
    for leaf in jax.tree.leaves(params):  # branches come in tuples
        jaxpr = getattr(leaf, "jaxpr", leaf)  # closed ones hold theirs
        if hasattr(jaxpr, "eqns"):
            yield jaxpr


def trace_seconds(case: Case, transforms: dict[str, Callable], rounds: int) -> dict[str, float]:
    """The median seconds to trace and lower the step, per transform, alternating."""
    times: dict[str, list[float]] = {who: [] for who in transforms}
    for _ in range(rounds):
        for who, transform in transforms.items():
            step, arguments = make_step(case, transform), shapes(case)
            jax.clear_caches()
            gc.collect()
            start = time.perf_counter()
            jax.jit(step, donate_argnums=0).lower(*arguments)
            times[who].append(time.perf_counter() - start)
    return {who: statistics.median(seconds) for who, seconds in times.items()}


def ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else math.inf if ours else 1.0


def show(results: list[dict]) -> None:
    def name(row: dict) -> list[str]:
        return ["-".join(map(str, row["widths"])), row["activation"], str(row["batch"])]

    names = ("flops", "bytes", "temp", "equations", "trace_s")
    header = ["network", "activation", "batch", "flops", "÷ jax", "bytes", "÷ jax"]
    header += ["temp bytes", "÷ jax", "equations", "÷ jax", "trace ms", "÷ jax"]
    rows = [
        name(row)
        + [
            cell
            for what in names
            for cell in (
                f"{row['ours'][what] * 1e3:.1f}"
                if what == "trace_s"
                else f"{row['ours'][what]:,.0f}",
                f"{row['ratios'][what]:.3f}",
            )
        ]
        for row in results
    ]
    print(table(header, rows, left=("network", "activation")))
    worst = {what: max(results, key=lambda row: row["ratios"][what]) for what in names}
    print(
        "\nworst: "
        + "; ".join(
            f"{what} {row['ratios'][what]:.3f} ({' '.join(name(row))})"
            for what, row in worst.items()
        )
        + f"; median of trace {statistics.median(row['ratios']['trace_s'] for row in results):.3f}"
    )


if __name__ == "__main__":
    main()
