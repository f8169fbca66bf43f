"""All that is measured against the peers: a table, a plot, and JSON with every measurement.

    python benchmarks/all.py --out out/benchmarks
    python benchmarks/all.py --quick --out out/quick
    python benchmarks/all.py --only epochs --networks cnn --peers funcnn,torch --out out/cnn

Writes results.json, results.md and results.png into the folder. What is measured, and how, is in
README.md and in the scripts of the parts: epoch.py, first_step.py, optimizer_step.py.
"""

import argparse
import json
import time
from pathlib import Path

import epoch
import first_step
import machine
import optimizer_step
import report
from peers import installed

PARTS = ("epochs", "first_step", "optimizer")


def main() -> None:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    settings = {key: value for key, value in vars(args).items() if key != "out"}
    results = {"machine": machine.describe(), "settings": settings, "networks": {}}
    print(machine.in_words(results["machine"]))

    def keep() -> None:
        """What there is so far: a run that is stopped leaves the parts that are done."""
        results["minutes"] = (time.perf_counter() - started) / 60
        (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")

    if "epochs" in args.only:
        makes, missing = installed(args.peers)
        for name in args.networks:
            measured = epoch.measured(name, makes, args)
            measured["left_out"] |= missing
            results["networks"][name] = measured
            print("\n" + epoch.in_words(name, measured), flush=True)
            keep()
    if "optimizer" in args.only:
        layers = 1 if args.quick else optimizer_step.LAYERS
        results["optimizer"] = optimizer_step.measured(args.rounds or 5, layers)
        print("\n" + optimizer_step.in_words(results["optimizer"]), flush=True)
        keep()
    if "first_step" in args.only:
        results["first_step"] = first_step.measured(args, args.first_step_rounds)
        print("\n" + first_step.in_words(results["first_step"]), flush=True)
    keep()
    report.write(results, args.out)
    print(f"\n{results['minutes']:.1f} minutes: {args.out}/results.md, .png and .json")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    epoch.add_choices(parser)
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(PARTS),
        metavar="PART,...",
        help=f"of {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--first-step-rounds", type=int, help="processes that count (default: 2, or 1 with --quick)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    if unknown := set(args.only) - set(PARTS):
        parser.error(f"--only: {sorted(unknown)} not among {', '.join(PARTS)}")
    return args


if __name__ == "__main__":
    main()
