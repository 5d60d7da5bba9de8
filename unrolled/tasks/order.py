"""The order of a few symbols that lie far apart."""

import numpy as np

from unrolled.tasks._arguments import at_least, one_of
from unrolled.tasks._lengths import draw_lengths

ORDER_SYMBOLS = "EBabcdXY"
# Where the relevant symbols may stand, ends included, in hundredths of the length.
ORDER_WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


def temporal_order(
    count: int, rng: np.random.Generator | int, *, length: int = 100, relevant: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sequences from E to B of random letters a, b, c, d, with an X or a Y at two or three places far apart.

    The task is to say at the last step, the B, which of the 2**relevant orders occurred. Read X as 0 and Y as 1: the
    class is that binary number, the earliest digit first (XX 0, XY 1, YX 2, YY 3). All are equally likely, so chance
    is right in 1 of 4 cases, or of 8, and a uniform guess costs a cross-entropy of `relevant * ln 2`.
    Counting steps from 0, the X or Y of length 100 stand within 10-20 and 50-60 (relevant=2), or 10-20, 33-43 and
    66-76 (relevant=3); for other lengths these limits scale, rounded down.

    count: how many sequences, 1 or more. Another count with the same seed draws other sequences.
    length: the smallest length, 10 or more; lengths are drawn between it and a tenth more.
    relevant: 2 or 3.
    Returns inputs, float32 one-hot of shape (T, count, 8), columns as in `ORDER_SYMBOLS`, 0 after a sequence's length;
    classes, int64 of shape (count,); and lengths, int64 of shape (count,).
    Raises ValueError for another count, length or number of relevant symbols.
    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", experiments 6a (relevant=2) and 6b (relevant=3),
    which know length 100 only; the paper does not say whether its positions count from 0 or 1.
    """
    at_least(1, count=count)
    at_least(10, length=length)
    one_of((2, 3), relevant=relevant)
    rng = np.random.default_rng(rng)
    lengths, inside = draw_lengths(count, length, rng)
    sequence = np.arange(count)
    symbols = rng.integers(2, 6, size=inside.shape)
    symbols[0], symbols[lengths - 1, sequence] = 0, 1
    classes = np.zeros(count, dtype=np.int64)
    for earliest, latest in ORDER_WINDOWS[relevant]:
        position = rng.integers(earliest * length // 100, latest * length // 100, size=count, endpoint=True)
        digit = rng.integers(2, size=count)
        symbols[position, sequence] = 6 + digit
        classes = 2 * classes + digit
    inputs = np.eye(len(ORDER_SYMBOLS), dtype=np.float32)[symbols]
    inputs[~inside] = 0
    return inputs, classes, lengths
