"""What a GPU makes of it: time to 99 % on MNIST, share of peak, where the rest goes, epochs.

    pip install -e '.[bench,cuda12]'
    FUNCNN_DATA=FOLDER python benchmarks/gpu.py --out out/gpu

Runs on a CPU too: `--quick` tells in some minutes whether all of it works. Nothing is downloaded.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

# PyTorch wants memory too
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import epoch
import jax
import jax.numpy as jnp
import machine
import op_times
from peers import installed
from peers.networks import NETWORKS
from peers.problem import digits_or_noise, noisy_prototypes, problem_of
from table import table
from timing import alternating, seconds

from funcnn import data, losses, metrics, nn, optim, train

TARGET = 0.99
RECORD = "0.76 s, compilation not counted, on a GTX 1660 Ti (PyTorch)"
# dense 10¹² flops/s, as published: of products of float32 (as TF32) and of bfloat16
PUBLISHED = {"H100": (494.7, 989.4), "H200": (494.7, 989.4), "A100": (156.0, 312.0)}
PEERS_HERE = ("funcnn", "jax", "nnx", "nnx-partial", "equinox", "torch", "torch-compile")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    epoch.add_choices(parser)
    parser.set_defaults(peers=list(PEERS_HERE))
    parser.add_argument("--seeds", type=int, help="runs to 99 %% (default: 9, or 2 with --quick)")
    parser.add_argument("--epochs", type=int, default=2, help="of a run to 99 %% (default: 2)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine.describe()}
    print(machine.in_words(results["machine"]))
    if not any(device.platform == "gpu" for device in jax.devices()):
        print("NO GPU here: this shows only that the script works")

    parts = {"to_target": to_target, "peak": share_of_peak, "where": where, "epochs": epochs}
    for name, part in parts.items():
        print(f"\n{part.__doc__.splitlines()[0]}", flush=True)
        results[name] = part(args)
        (args.out / "gpu.json").write_text(json.dumps(results, indent=1) + "\n")


def epochs(args: argparse.Namespace) -> dict[str, Any]:
    """An epoch and a step, beside the peers."""
    makes, missing = installed(args.peers)
    results = {}
    for name in args.networks:
        results[name] = epoch.measured(name, makes, args)
        results[name]["left_out"] |= missing
        print("\n" + epoch.in_words(name, results[name]), flush=True)
    return results


def to_target(args: argparse.Namespace) -> dict[str, Any] | None:
    """The time to 99 % of MNIST's test set: from arrays on the host, measured after each epoch."""
    folder = args.data or os.environ.get("FUNCNN_DATA")
    if not folder:
        print("left out: it needs MNIST, --data FOLDER or FUNCNN_DATA")
        return None
    splits = data.mnist(Path(folder), validation=0)
    batch_size, most_epochs = 128, 1 if args.quick else args.epochs
    steps = most_epochs * (len(splits.train[1]) // batch_size)
    model = small_network()
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )
    optimizer = optim.sgd(
        optim.schedules.cosine_onecycle_schedule(steps, 0.3), momentum=0.9, nesterov=True
    )
    one_epoch = train.make_epoch(train.make_step(loss, optimizer), batch_size, drop_remainder=True)
    evaluate = train.make_eval(loss, batch_size=2000)

    def run(seed: int) -> dict[str, Any]:
        start = time.perf_counter()
        on_device, test = jax.device_put((splits.train, splits.test))
        state = train.init(jax.random.key(seed), model, optimizer, splits.train[0][:1])
        accuracies = []
        for _ in range(most_epochs):
            state, _ = one_epoch(state, on_device)
            measured = evaluate(state.params, state.state, test)
            accuracies.append(float(measured["accuracy"]))
            if accuracies[-1] >= TARGET:
                break
        return {"seconds": time.perf_counter() - start, "accuracies": accuracies}

    first, *runs = [run(seed) for seed in range(1 + (args.seeds or (2 if args.quick else 9)))]
    reached = [r["seconds"] for r in runs if r["accuracies"][-1] >= TARGET]
    again = run(0)
    for what, r in (("with compilation", first), ("the same again, compiled", again)):
        print(f"{what}: {r['seconds']:.2f} s, test accuracy by epoch {percent(r['accuracies'])}")
    median = f"median {statistics.median(reached):.2f} s" if reached else "none"
    print(f"{len(reached)} of {len(runs)} other seeds reached {TARGET:.0%}: {median}")
    print("; ".join(percent(r["accuracies"]) for r in runs))
    print(f"on record: {RECORD}")
    return {"first": first, "compiled": again, "runs": runs}


def small_network() -> nn.Layer:
    """28 by 28, 14 by 14, 7 by 7: each time half as many places."""
    return nn.serial(
        *(nn.conv(24, (5, 5), strides=2, use_bias=False), nn.batch_norm(momentum=0.9)),
        *(jax.nn.relu, nn.conv(48, (3, 3), use_bias=False), nn.batch_norm(momentum=0.9)),
        *(jax.nn.relu, nn.max_pool((2, 2), strides=2), nn.flatten, nn.dense(10)),
    )


def percent(accuracies: list[float]) -> str:
    return ", ".join(f"{accuracy:.2%}" for accuracy in accuracies)


def share_of_peak(args: argparse.Namespace) -> dict[str, Any]:
    """Flops of an epoch's steps, as XLA counts them, over those of large matrix products here.

    The step of the LSTM is left out: XLA counts a loop as often as it is written, not taken.
    """
    peak = peaks(2048 if args.quick or jax.default_backend() == "cpu" else 16384)
    kind = jax.devices()[0].device_kind
    published = next((f for name, f in PUBLISHED.items() if name in kind), None)
    for name, flops in peak.items():
        print(f"products of {name}: {flops / 1e12:.2f} · 10¹² flops/s")
    if published:
        print(f"published for it: {published[0]} (float32 as TF32), {published[1]} (bfloat16)")
    rows, results = [], []
    for name in args.networks:
        for batch_size in (NETWORKS[name].batch_size, 1024, 8192)[: 1 if args.quick else None]:
            if name == "lstm":
                continue
            images, labels = noisy_prototypes(8 * batch_size, args.seed)
            problem = problem_of(name, images, labels, batch_size=batch_size)
            run, _, flops = op_times.epoch_program(problem)
            run()
            times = alternating({"epoch": run}, args.rounds or 3, pause=0)["epoch"]
            share = flops / statistics.median(times) / peak["float32"]
            results.append({"network": name, "batch_size": batch_size, "share": share})
            results[-1] |= {"flops": flops, "epochs_s": times, "steps": 8}
            rows.append([name, str(batch_size), f"{flops / 8e9:.3f}", f"{share:.1%}"])
    header = ["network", "batch", "10⁹ flops a step", "of float32's products"]
    print(table(header, rows, left=("network",)))
    return {"products": peak, "published": published, "device": kind, "epochs": results}


def peaks(size: int) -> dict[str, float]:
    """Flops a second of products of large matrices, in the default precision."""
    found = {}
    for dtype in ("float32", "bfloat16"):
        x = jnp.ones((size, size), dtype)
        product = jax.jit(lambda x: x @ x)
        jax.block_until_ready(product(x))
        times = [seconds(lambda: jax.block_until_ready(product(x))) for _ in range(5)]  # noqa: B023
        found[dtype] = 2 * size**3 / min(times)
    return found


def where(args: argparse.Namespace) -> dict[str, Any]:
    """Where the time of an epoch goes, by JAX's profiler."""
    results = {}
    for name in args.networks:
        network = NETWORKS[name]
        examples = (10 if args.quick else 100) * network.batch_size
        _, images, labels = digits_or_noise(args.data, examples, args.seed)
        run, compiled, _ = op_times.epoch_program(problem_of(name, images, labels))
        found = op_times.profile(run, compiled.as_text())
        print(f"\n{name}\n{op_times.in_words(found)}")
        results[name] = found._asdict()
    return results


if __name__ == "__main__":
    main()
