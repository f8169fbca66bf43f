"""Two examples made one, and their labels too: mixup and CutMix, on batches ``(x, y)``."""

from typing import Any

import jax
import jax.numpy as jnp

from funcnn.data.augmentation.arguments import as_images, limit
from funcnn.data.augmentation.composition import Augment
from funcnn.data.augmentation.erasing import rectangles


def mixup(alpha: float) -> Augment:
    """Each example mixed with another: λ x + (1 − λ) x′, and λ y + (1 − λ) y′.

    λ is drawn from Beta(α, α) for each example, and x′ is another example of the batch, each of
    them once. (An example may be mixed with itself.)

    Args:
      alpha: α, above 0: near 0 examples stay nearly as they are, at 1 every λ is equally likely.

    Returns:
      ``(key, (x, y)) -> (x, y)``, for `train.augmented_batches`. x (n, ...) and y (n, ...), one-hot
      labels or whatever can be averaged, have floating dtypes; class numbers are for
      `jax.nn.one_hot` first, and the loss `softmax_cross_entropy`.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.

    >>> import jax, jax.numpy as jnp
    >>> x, y = jnp.arange(4.0), jax.nn.one_hot(jnp.arange(4), 4)
    >>> x, y = mixup(1.0)(jax.random.key(0), (x, y))
    >>> bool(jnp.allclose(y.sum(-1), 1)), bool(jnp.allclose(y @ jnp.arange(4.0), x))
    (True, True)
    """
    alpha = _positive(alpha)

    def mix(key, batch):
        x, y = _pair("mixup", batch)
        share, partner = _draw(key, len(x), alpha)
        return _mixed(share, x, x[partner]), _mixed(share, y, y[partner])

    return mix


def cutmix(alpha: float = 1.0) -> Augment:
    """A rectangle of each image from another one, and labels mixed in proportion to the areas.

    The rectangle's share of the area is 1 − λ, with λ from Beta(α, α). It lies about a pixel at
    random, is cut off at the edge, and has the image's proportions.

    Args:
      alpha: α, above 0.

    Returns:
      ``(key, (x, y)) -> (x, y)``, as of `mixup`; x are images, of any dtype.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019.
    """
    alpha = _positive(alpha)

    def mix(key, batch):
        x, y = _pair("cutmix", batch)
        x = as_images("cutmix", x)
        n, height, width, _ = x.shape
        share_key, place_key = jax.random.split(key)
        share, partner = _draw(share_key, n, alpha)
        full = jnp.array([height, width])
        sizes = jnp.round(jnp.sqrt(1 - share)[:, None] * full).astype(int)
        middles = jax.random.randint(place_key, (n, 2), 0, full)
        other = rectangles(x.shape, middles - sizes // 2, sizes)
        kept = 1 - other.mean((1, 2, 3))  # what the labels are mixed by: without what was cut off
        return jnp.where(other, x[partner], x), _mixed(kept, y, y[partner])

    return mix


def _draw(key: jax.Array, n: int, alpha: float) -> tuple[jax.Array, jax.Array]:
    """λ and the partner of each example."""
    share_key, partner_key = jax.random.split(key)
    return jax.random.beta(share_key, alpha, alpha, (n,)), jax.random.permutation(partner_key, n)


def _mixed(share: jax.Array, one: jax.Array, other: jax.Array) -> jax.Array:
    if not jnp.issubdtype(one.dtype, jnp.floating):
        raise TypeError(
            f"expected what is mixed to have a floating dtype, got {one.dtype} of shape "
            f"{one.shape}: class numbers are for jax.nn.one_hot(labels, classes) first"
        )
    share = share.reshape(-1, *(1,) * (one.ndim - 1)).astype(one.dtype)
    return share * one + (1 - share) * other


def _pair(name: str, batch: Any) -> tuple[jax.Array, jax.Array]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"{name} expects batches (x, y), got {jax.tree.structure(batch)}")
    x, y = map(jnp.asarray, batch)
    if x.shape[:1] != y.shape[:1] or not x.ndim:
        raise ValueError(f"{name}: x {x.shape} and y {y.shape} hold different numbers of examples")
    return x, y


def _positive(alpha: float) -> float:
    if limit("alpha", alpha) == 0:
        raise ValueError("expected alpha above 0, got 0")
    return float(alpha)
