"""funcnn.testing.check_grads against jax.test_util.check_grads, both at their default settings.

    python benchmarks/check_grads.py
    python benchmarks/check_grads.py --out results.json

The cases are those of the tests (tests/testing): functions whose custom_vjp rule has a mistake
planted in it, which a checker should call wrong, and correct functions that central differences in
float32 would call wrong, which it should not. A checker that gives up with another error than an
AssertionError has not called the function wrong.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.test_util
import machine
from table import table

import funcnn.testing

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from testing.correct import CORRECT
from testing.planted import PLANTED

CHECKERS = {
    "funcnn": funcnn.testing.check_grads,
    "jax": lambda *args, **options: jax.test_util.check_grads(*args, modes=["rev"], **options),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="where to write the results as JSON")
    args = parser.parse_args()
    description = machine.describe()
    print(machine.in_words(description))
    results = []
    for kind, cases in {"a mistake": PLANTED, "correct": CORRECT}.items():
        for name, case in cases.items():
            row = {"case": name, "is": kind}
            results.append(row | {who: called(check, case) for who, check in CHECKERS.items()})
    header = ["case", "is", *CHECKERS]
    print(table(header, [[row[column] for column in header] for row in results], left=header))
    for who in CHECKERS:
        mistakes = [row[who] == "wrong" for row in results if row["is"] == "a mistake"]
        correct = [row[who] == "wrong" for row in results if row["is"] == "correct"]
        print(
            f"{who}: found {sum(mistakes)} of {len(mistakes)} mistakes, "
            f"called {sum(correct)} of {len(correct)} correct functions wrong"
        )
    if args.out:
        result = {"benchmark": "check_grads", "machine": description, "cases": results}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


def called(check: Callable[..., Any], case: Any) -> str:
    """What a checker calls the case: "right" or "wrong", or the error that it gave up with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            args = jax.tree.map(jax.numpy.asarray, case.args)
            check(case.fun, args, order=case.order)
        except AssertionError:
            return "wrong"
        except Exception as error:
            return type(error).__name__
    return "right"


if __name__ == "__main__":
    main()
