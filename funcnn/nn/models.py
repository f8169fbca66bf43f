"""Ready models, each a short function that returns a layer: to train, to read, to copy from.

Classifiers give logits, for the losses that take them: `jax.nn.sigmoid` or `jax.nn.softmax` of
logits are probabilities.
"""

from collections.abc import Callable, Sequence

import jax

from funcnn.nn import functional
from funcnn.nn.combinators import identity, parallel, residual, serial
from funcnn.nn.convolution import conv
from funcnn.nn.dropout import dropout
from funcnn.nn.embedding import embedding
from funcnn.nn.functional import global_avg_pool
from funcnn.nn.layer import Layer
from funcnn.nn.linear import dense
from funcnn.nn.normalization import batch_norm, layer_norm
from funcnn.nn.pooling import max_pool
from funcnn.nn.recurrent import lstm
from funcnn.nn.repeat import repeat
from funcnn.nn.reshaping import flatten
from funcnn.nn.transformer import transformer_block
from funcnn.nn.wiring import shared

Activation = Callable[[jax.Array], jax.Array]


def linear(features: int = 1) -> Layer:
    """Scores W x + b: linear regression, and the linear classifier. (n, ...) to (n, features).

    Source: decks A, B and C, row 6.

    >>> import jax.numpy as jnp
    >>> from funcnn import nn
    >>> nn.summary(linear(10), jnp.ones((1, 28, 28))).parameters
    7850
    """
    return serial(flatten, dense(features))


def logistic_regression() -> Layer:
    """z = w · x + b, one logit an example: σ(z) is the probability of class 1. (n, ...) to (n,).

    Source: deck A, rows 2 and 6.

    >>> import jax, jax.numpy as jnp
    >>> params = ((), {"kernel": jnp.array([[1.0], [1.0]]), "bias": jnp.array([-3.0])}, ())
    >>> logistic_regression()(params, jnp.array([[1.0, 1.0], [2.0, 2.0]]))
    Array([-1.,  1.], dtype=float32)
    """
    return serial(flatten, dense(1), _first)


def softmax_regression(classes: int) -> Layer:
    """Logits W x + b, one a class: their softmax are probabilities. (n, ...) to (n, classes).

    Source: decks A, B and C, row 6.

    >>> softmax_regression(10)
    serial(flatten, dense(10))
    """
    return linear(classes)


def mlp(sizes: Sequence[int], activation: Activation = jax.nn.relu) -> Layer:
    """The multilayer perceptron: dense layers of these sizes, an activation between them.

    Args:
      sizes: the number of units of each layer, the last that of the outputs. The input is
        flattened, and brings its own size.
      activation: after each layer but the last, which is linear.

    Source: decks A to E, row 9.

    >>> import jax, jax.numpy as jnp
    >>> from funcnn import nn
    >>> nn.summary(mlp([30, 30, 10], jax.nn.sigmoid), jnp.ones((1, 784))).parameters
    24790
    """
    if not len(sizes):
        raise ValueError("mlp: expected at least one size, as in nn.models.mlp([30, 30, 10])")
    hidden = [layer for size in sizes[:-1] for layer in (dense(size), activation)]
    return serial(flatten, *hidden, dense(sizes[-1]))


def small_cnn(classes: int, channels: Sequence[int] = (16, 32), features: int = 64) -> Layer:
    """Convolution, ReLU and max pooling by 2 for each of `channels`; then two dense layers.

    Images (n, height, width, channels), each side at least 2 to the number of `channels`, to
    (n, classes).

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998; row 44.

    >>> import jax.numpy as jnp
    >>> from funcnn import nn
    >>> nn.summary(small_cnn(10), jnp.ones((1, 28, 28, 1))).parameters
    105866
    """
    blocks = [
        layer
        for width in channels
        for layer in (conv(width, (3, 3)), jax.nn.relu, max_pool((2, 2), (2, 2)))
    ]
    return serial(*blocks, flatten, dense(features), jax.nn.relu, dense(classes))


def small_resnet(classes: int, channels: Sequence[int] = (16, 32, 64), blocks: int = 2) -> Layer:
    """A residual network with batch normalization: `blocks` at each of the widths `channels`.

    Images (n, height, width, channels) to (n, classes). Where the width grows, the first block
    halves the sides, and a 1 by 1 convolution is its shortcut.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2015 (the networks for
    CIFAR-10, with their shortcuts B); decks A and E, row 44.

    >>> import jax.numpy as jnp
    >>> from funcnn import nn
    >>> nn.summary(small_resnet(10), jnp.ones((1, 28, 28, 1))).parameters
    174970
    """

    def normalized(width: int, size: int, stride: int) -> Layer:
        # the norm has a bias of its own
        return serial(
            conv=conv(width, (size, size), strides=(stride, stride), use_bias=False),
            norm=batch_norm(),
        )

    def block(width: int, stride: int) -> Layer:
        layer = serial(normalized(width, 3, stride), jax.nn.relu, normalized(width, 3, 1))
        shortcut = normalized(width, 1, stride) if stride > 1 else None
        return serial(residual(layer, shortcut), jax.nn.relu)

    stages = [
        block(width, stride=2 if stage and not i else 1)
        for stage, width in enumerate(channels)
        for i in range(blocks)
    ]
    first = normalized(channels[0], 3, 1), jax.nn.relu
    return serial(*first, *stages, global_avg_pool, dense(classes))


def rnn_classifier(
    num_embeddings: int,
    classes: int,
    features: int = 64,
    cell: Callable[..., Layer] = lstm,
) -> Layer:
    """Symbols to vectors, a recurrent layer over them, and logits from its last state.

    The input is a pair: symbols 0..num_embeddings−1, (n, time), and the lengths of the sequences,
    (n,). The output is (n, classes).

    Args:
      num_embeddings: the number of symbols.
      classes: the number of classes.
      features: the length of the vectors and of the state.
      cell: `nn.rnn`, `nn.lstm` or `nn.gru`.

    Source: Sutskever et al., "Sequence to Sequence Learning with Neural Networks", 2014 (the
    encoder).

    >>> import jax, jax.numpy as jnp
    >>> model = rnn_classifier(100, classes=2, features=8)
    >>> x = jnp.zeros((5, 7), jnp.int32), jnp.array([7, 3, 1, 7, 2])
    >>> params, state = jax.eval_shape(model.init, jax.random.key(0), x)
    >>> jax.eval_shape(model, params, x).shape
    (5, 2)
    """
    return serial(
        embed=parallel(embedding(num_embeddings, features), identity),
        recurrent=cell(features, returns="last"),
        logits=dense(classes),
    )


def transformer(
    num_embeddings: int,
    features: int = 64,
    num_heads: int = 4,
    num_layers: int = 2,
    dropout_rate: float = 0.0,
) -> Layer:
    """A causal language model: at each place, the logits of the symbol that comes next.

    Symbols (n, time) to logits (n, time, num_embeddings). Positions are rotary, the blocks are
    scanned (`repeat`), and the vectors of the symbols are also the kernel of the logits (`shared`).

    Args:
      num_embeddings: the number of symbols; they are 0..num_embeddings−1.
      features: the length of a vector; `num_heads` divides it into even parts.
      num_heads, dropout_rate: as in `transformer_block`.
      num_layers: the number of blocks.

    Source: Vaswani et al., "Attention Is All You Need", 2017; Radford et al., "Language Models are
    Unsupervised Multitask Learners", 2019; Su et al., "RoFormer", 2021.

    >>> import jax, jax.numpy as jnp
    >>> model = transformer(100, features=8, num_heads=2)
    >>> x = jnp.zeros((5, 7), jnp.int32)
    >>> params, state = jax.eval_shape(model.init, jax.random.key(0), x)
    >>> jax.eval_shape(model, params, x).shape
    (5, 7, 100)
    """
    block = transformer_block(
        features,
        num_heads,
        is_causal=True,
        dropout_rate=dropout_rate,
        positions=functional.rotary,
    )
    return serial(
        embed=embedding(num_embeddings, features),
        dropout=dropout(dropout_rate),
        blocks=repeat(block, num_layers),
        norm=layer_norm(),
        logits=shared("embed", _attend),
    )


def _attend(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return x @ params["embedding"].T


def _first(x: jax.Array) -> jax.Array:
    return x[..., 0]
