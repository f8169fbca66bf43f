"""How long until the first step is taken, and how long an import takes: each in a new process.

    python benchmarks/first_step.py
    python benchmarks/first_step.py --networks cnn --peers funcnn,nnx --rounds 5

Traced, lowered, compiled and run. Where an epoch is one program, the epoch's start is measured too:
the first epoch less the second.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import epoch
from peers import PEERS, installed
from peers.networks import NETWORKS
from peers.problem import noisy_prototypes, problem_of
from table import table
from timing import seconds

STEP, EPOCH = "step", "epoch"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    epoch.add_choices(parser)
    args = parser.parse_args()
    print(in_words(measured(args, args.rounds)))


def measured(
    args: argparse.Namespace, rounds: int | None
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """For each network and peer the seconds by name, one for each round."""
    makes, _ = installed(args.peers)
    runs = [
        (network, peer, what)
        for network in args.networks
        for peer in makes
        for what in ((STEP, EPOCH) if PEERS[peer].epoch_program else (STEP,))
    ]
    results: dict[str, dict[str, dict[str, list[float]]]] = {name: {} for name in args.networks}
    for _ in range(rounds or (1 if args.quick else 2)):
        for network, peer, what in runs:
            for name, value in in_new_process(network, peer, what).items():
                times = results[network].setdefault(peer, {})
                times.setdefault(name, []).append(value)
    return results


def in_new_process(network: str, peer: str, what: str) -> dict[str, float]:
    """The seconds by name; none where the peer has not this network."""
    command = [sys.executable, str(Path(__file__)), "--child", network, peer, what]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(network: str, peer: str, what: str) -> dict[str, float]:
    """In this process nothing of JAX or of a library was imported before."""
    entry, found = PEERS[peer], {}
    if entry.library != "torch":
        found["import_jax_s"] = seconds(lambda: importlib.import_module("jax"))
        sys.modules["jax"].devices()
    if entry.library:
        found["import_s"] = seconds(lambda: importlib.import_module(entry.library))
    found["import_rest_s"] = seconds(lambda: importlib.import_module(f"peers.{entry.file}"))

    examples = NETWORKS[network].batch_size if what == STEP else NETWORKS[network].examples
    problem = problem_of(network, *noisy_prototypes(examples, 0))
    make = getattr(sys.modules[f"peers.{entry.file}"], entry.function)
    start = time.perf_counter()
    try:
        made = make(problem)
    except sys.modules["peers"].LeftOut:
        return {}
    found["build_s"] = time.perf_counter() - start
    if what == STEP:
        return {**found, "first_step_s": seconds(made.step)}
    return {"epoch_start_s": seconds(made.epoch) - seconds(made.epoch)}


def in_words(results: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    header = ["network", "peer", "first step s", "epoch's start s", "build s", "import s"]
    rows = []
    for network, peers in results.items():
        for peer, times in peers.items():
            names = "first_step_s", "epoch_start_s", "build_s", "import_s"
            medians = [
                f"{statistics.median(times[name]):.2f}" if name in times else "" for name in names
            ]
            rows.append([network, peer, *medians])
    return table(header, rows, left=("network", "peer"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(*sys.argv[2:])))
    else:
        main()
