"""Vanishing gradients: their size at each layer, by depth and activation, and what helps.

    python examples/vanishing.py

Row 29 of the lectures, decks A and E. On its way back a gradient is multiplied by each layer's
slope, and that of the sigmoid is ¼ at most: in ten layers little is left, and the first ones do not
learn. ReLU, batch normalization and residual connections let it pass. The networks read handwritten
digits. Needs: pip install 'funcnn[examples]'
"""

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import data, debug, losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH, WIDTH = 10, 32
DEPTHS = (1, 2, 3, 5, 10, 15, 20)
EXAMPLES = 128  # of the batch whose gradient is looked at
LOSS = losses.softmax_cross_entropy_with_integer_labels

he = jax.nn.initializers.he_normal()
# one hidden layer of each kind of network
BLOCKS: dict[str, Callable[[], nn.Layer]] = {
    "sigmoid": lambda: nn.serial(nn.dense(WIDTH), jax.nn.sigmoid),
    "tanh": lambda: nn.serial(nn.dense(WIDTH), jnp.tanh),
    "ReLU": lambda: nn.serial(nn.dense(WIDTH, kernel_init=he), jax.nn.relu),
    "sigmoid, batch normalization": lambda: nn.serial(
        nn.dense(WIDTH), nn.batch_norm(), jax.nn.sigmoid
    ),
    "sigmoid, residual": lambda: nn.residual(nn.serial(nn.dense(WIDTH), jax.nn.sigmoid)),
}


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    splits = data.digits()
    batch = tuple(part[:EXAMPLES] for part in splits.train)
    flows = {name: flow(name, DEPTH, batch, args.seed) for name in args.kinds}
    print(
        f"the norm of the gradient at the output of each of {DEPTH + 1} dense layers, "
        f"{WIDTH} units each, from the input (1) to the logits ({DEPTH + 1})\n"
    )
    print(layers_table(flows))
    for name, found in flows.items():
        said = "; ".join(f"{verdict.kind}: {verdict.reason}" for verdict in found.verdicts)
        print(f"\n{name}: {said or 'nothing is wrong'}")

    ratios = {name: ratios_by_depth(name, batch, args.seed) for name in args.kinds}
    print("\nby the number of hidden layers: the first layer's ‖∂L/∂W‖ divided by the last one's\n")
    print(depths_table(ratios))

    histories = {name: learned(name, splits, args.epochs, args.seed) for name in args.kinds}
    print(f"\nnetworks of {DEPTH} hidden layers learn {len(splits.train[1]):,} digits\n")
    print(learned_table(histories))
    if not args.no_picture:
        print()
        picture_file.save(picture(flows, ratios, histories), args.out / "vanishing.png")


def network(name: str, depth: int) -> nn.Layer:
    """From 64 pixels by `depth` hidden layers to logits."""
    others = [nn.repeat(BLOCKS[name](), depth - 1)] if depth > 1 else []  # compiled once
    return nn.serial(nn.flatten, first_layer(name), *others, nn.dense(10))


def first_layer(name: str) -> nn.Layer:
    """The same for all, but for the activation: a residual block cannot change the width."""
    activations = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "ReLU": jax.nn.relu}
    return nn.serial(nn.dense(WIDTH, kernel_init=he), activations[name.partition(",")[0]])


def flow(name: str, depth: int, batch: Any, seed: int) -> debug.GradientFlow:
    """What `debug.gradient_flow` says, of the dense layers' rows alone."""
    model, (x, y) = network(name, depth), batch
    params, state = model.init(jax.random.key(seed), x)
    return debug.gradient_flow(model, params, x, y, loss=LOSS, state=state)


def dense_only(found: debug.GradientFlow) -> debug.GradientFlow:
    """The rows of the dense layers, to be compared between networks: the others are left out."""
    rows = tuple(row for row in found.rows if row.layer.startswith("dense"))
    return dataclasses.replace(found, rows=rows, verdicts=())


def ratios_by_depth(name: str, batch: Any, seed: int) -> np.ndarray:
    """The first layer's ‖∂L/∂W‖ divided by the last one's, for each of DEPTHS: one program.

    It has the deepest network; the hidden layers that are beyond a depth are left out by `where`.
    """
    first, block, last = first_layer(name), BLOCKS[name](), nn.dense(10)
    x, y = batch[0].reshape(len(batch[1]), -1), batch[1]

    def loss(kernels: Any, rest: Any, blocks: Any, depth: jax.Array) -> jax.Array:
        (of_first, of_last), (first_kernel, last_kernel) = rest, kernels
        h = first(({**of_first[0], "kernel": first_kernel}, ()), x)

        def step(h: jax.Array, each: Any) -> tuple[jax.Array, None]:
            i, params, state = each
            y, _ = block.apply(params, state, h, train=True)
            return jnp.where(i < depth, y, h), None

        h, _ = jax.lax.scan(step, h, (jnp.arange(1, max(DEPTHS)), *blocks))
        return LOSS(last({**of_last, "kernel": last_kernel}, h), y).mean()

    @jax.jit
    def ratios(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, max(DEPTHS) + 1)
        h = jnp.zeros((1, WIDTH))
        (of_first, _), (of_last, _) = first.init(keys[0], x), last.init(keys[1], h)
        blocks = jax.vmap(lambda key: block.init(key, h))(keys[2:])
        kernels, rest = (of_first[0]["kernel"], of_last["kernel"]), (of_first, of_last)

        def ratio(depth: jax.Array) -> jax.Array:
            of_first, of_last = funcnn.grad(loss)(kernels, rest, blocks, depth)
            return jnp.linalg.norm(of_first) / jnp.linalg.norm(of_last)

        return jax.lax.map(ratio, jnp.array(DEPTHS))

    return np.asarray(ratios(jax.random.key(seed)))


def learned(name: str, splits: data.Splits, epochs: int, seed: int) -> dict[str, np.ndarray]:
    model, optimizer = network(name, DEPTH), optim.sgd(0.02, momentum=0.9)
    loss = train.supervised(model, LOSS, metrics={"accuracy": metrics.accuracy})
    state = train.init(jax.random.key(seed), model, optimizer, splits.train[0])
    _, history = train.fit(
        loss,
        optimizer,
        state,
        splits.train,
        epochs=epochs,
        batch_size=64,
        drop_remainder=True,
        progress=False,
    )
    return history


def layers_table(flows: Mapping[str, debug.GradientFlow]) -> str:
    columns = [[row.norm for row in dense_only(found).rows] for found in flows.values()]
    rows = [
        [str(i), *(f"{norm:.1e}" for norm in norms)]
        for i, norms in enumerate(zip(*columns, strict=True), start=1)
    ]
    return tables.table(["layer", *flows], rows)


def depths_table(ratios: Mapping[str, np.ndarray]) -> str:
    rows = [
        [str(depth), *(f"{ratio[i]:.1e}" for ratio in ratios.values())]
        for i, depth in enumerate(DEPTHS)
    ]
    return tables.table(["hidden layers", *ratios], rows)


def learned_table(histories: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    rows = [
        [
            *(name, f"{history['loss'][0]:.4f}", f"{history['loss'][-1]:.4f}"),
            f"{history['accuracy'][-1]:.2%}",
        ]
        for name, history in histories.items()
    ]
    epochs = len(next(iter(histories.values()))["epoch"])
    header = ["", "loss, epoch 1", f"loss, epoch {epochs}", "accuracy, mean over that epoch"]
    return tables.table(header, rows)


def picture(
    flows: Mapping[str, debug.GradientFlow],
    ratios: Mapping[str, np.ndarray],
    histories: Mapping[str, Mapping[str, np.ndarray]],
) -> "Figure":
    import picture_page

    from funcnn.viz import style

    mosaic = [["layers", "layers"], ["depths", "losses"]]
    title = "Vanishing gradients, and what helps"
    figure, axes = picture_page.page(title, 7.6, mosaic, height_ratios=[1.1, 1])
    ax = axes["layers"]
    viz.gradient_flow({name: dense_only(found) for name, found in flows.items()}, ax)
    viz.label(ax, "dense layer, from the input", title=f"{DEPTH} hidden layers, before training")
    ax.legend(frameon=False, fontsize=style.TICK, loc="lower right")
    for look, name in zip(style.looks(), ratios, strict=False):
        options = {"color": look.color, "marker": look.marker, "ms": 5, "ls": look.dashes}
        axes["depths"].plot(DEPTHS, ratios[name], **options)
        options["marker"] = ""
        epochs = histories[name]["epoch"]
        axes["losses"].plot(epochs, histories[name]["loss"], lw=1.8, **options)
    for ax in (axes["depths"], axes["losses"]):
        ax.set_yscale("log")
        style.whole_numbers(ax)
        style.plot_style(ax)
    viz.label(axes["depths"], "hidden layers", "first ‖∂L/∂W‖ / last", "by depth")
    viz.label(axes["losses"], "epoch", "training loss", f"digits, {DEPTH} hidden layers")
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="sigmoid and ReLU, 2 epochs, for a first look"
    )
    args = parser.parse_args()
    args.epochs = 2 if args.quick else 30
    args.kinds = ("sigmoid", "ReLU") if args.quick else tuple(BLOCKS)
    return args


if __name__ == "__main__":
    main()
