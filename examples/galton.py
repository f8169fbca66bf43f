"""The heights of parents and their children: a line, and a network, as Galton's regression.

    python examples/galton.py                        simulated heights
    python examples/galton.py --csv galton.csv       those of a file

The file has a header and either the columns parent and child, the parent's height being that of the
mid-parent, or father, mother, gender (male, female, M or F) and height (or childHeight): then, as
Galton did, the heights of women are multiplied by 1.08, and the mid-parent is the mean of the two.
Other columns are left alone, and so is the unit.

Without a file, pairs are drawn from a normal distribution with the statistics of Galton's table of
928 children ("Regression Towards Mediocrity in Hereditary Stature", 1886, table I). Row 43 of the
lectures, deck E.
"""

import argparse
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import data, losses, nn, optim, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# of the table, with its classes at the heights that it gives them, in inches
CHILDREN = 928
PARENT_MEAN, PARENT_DEVIATION = 68.31, 1.787
CHILD_MEAN, CHILD_DEVIATION = 68.09, 2.518
CORRELATION = 0.459
FACTORS = {"m": 1.0, "male": 1.0, "f": 1.08, "female": 1.08}  # Galton's, for women
FEWEST = 20  # pairs, for a part of them to be a test


Predictor = Callable[[jax.Array], jax.Array]  # from mid-parents' heights to children's


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
    if not args.no_picture:
        import picture_file  # here, so that nothing is fitted in vain where matplotlib is missing

    heights = args.csv or simulated(args.seed)
    if args.csv is None:
        print("simulated from the statistics of Galton's table of 1886: no --csv was given\n")
    print(statistics_table(heights))

    train, _, test = data.split(heights, validation=0, test=0.25, seed=args.seed)
    predictors = fitted(train, args.steps, jax.random.key(args.seed))
    print(
        f"\nfitted to {len(train.child):,} of them, the others are the test: mean squared errors, "
        f"{args.steps:,} steps of gradient descent\n"
    )
    print(errors_table(predictors, train, test))
    print("\nwhat is expected of children\n")
    print(expected_table(predictors, train))
    line = slope(predictors["line, least squares"], train.parent.mean())
    print(
        f"\nparents who are 1 above the average have children who are {line:.2f} above it: "
        + ("regression toward the mean" if 0 < line < 1 else "no regression toward the mean")
    )
    if not args.no_picture:
        print()
        source = "simulated from Galton's table" if args.csv is None else "of the file"
        drawn = picture(heights, predictors, f"Heights {source}: the line and the network")
        picture_file.save(drawn, args.out / "galton.png")


def simulated(seed: int, count: int = CHILDREN) -> Heights:
    """Pairs from the normal distribution with the statistics of Galton's table."""
    parent, rest = np.random.default_rng(seed).normal(size=(2, count))
    child = CORRELATION * parent + np.sqrt(1 - CORRELATION**2) * rest
    return Heights(PARENT_MEAN + PARENT_DEVIATION * parent, CHILD_MEAN + CHILD_DEVIATION * child)


def read(path: Path) -> Heights:
    """The heights of a CSV file. ValueError for a file that does not have them."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected text in UTF-8") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    pairs = []
    try:
        rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or []]
        pair = pair_in(rows.fieldnames)
        for row in rows:
            pairs.append(pair(row))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from None
    if len(pairs) < FEWEST:
        raise ValueError(f"{path}: expected at least {FEWEST} children, got {len(pairs)}")
    heights = Heights(*np.array(pairs).T)
    if np.ptp(heights.parent) == 0:
        raise ValueError(f"{path}: all parents are {heights.parent[0]:g} tall, there is no line")
    return heights


def pair_in(header: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[float, float]]:
    """What takes the mid-parent's and the child's height from a row with these columns."""
    if {"parent", "child"} <= set(header):
        return lambda row: (number(row, "parent"), number(row, "child"))
    height = "childheight" if "childheight" in header else "height"
    if {"father", "mother", "gender", height} <= set(header):
        return lambda row: (
            (number(row, "father") + FACTORS["female"] * number(row, "mother")) / 2,
            factor(row["gender"]) * number(row, height),
        )
    raise ValueError(
        "expected the columns parent and child, or father, mother, gender and height, "
        f"got {', '.join(header) or 'none'}"
    )


def number(row: Mapping[str, Any], column: str) -> float:
    try:
        return command_line.positive(row[column] or "")
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"{column}: {error}") from None


def factor(gender: str | None) -> float:
    """What a child's height is multiplied by."""
    result = FACTORS.get((gender or "").strip().lower())
    if result is None:
        raise ValueError(f"gender: expected one of {', '.join(FACTORS)}, got {gender!r}")
    return result


def fitted(train: Heights, steps: int, key: jax.Array) -> dict[str, Predictor]:
    """What predicts a child's height from its mid-parent's, by name."""
    parents, children = train.parent.mean(), train.child.mean()
    exact, _ = np.polyfit(train.parent - parents, train.child, 1)
    return {
        "the average": lambda parent: jnp.full_like(parent, children),
        "as their parents": lambda parent: children + (parent - parents),
        "line, least squares": lambda parent: children + exact * (parent - parents),
        "line, gradient descent": descend(nn.dense(1), optim.sgd(0.1), train, steps, key),
        "network 1-16-1": descend(
            nn.models.mlp([16, 1], jnp.tanh), optim.adam(0.01), train, steps, key
        ),
    }


def descend(
    model: nn.Layer,
    optimizer: optim.GradientTransformation,
    train: Heights,
    steps: int,
    key: jax.Array,
) -> Predictor:
    """The model, trained on all of the pairs at once, which are brought to mean 0, deviation 1."""
    means, deviations = np.mean(train, axis=1), np.std(train, axis=1)
    x, y = ((np.array(train).T - means) / (deviations + (deviations == 0))).T.astype(np.float32)

    def loss(params):
        return losses.squared_error(model(params, x[:, None])[:, 0], y).mean()

    @jax.jit
    def run(params):
        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(funcnn.grad(loss)(params), state, params)
            return (optim.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), length=steps)
        return params

    params, _ = model.init(key, x[:, None])
    params = run(params)

    def predict(parent):
        z = model(params, ((parent - means[0]) / deviations[0]).reshape(-1, 1))
        return means[1] + deviations[1] * z.reshape(parent.shape)

    return predict


def slope(predictor: Predictor, parent: float) -> float:
    """How much taller children are expected where parents are 1 taller."""
    return float(funcnn.grad(predictor)(jnp.float32(parent)))


def statistics_table(heights: Heights) -> str:
    parent, child = heights
    found = parent.mean(), parent.std(ddof=1), child.mean(), child.std(ddof=1)
    published = PARENT_MEAN, PARENT_DEVIATION, CHILD_MEAN, CHILD_DEVIATION
    rows = [
        [name, f"{count:,}", *map("{:.2f}".format, values), f"{correlation:.3f}"]
        for name, count, values, correlation in (
            ("these", len(child), found, np.corrcoef(parent, child)[0, 1]),
            ("Galton's table, inches", CHILDREN, published, CORRELATION),
        )
    ]
    return tables.table(["", "pairs", "mid-parents", "±", "children", "±", "correlation"], rows)


def errors_table(predictors: Mapping[str, Predictor], train: Heights, test: Heights) -> str:
    rows = []
    for name, predictor in predictors.items():
        errors = [
            float(losses.squared_error(predictor(jnp.asarray(parent)), jnp.asarray(child)).mean())
            for parent, child in (train, test)
        ]
        at_average = slope(predictor, train.parent.mean())
        rows.append([name, *(f"{error:.4f}" for error in errors), f"{at_average:.4f}"])
    return tables.table(["", "training error", "test error", "slope at the average"], rows)


def expected_table(predictors: Mapping[str, Predictor], train: Heights) -> str:
    parents = train.parent.mean() + train.parent.std() * np.arange(-2, 3)
    columns = [predictor(jnp.asarray(parents)) for predictor in predictors.values()]
    rows = [
        [f"{parent:.1f}", *(f"{child:.2f}" for child in children)]
        for parent, *children in zip(parents, *columns, strict=True)
    ]
    return tables.table(["mid-parents of", *predictors], rows)


def picture(heights: Heights, predictors: Mapping[str, Predictor], title: str) -> "Figure":
    """All pairs with what is predicted of them, and how far the children are off the line."""
    import picture_page

    from funcnn.viz import style

    mosaic = [["heights", "rest"]]
    figure, axes = picture_page.page(title, 4.8, mosaic, width_ratios=[1.35, 1])
    parents = np.linspace(heights.parent.min(), heights.parent.max(), 101)
    shown = {
        "as their parents": (style.GRAY, ":"),
        "line, least squares": (style.VERMILION, "-"),
        "network 1-16-1": (style.BLUE, "--"),
    }
    line = predictors["line, least squares"]
    rest = heights.child - np.asarray(line(jnp.asarray(heights.parent)))
    for ax, values in ((axes["heights"], heights.child), (axes["rest"], rest)):
        ax.plot(heights.parent, values, "o", ms=3, color=style.SKY, alpha=0.55, mec="none")
        for name, (color, dashes) in shown.items():
            predicted = np.asarray(predictors[name](jnp.asarray(parents)))
            off = 0 if ax is axes["heights"] else np.asarray(line(jnp.asarray(parents)))
            ax.plot(parents, predicted - off, dashes, color=color, lw=2.2, label=name)
        ax.set_xlim(parents[0], parents[-1])
        style.plot_style(ax, legend=ax is axes["heights"])
    viz.label(axes["heights"], "height of the mid-parent", "height of the child", "predicted")
    viz.label(axes["rest"], "height of the mid-parent", "child, above the line", "off the line")
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--csv", metavar="FILE", help="the file with the heights (see above)")
    parser.add_argument(
        "--steps",
        type=command_line.whole_number(1),
        metavar="N",
        help="how many steps to take (default: 3000)",
    )
    parser.add_argument("--quick", action="store_true", help="300 steps, for a first look")
    args = parser.parse_args()
    args.steps = args.steps or (300 if args.quick else 3000)
    if args.csv is not None:
        try:
            args.csv = read(Path(args.csv).expanduser())
        except (OSError, ValueError) as error:
            parser.error(f"argument --csv: {error}")
    return args


if __name__ == "__main__":
    main()
