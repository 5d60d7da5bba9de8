"""Exclusive or, laid out in time."""

import numpy as np

from unrolled.tasks._arguments import at_least


def temporal_xor(length: int, rng: np.random.Generator | int) -> np.ndarray:
    """A stream of bits in triples: two fair random bits, then their exclusive or.

    The task is to predict the next bit. Bit t has phase `t % 3`: phases 0 and 1 are fair coins that nothing predicts,
    phase 2 follows from the two bits before it. Nothing in the stream marks where a triple starts. Predicting 0.5
    everywhere costs a mean squared error of 0.25, and at phases 0 and 1 no predictor does better.

    length: number of bits, 3 or more; a last triple may be cut short.
    Returns uint8 of shape (length,).
    Raises ValueError for another length.
    Source: Elman 1990, "Finding Structure in Time", the section on exclusive or, which uses 3,000 bits.
    """
    at_least(3, length=length)
    triples = np.random.default_rng(rng).integers(2, size=(-(-length // 3), 3), dtype=np.uint8)
    triples[:, 2] = triples[:, 0] ^ triples[:, 1]
    return triples.reshape(-1)[:length]
