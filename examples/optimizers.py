"""Optimizers on three hard surfaces: a valley, a local minimum, a saddle point.

    python examples/optimizers.py

Row 37 of the lectures, deck B. Every optimizer starts at the same point and is given the same
learning rates, all of them at once by jax.vmap. The tables say how many of the rates lead to the
minimum, and how many steps the best of them takes. Random search comes last: it takes the same
number of steps, but sees no gradient. The picture has the paths of one rate each.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import optim, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Surface(NamedTuple):
    """A loss of two parameters.

    Attributes:
      name: what is hard about it.
      loss: from params, (2,), to the loss, ().
      start: (2,), where every optimizer begins.
      minimum: the loss at the minimum.
      near: how far above that the loss may be to have arrived.
      lowest: (2,), where the minimum is (one of the two of the saddle).
      limits: of x and y, what the picture shows.
      pictured: the learning rate of each of OPTIMIZERS in the picture.
    """

    name: str
    loss: Callable[[jax.Array], jax.Array]
    start: tuple[float, float]
    minimum: float
    near: float
    lowest: tuple[float, float]
    limits: tuple[tuple[float, float], tuple[float, float]]
    pictured: tuple[float, ...]


class Descent(NamedTuple):
    """What an optimizer did on a surface, with each of the learning rates.

    Attributes:
      rates: (r,), the learning rates; for random search, the scales.
      paths: (r, steps + 1, 2), the params, those at the start first.
      losses: (r, steps + 1), the loss at each of them.
    """

    rates: np.ndarray
    paths: np.ndarray
    losses: np.ndarray


def valley(u: jax.Array, v: jax.Array) -> jax.Array:
    """A hundred times steeper across, along v, than along u."""
    return 0.5 * u**2 + 50 * v**2


SURFACES = [
    Surface(
        "an ill-conditioned valley: u²/2 + 50 v², with u and v the axes turned by 30°",
        lambda w: valley(0.866 * w[0] + 0.5 * w[1], 0.866 * w[1] - 0.5 * w[0]),
        start=(-10.0, -3.0),
        minimum=0.0,
        near=1e-3,
        lowest=(0.0, 0.0),
        limits=((-12.0, 4.0), (-8.0, 3.0)),
        pictured=(0.015, 0.0032, 0.0032, 1.0, 0.1, 0.5),
    ),
    Surface(
        "a local minimum: x⁴/4 − x²/2 + 0.15 x + y²/2, two wells with a hill between",
        lambda w: w[0] ** 4 / 4 - w[0] ** 2 / 2 + 0.15 * w[0] + w[1] ** 2 / 2,
        start=(2.0, 1.0),
        minimum=-0.4053,  # at x = −1.068; the well on the way has −0.1061, at x = 0.914
        near=1e-2,
        lowest=(-1.068, 0.0),
        limits=((-2.0, 2.3), (-0.9, 1.3)),
        pictured=(0.1, 0.05, 0.05, 0.2, 0.05, 0.46),
    ),
    Surface(
        "a saddle point: x²/2 − y²/2 + y⁴/4, almost flat where the descent along x ends",
        lambda w: 0.5 * w[0] ** 2 - 0.5 * w[1] ** 2 + w[1] ** 4 / 4,
        start=(1.0, 1e-4),
        minimum=-0.25,
        near=1e-3,
        lowest=(0.0, 1.0),
        limits=((-0.9, 1.2), (-0.3, 1.4)),
        pictured=(0.1, 0.05, 0.05, 0.1, 0.05, 0.1),
    ),
]

STEPS = 150  # in the picture

OPTIMIZERS: Mapping[str, Callable[[Any], optim.GradientTransformation]] = {
    "gradient descent": optim.sgd,
    "momentum": lambda rate: optim.momentum(rate, 0.9),
    "Nesterov": lambda rate: optim.nesterov(rate, 0.9),
    "AdaGrad": lambda rate: optim.adagrad(rate, 0.0, 1e-7, eps_in_sqrt=False),
    "RMSProp": lambda rate: optim.rmsprop(rate, 0.99, 1e-7, eps_in_sqrt=False),
    "Adam": optim.adam,
}


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is computed in vain where matplotlib is missing

    rates = np.logspace(-3, 0, 7 if args.quick else 19, dtype=np.float32)
    print(f"{args.steps:,} steps with each of {len(rates)} learning rates from 0.001 to 1\n")
    found = []
    for surface in SURFACES:
        print(f"{surface.name}; from {surface.start}")
        found.append(descents_on(surface, rates, args.steps, jax.random.key(args.seed)))
        print(table(surface, found[-1]) + "\n")
    if not args.no_picture:
        picture_file.save(picture(found), args.out / "optimizers.png")


def descents_on(
    surface: Surface, rates: np.ndarray, steps: int, key: jax.Array
) -> dict[str, Descent]:
    """Every optimizer's descent on the surface, by name; the paths are there to be drawn."""
    descents = {name: descend(make, surface, rates, steps) for name, make in OPTIMIZERS.items()}
    descents["random search"] = search(surface, rates, steps, key)
    return descents


def descend(
    make: Callable[[Any], optim.GradientTransformation],
    surface: Surface,
    rates: np.ndarray,
    steps: int,
) -> Descent:
    """The descent with each of the rates, together in one compiled program."""
    start = jnp.array(surface.start)
    slope = funcnn.grad(surface.loss)

    @jax.jit
    @jax.vmap
    def path(rate):
        optimizer = make(rate)

        def step(carry, _):
            w, state = carry
            updates, state = optimizer.update(slope(w), state, w)
            w = optim.apply_updates(w, updates)
            return (w, state), w

        _, after = jax.lax.scan(step, (start, optimizer.init(start)), length=steps)
        return jnp.concatenate([start[None], after])

    paths = path(rates)
    return Descent(rates, np.asarray(paths), np.asarray(jax.vmap(jax.vmap(surface.loss))(paths)))


def search(surface: Surface, scales: np.ndarray, steps: int, key: jax.Array) -> Descent:
    """Random search with each of the scales. Of its path only the two ends are known."""
    start = jnp.array(surface.start)

    @jax.jit
    @jax.vmap
    def find(scale):
        return optim.random_search(surface.loss, start, key, steps, scale)

    best, losses = find(scales)
    ends = jnp.stack([jnp.broadcast_to(start, best.shape), best], axis=1)
    return Descent(scales, np.asarray(ends), np.asarray(losses))


def table(surface: Surface, descents: Mapping[str, Descent]) -> str:
    rows = []
    for name, descent in descents.items():
        reached = steps_to_reach(surface, descent.losses)
        arrived = int((reached >= 0).sum())
        best = best_rate(surface, descent)
        rows.append(
            [
                name,
                f"{arrived} of {len(descent.rates)}",
                f"{descent.rates[best]:.2g}",
                f"{reached[best]:,}" if arrived else "never",
                f"{descent.losses[best, -1]:.4f}",
            ]
        )
    return tables.table(
        ["optimizer", "rates that arrive", "best rate", "steps to arrive", "final loss"], rows
    )


def best_rate(surface: Surface, descent: Descent) -> int:
    """Which rate arrives first, or comes to the lowest loss where none arrives."""
    reached = steps_to_reach(surface, descent.losses)
    arrived = np.flatnonzero(reached >= 0)
    if len(arrived):
        return int(arrived[reached[arrived].argmin()])
    last = descent.losses[:, -1]
    return int(np.where(np.isfinite(last), last, np.inf).argmin())


def steps_to_reach(surface: Surface, losses: np.ndarray) -> np.ndarray:
    """From which step on the loss stays near the minimum, for each rate; −1 if it does not."""
    away = ~(losses <= surface.minimum + surface.near)  # NaN is away
    last_away = losses.shape[1] - 1 - away[:, ::-1].argmax(axis=1)
    first = np.where(away.any(axis=1), last_away + 1, 0)
    return np.where(first < losses.shape[1], first, -1)


def picture(found: list[dict[str, Descent]]) -> "Figure":
    """The paths with rates that go well above, how far the loss is from its minimum below."""
    import picture_page

    from funcnn.viz import style

    mosaic = [["paths 0", "paths 1", "paths 2"], ["losses 0", "losses 1", "losses 2"]]
    title = "Six optimizers on hard surfaces"
    figure, axes = picture_page.page(title, 7.4, mosaic, height_ratios=[1.25, 1])
    for i, (surface, descents) in enumerate(zip(SURFACES, found, strict=True)):
        runs = {
            # the nearest of the rates that were tried
            name: int(np.abs(np.log(descents[name].rates / rate)).argmin())
            for name, rate in zip(OPTIMIZERS, surface.pictured, strict=True)
        }
        walked = {name: descents[name].paths[run][: STEPS + 1] for name, run in runs.items()}
        ax = axes[f"paths {i}"]
        viz.paths(surface.loss, walked, ax, limits=surface.limits, minimum=surface.lowest)
        ax.get_legend().remove()
        viz.label(ax, title=surface.name.partition(":")[0])
        ax = axes[f"losses {i}"]
        for look, (name, run) in zip(style.looks(), runs.items(), strict=False):
            above = descents[name].losses[run] - surface.minimum
            ax.plot(np.maximum(above, 1e-9), look.dashes, color=look.color, lw=1.6)
        ax.set(yscale="log", xlim=(0, STEPS), ylim=(surface.near / 10, None))
        style.plot_style(ax)
        viz.label(ax, "step", "loss above the minimum" if i == 0 else None)
    handles, names = axes["paths 0"].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=7, frameon=False, fontsize=style.SMALL
    )
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--steps",
        type=command_line.whole_number(1),
        metavar="N",
        help="how many steps to take (default: 2000)",
    )
    parser.add_argument("--quick", action="store_true", help="500 steps, 7 rates, for a first look")
    args = parser.parse_args()
    args.steps = args.steps or (500 if args.quick else 2000)
    return args


if __name__ == "__main__":
    main()
