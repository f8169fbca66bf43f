"""The heights of parents and their children: a line, and a network, as Galton's regression.

    python examples/galton.py                        simulated heights
    python examples/galton.py --csv galton.csv       those of a file

The file has a header and either the columns parent and child, the parent's height being that of the
mid-parent, or father, mother, gender (male, female, M or F) and height (or childHeight): then, as
Galton did, the heights of women are multiplied by 1.08, and the mid-parent is the mean of the two.
Other columns are left alone, and so is the unit.

Without a file, pairs are drawn from a normal distribution with the statistics of Galton's table of
928 children ("Regression Towards Mediocrity in Hereditary Stature", 1886, table I).
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import data, losses, nn, optim

# of the table, with its classes at the heights that it gives them, in inches
CHILDREN = 928
PARENT_MEAN, PARENT_DEVIATION = 68.31, 1.787
CHILD_MEAN, CHILD_DEVIATION = 68.09, 2.518
CORRELATION = 0.459
WOMEN = 1.08
FEWEST = 20  # pairs, for a part of them to be a test


class Heights(NamedTuple):
    """Pairs of heights.

    Attributes:
      parent: (n,), of the mid-parent.
      child: (n,).
    """

    parent: np.ndarray
    child: np.ndarray


def main() -> None:
    args = arguments()
    heights = args.csv or simulated(args.seed)
    if args.csv is None:
        print("simulated from the statistics of Galton's table of 1886: no --csv was given")
    print(f"{len(heights.child):,} children, a quarter of them for the test\n")
    print(statistics_table(heights))

    train, _, test = data.split(heights, validation=0, test=0.25, seed=args.seed)
    predictors = fitted(train, args.steps, jax.random.key(args.seed))
    print(f"\nmean squared error, and the slope where parents are average; {args.steps:,} steps\n")
    print(errors_table(predictors, train, test))
    print("\nwhat children's heights are expected\n")
    print(expected_table(predictors, train))
    line = slope(predictors["line, least squares"], train.parent.mean())
    print(
        f"\nparents who are 1 above the average have children who are {line:.2f} above it: "
        + ("regression toward the mean" if 0 < line < 1 else "no regression toward the mean")
    )


def simulated(seed: int, count: int = CHILDREN) -> Heights:
    """Pairs from the normal distribution with the statistics of Galton's table."""
    parent, rest = np.random.default_rng(seed).normal(size=(2, count))
    child = CORRELATION * parent + np.sqrt(1 - CORRELATION**2) * rest
    return Heights(PARENT_MEAN + PARENT_DEVIATION * parent, CHILD_MEAN + CHILD_DEVIATION * child)


def read(path: Path) -> Heights:
    """The heights of a CSV file. ValueError for a file that does not have them."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.DictReader(file, strict=True)
        try:
            lines.fieldnames = [name.strip().lower() for name in lines.fieldnames or []]
            pairs = [pair_of(lines) for lines in rows_of(path, lines)]
        except csv.Error as error:
            raise ValueError(f"{path}, line {lines.line_num}: {error}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not text in UTF-8") from None
    if len(pairs) < FEWEST:
        raise ValueError(f"{path}: expected the heights of at least {FEWEST}, got {len(pairs)}")
    heights = Heights(*np.array(pairs).T)
    for name, values in heights._asdict().items():
        if values.min() == values.max():
            raise ValueError(f"{path}: all heights of {name} are {values[0]:g}")
    return heights
