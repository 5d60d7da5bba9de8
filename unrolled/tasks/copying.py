"""Symbols to be repeated after a long wait."""

import numpy as np

from unrolled.tasks._arguments import at_least


def copy_memory(
    count: int, rng: np.random.Generator | int, *, lag: int = 100, items: int = 10, symbols: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """A few random symbols, a long run of blanks, and a signal to repeat the symbols in their order.

    The task is to say a blank at every step until the signal and at it, then the symbols. Symbols are numbered 0 to
    `symbols - 1`, the blank is `symbols` and the signal `symbols + 1`. Inputs are the items, `lag - 1` blanks, the
    signal and `items` blanks; targets are `lag + items` blanks and then the items.
    Who knows when but not what to repeat pays, averaged over all T steps, a cross-entropy of
    `items * ln(symbols) / (lag + 2 * items)`, 0.173 as given here; over the last `items` steps alone it is ln(symbols).

    count: how many sequences, 1 or more. Another count with the same seed draws other sequences.
    lag: steps from the last item to the signal, 1 or more, so each item is asked for `lag + items` steps after it came.
    items: how many symbols to remember, 1 or more.
    symbols: how many different ones there are, 2 or more.
    Returns inputs and targets, both int64 of shape (T, count), where T = lag + 2 * items.
    Raises ValueError for another count, lag, items or symbols.
    Source: Arjovsky, Shah & Bengio 2016, "Unitary Evolution Recurrent Neural Networks", the copying memory problem (10
    items of 8 symbols), after Hochreiter & Schmidhuber 1997.
    """
    at_least(1, count=count, lag=lag, items=items)
    at_least(2, symbols=symbols)
    inputs = np.full((lag + 2 * items, count), symbols)
    targets = inputs.copy()
    inputs[:items] = targets[-items:] = np.random.default_rng(rng).integers(symbols, size=(items, count))
    inputs[items + lag - 1] = symbols + 1
    return inputs, targets
