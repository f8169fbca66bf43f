"""Random search, and following the slope: two ways down the same loss, of 650 parameters.

    python examples/random_search.py

Row 30 of the lectures, deck B: "a first, very bad idea" is to try parameters at random and to keep
the best; the second, to follow the slope. A linear classifier reads handwritten digits; each try,
and each gradient, looks at all of them. Needs: pip install 'funcnn[examples]'
"""

import argparse
from collections.abc import Mapping
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

SCALES = (0.003, 0.01, 0.03, 0.1, 0.3)  # of the random steps: the best of them is shown
RATE = 1.0


class Search(NamedTuple):
    """What a search found.

    Attributes:
      losses: (steps + 1,), of the best so far, the start first.
      accuracy: on the test digits, with what it found.
    """

    losses: np.ndarray
    accuracy: float


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is computed in vain where matplotlib is missing

    splits = data.digits()
    found = searches(splits, args.steps, args.seed)
    print(f"a linear classifier of {len(splits.train[1]):,} digits: the loss after so many steps\n")
    print(table(found))
    if not args.no_picture:
        print()
        picture_file.save(picture(found), args.out / "random_search.png")


def searches(splits: data.Splits, steps: int, seed: int) -> dict[str, Search]:
    """All from the same first parameters, zeros: every digit has probability 1/10."""
    (x, y), (test_x, test_y) = splits.train, splits.test
    model = nn.models.softmax_regression(10)
    start = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(seed), x)[0])

    def loss(params: Any) -> jax.Array:
        return losses.softmax_cross_entropy_with_integer_labels(model(params, x), y).mean()

    def search(params: Any, values: jax.Array) -> Search:
        right = np.asarray(model(params, test_x)).argmax(-1) == test_y
        return Search(np.asarray(values), float(right.mean()))

    def best_of(local: bool) -> Search:
        """Of the scales, the one that comes to the lowest loss."""

        @jax.jit
        def tried(scale: jax.Array) -> tuple[Any, jax.Array]:
            key = jax.random.key(seed)
            return optim.random_search(loss, start, key, steps, scale, local=local)

        found = [tried(jnp.float32(scale)) for scale in SCALES]
        return search(*min(found, key=lambda each: float(each[1][-1])))

    return {
        "random parameters": best_of(local=False),
        "random steps": best_of(local=True),
        "following the slope": search(*descent(loss, start, steps)),
    }


def descent(loss: Any, start: Any, steps: int) -> tuple[Any, jax.Array]:
    """Gradient descent: the params it ends with, and the loss at each step, (steps + 1,)."""
    optimizer = optim.sgd(RATE)

    @jax.jit
    def run(params: Any) -> tuple[Any, jax.Array]:
        def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
            params, state = carry
            value, slope = funcnn.value_and_grad(loss)(params)
            updates, state = optimizer.update(slope, state, params)
            return (optim.apply_updates(params, updates), state), value

        (params, _), values = jax.lax.scan(step, (params, optimizer.init(params)), length=steps)
        return params, jnp.append(values, loss(params))

    return run(start)


def table(found: Mapping[str, Search]) -> str:
    steps = len(next(iter(found.values())).losses) - 1
    shown = sorted({0, *(10**n for n in range(6) if 10**n < steps), steps})
    rows = [
        [name, *(f"{each.losses[step]:.4f}" for step in shown), f"{each.accuracy:.2%}"]
        for name, each in found.items()
    ]
    return tables.table(["", *(f"{step:,}" for step in shown), "test accuracy"], rows)


def picture(found: Mapping[str, Search]) -> "Figure":
    import picture_page

    from funcnn.viz import style

    title = "Random search, and following the slope"
    figure, axes = picture_page.page(title, 4.6, [["losses"]])
    ax = axes["losses"]
    for look, (name, each) in zip(style.looks(), found.items(), strict=False):
        steps = np.arange(1, len(each.losses))
        label = f"{name}: {each.accuracy:.1%} of the test digits right"
        ax.plot(steps, each.losses[1:], look.dashes, color=look.color, lw=2, label=label)
    ax.axhline(np.log(10), color=style.GRAY, lw=1, ls=":")
    ax.text(1.1, np.log(10) * 1.03, "guessing: log 10", color=style.GRAY, size=style.TICK)
    ax.set(xscale="log", ylim=(0, 2.6))
    style.plot_style(ax, legend=True, loc="lower left")
    viz.label(ax, "steps: each looks at all training digits once", "training loss")
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="200 steps, for a first look")
    args = parser.parse_args()
    args.steps = 200 if args.quick else 3000
    return args


if __name__ == "__main__":
    main()
