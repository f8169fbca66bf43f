"""How far does a training step scale? Counted in programs compiled for 8, 64 and 256 devices.

    python benchmarks/scaling.py --out results.json
    python benchmarks/scaling.py --platform tpu        # libtpu's compiler; no TPU is needed

The whole minibatch stays the same, so that with n devices each should have 1/n of the work. Nothing
is run: the step is compiled for so many devices (virtual ones of a CPU, or those of a TPU v5e that
is not there). Of the program that each device gets XLA says the flops, the bytes accessed and the
temporary bytes; and in its text the collectives are counted, with their bytes.

From these counts and published rates follows how long a step takes when computing is at the chip's
peak and nothing is sent meanwhile: SCALING.md says what that means.
"""

import argparse
import functools
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
from collectives import Collective, collectives, total
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from table import table

import funcnn
from funcnn import losses, nn, optim, train

GRADS = {"funcnn": funcnn.value_and_grad, "jax": jax.value_and_grad}
TPU_SHAPES = {8: "2x4", 64: "8x8", 256: "16x16"}


class Chip(NamedTuple):
    """Published rates, in flops and bytes a second.

    Attributes:
      peak: of bfloat16 products.
      near: what a device sends to others of its node.
      size: devices in a node.
      far: what a device sends to other nodes, by an adapter of its own.
    """

    peak: float
    near: float
    size: int
    far: float


CHIPS = {
    # NVIDIA's data sheet of the H100 SXM: 989e12, dense; NVLink 900 GB/s, both directions together.
    # User guide of the DGX H100: eight of them, and eight InfiniBand adapters of 400 Gb/s
    "DGX H100": Chip(989e12, 450e9, 8, 50e9),
    "H100, one a node": Chip(989e12, 50e9, 1, 50e9),
    # Google's documentation of the TPU v5e: 197e12; 400 GB/s, both directions together; pods of 256
    "TPU v5e": Chip(197e12, 200e9, 256, 200e9),
}


class Case(NamedTuple):
    model: nn.Layer
    shape: tuple[int, ...]  # of a minibatch of all devices together
    tensor_parallel: train.Partition | None = None


def cut(columns: tuple[str, ...], rows: tuple[str, ...]) -> train.Partition:
    """Megatron's rules: layers cut by columns of their kernels, and those after them by rows.

    Source: Shoeybi et al., "Megatron-LM: Training Multi-Billion Parameter Language Models Using
    Model Parallelism", 2019.
    """
    by_columns = [(f"**/{name}/kernel", P(None, "model")) for name in columns]
    biases = [(f"**/{name}/bias", P("model")) for name in columns]
    by_rows = [(f"**/{name}/kernel", P("model")) for name in rows]
    return train.Partition((*by_columns, *biases, *by_rows))


def transformer(blocks: int, features: int, heads: int) -> nn.Layer:
    body = [nn.transformer_block(features, heads, is_causal=True) for _ in range(blocks)]
    return nn.serial(*body, lambda h: h.mean(1), nn.dense(10))


CASES = {
    "784-512-512-10": Case(nn.models.mlp([512, 512, 10]), (65536, 784), cut(("1",), ("3",))),
    "transformer 6 x 768": Case(
        transformer(6, 768, 12),
        (512, 256, 768),
        cut(("query", "key", "value", "expand"), ("out", "contract")),
    ),
}
QUICK = {"784-256-256-10": Case(nn.models.mlp([256, 256, 10]), (65536, 784))}


def main() -> None:
    args = arguments()
    description = machine.describe()
    description["devices"] = [f"{max(args.devices)} of {args.platform}, virtual"]
    print(machine.in_words(description))
    rows = []
    chosen = QUICK if args.quick else {name: CASES[name] for name in args.cases}
    for name, case in chosen.items():
        for grad in ("funcnn",) if args.quick else args.grads:
            rows += counted(name, case, grad, args)
    show(rows)
    if args.out:
        result = {"benchmark": "scaling", "machine": description, "platform": args.platform}
        chips = {name: chip._asdict() for name, chip in CHIPS.items()}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({**result, "chips": chips, "rows": rows}, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--platform", choices=("cpu", "tpu"), default="cpu")
    parser.add_argument("--devices", type=int, nargs="+", default=None, help="how many, each")
    parser.add_argument("--cases", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--grads", choices=GRADS, nargs="+", default=list(GRADS))
    parser.add_argument("--quick", action="store_true", help="a small network on 64 and 256")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write the result as JSON"
    )
    args = parser.parse_args()
    many = [64, 256] if args.quick else [8, 64, 256]
    # the memory of one TPU is too small for the minibatch of all: the fewest count as one
    args.devices = args.devices or ([1, *many] if args.platform == "cpu" else many)
    if args.platform == "cpu":
        jax.config.update("jax_num_cpu_devices", max(args.devices))
    return args


def counted(name: str, case: Case, grad: str, args: argparse.Namespace) -> list[dict]:
    rows = []
    for n in args.devices:
        for way, (mesh, partition) in ways(case, devices(args.platform, n)).items():
            if args.platform == "tpu" and way == "fully sharded":
                continue  # products become loops that gather meanwhile, of which XLA counts a part
            compiled, state_bytes = compiled_step(case, mesh, partition, GRADS[grad])
            cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
            row = {
                "case": name,
                "batch": case.shape[0],
                "grad": grad,
                "way": way,
                "devices": n,
                "flops": cost["flops"],
                "bytes": cost["bytes accessed"],
                "temp_bytes": memory.temp_size_in_bytes,
                "state_bytes": state_bytes,
                "collectives": total(found := collectives(compiled)),
            }
            first = rows[0] if rows else row
            alone = first["flops"] * first["devices"]
            chips = {name: rates(row, alone, found, chip) for name, chip in CHIPS.items()}
            rows.append({**row, "chips": chips})
            print(".", end="", flush=True)
    return rows


def devices(platform: str, n: int) -> np.ndarray:
    if platform == "cpu":
        return np.array(jax.devices()[:n])
    from jax.experimental import topologies

    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # there is no TPU that could answer
    return np.array(topologies.get_topology_desc(f"v5e:{TPU_SHAPES[n]}", "tpu").devices)


def ways(case: Case, devices: np.ndarray) -> dict[str, tuple[Mesh, train.Partition]]:
    data = Mesh(devices, ("data",))
    found = {"data parallel": (data, train.Partition())}
    if len(devices) > 1:
        found["fully sharded"] = (data, train.fully_sharded(data))
    if len(devices) > 1 and case.tensor_parallel is not None:
        two = Mesh(devices.reshape(-1, 4), ("data", "model"))
        found["tensor parallel (4)"] = (two, case.tensor_parallel)
    return found


def compiled_step(case: Case, mesh: Mesh, partition: train.Partition, grad: Callable) -> Any:
    """The compiled program of one device; and the bytes of a state that it holds."""
    loss = train.supervised(case.model, losses.softmax_cross_entropy_with_integer_labels)
    optimizer = optim.adam(1e-3)
    x = jax.ShapeDtypeStruct(case.shape, jnp.float32)
    y = jax.ShapeDtypeStruct(case.shape[:1], jnp.int32)
    first = functools.partial(train.init, jax.random.key(0), case.model, optimizer)
    state = jax.eval_shape(first, x)
    of_state = train.state_sharding(mesh, partition, state)
    step = jax.jit(
        train.make_step(loss, optimizer, grad),
        in_shardings=(of_state, train.batch_sharding(mesh, partition)),
        out_shardings=(of_state, None),
        donate_argnums=0,
    )
    arrays = (state.params, state.opt_state), (of_state.params, of_state.opt_state)
    held = [
        math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf, sharding in zip(*map(jax.tree.leaves, arrays), strict=True)
    ]
    return step.lower(state, (x, y)).compile(), sum(held)


def rates(row: dict, alone: float, found: list[Collective], chip: Chip) -> dict[str, float]:
    """Seconds at the peak, and of sending; and the share that is left of n times one's speed.

    `alone` are the flops of one device that does it all.

    In data parallel also how many examples a device needs for that share to be 90 %: what is sent
    does not depend on their number.
    """
    n, computing = row["devices"], row["flops"] / chip.peak
    sending = sum(seconds(collective, n, chip) for collective in found)
    result = {
        "computing_s": computing,
        "sending_s": sending,
        "efficiency": alone / chip.peak / (n * (computing + sending)),
    }
    if row["way"] == "data parallel":
        result["examples_for_90"] = 9 * sending / (computing / (row["batch"] / n))
    return result


def seconds(collective: Collective, devices: int, chip: Chip) -> float:
    """A ring through several nodes enters and leaves each by the adapters of all its members."""
    if collective.group <= chip.size:
        return collective.sent / chip.near
    members = max(1, chip.size * collective.group // devices)
    return collective.sent / min(chip.near, members * chip.far)


def show(rows: list[dict]) -> None:
    header = ["case", "gradient", "way", "devices", "flops", "÷ 1/n", "MB", "temp MB", "state MB"]
    header += ["collectives", "sent MB", *(f"{chip} %" for chip in CHIPS)]
    lines = []
    for row in rows:
        one = next(r for r in rows if (r["case"], r["grad"]) == (row["case"], row["grad"]))
        kinds = row["collectives"].items()
        sent = sum(kind["sent"] for _, kind in kinds)
        lines.append(
            [
                row["case"],
                row["grad"],
                row["way"],
                str(row["devices"]),
                f"{row['flops']:.3e}",
                f"{row['flops'] * row['devices'] / (one['flops'] * one['devices']):.2f}",
                *(f"{row[name] / 1e6:.1f}" for name in ("bytes", "temp_bytes", "state_bytes")),
                ", ".join(f"{kind['count']} {name}" for name, kind in kinds) or "-",
                f"{sent / 1e6:.1f}",
                *(f"{100 * row['chips'][chip]['efficiency']:.0f}" for chip in CHIPS),
            ]
        )
    print("\n" + table(header, lines, left=("case", "gradient", "way", "collectives")))
    header = ["data parallel, examples a device for 90 %", "devices", *CHIPS]
    chosen = [row for row in rows if row["way"] == "data parallel" and row["devices"] > 1]
    lines = [
        [
            row["case"],
            str(row["devices"]),
            *(f"{row['chips'][chip]['examples_for_90']:.1f}" for chip in CHIPS),
        ]
        for row in chosen
        if row["grad"] == "funcnn"
    ]
    print("\n" + table(header, lines, left=(header[0],)))


if __name__ == "__main__":
    main()
