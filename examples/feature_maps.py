"""Feature maps: a circle that no line separates becomes linear.

    python examples/feature_maps.py

Row 7 of the lectures, decks B, C and D. The classes are the inside and the outside of a circle.
With Φ(x) = (x₁², x₂²), W = [[1, 1], [0, 0]] and b = (−r², 0), class 1 has the higher score where
x₁² + x₂² > r². Then the same linear classifier learns from x, where no line is enough, from Φ(x),
from polar coordinates, and from (x₁, x₂, x₁² + x₂²).
"""

import argparse
import functools
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

RADIUS = 1.2
EXAMPLES = [(0.0, 0.0), (0.6, 0.8), (0.72, 0.96), (1.0, 1.0), (-1.5, 0.5)]
MAPS: dict[str, Callable[[Any], jax.Array]] = {
    "x": lambda x: x,
    "Φ(x) = (x₁², x₂²)": jnp.square,
    "polar (r, θ)": lambda x: jnp.stack(
        [jnp.hypot(x[..., 0], x[..., 1]), jnp.arctan2(x[..., 1], x[..., 0])], -1
    ),
    "(x₁, x₂, x₁² + x₂²)": lambda x: jnp.concatenate([x, jnp.square(x).sum(-1, keepdims=True)], -1),
}
AXES = {"Φ(x) = (x₁², x₂²)": ("$x_1^2$", "$x_2^2$"), "polar (r, θ)": ("r", "θ")}

# one linear classifier for all maps: those with as many features share their compiled program
CLASSIFIER, OPTIMIZER = nn.models.logistic_regression(), optim.adam(lambda t: 0.3 / (1 + t / 50))
LOSS = train.supervised(CLASSIFIER, losses.sigmoid_binary_cross_entropy)


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    print(f"f(x) = W Φ(x) + b with W = [[1, 1], [0, 0]], b = (−r², 0), r = {RADIUS:g}\n")
    print(scores_table())
    x, y = points(args.points, args.seed)
    print(f"\nlearned by logistic regression from {len(x)} points, {y.sum()} of them outside\n")
    learned = {name: learn(feature_map(x), y) for name, feature_map in MAPS.items()}
    print(learned_table(learned, x, y))
    if not args.no_picture:
        picture_file.save(picture(learned, x, y), args.out / "feature_maps.png")


def points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As many points inside of the circle as around it: x, and y, 1 outside."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 2
    least, most = np.where(y, RADIUS + 0.1, 0), np.where(y, 2.0, RADIUS - 0.1)
    r = np.sqrt(random.uniform(least**2, most**2))  # as dense everywhere in a ring
    angle = random.uniform(-np.pi, np.pi, count)
    x = r[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return x.astype(np.float32), y.astype(np.int32)


def scores(x: Any) -> jax.Array:
    """The deck's linear model on Φ(x): (n, 2) to two scores, (n, 2)."""
    params = {"kernel": jnp.array([[1.0, 0.0], [1.0, 0.0]]), "bias": jnp.array([-(RADIUS**2), 0.0])}
    return nn.serial(jnp.square, nn.dense(2))(((), params), jnp.asarray(x))


def learn(features: Any, y: np.ndarray) -> Any:
    """The params after gradient descent by Adam over all points."""
    state = train.init(jax.random.key(0), CLASSIFIER, OPTIMIZER, features)
    data = np.asarray(features), y
    state, _ = train.fit(LOSS, OPTIMIZER, state, data, epochs=400, batch_size=len(y))
    return state.params


def logits(name: str, params: Any, x: Any) -> jax.Array:
    """Above 0 where a point is taken for one outside: (n, 2) to (n,)."""
    return CLASSIFIER(params, MAPS[name](jnp.asarray(x)))


def weights(params: Any) -> tuple[np.ndarray, float]:
    """w and b of the linear classifier."""
    _, dense, _ = params
    return np.asarray(dense["kernel"])[:, 0], float(dense["bias"][0])


def scores_table() -> str:
    x = np.array(EXAMPLES, np.float32)
    rows = []
    for point, squares, (first, second) in zip(x, np.square(x), scores(x), strict=True):
        said = "class 1 (outside)" if first > second else "class 2 (inside)"
        rows.append([*map("{:g}".format, point), *map("{:.4f}".format, squares)])
        rows[-1] += [f"{first:.4f}", f"{second:g}", said]
    return tables.table(["x₁", "x₂", "x₁²", "x₂²", "score 1", "score 2", ""], rows)


def learned_table(learned: dict[str, Any], x: np.ndarray, y: np.ndarray) -> str:
    rows = []
    for name, params in learned.items():
        right = (np.asarray(logits(name, params, x)) > 0) == y
        w, b = weights(params)
        rows.append([name, f"{right.mean():.1%}", ", ".join(f"{v:.2f}" for v in w), f"{b:.2f}"])
    return tables.table(["features", "right", "w", "b"], rows)


def picture(learned: dict[str, Any], x: np.ndarray, y: np.ndarray) -> "Figure":
    """Above what is learned in the plane, below the features, where it is linear."""
    figure, axes = viz.figure(2, 4, size=(10, 5.6), title="a circle becomes linear")
    for (name, params), above in zip(learned.items(), axes[0], strict=True):
        predict = functools.partial(logits, name, params)
        viz.decision_boundary(predict, x, y, above, logits=True, limits=(-2.1, 2.1))
        right = ((np.asarray(predict(x)) > 0) == y).mean()
        above.set_title(f"{name}\n{right:.0%} right", size=11, weight="bold")
        above.get_legend().remove()
        above.set(aspect="equal", xticks=range(-2, 3), yticks=range(-2, 3))
    _draw_scores(axes[1, 0])
    for ax, (name, labels) in zip(axes[1, 1:3], AXES.items(), strict=True):
        _draw_features(ax, name, learned[name], x, y)
        viz.label(ax, *labels)
    axes[1, 3].remove()
    solid = figure.add_subplot(axes[1, 3].get_subplotspec(), projection="3d")
    _draw_paraboloid(solid, learned["(x₁, x₂, x₁² + x₂²)"], x, y)
    return figure


def _draw_scores(ax: Any) -> None:
    """The deck's two scores along the first axis: they cross at −r and r."""
    x1 = np.linspace(-2, 2, 201, dtype=np.float32)
    both = np.asarray(scores(np.stack([x1, 0 * x1], axis=1)))
    ax.plot(x1, both[:, 0], color=viz.style.VERMILION, lw=2, label="class 1")
    ax.plot(x1, both[:, 1], "--", color=viz.style.BLUE, lw=2, label="class 2")
    viz.label(ax, "$x_1$ (with $x_2$ = 0)", "scores W Φ(x) + b")
    ax.set(xticks=[-2, -RADIUS, 0, RADIUS, 2], xlim=(-2, 2))
    ax.set_xticklabels(["−2", "−r", "0", "r", "2"])
    viz.style.plot_style(ax, legend=True, loc="upper center")


def _draw_features(ax: Any, name: str, params: Any, x: np.ndarray, y: np.ndarray) -> None:
    """The points as their features, two of them, and the line that was learned."""
    predict = functools.partial(CLASSIFIER, params)
    viz.decision_boundary(predict, np.asarray(MAPS[name](x)), y, ax, logits=True)
    ax.get_legend().remove()


def _draw_paraboloid(ax: Any, params: Any, x: np.ndarray, y: np.ndarray) -> None:
    """The points lifted onto x₁² + x₂², and the plane between the classes."""
    (w1, w2, w3), b = weights(params)
    side = np.linspace(-2, 2, 2)
    a, c = np.meshgrid(side, side)
    ax.plot_surface(a, c, -(w1 * a + w2 * c + b) / w3, color=viz.style.GRAY, alpha=0.4)
    lifted = np.asarray(MAPS["(x₁, x₂, x₁² + x₂²)"](x))
    for label, look in zip((0, 1), viz.style.looks(), strict=False):
        ax.scatter(*lifted[y == label].T, s=4, c=look.color, marker=look.marker, depthshade=False)
    ax.view_init(elev=8, azim=-60)
    ax.set_box_aspect((1, 1, 1), zoom=1.15)
    ax.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2], zticks=[0, 2, 4])
    ax.tick_params(labelsize=8, pad=-3)
    ax.set_xlabel("$x_1$", labelpad=-8)
    ax.set_ylabel("$x_2$", labelpad=-8)
    ax.set_title("upwards: $x_1^2 + x_2^2$", size=11, y=0.98)


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--points",
        type=command_line.whole_number(20),
        default=300,
        metavar="N",
        help="how many points to draw (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="the same: it is quick")
    return parser.parse_args()


if __name__ == "__main__":
    main()
