"""One epoch of 784-30-30-10 in minibatches of 32: funcnn and its peers, alternating in one run.

    python benchmarks/epoch.py
    python benchmarks/epoch.py --data FOLDER --peers funcnn,jax,torch --out results.json

Before anything is timed, each peer takes a few steps with all of a small data set as its minibatch,
from the same parameters: where one then has other parameters than the rest, it computes something
else, and the run fails. The timed epochs are shuffled by each peer in its own way; the first, in
which JAX compiles, is shown but not counted.
"""

import argparse
import importlib
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import machine
import numpy as np
from peers import PEERS, Peer, problem
from table import table

Make = Callable[[problem.Problem], Peer]


def main() -> None:
    args = arguments()
    what, images, labels = problem.digits_or_noise(args.data, args.examples, args.seed)
    given = problem.Problem(
        images=images,
        labels=labels,
        parameters=problem.first_parameters(args.seed),
        batch_size=args.batch_size,
        optimizer=args.optimizer,
        learning_rate=args.learning_rate or problem.LEARNING_RATES[args.optimizer],
        seed=args.seed,
    )
    description = machine.describe()
    print(machine.in_words(description))
    print(
        f"{'-'.join(map(str, problem.WIDTHS))}, sigmoid, softmax cross-entropy, {given.optimizer} "
        f"{given.learning_rate:g}, batch {given.batch_size}, {len(labels):,} examples: {what}"
    )
    makes = installed(args.peers)
    check_same_steps(makes, given)

    peers = {name: make(given) for name, make in makes.items()}
    first = {name: seconds(peer.epoch) for name, peer in peers.items()}
    times: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(args.rounds):
        for name, peer in peers.items():
            # PyTorch's threads spin for a while after their last operation, on the next peer's
            # cores; and after the pause caches and cores want an epoch to be warm again
            time.sleep(0.3)
            peer.epoch()
            times[name].append(seconds(peer.epoch))
    before = problem.mean_loss(given.parameters, images, labels)
    results = {
        name: {
            "what": PEERS[name][2],
            "first_epoch_s": first[name],
            "epochs_s": times[name],
            "median_s": statistics.median(times[name]),
            "loss": problem.mean_loss(peer.parameters(), images, labels),
        }
        for name, peer in peers.items()
    }
    show(results, before)
    if args.out:
        settings = {key: value for key, value in vars(args).items() if key != "out"}
        report = {"benchmark": "epoch", "machine": description, "settings": settings, "data": what}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(
            json.dumps({**report, "loss_before": before, "peers": results}, indent=1) + "\n"
        )
    if idle := [name for name, result in results.items() if not result["loss"] < before]:
        raise SystemExit(f"the loss did not fall: {', '.join(idle)}")


def arguments() -> argparse.Namespace:
    names = ", ".join(PEERS)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="FOLDER", help="of MNIST's files (default: FUNCNN_DATA)")
    parser.add_argument(
        "--peers",
        type=lambda text: text.split(","),
        default=list(PEERS),
        metavar="NAME,...",
        help=f"of {names}",
    )
    parser.add_argument("--rounds", type=int, help="epochs a peer that count (default: 9)")
    parser.add_argument("--examples", type=int, help="(default: 20000)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--optimizer", choices=problem.LEARNING_RATES, default="sgd")
    parser.add_argument("--learning-rate", type=float, help=f"(default: {problem.LEARNING_RATES})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick", action="store_true", help="2,000 examples, 2 rounds: does it run?"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write the result as JSON"
    )
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 9)
    args.examples = args.examples or (2_000 if args.quick else 20_000)
    if unknown := [name for name in args.peers if name not in PEERS]:
        parser.error(f"--peers: {', '.join(unknown)} not among {names}")
    if not 1 <= args.batch_size <= args.examples:
        parser.error(f"--batch-size {args.batch_size}: expected 1 to {args.examples} (--examples)")
    if args.rounds < 1:
        parser.error(f"--rounds {args.rounds}: expected at least 1")
    return args


def installed(names: list[str]) -> dict[str, Make]:
    """What makes each peer whose library is installed; says which are not."""
    makes = {}
    for name in names:
        file, function, _ = PEERS[name]
        try:
            module = importlib.import_module(f"peers.{file}")
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in ("peers", "funcnn"):
                raise
            print(f"{name}: left out, no module named {error.name}; pip install 'funcnn[bench]'")
            continue
        makes[name] = getattr(module, function)
    if not makes:
        raise SystemExit("no peer is left")
    return makes


def check_same_steps(makes: dict[str, Make], given: problem.Problem) -> None:
    """Fails where a peer has other parameters than the first one after five full-batch steps."""
    examples, steps, tolerance = 256, 5, 1e-4  # float32 sums in another order make 1e-6 or so
    images, labels = problem.noisy_prototypes(examples, given.seed)
    small = given._replace(images=images, labels=labels, batch_size=examples)
    reference: dict[str, problem.Parameters] = {}
    for name, make in makes.items():
        peer = make(small)
        for _ in range(steps):
            peer.epoch()
        trained = peer.parameters()
        other, expected = next(iter(reference.items()), (name, trained))
        reference.setdefault(other, expected)
        leaves = zip(sum(trained, ()), sum(expected, ()), strict=True)
        difference = max(float(np.abs(leaf - like).max()) for leaf, like in leaves)
        if not difference <= tolerance:
            raise SystemExit(
                f"{name} does not compute what {other} does: after {steps} steps on the same batch "
                f"their parameters differ by {difference:.2g} (allowed: {tolerance:g})"
            )


def seconds(run: Callable[[], float]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def show(results: dict[str, dict], before: float) -> None:
    unit = results.get("funcnn", {}).get("epochs_s")

    def against_funcnn(epochs: list[float]) -> str:
        if unit is None:
            return ""
        return f"{statistics.median(s / of for s, of in zip(epochs, unit, strict=True)):.2f}"

    rows = [
        [
            name,
            f"{result['median_s']:.4f}",
            f"{min(result['epochs_s']):.4f}",
            against_funcnn(result["epochs_s"]),
            f"{result['first_epoch_s']:.2f}",
            f"{result['loss']:.4f}",
            result["what"],
        ]
        for name, result in results.items()
    ]
    header = ["peer", "epoch s", "least s", "÷ funcnn", "first s", "loss", "what"]
    rounds = len(next(iter(results.values()))["epochs_s"])
    print("\n" + table(header, rows, left=("peer", "what")))
    print(
        f"\nepoch: median of {rounds}, alternating; first: with compilation, not counted; "
        f"loss: over all examples, after {rounds + 1} epochs (before: {before:.4f})"
    )


if __name__ == "__main__":
    main()
