"""Trains a network on 1,797 real handwritten digits, in seconds, and draws what it learned.

    python examples/digits.py

The digits come with scikit-learn. The gradients are funcnn's own; at the end they are held against
those of jax.grad. Needs: pip install 'funcnn[examples]'
"""

import argparse
import sys
from typing import Any

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import data, losses, metrics, nn, optim, train


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import pictures  # here, so that nothing is trained in vain where matplotlib is missing

    splits = data.digits()
    x, y = splits.test

    model = nn.serial(
        nn.flatten, nn.dense(256), jax.nn.relu, nn.dense(256), jax.nn.relu, nn.dense(10)
    )
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )
    optimizer = optim.adam(2e-3)
    state = train.init(jax.random.key(args.seed), model, optimizer, x)

    print("digits: " + ", ".join(f"{len(y):,} {part}" for part, (_, y) in splits._asdict().items()))
    print(f"64-256-256-10, relu: {nn.count_parameters(state.params):,} parameters\n")
    state, history = train.fit(
        loss,
        optimizer,
        state,
        splits.train,
        epochs=args.epochs,
        batch_size=32,
        validation=splits.validation,
        grad=funcnn.value_and_grad,
    )
    if not len(history["epoch"]):
        sys.exit("stopped before the end of the first epoch")
    print(tables.by_epoch(history))

    probabilities = np.asarray(jax.nn.softmax(model(state.params, x)))
    correct = probabilities.argmax(-1) == y
    result = f"test accuracy {correct.mean():.2%} ({correct.sum()} of {len(y)})"
    print(f"\n{result}, trained in {history['seconds'].sum():.1f} s\n")
    print_gradient_difference(loss, state, splits.train)

    if not args.no_picture:
        heading = "the first test digits: what the network reads (with what probability)"
        sections = [
            pictures.curves(history),
            pictures.digits(heading, x[:20], probabilities[:20], y[:20]),
            pictures.mistakes(x, probabilities, y),
        ]
        pictures.save(args.out / "digits.png", f"digits: {result}", sections)


def print_gradient_difference(loss: train.Loss, state: train.TrainState, batch: Any) -> None:
    """How far funcnn.grad and jax.grad are apart at most, in each array of the parameters."""

    def objective(params):
        value, _ = loss(params, state.state, batch, None)
        return value

    ours = jax.jit(funcnn.grad(objective))(state.params)
    theirs = jax.jit(jax.grad(objective))(state.params)
    rows, relative = [], []
    for (path, g), h in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        difference, size = jnp.abs(g - h).max(), jnp.abs(h).max()
        relative.append(difference / size)
        rows.append(
            [jax.tree_util.keystr(path), *(f"{v:.1e}" for v in (size, difference, relative[-1]))]
        )
    print("funcnn.grad and jax.grad of the loss on all of the training digits:")
    print(tables.table(["params", "largest entry", "largest difference", "relative"], rows))
    largest = np.max(relative)
    same = " (equal to the last bit)" if largest == 0 else ""
    print(f"largest relative difference: {largest:.1e}{same}")


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--epochs",
        type=command_line.whole_number(1),
        metavar="N",
        help="how often to go through the training digits (default: 30)",
    )
    parser.add_argument("--quick", action="store_true", help="3 epochs, for a first look")
    args = parser.parse_args()
    args.epochs = args.epochs or (3 if args.quick else 30)
    return args


if __name__ == "__main__":
    main()
