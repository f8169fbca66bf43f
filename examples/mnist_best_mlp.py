"""Trains a multilayer perceptron on MNIST as well as one without convolutions can be.

    python examples/mnist_best_mlp.py      about 99.4 %, in some minutes on two cores

MNIST's four files are read from the folder --data, or the one that the environment variable
FUNCNN_DATA names; else they are downloaded once (11 MB). Needs: pip install 'funcnn[examples]'
"""

import jax
import mnist_recipe

from funcnn import data, nn, optim


def main() -> None:
    args, splits = mnist_recipe.arguments(__doc__, epochs=40)
    recipe = mnist_recipe.Recipe(
        name="784-1024-1024-10",
        model=multilayer_perceptron([1024, 1024], dropout=0.1),
        optimizer=lambda rate: optim.adamw(rate, weight_decay=0.05, mask="**/kernel"),
        peak=0.003,
        batch_size=128,
        augment=data.random_warp(
            data.affine(degrees=10, scale=0.15, shear=0.2, shift=1), data.elastic(strength=1.0)
        ),
        smoothing=0.1,
    )
    trained = mnist_recipe.follow(recipe, args, splits)
    if not args.no_picture:
        mnist_recipe.picture(recipe, trained, args, splits)


def multilayer_perceptron(widths: list[int], dropout: float) -> nn.Layer:
    hidden = [
        layer
        for width in widths
        for layer in (
            nn.dense(width, use_bias=False),  # the norm has a bias of its own
            nn.batch_norm(momentum=0.9),
            jax.nn.relu,
            nn.dropout(dropout),
        )
    ]
    return nn.serial(nn.flatten, *hidden, nn.dense(10))


if __name__ == "__main__":
    main()
