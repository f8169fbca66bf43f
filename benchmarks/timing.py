"""Seconds of several things in turns, so that what else the machine does falls on all of them."""

import time
from collections.abc import Callable, Mapping
from typing import Any


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def alternating(
    runs: Mapping[str, Callable[[], Any]], rounds: int, pause: float = 0.3
) -> dict[str, list[float]]:
    """The seconds of each run in each round, where each has its turn.

    PyTorch's threads spin for a while after their last operation, on the next peer's cores: hence
    the pause. After it, what is short runs once for nothing, until caches and cores are warm again.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    warm_up = dict.fromkeys(runs, 0.0)
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(pause)
            if warm_up[name] < 0.5:
                warm_up[name] = seconds(run)
            times[name].append(seconds(run))
    return times


def repeated(run: Callable[[], Any], at_least: float = 0.1) -> tuple[Callable[[], None], int]:
    """The run as many times as last about `at_least` seconds, and how many that is."""
    run()
    times = max(1, round(at_least / seconds(run)))

    def runs() -> None:
        for _ in range(times):
            run()

    return runs, times
