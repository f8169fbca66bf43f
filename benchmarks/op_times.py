"""Where the time of a compiled program goes: seconds by kind of operation, from JAX's profiler.

python benchmarks/op_times.py --networks cnn            of an epoch
python benchmarks/op_times.py --networks cnn --ops 20   and its 20 longest operations
"""

import argparse
import collections
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import epoch
import jax
import machine
from peers.networks import NETWORKS
from peers.problem import Problem, digits_or_noise, problem_of
from table import table
from timing import seconds

# looked for in this order, in XLA's name of an operation and that of the JAX primitive it is from
KINDS = {
    "convolution": "conv",
    "matrix product": r"dot|gemm",
    "pooling": "reduce_window|select_and_scatter|select_and_gather",
    "random order": "sort|threefry|random_bits",
    "minibatch": "gather",
    "sums": "reduce_sum|reduce_max|reduce_and",
    "copies": "copy|transpose",
}
REST = "elementwise and the rest"


class Profile(NamedTuple):
    seconds: float  # of wall time, all runs
    busy: float  # in which some operation ran
    kinds: dict[str, float]  # seconds of operations; several at once count each
    ops: dict[str, tuple[str, float]]  # by name: what it computes, and seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    epoch.add_choices(parser)
    parser.add_argument("--ops", type=int, default=0, help="show so many operations")
    args = parser.parse_args()
    print(machine.in_words(machine.describe()))
    for name in args.networks:
        network = NETWORKS[name]
        examples = 10 * network.batch_size if args.quick else network.examples
        _, images, labels = digits_or_noise(args.data, examples, args.seed)
        run, compiled, _ = epoch_program(problem_of(name, images, labels))
        found = profile(run, compiled.as_text(), args.rounds or 3)
        print(f"\n{name}\n{in_words(found)}")
        for op, (what, time) in list(found.ops.items())[: args.ops]:
            print(f"{time / found.seconds:6.1%}  {op}: {what}")


def epoch_program(problem: Problem) -> tuple[Callable[[], Any], Any, float]:
    """funcnn's epoch: what runs it, the compiled program, and the flops of its steps."""
    from peers.funcnn import parts

    step, epoch_of, state, data, batch = parts(problem)
    compiled = jax.jit(epoch_of, donate_argnums=0).lower(state, data).compile()
    cost = jax.jit(step).lower(state, batch).compile().cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost

    def run() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(compiled(state, data))

    return run, compiled, cost["flops"] * (len(problem.labels) // problem.batch_size)


def profile(run: Callable[[], Any], program: str, times: int = 3) -> Profile:
    """`program` is the compiled program's text, which says what its operations compute."""
    run()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            took = seconds(lambda: [run() for _ in range(times)])
        (file,) = Path(folder).rglob("*.xplane.pb")
        events = list(_operations(jax.profiler.ProfileData.from_file(str(file))))
    primitives = _primitives(program)
    total: collections.Counter[str] = collections.Counter()
    for name, start, end in events:
        total[name] += (end - start) / 1e9
    kinds: collections.Counter[str] = collections.Counter()
    for name, time in total.items():
        kinds[_kind(name, primitives.get(name, ""))] += time
    ops = {name: (primitives.get(name, ""), time) for name, time in total.most_common()}
    return Profile(took, _busy(events) / 1e9, dict(kinds.most_common()), ops)


def _operations(data: Any) -> Iterator[tuple[str, float, float]]:
    """XLA's operations on a GPU or on the CPU's threads: name, start and end in nanoseconds.

    Those that hold others (a loop) are left out.
    """
    planes = list(data.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:GPU")]
    for plane in devices or planes:
        for line in plane.lines:
            if not devices and not line.name.startswith("tf_XLA"):
                continue
            for event in line.events:
                name = str(dict(event.stats).get("hlo_op", "")) or event.name
                inner = not re.match(r"end: |while|call|Thunk|Slinky|.*::", name)
                if inner and (not devices or line.name.startswith("Stream")):
                    yield name, event.start_ns, event.start_ns + event.duration_ns


def _primitives(program: str) -> dict[str, str]:
    """From the name of an operation to the JAX primitive that it comes from."""
    found = re.findall(r'^\s*(?:ROOT )?%?([\w.\-]+) = .*op_name="([^"]*)"', program, re.MULTILINE)
    return {name: path.rpartition("/")[2] for name, path in found}


def _kind(name: str, primitive: str) -> str:
    for kind, pattern in KINDS.items():
        if re.search(pattern, f"{name} {primitive}"):
            return kind
    return REST


def _busy(events: list[tuple[str, float, float]]) -> float:
    """The length of the union of all intervals."""
    busy, reached = 0.0, 0.0
    for _, start, end in sorted(events, key=lambda event: event[1]):
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return busy


def in_words(found: Profile) -> str:
    rows = [[kind, f"{time / found.seconds:.1%}"] for kind, time in found.kinds.items()]
    rows.append(["nothing runs", f"{1 - found.busy / found.seconds:.1%}"])
    return table(["operations", "of the time"], rows, left=("operations",))


if __name__ == "__main__":
    main()
