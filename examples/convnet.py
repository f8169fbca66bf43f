"""Trains a small residual network on MNIST: convolutions, batch normalization, distorted digits.

    python examples/convnet.py      about 99.6 %, in some minutes on two cores

MNIST's four files are read from the folder --data, or the one that the environment variable
FUNCNN_DATA names; else they are downloaded once (11 MB). Needs: pip install 'funcnn[examples]'
"""

import jax
import jax.numpy as jnp
import mnist_recipe
import numpy as np

from funcnn import data, nn, optim


def main() -> None:
    args, splits = mnist_recipe.arguments(__doc__, epochs=15)
    recipe = mnist_recipe.Recipe(
        name="a residual network",
        model=residual_network(),
        optimizer=sgd_with_decay,
        peak=0.4,
        batch_size=128,
        augment=data.random_warp(data.affine(degrees=10, scale=0.1, shear=0.1, shift=2)),
        smoothing=0.1,
    )
    print(nn.summary(recipe.model, jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.float32)))
    trained = mnist_recipe.follow(recipe, args, splits)

    if not args.no_picture:
        import pictures

        kernels = np.asarray(trained.params[0]["conv"]["kernel"])  # (5, 5, 1, n)
        shown = np.moveaxis(kernels[:, :, 0, :30], -1, 0)
        heading = "kernels of the first convolution: blue positive, red negative"
        names = [str(i) for i in range(len(shown))]
        templates = pictures.templates(heading, shown, names)
        mnist_recipe.picture(recipe, trained, args, splits, templates)


def residual_network(channels: int = 32) -> nn.Layer:
    """Two residual blocks, each after a convolution of stride 2: 28 by 28, 14 by 14, 7 by 7."""
    return nn.serial(
        *(normalized(channels, 5, stride=2), jax.nn.relu, block(channels)),
        *(normalized(2 * channels, 3, stride=2), jax.nn.relu, block(2 * channels)),
        nn.global_avg_pool,
        nn.dense(10),
    )


def block(channels: int) -> nn.Layer:
    layer = nn.serial(normalized(channels, 3), jax.nn.relu, normalized(channels, 3))
    return nn.serial(nn.residual(layer), jax.nn.relu)


def normalized(channels: int, size: int, stride: int = 1) -> nn.Layer:
    """A convolution and a batch normalization, which has a bias of its own."""
    return nn.serial(
        conv=nn.conv(channels, (size, size), strides=stride, use_bias=False),
        norm=nn.batch_norm(momentum=0.9),
    )


def sgd_with_decay(rate: optim.Schedule) -> optim.GradientTransformation:
    decay = optim.add_decayed_weights(5e-4, "**/kernel")
    return optim.chain(decay, optim.sgd(rate, momentum=0.9, nesterov=True))


if __name__ == "__main__":
    main()
