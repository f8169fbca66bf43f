"""The results of all.py as Markdown and as a picture.

python benchmarks/report.py out/benchmarks/results.json
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import machine
from epoch import ratio
from peers import PEERS

Results = dict[str, Any]
Bars = dict[str, float]  # from a peer's name to its number


class Count(NamedTuple):
    what: str
    network: str
    reach: dict[str, float]  # how many times funcnn's epoch that of a peer is to be, at least


COUNTS = [
    Count(
        "epoch of 784-30-30-10",
        "784-30-30-10",
        {"nnx": 5, "nnx-partial": 5, "equinox": 2, "torch": 5, "jax": 1 / 1.1},
    ),
    Count(
        "epoch of 784-512-512-10",
        "784-512-512-10",
        dict.fromkeys(("nnx", "nnx-partial", "equinox", "haiku", "stax", "torch"), 1.2),
    ),
    Count(
        "epoch of the CNN",
        "cnn",
        {"nnx": 1.7, "nnx-partial": 1.7, "equinox": 1.7, "torch": 1 / 1.3},
    ),
]
NNX = "nnx", "nnx-partial"
IMPORT_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    path = parser.parse_args().results
    write(json.loads(path.read_text()), path.parent)


def write(results: Results, folder: Path) -> None:
    """results.md and results.png, beside results.json."""
    (folder / "results.md").write_text(markdown(results))
    plot(results, folder / "results.png")


def markdown(results: Results) -> str:
    parts = ["# Measured", machine.in_words(results["machine"]).replace("\n", "\n\n")]
    parts += [_network(name, results) for name in results["networks"]]
    if imports := _imports(results):
        rows = [[peer, f"{seconds:.2f}"] for peer, seconds in imports.items()]
        parts += ["## Import\n\nSeconds; over those of `import jax`, but for PyTorch."]
        parts += [_table(["peer", "import s"], rows)]
    if optimizer := results.get("optimizer"):
        rows = [
            [name, f"{1e3 * statistics.median(times):.2f}", f"{rate:.2f}"]
            for (name, times), rate in zip(
                optimizer["steps_s"].items(), _rates(results).values(), strict=True
            )
        ]
        text = f"## Adam's step on {optimizer['parameters']:,} parameters"
        parts += [text, _table(["by", "step ms", "10⁹ parameters/s"], rows)]
    if rows := _counts(results):
        header = ["", "peer", "reach: peer ÷ funcnn", "measured", ""]
        parts += ["## Counts to reach", _table(header, rows)]
    return "\n\n".join(parts) + "\n"


def _network(name: str, results: Results) -> str:
    network, unit = results["networks"][name], results["networks"][name]["peers"].get("funcnn")
    fresh = results.get("first_step", {}).get(name, {})

    def row(peer: str, measured: dict[str, Any]) -> list[str]:
        def of(times: str) -> str:
            return f"{ratio(measured[times], unit[times]):.2f}" if unit else ""

        def first(times: str) -> str:
            found = fresh.get(peer, {}).get(times)
            return f"{statistics.median(found):.2f}" if found else ""

        counted = "flops" in measured
        return [
            peer,
            *(f"{measured['median_s']:.4f}", of("epochs_s")),
            *(f"{1e3 * statistics.median(measured['steps_s']):.3f}", of("steps_s")),
            *(first("first_step_s"), first("epoch_start_s"), first("build_s")),
            f"{measured['flops'] / 1e6:.1f}" if counted else "",
            f"{measured['temporary_bytes'] / 1e6:.2f}" if counted else "",
        ]

    header = ["peer", "epoch s", "÷ funcnn", "step ms", "÷ funcnn", "first step s"]
    header += ["epoch program's start s", "build s", "Mflop", "temporary MB"]
    rows = [row(peer, measured) for peer, measured in network["peers"].items()]
    left_out = "".join(f"\n\n{peer}: left out, {why}." for peer, why in network["left_out"].items())
    return (
        f"## {name}\n\n{network['what']}; {network['optimizer']}, batch {network['batch_size']}, "
        f"{network['examples']:,} examples of {network['data']}.\n\n"
        + _table(header, rows)
        + left_out
    )


def _imports(results: Results) -> Bars:
    """Pooled over the processes of all networks; what is JAX alone has nothing more."""
    pooled: dict[str, list[float]] = {}
    for peers in results.get("first_step", {}).values():
        for peer, times in peers.items():
            if library := PEERS[peer].library:
                pooled.setdefault(library, []).extend(times["import_s"])
                if peer == "funcnn":
                    both = times["import_s"], times["import_rest_s"]
                    everything = map(sum, zip(*both, strict=True))
                    pooled.setdefault("funcnn with nn, optim, train", []).extend(everything)
    return {library: statistics.median(times) for library, times in pooled.items()}


def _rates(results: Results) -> Bars:
    """In 10⁹ parameters a second."""
    optimizer = results["optimizer"]
    return {
        name: optimizer["parameters"] / statistics.median(times) / 1e9
        for name, times in optimizer["steps_s"].items()
    }


def _counts(results: Results) -> list[list[str]]:
    """The ratios of issue 5 that are to be reached, and what was measured."""
    rows = []

    def row(what: str, peer: str, reach: float, times: str, of: dict[str, Any]) -> None:
        if peer in of and "funcnn" in of:
            found = ratio(of[peer][times], of["funcnn"][times])
            met = "reached" if found >= reach else "missed"
            rows.append([what, peer, f"{reach:.2f}", f"{found:.2f}", met])

    for count in COUNTS:
        peers = results["networks"].get(count.network, {}).get("peers", {})
        for peer, reach in count.reach.items():
            row(count.what, peer, reach, "epochs_s", peers)
    for network, peers in results.get("first_step", {}).items():
        for peer in NNX:
            row(f"first step of {network}", peer, 1, "first_step_s", peers)
    if found := _imports(results).get("funcnn"):
        met = "reached" if found <= IMPORT_S else "missed"
        rows.append(["import funcnn", "", f"{IMPORT_S} s", f"{found:.2f} s", met])
    return rows


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def plot(results: Results, path: Path) -> None:
    """A column of panels for each network, a row for each measure; then imports and Adam."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [_panels(name, results) for name in results["networks"]]
    last = {"import, s": _imports(results)}
    if "optimizer" in results:
        last["Adam, 10⁹ parameters/s (more is better)"] = _rates(results)
    panels.append({title: bars for title, bars in last.items() if bars})
    rows = max(map(len, panels))
    figure, axes = pyplot.subplots(
        rows,
        len(panels),
        figsize=(4.6 * len(panels), 3.0 * rows),
        squeeze=False,
        layout="constrained",
    )
    for column, of_column in zip(axes.T, panels, strict=True):
        for axis in column[len(of_column) :]:
            axis.axis("off")
        for axis, (title, bars) in zip(column, of_column.items(), strict=False):
            _bars(axis, title, bars)
    figure.suptitle("less is better; " + machine.in_words(results["machine"]).splitlines()[0])
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _panels(name: str, results: Results) -> dict[str, Bars]:
    peers = results["networks"][name]["peers"]
    fresh = results.get("first_step", {}).get(name, {})
    measures = {
        f"{name}\nepoch, ms": {peer: 1e3 * m["median_s"] for peer, m in peers.items()},
        "a step, ms": {p: 1e3 * statistics.median(m["steps_s"]) for p, m in peers.items()},
        "temporary bytes of a step, MB": {
            peer: m["temporary_bytes"] / 1e6 for peer, m in peers.items() if "flops" in m
        },
        "to the first step, s": {
            peer: statistics.median(times["first_step_s"]) for peer, times in fresh.items()
        },
    }
    return {title: bars for title, bars in measures.items() if bars}


def _bars(axis: Any, title: str, bars: Bars) -> None:
    """Where one bar is much longer than the rest, the axis ends a little beyond the others."""
    names, values = list(bars), list(bars.values())
    longest = sorted(values)[-2:]
    end = 1.25 * (longest[0] if longest[-1] > 4 * longest[0] else longest[-1])
    colors = ["#d1495b" if name.startswith("funcnn") else "#8d99ae" for name in names]
    axis.barh(names, values, color=colors)
    axis.set_xlim(0, end)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    for place, value in enumerate(values):
        inside = value > 0.8 * end
        axis.text(
            *(min(value, end), place, f"{value:.3g} "),
            ha="right" if inside else "left",
            va="center",
            color="white" if inside else "black",
            fontsize=9,
        )


if __name__ == "__main__":
    main()
