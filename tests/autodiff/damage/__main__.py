"""Does the suite turn red for every damage? Run in the folder `tests`::

    python -m autodiff.damage                 # everything: about two hours of one core
    python -m autodiff.damage --shard 3/40    # a part of it: the third of 40, a few minutes
    python -m autodiff.damage --only 'cum*'   # some primitives, or functions of the library
    python -m autodiff.damage --only mul -v   # also which test is red for which damage

One thing is damaged at a time: in the cotangents that a rule gives, in what it kept, in the
operations it is made of (rules.py), or in a line of the tracer, of the backward pass, of the rules
of programs inside programs (mechanism.py). Then the tests that fit are run, in this process, the
cheapest first, until one is red.

Printed are, for each rule, how many damages were tried and which test was the first to notice. What
no test notices is said to survive, and makes the exit status 1, unless harmless.py has a reason
why nothing is wrong then.
"""

import argparse
import collections
import contextlib
import fnmatch
import functools
import itertools
import sys
import time
from unittest import mock

import jax
import pytest
from _pytest.runner import runtestprotocol

OF_A_RULE = ["test_in_float32", "test_in_float64_under_vmap", "test_second_order"]
ELSEWHERE = {
    "test_hi_primitives.py": ["call_hi_primitive"],
    "test_opened.py": ["composite", "custom_vmap_call", "linear_call", "xla_metadata_call"],
    "test_placement.py": [
        "device_put",
        "layout_constraint",
        "reshard",
        "sharding_constraint",
        "tie",
        "with_memory_space_constraint",
        "xla_metadata_value",
    ],
    "test_ragged_dot.py": ["ragged_dot_general"],
    "test_shard_map.py": [
        "pbroadcast",
        "psum_invariant",
        "pvary",
        "ragged_all_to_all",
        "reduce_scatter",
    ],
    "test_sparse.py": [
        "bcoo_dot_general",
        "bcoo_dot_general_sampled",
        "bcoo_extract",
        "bcoo_fromdense",
        "bcoo_sort_indices",
        "bcoo_spdot_general",
        "bcoo_sum_duplicates",
        "bcoo_todense",
        "bcoo_transpose",
        "bcsr_dot_general",
        "bcsr_extract",
        "bcsr_fromdense",
        "bcsr_todense",
        "coo_fromdense",
        "coo_matmat",
        "coo_matvec",
        "coo_todense",
        "csr_fromdense",
        "csr_matmat",
        "csr_matvec",
        "csr_todense",
        "spsolve",
        "todense",
    ],
    "test_special.py": ["bessel_i1e", "max", "min", "random_gamma"],
}
"""Where rules are tested that test_rules.py has no cases of, or not for all they do."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m autodiff.damage", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--only",
        metavar="NAME",
        default="*",
        help="of primitives or functions, with * as in file names",
    )
    parser.add_argument("--shard", metavar="I/N", default="1/1", help="the I-th of N parts")
    parser.add_argument("-v", "--verbose", action="store_true", help="say it of each damage")
    args = parser.parse_args()
    first, step = map(int, args.shard.split("/"))

    class Plugin:
        """Has pytest collect the tests, and then runs those that it needs."""

        def pytest_runtestloop(self, session):
            write = session.config.get_terminal_writer().line
            session.testsfailed = damage_all(
                session.items, args.only, slice(first - 1, None, step), args.verbose, write
            )
            return True

    return int(
        pytest.main(
            ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "autodiff", "testing"], [Plugin()]
        )
    )


def damage_all(items, only, part, verbose, write) -> int:
    """Tries all damages, or a part of them, and reports. Returns how many no test noticed."""
    from . import mechanism, rules  # now, because pytest has set up JAX by conftest.py
    from .harmless import HARMLESS

    targets = [
        *((name, of_rule) for name in sorted(rules.with_rules())),
        *((name, of_mechanism) for name in sorted(mechanism.DAMAGES)),
    ]
    total: collections.Counter[str] = collections.Counter()
    for name, damages_of in targets[part]:
        if not fnmatch.fnmatchcase(name, only):
            continue
        start = time.time()
        found = collections.defaultdict(list)
        known: dict = {}  # what tests gave without damage, and JAX in them
        for what, damage, tests in damages_of(name, items):
            red = first_red(damage, tests, known)
            if red is not None:
                found[red.name.partition("[")[0]].append(what)
            elif any(fnmatch.fnmatchcase(f"{name}: {what}", pattern) for pattern in HARMLESS):
                found["harmless"].append(what)
            else:
                found["SURVIVED"].append(what)
        jax.clear_caches()
        total.update({by: len(whats) for by, whats in found.items()})
        said = ", ".join(f"{by} {len(whats)}" for by, whats in found.items())
        write(f"{name}: {said} ({time.time() - start:.0f} s)", flush=True)
        for by, whats in found.items():
            for what in whats if verbose or by == "SURVIVED" else ():
                write(f"    {by}: {what}", flush=True)
    write(f"damages: {sum(total.values())}; " + ", ".join(f"{k} {n}" for k, n in total.items()))
    return total["SURVIVED"]


def of_rule(name, items):
    """The damages of one rule: what each does, the context in which it is done, the tests."""
    from . import rules

    tests, damages = [], {}
    if name in rules.CASES:
        ends = [f"test_rules.py::{test}[{name}]" for test in OF_A_RULE]
        tests = [item for end in ends for item in items if item.nodeid.endswith(end)]
        damages = rules.damages_of(name, lambda: rules.trace_cases(name))
    for item in items:
        if name in ELSEWHERE.get(item.path.name, ()):
            found = rules.damages_of(name, lambda item=item: is_red(item, {}))
            damages.update(found)
            tests += [item] if found else []
    if not damages:
        yield "all of it, as no test reaches it", contextlib.nullcontext, []
    for what, damage in damages.items():
        yield what, functools.partial(rules.done, name, damage), tests


def of_mechanism(name, items):
    """The damages of one function of the library."""
    from . import mechanism

    for what, (old, new, *places) in mechanism.DAMAGES[name].items():
        by_place = [[item for item in items if place in item.nodeid] for place in places]
        assert all(by_place), f"{name}: some of {places} is no test"
        tests = [item for found in by_place for item in found]
        yield what, functools.partial(mechanism.done, name, old, new), tests


def first_red(damage, tests, known):
    """The first test that fails with the damage and passes without it."""
    for test in tests:
        with damage():
            red = is_red(test, known)
        if red and test not in known:
            known[test] = is_red(test, known)
            if known[test]:
                print(f"{test.nodeid} is red without damage, and shows nothing", flush=True)
        if red and not known[test]:
            return test
    return None


def is_red(test, known) -> bool:
    """Does a test fail? What JAX gives in it is computed once: no damage changes that."""
    from .. import test_rules

    number = itertools.count()

    def jit(fun):
        compiled = plain(fun)

        def run(*args):
            key = test.nodeid, next(number)
            if key not in known:
                known[key] = compiled(*args)
            return known[key]

        return run if jax.vjp in getattr(fun, "args", ()) else compiled

    plain = test_rules.jit
    with mock.patch.object(test_rules, "jit", jit):
        reports = runtestprotocol(test, log=False, nextitem=None)
    return any(report.failed for report in reports)


if __name__ == "__main__":
    sys.exit(main())
