"""Epoch, step, flops and bytes of each network: funcnn and its peers, alternating in one run.

    python benchmarks/epoch.py
    python benchmarks/epoch.py --networks cnn,lstm --peers funcnn,jax,torch --out results.json

Before anything is timed, each peer takes a few epochs of one minibatch, and then a few steps, from
the same parameters: where one then has other losses than the rest, it computes something else, and
the run fails. The timed epochs are shuffled by each peer in its own way; the first, in which JAX
compiles, is shown but not counted.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import machine
from peers import PEERS, LeftOut, Make, Peer, installed
from peers.networks import NETWORKS
from peers.problem import DEFAULT_RATES, Problem, digits_or_noise, problem_of
from table import table
from timing import alternating, repeated, seconds

CHECKED_STEPS, TOLERANCE = 5, 1e-4  # relative; float32 sums in another order make 1e-5 or so


def main() -> None:
    args = arguments()
    description = machine.describe()
    print(machine.in_words(description))
    makes, missing = installed(args.peers)
    results = {}
    for name in args.networks:
        results[name] = measured(
            name, makes, args, args.examples, args.batch_size, args.optimizer, args.learning_rate
        )
        results[name]["left_out"] |= missing
        print("\n" + in_words(name, results[name]), flush=True)
    if args.out:
        settings = {key: value for key, value in vars(args).items() if key != "out"}
        report = {"benchmark": "epoch", "machine": description, "settings": settings}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({**report, "networks": results}, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_choices(parser)
    parser.add_argument("--examples", type=int, help="in an epoch (default: the network's own)")
    parser.add_argument("--batch-size", type=int, help="(default: the network's own)")
    parser.add_argument("--optimizer", choices=DEFAULT_RATES, help="(default: the network's own)")
    parser.add_argument("--learning-rate", type=float, help=f"(default: {DEFAULT_RATES} or so)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write the result as JSON"
    )
    return parser.parse_args()


def add_choices(parser: argparse.ArgumentParser) -> None:
    """What this script and all.py ask in the same way."""

    def names(of: Mapping[str, Any]) -> dict[str, Any]:
        def chosen(text: str) -> list[str]:
            if unknown := [name for name in text.split(",") if name not in of]:
                raise argparse.ArgumentTypeError(f"{unknown} not among {', '.join(of)}")
            return text.split(",")

        return {"type": chosen, "default": list(of), "metavar": "NAME,...", "help": ", ".join(of)}

    parser.add_argument("--networks", **names(NETWORKS))
    parser.add_argument("--peers", **names(PEERS))
    parser.add_argument("--data", metavar="FOLDER", help="of MNIST's files (default: FUNCNN_DATA)")
    parser.add_argument("--rounds", type=int, help="that count (default: 5, or 2 with --quick)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="ten steps an epoch: does it run?")


def measured(
    name: str,
    makes: Mapping[str, Make],
    args: argparse.Namespace,
    examples: int | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
) -> dict[str, Any]:
    """All measures of a network, each peer's single measurements included.

    `args` are those of `add_choices`; what is None is the network's own.
    """
    network, rounds = NETWORKS[name], args.rounds or (2 if args.quick else 5)
    batch_size = batch_size or network.batch_size
    examples = examples or (10 * batch_size if args.quick else network.examples)
    what, images, labels = digits_or_noise(args.data, examples, args.seed)
    given = problem_of(name, images, labels, args.seed, batch_size, optimizer, learning_rate)
    one_batch = given._replace(images=given.images[:batch_size], labels=labels[:batch_size])

    steppers, left_out = made(makes, one_batch)
    check_same_steps(steppers)
    makes = {peer: makes[peer] for peer in steppers}
    steps = {peer: repeated(stepper.step) for peer, stepper in steppers.items()}
    step_times = alternating({peer: run for peer, (run, _) in steps.items()}, rounds)

    peers, _ = made(makes, given)
    first = {peer: seconds(peers[peer].epoch) for peer in peers}
    epoch_times = alternating({peer: peers[peer].epoch for peer in peers}, rounds)
    return {
        "what": network.what,
        "data": what,
        "examples": examples,
        "batch_size": batch_size,
        "optimizer": given.optimizer,
        "left_out": left_out,
        "peers": {
            peer: {
                "what": PEERS[peer].what,
                "first_epoch_s": first[peer],
                "epochs_s": epoch_times[peer],
                "median_s": statistics.median(epoch_times[peer]),
                "steps_s": [time / steps[peer][1] for time in step_times[peer]],
                "loss": peers[peer].epoch(),
                **(counts(steppers[peer].compile()) if steppers[peer].compile else {}),
            }
            for peer in peers
        },
    }


def made(makes: Mapping[str, Make], problem: Problem) -> tuple[dict[str, Peer], dict[str, str]]:
    peers, left_out = {}, {}
    for name, make in makes.items():
        try:
            peers[name] = make(problem)
        except LeftOut as reason:
            left_out[name] = str(reason)
    if not peers:
        raise SystemExit("no peer is left")
    return peers, left_out


def check_same_steps(peers: Mapping[str, Peer]) -> None:
    """Fails where a peer has other losses than the first one, in epochs of one step and in steps.

    Each step starts where the last one ended, so that a wrong gradient or update shows in the next
    loss; and so does one that does nothing, as the losses must fall.
    """
    expected: list[float] = []
    for name, peer in peers.items():
        losses = [run() for run in (peer.epoch, peer.step) for _ in range(CHECKED_STEPS)]
        expected = expected or losses
        worst = max(abs(a / b - 1) for a, b in zip(losses, expected, strict=True))
        if not worst <= TOLERANCE:
            raise SystemExit(
                f"{name} does not compute what {next(iter(peers))} does: its losses on the same "
                f"minibatch are {losses}, expected {expected}"
            )
    if not expected[-1] < expected[CHECKED_STEPS - 1] < expected[0]:
        raise SystemExit(f"the loss did not fall: {expected}")


def counts(compiled: Any) -> dict[str, float]:
    """What XLA says of the compiled step. Loops count as often as they are written, not taken."""
    cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return {"flops": cost["flops"], "temporary_bytes": memory.temp_size_in_bytes}


def ratio(times: Sequence[float], to: Sequence[float]) -> float:
    """The median over the rounds of how many times as long."""
    return statistics.median(a / b for a, b in zip(times, to, strict=True))


def in_words(name: str, result: dict[str, Any]) -> str:
    unit = result["peers"].get("funcnn")

    def against(peer: dict[str, Any], times: str) -> str:
        return f"{ratio(peer[times], unit[times]):.2f}" if unit else ""

    rows = [
        [
            name,
            f"{peer['median_s']:.4f}",
            f"{min(peer['epochs_s']):.4f}",
            against(peer, "epochs_s"),
            f"{1e3 * statistics.median(peer['steps_s']):.3f}",
            against(peer, "steps_s"),
            f"{peer['first_epoch_s']:.2f}",
            f"{peer['loss']:.4f}",
            f"{peer['flops'] / 1e6:.1f}" if "flops" in peer else "",
            f"{peer['temporary_bytes'] / 1e6:.2f}" if "flops" in peer else "",
            peer["what"],
        ]
        for name, peer in result["peers"].items()
    ]
    header = ["peer", "epoch s", "least s", "÷ funcnn", "step ms", "÷ funcnn ", "first s", "loss"]
    header += ["Mflop", "temp MB", "what"]
    lines = [
        f"{name} ({result['what']}), {result['optimizer']}, batch {result['batch_size']}, "
        f"{result['examples']:,} examples: {result['data']}",
        table(header, rows, left=("peer", "what")),
        *(f"{peer}: left out, {reason}" for peer, reason in result["left_out"].items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
