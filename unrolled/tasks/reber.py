"""Strings of a small grammar that is embedded in itself, so that the second symbol decides the last but one."""

import numpy as np

from unrolled.tasks._arguments import at_least

REBER_SYMBOLS = "BTPSXVE"

# The grammar of Reber: for each node its edges, a symbol and the node that it leads to.
_REBER = (
    (("B", 1),),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", 7),),
)


def _embedded() -> tuple[np.ndarray, np.ndarray]:
    """The embedded grammar: where each of two choices leads from a node, and the symbol between two nodes (-1: none).

    Node 0 is the start, the last node the end.
    """
    edges = [(("B", 1),), (("T", 2), ("P", 2 + len(_REBER) + 1))]
    last = 2 + 2 * (len(_REBER) + 1)
    for remembered in "TP":  # a copy of the grammar for each, which is the memory that the task asks for
        first = len(edges)
        edges += [tuple((symbol, first + node) for symbol, node in node_edges) for node_edges in _REBER]
        edges += [((remembered, last),)]
    edges += [(("E", last + 1),), (("", last + 1),)]
    follows = np.array([(node_edges[0][1], node_edges[-1][1]) for node_edges in edges])
    symbols = np.full((len(edges), len(edges)), -1)
    symbols[last, 0] = REBER_SYMBOLS.index("E")  # the end of one string is the start of the next, where they run on
    for node, node_edges in enumerate(edges[:-1]):
        for symbol, following in node_edges:
            symbols[node, following] = REBER_SYMBOLS.index(symbol)
    return follows, symbols


_FOLLOWS, _SYMBOLS = _embedded()
_END = len(_FOLLOWS) - 1
_LEGAL = (_SYMBOLS[:, :, None] == np.arange(len(REBER_SYMBOLS))).any(axis=1)
_MOST_DRAWS = 2_000_000  # for distinct strings: about a minute's work


def _paths(count: int, rng: np.random.Generator) -> np.ndarray:
    """The nodes that `count` walks pass, of shape (steps, count), until the last has reached the end."""
    path = [np.zeros(count, dtype=np.int8)]
    while (path[-1] != _END).any():
        path.append(_FOLLOWS[path[-1], rng.integers(2, size=count)].astype(np.int8))
    return np.stack(path)


def _distinct_paths(count: int, rng: np.random.Generator) -> np.ndarray:
    """The first `count` different walks, in the order in which they were drawn."""
    path, draws = np.empty((1, 0), dtype=np.int8), 0
    while path.shape[1] < count:
        if draws + count > _MOST_DRAWS:
            raise ValueError(f"count={count}: {draws} draws gave {path.shape[1]} distinct strings; ask for fewer")
        more, draws = _paths(count, rng), draws + count
        steps = max(len(path), len(more))
        path = np.hstack([np.pad(p, ((0, steps - len(p)), (0, 0)), constant_values=_END) for p in (path, more)])
        path = path[:, np.sort(np.unique(path, axis=1, return_index=True)[1])]
    path = path[:, :count]
    return path[: (path != _END).sum(axis=0).max() + 1]


def _task(path: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    symbols = _SYMBOLS[path[:-1], path[1:]]
    targets = symbols[1:]
    inputs = np.eye(len(REBER_SYMBOLS), dtype=np.float32)[symbols[:-1]]
    inputs[targets < 0] = 0
    return inputs, targets, _LEGAL[path[1:-1]]


def embedded_reber(
    count: int, rng: np.random.Generator | int, *, distinct: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Strings of the embedded Reber grammar: B, then T or P, a string of the Reber grammar, the same T or P, and E.

    The task is to predict at each symbol the next one. Where the grammar branches, two symbols are equally likely and
    both legal; the only symbol that cannot be told from the last few is the T or P before the final E, 6 or more
    symbols after the one it repeats. A string has 9 symbols or more, 12 on average.

    count: how many strings, 1 or more. Another count with the same seed draws other strings.
    distinct: draw again until no string occurs twice, which leaves longer strings, 16 symbols on average for
        count=256; cut the result in two for a training and a test set that share none.
    Returns inputs, float32 one-hot of shape (T, count, 7), columns as in `REBER_SYMBOLS`; targets, int64 of shape
    (T, count), the index of the next symbol; legal, bool of shape (T, count, 7), what may come next; and lengths,
    int64 of shape (count,). The final E is a target, never an input, so a string of n symbols has length n - 1. After
    its length a string's inputs are 0, its targets -1 and nothing is legal.
    Raises ValueError for another count, and where `distinct` does not find as many strings in two million draws,
    which hold about 17,000.
    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", experiment 1 (256 training and 256 test strings).
    """
    at_least(1, count=count)
    rng = np.random.default_rng(rng)
    path = _distinct_paths(count, rng) if distinct else _paths(count, rng)
    inputs, targets, legal = _task(path)
    return inputs, targets, legal, (targets >= 0).sum(axis=0)


def continual_reber(
    length: int, rng: np.random.Generator | int, *, count: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Endless strings of the embedded Reber grammar, run together: after an E comes the B of the next string.

    The task is to predict at each symbol the next one. Nothing but the symbols themselves marks where a string ends:
    there is no stop and no reset, so a network must learn by itself to forget the string before.

    length: T, the number of symbols to read, 1 or more; a stream starts at a B and stops anywhere. A longer stream of
        the same seed and count begins with the shorter one.
    count: how many streams, side by side, 1 or more.
    Returns inputs, float32 one-hot of shape (T, count, 7), columns as in `REBER_SYMBOLS`; targets, int64 of shape
    (T, count), the index of the next symbol; and legal, bool of shape (T, count, 7), what may come next.
    Raises ValueError for another length or count.
    Source: Gers, Schmidhuber & Cummins 2000, "Learning to Forget", the continual embedded Reber grammar (a test is 10
    streams of 100,000 symbols).
    """
    at_least(1, length=length, count=count)
    rng = np.random.default_rng(rng)
    path = np.zeros((length + 2, count), dtype=np.int8)
    for step in range(1, length + 2):
        following = _FOLLOWS[path[step - 1], rng.integers(2, size=count)]
        path[step] = np.where(following == _END, 0, following)
    return _task(path)
