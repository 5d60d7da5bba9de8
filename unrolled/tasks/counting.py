"""Languages whose strings have to be counted."""

import numpy as np

from unrolled.tasks._arguments import at_least

Counted = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _strings(letters: int, lowest: int, highest: int) -> Counted:
    """Strings of `letters` blocks of equal length; symbol 0 starts, 1 to `letters` fill and `letters + 1` ends them."""
    at_least(1, lowest=lowest)
    at_least(lowest, highest=highest)
    n = np.arange(lowest, highest + 1)
    lengths = letters * n + 1
    step = np.arange(lengths[-1] + 1)[:, None]
    symbols = np.where(step == 0, 0, (step - 1) // n + 1)
    inside = step[:-1] < lengths
    code = np.eye(letters + 2, dtype=bool)
    inputs = code[np.where(inside, symbols[:-1], 0)] & inside[..., None]
    targets = np.where(inside, symbols[1:], -1)
    legal = code[targets] & inside[..., None]
    legal[inputs[..., 1], 1:3] = True  # after an a another a or the first b
    return inputs.astype(np.float32), targets, legal, lengths


def anbn(lowest: int, highest: int) -> Counted:
    """All strings of n letters a and then n letters b, with n from `lowest` to `highest`, one of each.

    The task is to predict at each symbol all those that may come next. While a's come, a and b are legal, and nobody
    can know n; from the first b on there is one legal symbol, and whoever counted the a's knows when it is the end.
    Who looks only at the last symbol says the same after every b, and so goes wrong in every string with n of 2 or
    more: if all predictions have to be right, such a reader accepts at most one string, that of n = 1.

    lowest, highest: the range of n, 1 or more, both included.
    Returns inputs, float32 one-hot of shape (T, N, 4), columns S, a, b, T (start, letters, end); targets, int64 of
    shape (T, N), the column of the next symbol; legal, bool of shape (T, N, 4), what may come next; and lengths, int64
    of shape (N,). N is `highest - lowest + 1`, in the order of n. The end is a target, never an input, so the string of
    n has length 2n + 1. After its length a string's inputs are 0, its targets -1 and nothing is legal.
    Raises ValueError for another range.
    Source: Gers & Schmidhuber 2001, "LSTM Recurrent Networks Learn Simple Context-Free and Context-Sensitive
    Languages", which trains on small n and tests on larger ones. That S and T have columns in inputs and targets both
    is ours.
    """
    return _strings(2, lowest, highest)


def anbncn(lowest: int, highest: int) -> Counted:
    """All strings of n letters a, n letters b and n letters c, with n from `lowest` to `highest`, one of each.

    As `anbn`, with three letters: the first c has to be predicted too, so who looks only at the last symbol goes wrong
    twice or more in every string with n of 2 or more. No context-free grammar makes these strings.

    lowest, highest: the range of n, 1 or more, both included.
    Returns inputs, targets, legal and lengths as `anbn` does, with five columns S, a, b, c, T; the string of n has
    length 3n + 1.
    Raises ValueError for another range.
    Source: Gers & Schmidhuber 2001, as for `anbn`.
    """
    return _strings(3, lowest, highest)
