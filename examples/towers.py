"""A network that fits any function of one number: towers, each of three neurons.

    python examples/towers.py

Row 5 of the lectures, deck A, the universal approximation theorem. Two sigmoid units step up, one
at each side of a tower; a third neuron takes their difference and gives it a height. So height,
width and place of a tower can be set; and towers side by side, the hidden layer of one network, are
as near to a function as one wishes. Gradient descent then moves what was set by hand.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

from funcnn import losses, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

X = np.linspace(0, 1, 2001, dtype=np.float32)[:, None]  # where outputs are measured
STEEP = 1000.0  # the weight of a hidden unit: how steep its step is
SHAPES = [(1.0, 0.2, 0.3), (0.5, 0.2, 0.3), (1.0, 0.05, 0.3), (1.0, 0.2, 0.75)]
COUNTS = (5, 10, 20, 50, 100, 200)
LEARNED, SOFT = 20, 60.0  # towers that are then trained, and how steep they are


def wave(x: Any) -> Any:
    """The curve to be fitted; that of Nielsen, Neural Networks and Deep Learning, chapter 4."""
    return 0.2 + 0.4 * x**2 + 0.3 * x * np.sin(15 * x) + 0.05 * np.cos(50 * x)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "the wave": wave,
    "|2x − 1|": lambda x: np.abs(2 * x - 1),
    "a step at ⅓": lambda x: (x > 1 / 3) * 1.0,
}


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    print("a tower: height · (σ(w (x − left)) − σ(w (x − right))), w = 1000; set, and measured\n")
    print(shapes_table())
    print("\nas many towers as there are parts of [0, 1]: the largest error, and the mean\n")
    print(errors_table())
    before, after = (measured(params) for params in learn(args.steps, args.seed))
    print(
        f"\nthe wave by {LEARNED} softer towers (w = {SOFT:g}), then {args.steps:,} steps of Adam\n"
    )
    print(learned_table(before, after))
    if not args.no_picture:
        picture_file.save(picture(before, after), args.out / "towers.png")


def network(count: int) -> nn.Layer:
    """One number in, one out: two sigmoid units for each tower, and one linear unit."""
    return nn.serial(z=nn.dense(2 * count), h=jax.nn.sigmoid, y=nn.dense(1, use_bias=False))


def towers(heights: Any, lefts: Any, rights: Any, steep: float = STEEP) -> dict[str, Any]:
    """The params of a network of these towers: σ(w x + b) is ½ where x = −b/w."""
    edges = jnp.stack([jnp.asarray(lefts), jnp.asarray(rights)], axis=1).ravel()
    signed = jnp.stack([jnp.asarray(heights), -jnp.asarray(heights)], axis=1).ravel()
    hidden = {"kernel": jnp.full((1, edges.size), steep), "bias": -steep * edges}
    return {"z": hidden, "h": (), "y": {"kernel": signed[:, None]}}


def side_by_side(function: Callable[[Any], Any], count: int) -> tuple[np.ndarray, ...]:
    """[0, 1] in equal parts, each with a tower as high as the function in its middle."""
    edges = np.linspace(0, 1, count + 1)
    # the outermost edges lie outside, so that there is no half step at 0 and at 1
    lefts, rights = np.r_[-1, edges[1:-1]], np.r_[edges[1:-1], 2]
    return function((edges[1:] + edges[:-1]) / 2), lefts, rights


def fitted(function: Callable[[Any], Any], count: int) -> dict[str, Any]:
    return towers(*side_by_side(function, count))


def output(params: Any) -> np.ndarray:
    """The network at X, (2001,)."""
    return np.asarray(network(params["z"]["bias"].size // 2)(params, X))[:, 0]


def each_tower(params: Any) -> np.ndarray:
    """What each pair of hidden units adds to the output at X: (towers, 2001)."""
    z = X @ np.asarray(params["z"]["kernel"]) + np.asarray(params["z"]["bias"])
    parts = np.asarray(jax.nn.sigmoid(z)) * np.asarray(params["y"]["kernel"])[:, 0]
    return parts.reshape(len(X), -1, 2).sum(axis=2).T


def errors(function: Callable[[Any], Any], params: Any) -> np.ndarray:
    return np.abs(output(params) - function(X[:, 0].astype(np.float64)))


def measured(params: Any) -> tuple[Any, np.ndarray]:
    """The params, and their errors from the wave."""
    return params, errors(wave, params)


def learn(steps: int, seed: int) -> tuple[Any, Any]:
    """The params set by hand, and those with the heights and edges that gradient descent finds."""
    start = tuple(jnp.asarray(part, jnp.float32) for part in side_by_side(wave, LEARNED))
    model = nn.stateless(
        lambda key, x: start, lambda shape, x: network(LEARNED)(towers(*shape, SOFT), x)
    )
    loss = train.supervised(model, losses.squared_error)
    optimizer = optim.adam(lambda step: 3e-3 * (1 - step / steps))
    data = X[::10], wave(X[::10])
    state = train.init(jax.random.key(seed), model, optimizer, X)
    state, _ = train.fit(loss, optimizer, state, data, epochs=steps, batch_size=len(data[0]))
    return towers(*start, SOFT), towers(*state.params, SOFT)


def shapes_table() -> str:
    rows = []
    for height, width, place in SHAPES:
        y = output(towers([height], [place - width / 2], [place + width / 2]))
        above = X[y >= y.max() / 2, 0]
        found = y.max(), above[-1] - above[0], (above[-1] + above[0]) / 2
        rows.append([*(f"{v:g}" for v in (height, width, place)), *map("{:.3f}".format, found)])
    header = ["height", "width", "place", "highest", "width at half height", "middle"]
    return tables.table(header, rows)


def errors_table() -> str:
    rows = []
    for count in COUNTS:
        row = [str(count), str(2 * count)]
        for function in FUNCTIONS.values():
            error = errors(function, fitted(function, count))
            row += [f"{error.max():.4f}", f"{error.mean():.4f}"]
        rows.append(row)
    header = ["towers", "hidden units", *(text for name in FUNCTIONS for text in (name, "mean"))]
    return tables.table(header, rows)


def learned_table(*found: tuple[Any, np.ndarray]) -> str:
    rows = [
        [name, f"{error.max():.4f}", f"{error.mean():.4f}"]
        for name, (_, error) in zip(("set by hand", "learned"), found, strict=True)
    ]
    return tables.table([f"{LEARNED} towers", "largest error", "mean error"], rows)


def picture(*found: tuple[Any, np.ndarray]) -> "Figure":
    """One tower, towers of other shapes, and their sums, by hand and learned."""
    figure, axes = viz.figure(3, 2, size=(10, 9.6), title="any function as a sum of towers")
    x = X[:, 0]
    one, shapes, *sums = axes.flat
    _draw_one(one, x)
    for look, shape in zip(viz.style.looks(), SHAPES, strict=False):
        height, width, place = shape
        y = output(towers([height], [place - width / 2], [place + width / 2]))
        label = f"{height:g}, {width:g}, {place:g}"
        shapes.plot(x, y, look.dashes, color=look.color, lw=2, label=label)
    viz.label(shapes, "x", "y", "height, width and place")
    shapes.set(xlim=(0, 1), ylim=(-0.05, 1.65))
    viz.style.plot_style(shapes, legend=True, loc="upper right", ncols=2)
    (by_hand, error), (learned, better) = found
    drawn = [
        (fitted(wave, 10), "10 towers"),
        (fitted(wave, 50), "50 towers"),
        (by_hand, f"softer towers, set by hand: error ≤ {error.max():.3f}"),
        (learned, f"the same, trained: error ≤ {better.max():.3f}"),
    ]
    for ax, (params, title) in zip(sums, drawn, strict=True):
        viz.towers(x, wave(x), each_tower(params), ax)
        ax.set_title(title, size=12, weight="bold")
    return figure


def _draw_one(ax: Any, x: np.ndarray) -> None:
    """The two steps of a tower, and their difference."""
    left, right, soft = 0.3, 0.6, 60.0
    steps = [np.asarray(jax.nn.sigmoid(soft * (x - edge))) for edge in (left, right)]
    names = f"$h_1$ = σ(60(x − {left}))", f"$h_2$ = σ(60(x − {right}))"
    for look, step, name in zip(viz.style.looks(), steps, names, strict=False):
        ax.plot(x, step, look.dashes, color=look.color, lw=1.6, label=name)
    tower = 0.8 * (steps[0] - steps[1])
    ax.fill_between(x, tower, color=viz.style.SKY, alpha=0.3, lw=0)
    ax.plot(x, tower, color=viz.style.INK, lw=2.2, label="0.8 ($h_1$ − $h_2$)")
    viz.label(ax, "x", "y", "a tower of three neurons")
    ax.set(xlim=(0, 1), ylim=(-0.05, 1.65))
    viz.style.plot_style(ax, legend=True, loc="upper left", ncols=2)


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--steps",
        type=command_line.whole_number(1),
        metavar="N",
        help="how many steps to train for (default: 3000)",
    )
    parser.add_argument("--quick", action="store_true", help="500 steps, for a first look")
    args = parser.parse_args()
    args.steps = args.steps or (500 if args.quick else 3000)
    return args


if __name__ == "__main__":
    main()
