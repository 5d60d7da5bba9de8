"""Sequences of random length in one array."""

import numpy as np


def draw_lengths(count: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lengths between `length` and a tenth more, ends included: int64 (count,), and bool (T, count), True inside."""
    lengths = rng.integers(length, length + length // 10, size=count, endpoint=True)
    return lengths, np.arange(lengths.max())[:, None] < lengths
