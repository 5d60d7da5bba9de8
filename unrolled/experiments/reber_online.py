"""Embedded Reber strings with the recipe of 1997: the five rows of the paper's table on its own cell.

Source: Hochreiter & Schmidhuber 1997, experiment 1. As there: blocks x cells and learning rates, 256 training strings
and 256 others, weights from U[-0.2, 0.2], output gates of block k at the bias -k, logistic outputs on squared error,
one string at a time from states of zero, the truncated gradient, success when in every string of both sets the legal
next symbols are the most active outputs. It learns after every symbol: dc/dw is carried forward beside each cell.

What differs: ten trials a row, each with its own data, instead of thirty on three data sets; the strings outside the
training set are all different; success is looked for every 500 strings, and a trial ends after 200,000. Whether the
paper learnt after every symbol or after every string is not known to us.
"""

import numpy as np

from unrolled import tasks
from unrolled.experiments.reber import strings_apart

try:
    from numba import njit
except ModuleNotFoundError:  # the same numbers, some hundred times as slowly
    njit = lambda **options: lambda function: function

ROWS = ((4, 1, 0.1), (3, 2, 0.1), (3, 2, 0.2), (4, 1, 0.5), (3, 2, 0.5))  # blocks, cells in each, learning rate
CASES = [
    {"blocks": blocks, "size": size, "rate": rate, "seed": seed} for blocks, size, rate in ROWS for seed in range(10)
]
SMALL = {"limit": 1000}
SYMBOLS = len(tasks.REBER_SYMBOLS)


@njit(fastmath={"reassoc", "contract"})
def read(
    x: np.ndarray,
    target: np.ndarray,
    legal: np.ndarray,
    W: np.ndarray,
    V: np.ndarray,
    blocks: int,
    size: int,
    lr: float,
) -> bool:
    """Read one string, learning in place after every symbol where lr > 0; return whether all of it was predicted.

    x (T, 7) one-hot, target (T,), legal (T, 7). W: a row for each input gate, output gate and cell, columns for the
    symbol, gates and cells of the step before, and the bias, which cells do not have. V (7, cells).
    """
    gates, cells = 2 * blocks, blocks * size
    N, right = SYMBOLS + gates + cells + 1, True
    v, a, c, h = np.zeros(N), np.zeros(gates + cells), np.zeros(cells), np.zeros(cells)
    y, error, dh = np.zeros(SYMBOLS), np.zeros(SYMBOLS), np.zeros(cells)
    by_i, by_z = np.zeros((cells, N)), np.zeros((cells, N))  # derivatives of each c by the weights of its i and z
    for t in range(len(x)):
        v[:SYMBOLS] = x[t]
        v[SYMBOLS : SYMBOLS + gates] = a[:gates]
        v[SYMBOLS + gates : N - 1] = h
        v[N - 1] = 1.0
        for row in range(gates + cells):
            total = 0.0
            for k in range(N):
                total += W[row, k] * v[k]
            a[row] = 1 / (1 + np.exp(-total))
        for j in range(cells):
            i, o, s = a[j // size], a[blocks + j // size], a[gates + j]
            z = 4 * s - 2
            to_i, to_z = z * i * (1 - i), i * 4 * s * (1 - s)
            if lr > 0:
                for k in range(N):
                    by_i[j, k] += to_i * v[k]
                    by_z[j, k] += to_z * v[k]
            c[j] += i * z
            h[j] = o * (2 / (1 + np.exp(-c[j])) - 1)
        least, most_illegal = 2.0, -1.0
        for k in range(SYMBOLS):
            total = 0.0
            for j in range(cells):
                total += V[k, j] * h[j]
            y[k] = 1 / (1 + np.exp(-total))
            if legal[t, k]:
                least = min(least, y[k])
            else:
                most_illegal = max(most_illegal, y[k])
        right = right and least > most_illegal
        if lr > 0:
            dh[:] = 0.0
            for k in range(SYMBOLS):
                error[k] = ((k == target[t]) - y[k]) * y[k] * (1 - y[k])
                for j in range(cells):
                    dh[j] += V[k, j] * error[k]
            for k in range(SYMBOLS):
                for j in range(cells):
                    V[k, j] += lr * error[k] * h[j]
            for j in range(cells):
                block, squashed = j // size, 2 / (1 + np.exp(-c[j])) - 1
                o = a[blocks + block]
                do, dc = dh[j] * squashed * o * (1 - o), dh[j] * o * (1 - squashed * squashed) / 2
                for k in range(N):
                    W[block, k] += lr * dc * by_i[j, k]
                    W[blocks + block, k] += lr * do * v[k]
                    if k < N - 1:
                        W[gates + j, k] += lr * dc * by_z[j, k]
    return right


def start(blocks: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the weights of `read`."""
    gates, cells = 2 * blocks, blocks * size
    W = rng.uniform(-0.2, 0.2, (gates + cells, SYMBOLS + gates + cells + 1))
    W[blocks:gates, -1] = -1.0 - np.arange(blocks)
    W[gates:, -1] = 0.0
    return W, rng.uniform(-0.2, 0.2, (SYMBOLS, cells))


def trial(blocks: int, size: int, rate: float, seed: int, limit: int = 200_000) -> dict:
    """Strings read until success, None where there was none within the limit, and what share was right at the end."""
    rng = np.random.default_rng(seed)
    x, target, legal, lengths = strings_apart(rng)
    strings = [tuple(np.ascontiguousarray(part[:T, n]) for part in (x, target, legal)) for n, T in enumerate(lengths)]
    W, V = start(blocks, size, rng)
    for count in range(1, limit + 1):
        read(*strings[rng.integers(256)], W, V, blocks, size, rate)
        if count % 500 == 0:
            right = [read(*string, W, V, blocks, size, 0.0) for string in strings]
            if all(right):
                break
    return {
        "strings": count if all(right) else None,
        "train": float(np.mean(right[:256])),
        "test": float(np.mean(right[256:])),
    }
