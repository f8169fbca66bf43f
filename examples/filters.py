"""Filters: made by hand, and learned by a convolutional network; feature maps, receptive field.

    python examples/filters.py

Row 44 of the lectures, decks A and E. First 3 by 3 filters that blur, sharpen and find edges, on a
photograph that comes with scikit-learn. Then a small network learns MNIST's digits: the filters of
its first layer, what each of them sees in a digit, and how much of the image a unit of each layer
looks at.

MNIST's four files are read from the folder --data, or the one that the environment variable
FUNCNN_DATA names; else they are downloaded once (11 MB). Needs: pip install 'funcnn[examples]'
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

from funcnn import data, losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BY_HAND = {  # those of the page on image kernels that deck E links
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "blur": [[1 / 16, 1 / 8, 1 / 16], [1 / 8, 1 / 4, 1 / 8], [1 / 16, 1 / 8, 1 / 16]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "left sobel": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "top sobel": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
}
CHANNELS = 16


def main() -> None:
    args, splits = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    photograph = photo()
    filtered = by_hand(photograph)
    print("3 by 3 filters on a photograph of values from 0 to 1\n")
    print(filters_table(filtered))

    model = network()
    print(f"\n{nn.summary(model, jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.float32))}\n")
    params, history = learned(model, splits, args.epochs, args.seed)
    print(tables.by_epoch(history))
    x, y = splits.test
    right = np.asarray(jax.jit(lambda p, x: model(p, x).argmax(-1))(params, x)) == y
    print(f"\ntest accuracy {right.mean():.2%} ({right.sum():,} of {len(y):,})")
    if not args.no_picture:
        print()
        drawn = picture(filtered, model, params, x[first_of(y, 5)])
        picture_file.save(drawn, args.out / "filters.png")


def photo() -> np.ndarray:
    """A part of a photograph in gray, (160, 160) from 0 to 1."""
    try:
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        message = "the photograph comes with scikit-learn: pip install 'funcnn[data]'"
        raise ImportError(message) from error
    gray = load_sample_image("china.jpg")[:426].mean(axis=-1) / 255
    half = gray.reshape(213, 2, 320, 2).mean((1, 3))
    return half[20:180, 90:250].astype(np.float32)


def by_hand(image: np.ndarray) -> dict[str, np.ndarray]:
    """The image (h, w) after each of the filters, (h - 2, w - 2): they stay inside of it."""
    kernels = jnp.moveaxis(jnp.array(list(BY_HAND.values()), jnp.float32), 0, -1)[:, :, None, :]
    maps = nn.functional.conv(jnp.asarray(image)[None, :, :, None], kernels, padding="VALID")
    return {name: np.asarray(maps[0, :, :, i]) for i, name in enumerate(BY_HAND)}


def network() -> nn.Layer:
    return nn.serial(
        conv1=nn.conv(CHANNELS, (5, 5)),
        relu1=jax.nn.relu,
        pool1=nn.max_pool((2, 2), (2, 2)),
        conv2=nn.conv(CHANNELS, (3, 3)),
        relu2=jax.nn.relu,
        pool2=nn.max_pool((2, 2), (2, 2)),
        flatten=nn.flatten,
        logits=nn.dense(10),
    )


def windows(model: nn.Layer) -> dict[str, Any]:
    """Of the layers that look at more than one place, by their names."""
    return {str(name): layer.window for name, layer in model.layers if layer.window is not None}


def learned(
    model: nn.Layer, splits: data.Splits, epochs: int, seed: int
) -> tuple[Any, dict[str, np.ndarray]]:
    optimizer = optim.adam(2e-3)
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )
    state = train.init(jax.random.key(seed), model, optimizer, splits.train[0])
    state, history = train.fit(
        loss, optimizer, state, splits.train, epochs=epochs, batch_size=50, progress=False
    )
    return state.params, history


def first_of(labels: np.ndarray, digit: int) -> int:
    return int(np.argmax(labels == digit))


def filters_table(filtered: Mapping[str, np.ndarray]) -> str:
    rows = []
    for name, image in filtered.items():
        kernel = np.array(BY_HAND[name])
        numbers = (kernel.sum(), image.min(), image.mean(), image.max())
        rows.append([name, *(f"{number:.3f}" for number in numbers)])
    return tables.table(["filter", "its sum", "least", "mean", "greatest"], rows)


def picture(
    filtered: Mapping[str, np.ndarray], model: nn.Layer, params: Any, digit: np.ndarray
) -> "Figure":
    import picture_page

    mosaic = [["hand", "hand"], ["filters", "maps"], ["field", "field"]]
    title = "Filters: made by hand, learned, and what they see"
    figure, axes = picture_page.page(title, 7.0, mosaic, height_ratios=[1.35, 1.25, 1.9])
    # what finds edges has values around 0
    shown = [
        np.clip(image if image.min() >= 0 else image + 0.5 * (abs(image.mean()) < 0.1), 0, 1)
        for image in filtered.values()
    ]
    viz.images(np.array(shown), axes["hand"], list(filtered), columns=7, cmap="gray")
    viz.label(axes["hand"], title="made by hand")
    kernels = np.moveaxis(np.asarray(params["conv1"]["kernel"])[:, :, 0], -1, 0)
    names = [str(i) for i in range(1, CHANNELS + 1)]
    viz.templates(kernels.reshape(CHANNELS, -1), (5, 5), axes["filters"], names, columns=8)
    viz.label(axes["filters"], title="learned: blue positive, red negative")
    maps = np.asarray(nn.intermediates(model, params, digit[None])["relu1"][0])
    viz.feature_maps(maps, axes["maps"], names, columns=8)
    viz.label(axes["maps"], title="what each sees in a five")
    seen = windows(model)
    viz.receptive_field(list(seen.values()), axes["field"], names=list(seen))
    viz.label(axes["field"], title="receptive field: what one unit looks at, along a row")
    return figure


def arguments() -> tuple[argparse.Namespace, data.Splits]:
    """The options, and the digits that they ask for."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder with MNIST's four files, gzipped or not (default: see above)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="2,000 training digits, 1 epoch, for a first look"
    )
    args = parser.parse_args()
    args.epochs = 1 if args.quick else 3
    try:
        splits = data.mnist(args.data)
    except (OSError, ValueError, ImportError) as error:
        parser.error(str(error))
    used = 2_000 if args.quick else 10_000
    train_part = jax.tree.map(lambda part: part[:used], splits.train)
    test = jax.tree.map(lambda part: part[:2_000], splits.test)
    return args, splits._replace(train=train_part, test=test)


if __name__ == "__main__":
    main()
