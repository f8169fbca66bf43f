"""Images as they might also have been taken: moved, turned, cut, mixed, at random.

Functions of arrays, to be called within a compiled step, on images (n, height, width, channels).
Those with a participle for a name do what they are told (`shifted(images, by)`); those whose name
begins with random_, and `cutout`, `mixup` and `cutmix`, make a function ``(key, images) -> images``
that draws for each image anew. `augment` puts several one after the other, and `train.augmented`
puts them before a loss:

    distort = data.augment(
        data.random_warp(data.affine(degrees=10, scale=0.1), data.elastic(strength=1.0)),
        data.cutout(4),
    )
    loss = train.augmented(train.supervised(model, softmax_loss), distort)
"""

from funcnn.data.augmentation.colors import adjusted, random_brightness, random_contrast
from funcnn.data.augmentation.composition import Augment, augment, on_inputs
from funcnn.data.augmentation.erasing import cutout, erased
from funcnn.data.augmentation.mixing import cutmix, mixup
from funcnn.data.augmentation.moving import (
    cropped,
    flipped,
    random_crop,
    random_flip,
    random_shift,
    shifted,
)
from funcnn.data.augmentation.warping import (
    Displacements,
    affine,
    elastic,
    random_resized_crop,
    random_rotation,
    random_warp,
    warped,
)

__all__ = [
    "Augment",
    "Displacements",
    "adjusted",
    "affine",
    "augment",
    "cropped",
    "cutmix",
    "cutout",
    "elastic",
    "erased",
    "flipped",
    "mixup",
    "on_inputs",
    "random_brightness",
    "random_contrast",
    "random_crop",
    "random_flip",
    "random_resized_crop",
    "random_rotation",
    "random_shift",
    "random_warp",
    "shifted",
    "warped",
]
