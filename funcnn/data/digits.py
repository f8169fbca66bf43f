"""The 1,797 handwritten 8 by 8 digits that scikit-learn ships."""

import numpy as np

from funcnn.data.split import Splits, split


def digits(seed: int = 0, validation: float = 200, test: float = 300) -> Splits:
    """Real handwritten digits, small enough to train on in seconds, without a download.

    The 1,797 images of the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and
    Kaynak, 1998, UCI Machine Learning Repository), as `sklearn.datasets.load_digits` has them:
    each pixel counts the ink in a block of 4 by 4 dots, 0 to 16.

    Args:
        seed: of the shuffle that deals out the splits, see `funcnn.data.split`.
        validation: number of validation examples (int), or their fraction (float in [0, 1)).
        test: number of test examples (int), or their fraction (float in [0, 1)).

    Returns:
        `Splits(train, validation, test)`, each `(x, y)`: x (n, 8, 8, 1), float32 in [0, 1];
        y (n,), int32 in 0..9. 1,297, 200 and 300 examples unless asked otherwise.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError, TypeError: sizes that do not fit, as in `funcnn.data.split`.

    >>> from funcnn import data
    >>> x, y = data.digits(seed=0).test
    >>> x.shape, float(x.min()), float(x.max())
    ((300, 8, 8, 1), 0.0, 1.0)
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "data.digits() reads the digits that scikit-learn ships, and scikit-learn is missing: "
            "pip install 'funcnn[data]'"
        ) from error
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    return split((x, labels.astype(np.int32)), validation=validation, test=test, seed=seed)
