"""One bit at the start, to be kept through noise."""

import numpy as np

from unrolled.tasks._arguments import at_least, not_negative, one_of
from unrolled.tasks._lengths import draw_lengths


def delayed_recall(
    count: int, rng: np.random.Generator | int, *, lag: int = 10, noise: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """One bit, then distractors, then the question which bit it was.

    The task is to say the bit at the last step. Channel 0 shows +1 or -1 at step 0, distractors from a normal
    distribution of mean 0 at steps 1 to `lag`, and 0 at step `lag + 1`; channel 1 is 1 at that last step and 0 before.
    Both bits are equally likely: chance is right in half of the cases and costs a cross-entropy of ln 2.

    count: how many sequences, 1 or more. Another count with the same seed draws other sequences.
    lag: number of distractors, 0 or more.
    noise: their standard deviation (`two_sequence` states a variance), 0 or more.
    Returns inputs, float32 of shape (lag + 2, count, 2), and targets, int64 of shape (count,), 1 for +1 and 0 for -1.
    Raises ValueError for another count, lag or noise.
    Source: our own form of the latching problem of Bengio, Simard & Frasconi 1994, "Learning Long-Term Dependencies
    with Gradient Descent is Difficult", which has no channel that marks the end.
    """
    at_least(1, count=count)
    at_least(0, lag=lag)
    not_negative(noise=noise)
    rng = np.random.default_rng(rng)
    targets = rng.integers(2, size=count)
    inputs = np.zeros((lag + 2, count, 2), dtype=np.float32)
    inputs[0, :, 0] = 2 * targets - 1
    inputs[1:-1, :, 0] = rng.normal(0, noise, size=(lag, count))
    inputs[-1, :, 1] = 1
    return inputs, targets


def two_sequence(
    count: int, rng: np.random.Generator | int, *, length: int = 100, informative: int = 3, noise: str = "3a"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sequences of one channel whose first few elements are +1 or -1 and all others noise, to be told apart at the end.

    The task is to say at the last step which of the two equally likely classes it was. The noise is normal, of mean 0
    and variance 0.2. The variants, by their number in the paper:
    3a: the informative elements are exactly +1 (target 1) or -1 (target 0).
    3b: they too carry the noise. Even the best reader then confuses a few: 1.3 % with one informative element, 0.005 %
        with three.
    3c: as 3a, but the target is 0.2 for +1 and 0.8 for -1, plus normal noise of mean 0 and variance 0.1; the best
        that can be learned is 0.2 or 0.8, at a mean squared error of 0.1. `inputs[0, :, 0] > 0` tells the class.

    Always saying 0.5 costs a mean squared error of 0.25 in 3a and 3b and of 0.19 in 3c.

    count: how many sequences, 1 or more. Another count with the same seed draws other sequences.
    length: the smallest length, more than `informative`; lengths are drawn between it and a tenth more.
    informative: how many elements tell the class, 1 or more.
    noise: "3a", "3b" or "3c".
    Returns inputs, float32 of shape (T, count, 1), 0 after a sequence's length; targets, float32 of shape (count, 1);
    and lengths, int64 of shape (count,).
    Raises ValueError for another count, length, informative or noise.
    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", experiment 3, after Bengio, Simard & Frasconi 1994.
    """
    at_least(1, count=count, informative=informative)
    at_least(informative + 1, length=length)
    one_of(("3a", "3b", "3c"), noise=noise)
    rng = np.random.default_rng(rng)
    lengths, inside = draw_lengths(count, length, rng)
    positive = rng.integers(2, size=count) == 1
    values = rng.normal(0, np.sqrt(0.2), size=inside.shape)
    if noise != "3b":
        values[:informative] = 0
    values[:informative] += np.where(positive, 1, -1)
    if noise == "3c":
        targets = np.where(positive, 0.2, 0.8) + rng.normal(0, np.sqrt(0.1), size=count)
    else:
        targets = positive
    return (values * inside).astype(np.float32)[..., None], targets.astype(np.float32)[:, None], lengths
