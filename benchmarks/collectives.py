"""What a compiled program sends between devices: its collectives, with bytes, from its HLO text."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


class Collective(NamedTuple):
    """One operation of the program that each device runs.

    Attributes:
      kind: one of `KINDS`.
      bytes: of its result on a device; for a reduce-scatter, of its operand: the larger of the two.
      group: how many devices take part.
      times: how often it runs: more than once in the body of a loop.
    """

    kind: str
    bytes: int
    group: int
    times: int

    @property
    def sent(self) -> float:
        """Bytes that a device sends, by the ring algorithms, which are optimal for large arrays.

        Source: Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
        workstations", 2009.
        """
        share = (self.group - 1) / self.group
        rounds = {"all-reduce": 2 * share, "collective-permute": 1.0}
        return self.times * self.bytes * rounds.get(self.kind, share)


def collectives(compiled) -> list[Collective]:
    """Those of `jax.jit(f).lower(...).compile()`."""
    text = compiled.as_text()
    devices = re.search(r"num_partitions=(\d+)", text)
    if devices is None:
        return []
    times, chained = _times(text), set()
    return [
        collective._replace(times=times[name])
        for name, lines in _computations(text)
        for collective in _of_lines(lines, int(devices[1]), chained)
    ]


def total(found: list[Collective]) -> dict[str, dict[str, float]]:
    """By kind: how many there are, their bytes, and the bytes that a device sends."""
    count, bytes_, sent = Counter(), Counter(), Counter()
    for one in found:
        count[one.kind] += one.times
        bytes_[one.kind] += one.times * one.bytes
        sent[one.kind] += one.sent
    return {
        kind: {"count": count[kind], "bytes": bytes_[kind], "sent": sent[kind]}
        for kind in KINDS
        if count[kind]
    }


_OPERATION = re.compile(rf" = (.*?) ({'|'.join(KINDS)})(-start)?\((.*)")
_ARRAY = re.compile(r"\b([a-z]+?\d*)\[([\d,]*)\]")


def _of_lines(lines: list[str], devices: int, chained: set[str]) -> Iterator[Collective]:
    scattered = any(" dynamic-slice(" in line for line in lines)  # a TPU's reduce-scatter
    for line in lines:
        if not (match := _OPERATION.search(line)):
            continue
        # a TPU's program has one that runs beside other work three times: at start, on the way, end
        if chain := re.search(r"channel_id=\d+(?=.*chain_id=)", line):
            if chain[0] in chained:
                continue
            chained.add(chain[0])
        result, kind, start, rest = match.groups()
        sizes = [_bytes(*array) for array in _ARRAY.findall(result)]
        group = _group(rest, devices)
        if start and kind in ("all-gather", "collective-permute"):  # operand, result
            sizes = [max(sizes)]
        size = sum(sizes) * (group if kind == "reduce-scatter" else 1)
        if kind == "all-reduce" and scattered:
            kind = "reduce-scatter"
        if group > 1:
            yield Collective(kind, size, group, 1)


def _bytes(dtype: str, shape: str) -> int:
    bits = 8 if dtype == "pred" else int(re.search(r"\d+", dtype)[0])
    return math.ceil(math.prod(int(n) for n in shape.split(",") if n) * bits / 8)


def _group(rest: str, devices: int) -> int:
    """The size of the groups: of {{0,1},{2,3}}, [2,2]<=[4] and mesh['a'=2,'b'=2] {'a'} it is 2."""
    if named := re.search(r"replica_groups=mesh\[(.*?)\] \{(.*?)\}", rest):
        sizes = dict(re.findall(r"('\w+')=(\d+)", named[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'\w+'", named[2]))
    if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]", rest):
        return int(iota[2])
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
        return listed[1].count(",") + 1
    return devices  # {}: one group of all


def _computations(text: str) -> Iterator[tuple[str, list[str]]]:
    """Name and lines of each computation of a module."""
    name, lines = None, []
    for line in text.splitlines():
        if head := re.match(r"(?:ENTRY )?%?([\w.-]+) .*\{$", line):
            name, lines = head[1], []
        elif line == "}" and name is not None:
            yield name, lines
        else:
            lines.append(line)


def _times(text: str) -> dict[str, int]:
    """How often each computation runs, by the trip counts of the loops it is called from."""
    callers: dict[str, list[tuple[str, int]]] = {}
    for name, lines in _computations(text):
        for line in lines:
            trips = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
            for called in re.findall(r"(?:calls|body|to_apply|condition)=%?([\w.-]+)", line):
                callers.setdefault(called, []).append((name, int(trips[1]) if trips else 1))

    def times(name: str) -> int:
        return sum(n * times(caller) for caller, n in callers[name]) if name in callers else 1

    return {name: times(name) for name, _ in _computations(text)}
