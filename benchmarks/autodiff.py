"""What a gradient costs with funcnn, held against JAX's own, over the programs in zoo/.

    python benchmarks/autodiff.py
    python benchmarks/autodiff.py --only LSTM "masked attention" --check
    python benchmarks/autodiff.py --json benchmarks/results/autodiff-cpu-2-cores.json

Counted, by XLA, of the compiled value and gradient: flops, transcendental functions, bytes
accessed, temporary bytes. Measured, the two in turns, medians: seconds to trace and lower it with
JAX's caches cleared and every function object new; seconds of a gradient without jit, in the steady
state. Compared: the gradients, in float32 and float64 (the largest difference over a leaf's largest
magnitude). Then a step on MNIST, in time, against JAX and PyTorch. Ratios are funcnn's over JAX's.

How XLA counts (found out on JAX 0.10.2 and 0.12.0.1, which do the same, on a CPU):

* The body of a loop (scan, fori_loop, while_loop) is counted once, however often it runs. So a
  program with a loop of known length is compiled with its body unrolled once and twice; the
  difference is what one more iteration costs, and the totals printed here are those of all
  iterations. For `while_loop` nothing like it is possible: its counts are those of one iteration,
  and are not judged.
* Of a `cond`'s branches the dearest counts, whichever runs.
* An FFT counts as 8 n log2 n flops; a call of LAPACK as none. Those are added here: n³/3 for a
  Cholesky factor, n² for each vector of a triangular solve.
* exp, log, tanh and the like are no flops; they are counted apart.

In the summary `worst` is the largest of the programs' ratios and `mean` their geometric mean. JAX's
`while_loop` has no gradient: there JAX gets the same with a `fori_loop` of the length it takes, and
the program is in no line of the summary. A program whose scanned function is a new object in each
call is compiled in each eager call, by both.
"""

import argparse
import gc
import json
import math
import os
import re
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import zoo
from peers.problem import digits_or_noise
from table import table
from zoo import Program, mnist_step

import funcnn

TRANSFORMS = {"funcnn": funcnn.value_and_grad, "jax": jax.value_and_grad}
COUNTS = {
    "flops": "flops",
    "transcendentals": "transcendentals",
    "bytes": "bytes accessed",
}
MNIST = "MNIST step"
RECURRENT = ("LSTM", "GRU")
ROUNDING = 1e-4  # of a mean of ratios, a handful of flops in a million


class Row(NamedTuple):
    """A line of the summary."""

    what: str
    names: list[str]
    """whose ratios"""
    ratio: str
    """which of their ratios"""
    limit: float
    """that no ratio may be above"""
    mean: float
    """that their mean may not be above"""
    aim: float
    """that it would be good for the mean not to be above"""
    counted: bool
    """a count, which `--check` judges; the others are times"""


def main() -> None:
    args = arguments()
    description = machine.describe()
    print(machine.in_words(description))
    results = {}
    for name in args.only:
        if name != MNIST:
            results[name] = compare(name, args.rounds)
            print(f"  {name}: {in_short(results[name])}", flush=True)
    if results:
        show(results)
    steps = mnist_steps(args.rounds, args.steps) if MNIST in args.only else None
    if steps:
        show_steps(steps)
    missed = summary(results, steps)
    if args.json:
        report = {"benchmark": "autodiff", "machine": description, "rounds": args.rounds}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        report |= {"programs": results, "mnist_step": steps}
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    if args.check and missed:
        raise SystemExit(f"\nmissed: {'; '.join(missed)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*zoo.ZOO, MNIST]
    parser.add_argument(
        *("--only", "-o"), nargs="+", choices=names, default=names, metavar="NAME", help=f"{names}"
    )
    parser.add_argument("--rounds", type=int, help="of each time, for its median (default: 7)")
    parser.add_argument("--steps", type=int, help="on MNIST in each round (default: 20)")
    parser.add_argument("--quick", action="store_true", help="1 round: does it run?")
    parser.add_argument("--check", action="store_true", help="fail on a count above its limit")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the result")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 7)
    args.steps = args.steps or (3 if args.quick else 20)
    return args


def compare(name: str, rounds: int) -> dict:
    """Everything about one program: by whose gradient, their ratios, how far they differ."""
    program = zoo.full(name)
    found: dict[str, Any] = {who: counts(program, who) for who in TRANSFORMS}
    for what, seconds in (
        ("trace_s", trace_seconds(program, rounds)),
        ("eager_s", eager_seconds(program, rounds)),
    ):
        for who in TRANSFORMS:
            found[who][what] = seconds[who]
    found["ratios"] = {
        what: ratio(found["funcnn"][what], found["jax"][what]) for what in found["jax"]
    }
    found["differ"] = {dtype: difference(program, dtype) for dtype in ("float32", "float64")}
    return found


def of(program: Program, who: str, **unroll: int) -> Callable:
    """The value and gradient, as a new function each time."""
    loss = program.for_jax if who == "jax" and program.for_jax else program.loss
    return TRANSFORMS[who](lambda *args: loss(*args, **unroll))


def counts(program: Program, who: str) -> dict[str, float]:
    def counted(**unroll):
        compiled = jax.jit(of(program, who, **unroll)).lower(*program.arguments).compile()
        cost = compiled.cost_analysis()
        found = {what: cost.get(key, 0.0) for what, key in COUNTS.items()}
        found["flops"] += lapack_flops(compiled.as_text())
        return found, compiled.memory_analysis().temp_size_in_bytes

    found, temporary = counted()
    if program.length:
        twice, _ = counted(unroll=2)
        more = program.length - 1
        found = {what: n + more * (twice[what] - n) for what, n in found.items()}
    return {**found, "temp": temporary}


def lapack_flops(compiled: str) -> float:
    """The flops of LAPACK's part in a compiled program (its text), which XLA counts as none."""
    total = 0.0
    for line in compiled.splitlines():
        call = re.search(r'custom_call_target="lapack_.(\w+)_ffi"', line)
        if not call:
            continue
        shape = [int(n) for n in re.search(r"f\d+\[([\d,]+)\]", line).group(1).split(",")]
        match call.group(1):
            case "potrf":
                total += math.prod(shape) * shape[-1] / 3
            case "trsm":
                on_the_left = f"side = {ord('L')} " in line
                total += math.prod(shape) * shape[-2 if on_the_left else -1]
            case other:
                raise NotImplementedError(f"how many flops has LAPACK's {other}?")
    return total


def trace_seconds(program: Program, rounds: int) -> dict[str, float]:
    """To trace and lower, all of JAX's caches empty and every function object new."""

    def once(who):
        function = jax.jit(of(program, who))
        jax.clear_caches()
        gc.collect()
        start = time.perf_counter()
        function.lower(*program.arguments)
        return time.perf_counter() - start

    return alternating({who: partial(once, who) for who in TRANSFORMS}, rounds)


def eager_seconds(program: Program, rounds: int) -> dict[str, float]:
    """Without jit. The function stays the same: what its first calls compile is there."""
    arguments = jax.tree.map(jnp.asarray, program.arguments)
    functions = {who: of(program, who) for who in TRANSFORMS}

    def once(who):
        start = time.perf_counter()
        jax.block_until_ready(functions[who](*arguments))
        return time.perf_counter() - start

    for who in (*TRANSFORMS, *TRANSFORMS):
        once(who)
    return alternating({who: partial(once, who) for who in TRANSFORMS}, rounds)


def alternating(peers: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """What each gives, the median over the rounds; in each round another one begins."""
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    order = list(peers)
    for _ in range(rounds):
        for name in order:
            seconds[name].append(peers[name]())
        order = order[1:] + order[:1]
    return {name: statistics.median(times) for name, times in seconds.items()}


def difference(program: Program, dtype: str) -> float:
    """Of the gradients: the largest over all leaves, each relative to its largest magnitude."""
    with jax.enable_x64(dtype == "float64"):
        arguments = jax.tree.map(
            lambda x: x.astype(dtype) if x.dtype == np.float32 else x, program.arguments
        )
        ours, theirs = (
            jax.tree.leaves(jax.jit(of(program, who))(*arguments)) for who in TRANSFORMS
        )
        return max(
            float(np.max(np.abs(a - b)) / (np.max(np.abs(b)) or 1.0))
            for a, b in zip(map(np.asarray, ours), map(np.asarray, theirs), strict=True)
        )


def ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else math.inf if ours else 1.0


def mnist_steps(rounds: int, steps: int) -> dict:
    """Seconds of a training step for each peer, in turns, with a pause before each.

    The pause lets the threads of the peer before come to rest: PyTorch's wait by spinning.
    """
    batch, pause = 128, 0.5
    what, images, labels = digits_or_noise(os.environ.get("FUNCNN_DATA"), batch, seed=0)
    x = np.asarray(images, np.float32).reshape(batch, 28, 28, 1)
    takes = {who: mnist_step.jax_step(t, x, labels) for who, t in TRANSFORMS.items()}
    try:
        takes["pytorch"] = mnist_step.torch_step(x, labels)
    except ModuleNotFoundError as error:
        print(f"pytorch: left out, no module named {error.name}; pip install 'funcnn[bench]'")

    def once(take):
        time.sleep(pause)
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            take()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    losses = {who: [take() for _ in range(5)] for who, take in takes.items()}
    for who in takes:
        if not np.allclose(losses[who], losses["jax"], rtol=1e-4):
            raise SystemExit(f"{who} does not train the same network: {losses}")
    seconds = alternating({who: partial(once, take) for who, take in takes.items()}, rounds)
    ratios = {f"÷ {who}": seconds["funcnn"] / seconds[who] for who in seconds if who != "funcnn"}
    return {"data": what, "seconds": seconds, "ratios": ratios}


def in_short(found: dict) -> str:
    return ", ".join(f"{what} {value:.3f}" for what, value in found["ratios"].items())


def show(results: dict[str, dict]) -> None:
    def number(what, value):
        return f"{value * 1e3:.1f}" if what.endswith("_s") else f"{value:,.0f}"

    headings = {"flops": "flops", "transcendentals": "transcendentals", "bytes": "bytes accessed"}
    headings |= {"temp": "temp bytes", "trace_s": "trace, lower ms", "eager_s": "eager ms"}
    for part in (("flops", "transcendentals"), ("bytes", "temp"), ("trace_s", "eager_s")):
        header = ["program"]
        for what in part:
            header += [f"{headings[what]} funcnn", "jax", "÷ jax"]
        rows = []
        for name, found in results.items():
            row = [name]
            for what in part:
                row += [number(what, found[who][what]) for who in TRANSFORMS]
                row.append(f"{found['ratios'][what]:.3f}")
            rows.append(row)
        print(f"\n{table(header, rows, left=('program',))}")
    rows = [
        [name, *(f"{found['differ'][dtype]:.1e}" for dtype in ("float32", "float64"))]
        for name, found in results.items()
    ]
    header = ["program", "gradients differ, float32", "float64"]
    print(f"\n{table(header, rows, left=('program',))}")


def show_steps(steps: dict) -> None:
    rows = [[who, f"{seconds * 1e3:.1f}"] for who, seconds in steps["seconds"].items()]
    header = ["MNIST step", "ms"]
    print(f"\n{table(header, rows, left=('MNIST step',))}\ndata: {steps['data']}")


def summary(results: dict[str, dict], steps: dict | None) -> list[str]:
    """Prints each line of the issue's table; gives those counts that are above their limit."""
    judged = [name for name in results if zoo.full(name).for_jax is None]
    loops = [name for name in judged if zoo.full(name).length]
    recurrent = [name for name in loops if name in RECURRENT]
    others = [name for name in loops if name not in RECURRENT]
    straight = [name for name in judged if name not in loops]
    none = math.inf
    rows = [
        Row("flops", judged, "flops", 1.02, 1.0, none, True),
        Row("temporary bytes, straight-line", straight, "temp", 1.05, 1.0, none, True),
        Row("temporary bytes, LSTM and GRU", recurrent, "temp", 0.6, none, 0.45, True),
        Row("temporary bytes, other loops", others, "temp", 1.05, none, none, True),
        Row("time to trace and lower", judged, "trace_s", 1.0, none, 0.7, False),
        Row("eager gradient", judged, "eager_s", 1.0, none, 0.8, False),
    ]
    found = {name: result["ratios"] for name, result in results.items()}
    if steps:
        found[MNIST] = steps["ratios"]
        rows.append(Row("MNIST step, ÷ jax", [MNIST], "÷ jax", 0.6, none, none, False))
        if "÷ pytorch" in steps["ratios"]:
            rows.append(Row("MNIST step, ÷ pytorch", [MNIST], "÷ pytorch", none, none, 1.3, False))
    lines, missed = [], []
    for row in rows:
        ratios = {name: found[name][row.ratio] for name in row.names}
        if not ratios:
            continue
        worst = max(ratios, key=ratios.__getitem__)
        mean = statistics.geometric_mean(ratios.values())
        above = sorted((n for n in ratios if ratios[n] > row.limit), key=lambda n: -ratios[n])
        above += ["the mean"] if mean > row.mean + ROUNDING else []
        if above and row.counted:
            missed.append(f"{row.what} ({', '.join(above)})")
        lines.append(
            [row.what, f"{ratios[worst]:.3f}", worst, f"{mean:.3f}"]
            + ["" if bound == none else f"{bound:g}" for bound in (row.limit, row.mean, row.aim)]
            + ["" if row.aim == none else "yes" if mean <= row.aim else "no", ", ".join(above)]
        )
    header = ["summary", "worst", "of", "mean", "limit", "of mean", "aim", "met?", "above limit"]
    print(f"\n{table(header, lines, left=('summary', 'of', 'above limit'))}")
    return missed


if __name__ == "__main__":
    main()
