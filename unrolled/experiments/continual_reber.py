"""The continual embedded Reber stream of Gers, Schmidhuber & Cummins 2000, "Learning to Forget": five algorithms.

The network of the paper: 4 blocks of 2 cells, outputs that see cells and inputs, logistic outputs on squared error, 424
weights with forget gates; weights from U[-0.2, 0.2], biases of the gates of block k at -k/2 (input, output) and k/2
(forget), learning rate 0.5, no momentum. It learns after every symbol, with the truncated gradient, which needs no way
back: dc/dw = f dc/dw + what the step adds, carried forward beside each cell. A training stream starts at the beginning
of a string with all states at zero, and ends at the first symbol at which an illegal output is as large as a legal one.

What differs: streams of at most 10,000 symbols instead of 100,000, in training and test. After every 100 training
streams a test of 10 fixed streams without learning; an end at the first test without an error, after 30,000 streams or
after 10 million symbols. Training streams are cut from a pool of 200,000 symbols. As in the paper, 100 networks each.
The case "reset, whole strings" is ours: its streams are single strings, learnt to the end whatever the errors.
"""

import numpy as np

from unrolled import tasks

try:
    from numba import njit
except ModuleNotFoundError:  # the same numbers, some hundred times as slowly
    njit = lambda **options: lambda function: function

ALGORITHMS = ("standard", "reset", "reset, whole strings", "decay", "forget")
CASES = [{"algorithm": algorithm, "seed": seed} for algorithm in ALGORITHMS for seed in range(100)]
SMALL = {"streams": 200, "length": 200}

BLOCKS, SIZE, SYMBOLS = 4, 2, 7
CELLS = BLOCKS * SIZE
B, E = tasks.REBER_SYMBOLS.index("B"), tasks.REBER_SYMBOLS.index("E")


def start(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights of i, f, o (a row each block) and z (a row each cell), and of the outputs; biases in the last column."""
    W = rng.uniform(-0.2, 0.2, (3 * BLOCKS + CELLS, SYMBOLS + CELLS + 1))
    V = rng.uniform(-0.2, 0.2, (SYMBOLS, CELLS + SYMBOLS + 1))
    steps = 0.5 * np.arange(1, BLOCKS + 1)
    W[:, -1] = np.concatenate([-steps, steps, -steps, np.zeros(CELLS)])  # cells have no bias
    return W, V


@njit(fastmath={"reassoc", "contract"})
def run(
    symbols: np.ndarray, legal: np.ndarray, at: int, most: int, W: np.ndarray, V: np.ndarray, lr: float, forget: float,
    reset: bool, to_the_end: bool,
) -> int:  # fmt: skip
    """Read one stream of at most `most` symbols from position `at`, learning where lr > 0, in place.

    forget: the factor of the cell state, or -1 for forget gates. reset: states to zero after every string. Returns the
    number of symbols up to the first error, at which the stream ends unless `to_the_end`.
    """
    N, good = SYMBOLS + CELLS + 1, -1
    v, a, y, error = np.zeros(N), np.zeros(len(W)), np.zeros(SYMBOLS), np.zeros(SYMBOLS)
    h, c, dh = np.zeros(CELLS), np.zeros(CELLS), np.zeros(CELLS)
    by_i, by_f, by_z = np.zeros((CELLS, N)), np.zeros((CELLS, N)), np.zeros((CELLS, N))  # derivatives of each c
    for t in range(most):
        symbol, following = symbols[at], symbols[(at + 1) % len(symbols)]
        v[:] = 0.0
        v[symbol] = v[N - 1] = 1.0
        v[SYMBOLS : N - 1] = h
        for row in range(len(W)):
            total = 0.0
            for k in range(N):
                total += W[row, k] * v[k]
            a[row] = 1 / (1 + np.exp(-total))
        for j in range(CELLS):
            i, o, s = a[j // SIZE], a[2 * BLOCKS + j // SIZE], a[3 * BLOCKS + j]
            f, z = a[BLOCKS + j // SIZE] if forget < 0 else forget, 4 * s - 2
            if lr > 0:
                to_i, to_f, to_z = z * i * (1 - i), c[j] * f * (1 - f), i * 4 * s * (1 - s)
                for k in range(N):
                    by_i[j, k] = f * by_i[j, k] + to_i * v[k]
                    by_f[j, k] = f * by_f[j, k] + to_f * v[k]
                    by_z[j, k] = f * by_z[j, k] + to_z * v[k]
            c[j] = f * c[j] + i * z
            h[j] = o * (2 / (1 + np.exp(-c[j])) - 1)
        least, most_illegal = 2.0, -1.0
        for k in range(SYMBOLS):
            total = V[k, CELLS + symbol] + V[k, CELLS + SYMBOLS]
            for j in range(CELLS):
                total += V[k, j] * h[j]
            y[k] = 1 / (1 + np.exp(-total))
            if legal[at, k]:
                least = min(least, y[k])
            else:
                most_illegal = max(most_illegal, y[k])
        if lr > 0:
            dh[:] = 0.0
            for k in range(SYMBOLS):
                error[k] = ((k == following) - y[k]) * y[k] * (1 - y[k])
                for j in range(CELLS):
                    dh[j] += V[k, j] * error[k]
            for k in range(SYMBOLS):
                for j in range(CELLS):
                    V[k, j] += lr * error[k] * h[j]
                V[k, CELLS + symbol] += lr * error[k]
                V[k, CELLS + SYMBOLS] += lr * error[k]
            for j in range(CELLS):
                block, squashed = j // SIZE, 2 / (1 + np.exp(-c[j])) - 1
                o = a[2 * BLOCKS + block]
                do, dc = dh[j] * squashed * o * (1 - o), dh[j] * o * (1 - squashed * squashed) / 2
                for k in range(N):
                    W[block, k] += lr * dc * by_i[j, k]
                    W[2 * BLOCKS + block, k] += lr * do * v[k]
                    if forget < 0:
                        W[BLOCKS + block, k] += lr * dc * by_f[j, k]
                    if k < N - 1:
                        W[3 * BLOCKS + j, k] += lr * dc * by_z[j, k]
        if least <= most_illegal and good < 0:
            good = t
            if not to_the_end:
                break
        if symbol == E and following == B:
            if reset:
                h[:] = 0.0
                c[:] = 0.0
                by_i[:] = 0.0
                by_f[:] = 0.0
                by_z[:] = 0.0
            if to_the_end:
                break
        at = (at + 1) % len(symbols)
    return t + 1 if good < 0 else good


def pool(length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Twenty streams of together about `length` symbols, cut after their last whole strings and put end to end."""
    inputs, targets, legal = tasks.continual_reber(length // 20, rng, count=20)
    symbols = inputs.argmax(axis=2)
    ends = [np.flatnonzero((s == E) & (t == B))[-1] + 1 for s, t in zip(symbols.T, targets.T, strict=True)]
    cut = lambda x: np.concatenate([x[:end, k] for k, end in enumerate(ends)])
    return cut(symbols), cut(legal)


def trial(algorithm: str, seed: int, *, streams: int = 30_000, length: int = 10_000) -> dict:
    """Train one network; return whether it became perfect, after what, and how far it reads without an error.

    perfect: a test without an error; streams, symbols: how many were read in training; last, best: mean error-free
    length in the last and in the best test.
    """
    rng = np.random.default_rng(seed)
    W, V = start(rng)
    symbols, legal = pool(200_000, rng)
    inputs, _, test_legal = tasks.continual_reber(length, rng, count=10)
    tests = [(inputs[:, k].argmax(axis=1), np.ascontiguousarray(test_legal[:, k])) for k in range(10)]
    forget = {"decay": 0.9, "forget": -1.0}.get(algorithm, 1.0)
    reset, whole = algorithm.startswith("reset"), algorithm == "reset, whole strings"
    begins = np.flatnonzero((symbols == B) & (np.roll(symbols, 1) == E))
    at, read, best = 0, 0, 0.0
    for stream in range(1, streams + 1):
        good = run(symbols, legal, at, length, W, V, 0.5, forget, reset, whole)
        read += good + 1
        at = begins[np.searchsorted(begins, (at + good + 1) % len(symbols)) % len(begins)]
        if stream % 100 == 0:
            good = [run(*test, 0, length, W, V, 0.0, forget, reset, False) for test in tests]
            last, best = float(np.mean(good)), max(best, float(np.mean(good)))
            if min(good) == length or read > 10_000_000:
                break
    return {"perfect": min(good) == length, "streams": stream, "symbols": read, "last": last, "best": best}
