"""Data sets as numpy arrays on the host, split for training, validation and test.

Images are float32 in [0, 1] and NHWC, labels int32. A data set is a
`Splits(train, validation, test)`, each an `(x, y)` pair:

>>> from funcnn import data
>>> (x, y), validation, test = data.digits(seed=0)
>>> x.shape, x.dtype, y.shape, y.dtype
((1297, 8, 8, 1), dtype('float32'), (1297,), dtype('int32'))
"""

from funcnn.data import idx
from funcnn.data.augmentation import (
    adjusted,
    affine,
    augment,
    cropped,
    cutmix,
    cutout,
    elastic,
    erased,
    flipped,
    mixup,
    on_inputs,
    random_brightness,
    random_contrast,
    random_crop,
    random_flip,
    random_resized_crop,
    random_rotation,
    random_shift,
    random_warp,
    shifted,
    warped,
)
from funcnn.data.batches import batches
from funcnn.data.digits import digits
from funcnn.data.mnist import mnist
from funcnn.data.normalization import Normalization, normalization
from funcnn.data.split import Splits, split

__all__ = [
    "Normalization",
    "Splits",
    "adjusted",
    "affine",
    "augment",
    "batches",
    "cropped",
    "cutmix",
    "cutout",
    "digits",
    "elastic",
    "erased",
    "flipped",
    "idx",
    "mixup",
    "mnist",
    "normalization",
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
    "split",
    "warped",
]
