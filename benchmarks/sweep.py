"""Sixteen learning rates at once by train.sweep, against sixteen runs one after the other.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --runs 4 --out out/sweep.json

784-30-30-10, sigmoid, softmax cross-entropy, SGD, batch 32: an epoch of all runs, compiled before;
what is timed takes turns. Before that, every run of the sweep must have the loss that it has alone.

What a sweep can gain is bounded by the matrix products, which it does not save: the two of the
images with the first kernels and with their gradients, all runs in one, are timed alone too.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import machine
import numpy as np
from jax import lax
from peers.problem import digits_or_noise
from table import table
from timing import alternating, seconds

from funcnn import losses, nn, optim, train
from funcnn.train.epoch import order, take
from funcnn.train.sweep import beginnings, make_epoch_of_runs

HIDDEN = 30
LOW, HIGH = 1e-3, 1.0
ALONE, SWEEP, SEEDS, PRODUCTS = "one by one", "sweep", "own orders", "products"
WHAT = {
    ALONE: "make_epoch for each rate",
    SWEEP: "train.sweep, all runs with the same key",
    SEEDS: "train.sweep, each run with a seed, and so an order, of its own",
    PRODUCTS: "only XW and XᵀG, X the minibatch, W and G as wide as all runs together",
}


def main() -> None:
    args = arguments()
    description = machine.describe()
    print(machine.in_words(description))
    results = measured(args)
    print("\n" + in_words(results))
    if args.out:
        settings = {key: value for key, value in vars(args).items() if key != "out"}
        report = {"benchmark": "sweep", "machine": description, "settings": settings, **results}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="FOLDER", help="of MNIST's files (default: FUNCNN_DATA)")
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--rounds", type=int, help="that count (default: 9, or 2 with --quick)")
    parser.add_argument("--examples", type=int, help="(default: 20000, or 640 with --quick)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--quick", action="store_true", help="does it run?")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write the result as JSON"
    )
    return parser.parse_args()


def measured(args: argparse.Namespace) -> dict[str, Any]:
    examples = args.examples or (640 if args.quick else 20_000)
    what, images, labels = digits_or_noise(args.data, examples, 0)
    data = jnp.asarray(images), jnp.asarray(labels)
    rates = jnp.geomspace(LOW, HIGH, args.runs)
    hidden = nn.dense(HIDDEN), jax.nn.sigmoid
    model = nn.serial(*hidden, *hidden, nn.dense(10))
    loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)

    def of_rate(rate):
        optimizer = optim.sgd(rate)
        return optimizer, train.init(jax.random.key(0), model, optimizer, data[0])

    def of_rate_and_seed(setting):
        optimizer = optim.sgd(setting["rate"])
        key = jax.random.key(setting["seed"])
        return optimizer, train.init(key, model, optimizer, data[0])

    @jax.jit
    def epoch_alone(rate, state, data):
        step = train.make_step(loss, optim.sgd(rate))
        return train.make_epoch(step, args.batch_size, donate=False)(state, data)

    begin = of_rate(rates[0])[1]

    def one_by_one():
        return jnp.stack([epoch_alone(rate, begin, data)[1]["loss"] for rate in rates])

    def at_once(setup, settings):
        states = beginnings(setup, settings)
        epoch = make_epoch_of_runs(loss, setup, states, args.batch_size)
        return lambda: epoch(settings, states, data)[1]["loss"]

    seeds = {"rate": rates, "seed": jnp.arange(args.runs)}
    runs = {
        ALONE: one_by_one,
        SWEEP: at_once(of_rate, rates),
        SEEDS: at_once(of_rate_and_seed, seeds),
        PRODUCTS: products(of_rate(rates[0])[1], data, args.runs, args.batch_size),
    }
    runs = {name: waiting(run) for name, run in runs.items()}
    first = {name: seconds(run) for name, run in runs.items()}
    np.testing.assert_allclose(runs[SWEEP](), runs[ALONE](), rtol=1e-3)
    times = alternating(runs, args.rounds or (2 if args.quick else 9))
    steps = examples // args.batch_size
    return {
        "data": what,
        "runs": args.runs,
        "product_flops": 4 * steps * args.batch_size * 784 * HIDDEN * args.runs,
        "results": {
            name: {
                "what": WHAT[name],
                "first_s": first[name],
                "epochs_s": times[name],
                "median_s": statistics.median(times[name]),
            }
            for name in runs
        },
    }


def products(state, data, runs, batch_size):
    """An epoch's products with the images, and nothing else."""

    @jax.jit
    def epoch(kernels, gradients, data):
        batches, _ = order(state, data, batch_size)

        def body(carry, indices):
            kernels, gradients = carry
            x = take(data[0], indices)
            return (kernels - 1e-9 * (x.T @ gradients), x @ kernels), None

        return lax.scan(body, (kernels, gradients), batches, unroll=2)[0]

    width = HIDDEN * runs
    kernels = jax.random.normal(jax.random.key(0), (data[0].shape[1], width)) / 28
    gradients = jax.random.normal(jax.random.key(1), (batch_size, width))
    return lambda: epoch(kernels, gradients, data)


def waiting(run):
    return lambda: jax.block_until_ready(run())


def in_words(results: dict[str, Any]) -> str:
    alone = results["results"][ALONE]["epochs_s"]

    def gain(times: list[float]) -> float:
        return statistics.median(one / other for one, other in zip(alone, times, strict=True))

    rows = [
        [
            name,
            f"{result['median_s']:.3f}",
            f"{min(result['epochs_s']):.3f}",
            f"{gain(result['epochs_s']):.2f}",
            f"{result['first_s']:.1f}",
            result["what"],
        ]
        for name, result in results["results"].items()
    ]
    rate = results["product_flops"] / min(results["results"][PRODUCTS]["epochs_s"]) / 1e9
    header = ["", "epoch s", "least s", "× as fast", "first s", "what"]
    return (
        f"{results['runs']} runs, {results['data']}\n\n"
        + table(header, rows, left=("", "what"))
        + "\n\nepoch: of all runs, median, alternating; × as fast: than one by one, median over "
        + f"the rounds\nproducts: at most {rate:.0f} Gflop/s"
    )


if __name__ == "__main__":
    main()
