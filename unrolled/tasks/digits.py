"""Handwritten digits, read pixel by pixel."""

import numpy as np


def digits_as_steps() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Handwritten digits of 8 by 8 pixels as sequences of 64 steps, to be named after the last.

    An image is read row by row from its upper left corner. The split is fixed: in the random order of
    `numpy.random.default_rng(0).permutation(1797)`, 1,000 images are for training, 400 for validation and 397 for test.
    Always saying the digit that is most frequent in training is right for 8.3 % of the test images; the digit of the
    nearest training image, all pixels compared at once, for 97.5 %. Writers are not kept apart, so images of the same
    hand are in all three parts.

    Returns three pairs, training, validation and test: the pixels, float32 of shape (64, N, 1), between 0 and 1 in
    steps of 1/16; and the digits, int64 of shape (N,).
    Raises ModuleNotFoundError without scikit-learn, which carries the data.
    Source: `sklearn.datasets.load_digits`, a copy of the test part of E. Alpaydin and C. Kaynak, "Optical Recognition
    of Handwritten Digits", UCI Machine Learning Repository 1998, https://doi.org/10.24432/C50P49, which the repository
    offers under CC BY 4.0. Reading images pixel by pixel is due to Le, Jaitly & Hinton 2015, "A Simple Way to
    Initialize Recurrent Networks of Rectified Linear Units", on MNIST with its 784 steps.
    """
    try:
        from sklearn.datasets import load_digits  # takes seconds to import, so only on use
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'digits_as_steps() reads its data from scikit-learn; install it with pip install "unrolled[book]"',
            name=error.name,
        ) from error
    images, labels = load_digits(return_X_y=True)
    steps = (images.T[..., None] / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(labels))
    return tuple((steps[:, rows], labels[rows].astype(np.int64)) for rows in np.split(order, [1000, 1400]))
